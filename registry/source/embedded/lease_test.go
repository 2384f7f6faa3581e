package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meridian-gslb/meridian/registry"
)

// A running Registry and what it published.
type running struct {
	*Registry
	mu       sync.Mutex
	catalogs []registry.Catalog
	stop     func()
}

// run starts a Registry inside a synctest bubble.
func run(t *testing.T, r *Registry) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	x := &running{Registry: r}
	done := make(chan error, 1)
	go func() {
		done <- r.Run(ctx, func(c registry.Catalog) {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.catalogs = append(x.catalogs, c)
		})
	}()
	x.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return x
}

// count returns how many Catalogs there were.
func (x *running) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.catalogs)
}

// published returns the endpoints of the last Catalog.
func (x *running) published() (names []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.catalogs) == 0 {
		return nil
	}
	for service, list := range x.catalogs[len(x.catalogs)-1].Services {
		for _, e := range list {
			names = append(names, service+"/"+e.Name)
		}
	}
	slices.Sort(names)
	return names
}

func leased(service, name string, ttl time.Duration) Registration {
	r := reg(service, name)
	r.TTL = Duration(ttl)
	return r
}

func TestLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		r := run(t, mustNew(t, store))
		defer r.stop()
		mustRegister(t, r.Registry, leased("web", "short", 5*time.Second))
		mustRegister(t, r.Registry, leased("web", "long", time.Minute))
		mustRegister(t, r.Registry, reg("web", "forever"))
		time.Sleep(5*time.Second - time.Millisecond)
		synctest.Wait()
		if got := r.published(); !slices.Equal(got, []string{"web/forever", "web/long", "web/short"}) {
			t.Fatalf("before the end: %v", got)
		}
		time.Sleep(publishEvery + time.Millisecond)
		synctest.Wait()
		if got := r.published(); !slices.Equal(got, []string{"web/forever", "web/long"}) {
			t.Errorf("after the end: %v", got)
		}
		if store.value("web/short") != "" {
			t.Error("it is still in the store")
		}
		if _, err := r.Heartbeat("web", "short"); !errors.Is(err, ErrNotFound) {
			t.Errorf("heartbeat: %v", err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := r.published(); !slices.Equal(got, []string{"web/forever"}) {
			t.Errorf("an hour later: %v", got)
		}
	})
}

func TestHeartbeatsKeepALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		r := run(t, mustNew(t, store))
		defer r.stop()
		mustRegister(t, r.Registry, leased("web", "beats", 5*time.Second))
		mustRegister(t, r.Registry, leased("web", "registers", 5*time.Second))
		writes := store.written()
		for range 20 {
			time.Sleep(4 * time.Second)
			got, err := r.Heartbeat("web", "beats")
			if err != nil || got.Expires != time.Now().Add(5*time.Second).UTC().Truncate(time.Millisecond) {
				t.Fatalf("%+v, %v", got, err)
			}
			mustRegister(t, r.Registry, leased("web", "registers", 5*time.Second))
		}
		if store.written() != writes {
			t.Errorf("heartbeats cost %d writes", store.written()-writes)
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if got := r.published(); len(got) != 0 {
			t.Errorf("published %v", got)
		}
	})
}

// TestLeaseIsShortenedByRegisteringAnew: the timer follows a lease that is now the first to end.
func TestLeaseIsShortenedByRegisteringAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, mustNew(t, nil))
		defer r.stop()
		mustRegister(t, r.Registry, leased("web", "a", time.Hour))
		mustRegister(t, r.Registry, leased("web", "b", time.Hour))
		time.Sleep(time.Minute)
		mustRegister(t, r.Registry, leased("web", "a", 2*time.Second))
		kept := leased("web", "b", 0)
		mustRegister(t, r.Registry, kept)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := r.published(); !slices.Equal(got, []string{"web/b"}) {
			t.Errorf("published %v", got)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := r.published(); !slices.Equal(got, []string{"web/b"}) {
			t.Errorf("published %v: b gave its lease up", got)
		}
	})
}

func TestRestartGivesLeasesTheirFullTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		first := run(t, mustNew(t, store))
		mustRegister(t, first.Registry, leased("web", "a", 10*time.Second))
		time.Sleep(9 * time.Second)
		first.stop()
		time.Sleep(time.Hour)
		again := mustNew(t, store)
		time.Sleep(time.Minute) // whatever comes between New and Run
		r := run(t, again)
		defer r.stop()
		synctest.Wait()
		if got := r.published(); !slices.Equal(got, []string{"web/a"}) {
			t.Fatalf("published %v", got)
		}
		time.Sleep(9 * time.Second)
		if _, err := r.Get("web", "a"); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		if _, err := r.Get("web", "a"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	})
}

// TestHeldUpProcessProlongsLeases: after a pause in which no heartbeat could be heard, nobody is thrown out for it.
func TestHeldUpProcessProlongsLeases(t *testing.T) {
	r := mustNew(t, nil)
	mustRegister(t, r, leased("web", "a", 5*time.Second))
	mustRegister(t, r, leased("web", "b", 30*time.Second))
	due := r.entries["web/a"].deadline
	r.expire(due, due.Add(time.Minute))
	if got := len(r.List("web")); got != 2 {
		t.Fatalf("%d left", got)
	}
	due = r.entries["web/a"].deadline
	r.expire(due, due.Add(time.Second))
	if got := r.List("web"); len(got) != 1 || got[0].Name != "b" {
		t.Errorf("left: %+v", got)
	}
}

