package embedded

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meridian-gslb/meridian/registry"
)

// A hanging store does not answer writes while it is shut.
type hanging struct {
	*memory
	shut    atomic.Bool
	waiting chan string // the first key of each write that hangs, in room for a few
	open    chan struct{}
}

func newHanging() *hanging {
	return &hanging{memory: newMemory(), waiting: make(chan string, 16), open: make(chan struct{})}
}

func (h *hanging) wait(key string) {
	if h.shut.Load() {
		h.waiting <- key
		<-h.open
	}
}

// release lets all writes go on.
func (h *hanging) release() {
	h.shut.Store(false)
	close(h.open)
}

func (h *hanging) PutEndpoint(key string, value []byte) error {
	h.wait(key)
	return h.memory.PutEndpoint(key, value)
}

func (h *hanging) DeleteEndpoints(keys ...string) error {
	h.wait(keys[0])
	return h.memory.DeleteEndpoints(keys...)
}

// apart returns names of a service whose keys have n different lanes: one write that hangs then holds up none of the others.
func apart(r *Registry, service string, n int) (names []string) {
	lanes := map[*sync.Mutex]bool{}
	for i := 0; len(names) < n; i++ {
		name := fmt.Sprintf("e%d", i)
		if lane := r.lane(key(service, name)); !lanes[lane] {
			lanes[lane] = true
			names = append(names, name)
		}
	}
	return names
}

// TestLeasesEndThoughTheStoreHangs: what stopped its heartbeats leaves on time, what goes on with them stays, and Run ends.
func TestLeasesEndThoughTheStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newHanging()
		r := run(t, mustNew(t, store))
		names := apart(r.Registry, "web", 4)
		silent, beats, again, late := names[0], names[1], names[2], names[3]
		for _, name := range names[:3] {
			mustRegister(t, r.Registry, leased("web", name, 5*time.Second))
		}
		store.shut.Store(true)
		hung := make(chan error, 1)
		go func() {
			_, _, err := r.Register(leased("web", late, 5*time.Second))
			hung <- err
		}()
		for range 10 {
			if _, err := r.Heartbeat("web", beats); err != nil {
				t.Fatal(err)
			}
			mustRegister(t, r.Registry, leased("web", again, 5*time.Second))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if got, want := r.published(), []string{key("web", beats), key("web", again)}; !slices.Equal(got, want) {
			t.Errorf("published %v, want %v", got, want)
		}
		if store.value(key("web", silent)) == "" {
			t.Error("the store did not hang")
		}
		begin := time.Now()
		r.stop()
		if took := time.Since(begin); took > lastSweep {
			t.Errorf("Run took %v to end", took)
		}
		store.release()
		synctest.Wait()
		if err := <-hung; err != nil || !slices.Equal(store.keys(), []string{key("web", beats), key("web", again), key("web", late)}) {
			t.Errorf("when the disk is back: %v, stored %v", err, store.keys())
		}
	})
}

// TestRunDeletesWhatHasEndedBeforeItEnds.
func TestRunDeletesWhatHasEndedBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		r := run(t, mustNew(t, store))
		mustRegister(t, r.Registry, leased("web", "a", time.Second))
		synctest.Wait()
		r.expire(time.Time{}, time.Now().Add(time.Second)) // as Run itself might have done just before
		r.stop()
		if got := store.keys(); len(got) > 0 {
			t.Errorf("stored %v", got)
		}
	})
}

// endAll ends all leases, whatever their length.
func endAll(r *Registry) { r.expire(time.Time{}, time.Now().Add(2*time.Duration(MaxTTL))) }

// TestRegisteringAgainWinsOverTheEndOfTheLease, whether it comes before the deletion from disk or while that hangs.
func TestRegisteringAgainWinsOverTheEndOfTheLease(t *testing.T) {
	store := newHanging()
	r := mustNew(t, store)
	mustRegister(t, r, leased("web", "before", time.Minute))
	mustRegister(t, r, leased("web", "while", time.Minute))
	endAll(r)
	if got := r.List("web"); len(got) > 0 {
		t.Fatalf("not ended: %+v", got)
	}
	mustRegister(t, r, leased("web", "before", time.Minute))
	store.shut.Store(true)
	var wg sync.WaitGroup
	wg.Go(r.deleteEnded)
	if k := <-store.waiting; k != "web/while" {
		t.Errorf("deletes %s, which has registered again", k)
	}
	wg.Go(func() {
		if _, created, err := r.Register(leased("web", "while", time.Hour)); err != nil || !created {
			t.Errorf("created %v, %v", created, err)
		}
	})
	store.release()
	wg.Wait()
	r.deleteEnded()
	if got := store.keys(); !slices.Equal(got, []string{"web/before", "web/while"}) || len(r.List("web")) != 2 {
		t.Errorf("stored %v, registered %+v", got, r.List("web"))
	}
}

