package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

// randomPlace returns one of few places, so that databases agree and differ. Some say nothing.
func randomPlace(c chances) PlaceSpec {
	p := []PlaceSpec{
		{},
		{City: "London", Subdivision: "ENG", Country: "GB", Continent: "EU", Located: true, At: Point{53.35, -6.26}, Radius: 20},
		{City: "Leeds", Subdivision: "ENG", Country: "GB", Continent: "EU", Located: true, At: Point{53.35, -6.26}, Radius: 20},
		{Country: "GB", Continent: "EU", Located: true, At: Point{45, 0}, Radius: 1000},
		{Country: "NA", Continent: "AF", Located: true, At: Point{-45, 0}, Radius: 1001},
		{Country: "US", Continent: "NA", Located: true, Radius: 5}, // 0,0: not said
		{Country: "US", Continent: "NA", Located: true, At: Point{39.04, -77.49}},
		{Continent: "NA"},
		{City: "Monaco", Country: "MC", Continent: "EU"},
		{Located: true, At: Point{19.08, 72.88}, Radius: 1},
	}[c.IntN(10)]
	if c.IntN(3) == 0 {
		p.ASN = uint32(64500 + c.IntN(3))
	}
	return p
}

// A row is a network of a database, as it is written down.
type row struct {
	network netip.Prefix
	place   PlaceSpec
}