// TestFailedDeletionOfAnEndedLease: it stays gone from memory, and the loop goes on.
func TestFailedDeletionOfAnEndedLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		r := run(t, mustNew(t, store))
		defer r.stop()
		mustRegister(t, r.Registry, leased("web", "a", time.Second))
		mustRegister(t, r.Registry, leased("web", "b", 3*time.Second))
		store.failWith(errors.New("disk full"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := r.published(); !slices.Equal(got, []string{"web/b"}) {
			t.Errorf("published %v", got)
		}
		store.failWith(nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := r.published(); len(got) != 0 {
			t.Errorf("published %v", got)
		}
	})
}

func TestCatalogsCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, mustNew(t, nil))
		defer r.stop()
		synctest.Wait()
		if n := r.count(); n != 1 {
			t.Fatalf("%d catalogs at the start", n)
		}
		for i := range 1000 {
			mustRegister(t, r.Registry, reg("web", fmt.Sprintf("e%03d", i)))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(publishEvery)
		synctest.Wait()
		if n := r.count(); n < 5 || n > 15 {
			t.Errorf("1000 registrations in a second made %d catalogs", n)
		}
		if n := len(r.published()); n != 1000 {
			t.Errorf("%d endpoints published", n)
		}
		before := r.count()
		time.Sleep(time.Hour)
		synctest.Wait()
		if r.count() != before {
			t.Error("catalogs without a change")
		}
		mustRegister(t, r.Registry, reg("web", "late"))
		synctest.Wait()
		if !slices.Contains(r.published(), "web/late") {
			t.Error("a lone change waits")
		}
	})
}

// TestAgainstAModel: random operations, pauses and restarts leave what a naive model says.
func TestAgainstAModel(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 7))
			store := newMemory()
			r := run(t, mustNew(t, store))
			ends := map[string]time.Time{} // the model: key -> end of the lease, far away without one
			ttls := map[string]time.Duration{}
			far := time.Now().Add(1000 * time.Hour)
			start := func(k string) {
				ends[k] = far
				if ttls[k] > 0 {
					ends[k] = time.Now().Add(ttls[k])
				}
			}
			for range 300 {
				service, name := string('a'+rune(dice.IntN(2))), string('x'+rune(dice.IntN(3)))
				k := key(service, name)
				switch dice.IntN(10) {
				case 0, 1, 2:
					ttls[k] = time.Duration(dice.IntN(4)) * 7 * time.Second
					mustRegister(t, r.Registry, leased(service, name, ttls[k]))
					start(k)
				case 3, 4:
					_, err := r.Heartbeat(service, name)
					if _, there := ends[k]; there != (err == nil) {
						t.Fatalf("seed %d: heartbeat of %s: %v", seed, k, err)
					}
					if err == nil {
						start(k)
					}
				case 5:
					err := r.Deregister(service, name)
					if _, there := ends[k]; there != (err == nil) {
						t.Fatalf("seed %d: deregister %s: %v", seed, k, err)
					}
					delete(ends, k)
				case 6:
					r.stop()
					r = run(t, mustNew(t, store))
					for k := range ends {
						start(k)
					}
				default:
					time.Sleep(time.Duration(dice.IntN(5000))*time.Millisecond + time.Microsecond)
				}
				synctest.Wait()
				maps.DeleteFunc(ends, func(_ string, end time.Time) bool { return !time.Now().Before(end) })
				var got []string
				for _, s := range r.Services() {
					for _, reg := range r.List(s) {
						got = append(got, reg.key())
					}
				}
				if want := slices.Sorted(maps.Keys(ends)); !slices.Equal(got, want) {
					t.Fatalf("seed %d: registered %v, want %v", seed, got, want)
				}
				if stored := store.keys(); !slices.Equal(stored, got) {
					t.Fatalf("seed %d: stored %v, registered %v", seed, stored, got)
				}
			}
			time.Sleep(2 * publishEvery)
			synctest.Wait()
			want := slices.DeleteFunc(slices.Sorted(maps.Keys(ends)), func(k string) bool { return !time.Now().Before(ends[k]) })
			if got := r.published(); !slices.Equal(got, want) {
				t.Errorf("seed %d: published %v, want %v", seed, got, want)
			}
			r.stop()
		})
	}
}

// TestConcurrentUse: many writers of few keys, heartbeats, readers and ends of leases at once; memory and store agree at the end.
func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		r := run(t, mustNew(t, store))
		var wg sync.WaitGroup
		for worker := range 16 {
			wg.Go(func() {
				dice := rand.New(rand.NewPCG(uint64(worker), 1))
				for range 200 {
					name := fmt.Sprintf("e%d", dice.IntN(5))
					switch dice.IntN(5) {
					case 0, 1:
						mustRegister(t, r.Registry, leased("web", name, time.Duration(1+dice.IntN(3))*time.Second))
					case 2:
						_, _ = r.Heartbeat("web", name)
					case 3:
						_ = r.Deregister("web", name)
					case 4:
						r.List("web")
						time.Sleep(time.Duration(dice.IntN(300)) * time.Millisecond)
					}
				}
			})
		}
		wg.Wait()
		r.stop()
		var names []string
		for _, reg := range r.List("web") {
			names = append(names, reg.key())
			if v := store.value(reg.key()); !strings.Contains(v, `"ttl":"`+reg.TTL.String()+`"`) {
				t.Errorf("%s has ttl %v, the store says %s", reg.key(), reg.TTL, v)
			}
		}
		if stored := store.keys(); !slices.Equal(stored, names) {
			t.Errorf("stored %v, registered %v", stored, names)
		}
	})
}
