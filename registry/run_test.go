package registry

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// start runs a Registry in a synctest bubble; stop ends it and returns Run's error.
func start(t *testing.T, r *Registry) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func TestOverridesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		r := applied(t, Options{Store: store})
		stop := start(t, r)
		timed := func(x Target, s policy.State, d time.Duration) {
			t.Helper()
			must(t, r.Force(Override{Target: x, State: s, Until: time.Now().Add(d)}))
		}
		timed(siteUS, policy.Drained, time.Hour)
		timed(siteEU, policy.Drained, time.Minute)
		must(t, r.Force(Override{Target: endpoint, State: policy.Down}))
		time.Sleep(time.Minute - time.Nanosecond)
		synctest.Wait()
		if got := state(t, r, "web/a"); got != policy.Drained {
			t.Errorf("just before the end: %v", got)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got := state(t, r, "web/a"); got != policy.Down {
			t.Errorf("at the end: %v", got)
		}
		time.Sleep(saveEvery)
		synctest.Wait()
		if store.stored(siteEU) || !store.stored(siteUS) || !store.stored(endpoint) {
			t.Errorf("stored: %v", store.overrides)
		}
		timed(siteUS, policy.Drained, 10*time.Minute) // sooner than before
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := state(t, r, "web/b"); got != policy.Unknown {
			t.Errorf("shortened: %v", got)
		}
		timed(siteUS, policy.Drained, time.Minute)
		timed(siteUS, policy.Drained, time.Hour) // later than before
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if got := state(t, r, "web/b"); got != policy.Drained || !store.stored(siteUS) {
			t.Errorf("prolonged: %v", got)
		}
		time.Sleep(long)
		synctest.Wait()
		if got := r.Overrides(); len(got) != 1 || got[0].Target != endpoint {
			t.Errorf("in the end: %v", got)
		}
		must(t, stop())
	})
}

// TestExpiryDoesNotWaitForTheStore: a drain ends on time while the disk hangs; and one set anew meanwhile is not deleted by mistake.
func TestExpiryDoesNotWaitForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hang := newMemory(), make(chan struct{})
		r := applied(t, Options{Store: store})
		stop := start(t, r)
		must(t, r.Force(Override{Target: siteEU, State: policy.Drained, Until: time.Now().Add(time.Second)}))
		must(t, r.Force(Override{Target: siteUS, State: policy.Drained, Until: time.Now().Add(2 * time.Second)}))
		store.set(nil, hang)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if a, b := state(t, r, "web/a"), state(t, r, "web/b"); a != policy.Unknown || b != policy.Unknown {
			t.Errorf("states %v, %v", a, b)
		}
		close(hang)
		store.set(nil, nil)
		must(t, r.Force(drain(siteUS)))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if store.stored(siteEU) || !store.stored(siteUS) || state(t, r, "web/b") != policy.Drained {
			t.Errorf("stored: %v, b %v", store.overrides, state(t, r, "web/b"))
		}
		must(t, stop())
	})
}

func TestHealthIsSavedAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		r := applied(t, Options{Store: store})
		stop := start(t, r)
		begin := time.Now().UTC().Round(0)
		r.Report("web/a", policy.Verdict{State: policy.Down, TTL: 9})
		synctest.Wait()
		want := []SavedHealth{{"web/a", policy.Down, begin}}
		if got, saves := store.saved(); saves != 1 || !reflect.DeepEqual(got, want) {
			t.Errorf("%d saves, %v", saves, got)
		}
		for i := range 1000 { // a flapping endpoint, for ten seconds
			r.Report("web/b", policy.Verdict{State: policy.Up + policy.State(i%2)})
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if _, saves := store.saved(); saves < 9 || saves > 12 {
			t.Errorf("%d saves in ten seconds", saves)
		}
		time.Sleep(time.Minute)
		_, before := store.saved()
		for i := range uint32(100) { // the TTL alone is not worth a write
			r.Report("web/b", policy.Verdict{State: policy.Down, TTL: i + 1})
			time.Sleep(time.Second)
		}
		must(t, r.Force(drain(siteUS)))
		time.Sleep(time.Minute)
		if _, saves := store.saved(); saves != before {
			t.Errorf("%d saves without a change of state", saves-before)
		}
		r.Report("web/b", up)
		r.Report("web/a", policy.Verdict{})
		must(t, stop())
		if got, _ := store.saved(); len(got) != 1 || got[0].Endpoint != "web/b" || got[0].State != policy.Up {
			t.Errorf("saved at the end: %v", got)
		}
	})
}

