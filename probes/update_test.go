package probes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/probes/check"
)

// want compares the verdicts reported on endpoint so far.
func (l *lab) want(t *testing.T, endpoint string, verdicts ...string) {
	t.Helper()
	if got := l.sink.of(endpoint); !slices.Equal(got, verdicts) {
		t.Errorf("%s: reported %v, want %v", endpoint, got, verdicts)
	}
}

// A script is a checker whose results the test gives, one for each check; after the last it repeats it.
type script struct {
	results string // '+' success, '-' failure, '!' panic
	next    atomic.Int64
}

func (s *script) check(context.Context, string) error {
	i := min(int(s.next.Add(1)), len(s.results)) - 1
	switch s.results[i] {
	case '+':
		return nil
	case '!':
		panic("out of order")
	}
	return errRefused
}

func TestEveryResultIsReportedWithItsTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{results: "++-+---++"}
		l := newLab(Options{}, s.check)
		l.Update(many(1, usual))
		l.run(t)
		for s.next.Load() < 9 {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		l.stop()
		l.want(t, "web/0", "up/10", "up/10", "up/5", "up/10", "up/5", "up/1", "down/5", "down/1", "up/10")
	})
}

func TestSavedState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{results: "---"}
		l := newLab(Options{Seed: func(endpoint string) policy.State {
			if endpoint != "web/0" {
				t.Errorf("asked for the state of %q", endpoint)
			}
			return policy.Up
		}}, s.check)
		l.Update(many(1, usual))
		l.run(t)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		l.stop()
		l.want(t, "web/0", "up/10", "up/5", "up/1", "down/5") // the first is what was saved
	})
}

func TestUpdateKeepsHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{results: "+--------"}
		l := newLab(Options{}, s.check)
		l.Update(many(1, usual))
		l.run(t)
		defer l.stop()
		// A thousand reloads that change nothing neither hasten nor delay a check.
		for range 1000 {
			time.Sleep(16 * time.Millisecond)
			explicit := many(1, usual.WithDefaults())
			l.Update(explicit)
		}
		synctest.Wait()
		if got := len(l.startsOf("web/0")); got < 4 || got > 5 {
			t.Errorf("%d checks in 16 s", got)
		}
		if got := l.sink.of("web/0")[:4]; !slices.Equal(got, []string{"up/10", "up/5", "up/1", "down/5"}) {
			t.Errorf("history was lost: %v", got)
		}
	})
}

func TestUpdateOfThePaceKeepsTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{results: "+---"}
		l := newLab(Options{}, s.check)
		l.Update(many(1, Check{Kind: TCP, Interval: time.Hour, Fall: 2}))
		l.run(t)
		defer l.stop()
		l.Update(many(1, Check{Kind: TCP, Interval: 10 * time.Second, Fall: 3}))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		l.want(t, "web/0", "up/3600", "up/20", "up/10", "up/1", "down/10") // the second by the new pace alone
		if gap := l.startsOf("web/0")[1].Sub(l.startsOf("web/0")[0]); gap > 10*time.Second {
			t.Errorf("the shorter interval took effect after %s", gap)
		}
	})
}

func TestUpdateOfTheQuestionStartsAnew(t *testing.T) {
	changes := map[string]func(*Target){
		"address": func(t *Target) { t.Addr = netip.MustParseAddr("192.0.2.99") },
		"port":    func(t *Target) { t.Port = 8080 },
		"check":   func(t *Target) { t.Check = Check{Kind: HTTP, Path: "/ready"} },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{results: "+-"}
				l := newLab(Options{Seed: func(string) policy.State { return policy.Up }}, s.check)
				targets := many(1, usual)
				l.Update(targets)
				l.run(t)
				defer l.stop()
				change(&targets[0])
				l.Update(targets)
				synctest.Wait()
				l.want(t, "web/0", "up/10", "up/10", "up/1", "down/5") // at once, by the first result
			})
		})
	}
}

func TestUpdateAddsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(Options{}, succeed)
		l.run(t)
		defer l.stop()
		time.Sleep(time.Hour)
		l.Update(many(3, usual))
		synctest.Wait()
		for i := range 3 {
			l.want(t, fmt.Sprintf("web/%d", i), "up/10")
		}
	})
}

func TestUpdateRemoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(Options{Concurrency: 1}, take(time.Second))
		l.Update(many(3, usual))
		l.run(t)
		defer l.stop()
		time.Sleep(1500 * time.Millisecond) // 0 is done, 1 runs, 2 waits
		l.Update(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := l.sink.of("web/0"); !slices.Equal(got, []string{"up/10", "?/0"}) {
			t.Errorf("reported %v, want the verdict and that it is forgotten", got)
		}
		for _, endpoint := range []string{"web/1", "web/2"} {
			if got := l.sink.of(endpoint); !slices.Equal(got, []string{"?/0"}) {
				t.Errorf("%s: reported %v after its removal", endpoint, got)
			}
		}
		if got := len(l.startsOf("web/2")); got != 0 {
			t.Errorf("%d checks of a target that was removed while it waited", got)
		}
		if got := l.Status(); len(got) != 0 {
			t.Errorf("removed targets have a status: %v", got)
		}
		if _, ok := l.StatusOf("web/0"); ok {
			t.Error("a removed target has a status")
		}
		if !closed(l.FirstRound()) {
			t.Error("the first round waits for removed targets")
		}
	})
}

func TestUpdateOfManyLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(Options{Concurrency: 8}, take(time.Second))
		l.run(t)
		defer l.stop()
		for i := range 200 {
			targets := many(50, usual)
			for k := range targets {
				targets[k].Port = uint16(1000 + i) // all start anew
			}
			l.Update(targets)
			time.Sleep(10 * time.Millisecond)
		}
		l.Prober.mu.Lock()
		if len(l.schedule) != 50 || len(l.probes) != 50 || len(l.ready.items) > 60 {
			t.Errorf("%d scheduled, %d probes, %d waiting for 50 targets", len(l.schedule), len(l.probes), len(l.ready.items))
		}
		l.Prober.mu.Unlock()
		time.Sleep(time.Minute)
		l.Update(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		l.Prober.mu.Lock()
		defer l.Prober.mu.Unlock()
		if l.workers != 0 || len(l.schedule) != 0 || len(l.ready.items) != l.ready.head {
			t.Errorf("%d workers, %d scheduled, %d waiting without targets", l.workers, len(l.schedule), len(l.ready.items))
		}
	})
}

func TestUpdateWithOneNameTwice(t *testing.T) {
	p := New(Options{Sink: &recorder{}})
	targets := many(1, usual)
	targets = append(targets, targets[0])
	targets[1].Port = 81
	p.Update(targets)
	if s, _ := p.StatusOf("web/0"); s.Addr.Port() != 81 || len(p.Status()) != 1 {
		t.Errorf("got %+v, want the last one", p.Status())
	}
}

func TestPanicCostsOneResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		s := &script{results: "+!!-!+!"}
		l := newLab(Options{Log: slog.New(slog.NewTextHandler(&logged, nil))}, s.check)
		l.Update(many(1, usual))
		l.run(t)
		for s.next.Load() < 7 {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		status, _ := l.StatusOf("web/0")
		l.stop()
		l.want(t, "web/0", "up/10", "up/10", "up/10", "up/5", "up/5", "up/10", "up/10")
		if got := counter(t, l.Prober, "meridian_panics_recovered_total"); got != 4 {
			t.Errorf("%v panics counted, want 4", got)
		}
		if got := strings.Count(logged.String(), "check panicked"); got != 3 {
			t.Errorf("logged %d times, want once for each row of panics:\n%s", got, &logged)
		}
		if !strings.Contains(status.Err, "out of order") {
			t.Errorf("status says %q", status.Err)
		}
	})
}

