package probes

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-gslb/meridian/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFirstRoundIsAtOnceAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(Options{Concurrency: 10}, take(time.Second))
		l.Update(many(100, Check{Kind: TCP, Interval: time.Minute}))
		begin := time.Now()
		l.run(t)
		defer l.stop()
		if closed(l.FirstRound()) {
			t.Fatal("the first round is over before it began")
		}
		<-l.FirstRound()
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("100 checks of 1 s, 10 at a time, took %s", took)
		}
		l.stop()
		if l.most != 10 {
			t.Errorf("%d checks at the same time, want 10", l.most)
		}
	})
}

func TestFirstRoundOfHangingEndpointsTakesOneTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(Options{}, hang)
		l.Update(many(200, usual))
		begin := time.Now()
		l.run(t)
		defer l.stop()
		<-l.FirstRound()
		if took := time.Since(begin); took != DefaultTimeout {
			t.Errorf("took %s, want %s", took, DefaultTimeout)
		}
		for _, s := range l.Status() {
			if s.Verdict.State != policy.Down || s.Err != "context deadline exceeded after 2s" {
				t.Fatalf("%+v: want down for the timeout", s)
			}
		}
	})
}

func TestFirstRoundWaitsOnlyForTheUnknown(t *testing.T) {
	saved := func(endpoint string) policy.State {
		return map[string]policy.State{"web/0": policy.Up, "web/1": policy.Down}[endpoint]
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLab(Options{}, hang)
		l.run(t)
		defer l.stop()
		if !closed(l.FirstRound()) {
			t.Error("without targets there is nothing to wait for")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := newLab(Options{Seed: saved}, hang)
		l.Update(many(2, usual))
		l.run(t)
		defer l.stop()
		if !closed(l.FirstRound()) {
			t.Error("the first round waits for targets with a saved state")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := newLab(Options{Seed: saved}, hang)
		l.Update(many(4, usual)) // 2 and 3 are not known
		l.run(t)
		defer l.stop()
		moved := many(3, usual)
		moved[2].Addr = netip.MustParseAddr("192.0.2.200")
		l.Update(moved) // 3 is gone, 2 starts anew
		if closed(l.FirstRound()) {
			t.Error("the first round did not wait for a target with a new address")
		}
		l.Update(moved[:2])
		if !closed(l.FirstRound()) {
			t.Error("the first round waits for targets that are gone")
		}
	})
}

func TestFirstRoundStaysOpenIfRunEndsBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(Options{}, hang)
		l.Update(many(3, usual))
		l.run(t)
		l.stop()
		if closed(l.FirstRound()) {
			t.Error("nothing is known, yet the first round is over")
		}
		if len(l.sink.reports) != 0 {
			t.Errorf("checks that ended with Run were reported: %v", l.sink.reports)
		}
	})
}

func TestLaterRoundsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, interval = 200, 10 * time.Second
		l := newLab(Options{}, succeed)
		l.Update(many(n, Check{Kind: TCP, Interval: interval}))
		begin := time.Now()
		l.run(t)
		time.Sleep(interval)
		synctest.Wait()
		l.stop()
		var tenths [10]int
		for i := range n {
			starts := l.startsOf(fmt.Sprintf("web/%d", i))
			if !starts[0].Equal(begin) {
				t.Fatalf("the first check of %d came %s after the start", i, starts[0].Sub(begin))
			}
			if len(starts) < 2 {
				t.Fatalf("no second check of %d within the interval", i)
			}
			second := starts[1].Sub(begin)
			tenths[min(9, int(second*10/interval))]++
		}
		for i, count := range tenths {
			if count < n/10-2 || count > n/10+2 {
				t.Errorf("%d of %d second checks in tenth %d of the interval: %v", count, n, i, tenths)
			}
		}
	})
}

func TestIntervalAndJitter(t *testing.T) {
	for name, check1 := range map[string]func(context.Context, string) error{
		"quick": succeed, "slow": take(1900 * time.Millisecond), "hanging": hang,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n, rounds, interval = 20, 200, 5 * time.Second
				l := newLab(Options{}, check1)
				l.Update(many(n, usual))
				l.run(t)
				time.Sleep(rounds * interval)
				l.stop()
				var least, most, sum time.Duration
				count, least := 0, time.Hour
				for i := range n {
					starts := l.startsOf(fmt.Sprintf("web/%d", i))
					for k := 3; k < len(starts); k++ { // the first gap spreads the probes, the next may still make up for it
						gap := starts[k].Sub(starts[k-1])
						least, most, sum, count = min(least, gap), max(most, gap), sum+gap, count+1
					}
				}
				if least < interval*9/10 || most > interval {
					t.Errorf("gaps from %s to %s, want them within the last tenth of %s", least, most, interval)
				}
				if least > interval*91/100 || most < interval*99/100 {
					t.Errorf("gaps from %s to %s do not use the jitter allowed", least, most)
				}
				if mean := sum / time.Duration(count); mean < interval*94/100 || mean > interval*96/100 {
					t.Errorf("mean gap %s, want about 95 %% of %s whatever a check takes", mean, interval)
				}
			})
		})
	}
}

func TestOverloadSkipsInsteadOfPilingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 30 // each takes 1 s, 2 at a time: 15 s for what is asked every 5 s
		l := newLab(Options{Concurrency: 2}, take(time.Second))
		l.Update(many(n, usual))
		l.run(t)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		l.Prober.mu.Lock()
		waiting := len(l.ready.items) - l.ready.head
		l.Prober.mu.Unlock()
		l.stop()
		if waiting > n {
			t.Errorf("%d checks wait for %d targets", waiting, n)
		}
		if l.most != 2 {
			t.Errorf("%d checks at the same time, want 2", l.most)
		}
		if got := counter(t, l.Prober, "meridian_probe_skipped_total"); got < 20*n {
			t.Errorf("%v slots counted as skipped, want two of three", got)
		}
		for i := range n { // nobody starves: 300 s / 15 s
			if got := len(l.startsOf(fmt.Sprintf("web/%d", i))); got < 15 || got > 22 {
				t.Errorf("%d checks of target %d, want about 20", got, i)
			}
		}
	})
}

func TestSleepOfTheMachineIsNotMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(Options{}, succeed)
		l.Update(many(10, usual))
		l.run(t)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		l.Prober.mu.Lock()
		l.epoch = l.epoch.Add(-time.Hour) // the schedule's clock jumps
		l.Prober.mu.Unlock()
		before := len(l.startsOf("web/3"))
		time.Sleep(10 * time.Second)
		l.stop()
		if got := len(l.startsOf("web/3")) - before; got < 2 || got > 4 {
			t.Errorf("%d checks in the 10 s after an hour of sleep, want 2 to 4", got)
		}
	})
}

func TestDownIsDetectedInTime(t *testing.T) {
	for _, c := range []Check{
		usual,
		{Kind: TCP, Interval: 10 * time.Second, Timeout: 10 * time.Second, Fall: 1},
		{Kind: TCP, Interval: 3 * time.Second, Timeout: 3 * time.Second, Fall: 4},
		{Kind: TCP, Interval: time.Second, Timeout: 500 * time.Millisecond, Fall: 5},
	} {
		c := c.WithDefaults()
		bound := c.Interval*time.Duration(c.Fall) + c.Timeout
		for name, broken := range map[string]func(context.Context, string) error{
			"refusing": func(context.Context, string) error { return errRefused },
			"hanging":  hang,
		} {
			t.Run(fmt.Sprintf("%s/fall %d in %s", name, c.Fall, bound), func(t *testing.T) {
				var latest time.Duration
				for trial := range 100 {
					synctest.Test(t, func(t *testing.T) {
						var mu sync.Mutex
						works := true
						l := newLab(Options{}, func(ctx context.Context, endpoint string) error {
							mu.Lock()
							ok := works
							mu.Unlock()
							if ok {
								return nil
							}
							return broken(ctx, endpoint)
						})
						l.Update(many(3, c))
						l.run(t)
						defer l.stop()
						time.Sleep(3*c.Interval + time.Duration(trial)*c.Interval/100)
						mu.Lock()
						works = false
						mu.Unlock()
						stopped := time.Now()
						time.Sleep(bound)
						synctest.Wait()
						for i := range 3 {
							at, ok := l.sink.firstTime(fmt.Sprintf("web/%d", i), policy.Down, stopped)
							if !ok {
								t.Fatalf("trial %d: endpoint %d is not reported down %s after it stopped", trial, i, bound)
							}
							latest = max(latest, at.Sub(stopped))
						}
					})
				}
				t.Logf("latest report %s after the stop; bound %s", latest, bound)
			})
		}
	}
}

func TestConcurrencyFollowsFromTheTargets(t *testing.T) {
	for _, tc := range []struct {
		n     int
		check Check
		fixed int
		want  int
	}{
		{0, usual, 0, 256},
		{100, usual, 0, 256},
		{10_000, Check{Kind: TCP, Interval: 10 * time.Second}, 0, 2223}, // 10000 × 2 s / 9 s
		{10_000, Check{Kind: TCP, Interval: 2 * time.Second}, 0, 4096},
		{10_000, usual, 7, 7},
	} {
		p := New(Options{Sink: &recorder{}, Concurrency: tc.fixed})
		p.Update(many(tc.n, tc.check))
		if p.limit != tc.want {
			t.Errorf("%d targets every %s: %d checks at the same time, want %d", tc.n, tc.check.Interval, p.limit, tc.want)
		}
	}
}

func TestLossOfEverythingDelaysNoCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(Options{}, hang)
		l.Update(many(2000, Check{Kind: TCP, Interval: 2 * time.Second, Timeout: 2 * time.Second}))
		l.run(t)
		time.Sleep(7 * time.Second)
		l.stop()
		for i := range 2000 {
			if got := len(l.startsOf(fmt.Sprintf("web/%d", i))); got != 4 { // at 0, 2, 4 and 6 s, each taking all its time
				t.Fatalf("%d checks of target %d in 7 s, want 4", got, i)
			}
		}
		if l.most < 1900 {
			t.Errorf("%d checks at the same time", l.most)
		}
	})
}

func TestRunIsForOneCall(t *testing.T) {
	p := New(Options{Sink: &recorder{}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.Run(ctx); err == nil {
		t.Error("a second Run was not refused")
	}
}
