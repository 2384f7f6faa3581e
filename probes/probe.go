package probes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
	"unicode"

	"github.com/meridian-gslb/meridian/probes/check"
)

// A probe is a target and all that is known of it. The Prober's lock guards it.
type probe struct {
	target  Target
	checker check.Checker
	tracker tracker

	due   time.Duration // next slot
	index int           // in the schedule
	begun bool          // the first slot is past

	stage   stage
	started time.Duration // of the check that runs
	timeout time.Duration // of the check that runs
	overdue bool          // the check that runs was given up: its result comes too late
	again   bool          // the next check is due while this one runs
	removed bool          // no longer a target: the result of the check that runs is of no interest
	awaited bool          // the first round waits for a result

	since    time.Time     // when the state last changed; zero: not yet
	checked  time.Time     // when the last check ended; zero: none did
	latency  time.Duration // of the last check
	trouble  string        // error of the last check; "": it succeeded. The error itself may hold on to a whole certificate
	panicked bool          // the last check did
	streak   int           // results like the last one in a row; 0: none yet
}

// stuck reports whether the check that runs ignores its timeout. One that obeys may still have to wait for the processor.
func (b *probe) stuck(now time.Duration) bool {
	const grace = time.Second
	return now-b.started > b.timeout+grace
}

// A stage says what a probe is doing.
type stage uint8

const (
	idle    stage = iota
	queued        // due, waits for a worker
	running       // a worker makes its check
)

// A job is one check to be made: what a worker needs to know of a probe without its lock.
type job struct {
	probe    *probe
	endpoint string
	checker  check.Checker
	timeout  time.Duration
	noStack  bool // the last check panicked too: the log has its stack
}

var (
	errOverdue = errors.New("the check ignores its timeout")
	errPanic   = errors.New("the check panicked")
)

// work makes checks, first j and then what waits in the ready queue, until none does.
func (p *Prober) work(ctx context.Context, j job) {
	for ok := true; ok; {
		start := time.Now()
		err := p.check(ctx, j)
		latency := time.Since(start)
		if ctx.Err() == nil { // else it did not come to an end
			p.metrics.observe(latency, err)
		}
		j, ok = p.finish(ctx, j.probe, latency, err)
	}
}

// check makes one check within its timeout.
func (p *Prober) check(ctx context.Context, j job) error {
	ctx, cancel := context.WithTimeout(ctx, j.timeout)
	defer cancel()
	err := p.guarded(ctx, j)
	if check.Timeout(err) {
		return fmt.Errorf("%w after %s", err, j.timeout)
	}
	return err
}

// guarded makes one check. A panic in it costs this one result.
func (p *Prober) guarded(ctx context.Context, j job) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p.metrics.panics.Inc()
			if !j.noStack {
				p.log.Error("check panicked", "endpoint", j.endpoint, "panic", v, "stack", string(debug.Stack()))
			}
			err = fmt.Errorf("%w: %v", errPanic, v)
		}
	}()
	return j.checker.Check(ctx)
}

// finish takes in the result of a check of b and returns the next job, or false if the worker is not needed any more.
func (p *Prober) finish(ctx context.Context, b *probe, latency time.Duration, err error) (job, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	wanted := !b.overdue && !b.removed && ctx.Err() == nil
	b.stage, b.overdue = idle, false
	if wanted {
		p.conclude(b, latency, err)
	}
	if b.again && !b.removed {
		b.again, b.stage = false, queued
		p.ready.push(b)
	}
	if ctx.Err() == nil && p.workers <= p.limit {
		if j, ok := p.nextJob(now); ok {
			return j, true
		}
	}
	p.workers--
	return job{}, false
}

// nextJob takes the next probe from the ready queue.
func (p *Prober) nextJob(now time.Duration) (job, bool) {
	for b := p.ready.pop(); b != nil; b = p.ready.pop() {
		if b.removed {
			continue
		}
		b.stage, b.started, b.timeout = running, now, b.target.Check.Timeout
		return job{
			probe:    b,
			endpoint: b.target.Endpoint,
			checker:  b.checker,
			timeout:  b.timeout,
			noStack:  b.panicked,
		}, true
	}
	return job{}, false
}

// conclude draws the consequences of a result. Trouble of our own is none: it must not change an answer.
func (p *Prober) conclude(b *probe, latency time.Duration, err error) {
	now := time.Now()
	if (b.trouble == "") != (err == nil) {
		b.streak = 0
	}
	b.streak++
	b.checked, b.latency, b.trouble, b.panicked = now, latency, oneLine(err), errors.Is(err, errPanic)
	if !inconclusive(err) {
		before := b.tracker.state
		b.tracker.add(err == nil)
		if b.tracker.state != before {
			b.since = now
		}
	}
	p.sink.Observe(b.target.Endpoint, Observation{
		Verdict: b.tracker.verdict(), Checked: !inconclusive(err), Silent: check.Silent(err), Trouble: b.trouble, Latency: latency,
	})
	p.firstResult(b)
}

// inconclusive reports whether err is our own fault rather than the endpoint's.
func inconclusive(err error) bool {
	return err != nil && (errors.Is(err, errPanic) || check.Inconclusive(err))
}

// firstResult notes that something is known of b, or that nobody wants to know any more.
func (p *Prober) firstResult(b *probe) {
	if !b.awaited {
		return
	}
	b.awaited = false
	if p.awaited--; p.awaited == 0 {
		close(p.firstRound)
	}
}

// oneLine returns the text of err, "" if it is nil, fit for a table on a terminal: certificates, which may come from anybody,
// put names of any length and content into it.
func oneLine(err error) string {
	if err == nil {
		return ""
	}
	const most = 200 // characters
	var b strings.Builder
	n := 0
	for _, r := range err.Error() {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = '.'
		}
		b.WriteRune(r)
	}
	return cmp.Or(b.String(), "failed")
}
