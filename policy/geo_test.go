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
		if got, _ := rankRow(p.sites, tt.to, tt.from); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Tables of half a million networks are there once: for all stages without networks of their own, and for those with the same.
func TestStagesShareTables(t *testing.T) {
	spec := soundSpec()
	rule := func(prefix, site string) GeoRule {
		return GeoRule{Prefix: netip.MustParsePrefix(prefix), To: GeoTarget{Sites: []string{site}}}
	}
	stages := []Geo{
		{Default: GeoTarget{Nearest: true}},
		{Default: GeoTarget{Nearest: true}},
		{Default: GeoTarget{Sites: []string{"us"}}},
		{Rules: []GeoRule{rule("10.0.0.0/8", "us"), rule("192.0.2.0/24", "eu")}, Default: GeoTarget{Nearest: true}},
		{Rules: []GeoRule{rule("192.0.2.0/24", "us"), rule("10.0.0.0/8", "us")}, Default: GeoTarget{Nearest: true}},
		{Rules: []GeoRule{rule("192.0.2.0/24", "us")}, Default: GeoTarget{Nearest: true}},
	}
	spec.Policies = nil
	for i, g := range stages {
		spec.Policies = append(spec.Policies, PolicySpec{Name: fmt.Sprint("p", i), Stages: []StageSpec{Healthy{}, g}})
	}
	p := mustCompile(t, spec)
	at := func(i int) *geo { return p.policies[i].stages[1].(*geo) }
	if at(0) != at(1) || at(0) == at(2) {
		t.Error("equal stages are two, or different ones are one")
	}
	if at(0).atlas != at(2).atlas || at(3).atlas != at(4).atlas {
		t.Error("a table is there twice")
	}
	if at(0).atlas == at(3).atlas || at(3).atlas == at(5).atlas {
		t.Error("stages with different networks share a table")
	}
}

// flatten must agree, at every edge, with a search for the longest prefix.
func TestFlatten(t *testing.T) {
	for seed := range uint64(1000) {
		r := seeded(seed)
		last, v4 := lastV6, r.IntN(2) == 0
		if v4 {
			last = lastV4
		}
		var prefixes []netip.Prefix
		var list []interval
		for range r.IntN(10) {
			if p := randomPrefix(r); p.Addr().Is4() == v4 && !slices.Contains(prefixes, p) {
				list = append(list, intervalOf(p, len(prefixes)))
				prefixes = append(prefixes, p)
			}
		}
		sortIntervals(list)
		const none = 99
		var spans table6 // merges equal neighbours, so what it is given is kept aside
		var starts []u128
		flatten(list, none, last, func(start u128, value uint32) {
			starts = append(starts, start)
			spans.add(start, value)
		})
		check := func(x u128) {
			if last.less(x) {
				return
			}
			want, best := uint32(none), -1
			for i, p := range prefixes {
				if in := intervalOf(p, 0); !x.less(in.start) && !in.end(last).less(x) && p.Bits() > best {
					want, best = uint32(i), p.Bits()
				}
			}
			if _, got := spans.find(x); got != want {
				t.Fatalf("seed %d: %v has value %d, want %d\nprefixes %v\nranges %v", seed, x, got, want, prefixes, spans)
			}
		}
		for i, s := range starts {
			if i == 0 && s != (u128{}) || i > 0 && !starts[i-1].less(s) {
				t.Fatalf("seed %d: starts %v", seed, starts)
			}
			check(s)
			check(s.prev())
		}
		for _, p := range prefixes {
			in := intervalOf(p, 0)
			check(in.start)
			check(in.end(last))
			check(in.end(last).next())
		}
	}
}
