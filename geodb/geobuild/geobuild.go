// Package geobuild writes geo databases in the MaxMind DB format from CSV: corrections to a database that was bought, or one of one's own networks.
package geobuild

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/meridian-gslb/meridian/policy"
)

// Columns returns the columns that a CSV can have. "network" must be there.
func Columns() []string {
	return []string{"network", "continent", "country", "subdivision", "city", "lat", "lon", "radius", "asn"}
}

// databaseType is what databases written here say they are.
const databaseType = "Meridian-City"

// maxProblems is how many mistakes in a CSV are collected before the rest is left unread.
const maxProblems = 20

// A row is one line of a CSV.
type row struct {
	network netip.Prefix
	place   policy.PlaceSpec
	line    int
}

// Build reads a CSV, whose first line names its columns, and writes it as a database that was built at a time. name is what errors call the CSV:
// they begin with NAME:LINE, and the first 20 are joined. Networks may be in any order and in one another: the longest prefix wins, and says all
// of its addresses. It returns the number of networks.
func Build(w io.Writer, in io.Reader, name string, built time.Time) (networks int, err error) {
	rows, err := read(in, name)
	if err != nil {
		return 0, err
	}
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: databaseType, BuildEpoch: built.Unix(), IncludeReservedNetworks: true,
		Description: map[string]string{"en": "written by meridian geo build"}, Languages: []string{"en"}})
	if err != nil {
		return 0, fmt.Errorf("geobuild: %w", err)
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.network.Bits(), b.network.Bits()), a.network.Addr().Compare(b.network.Addr()))
	})
	for i, x := range rows {
		if i > 0 && x.network == rows[i-1].network {
			return 0, fmt.Errorf("%s:%d: network %v stands on line %d already", name, max(x.line, rows[i-1].line), x.network, min(x.line, rows[i-1].line))
		}
		ip := net.IPNet{IP: x.network.Addr().AsSlice(), Mask: net.CIDRMask(x.network.Bits(), x.network.Addr().BitLen())}
		if err := tree.Insert(&ip, recordOf(&x.place)); err != nil {
			return 0, fmt.Errorf("%s:%d: network %v: %w", name, x.line, x.network, err)
		}
	}
	out := bufio.NewWriter(w)
	if _, err := tree.WriteTo(out); err != nil {
		return 0, fmt.Errorf("geobuild: %w", err)
	}
	if err := out.Flush(); err != nil {
		return 0, fmt.Errorf("geobuild: %w", err)
	}
	return len(rows), nil
}

// read reads all lines, or returns what is wrong with them.
func read(in io.Reader, name string) (rows []row, err error) {
	r := csv.NewReader(in)
	r.ReuseRecord, r.FieldsPerRecord, r.TrimLeadingSpace = true, -1, true
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s:1: a line with the names of the columns is expected: %s", name, strings.Join(Columns(), ","))
	}
	columns, err := columnsOf(header)
	if err != nil {
		return nil, fmt.Errorf("%s:1: %w", name, err)
	}
	places := policy.NewTable(name) // it checks them
	var problems []error
	for len(problems) < maxProblems {
		fields, err := r.Read()
		if err == io.EOF {
			break
		}
		line, _ := r.FieldPos(0)
		if parse := (*csv.ParseError)(nil); errors.As(err, &parse) {
			return nil, fmt.Errorf("%s:%d: %w", name, parse.Line, parse.Err)
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		x, err := rowOf(columns, fields)
		if err == nil {
			_, err = places.Place(x.place)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %w", name, line, err))
			continue
		}
		x.line = line
		rows = append(rows, x)
	}
	if len(rows) == 0 && len(problems) == 0 {
		return nil, fmt.Errorf("%s: there is no network in it", name)
	}
	return rows, errors.Join(problems...)
}

