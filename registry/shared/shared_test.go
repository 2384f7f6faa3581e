package shared

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// A memory is a KV, and a store of Records, in memory.
type memory struct {
	mu      sync.Mutex
	index   uint64
	items   map[string]Item
	changed chan struct{}
	down    bool
}

func newMemory() *memory {
	return &memory{items: map[string]Item{}, changed: make(chan struct{}), index: 1}
}

func (m *memory) List(ctx context.Context, index uint64) (map[string]Item, uint64, error) {
	m.mu.Lock()
	for !m.down && index >= m.index {
		changed := m.changed
		m.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
		m.mu.Lock()
	}
	defer m.mu.Unlock()
	if m.down {
		return nil, 0, errors.New("connection refused")
	}
	return maps.Clone(m.items), m.index, nil
}

func (m *memory) Set(_ context.Context, key string, value []byte, index uint64) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return false, errors.New("connection refused")
	}
	if m.items[key].Index != index {
		return false, nil
	}
	m.put(key, value)
	return true, nil
}

// put writes without asking. Callers hold mu.
func (m *memory) put(key string, value []byte) {
	m.index++
	m.items[key] = Item{value, m.index}
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *memory) turn(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
	close(m.changed)
	m.changed = make(chan struct{})
}

// A disk is a registry.Store and Records that outlive a node.
type disk struct {
	registry.Store
	mu        sync.Mutex
	overrides map[registry.Target]registry.Override
	records   map[string][]byte
	fails     bool // every write
	refuses   bool // writes of overrides
	forgets   bool // writes of Records
}

func newDisk() *disk {
	return &disk{Store: registry.Nowhere, overrides: map[registry.Target]registry.Override{}, records: map[string][]byte{}}
}

func (d *disk) change(edit func()) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails {
		return errors.New("disk full")
	}
	edit()
	return nil
}

func (d *disk) SaveOverride(o registry.Override) error {
	if d.refuses {
		return errors.New("disk full")
	}
	return d.change(func() { d.overrides[o.Target] = o })
}
func (d *disk) DeleteOverride(t registry.Target) error {
	if d.refuses {
		return errors.New("disk full")
	}
	return d.change(func() { delete(d.overrides, t) })
}
func (d *disk) PutShared(key string, value []byte) error {
	if d.forgets {
		return errors.New("disk full")
	}
	return d.change(func() { d.records[key] = value })
}
func (d *disk) LoadShared() (map[string][]byte, error) { return maps.Clone(d.records), nil }
func (d *disk) LoadOverrides() ([]registry.Override, error) {
	return slices.Collect(maps.Values(d.overrides)), nil
}

// A node is a registry with a shared store.
type node struct {
	*registry.Registry
	store *Store
	stop  func()
}

func start(t *testing.T, name string, kv KV, d *disk) *node {
	t.Helper()
	s, err := New(Options{Node: name, Local: d, Records: d, KV: kv})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Registry: registry.New(registry.Options{Store: s}), store: s}
	if err := n.Restore(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx, n.Registry)
	}()
	n.stop = func() {
		cancel()
		<-done
	}
	synctest.Wait()
	return n
}

func (n *node) show() string {
	var out []string
	for _, o := range n.Overrides() {
		out = append(out, fmt.Sprintf("%s %s (%s)", o.Target, o.State, o.Reason))
	}
	return strings.Join(out, ", ")
}

func site(name string) registry.Target {
	return registry.Target{Kind: registry.KindSite, Name: name}
}

func drain(name, reason string) registry.Override {
	return registry.Override{Target: site(name), State: policy.Drained, Reason: reason}
}