func TestTroubleOfOurOwnChangesNothing(t *testing.T) {
	noFiles := check.Local(syscall.EMFILE)
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		l := newLab(Options{}, func(context.Context, string) error {
			if broken.Load() {
				return noFiles
			}
			return nil
		})
		l.Update(many(1, usual))
		l.run(t)
		defer l.stop()
		broken.Store(true)
		time.Sleep(time.Hour)
		synctest.Wait()
		s, _ := l.StatusOf("web/0")
		if s.Verdict != (policy.Verdict{State: policy.Up, TTL: 10}) || !strings.Contains(s.Err, "too many open files") || s.Streak < 700 {
			t.Errorf("after an hour without file descriptors: %+v", s)
		}
	})
}

func TestCheckThatIgnoresItsTimeoutIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var stuck atomic.Bool
		l := newLab(Options{}, func(context.Context, string) error {
			if stuck.Load() {
				<-release
			}
			return nil
		})
		l.Update(many(1, usual))
		l.run(t)
		defer l.stop()
		stuck.Store(true)
		time.Sleep(25 * time.Second)
		synctest.Wait()
		s, _ := l.StatusOf("web/0")
		if s.Verdict.State != policy.Down || s.Err != errOverdue.Error() {
			t.Errorf("got %+v, want down", s)
		}
		reports := len(l.sink.of("web/0"))
		stuck.Store(false)
		close(release)
		synctest.Wait()
		if got := l.sink.of("web/0")[reports:]; len(got) > 1 { // the check that follows may have come at once
			t.Errorf("a result that came too late was reported: %v", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s, _ := l.StatusOf("web/0"); s.Verdict.State != policy.Up {
			t.Errorf("got %+v, want up again", s)
		}
	})
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{results: "+---"}
		l := newLab(Options{}, func(ctx context.Context, endpoint string) error {
			time.Sleep(300 * time.Millisecond)
			return s.check(ctx, endpoint)
		})
		begin := time.Now()
		targets := many(1, Check{Kind: HTTPS, Path: "/healthz"})
		targets[0].Port = 0
		l.Update(targets)
		if got, want := l.Status()[0], (Status{
			Endpoint: "web/0", Addr: netip.MustParseAddrPort("192.0.2.1:443"), Check: targets[0].Check.WithDefaults(),
		}); got != want {
			t.Errorf("before the first check:\n got %+v\nwant %+v", got, want)
		}
		l.run(t)
		time.Sleep(time.Second)
		synctest.Wait()
		got, _ := l.StatusOf("web/0")
		if got.Since.Sub(begin) != 300*time.Millisecond || !got.Checked.Equal(got.Since) || got.Latency != 300*time.Millisecond ||
			got.Err != "" || got.Streak != 1 || got.Verdict.State != policy.Up {
			t.Errorf("after the first check: %+v", got)
		}
		for s.next.Load() < 4 {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		got, _ = l.StatusOf("web/0")
		l.stop()
		starts := l.startsOf("web/0")
		if !got.Since.Equal(starts[3].Add(300*time.Millisecond)) || got.Err != errRefused.Error() || got.Streak != 3 ||
			got.Verdict != (policy.Verdict{State: policy.Down, TTL: 5}) {
			t.Errorf("after three failures: %+v", got)
		}
	})
}

func TestStatusIsOrdered(t *testing.T) {
	p := New(Options{Sink: &recorder{}})
	p.Update(many(50, usual))
	if !slices.IsSortedFunc(p.Status(), func(a, b Status) int { return strings.Compare(a.Endpoint, b.Endpoint) }) {
		t.Error("not ordered by endpoint")
	}
}

func TestOneLine(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errRefused, "connect: connection refused"},
		{errors.New(""), "failed"},
		{errors.New("a\nb\x1b[31m\xff"), "a.b.[31m\uFFFD"},
		{errors.New(strings.Repeat("ü", 200)), strings.Repeat("ü", 200)},
		{errors.New(strings.Repeat("ü", 201)), strings.Repeat("ü", 200) + "…"},
	} {
		if got := oneLine(tc.err); got != tc.want {
			t.Errorf("%v: got %q, want %q", tc.err, got, tc.want)
		}
	}
}
