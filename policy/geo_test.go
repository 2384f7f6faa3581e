package policy

import (
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
