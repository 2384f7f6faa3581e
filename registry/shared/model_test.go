package shared

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// A modelKV is what all share: values with indexes, and what it was at earlier times, for answers that come late.
type modelKV struct {
	index  uint64
	items  map[string]Item
	before []map[string]Item
}

func (kv *modelKV) set(key string, value []byte, index uint64) bool {
	if kv.items[key].Index != index {
		return false
	}
	kv.before = append(kv.before, maps.Clone(kv.items))
	kv.index++
	kv.items[key] = Item{value, kv.index}
	return true
}

// A write is one under way: the planner read, and has yet to write.
type write struct {
	target string
	rec    Record
	index  uint64
}

// TestModel: three nodes decide, push and learn in a random order, with answers that come late and writes that are overtaken, some million steps. No
// older decision ever replaces a newer one, in the store or on a node; and when all have been heard, all nodes and the store have the same, which is
// the newest decision about each target.
func TestModel(t *testing.T) {
	steps, runs := 1_000_000, 0
	if testing.Short() {
		steps = 50_000
	}
	r := rand.New(rand.NewPCG(1, 2))
	for done := 0; done < steps; runs++ {
		done += modelRun(t, r)
	}
	t.Logf("%d runs", runs)
}

func modelRun(t *testing.T, r *rand.Rand) (steps int) {
	const nodes = 3
	targets := []string{"site/a", "site/b"}
	kv := &modelKV{items: map[string]Item{}}
	replicas, writes := make([]*replica, nodes), make([][]write, nodes)
	for i := range replicas {
		replicas[i] = newReplica(fmt.Sprint("n", i))
	}
	clock := time.Unix(1_800_000_000, 0)
	newest := map[string]Record{} // of all decisions, by the order that counts
	record := func(item Item) (rec Record) {
		if item.Value != nil {
			if err := json.Unmarshal(item.Value, &rec); err != nil {
				t.Fatal(err)
			}
		}
		return rec
	}
	keep := func(i int, target string, rec Record) {
		old := replicas[i].known[target]
		if replicas[i].keep(target, rec) && old.Version > 0 && !newer(rec, old) {
			t.Fatalf("node %d: %+v replaced %+v", i, rec, old)
		}
	}
	news := make([][]string, nodes) // heard of, and yet to be adopted
	learn := func(i int, items map[string]Item) { news[i] = replicas[i].learn(items) }
	adopt := func(i int) {
		for _, target := range news[i] {
			keep(i, target, replicas[i].there[target].Record)
		}
		news[i] = nil
	}
	push := func(i int, w write) {
		value, err := json.Marshal(w.rec)
		if err != nil {
			t.Fatal(err)
		}
		was := record(kv.items[w.target])
		if !kv.set(w.target, value, w.index) {
			return
		}
		if was.Version > 0 && !newer(w.rec, was) {
			t.Fatalf("in the store %+v replaced %+v", w.rec, was)
		}
		replicas[i].pushed(w.target, w.rec)
	}
	for range 20 + r.IntN(60) {
		steps++
		i, target := r.IntN(nodes), targets[r.IntN(len(targets))]
		clock = clock.Add(time.Duration(r.IntN(3)-1) * time.Second) // clocks step back too
		switch r.IntN(8) {
		case 0, 1: // an operator decides
			var o *registry.Override
			if r.IntN(3) > 0 {
				var to registry.Target
				if err := to.UnmarshalText([]byte(target)); err != nil {
					t.Fatal(err)
				}
				o = &registry.Override{Target: to, State: policy.Drained, By: fmt.Sprint(steps)}
			}
			rec := replicas[i].decide(target, o, clock)
			if keep(i, target, rec); replicas[i].known[target] != rec {
				t.Fatalf("node %d: the decision %+v gave way to %+v, which was known", i, rec, replicas[i].known[target])
			}
			if heard := replicas[i].there[target].Record; !newer(rec, heard) {
				t.Fatalf("node %d: the decision %+v is not newer than %+v, which was heard of", i, rec, heard)
			}
			if replicas[i].keep(target, Record{Version: rec.Version - 1, Time: clock.Add(time.Hour)}) {
				t.Fatalf("node %d: an older decision replaced %+v", i, rec)
			}
			if newer(rec, newest[target]) {
				newest[target] = rec
			}
		case 2: // a push begins
			for _, target := range replicas[i].pending() {
				writes[i] = append(writes[i], write{target, replicas[i].known[target], replicas[i].there[target].index})
			}
		case 3, 4: // one ends
			if n := len(writes[i]); n > 0 {
				k := r.IntN(n)
				push(i, writes[i][k])
				writes[i] = slices.Delete(writes[i], k, k+1)
			}
		case 5:
			learn(i, kv.items)
		case 7:
			adopt(i)
		case 6: // an answer that is late
			if n := len(kv.before); n > 0 {
				learn(i, kv.before[r.IntN(n)])
			}
		}
	}
	for i := range replicas { // what is under way ends
		for _, w := range writes[i] {
			push(i, w)
		}
	}
	for range 3 * nodes {
		for i := range replicas {
			learn(i, kv.items)
			adopt(i)
			for _, target := range replicas[i].pending() {
				push(i, write{target, replicas[i].known[target], replicas[i].there[target].index})
			}
		}
	}
	for _, target := range targets {
		want := newest[target]
		if in := record(kv.items[target]); in.Version != want.Version && want.Override != nil || newer(in, want) {
			t.Fatalf("the store has %+v, the newest decision is %+v", in, want)
		}
		for i := range replicas {
			got := replicas[i].known[target]
			if got.Version != want.Version && (want.Override != nil || got.Override != nil) || (got.Override == nil) != (want.Override == nil) {
				t.Fatalf("node %d has %+v, the newest decision is %+v", i, got, want)
			}
		}
	}
	return steps
}
