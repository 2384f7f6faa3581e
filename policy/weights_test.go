package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// weightsPlan has one service of the given weights and the policies "one", "all" and "sticky".
func weightsPlan(t testing.TB, weights ...uint32) *Plan {
	s := Spec{
		Services: []ServiceSpec{{Name: "s"}},
		Policies: []PolicySpec{
			{Name: "one", Stages: []StageSpec{Healthy{}, Weighted{}, Take{1}}},
			{Name: "all", Stages: []StageSpec{Healthy{}, Weighted{}}},
			{Name: "sticky", Stages: []StageSpec{Healthy{}, Sticky{}, Take{1}}},
		},
	}
	for i, w := range weights {
		e := benchEndpoint(i%200, w, "")
		e.Name = fmt.Sprint("e", i)
		s.Services[0].Endpoints = append(s.Services[0].Endpoints, e)
	}
	return mustCompile(t, s)
}

// The shares of the first answer must be those of the weights: by χ² over all, and each within 0.3 points.
func TestWeightedShares(t *testing.T) {
	const draws = 1_000_000
	for _, weights := range [][]uint32{{80, 20}, {1, 2, 7}, {1, 2, 3, 94}, {1, 1, 1, 1, 1, 1, 1}, {MaxWeight, 1}, {0, 5, 0, 5}} {
		p := weightsPlan(t, weights...)
		counts := make([]int, len(weights))
		var s Scratch
		r := seeded(42)
		for range draws {
			counts[p.Decide(&s, Query{Dice: r.Uint64()}, Health{}).Endpoints[0]]++
		}
		total := 0.0
		for _, w := range weights {
			total += float64(w)
		}
		chi, freedom := 0.0, -1
		for i, w := range weights {
			expect := float64(w) / total * draws
			if points := 100 * math.Abs(float64(counts[i])-expect) / draws; points > 0.3 {
				t.Errorf("weights %v: endpoint %d is off by %.2f points", weights, i, points)
			}
			if w == 0 {
				if counts[i] > 0 {
					t.Errorf("weights %v: endpoint %d was drawn %d times", weights, i, counts[i])
				}
				continue
			}
			freedom++
			chi += (float64(counts[i]) - expect) * (float64(counts[i]) - expect) / expect
		}
		if limit := chiLimit(freedom); chi > limit {
			t.Errorf("weights %v: χ² is %.1f, more than %.1f (counts %v)", weights, chi, limit, counts)
		}
	}
}

// chiLimit returns the χ² that chance exceeds once in 10,000, by Wilson and Hilferty.
func chiLimit(freedom int) float64 {
	k := float64(freedom)
	return k * math.Pow(1-2/(9*k)+3.72*math.Sqrt(2/(9*k)), 3)
}

// Dice that only count up must do as well: callers may use a counter.
func TestWeightedSharesOfCountingDice(t *testing.T) {
	p := weightsPlan(t, 1, 2, 7)
	var s Scratch
	counts := [3]int{}
	const draws = 300_000
	for dice := range uint64(draws) {
		counts[p.Decide(&s, Query{Dice: dice}, Health{}).Endpoints[0]]++
	}
	for i, share := range []float64{0.1, 0.2, 0.7} {
		if got := float64(counts[i]) / draws; math.Abs(got-share) > 0.003 {
			t.Errorf("endpoint %d has %.4f, want %.4f", i, got, share)
		}
	}
}

// Drawing without replacement: every order of 1:2:7 comes with the product of its conditional probabilities.
func TestWeightedOrders(t *testing.T) {
	weights := []uint32{1, 2, 7}
	p := weightsPlan(t, weights...)
	const draws = 500_000
	counts := map[[3]EndpointID]float64{}
	var s Scratch
	r := seeded(7)
	for range draws {
		counts[[3]EndpointID(p.Decide(&s, Query{Policy: 1, Dice: r.Uint64()}, Health{}).Endpoints)]++
	}
	if len(counts) != 6 {
		t.Fatalf("%d orders, want 6", len(counts))
	}
	for order, n := range counts {
		want, left := 1.0, 10.0
		for _, id := range order {
			want *= float64(weights[id]) / left
			left -= float64(weights[id])
		}
		if got := n / draws; math.Abs(got-want) > 0.003 {
			t.Errorf("order %v has %.4f, want %.4f", order, got, want)
		}
	}
}

// Weight 0 comes after all others, evenly.
func TestWeightZeroIsLast(t *testing.T) {
	p := weightsPlan(t, 0, 3, 0, 0, 1)
	first := map[EndpointID]int{}
	var s Scratch
	r := seeded(8)
	const draws = 90_000
	for range draws {
		order := p.Decide(&s, Query{Policy: 1, Dice: r.Uint64()}, Health{}).Endpoints
		if slices.Contains(order[2:], 1) || slices.Contains(order[2:], 4) {
			t.Fatalf("order %v", order)
		}
		first[order[2]]++
	}
	for id, n := range first {
		if math.Abs(float64(n)/draws-1.0/3) > 0.01 {
			t.Errorf("endpoint %d comes first of the weightless %d times of %d", id, n, draws)
		}
	}
}