// columnsOf checks the first line.
func columnsOf(header []string) ([]string, error) {
	columns := make([]string, len(header))
	for i, c := range header {
		c = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(c, "\ufeff")))
		switch {
		case !slices.Contains(Columns(), c):
			return nil, fmt.Errorf("there is no column %.40q; the columns are %s", c, strings.Join(Columns(), ", "))
		case slices.Contains(columns[:i], c):
			return nil, fmt.Errorf("column %q is there twice", c)
		}
		columns[i] = c
	}
	if !slices.Contains(columns, "network") {
		return nil, errors.New("there is no column \"network\"")
	}
	return columns, nil
}

// rowOf reads the fields of a line. Empty ones say nothing.
func rowOf(columns, fields []string) (x row, err error) {
	if len(fields) != len(columns) {
		return x, fmt.Errorf("%d fields for %d columns", len(fields), len(columns))
	}
	var lat, lon bool
	for i, s := range fields {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		s = strings.Clone(s)
		switch columns[i] {
		case "network":
			x.network, err = networkOf(s)
		case "continent":
			x.place.Continent = strings.ToUpper(s)
		case "country":
			x.place.Country = strings.ToUpper(s)
		case "subdivision":
			x.place.Subdivision = s
		case "city":
			x.place.City = s
		case "lat":
			x.place.At.Lat, err = number(columns[i], s, -90, 90)
			lat = true
		case "lon":
			x.place.At.Lon, err = number(columns[i], s, -180, 180)
			lon = true
		case "radius":
			var km float64
			km, err = number(columns[i], s, 0, 20_015) // half way round
			x.place.Radius = float32(km)
		case "asn":
			var n uint64
			if n, err = strconv.ParseUint(strings.TrimPrefix(strings.ToUpper(s), "AS"), 10, 32); err != nil {
				err = fmt.Errorf("asn: %.40q is no autonomous system, such as AS64500", s)
			}
			x.place.ASN = uint32(n)
		}
		if err != nil {
			return x, err
		}
	}
	x.place.Located = lat
	switch {
	case !x.network.IsValid():
		return x, errors.New("the network is missing")
	case lat != lon:
		return x, errors.New("lat and lon belong together: one of them is missing")
	case x.place.Radius > 0 && !lat:
		return x, errors.New("a radius needs lat and lon")
	}
	return x, nil
}

func networkOf(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if addr, addrErr := netip.ParseAddr(s); addrErr == nil {
		p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	switch {
	case err != nil:
		return p, fmt.Errorf("%.60q is not a network such as 192.0.2.0/24 or 2001:db8::/32", s)
	case p.Addr().Is4In6():
		return p, fmt.Errorf("network %v is IPv4 in IPv6 form: write it as IPv4", p)
	case p != p.Masked():
		return p, fmt.Errorf("network %v has bits set after its length: write %v", p, p.Masked())
	}
	return p, nil
}

func number(what, s string, low, high float64) (float64, error) {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || !(x >= low && x <= high) {
		return 0, fmt.Errorf("%s: %.40q is out of range: want %v to %v", what, s, low, high)
	}
	return x, nil
}

// recordOf returns a place in the form of a City database, with the number of an ASN database.
func recordOf(p *policy.PlaceSpec) mmdbtype.Map {
	m := mmdbtype.Map{}
	if p.Continent != "" {
		m["continent"] = mmdbtype.Map{"code": mmdbtype.String(p.Continent)}
	}
	if p.Country != "" {
		m["country"] = mmdbtype.Map{"iso_code": mmdbtype.String(p.Country)}
	}
	if p.Subdivision != "" {
		m["subdivisions"] = mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(p.Subdivision)}}
	}
	if p.City != "" {
		m["city"] = mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(p.City)}}
	}
	if p.Located {
		at := mmdbtype.Map{"latitude": mmdbtype.Float64(p.At.Lat), "longitude": mmdbtype.Float64(p.At.Lon)}
		if p.Radius > 0 {
			at["accuracy_radius"] = mmdbtype.Uint16(max(1, p.Radius+0.5))
		}
		m["location"] = at
	}
	if p.ASN != 0 {
		m["autonomous_system_number"] = mmdbtype.Uint32(p.ASN)
	}
	return m
}
