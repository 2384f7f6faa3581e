package policy

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// mixedService has endpoints with IPv4, with IPv6 and with both.
func mixedService(name string, c chances, n int) ServiceSpec {
	s := ServiceSpec{Name: name}
	for i := range n {
		e := EndpointSpec{Name: fmt.Sprint("e", i), Weight: uint32(c.IntN(6)), Site: fmt.Sprint("s", c.IntN(3)), Port: 443}
		kind := c.IntN(3)
		if kind != 0 {
			e.V4 = netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})
		}
		if kind != 1 {
			e.V6 = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 1)})
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

// agree reports whether some begin with the first of all, if they have it; where multi chose, whether they have every one of all that
// they can have.
func agree(all, some []EndpointID, has func(EndpointID) bool, multi bool) bool {
	for i, id := range all {
		if has(id) && (multi && !slices.Contains(some, id) || !multi && i == 0 && (len(some) == 0 || some[0] != id)) {
			return false
		}
	}
	return true
}

// With dice that are joint, what a policy draws among all endpoints it draws among those of one family too, if it is there.
func TestJointDrawsAgree(t *testing.T) {
	weights := func(a, b uint32, stages ...StageSpec) Weighted {
		return Weighted{Branches: []Branch{{Sites: []string{"s0", "s1"}, Weight: a, Stages: stages}, {Sites: []string{"s1", "s2"}, Weight: b, Stages: stages}}}
	}
	policies := []PolicySpec{
		{Name: "weighted", Stages: []StageSpec{Weighted{}}},
		{Name: "shuffle", Stages: []StageSpec{Shuffle{}}},
		{Name: "multi", Stages: []StageSpec{Weighted{Multi: true}}},
		{Name: "multi-drawn", Stages: []StageSpec{Weighted{Multi: true}, Weighted{}}},
		{Name: "branches", Stages: []StageSpec{weights(2, 3, Weighted{})}},
		{Name: "nested", Stages: []StageSpec{weights(0, 3, weights(1, 1, Shuffle{}))}},
	}
	c := seeded(11)
	differs := 0
	for range 300 {
		p := mustCompile(t, Spec{
			Sites:    []SiteSpec{{Name: "s0"}, {Name: "s1"}, {Name: "s2"}},
			Services: []ServiceSpec{mixedService("s", c, 2+c.IntN(9))}, Policies: policies,
		})
		var s Scratch
		for id := range policies {
			for range 20 {
				q := Query{Policy: PolicyID(id), Family: FamilyAny, Dice: c.Uint64(), Joint: true}
				all := slices.Clone(p.Decide(&s, q, Health{}).Endpoints)
				for _, f := range []Family{FamilyV4, FamilyV6} {
					q.Family = f
					some := slices.Clone(p.Decide(&s, q, Health{}).Endpoints)
					has := func(e EndpointID) bool {
						return f == FamilyV4 && p.Endpoint(e).V4.IsValid() || f == FamilyV6 && p.Endpoint(e).V6.IsValid()
					}
					if !agree(all, some, has, strings.HasPrefix(policies[id].Name, "multi")) {
						t.Fatalf("%s: of all %v, of %v %v", policies[id].Name, all, f, some)
					}
					q.Joint = false
					if !agree(all, p.Decide(&s, q, Health{}).Endpoints, has, false) {
						differs++
					}
					q.Joint = true
				}
			}
		}
	}
	if differs == 0 {
		t.Error("draws that are not joint agree as well: this test shows nothing")
	}
}

// Joint draws have the shares of the weights, over dice.
func TestJointShares(t *testing.T) {
	const draws = 300_000
	for _, weights := range [][]uint32{{80, 20}, {1, 2, 3, 94}, {1, 1, 1, 1, 1}, {0, 5, 0, 5}} {
		p := weightsPlan(t, weights...)
		counts := make([]int, len(weights))
		var s Scratch
		r, total := seeded(42), 0.0
		for range draws {
			counts[p.Decide(&s, Query{Dice: r.Uint64(), Joint: true}, Health{}).Endpoints[0]]++
		}
		for _, w := range weights {
			total += float64(w)
		}
		for i, w := range weights {
			if off := float64(counts[i])/draws - float64(w)/total; math.Abs(off) > 0.003 {
				t.Errorf("weights %v: endpoint %d is off by %.2f points", weights, i, 100*off)
			}
		}
	}
	one := []StageSpec{Take{1}}
	p := mustCompile(t, Spec{
		Sites:    []SiteSpec{{Name: "s0"}, {Name: "s1"}},
		Services: []ServiceSpec{{Name: "s", Endpoints: []EndpointSpec{{Name: "a", V4: netip.MustParseAddr("192.0.2.1"), Weight: 1, Site: "s0"}, {Name: "b", V4: netip.MustParseAddr("192.0.2.2"), Weight: 1, Site: "s1"}}}},
		Policies: []PolicySpec{
			{Name: "branches", Stages: []StageSpec{Weighted{Branches: []Branch{{Sites: []string{"s0"}, Weight: 1, Stages: one}, {Sites: []string{"s1"}, Weight: 3, Stages: one}}}}},
			{Name: "even", Stages: []StageSpec{Weighted{Branches: []Branch{{Sites: []string{"s0"}, Stages: one}, {Sites: []string{"s1"}, Stages: one}}}}},
		},
	})
	var s Scratch
	for id, want := range []float64{0.25, 0.5} {
		r, first := seeded(43), 0
		for range draws {
			if p.Decide(&s, Query{Policy: PolicyID(id), Dice: r.Uint64(), Joint: true}, Health{}).Endpoints[0] == 0 {
				first++
			}
		}
		if got := float64(first) / draws; math.Abs(got-want) > 0.003 {
			t.Errorf("%s: the first branch has %.4f, want %.4f", p.PolicyName(PolicyID(id)), got, want)
		}
	}
}
