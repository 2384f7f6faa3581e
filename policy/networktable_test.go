package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

// A table must say of every address what the row around it says, and of the largest network around it that it is all the same.
func TestTableSaysWhatItWasTold(t *testing.T) {
	for seed := range uint64(2000) {
		r := seeded(seed)
		rows := randomRows(r)
		table := tableOf(t, "t", rows)
		want := func(a netip.Addr) PlaceSpec {
			for _, x := range rows {
				if x.network.Contains(a) {
					return x.place
				}
			}
			return PlaceSpec{}
		}
		var edges []netip.Addr
		for _, x := range rows {
			first, last := x.network.Addr(), lastOf(x.network)
			for _, a := range []netip.Addr{first, first.Prev(), last, last.Next()} {
				if a.IsValid() {
					edges = append(edges, a)
				}
			}
		}
		for _, a := range append(edges, randomAddr(r), randomAddr(r)) {
			if a.Is4In6() {
				continue
			}
			got, network := table.Lookup(a)
			if got != want(a) || !network.Contains(a) {
				t.Fatalf("seed %d: %v is at %+v in %v, want %+v\nrows %v", seed, a, got, network, want(a), rows)
			}
			for _, b := range append(edges, network.Addr(), lastOf(network)) {
				if network.Contains(b) && want(b) != got {
					t.Fatalf("seed %d: %v and %v are both in %v, at %+v and %+v", seed, a, b, network, got, want(b))
				}
			}
			if network.Bits() > 0 {
				wider := netip.PrefixFrom(a, network.Bits()-1).Masked()
				if !slices.ContainsFunc(append(edges, wider.Addr(), lastOf(wider)), func(b netip.Addr) bool { return wider.Contains(b) && want(b) != got }) {
					t.Fatalf("seed %d: %v is all the same, not just %v", seed, wider, network)
				}
			}
		}
	}
}

func TestTableBuilderRefuses(t *testing.T) {
	pfx := netip.MustParsePrefix
	b := NewTable("t")
	for _, tt := range []struct {
		network netip.Prefix
		ok      bool
	}{
		{pfx("10.0.0.0/8"), true},
		{pfx("10.1.0.0/16"), false}, // inside
		{pfx("9.0.0.0/8"), false},   // before
		{pfx("11.0.0.1/8"), false},  // no network
		{pfx("::ffff:11.0.0.0/104"), false},
		{netip.Prefix{}, false},
		{pfx("11.0.0.0/8"), true},
		{pfx("255.0.0.0/8"), true},
		{pfx("255.255.255.255/32"), false}, // nothing is left
		{pfx("::/0"), true},
		{pfx("::/0"), false},
	} {
		if err := b.Add(tt.network, 0); (err == nil) != tt.ok {
			t.Errorf("%v: %v", tt.network, err)
		}
	}
	nan := Point{Lat: 0}
	nan.Lat /= nan.Lat
	for name, p := range map[string]PlaceSpec{
		"country":        {Country: "gb"},
		"continent":      {Continent: "Europe"},
		"no country":     {City: "London"},
		"slash":          {Country: "GB", Subdivision: "E/NG"},
		"control":        {Country: "GB", City: "a\nb"},
		"blanks":         {Country: "GB", City: " "},
		"latitude":       {Located: true, At: Point{91, 0}},
		"longitude":      {Located: true, At: Point{0, -181}},
		"no number":      {Located: true, At: nan},
		"radius":         {Radius: -1},
		"half a name":    {Country: "GB", City: "\xff"},
		"a lengthy name": {Country: "GB", City: string(make([]byte, 300))},
	} {
		if _, err := b.Place(p); err == nil {
			t.Errorf("%s: %+v is accepted", name, p)
		}
	}
	if id, err := b.Place(PlaceSpec{}); id != 0 || err != nil {
		t.Errorf("what says nothing is place %d, %v", id, err)
	}
	table := b.Table()
	if p, n := table.Lookup(netip.Addr{}); p != (PlaceSpec{}) || n.IsValid() {
		t.Errorf("no address is at %v in %v", p, n)
	}
	if v4, v6 := table.Len(); v4 != 1 || v6 != 1 || table.Name() != "t" {
		t.Errorf("%d and %d ranges of nothing", v4, v6)
	}
}

