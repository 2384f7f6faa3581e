package upstream

import (
	"math/rand/v2"
	"testing"

	"github.com/meridian-gslb/meridian/policy"
)

// run sends n requests through Pick, each of which stays in flight while the next width-1 begin, and returns how many each
// endpoint got.
func run(t *testing.T, v *View, n, width int, dice *rand.Rand) []int {
	t.Helper()
	all := ids(len(v.members))
	got := make([]int, len(all))
	var open []*Member
	for range n {
		id, ok := v.Pick(all, nil, dice.Uint64())
		if !ok {
			t.Fatal("nothing picked")
		}
		m := v.Member(id)
		m.Begin()
		got[id]++
		if open = append(open, m); len(open) == width {
			i := dice.IntN(len(open)) // requests end in any order
			open[i].End(Answered)
			open[i] = open[len(open)-1]
			open = open[:len(open)-1]
		}
	}
	for _, m := range open {
		m.End(Answered)
	}
	return got
}

func TestPickGivesEachItsShare(t *testing.T) {
	for _, c := range []struct {
		name    string
		weights []uint32
		width   int
	}{
		{"two equal, one at a time", []uint32{1, 1}, 1},
		{"six equal, one at a time", []uint32{1, 1, 1, 1, 1, 1}, 1},
		{"six equal, fifty at once", []uint32{5, 5, 5, 5, 5, 5}, 50},
		{"fifty equal, twenty at once", make1(50), 20},
		{"1:2:7, one at a time", []uint32{1, 2, 7}, 1},
		{"1:2:7, three at once", []uint32{1, 2, 7}, 3},
		{"1:2:7, fifty at once", []uint32{1, 2, 7}, 50},
		{"1:1000, one at a time", []uint32{1, 1000}, 1},
		{"all of weight 0", []uint32{0, 0, 0}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dice := rand.New(rand.NewPCG(1, 2))
			v := NewSet().View(weights(t, c.weights...), 1)
			const n = 12000
			got := run(t, v, n, c.width, dice)
			sum := 0.0
			for _, w := range c.weights {
				sum += float64(max(1, w))
			}
			for i, w := range c.weights {
				want := n * float64(max(1, w)) / sum
				if slack := 0.05*want + 3; float64(got[i]) > want+slack || float64(got[i]) < want-slack {
					t.Errorf("endpoint %d of weight %d: %d requests, want %.0f within 5 %%", i, w, got[i], want)
				}
			}
		})
	}
}

func make1(n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

func TestPickPrefersTheLessBusy(t *testing.T) {
	for _, c := range []struct {
		name     string
		weights  []uint32
		inFlight []int
		want     policy.EndpointID
	}{
		{"fewer in flight", []uint32{1, 1}, []int{3, 2}, 1},
		{"fewer in flight, other order", []uint32{1, 1}, []int{0, 1}, 0},
		{"twice the weight bears twice the load", []uint32{1, 2}, []int{2, 3}, 1},
		{"a full unit of weight less", []uint32{1, 7}, []int{0, 7}, 0},
		{"heavy and busy against light and idle", []uint32{1, 7}, []int{1, 0}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := NewSet().View(weights(t, c.weights...), 1)
			for i, n := range c.inFlight {
				for range n {
					v.Member(policy.EndpointID(i)).Begin()
				}
			}
			for dice := range uint64(100) {
				if got, ok := v.Pick(ids(2), nil, dice); !ok || got != c.want {
					t.Fatalf("dice %d: picked %d, want %d", dice, got, c.want)
				}
			}
		})
	}
}

func TestPickOfWhatMayBeDialled(t *testing.T) {
	plan := compile(t, policy.Spec{Services: []policy.ServiceSpec{{Name: "s", Endpoints: []policy.EndpointSpec{
		{Name: "a", V4: addr("192.0.2.1"), Weight: 1}, // no port
		{Name: "b", V4: addr("192.0.2.2"), Port: 80, Weight: 0},
		{Name: "c", V4: addr("192.0.2.3"), Port: 80, Weight: 1},
		{Name: "d", V6: addr("2001:db8::1"), Port: 80, Weight: 1},
	}}}})
	id := func(name string) policy.EndpointID {
		e, ok := plan.EndpointByName("s/" + name)
		if !ok {
			t.Fatal(name)
		}
		return e
	}
	a, b, c, d := id("a"), id("b"), id("c"), id("d")
	all := plan.Endpoints(0)
	for _, tc := range []struct {
		name  string
		from  []policy.EndpointID
		tried []policy.EndpointID
		want  []policy.EndpointID // any of these; nil: none
	}{
		{"nothing", nil, nil, nil},
		{"no port", []policy.EndpointID{a}, nil, nil},
		{"weight 0 only if there is no other", all, nil, []policy.EndpointID{c, d}},
		{"tried ones are left out", all, []policy.EndpointID{c}, []policy.EndpointID{d}},
		{"then weight 0", all, []policy.EndpointID{c, d}, []policy.EndpointID{b}},
		{"all tried", all, []policy.EndpointID{c, d, b}, nil},
		{"weight 0 alone", []policy.EndpointID{b}, nil, []policy.EndpointID{b}},
		{"weight 0 beside weight 1", []policy.EndpointID{b, c}, nil, []policy.EndpointID{c}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := NewSet().View(plan, 1)
			for dice := range uint64(50) {
				got, ok := v.Pick(tc.from, tc.tried, dice)
				if ok != (tc.want != nil) {
					t.Fatalf("dice %d: picked %v", dice, ok)
				}
				found := !ok
				for _, w := range tc.want {
					found = found || got == w
				}
				if !found {
					t.Fatalf("dice %d: picked %s", dice, v.Member(got).Name())
				}
			}
		})
	}
}

// An endpoint that joins late has nothing to catch up on: it gets its share from then on, not all requests for a while.
func TestPickDoesNotFloodTheNewcomer(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 4))
	set := NewSet()
	run(t, set.View(weights(t, 1, 1, 1, 1), 1), 100_000, 1, dice)
	got := run(t, set.View(weights(t, 1, 1, 1, 1, 1), 2), 500, 1, dice)
	if got[4] < 90 || got[4] > 120 {
		t.Errorf("the newcomer got %d of 500 requests, want about 100: %v", got[4], got)
	}
}

// The count behind the shares wraps around without anybody noticing.
func TestPickWhenServedWraps(t *testing.T) {
	v := NewSet().View(weights(t, 1, 1), 1)
	for i := range 2 {
		v.Member(policy.EndpointID(i)).served.Store(^uint64(0) - 10*unit)
	}
	got := run(t, v, 1000, 1, rand.New(rand.NewPCG(5, 6)))
	if got[0] < 495 || got[0] > 505 {
		t.Errorf("shares %v across the wrap", got)
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	v := NewSet().View(weights(t, 1, 2, 7, 1, 1, 1), 1)
	all, tried := ids(6), []policy.EndpointID{3}
	dice := uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		dice++
		id, _ := v.Pick(all, tried, dice)
		m := v.Member(id)
		m.Begin()
		m.End(Answered)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{2, 6, 100} {
		b.Run(map[int]string{2: "2", 6: "6", 100: "100"}[n], func(b *testing.B) {
			v := NewSet().View(weights(b, make1(n)...), 1)
			all := ids(n)
			dice := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				dice++
				id, _ := v.Pick(all, nil, dice)
				m := v.Member(id)
				m.Begin()
				m.End(Answered)
			}
		})
	}
}
