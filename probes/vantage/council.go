// Package vantage stands between the probes of this node and the registry: it adds what other probers see, and passes on what all of
// it amounts to.
//
// A Council is the Sink of the prober. It keeps the Matrix of package quorum in step with the clock, tells the registry of verdicts
// and the log of probers that come, go and fall under suspicion, and hands what this node sees to whoever carries it to others.
package vantage

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"sync"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/probes"
	"github.com/meridian-gslb/meridian/probes/quorum"
)

// Times of a Council.
const (
	pace   = time.Second           // the longest time between two decisions
	gather = 50 * time.Millisecond // the shortest: what changes meanwhile is decided together
	repeat = 10 * time.Second      // how often verdicts are reported that did not change
)

// Options are what a Council needs of others. The functions are called one at a time, with no lock of the Council held.
type Options struct {
	Log  *slog.Logger  // nil: no log
	Self quorum.Prober // who this node is

	// Report passes a new verdict on, and why.
	Report func(endpoint string, v policy.Verdict, why string)
	// Note is told what becomes of a prober (quorum.Trusted, …). nil: nobody is.
	Note func(prober, from, to, why string)
}

// A Council makes verdicts. Its methods are safe for concurrent use.
type Council struct {
	Options
	epoch   time.Time
	wake    chan struct{} // one token: something changed
	changed chan struct{} // one token: what this node sees changed
	metrics metrics

	deciding sync.Mutex    // orders verdicts; taken before mu
	repeated time.Duration // when all verdicts were last reported; deciding guards it

	mu      sync.Mutex
	matrix  *quorum.Matrix
	targets map[string]bool
	dirty   map[string]bool   // endpoints of which this node sees something new since the last Delta
	states  map[string]string // of probers, as last noted
	gone    []string          // endpoints that are targets no more, not yet reported
}

// New returns a Council without targets. It decides when Run runs, and when Decide is called.
func New(o Options) *Council {
	c := &Council{
		Options: o,
		epoch:   time.Now(),
		wake:    make(chan struct{}, 1),
		changed: make(chan struct{}, 1),
		matrix:  quorum.New(o.Self),
		targets: map[string]bool{},
		dirty:   map[string]bool{},
		states:  map[string]string{o.Self.Name: quorum.Trusted},
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Note == nil {
		c.Note = func(string, string, string, string) {}
	}
	c.metrics = newMetrics()
	return c
}

// now returns the time since the epoch, which is after the zero time that stands for never.
func (c *Council) now() time.Duration { return time.Since(c.epoch) + 1 }

// SetTargets makes targets what verdicts are made on. Call it before the prober's Update with the same targets. Of an endpoint that is
// one no more, the zero Verdict is reported.
func (c *Council) SetTargets(targets []probes.Target) {
	list := make([]quorum.Target, len(targets))
	names := make(map[string]bool, len(targets))
	for i, t := range targets {
		list[i] = target(t, c.Self.Name)
		names[t.Endpoint] = true
	}
	c.mu.Lock()
	for name := range c.targets {
		if !names[name] {
			c.gone = append(c.gone, name)
		}
	}
	c.targets = names
	c.matrix.SetTargets(list)
	c.mu.Unlock()
	token(c.wake)
}

// target returns how votes on a Target of the prober count.
func target(t probes.Target, self string) quorum.Target {
	c := t.Check.WithDefaults()
	turn := c.Interval * time.Duration(max(c.Rise, c.Fall)) // how long it takes to change one's mind
	hold := c.Hold
	if hold == 0 {
		hold = turn
	}
	// Nodes that saw the same flaps should not let go at the same moment.
	hold += time.Duration(float64(hold) / 10 * float64(key(self, t.Endpoint)>>32) / (1 << 32))
	return quorum.Target{
		Endpoint: t.Endpoint, Key: key(t.Endpoint, t.Where().String()), Rule: c.Rule, Hold: hold,
		Fresh:  3*c.Interval + c.Timeout + time.Second,
		Settle: turn + c.Timeout,
	}
}

// key makes one number of two texts, the same on all nodes. It is never 0.
func key(a, b string) uint64 {
	sum := sha256.Sum256([]byte(a + "\x00" + b))
	return max(1, binary.BigEndian.Uint64(sum[:]))
}

// Observe takes what the prober sees of an endpoint. It implements probes.Sink.
func (c *Council) Observe(endpoint string, o probes.Observation) {
	now := c.now()
	c.mu.Lock()
	news := c.matrix.Own(endpoint, o.Verdict, quorum.Result{
		Checked: o.Checked, Failing: o.Trouble != "", Silent: o.Silent, Latency: o.Latency, Trouble: o.Trouble,
	}, now)
	if news {
		c.dirty[endpoint] = true
	}
	c.mu.Unlock()
	if news {
		token(c.wake)
		token(c.changed)
	}
}

// Hear takes what another prober sees. An error says why nothing was taken (see quorum.Matrix.Hear).
func (c *Council) Hear(rep *quorum.Report) error {
	now := c.now()
	c.mu.Lock()
	for i := range rep.Entries { // ages become moments
		v := &rep.Entries[i].Vote
		v.Checked, v.Since = max(0, now-v.Checked), max(0, now-v.Since)
	}
	err := c.matrix.Hear(rep, now)
	c.mu.Unlock()
	if err == nil {
		token(c.wake)
	}
	return err
}

// SetLinked says whether others could be heard just now.
func (c *Council) SetLinked(ok bool) {
	c.mu.Lock()
	c.matrix.SetLinked(ok, c.now())
	c.mu.Unlock()
}

// Changed returns a channel that gets a tick when what this node sees has changed. Ticks coalesce. It has one reader.
func (c *Council) Changed() <-chan struct{} { return c.changed }

// Full returns all that this node sees. In the votes, moments are ages.
func (c *Council) Full() quorum.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.dirty)
	return c.report(nil)
}