// TestLeaseEndsWhileItsSuccessorIsOnItsWay: the endpoint is out until that is on disk, and nobody takes its place meanwhile.
func TestLeaseEndsWhileItsSuccessorIsOnItsWay(t *testing.T) {
	for name, fail := range map[string]error{"succeeds": nil, "fails": errors.New("disk full")} {
		t.Run(name, func(t *testing.T) {
			store := newHanging()
			r := mustNew(t, store)
			mustRegister(t, r, leased("web", "a", time.Minute))
			store.shut.Store(true)
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, created, err := r.Register(leased("web", "a", time.Hour)); !errors.Is(err, fail) || created != (fail == nil) {
					t.Errorf("created %v, %v", created, err)
				}
			})
			<-store.waiting
			endAll(r)
			if got := r.List("web"); len(got) > 0 || r.total != 1 || r.reserved["web"] != 1 {
				t.Errorf("registered %+v, room kept for %d", got, r.total)
			}
			store.failWith(fail)
			store.release()
			wg.Wait()
			store.failWith(nil)
			r.deleteEnded()
			want := 1
			if fail != nil {
				want = 0
			}
			if len(r.List("web")) != want || len(store.keys()) != want || r.total != 0 || len(r.reserved) != 0 {
				t.Errorf("registered %+v, stored %v, room kept for %d", r.List("web"), store.keys(), r.total)
			}
		})
	}
}

// TestDeregisteredWhileTheLeaseEnds: one is as good as the other.
func TestDeregisteredWhileTheLeaseEnds(t *testing.T) {
	store := newHanging()
	r := mustNew(t, store)
	mustRegister(t, r, leased("web", "a", time.Minute))
	mustRegister(t, r, reg("web", "b"))
	store.shut.Store(true)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Deregister("web", "a"); err != nil {
			t.Error(err)
		}
	})
	<-store.waiting
	endAll(r)
	store.release()
	wg.Wait()
	r.deleteEnded()
	if got := r.List("web"); len(got) != 1 || !slices.Equal(store.keys(), []string{"web/b"}) {
		t.Errorf("registered %+v, stored %v", got, store.keys())
	}
}

// TestNoRenewalInDoubt: after a failed write nobody knows what is on disk, so registering the same is written again.
func TestNoRenewalInDoubt(t *testing.T) {
	store, full := newMemory(), errors.New("disk full")
	r := mustNew(t, store)
	first := reg("web", "a")
	other := first
	other.Port++
	for name, write := range map[string]func() error{
		"deregister": func() error { return r.Deregister("web", "a") },
		"register":   func() error { _, _, err := r.Register(other); return err },
	} {
		mustRegister(t, r, first)
		store.failWith(full)
		if err := write(); !errors.Is(err, registry.ErrStore) {
			t.Errorf("%s: %v", name, err)
		}
		store.failWith(nil)
		if err := store.DeleteEndpoints("web/a"); err != nil { // it failed and came to disk all the same
			t.Fatal(err)
		}
		mustRegister(t, r, first)
		if store.value("web/a") == "" {
			t.Errorf("%s: acknowledged, and not in the store", name)
		}
		writes := store.written()
		mustRegister(t, r, first)
		if store.written() != writes {
			t.Errorf("%s: the doubt does not end", name)
		}
	}
}

// TestEndsOfLeasesRaceWithWrites: memory and store agree at the end, and no room is lost, whatever came between what.
func TestEndsOfLeasesRaceWithWrites(t *testing.T) {
	store := newMemory()
	r := mustNew(t, store)
	var writers, sweepers sync.WaitGroup
	var done atomic.Bool
	for worker := range 4 {
		writers.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(worker), 9))
			for range 2000 {
				name := fmt.Sprintf("e%d", dice.IntN(3))
				switch dice.IntN(4) {
				case 0:
					_ = r.Deregister("web", name)
				case 1:
					_, _ = r.Heartbeat("web", name)
				default:
					mustRegister(t, r, leased("web", name, time.Duration(1+dice.IntN(9))*time.Second))
				}
			}
		})
	}
	for _, f := range []func(){func() { endAll(r) }, r.deleteEnded} {
		sweepers.Go(func() {
			for !done.Load() {
				f()
				runtime.Gosched()
			}
		})
	}
	writers.Wait()
	done.Store(true)
	sweepers.Wait()
	r.deleteEnded()
	var names []string
	for _, reg := range r.List("web") {
		names = append(names, reg.key())
		if v := store.value(reg.key()); !strings.Contains(v, `"ttl":"`+reg.TTL.String()+`"`) {
			t.Errorf("%s has ttl %v, the store says %s", reg.key(), reg.TTL, v)
		}
	}
	if stored := store.keys(); !slices.Equal(stored, names) || r.total != 0 || len(r.reserved) != 0 || len(r.ended) != 0 {
		t.Errorf("stored %v, registered %v; room for %d, %v, to delete %v", stored, names, r.total, r.reserved, r.ended)
	}
}
