package probes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/probes/check"
)

type report struct {
	at       time.Time
	endpoint string
	verdict  policy.Verdict
}

// A recorder is a Sink that keeps what it is told.
type recorder struct {
	mu      sync.Mutex
	reports []report
}

func (r *recorder) Observe(endpoint string, o Observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports = append(r.reports, report{time.Now(), endpoint, o.Verdict})
}

// of returns the verdicts on endpoint, e.g. "up/15".
func (r *recorder) of(endpoint string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, rep := range r.reports {
		if rep.endpoint == endpoint {
			out = append(out, show(rep.verdict))
		}
	}
	return out
}

// firstTime returns when endpoint was first reported to be in state at or after t.
func (r *recorder) firstTime(endpoint string, s policy.State, t time.Time) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rep := range r.reports {
		if rep.endpoint == endpoint && rep.verdict.State == s && !rep.at.Before(t) {
			return rep.at, true
		}
	}
	return time.Time{}, false
}

type checkerFunc func(context.Context) error

func (f checkerFunc) Check(ctx context.Context) error { return f(ctx) }

// A lab is a Prober whose checks call a function of the test.
type lab struct {
	*Prober
	sink recorder
	stop func()

	mu       sync.Mutex
	starts   map[string][]time.Time // of checks, by endpoint
	inFlight map[Target]int
	most     int      // checks at the same time
	doubled  []string // targets with two checks at the same time
}

var errRefused = errors.New("connect: connection refused")

// newLab returns a lab that is not running; check is called with the name of the endpoint.
func newLab(o Options, check1 func(ctx context.Context, endpoint string) error) *lab {
	l := &lab{starts: make(map[string][]time.Time), inFlight: make(map[Target]int)}
	o.Sink = &l.sink
	l.Prober = New(o)
	l.spread = 0 // the first target's second check comes after 0.38 intervals
	l.build = func(t Target) check.Checker {
		return checkerFunc(func(ctx context.Context) error {
			l.enter(t)
			defer l.leave(t)
			return check1(ctx, t.Endpoint)
		})
	}
	return l
}

func (l *lab) enter(t Target) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.starts[t.Endpoint] = append(l.starts[t.Endpoint], time.Now())
	l.inFlight[t]++
	if l.inFlight[t] > 1 {
		l.doubled = append(l.doubled, t.Endpoint)
	}
	sum := 0
	for _, n := range l.inFlight {
		sum += n
	}
	l.most = max(l.most, sum)
}

func (l *lab) leave(t Target) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inFlight[t]--; l.inFlight[t] == 0 {
		delete(l.inFlight, t)
	}
}

// run starts the prober; stop ends it and waits for its end.
func (l *lab) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if len(l.doubled) > 0 {
			t.Errorf("two checks at the same time of %v", l.doubled)
		}
	})
	synctest.Wait()
}

// startsOf returns when the checks of endpoint began.
func (l *lab) startsOf(endpoint string) []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.starts[endpoint])
}

// many returns n targets named web/0, web/1, …
func many(n int, c Check) []Target {
	targets := make([]Target, n)
	for i := range targets {
		targets[i] = Target{
			Endpoint: fmt.Sprintf("web/%d", i),
			Addr:     netip.AddrFrom4([4]byte{192, 0, byte(2 + i/250), byte(1 + i%250)}),
			Port:     80,
			Check:    c,
		}
	}
	return targets
}

// usual is a check with the default pace: every 5 s, at most 2 s, rise 2, fall 3.
var usual = Check{Kind: TCP}

func succeed(context.Context, string) error { return nil }

// hang is an endpoint that takes connections and never answers.
func hang(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

func take(d time.Duration) func(context.Context, string) error {
	return func(ctx context.Context, _ string) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return nil
		}
	}
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
