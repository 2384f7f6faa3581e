package policy

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
)

// stick is the policy "sticky" of weightsPlan.
const stick = PolicyID(2)

// TestStickyShares: over many clients, endpoints have the shares of their weights.
func TestStickyShares(t *testing.T) {
	const clients = 1_000_000
	for _, weights := range [][]uint32{{80, 20}, {1, 2, 3, 94}, {1, 1, 1, 1, 1}, {0, 1, 0}, {0, 0}} {
		p, counts := weightsPlan(t, weights...), make([]int, len(weights))
		var s Scratch
		r := seeded(3)
		for range clients {
			counts[p.Decide(&s, Query{Policy: stick, Key: r.Uint64()}, Health{}).Endpoints[0]]++
		}
		total := 0.0
		for _, w := range weights {
			total += float64(w)
		}
		for i, w := range weights {
			want := float64(w) / total
			if total == 0 {
				want = 1 / float64(len(weights))
			}
			if points := 100 * math.Abs(float64(counts[i])/clients-want); points > 0.3 {
				t.Errorf("weights %v: endpoint %d is off by %.2f points", weights, i, points)
			}
		}
	}
}

// TestStickyMovesFew: when one of n endpoints goes, its clients move and no others; when one comes, it takes its share and nothing else moves.
func TestStickyMovesFew(t *testing.T) {
	const n, clients = 20, 100_000
	weights := make([]uint32, n)
	for i := range weights {
		weights[i] = 1
	}
	p := weightsPlan(t, weights...)
	var s Scratch
	for _, gone := range []EndpointID{0, 7, n - 1} {
		without := NewHealth(n).With(gone, Verdict{State: Down})
		moved := 0
		for key := range uint64(clients) {
			q := Query{Policy: stick, Key: key * 0x9e3779b97f4a7c15}
			before := p.Decide(&s, q, Health{}).Endpoints[0]
			after := p.Decide(&s, q, without).Endpoints[0]
			if before != after {
				moved++
				if before != gone {
					t.Fatalf("a client of endpoint %d moved", before)
				}
			}
		}
		if share := float64(moved) / clients; share > 1.1/n || share < 0.9/n {
			t.Errorf("without endpoint %d, %.4f of the clients moved, want 1/%d", gone, share, n)
		}
	}
}

// TestStickyIsForEver: where a client goes is part of what other nodes and later versions rely on.
func TestStickyIsForEver(t *testing.T) {
	p := weightsPlan(t, 1, 2, 3, 4)
	got := ""
	for key := range uint64(16) {
		got += fmt.Sprint(p.Decide(new(Scratch), Query{Policy: stick, Key: key}, Health{}).Endpoints[0])
	}
	if want := "3232233333233200"; got != want {
		t.Errorf("clients go to %s, went to %s", got, want)
	}
}

// TestStickyScope: the scope is what shares a key, where there is anything to choose.
func TestStickyScope(t *testing.T) {
	two, one := weightsPlan(t, 1, 1), weightsPlan(t, 1)
	for _, tt := range []struct {
		client string
		want   uint8
	}{{"192.0.2.0/24", 24}, {"192.0.0.0/16", 24}, {"2001:db8::/48", 56}, {"::ffff:192.0.2.0/120", 120}} {
		q := Query{Policy: stick, Client: netip.MustParsePrefix(tt.client)}
		if d := two.Decide(new(Scratch), q, Health{}); d.Scope != tt.want {
			t.Errorf("%s: scope %d, want %d", tt.client, d.Scope, tt.want)
		}
		if d := one.Decide(new(Scratch), q, Health{}); d.Scope != 0 {
			t.Errorf("%s: scope %d with one endpoint", tt.client, d.Scope)
		}
	}
	if d := two.Decide(new(Scratch), Query{Policy: stick}, Health{}); d.Scope != 0 {
		t.Errorf("nobody: scope %d", d.Scope)
	}
}

// TestRemoteness: the integer logarithm is that of real numbers, rounded.
func TestRemoteness(t *testing.T) {
	r := seeded(1)
	for range 100_000 {
		h := r.Uint64() >> r.IntN(64)
		got, want := float64(remoteness(h))/(1<<16), 64-math.Log2(float64(h|1))
		if math.Abs(got-want) > 1.0/(1<<15) {
			t.Fatalf("remoteness of %x is %v, want %v", h, got, want)
		}
	}
	if remoteness(^uint64(0)) == 0 || remoteness(0) >= 1<<23 {
		t.Errorf("remoteness is from %d to %d", remoteness(^uint64(0)), remoteness(0))
	}
}

