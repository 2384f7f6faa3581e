// Package probes finds out which endpoints work: it decides when each is checked and what follows from the results.
//
// A check's way: schedule (when it is due) -> worker (package check makes it, within its timeout) -> tracker (rise, fall; pure)
// -> Sink. What other vantage points saw comes in behind the Sink (package vantage). A forced state beats probes in the registry: here
// every endpoint goes on being checked.
package probes

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/probes/check"
)

// An Observation is what the checks of one endpoint make believe of it, and how the last one went.
type Observation struct {
	Verdict policy.Verdict

	// Checked says that it follows from a check that has just ended with a result. Without, it follows from a saved state, another
	// pace, or a check that trouble of this machine ended, and the fields below mean nothing.
	Checked bool
	Silent  bool          // the check failed, and nothing came back (check.Silent)
	Trouble string        // why the check failed, one line of at most 200 characters; "": it succeeded
	Latency time.Duration // of the check
}

// A Sink receives Observations. Observe is called after every conclusive or inconclusive check, also when nothing changed, so that a
// Sink that lost a verdict has it again within an interval; it must be cheap when nothing changed. Update calls it for a target that
// begins with a saved state or changes what is known of it, and, with the zero Observation, for one that is removed.
//
// Calls follow one another, and for one endpoint they come in the order of its checks. The prober is locked meanwhile: Observe
// must not call it.
type Sink interface {
	Observe(endpoint string, o Observation)
}

// Bounds of the number of checks that run at the same time when Options does not give it.
const (
	minConcurrency = 256
	maxConcurrency = 4096
)

// Options are what a Prober needs of others.
type Options struct {
	Log  *slog.Logger // nil: no log
	Sink Sink         // required

	// Seed returns the state an endpoint had when it was saved, or Unknown. It is asked once for every endpoint that is new to
	// the prober, with the prober locked. nil: nothing was saved.
	Seed func(endpoint string) policy.State

	// Concurrency limits the checks that run at the same time, each a goroutine with one file descriptor. 0: as many as are
	// needed to be on time with every endpoint timing out, at least 256 and at most 4096.
	Concurrency int
}

// A Prober checks a changing set of targets and reports verdicts to its Sink. Its methods are safe for concurrent use.
type Prober struct {
	log         *slog.Logger
	sink        Sink
	seed        func(string) policy.State
	concurrency int // 0: by the targets
	build       func(Target) check.Checker
	dice        func() float64 // [0,1)
	metrics     *metrics
	epoch       time.Time // the schedule counts from here, on the monotonic clock
	firstRound  chan struct{}
	wake        chan struct{} // one token: the schedule changed

	mu       sync.Mutex // guards what follows, and every probe
	ran      bool
	probes   map[string]*probe // by endpoint
	schedule schedule          // all of them, by when they are due
	ready    queue             // due, waiting for a worker
	workers  int
	limit    int // of workers
	awaited  int // probes whose first result the first round waits for
	spread   float64
}

// New returns a Prober without targets. It does nothing before Run.
func New(o Options) *Prober {
	p := &Prober{
		log:         o.Log,
		sink:        o.Sink,
		seed:        o.Seed,
		concurrency: o.Concurrency,
		build:       newChecker,
		dice:        rand.Float64,
		epoch:       time.Now(),
		firstRound:  make(chan struct{}),
		wake:        make(chan struct{}, 1),
		probes:      make(map[string]*probe),
		limit:       max(o.Concurrency, 1),
		spread:      rand.Float64(),
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.seed == nil {
		p.seed = func(string) policy.State { return policy.Unknown }
	}
	p.metrics = newMetrics(p)
	return p
}

// FirstRound returns a channel that is closed when something is known of every target that Run found at its start: a saved
// state or the result of one check. That takes at most the largest timeout for every Concurrency targets. It stays open if Run
// ends before.
func (p *Prober) FirstRound() <-chan struct{} { return p.firstRound }

// Run makes checks until ctx ends, then returns nil after the last of them gave up. It can be called once.
func (p *Prober) Run(ctx context.Context) error {
	if err := p.begin(); err != nil {
		return err
	}
	var workers sync.WaitGroup
	defer workers.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-p.wake:
		}
		jobs, wait := p.dispatch()
		for _, j := range jobs {
			workers.Go(func() { p.work(ctx, j) })
		}
		timer.Reset(wait)
	}
}

// begin notes which targets the first round consists of.
func (p *Prober) begin() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ran {
		return errors.New("probes: Run called a second time")
	}
	p.ran = true
	for _, b := range p.probes {
		if b.tracker.state == policy.Unknown {
			b.awaited = true
			p.awaited++
		}
	}
	if p.awaited == 0 {
		close(p.firstRound)
	}
	return nil
}

// dispatch moves what is due to the ready queue and returns the jobs that need a new worker and how long to wait for the next
// time something is due.
func (p *Prober) dispatch() ([]job, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for len(p.schedule) > 0 {
		b := p.schedule[0]
		if b.due-early(b.target.Check.Interval) > now {
			break
		}
		p.reschedule(b, now)
		p.demand(b, now)
	}
	var jobs []job
	for p.workers < p.limit {
		j, ok := p.nextJob(now)
		if !ok {
			break
		}
		p.workers++
		jobs = append(jobs, j)
	}
	if len(p.schedule) == 0 {
		return jobs, math.MaxInt64
	}
	return jobs, p.schedule[0].due - now
}

// reschedule gives b its next slot. The second one spreads the probes, which all began at once, over the interval.
func (p *Prober) reschedule(b *probe, now time.Duration) {
	if !b.begun {
		b.begun = true
		b.due = now + p.nextSpread(b.target.Check.Interval)
	} else {
		var missed int
		b.due, missed = following(b.due, now, b.target.Check.Interval, p.dice())
		p.metrics.skipped.Add(float64(missed))
	}
	p.schedule.fix(b)
}

// nextSpread returns a part of interval, above 0 and up to all of it. Multiples of the golden ratio fill the interval evenly
// however many there are of them.
func (p *Prober) nextSpread(interval time.Duration) time.Duration {
	const golden = 0.6180339887498949
	_, p.spread = math.Modf(p.spread + golden)
	return max(1, time.Duration((1-p.spread)*float64(interval)))
}

// demand asks for a check of b. While the last one has not ended, one request is remembered: a check that takes its whole
// timeout must not cost the next one. More than that would pile up.
func (p *Prober) demand(b *probe, now time.Duration) {
	switch {
	case b.stage == idle:
		b.stage = queued
		p.ready.push(b)
		return
	case b.stage == running && b.stuck(now):
		b.overdue = true
		held := now - b.started
		p.metrics.observe(held, errOverdue)
		p.conclude(b, held, errOverdue)
	case b.stage == running && !b.again:
		b.again = true
		return
	}
	p.metrics.skipped.Inc()
}

// now returns the time since the epoch.
func (p *Prober) now() time.Duration { return time.Since(p.epoch) }