func TestRegions(t *testing.T) {
	for want, p := range map[string]PlaceSpec{
		"[]":                                   {},
		"[AS64500 GB/ENG/London GB/ENG GB EU]": {ASN: 64500, City: "London", Subdivision: "ENG", Country: "GB", Continent: "EU"},
		"[MC//Monaco MC EU]":                   {City: "Monaco", Country: "MC", Continent: "EU"},
		"[NA/KH country/NA continent/AF]":      {Subdivision: "KH", Country: "NA", Continent: "AF"},
		"[US continent/NA]":                    {Country: "US", Continent: "NA"},
		"[country/AS OC]":                      {Country: "AS", Continent: "OC"},
	} {
		if got := fmt.Sprint(p.Regions()); got != want {
			t.Errorf("%+v: %s, want %s", p, got, want)
		}
		for _, name := range p.Regions() {
			if !IsDatabaseRegion(name) || !IsRegion(name) || RegionName(name) != name {
				t.Errorf("%s is no region of a database", name)
			}
		}
	}
	for name, canonical := range map[string]string{"country/GB": "GB", "continent/EU": "EU", "country/NA": "country/NA", "country/gb": "country/gb", "europe": "europe"} {
		if got := RegionName(name); got != canonical {
			t.Errorf("%s is %s, want %s", name, got, canonical)
		}
	}
	for _, name := range []string{"", "gb", "GB/", "GB//", "GB/ENG/", "GB/ /London", "AS", "ASx", "AS12345678901", "GBR", "country/gb", "country/", "GB/E\n"} {
		if IsDatabaseRegion(name) != (name == "AS") {
			t.Errorf("%q: %v", name, IsDatabaseRegion(name))
		}
	}
}

func TestCompareTables(t *testing.T) {
	for seed := range uint64(500) {
		r := seeded(seed)
		a, b := tableOf(t, "a", randomRows(r)), tableOf(t, "b", randomRows(r))
		at := map[int]netip.Addr{} // where the next range may begin
		Compare(a, b, func(x Range, pa, pb *PlaceSpec) {
			if next := at[x.First().BitLen()]; next.IsValid() && x.First().Less(next) || x.Last().Less(x.First()) {
				t.Fatalf("seed %d: %v out of order", seed, x)
			}
			at[x.First().BitLen()] = x.Last().Next()
			for _, addr := range []netip.Addr{x.First(), x.Last()} {
				if addr.Is4In6() {
					continue
				}
				ga, _ := a.Lookup(addr)
				gb, _ := b.Lookup(addr)
				if ga != *pa || gb != *pb {
					t.Fatalf("seed %d: %v is at %v and %v, in %v at %v and %v", seed, addr, ga, gb, x, *pa, *pb)
				}
			}
		})
	}
	table := tableOf(t, "t", []row{
		{netip.MustParsePrefix("10.0.0.0/8"), PlaceSpec{Country: "GB"}}, {netip.MustParsePrefix("11.0.0.0/9"), PlaceSpec{Country: "GB"}},
		{netip.MustParsePrefix("12.0.0.0/8"), PlaceSpec{Country: "US"}}, {netip.MustParsePrefix("::/0"), PlaceSpec{Country: "US"}},
	})
	var got []string
	for x := range table.All() {
		got = append(got, fmt.Sprint(x, " ", x.CountV4()))
	}
	if want := []string{"10.0.0.0 - 11.127.255.255 25165824", "12.0.0.0/8 16777216", "::/0 0"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