// TestMulti: each endpoint is in the answer by its weight over the largest (gdnsd's multi), that of the largest always.
func TestMulti(t *testing.T) {
	s := treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{Healthy{}, Weighted{Multi: true}}})
	s.Services[0].Endpoints = s.Services[0].Endpoints[:3]
	for i, w := range []uint32{10, 4, 0} {
		s.Services[0].Endpoints[i].Weight = w
	}
	p := mustCompile(t, s)
	const draws = 300_000
	var counts [3]int
	var scratch Scratch
	r := seeded(9)
	for range draws {
		for _, id := range p.Decide(&scratch, Query{Dice: r.Uint64()}, Health{}).Endpoints {
			counts[id]++
		}
	}
	for i, want := range []float64{1, 0.4, 0} {
		if got := float64(counts[i]) / draws; math.Abs(got-want) > 0.003 {
			t.Errorf("endpoint %d is in %.4f of the answers, want %v", i, got, want)
		}
	}
	if d := p.Decide(&scratch, Query{Dice: 1}, downOf(p, "eu1", "eu2")); len(d.Endpoints) != 1 {
		t.Errorf("without those of weight: %v", answerOf(p, d))
	}
}

// TestShuffle: every order is as likely as any other, whatever the weights.
func TestShuffle(t *testing.T) {
	p := mustCompile(t, treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{Shuffle{}, Take{3}}}))
	const draws = 240_000
	counts := map[string]int{}
	var s Scratch
	r := seeded(11)
	for range draws {
		counts[fmt.Sprint(p.Decide(&s, Query{Dice: r.Uint64()}, Health{}).Endpoints)]++
	}
	chi := 0.0
	for _, n := range counts {
		chi += math.Pow(float64(n)-draws/24, 2) / (draws / 24)
	}
	if len(counts) != 24 || chi > chiLimit(23) {
		t.Errorf("%d orders, χ² %.1f", len(counts), chi)
	}
}

// TestOnePer: one of each site, or of each network, in the order that is there.
func TestOnePer(t *testing.T) {
	s := treeSpec(
		PolicySpec{Name: "site", Stages: []StageSpec{OnePer{SharedSite}}},
		PolicySpec{Name: "subnet", Stages: []StageSpec{OnePer{SharedSubnet}}},
		PolicySpec{Name: "bad", Stages: []StageSpec{Healthy{}}})
	s.Services[0].Endpoints[3].V4 = netip.MustParseAddr("198.51.100.1")
	s.Services[0].Endpoints = append(s.Services[0].Endpoints,
		EndpointSpec{Name: "six1", V6: netip.MustParseAddr("2001:db8:1:1::1")}, EndpointSpec{Name: "six2", V6: netip.MustParseAddr("2001:db8:1:2::1")},
		EndpointSpec{Name: "host1", Host: "a.example"}, EndpointSpec{Name: "host2", Host: "b.example"})
	p := mustCompile(t, s)
	for i, want := range []string{"[eu1 us1 six1 six2 host1 host2]", "[eu1 us2 six1 host1 host2]"} {
		var scratch Scratch
		for _, epoch := range []uint32{0, ^uint32(0)} { // the second wraps
			scratch.epoch = epoch
			if got := fmt.Sprint(answerOf(p, p.Decide(&scratch, Query{Policy: PolicyID(i)}, Health{}))); got != want {
				t.Errorf("policy %s: %s, want %s", p.PolicyName(PolicyID(i)), got, want)
			}
		}
	}
	if _, problems := Compile(treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{OnePer{9}}})); len(problems) != 1 {
		t.Errorf("problems %v", problems)
	}
}

// TestTrickle: a share of the questions goes to the second group that is good, and only if there is one; without it nothing changes.
func TestTrickle(t *testing.T) {
	s := treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{Healthy{}, Failover{Sites: []string{"eu", "us"}, Trickle: 0.05}, Take{1}}})
	p := mustCompile(t, s)
	const draws = 400_000
	for _, tt := range []struct {
		down string
		want float64 // of us
	}{{"", 0.05}, {"us1 us2", 0}, {"us1", 0.05}, {"us2", 0}, {"eu2", 1}} {
		h, us := downOf(p, strings.Fields(tt.down)...), 0
		var scratch Scratch
		r := seeded(5)
		for range draws {
			if d := p.Decide(&scratch, Query{Dice: r.Uint64()}, h); strings.HasPrefix(answerOf(p, d)[0], "us") {
				us++
				if tt.want == 0.05 && d.Reason != ReasonWeight && tt.down == "" {
					t.Fatalf("the reason is %v", d.Reason)
				}
			}
		}
		if got := float64(us) / draws; math.Abs(got-tt.want) > 0.003 {
			t.Errorf("down %q: %.4f go to us, want %v", tt.down, got, tt.want)
		}
	}
	for _, bad := range []float64{-0.1, 0.6, math.NaN()} {
		s.Policies[0].Stages[1] = Failover{Sites: []string{"eu"}, Trickle: bad}
		if _, problems := Compile(s); len(problems) != 1 || problems[0].Path[len(problems[0].Path)-1] != "trickle" {
			t.Errorf("trickle %v: %v", bad, problems)
		}
	}
}

