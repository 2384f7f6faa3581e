// Package guard stands between a source and the registry. It keeps what the source said last on disk, so that a start without it serves as
// before, and it does not believe at once that most of what there was is gone: that is how an outside system that fails looks.
package guard

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/meridian-gslb/meridian/registry"
)

// Rules say what is not believed at once.
type Rules struct {
	// MaxLoss is the share of a source's endpoints, 0 to 1, of which no more may go in one step. A service that has endpoints is never left
	// without any, whatever the share. 1 = all is believed.
	MaxLoss float64
	// Hold is after how long it is believed all the same, if the source still says so. 0 = never, only when it is confirmed.
	Hold time.Duration
}

// The defaults of Rules.
const (
	DefaultMaxLoss = 0.5
	DefaultHold    = 10 * time.Minute
)

// quiet is how long a Catalog has to stand before it is saved.
const quiet = 5 * time.Second

// Options are what a Guard needs from outside.
type Options struct {
	Name  string                    // required: the source's
	Dir   string                    // where Catalogs are kept; "" = nowhere
	Wants func(service string) bool // required; whether the configuration still takes a service from the source
	Rules func() Rules              // required; asked each time
	Log   *slog.Logger              // default: discard
}

// A Guard is a registry.Source around another. Its methods may be called concurrently.
type Guard struct {
	inner registry.Source
	o     Options
	keep  keeper

	mu      sync.Mutex
	judge   judge
	heard   bool             // the source has said something
	got     registry.Catalog // what it said last
	confirm bool             // believe it
	saveErr error            // of the last save
	lost    string           // which saved Catalogs were damaged
	again   chan struct{}    // capacity 1: judge again
}

// New returns a Guard around a source.
func New(inner registry.Source, o Options) *Guard {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Guard{inner: inner, o: o, keep: newKeeper(o.Dir, o.Name), again: make(chan struct{}, 1)}
}

// Run publishes what was saved, then what the source says as far as it is believed, until ctx ends.
func (g *Guard) Run(ctx context.Context, publish func(registry.Catalog)) error {
	g.restore(publish)
	ended := make(chan error, 1)
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		ended <- g.inner.Run(inner, func(c registry.Catalog) {
			g.mu.Lock()
			g.heard, g.got = true, c
			g.mu.Unlock()
			g.look()
		})
	}()
	hold, save := time.NewTimer(0), time.NewTimer(quiet)
	defer hold.Stop()
	defer save.Stop()
	save.Stop()
	var unsaved *registry.Catalog
	for {
		select {
		case err := <-ended:
			if unsaved != nil {
				g.save(*unsaved)
			}
			return err
		case <-save.C:
			g.save(*unsaved)
			unsaved = nil
			continue
		case <-g.again:
		case <-hold.C:
		}
		c, news, until := g.decide(time.Now())
		if hold.Stop(); !until.IsZero() {
			hold.Reset(time.Until(until))
		}
		if news {
			publish(c)
			unsaved = &c
			save.Reset(quiet)
		}
	}
}

// look makes Run judge again.
func (g *Guard) look() {
	select {
	case g.again <- struct{}{}:
	default:
	}
}

// Reconsider makes the guard judge again, after the Rules or what is wanted have changed.
func (g *Guard) Reconsider() { g.look() }

// Confirm makes the guard believe what the source says now. It returns what was held back, or an error if nothing was.
func (g *Guard) Confirm() (held string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if held = g.judge.held(); held == "" {
		return "", fmt.Errorf("source %s: nothing is held back", g.o.Name)
	}
	g.confirm = true
	g.look()
	return held, nil
}

// decide judges what the source said last. news says that something else is to be published than was.
func (g *Guard) decide(now time.Time) (c registry.Catalog, news bool, until time.Time) {
	g.mu.Lock()
	if !g.heard {
		g.mu.Unlock()
		return c, false, until
	}
	before := g.judge.held()
	c, news, until = g.judge.judge(g.got, g.o.Wants, g.o.Rules(), g.confirm, now)
	g.confirm = false
	after := g.judge.held()
	g.mu.Unlock()
	switch {
	case after == before:
	case after != "":
		g.o.Log.Error("the source lost too much at once; what there was stays", "source", g.o.Name, "held", after)
	default:
		g.o.Log.Info("what the source says is believed again", "source", g.o.Name, "before", before)
	}
	return c, news, until
}

// restore publishes the newest Catalog that is saved and sound.
func (g *Guard) restore(publish func(registry.Catalog)) {
	c, damaged, err := g.keep.load()
	for _, d := range damaged {
		g.o.Log.Error("a saved catalog is damaged; the one before is used", "source", g.o.Name, "file", d)
	}
	g.mu.Lock()
	if len(damaged) > 0 {
		g.lost = fmt.Sprintf("%d saved catalogs were damaged, the last %s", len(damaged), damaged[0])
	}
	g.mu.Unlock()
	if err != nil {
		g.o.Log.Error("no saved catalog is restored", "source", g.o.Name, "error", err)
	}
	if c == nil {
		return
	}
	g.mu.Lock()
	*c = only(*c, g.o.Wants)
	g.judge.last, g.judge.known = *c, true
	g.mu.Unlock()
	publish(*c)
}

// save writes a Catalog. What fails is told by Status, and tried again with the next.
func (g *Guard) save(c registry.Catalog) {
	err := g.keep.save(c)
	g.mu.Lock()
	before := g.saveErr
	g.saveErr = err
	g.mu.Unlock()
	if err != nil && before == nil {
		g.o.Log.Error("the catalog is not saved; serving goes on", "source", g.o.Name, "error", err)
	}
}

// Problems says what is held back, and what is wrong with what is saved; nothing if all is well.
func (g *Guard) Problems() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	if held := g.judge.held(); held != "" {
		out = append(out, fmt.Sprintf("source %s: %s; what there was stays in force (believe it with \"meridian confirm %s\")", g.o.Name, held, g.o.Name))
	}
	if g.saveErr != nil {
		out = append(out, fmt.Sprintf("source %s: what it says cannot be saved: %v", g.o.Name, g.saveErr))
	}
	if g.lost != "" {
		out = append(out, "source "+g.o.Name+": "+g.lost)
	}
	return out
}
