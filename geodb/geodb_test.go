package geodb

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/meridian-gslb/meridian/policy"
)

// dict, str and such make the values of records.
type dict = mmdbtype.Map

func str(s string) mmdbtype.DataType { return mmdbtype.String(s) }

func names(en string) dict {
	return dict{"names": dict{"de": str("Stadt " + en), "en": str(en), "ja": str("市")}, "geoname_id": mmdbtype.Uint32(7)}
}

// cityRecord is one as MaxMind's and DB-IP's City databases have them.
func cityRecord(city, sub, country, continent string, lat, lon float64, radius uint16) dict {
	c := names("a country")
	c["iso_code"] = str(country)
	k := names("a continent")
	k["code"] = str(continent)
	s := names("a subdivision")
	s["iso_code"] = str(sub)
	return dict{
		"city": names(city), "country": c, "continent": k, "subdivisions": mmdbtype.Slice{s, names("a narrower one")},
		"location":           dict{"latitude": mmdbtype.Float64(lat), "longitude": mmdbtype.Float64(lon), "accuracy_radius": mmdbtype.Uint16(radius), "time_zone": str("Europe/London")},
		"registered_country": c, "postal": dict{"code": str("SW1A")},
	}
}

// databaseOf returns the bytes of a database of records by network.
func databaseOf(tb testing.TB, kind string, version int, records map[string]mmdbtype.DataType) []byte {
	tb.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, BuildEpoch: 1_700_000_000, IPVersion: version, IncludeReservedNetworks: true, RecordSize: 24})
	if err != nil {
		tb.Fatal(err)
	}
	for network, record := range records {
		_, ip, err := net.ParseCIDR(network)
		if err == nil {
			err = tree.Insert(ip, record)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// Records of all shapes say the same.
func TestShapes(t *testing.T) {
	london := policy.PlaceSpec{City: "London", Subdivision: "ENG", Country: "GB", Continent: "EU", Located: true, At: policy.Point{Lat: 51.5, Lon: -0.25}, Radius: 20}
	with := func(f func(p *policy.PlaceSpec)) policy.PlaceSpec {
		p := london
		f(&p)
		return p
	}
	england := with(func(p *policy.PlaceSpec) { p.Subdivision, p.Radius = "England", 0 })
	gb, eu := dict{"iso_code": str("GB"), "names": dict{"en": str("United Kingdom")}}, dict{"code": str("EU")}
	for name, tt := range map[string]struct {
		record dict
		want   policy.PlaceSpec
	}{
		"City":            {cityRecord("London", "ENG", "GB", "EU", 51.5, -0.25, 20), london},
		"Country":         {dict{"country": gb, "continent": eu}, policy.PlaceSpec{Country: "GB", Continent: "EU"}},
		"ASN":             {dict{"autonomous_system_number": mmdbtype.Uint32(64500), "autonomous_system_organization": str("x")}, policy.PlaceSpec{ASN: 64500}},
		"Enterprise":      {dict{"country": gb, "traits": dict{"autonomous_system_number": mmdbtype.Uint32(64500), "isp": str("x")}}, policy.PlaceSpec{Country: "GB", ASN: 64500}},
		"DB-IP City Lite": {dict{"city": names("London"), "subdivisions": mmdbtype.Slice{names("England")}, "country": gb, "continent": eu, "location": dict{"latitude": mmdbtype.Float32(51.5), "longitude": mmdbtype.Float32(-0.25)}}, england},
		"IPinfo standard": {dict{"city": str("London"), "region": str("England"), "country": str("GB"), "continent": str("EU"), "lat": str("51.5"), "lng": str("-0.25"), "postal_code": str("x")}, england},
		"IPinfo loc":      {dict{"city": str("London"), "region": str("England"), "country": str("GB"), "continent": str("EU"), "loc": str("51.5, -0.25")}, england},
		"IPinfo region code": {dict{"city": str("London"), "region": str("England"), "region_code": str("ENG"), "country": str("United Kingdom"), "country_code": str("GB"), "continent": str("Europe"),
			"continent_code": str("EU"), "lat": str("51.5"), "lng": str("-0.25"), "radius": str("20")}, london},
		"IPinfo Lite":     {dict{"asn": str("AS64500"), "as_name": str("x"), "country": str("United Kingdom"), "country_code": str("GB"), "continent": str("Europe"), "continent_code": str("EU")}, policy.PlaceSpec{ASN: 64500, Country: "GB", Continent: "EU"}},
		"IPinfo ASN":      {dict{"asn": str("AS64500"), "domain": str("x")}, policy.PlaceSpec{ASN: 64500}},
		"IPinfo nested":   {dict{"geo": dict{"city": str("London"), "region_code": str("ENG"), "country_code": str("GB"), "continent_code": str("EU"), "latitude": mmdbtype.Float64(51.5), "longitude": mmdbtype.Float64(-0.25), "radius": mmdbtype.Uint32(20)}, "as": dict{"asn": str("AS1")}}, with(func(p *policy.PlaceSpec) { p.ASN = 1 })},
		"lower case":      {dict{"country": str("gb"), "continent": str("eu")}, policy.PlaceSpec{Country: "GB", Continent: "EU"}},
		"never 0,0":       {dict{"country": gb, "location": dict{"latitude": mmdbtype.Float64(0), "longitude": mmdbtype.Float64(0), "accuracy_radius": mmdbtype.Uint16(9)}}, policy.PlaceSpec{Country: "GB"}},
		"half located":    {dict{"country": gb, "location": dict{"latitude": mmdbtype.Float64(5)}}, policy.PlaceSpec{Country: "GB"}},
		"integer degrees": {dict{"lat": mmdbtype.Int32(-5), "lng": mmdbtype.Uint16(7)}, policy.PlaceSpec{Located: true, At: policy.Point{Lat: -5, Lon: 7}}},
		"empty texts":     {dict{"country": str("GB"), "lat": str(""), "lng": str(" "), "loc": str(""), "asn": str(""), "region": str("")}, policy.PlaceSpec{Country: "GB"}},
		"city alone":      {dict{"city": str("London"), "continent": str("EU")}, policy.PlaceSpec{Continent: "EU"}},
		"slash, control":  {dict{"city": str("Lon\ndon"), "region": str("a/b"), "country": str("GB")}, policy.PlaceSpec{Country: "GB", Subdivision: "a-b"}},
		"no subdivision":  {dict{"city": str("Monaco"), "country": str("MC"), "subdivisions": mmdbtype.Slice{}}, policy.PlaceSpec{Country: "MC", City: "Monaco"}},
		"of other kinds":  {dict{"city": mmdbtype.Uint16(4), "country": mmdbtype.Slice{str("GB")}, "subdivisions": str("x"), "location": str("x"), "lat": dict{}, "continent": str("EU")}, policy.PlaceSpec{Continent: "EU"}},
	} {
		db, err := Read("t", databaseOf(t, name, 6, map[string]mmdbtype.DataType{"192.0.2.0/24": tt.record, "2001:db8::/32": tt.record}))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, addr := range []string{"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.9"} {
			if got, _ := db.Table.Lookup(netip.MustParseAddr(addr)); got != tt.want {
				t.Errorf("%s: %s is at\n%+v, want\n%+v", name, addr, got, tt.want)
			}
		}
		if got, _ := db.Table.Lookup(netip.MustParseAddr("192.0.3.1")); got != (policy.PlaceSpec{}) {
			t.Errorf("%s: outside is at %+v", name, got)
		}
		if db.Type != name || db.Built != 1_700_000_000 || db.Networks != 2 || db.Records != 1 {
			t.Errorf("%s: %+v", name, db)
		}
	}
}

// What is written where a number belongs, or is out of its range, is refused, with the network.
func TestRecordsRefused(t *testing.T) {
	for want, record := range map[string]dict{
		`the record of 192.0.2.0/24: "lat": "x" is no number`:                 {"lat": str("x"), "lng": str("1")},
		`"loc": "" is no number`:                                              {"loc": str("5")},
		`"asn": "ASN5" is no autonomous system`:                               {"asn": str("ASN5")},
		`"asn": -1 is no number of an autonomous system`:                      {"asn": mmdbtype.Int32(-1)},
		`"asn": 4.294967296e+09 is no number`:                                 {"asn": mmdbtype.Uint64(1 << 32)},
		`coordinates 91,0.5 are out of range`:                                 {"lat": str("91"), "lng": str("0.5")},
		`a radius of -1 km is out of range`:                                   {"lat": str("1"), "lng": str("1"), "radius": str("-1")},
		`"lat": NaN is no number`:                                             {"lat": str("NaN"), "lng": str("0.5")},
		`it says nothing of where clients are (its type is "GeoIP2-Anonymous`: {"is_anonymous": mmdbtype.Bool(true)},
	} {
		_, err := Read("t", databaseOf(t, "GeoIP2-Anonymous-IP", 6, map[string]mmdbtype.DataType{"192.0.2.0/24": record}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	large := mmdbtype.Slice{}
	for i := range 2 * maxEntries {
		large = append(large, mmdbtype.Uint32(i))
	}
	if _, err := Read("t", databaseOf(t, "x", 6, map[string]mmdbtype.DataType{"192.0.2.0/24": dict{"subdivisions": large, "asn": str("1")}})); err == nil || !strings.Contains(err.Error(), "too many entries") {
		t.Errorf("%v", err)
	}
}

// randomDatabase returns the bytes of a database of nested networks in a corner of both families.
func randomDatabase(tb testing.TB, r *rand.Rand) []byte {
	records := map[string]mmdbtype.DataType{}
	for range 1 + r.IntN(30) {
		p := netip.PrefixFrom(randomAddr(r), []int{0, 1, 8, 12, 20, 24, 31, 32}[r.IntN(8)])
		if p.Addr().Is6() {
			p = netip.PrefixFrom(p.Addr(), []int{4, 16, 32, 47, 64, 128}[r.IntN(6)])
		}
		records[p.Masked().String()] = cityRecord(fmt.Sprint("city ", r.IntN(3)), "ENG", []string{"GB", "US"}[r.IntN(2)], "EU", float64(r.IntN(3)), 1, uint16(r.IntN(2)))
	}
	return databaseOf(tb, "GeoLite2-City", 6, records)
}

func randomAddr(r *rand.Rand) netip.Addr {
	if r.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{byte(10 + r.IntN(3)), byte(r.IntN(3) * 64), byte(r.IntN(4)), byte(r.IntN(256))})
	}
	return netip.AddrFrom16([16]byte{0x26, byte(r.IntN(2)), byte(r.IntN(2)), 7: byte(r.IntN(3)), 15: byte(r.IntN(4))})
}

// The table says of every address what the database's own lookup says.
func TestTableEqualsLookup(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		data := randomDatabase(t, r)
		db, err := Read("t", data)
		if err != nil {
			t.Fatal(err)
		}
		reader, err := maxminddb.OpenBytes(data)
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			addr := randomAddr(r)
			var want struct {
				City struct {
					Names map[string]string `maxminddb:"names"`
				} `maxminddb:"city"`
				Country struct {
					Code string `maxminddb:"iso_code"`
				} `maxminddb:"country"`
			}
			result := reader.Lookup(addr)
			if err := result.Decode(&want); err != nil {
				t.Fatal(err)
			}
			got, network := db.Table.Lookup(addr)
			if got.City != want.City.Names["en"] || got.Country != want.Country.Code {
				t.Fatalf("seed %d: %v is at %+v, want %+v", seed, addr, got, want)
			}
			if !network.Contains(addr) || result.Found() && network.Bits() > result.Prefix().Bits() {
				t.Fatalf("seed %d: %v in %v, which is less than %v", seed, addr, network, result.Prefix())
			}
		}
	}
}

// A network of IPv6 around the IPv4 addresses is theirs too; a database of IPv4 alone says nothing of IPv6.
func TestFamilies(t *testing.T) {
	gb := dict{"country": str("GB")}
	db, err := Read("t", databaseOf(t, "x", 4, map[string]mmdbtype.DataType{"0.0.0.0/0": gb}))
	if err != nil {
		t.Fatal(err)
	}
	v4, _ := db.Table.Lookup(netip.MustParseAddr("192.0.2.1"))
	v6, _ := db.Table.Lookup(netip.MustParseAddr("2001:db8::1"))
	if v4.Country != "GB" || v6.Country != "" {
		t.Errorf("%+v, %+v", v4, v6)
	}
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "x", IncludeReservedNetworks: true, DisableIPv4Aliasing: true})
	if err != nil {
		t.Fatal(err)
	}
	_, wide, _ := net.ParseCIDR("::/3")
	if err := tree.Insert(wide, gb); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if db, err = Read("t", b.Bytes()); err != nil {
		t.Fatal(err)
	}
	v4, _ = db.Table.Lookup(netip.MustParseAddr("192.0.2.1"))
	v6, n := db.Table.Lookup(netip.MustParseAddr("1fff::1"))
	if v4.Country != "GB" || v6.Country != "GB" || n.String() != "::/3" {
		t.Errorf("%+v, %+v in %v", v4, v6, n)
	}
}
