package geobuild

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/geodb"
	"github.com/meridian-gslb/meridian/policy"
)

// build builds a database and reads it.
func build(csv string) (*geodb.Database, error) {
	var b bytes.Buffer
	n, err := Build(&b, strings.NewReader(csv), "own.csv", time.Unix(1_700_000_000, 0))
	if err != nil {
		return nil, err
	}
	db, err := geodb.Read("own", b.Bytes())
	if err == nil && n == 0 {
		return nil, fmt.Errorf("%d networks written", n)
	}
	return db, err
}

// What is written is what is read; nested networks in any order have the longest prefix win.
func TestBuild(t *testing.T) {
	db, err := build(strings.Join([]string{
		"\ufeffNetwork, continent, country, subdivision, city, lat, lon, radius, asn",
		`192.0.2.64/26,EU,GB,ENG,London,51.5,-0.1,20,AS64500`,
		`192.0.2.0/24,eu,gb,,,54,-2,400,`,
		`"198.51.100.7",NA,US,CA,"Los Angeles, CA",34,-118,,64501`,
		`2001:db8::/32,AF,NA,,,,,,`,
		`203.0.113.0/24,,,,,,,,64502`,
		``,
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]policy.PlaceSpec{
		"192.0.2.65":   {ASN: 64500, City: "London", Subdivision: "ENG", Country: "GB", Continent: "EU", Located: true, At: policy.Point{Lat: 51.5, Lon: -0.1}, Radius: 20},
		"192.0.2.1":    {Country: "GB", Continent: "EU", Located: true, At: policy.Point{Lat: 54, Lon: -2}, Radius: 400},
		"192.0.2.200":  {Country: "GB", Continent: "EU", Located: true, At: policy.Point{Lat: 54, Lon: -2}, Radius: 400},
		"198.51.100.7": {ASN: 64501, City: "Los Angeles, CA", Subdivision: "CA", Country: "US", Continent: "NA", Located: true, At: policy.Point{Lat: 34, Lon: -118}},
		"198.51.100.8": {},
		"203.0.113.1":  {ASN: 64502},
		"2001:db8::1":  {Country: "NA", Continent: "AF"},
	} {
		if got, _ := db.Table.Lookup(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is at\n%+v, want\n%+v", addr, got, want)
		}
	}
	if db.Type != "Meridian-City" || db.Built != 1_700_000_000 {
		t.Errorf("%+v", db)
	}
}

func TestBuildRefuses(t *testing.T) {
	const head = "network,country,city,lat,lon,radius,asn\n"
	for csv, want := range map[string]string{
		"":                                                  "own.csv:1: a line with the names of the columns is expected",
		head:                                                "own.csv: there is no network in it",
		"network,place\n":                                   `own.csv:1: there is no column "place"; the columns are network, continent`,
		"network,network\n":                                 `own.csv:1: column "network" is there twice`,
		"country\nGB\n":                                     `own.csv:1: there is no column "network"`,
		head + "10.0.0.0/8,GB\n":                            "own.csv:2: 2 fields for 7 columns",
		head + ",GB,,,,,\n":                                 "own.csv:2: the network is missing",
		head + "x,GB,,,,,\n":                                `own.csv:2: "x" is not a network`,
		head + "10.0.0.1/8,GB,,,,,\n":                       "own.csv:2: network 10.0.0.1/8 has bits set after its length: write 10.0.0.0/8",
		head + "::ffff:10.0.0.0/104,GB,,,,,\n":              "own.csv:2: network ::ffff:10.0.0.0/104 is IPv4 in IPv6 form",
		head + "10.0.0.0/8,GBR,,,,,\n":                      `own.csv:2: "GBR" is no code of a country`,
		head + "10.0.0.0/8,,London,,,,\n":                   "own.csv:2: a city or subdivision has to be in a country",
		head + "10.0.0.0/8,GB,,91,0,,\n":                    `own.csv:2: lat: "91" is out of range: want -90 to 90`,
		head + "10.0.0.0/8,GB,,NaN,0,,\n":                   `own.csv:2: lat: "NaN" is out of range`,
		head + "10.0.0.0/8,GB,,5,,,\n":                      "own.csv:2: lat and lon belong together",
		head + "10.0.0.0/8,GB,,5,5,99999,\n":                `own.csv:2: radius: "99999" is out of range`,
		head + "10.0.0.0/8,GB,,,,5,\n":                      "own.csv:2: a radius needs lat and lon",
		head + "10.0.0.0/8,GB,,,,,ASN1\n":                   `own.csv:2: asn: "ASN1" is no autonomous system`,
		head + "10.0.0.0/8,GB,\"x,,,,\n":                    "own.csv:",
		head + "2002::/16,GB,,,,,\n":                        "own.csv:2: network 2002::/16: ",
		head + "10.0.0.0/8,GB,,,,,\n\n10.0.0.0/8,US,,,,,\n": "own.csv:4: network 10.0.0.0/8 stands on line 2 already",
	} {
		_, err := build(csv)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", csv, err, want)
		}
	}
	if _, err := build(head + "x,,,,,,\n10.0.0.0/8,GB,,,,,\ny,,,,,,\n"); err == nil || strings.Count(err.Error(), "own.csv:") != 2 || !strings.Contains(err.Error(), "own.csv:4: ") {
		t.Errorf("%v", err)
	}
	if _, err := build(head + strings.Repeat("x,,,,,,\n", 1000)); err == nil || strings.Count(err.Error(), "own.csv:") != maxProblems {
		t.Errorf("%v", err)
	}
}