// TestFailingStore: serving goes on, errors are counted and logged once, and what was not saved is saved when the store is back.
func TestFailingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l log
		store, full := newMemory(), errors.New("disk full")
		r := applied(t, Options{Store: store, Log: l.logger()})
		must(t, r.Force(Override{Target: siteUS, State: policy.Drained, Until: time.Now().Add(5 * time.Second)}))
		stop := start(t, r)
		store.set(full, nil)
		r.Report("web/a", down)
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if a, b := state(t, r, "web/a"), state(t, r, "web/b"); a != policy.Down || b != policy.Unknown {
			t.Errorf("states %v, %v", a, b)
		}
		if n := gather(t, r)["meridian_state_save_errors_total"]; n < 10 {
			t.Errorf("%v errors in ten seconds", n)
		}
		if lines := l.take("not saved"); len(lines) != 1 {
			t.Errorf("log: %q", lines)
		}
		store.set(nil, nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got, _ := store.saved(); len(got) != 1 || store.stored(siteUS) {
			t.Errorf("saved %v, override stored %v", got, store.stored(siteUS))
		}
		if lines := l.take("saved again"); len(lines) != 1 {
			t.Errorf("log: %q", lines)
		}
		store.set(full, nil)
		r.Report("web/a", up)
		if err := stop(); !errors.Is(err, full) {
			t.Errorf("Run ends with %v", err)
		}
	})
}

func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		first := applied(t, Options{Store: store})
		stop := start(t, first)
		begin := time.Now()
		first.Publish("embedded", catalog("api", ep("x", "eu")))
		first.Report("web/a", policy.Verdict{State: policy.Down, TTL: 9})
		first.Report("api/x", down)
		must(t, first.Force(drain(siteUS)))
		must(t, first.Force(Override{Target: service, State: policy.Down, Until: begin.Add(time.Minute)}))
		must(t, first.Force(Override{Target: endpoint, State: policy.Up, Until: begin.Add(time.Hour)}))
		must(t, stop())

		time.Sleep(10 * time.Minute)
		r := New(Options{Store: store})
		must(t, r.Restore())
		if v, ok := r.Probed("api/x"); !ok || v != down {
			t.Errorf("before any Apply: %+v, %v", v, ok)
		}
		stop = start(t, r)
		r.Apply(mustCompile(t, definition()))
		if got := verdict(t, r, "web/b"); got != (policy.Verdict{State: policy.Drained, Forced: true}) {
			t.Errorf("b: %+v", got)
		}
		if got := verdict(t, r, "web/a"); got != (policy.Verdict{State: policy.Up, Forced: true, TTL: 2048}) { // of the 50 min left
			t.Errorf("a: %+v", got)
		}
		if d, _ := r.Detail("web/a"); d.Probed != policy.Down || !d.ProbedSince.Equal(begin) {
			t.Errorf("a: %+v", d)
		}
		r.Publish("embedded", catalog("api", ep("x", "eu"))) // comes later, as sources do
		if got := verdict(t, r, "api/x"); got != down {
			t.Errorf("x: %+v, want down without a TTL", got)
		}
		synctest.Wait()
		if store.stored(service) {
			t.Error("an override that ended while nobody ran is still stored")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := verdict(t, r, "web/a"); got != down {
			t.Errorf("after the override's end: %+v", got)
		}
		must(t, stop())
	})
}

func TestRestoreFails(t *testing.T) {
	store, broken := newMemory(), errors.New("broken")
	store.set(broken, nil)
	r := New(Options{Store: store})
	if err := r.Restore(); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if len(r.Overrides()) != 0 {
		t.Error("something was restored")
	}
}