// TestStickyBound: an endpoint with too much to do keeps as many clients as bring it to the bound; the others have their next one, whose clients all stay.
func TestStickyBound(t *testing.T) {
	const clients = 300_000
	spec := Spec{Services: []ServiceSpec{{Name: "s"}}, Policies: []PolicySpec{
		{Name: "free", Stages: []StageSpec{Sticky{}}}, {Name: "bound", Stages: []StageSpec{Sticky{Bound: 1.25}}}, {Name: "first", Stages: []StageSpec{Sticky{Bound: 1.25}, Take{1}}},
	}}
	for i := range 4 {
		spec.Services[0].Endpoints = append(spec.Services[0].Endpoints, benchEndpoint(i, 1, ""))
	}
	p := mustCompile(t, spec)
	for _, tt := range []struct {
		loads []Load
		stay  []float64 // of the clients of each
	}{
		{[]Load{0, 0, 0, 0}, []float64{1, 1, 1, 1}},
		{[]Load{500, 500, 500, 500}, []float64{1, 1, 1, 1}},
		{[]Load{620, 460, 460, 460}, []float64{1, 1, 1, 1}},
		{[]Load{1000, 200, 200, 200}, []float64{0.5, 1, 1, 1}}, // a mean of 0.4, a bound of 0.5
		{[]Load{800, 800, 200, 200}, []float64{0.78125, 0.78125, 1, 1}},
	} {
		h := NewHealth(4)
		for i, l := range tt.loads {
			h = h.With(EndpointID(i), Verdict{Load: l})
		}
		var of, stay [4]float64
		var s Scratch
		r := seeded(6)
		for range clients {
			q := Query{Key: r.Uint64(), Dice: r.Uint64()}
			order := fmt.Sprint(p.Decide(&s, q, h).Endpoints)
			first := p.Decide(&s, q, h).Endpoints[0]
			second := p.Decide(&s, q, h).Endpoints[1]
			q.Policy = 1
			d := p.Decide(&s, q, h)
			of[first]++
			switch {
			case d.Endpoints[0] == first:
				stay[first]++
			case d.Endpoints[0] != second && tt.loads[second] <= 500:
				t.Fatalf("loads %v: order %s became %v", tt.loads, order, d.Endpoints)
			case d.Reason != ReasonShed:
				t.Fatalf("the reason is %v", d.Reason)
			}
			now := d.Endpoints[0]
			if q.Policy = 2; p.Decide(&s, q, h).Endpoints[0] != now {
				t.Fatalf("taking one, a client gets another")
			}
		}
		for i, want := range tt.stay {
			// of the clients of an endpoint beyond the bound some find no other: those have it too
			if got := stay[i] / of[i]; math.Abs(got-want) > 0.01 {
				t.Errorf("loads %v: endpoint %d keeps %.4f of its clients, want %v", tt.loads, i, got, want)
			}
		}
	}
	h := NewHealth(4).With(0, Verdict{Load: 4000})
	for key := range uint64(64) {
		note := p.Explain(Query{Policy: 1, Key: key}, h).Stages[1].Note
		leaves := sticky{bound: 1250}.leaves(&Scratch{plan: p, key: key, health: h}, 0, 1250_000)
		if want := fmt.Sprintf("the order of key %016x", key); (note != want) != leaves || leaves && note != want+"; s/e0 has a load of 4, more than 1.25, and the client is one of those too many" {
			t.Fatalf("explained as %s, leaves %v", note, leaves)
		}
	}
	for _, bad := range []float64{1, 0.5, -1, 101, math.NaN(), math.Inf(1)} {
		if _, problems := Compile(treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{Sticky{Bound: bad}}})); len(problems) != 1 {
			t.Errorf("bound %v: %v", bad, problems)
		}
	}
}