// The tree of sums must draw exactly what adding up draws.
func TestDrawManyEqualsDraw(t *testing.T) {
	for seed := range uint64(300) {
		r := seeded(seed)
		list := make([]candidate, 2+r.IntN(80))
		for i := range list {
			list[i] = candidate{id: EndpointID(i), weight: uint32([]int{0, 0, 1, 3, 1000, MaxWeight}[r.IntN(6)])}
		}
		n := 1 + r.IntN(len(list)-1)
		var s Scratch
		plain, tree := slices.Clone(list), slices.Clone(list)
		s.live = tree
		s.dice = seed
		for done := 0; done < n; { // by steps below the limit
			k := min(n-done, 1)
			s.draw(plain[done:], k)
			done += k
		}
		s.dice = seed
		s.drawMany(tree, n)
		for i := range tree {
			if tree[i].id != plain[i].id || tree[i].weight != plain[i].weight || tree[i].rank != plain[i].rank {
				t.Fatalf("seed %d, %d of %d: position %d is %+v by the tree, %+v by adding up", seed, n, len(list), i, tree[i], plain[i])
			}
		}
	}
}

// A service of thousands of endpoints is drawn whole, without repetition.
func TestWeightedThousands(t *testing.T) {
	weights := make([]uint32, 5000)
	for i := range weights {
		weights[i] = uint32(i % 3)
	}
	p := weightsPlan(t, weights...)
	var s Scratch
	order := slices.Clone(p.Decide(&s, Query{Policy: 1, Dice: 1}, Health{}).Endpoints)
	slices.Sort(order)
	for i, id := range order {
		if int(id) != i {
			t.Fatalf("position %d is %d", i, id)
		}
	}
	if n := testing.AllocsPerRun(10, func() { p.Decide(&s, Query{Policy: 1, Dice: 2}, Health{}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestGroupedShares: groups come first by the sums of their weights, and inside them endpoints by theirs, whatever is drawn with.
func TestGroupedShares(t *testing.T) {
	s := treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{Weighted{Grouped: true}}}) // eu1 us1 eu2 us2
	weights := []uint32{1, 2, 3, 4}
	for i, w := range weights {
		s.Services[0].Endpoints[i].Weight = w
	}
	s.Services[0].Endpoints = append(s.Services[0].Endpoints[:4], EndpointSpec{Name: "none1", Host: "a.example", Weight: 5}, EndpointSpec{Name: "none2", Host: "b.example"})
	p := mustCompile(t, s)
	group := map[string][]string{"eu1": {"eu1", "eu2"}, "eu2": {"eu1", "eu2"}, "us1": {"us1", "us2"}, "us2": {"us1", "us2"}, "none1": {"none1"}}
	weightOf := map[string]float64{"none1": 5}
	for i, e := range s.Services[0].Endpoints[:4] {
		weightOf[e.Name] = float64(weights[i])
	}
	sum := func(names []string) (total float64) {
		for _, name := range names {
			total += weightOf[name]
		}
		return total
	}
	const draws = 400_000
	for _, joint := range []bool{false, true} {
		counts := map[string]float64{}
		var scratch Scratch
		r := seeded(12)
		for range draws {
			order := answerOf(p, p.Decide(&scratch, Query{Dice: r.Uint64(), Joint: joint}, Health{}))
			if order[5] != "none2" {
				t.Fatalf("order %v", order)
			}
			counts[strings.Join(order, " ")]++
		}
		if len(counts) != 6*2*2 { // orders of three groups, and inside two of them
			t.Fatalf("%d orders: %v", len(counts), counts)
		}
		chi := 0.0
		for order, n := range counts {
			want, left := float64(draws), 15.0
			names := strings.Fields(order)
			for i := 0; i < 5; {
				g := group[names[i]]
				want *= sum(g) / left
				left -= sum(g)
				inside := sum(g)
				for range g {
					if !slices.Contains(g, names[i]) {
						t.Fatalf("%s: groups are mixed", order)
					}
					want *= weightOf[names[i]] / inside
					inside -= weightOf[names[i]]
					i++
				}
			}
			chi += (n - want) * (n - want) / want
		}
		if chi > chiLimit(23) {
			t.Errorf("joint %v: χ² %.1f, want less than %.1f", joint, chi, chiLimit(23))
		}
	}
	for _, bad := range []Weighted{{Grouped: true, Multi: true}, {Grouped: true, By: 9}, {Grouped: true, Branches: []Branch{{Stages: []StageSpec{Healthy{}}}}}} {
		if _, problems := Compile(treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{bad}})); len(problems) != 1 {
			t.Errorf("%+v: %v", bad, problems)
		}
	}
	for by, want := range map[Shared]string{SharedSite: "drew an order of 6, one site after the other", SharedSubnet: "drew an order of 6, one subnet after the other"} {
		s.Policies[0].Stages[0] = Weighted{Grouped: true, By: by}
		if note := mustCompile(t, s).Explain(Query{}, Health{}).Stages[1].Note; note != want {
			t.Errorf("explained as %q", note)
		}
	}
}