// TestForcedAnswersDoNotOutliveTheOverride: at every moment of it an answer may be kept until its end and no longer, a second at least,
// and that takes a few Snapshots only.
func TestForcedAnswersDoNotOutliveTheOverride(t *testing.T) {
	for _, s := range []policy.State{policy.Up, policy.Down} {
		synctest.Test(t, func(t *testing.T) {
			r := applied(t, Options{})
			stop := start(t, r)
			const lasts = time.Hour + 123*time.Millisecond
			end := time.Now().Add(lasts)
			must(t, r.Force(Override{Target: endpoint, State: s, Until: end}))
			must(t, r.Force(Override{Target: siteUS, State: policy.Drained, Until: end}))
			gen := r.Snapshot().Gen
			for left := lasts; left > 0; left = time.Until(end) {
				synctest.Wait()
				v := verdict(t, r, "web/a")
				kept := time.Duration(v.TTL) * time.Second
				if v.State != s || kept < time.Second || kept > max(left, time.Second) || kept < left/2-time.Second {
					t.Fatalf("%v before the end: %+v", left, v)
				}
				if v := verdict(t, r, "web/b"); v != (policy.Verdict{State: policy.Drained, Forced: true}) {
					t.Fatalf("drained: %+v", v)
				}
				time.Sleep(min(237*time.Millisecond, left))
			}
			synctest.Wait()
			if v := verdict(t, r, "web/a"); v != (policy.Verdict{}) {
				t.Errorf("after the end: %+v", v)
			}
			if n := r.Snapshot().Gen - gen; n > 14 { // 2048 s, 1024 s … 1 s, and the two ends
				t.Errorf("%d snapshots", n)
			}
			must(t, stop())
		})
	}
}

func TestBoundOfAnOverride(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		state policy.State
		left  time.Duration
		ttl   uint32
		next  time.Duration // left when it changes; 0: it does not
	}{
		{policy.Up, time.Nanosecond, 1, 0},
		{policy.Up, time.Second, 1, 0},
		{policy.Up, 2 * time.Second, 1, 0},
		{policy.Down, 2*time.Second + 1, 2, 2 * time.Second},
		{policy.Up, 3 * time.Second, 2, 2 * time.Second},
		{policy.Up, 4 * time.Second, 2, 2 * time.Second},
		{policy.Up, 4*time.Second + 1, 4, 4 * time.Second},
		{policy.Down, time.Hour, 2048, 2048 * time.Second},
		{policy.Up, 1<<63 - 1, 1 << 30, 1 << 30 * time.Second},
		{policy.Drained, time.Hour, 0, 0},
	} {
		s := Override{State: tc.state, Until: now.Add(tc.left)}.standing(now)
		ttl, at := s.bound(now)
		next := time.Duration(0)
		if !at.IsZero() {
			next = s.deadline.Sub(at)
		}
		if ttl != tc.ttl || s.ttl != ttl || next != tc.next {
			t.Errorf("%v, %v left: %d s, at once %d s, changes with %v left; want %d s, %v", tc.state, tc.left, ttl, s.ttl, next, tc.ttl, tc.next)
		}
	}
	if ttl, at := (Override{State: policy.Up}).standing(now).bound(now); ttl != 0 || !at.IsZero() {
		t.Errorf("without an end: %d s, changes %v", ttl, at)
	}
}

// TestRunEndsThoughTheStoreHangs: a disk that never answers must not keep the process from ending.
func TestRunEndsThoughTheStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hang := newMemory(), make(chan struct{})
		defer close(hang)
		r := applied(t, Options{Store: store})
		stop := start(t, r)
		synctest.Wait()
		store.set(nil, hang)
		r.Report("web/a", down)
		synctest.Wait() // the save hangs
		r.Report("web/a", up)
		begin := time.Now()
		if err := stop(); !errors.Is(err, ErrStore) {
			t.Errorf("Run ends with %v", err)
		}
		if took := time.Since(begin); took > lastSave {
			t.Errorf("Run ends after %v", took)
		}
	})
}

// TestStandingKeepsTheMonotonicClock: overrides last as long as they were set for, whatever the wall clock does meanwhile.
func TestStandingKeepsTheMonotonicClock(t *testing.T) {
	now := time.Now()
	o := Override{Until: now.Add(time.Hour).Round(0)}.standing(now)
	if o.deadline.Sub(now) != o.Until.Sub(now.Round(0)) || o.deadline == o.deadline.Round(0) {
		t.Errorf("deadline %v has no monotonic reading", o.deadline)
	}
	if s := (Override{}).standing(now); !s.deadline.IsZero() {
		t.Errorf("deadline %v of an override without end", s.deadline)
	}
}