// TestShared: what one node decides all do; while the store is gone each goes on by itself; and nothing is lost when it is back, or over restarts.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv, da, db := newMemory(), newDisk(), newDisk()
		a, b := start(t, "a", kv, da), start(t, "b", kv, db)
		check := func(what, want string, nodes ...*node) {
			t.Helper()
			time.Sleep(time.Second) // the gap between questions
			synctest.Wait()
			for i, n := range nodes {
				if got := n.show(); got != want {
					t.Fatalf("%s: node %d has %q, want %q", what, i, got, want)
				}
			}
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(a.Force(drain("us", "one")))
		check("a drains", "site/us drained (one)", a, b)
		must(b.Force(drain("us", "two")))
		check("b says it again", "site/us drained (two)", a, b)
		must(a.Unforce(site("us")))
		check("a ends it", "", a, b)

		kv.turn(true)
		must(a.Force(drain("us", "alone")))
		must(b.Force(drain("eu", "alone too")))
		check("a, without the store", "site/us drained (alone)", a)
		check("b, without the store", "site/eu drained (alone too)", b)
		if p := a.store.Problems(); len(p) != 1 || !strings.Contains(p[0], "not shared with other nodes since") || !strings.Contains(p[0], "(1 of this node wait)") {
			t.Errorf("%q", p)
		}
		a.stop()
		a = start(t, "a", kv, da) // before anybody was told
		check("a, after a restart", "site/us drained (alone)", a)
		kv.turn(false)
		time.Sleep(time.Minute)
		check("the store is back", "site/eu drained (alone too), site/us drained (alone)", a, b)
		if p := a.store.Problems(); len(p) != 0 {
			t.Errorf("%q", p)
		}

		b.stop()
		must(a.Unforce(site("eu")))
		must(a.Force(drain("us", "later")))
		synctest.Wait()
		b = start(t, "b", kv, db)
		check("b was away", "site/us drained (later)", a, b)

		a.stop()
		b.stop()
		a, b = start(t, "a", kv, da), start(t, "b", kv, newDisk())
		check("all restart, one with an empty disk", "site/us drained (later)", a, b)

		o := drain("ap", "for a minute")
		o.Until = time.Now().Add(time.Minute)
		must(b.Force(o))
		check("with an end", "site/ap drained (for a minute), site/us drained (later)", a, b)

		kv.mu.Lock()
		kv.put("site/x", []byte("{}"))
		kv.put("nonsense", []byte("{}"))
		kv.put("site/y", []byte(`{"version": 3, "override": {"target": "site/z", "state": "down"}}`))
		kv.mu.Unlock()
		check("what cannot be read is left alone", "site/ap drained (for a minute), site/us drained (later)", a, b)
		if p := a.store.Problems(); len(p) != 3 {
			t.Errorf("%q", p)
		}
		must(a.Force(drain("x", "over it")))
		check("and gives way to a decision", "site/ap drained (for a minute), site/us drained (later), site/x drained (over it)", a, b)

		db.fails = true
		da.fails = true
		if err := a.Force(drain("q", "")); !errors.Is(err, registry.ErrStore) {
			t.Errorf("%v", err)
		}
		a.stop()
		b.stop()
	})
}

// TestCrashBetweenWrites: an override and its Record are two writes. Whichever is missing after a crash, the nodes agree in the end.
func TestCrashBetweenWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv, da, db := newMemory(), newDisk(), newDisk()
		a, b := start(t, "a", kv, da), start(t, "b", kv, db)
		if err := a.Force(drain("us", "one")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		a.stop()
		delete(da.overrides, site("us")) // it was being ended
		a = start(t, "a", kv, da)
		time.Sleep(time.Second)
		synctest.Wait()
		if a.show() != b.show() {
			t.Errorf("the end was not recorded: %q, %q", a.show(), b.show())
		}
		a.stop()
		o := drain("eu", "two")
		o.Since = time.Now().UTC()
		da.overrides[o.Target] = o // it was being set
		a = start(t, "a", kv, da)
		time.Sleep(time.Second)
		synctest.Wait()
		if a.show() != b.show() || !strings.Contains(b.show(), "two") {
			t.Errorf("the beginning was not recorded: %q, %q", a.show(), b.show())
		}
		a.stop()
		b.stop()
	})
}

// TestFailedWriteChangesNothing: of the two writes of a decision the first, or the second, fails: nothing is in force, nobody is told, and so it is after
// a restart.
func TestFailedWriteChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv, da, db := newMemory(), newDisk(), newDisk()
		a, b := start(t, "a", kv, da), start(t, "b", kv, db)
		if err := a.Force(drain("us", "kept")); err != nil {
			t.Fatal(err)
		}
		for _, flag := range []*bool{&da.fails, &da.refuses, &da.forgets} {
			*flag = true
			if err := a.Force(drain("eu", "lost")); !errors.Is(err, registry.ErrStore) {
				t.Error(err)
			}
			if err := a.Unforce(site("us")); !errors.Is(err, registry.ErrStore) {
				t.Error(err)
			}
			*flag = false
			for range 2 {
				time.Sleep(time.Second)
				synctest.Wait()
				for _, n := range []*node{a, b} {
					if got := n.show(); got != "site/us drained (kept)" {
						t.Errorf("%q", got)
					}
				}
				a.stop()
				a = start(t, "a", kv, da)
			}
		}
		a.stop()
		b.stop()
	})
}
