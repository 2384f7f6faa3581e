package policy

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
)

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b Point
		km   float64
	}{
		{Point{0, 0}, Point{0, 0}, 0},
		{Point{0, 0}, Point{0, 180}, 20015},
		{Point{90, 0}, Point{-90, 77}, 20015},
		{Point{0, 0}, Point{0, 90}, 10008},
		{Point{0, 179.5}, Point{0, -179.5}, 111.2}, // across the date line
		{Point{36.12, -86.67}, Point{33.94, -118.4}, 2887},
		{Point{52.52, 13.405}, Point{48.8566, 2.3522}, 878},
	} {
		got := distance(tt.a, tt.b) / 1000
		if math.Abs(got-tt.km) > 1 {
			t.Errorf("%v to %v: %.1f km, want %.1f", tt.a, tt.b, got, tt.km)
		}
		if back := distance(tt.b, tt.a) / 1000; back != got {
			t.Errorf("%v to %v: %v one way, %v back", tt.a, tt.b, got, back)
		}
	}
}

func TestRankRow(t *testing.T) {
	at := func(lat, lon float64) *Point { return &Point{lat, lon} }
	p := mustCompile(t, Spec{Sites: []SiteSpec{ // by id: 1 to 6
		{Name: "dublin", At: at(53.35, -6.26)},
		{Name: "virginia", At: at(39.04, -77.49)},
		{Name: "mumbai", At: at(19.08, 72.88)},
		{Name: "unknown"},
		{Name: "mumbai-2", At: at(19.08, 72.88)},
		{Name: "unknown-2"},
	}})
	paris := place{known: true, at: Point{48.85, 2.35}}
	for _, tt := range []struct {
		name string
		to   target
		from place
		want []uint16 // NoSite first
	}{
		{"nearest", target{nearest: true}, paris, []uint16{5, 0, 1, 2, 3, 2, 4}},
		{"nearest from nowhere", target{nearest: true}, place{}, []uint16{6, 0, 1, 2, 3, 4, 5}},
		{"nearest from a site without coordinates", target{nearest: true}, place{site: 4}, []uint16{6, 1, 2, 3, 0, 4, 5}},
		{"listed, then by distance", target{sites: []SiteID{6, 3}}, paris, []uint16{6, 2, 3, 1, 5, 4, 0}},
		{"listed, then two as far", target{sites: []SiteID{1, 2}}, paris, []uint16{5, 0, 1, 2, 3, 2, 4}},
		{"listed, then in order", target{sites: []SiteID{2}}, place{}, []uint16{6, 1, 0, 2, 3, 4, 5}},
		{"all listed", target{sites: []SiteID{6, 5, 4, 3, 2, 1}}, paris, []uint16{6, 5, 4, 3, 2, 1, 0}},
	} {
		if got := rankRow(p.sites, tt.to, tt.from); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// flatten must agree, at every edge, with a search for the longest prefix.
func TestFlatten(t *testing.T) {
	for seed := range uint64(500) {
		r := seeded(seed)
		var prefixes []netip.Prefix
		var values []int
		for range r.IntN(10) {
			if p := randomPrefix(r); p.Addr().Is4() && !slices.Contains(prefixes, p) {
				values = append(values, len(prefixes))
				prefixes = append(prefixes, p)
			}
		}
		spans := flatten(prefixes, values, -1, lastV4)
		if spans[0].start != (u128{}) {
			t.Fatalf("seed %d: the first span starts at %v", seed, spans[0].start)
		}
		check := func(x u128) {
			if lastV4.less(x) {
				return
			}
			want, best := -1, -1
			for i, p := range prefixes {
				if !x.less(firstAddr(p)) && !lastAddr(p).less(x) && p.Bits() > best {
					want, best = i, p.Bits()
				}
			}
			got := -2
			for _, s := range spans {
				if !x.less(s.start) {
					got = s.value
				}
			}
			if got != want {
				t.Fatalf("seed %d: %v has value %d, want %d\nprefixes %v\nspans %v", seed, x, got, want, prefixes, spans)
			}
		}
		for i, s := range spans {
			if i > 0 && !spans[i-1].start.less(s.start) {
				t.Fatalf("seed %d: spans %v", seed, spans)
			}
			check(s.start)
			if i > 0 {
				check(s.start.prev())
			}
		}
		for _, p := range prefixes {
			check(firstAddr(p))
			check(lastAddr(p))
			check(lastAddr(p).next())
		}
	}
}

// The index over a large table must not change what it finds.
func TestTableIndex(t *testing.T) {
	p := mustCompile(t, benchSpec(3000))
	g := p.policies[1].stages[1].(*geo)
	if g.v4.index == nil {
		t.Fatal("no index")
	}
	plain := g.v4
	plain.index = nil
	check := func(x uint32) {
		a, as := g.v4.find(x)
		b, bs := plain.find(x)
		if a != b || as != bs {
			t.Fatalf("%08x: %d/%d with the index, %d/%d without", x, a, as, b, bs)
		}
	}
	r := seeded(9)
	for range 100_000 {
		check(r.Uint32())
	}
	for _, x := range plain.starts {
		check(x - 1)
		check(x)
		check(x + 1)
	}
}

// scopeCase is a geo stage with its Spec, and the rank of each site for an address by the naive search.
type scopeCase struct {
	spec Spec
	plan *Plan
	geo  Geo
}

// row renders the ranks for an address.
func (c scopeCase) row(a netip.Addr) string {
	return fmt.Sprint(naiveRow(c.spec, c.geo, NoSite, netip.PrefixFrom(a, a.BitLen())))
}

// edges returns addresses at which the outcome may change.
func (c scopeCase) edges() []netip.Addr {
	var list []netip.Addr
	add := func(p netip.Prefix) {
		first, last := p.Masked().Addr(), lastOf(p)
		for _, a := range []netip.Addr{first, first.Prev(), last, last.Next()} {
			if a.IsValid() && !a.Is4In6() {
				list = append(list, a)
			}
		}
	}
	for _, n := range c.spec.Networks {
		add(n.Prefix)
	}
	for _, r := range c.geo.Rules {
		if r.Prefix.IsValid() {
			add(r.Prefix)
		}
	}
	return list
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// The scope of a Decision must be exact: no address inside it has another geo outcome, and in a scope one bit shorter one has. The
// outcome can only change at an edge of a prefix, so looking at the edges, and at the scope's own ends, is looking at everything.
func TestScopeIsExact(t *testing.T) {
	checked := map[uint8]int{}
	for seed := range uint64(1500) {
		r := seeded(seed)
		c := scopeCase{spec: randomSpec(r)}
		c.geo = randomGeo(r, c.spec)
		c.spec.Policies = []PolicySpec{{Name: "p", Stages: []StageSpec{c.geo}}}
		c.spec.Services = []ServiceSpec{{Name: "s"}}
		for i, s := range c.spec.Sites {
			c.spec.Services[0].Endpoints = append(c.spec.Services[0].Endpoints, benchEndpoint(i, 1, s.Name))
		}
		c.plan = mustCompile(t, c.spec)
		edges := c.edges()
		for range 10 {
			a := randomAddr(r)
			if len(edges) > 0 && r.IntN(2) == 0 {
				a = edges[r.IntN(len(edges))]
			}
			checked[checkScope(t, c, edges, a)]++
		}
	}
	if len(checked) < 30 || checked[0] < 100 {
		t.Errorf("the cases are too few: %v", checked)
	}
}

func checkScope(t *testing.T, c scopeCase, edges []netip.Addr, a netip.Addr) uint8 {
	t.Helper()
	var s Scratch
	d := c.plan.Decide(&s, Query{Client: netip.PrefixFrom(a, a.BitLen())}, Health{})
	answer := slices.Clone(d.Endpoints)
	scope := netip.PrefixFrom(a, int(d.Scope)).Masked()
	want := c.row(a)
	probes := append([]netip.Addr{scope.Addr(), lastOf(scope)}, edges...)
	for _, b := range probes {
		if b.BitLen() != a.BitLen() || !scope.Contains(b) || b.Is4In6() {
			continue
		}
		if got := c.row(b); got != want {
			t.Fatalf("%v and %v are both in %v: %s and %s\nspec %s", a, b, scope, want, got, show(c.spec))
		}
		e := c.plan.Decide(&s, Query{Client: netip.PrefixFrom(b, b.BitLen())}, Health{})
		if !slices.Equal(e.Endpoints, answer) || e.Scope != d.Scope {
			t.Fatalf("%v in the scope of %v gets %+v, not %v/%d", b, a, e, answer, d.Scope)
		}
	}
	if d.Scope == 0 {
		return 0
	}
	wider := netip.PrefixFrom(a, int(d.Scope)-1).Masked()
	for _, b := range append(probes, wider.Addr(), lastOf(wider)) {
		if b.BitLen() == a.BitLen() && wider.Contains(b) && c.row(b) != want {
			return d.Scope
		}
	}
	t.Fatalf("%v has scope %d, but %v is all the same\nspec %s", a, d.Scope, wider, show(c.spec))
	return 0
}

// With several geo stages and a whole policy around them, an address in the scope gets the same decision at equal dice.
func TestScopeOfWholePolicies(t *testing.T) {
	for seed := range uint64(1500) {
		r := seeded(seed)
		spec := randomSpec(r)
		p := mustCompile(t, spec)
		h := randomHealth(r, p)
		q := randomQuery(r, p)
		if !q.Client.IsValid() {
			continue
		}
		var s Scratch
		d := p.Decide(&s, q, h)
		want := slices.Clone(d.Endpoints)
		scope := netip.PrefixFrom(q.Client.Masked().Addr(), int(d.Scope)).Masked()
		for range 20 {
			b := randomAddr(r)
			if r.IntN(2) == 0 {
				b = lastOf(scope)
			}
			if !scope.Contains(b) || b.Is4In6() != q.Client.Addr().Is4In6() && b.Is4In6() {
				continue
			}
			q.Client = netip.PrefixFrom(b, b.BitLen())
			if e := p.Decide(&s, q, h); !slices.Equal(e.Endpoints, want) || e.Scope != d.Scope || e.Reason != d.Reason || e.TTL != d.TTL {
				t.Fatalf("seed %d: %v in %v gets %+v, not %v of %+v\nspec %s", seed, b, scope, e, want, d, show(spec))
			}
		}
	}
}

func TestScopeTable(t *testing.T) {
	s := soundSpec()
	s.Networks = []NetworkSpec{
		{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Site: "eu"},
		{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Site: "us"},
		{Prefix: netip.MustParsePrefix("10.2.0.0/16"), Site: "eu"}, // no other outcome than around it
		{Prefix: netip.MustParsePrefix("2001:db8::/32"), Site: "us"},
	}
	s.Policies = []PolicySpec{{Name: "p", Stages: []StageSpec{Geo{Default: GeoTarget{Nearest: true}}}}}
	p := mustCompile(t, s)
	for _, tt := range []struct {
		client string
		scope  uint8
	}{
		{"10.1.2.3/32", 16},
		{"10.1.0.0/24", 16},
		{"10.1.0.0/12", 16}, // 10.0.0.0 locates it; the scope asks for more bits
		{"10.0.0.1/32", 16},
		{"10.3.0.1/32", 15}, // 10.2.0.0/15
		{"10.4.0.1/32", 14},
		{"10.200.0.1/32", 9},
		{"11.0.0.1/32", 8}, // eu is also what comes first for a client of no network
		{"::ffff:10.1.2.3/128", 112},
		{"2001:db8::1/128", 32},
		{"2001:db9::1/56", 32},
		{"8000::/1", 1},
		{"::/0", 3},
	} {
		var s Scratch
		client := netip.MustParsePrefix(tt.client)
		if d := p.Decide(&s, Query{Client: client}, Health{}); d.Scope != tt.scope {
			t.Errorf("%s has scope %d, want %d", tt.client, d.Scope, tt.scope)
		}
	}
	for _, q := range []Query{{From: 1, Client: netip.MustParsePrefix("10.1.2.3/32")}, {}, {From: 99}} {
		var s Scratch
		if d := p.Decide(&s, q, Health{}); d.Scope != 0 {
			t.Errorf("%+v has scope %d, want 0", q, d.Scope)
		}
	}
}
