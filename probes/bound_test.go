package probes

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// TestNoAnswerOutlivesTheBound: whenever an answer is given, it has expired interval × fall + timeout + 1 s after its endpoint
// stopped, and interval × rise + timeout + 1 s after it works again. Of the moments between two reports the last counts most: the
// verdict is still the old one, and so is the TTL.
func TestNoAnswerOutlivesTheBound(t *testing.T) {
	dice := rand.New(rand.NewPCG(7, 11))
	for trial := range 400 {
		c := Check{Kind: TCP, Rise: 1 + dice.IntN(5), Fall: 1 + dice.IntN(5)}
		c.Interval = MinInterval + time.Duration(dice.Int64N(int64(20*time.Second)))
		if dice.IntN(3) == 0 {
			c.Interval = c.Interval.Round(time.Second) + time.Second
		}
		c.Timeout = MinTimeout + time.Duration(dice.Int64N(int64(c.Interval-MinTimeout)))
		goes := trial%2 == 0
		synctest.Test(t, func(t *testing.T) { answersExpire(t, dice, c, goes) })
	}
}

// answersExpire has one endpoint stop, or begin, to work at a random moment.
func answersExpire(t *testing.T, dice *rand.Rand, c Check, stops bool) {
	var works atomic.Bool
	works.Store(stops)
	hangs, slow := dice.IntN(2) == 0, time.Duration(dice.Int64N(int64(c.Timeout)))
	saved := policy.State(dice.IntN(3))
	l := newLab(Options{Seed: func(string) policy.State { return saved }}, func(ctx context.Context, endpoint string) error {
		switch {
		case works.Load():
			return take(slow)(ctx, endpoint)
		case hangs:
			return hang(ctx, endpoint)
		}
		return errRefused
	})
	l.Update(many(1, c))
	l.run(t)
	defer l.stop()
	time.Sleep(time.Duration(dice.Int64N(int64(8 * c.Interval))))
	works.Store(!stops)
	change, state, needed := time.Now(), policy.Up, c.Fall
	if !stops {
		state, needed = policy.Down, c.Rise
	}
	last := change.Add(c.Interval*time.Duration(needed) + c.Timeout + time.Second)
	time.Sleep(2 * last.Sub(change))
	synctest.Wait()
	for i, r := range l.sink.reports[1:] {
		inForce := l.sink.reports[i].verdict // until r
		if inForce.State == policy.Unknown || inForce.TTL == 0 {
			t.Fatalf("%+v: no bound: %+v", c, inForce)
		}
		expires := r.at.Add(time.Duration(inForce.TTL) * time.Second)
		if inForce.State == state && r.at.After(change) && expires.After(last) {
			t.Fatalf("%+v: %s until %s after the change, kept until %s after it; at most %s", c, show(inForce), r.at.Sub(change),
				expires.Sub(change), last.Sub(change))
		}
	}
	if final := l.sink.reports[len(l.sink.reports)-1].verdict.State; final == state {
		t.Fatalf("%+v: still %v", c, final)
	}
}

// TestSavedStateIsReportedAtOnce: an answer given before the first check ends must not live longer than the verdict allows.
func TestSavedStateIsReportedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(Options{Seed: func(endpoint string) policy.State {
			return map[string]policy.State{"web/0": policy.Up, "web/1": policy.Down, "web/2": policy.Drained}[endpoint]
		}}, hang)
		l.Update(many(4, usual))
		for i, want := range []string{"up/10", "down/5", "", ""} {
			got := l.sink.of(fmt.Sprintf("web/%d", i))
			if len(got) != min(len(want), 1) || len(got) == 1 && got[0] != want {
				t.Errorf("web/%d: reported %v before any check, want %q", i, got, want)
			}
		}
		l.Update(many(4, usual)) // nothing is new
		if n := len(l.sink.reports); n != 2 {
			t.Errorf("%d reports, want none for what was known", n)
		}
	})
}

// TestNewQuestionBoundsTheTTL: the first result of a new question may flip the state, so until then the old state is good for a second.
func TestNewQuestionBoundsTheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{results: "+-"}
		l := newLab(Options{}, s.check)
		targets := many(2, usual)
		l.Update(targets[:1])
		l.run(t)
		defer l.stop()
		l.Update(targets) // the second is not checked before its question changes too
		for i := range targets {
			targets[i].Port = 8080
		}
		l.Update(targets)
		synctest.Wait()
		if got := l.sink.of("web/0"); len(got) != 3 || got[0] != "up/10" || got[1] != "up/1" {
			t.Errorf("reported %v", got)
		}
	})
}