// tableOf returns rows as a table.
func tableOf(tb testing.TB, name string, rows []row) *NetworkTable {
	tb.Helper()
	b := NewTable(name)
	for _, x := range rows {
		id, err := b.Place(x.place)
		if err == nil {
			err = b.Add(x.network, id)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return b.Table()
}

// randomRows returns networks that do not overlap, in order.
func randomRows(c chances) (rows []row) {
	for range c.IntN(10) {
		x := row{randomPrefix(c), randomPlace(c)}
		if !slices.ContainsFunc(rows, func(y row) bool { return y.network.Overlaps(x.network) }) {
			rows = append(rows, x)
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return a.network.Addr().Compare(b.network.Addr()) })
	return rows
}

// randomGeoData adds networks that go after those of a Spec, and databases.
func randomGeoData(c chances, s *Spec) {
	if c.IntN(2) == 0 {
		return
	}
	seen := map[netip.Prefix]bool{}
	for range c.IntN(4) {
		p := randomPrefix(c)
		if !seen[p] {
			s.Listed = append(s.Listed, NetworkSpec{Prefix: p, Site: s.Sites[c.IntN(len(s.Sites))].Name})
		}
		seen[p] = true
	}
	if len(s.Networks) > 0 && c.IntN(2) == 0 {
		n := &s.Networks[c.IntN(len(s.Networks))]
		n.Within = []string{"GB", "EU"}[c.IntN(2):]
	}
	for range c.IntN(4) {
		b := NewTable(fmt.Sprint("db", len(s.Tables)))
		for _, x := range randomRows(c) {
			id, err := b.Place(x.place)
			if err == nil {
				err = b.Add(x.network, id)
			}
			if err != nil {
				panic(err)
			}
		}
		s.Tables = append(s.Tables, b.Table())
	}
	if c.IntN(4) == 0 {
		s.MaxRadius = 20
	}
}

// databaseRegions returns regions that rules of a Spec can be for.
func databaseRegions(s Spec) []string {
	for _, t := range s.Tables {
		if t.len() > 0 {
			return []string{"AS64500", "AS64501", "GB/ENG/London", "GB/ENG", "GB", "US", "EU", "country/NA", "continent/NA", "MC//Monaco"}
		}
	}
	return nil
}

// naiveDatabases joins what databases say of an address by looking at every range.
func naiveDatabases(s Spec, addr netip.Addr) (at *Point, regions []string) {
	var area *PlaceSpec
	asn := uint32(0)
	for _, t := range s.Tables {
		for r, p := range t.All() {
			if r.First().BitLen() != addr.BitLen() || addr.Less(r.First()) || r.Last().Less(addr) {
				continue
			}
			if area == nil && (p.Country != "" || p.Continent != "" || p.Located && p.At != Point{}) {
				area = p
			}
			asn = cmp.Or(asn, p.ASN)
		}
	}
	if asn != 0 {
		regions = append(regions, fmt.Sprint("AS", asn))
	}
	if area == nil {
		return nil, regions
	}
	limit := cmp.Or(s.MaxRadius, 1000)
	if area.Located && (area.At != Point{}) && float64(area.Radius) <= limit {
		at = &area.At
	}
	return at, append(regions, area.areaRegions()...)
}

// dbSpec is a Spec of a database of a few places, with one geo stage.
func dbSpec(tb testing.TB, g Geo) Spec {
	s := worldSpec(g, Take{1})
	in := func(network string, p PlaceSpec) row { return row{netip.MustParsePrefix(network), p} }
	london := PlaceSpec{City: "London", Subdivision: "ENG", Country: "GB", Continent: "EU", Located: true, At: Point{51.5, -0.1}, Radius: 10}
	s.Tables = []*NetworkTable{
		tableOf(tb, "city", []row{
			in("10.0.0.0/16", london),
			in("10.1.0.0/16", PlaceSpec{City: "Leeds", Subdivision: "ENG", Country: "GB", Continent: "EU", Located: true, At: Point{53.8, -1.5}, Radius: 10}),
			in("10.2.0.0/16", PlaceSpec{Country: "US", Continent: "NA", Located: true, At: Point{37.8, -97.8}, Radius: 2000}),
			in("10.3.0.0/16", PlaceSpec{Country: "IN", Continent: "AS", Located: true, At: Point{19, 73}, Radius: 5}),
			in("10.4.0.0/16", PlaceSpec{Country: "NA", Continent: "AF"}),
			in("192.0.2.0/24", PlaceSpec{Country: "IN", Continent: "AS", Located: true, At: Point{19, 73}, Radius: 5}),
			in("2001:db8::/32", london),
		}),
		tableOf(tb, "asn", []row{in("10.1.0.0/17", PlaceSpec{ASN: 64500}), in("10.3.0.0/16", PlaceSpec{ASN: 64501})}),
	}
	return s
}

// The narrowest region that has a rule decides; own networks go first, and what the configuration says of a network before the databases.
func TestGeoByDatabase(t *testing.T) {
	to := func(site string) GeoTarget { return GeoTarget{Sites: []string{site}} }
	rule := func(region, site string) GeoRule { return GeoRule{Region: region, To: to(site)} }
	us := Geo{Default: to("us")}
	near := GeoTarget{Nearest: true}
	for _, tt := range []struct {
		name         string
		geo          Geo
		client, want string
	}{
		{"country", Geo{Rules: []GeoRule{rule("GB", "ap")}, Default: to("us")}, "10.0.0.1/32", "ap1"},
		{"country, spelled out", Geo{Rules: []GeoRule{rule("country/GB", "ap")}, Default: to("us")}, "10.0.0.1/32", "ap1"},
		{"city before country", Geo{Rules: []GeoRule{rule("GB", "ap"), rule("GB/ENG/London", "eu")}, Default: to("us")}, "10.0.0.1/32", "eu1"},
		{"another city of the country", Geo{Rules: []GeoRule{rule("GB", "ap"), rule("GB/ENG/London", "eu")}, Default: to("us")}, "10.1.128.1/32", "ap1"},
		{"subdivision before continent", Geo{Rules: []GeoRule{rule("EU", "ap"), rule("GB/ENG", "eu")}, Default: to("us")}, "2001:db8::1/128", "eu1"},
		{"system before city", Geo{Rules: []GeoRule{rule("GB/ENG/Leeds", "ap"), rule("AS64500", "eu")}, Default: to("us")}, "10.1.0.1/32", "eu1"},
		{"city outside the system", Geo{Rules: []GeoRule{rule("GB/ENG/Leeds", "ap"), rule("AS64500", "eu")}, Default: to("us")}, "10.1.128.1/32", "ap1"},
		{"continent", Geo{Rules: []GeoRule{rule("continent/AS", "ap")}, Default: to("us")}, "10.3.0.1/32", "ap1"},
		{"no continent's country", Geo{Rules: []GeoRule{rule("continent/NA", "ap")}, Default: to("us")}, "10.4.0.1/32", "us1"},
		{"country of a continent's code", Geo{Rules: []GeoRule{rule("country/NA", "ap")}, Default: to("us")}, "10.4.0.1/32", "ap1"},
		{"default", us, "10.0.0.1/32", "us1"},
		{"own network first", Geo{Rules: []GeoRule{rule("GB", "ap"), {Prefix: netip.MustParsePrefix("10.0.0.0/9"), To: to("eu")}}, Default: to("us")}, "10.0.0.1/32", "eu1"},
		{"the configuration before the database", Geo{Rules: []GeoRule{rule("IN", "ap")}, Default: near}, "192.0.2.1/32", "eu1"},
		{"nearest by the database", Geo{Default: near}, "10.3.0.1/32", "ap1"},
		{"nearest, too inaccurate", Geo{Default: near}, "10.2.0.1/32", "eu1"},
		{"nearest, not located", Geo{Default: near}, "10.4.0.1/32", "eu1"},
		{"nearest, nowhere", Geo{Default: near}, "11.0.0.1/32", "eu1"},
	} {
		p := mustCompile(t, dbSpec(t, tt.geo))
		got := p.Explain(Query{Client: netip.MustParsePrefix(tt.client)}, Health{})
		if len(got.Endpoints) != 1 || got.Endpoints[0] != "web/"+tt.want {
			t.Errorf("%s: %v, want %s; %s", tt.name, got.Endpoints, tt.want, explained(got))
		}
	}
}

func TestMaxRadius(t *testing.T) {
	for radius, want := range map[float64]string{0: "web/eu1", 1999: "web/eu1", 2000: "web/us1", 5: "web/eu1"} {
		s := dbSpec(t, Geo{Default: GeoTarget{Nearest: true}})
		s.MaxRadius = radius
		got := mustCompile(t, s).Explain(Query{Client: netip.MustParsePrefix("10.2.0.1/32")}, Health{})
		if got.Endpoints[0] != want || (got.Client.At != nil) != (radius == 2000) || got.Client.Radius != 2000 {
			t.Errorf("%v km: %v, client %+v", radius, got.Endpoints, got.Client)
		}
	}
	s := dbSpec(t, Geo{Default: GeoTarget{Nearest: true}})
	s.MaxRadius = -1
	if _, problems := Compile(s); len(problems) != 1 || fmt.Sprint(problems[0].Path) != "[geo max_radius]" {
		t.Errorf("%v", problems)
	}
}

func TestRulesForRegionsOfDatabases(t *testing.T) {
	rule := func(region string) Geo {
		return Geo{Rules: []GeoRule{{Region: region, To: GeoTarget{Sites: []string{"eu"}}}}, Default: GeoTarget{Nearest: true}}
	}
	for region, want := range map[string]string{
		"GB": "", "FR": "", "AS1": "", "FR/IDF/Paris": "", "europe": "",
		"NA":     "[policies p 0 geo NA] \"NA\" is North America and Namibia: write continent/NA or country/NA",
		"eurpoe": "[policies p 0 geo eurpoe] no site and no network is in region \"eurpoe\"",
	} {
		_, problems := Compile(dbSpec(t, rule(region)))
		got := ""
		for _, p := range problems {
			got += fmt.Sprint(p.Path) + " " + p.Msg
		}
		if got != want {
			t.Errorf("%s: %q, want %q", region, got, want)
		}
	}
	s := dbSpec(t, rule("NA"))
	s.Sites[1].Region = "NA" // of their own: it is what they mean
	if _, problems := Compile(s); len(problems) > 0 {
		t.Errorf("own region NA: %v", problems)
	}
	s = dbSpec(t, rule("GB"))
	s.Tables = nil
	if _, problems := Compile(s); len(problems) != 1 {
		t.Errorf("GB without a database: %v", problems)
	}
	g := rule("GB")
	g.Rules = append(g.Rules, GeoRule{Region: "country/GB", To: g.Rules[0].To})
	if _, problems := Compile(dbSpec(t, g)); len(problems) != 1 {
		t.Errorf("two rules for a region: %v", problems)
	}
}

// What policies cannot tell apart is one: neither cities without a rule nor coordinates with the sites in the same order make a place.
func TestPlacesAreFew(t *testing.T) {
	var rows []row
	for i := range 256 {
		rows = append(rows, row{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 16), PlaceSpec{
			ASN: uint32(i + 1), City: fmt.Sprint("city ", i), Country: "GB", Continent: "EU", Located: true, At: Point{50 + float64(i)/100, 0}, Radius: 1,
		}})
	}
	s := worldSpec(Geo{Rules: []GeoRule{{Region: "GB//city 7", To: GeoTarget{Sites: []string{"ap"}}}}, Default: GeoTarget{Nearest: true}})
	s.Tables = []*NetworkTable{tableOf(t, "t", rows)}
	p := mustCompile(t, s)
	if n := len(p.places) - len(p.sites) - 2; n != 2 { // of the networks of worldSpec one is in a region, one at a point
		t.Errorf("%d places", n)
	}
	a := p.stages[0].atlas
	if n := len(a.v4.starts); n > 14 {
		t.Errorf("%d ranges", n)
	}
	got := p.Explain(Query{Client: netip.MustParsePrefix("10.7.0.0/16")}, Health{})
	if got.Stages[1].Rule != "GB//city 7" || got.Scope != 16 {
		t.Errorf("%s, scope %d", explained(got), got.Scope)
	}
}

func TestExplainDatabases(t *testing.T) {
	p := mustCompile(t, dbSpec(t, Geo{Rules: []GeoRule{{Region: "GB", To: GeoTarget{Sites: []string{"eu"}}}}, Default: GeoTarget{Nearest: true}}))
	for client, want := range map[string]string{
		"10.1.2.3/32":     "10.1.0.0/17 [AS64500 GB/ENG/Leeds GB/ENG GB EU] [city asn] {53.8 -1.5} 10 AS64500",
		"10.1.128.0/24":   "10.1.0.0/16 [GB/ENG/Leeds GB/ENG GB EU] [city] {53.8 -1.5} 10 GB/ENG/Leeds",
		"10.2.0.0/24":     "10.2.0.0/16 [US continent/NA] [city] unknown 2000 US",
		"10.4.0.0/24":     "10.4.0.0/16 [country/NA continent/AF] [city] unknown 0 country/NA",
		"12.0.0.0/24":     " [] [] unknown 0 ",
		"192.0.2.0/24":    "192.0.2.0/24 [europe] [] {53.35 -6.26} 0 europe",
		"2001:db8:1::/48": "2001:db8::/32 [GB/ENG/London GB/ENG GB EU] [city] {51.5 -0.1} 10 GB/ENG/London",
	} {
		c := p.Explain(Query{Client: netip.MustParsePrefix(client)}, Health{}).Client
		at := "unknown"
		if c.At != nil {
			at = fmt.Sprint(*c.At)
		}
		if got := fmt.Sprint(c.Network, " ", c.Regions, " ", c.Databases, " ", at, " ", c.Radius, " ", c.Region); got != want {
			t.Errorf("%s:\n%s, want\n%s", client, got, want)
		}
	}
}