// Delta returns what this node sees anew since the last Full or Delta.
func (c *Council) Delta() quorum.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	dirty := c.dirty
	c.dirty = map[string]bool{}
	return c.report(dirty)
}

func (c *Council) report(only map[string]bool) quorum.Report {
	now := c.now()
	rep := c.matrix.Report(only, now)
	for i := range rep.Entries {
		v := &rep.Entries[i].Vote
		v.Checked, v.Since = now-v.Checked, now-v.Since
	}
	return rep
}

// Run decides whenever something changed, and every second, until ctx ends.
func (c *Council) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-c.wake:
		}
		c.Decide()
		timer.Reset(pace)
		pause := time.NewTimer(gather)
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-pause.C:
		}
	}
}

// Decide makes verdicts of what is known by now and reports those that are new before it returns. Every ten seconds it reports all,
// so that whoever lost one has it again.
func (c *Council) Decide() {
	c.deciding.Lock()
	defer c.deciding.Unlock()
	var changes []quorum.Change
	c.mu.Lock()
	now := c.now()
	all := now-c.repeated >= repeat
	if all {
		c.repeated = now
	}
	c.matrix.Decide(now, all, func(ch quorum.Change) { changes = append(changes, ch) })
	gone := c.gone
	c.gone = nil
	notes := c.notes()
	c.mu.Unlock()
	for _, name := range gone {
		c.Report(name, policy.Verdict{}, "not probed any more")
	}
	for _, ch := range changes {
		c.Report(ch.Endpoint, ch.Verdict, ch.Why)
	}
	for _, n := range notes {
		c.Log.Log(context.Background(), n.level(), "prober "+n.to, "prober", n.prober, "from", n.from, "why", n.why)
		c.Note(n.prober, n.from, n.to, n.why)
		if n.prober == c.Self.Name {
			token(c.changed) // others should know
		}
	}
}

// A note is something that became of a prober.
type note struct{ prober, from, to, why string }

func (n note) level() slog.Level {
	if n.to == quorum.Trusted {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// notes returns what became of the probers since the last time.
func (c *Council) notes() []note {
	var out []note
	states := make(map[string]string, len(c.states))
	for _, p := range c.matrix.Probers() {
		state, why := p.State(), p.Suspect
		if state == quorum.Gone {
			why = "nothing new is heard of it; its votes do not count"
		}
		states[p.Name] = state
		if was := c.states[p.Name]; was != state {
			out = append(out, note{p.Name, was, state, why})
		}
	}
	c.states = states
	return out
}

// token puts a token into a channel of capacity 1 unless one is there.
func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
