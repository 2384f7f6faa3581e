package main

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/configs"
	"github.com/meridian-gslb/meridian/geodb"
	"github.com/meridian-gslb/meridian/policy"
)

// countries returns a table of "NETWORK COUNTRY" in order.
func countries(t *testing.T, rows ...string) *policy.NetworkTable {
	t.Helper()
	b := policy.NewTable("t")
	for _, row := range rows {
		network, country, _ := strings.Cut(row, " ")
		id, err := b.Place(policy.PlaceSpec{Country: country, City: "in " + network})
		if err == nil {
			err = b.Add(netip.MustParsePrefix(network), id)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.Table()
}

// Ranges that touch and changed in the same way are one, whatever cities are in them; what only moved inside its country did not change.
func TestDiffCountries(t *testing.T) {
	before := countries(t, "10.0.0.0/24 GB", "10.0.1.0/24 GB", "10.0.2.0/24 GB", "10.0.3.0/24 US", "2001:db8::/32 GB")
	after := countries(t, "10.0.0.0/25 IE", "10.0.0.128/25 IE", "10.0.1.0/24 IE", "10.0.2.0/25 GB", "10.0.2.128/25 FR", "2001:db8::/33 FR")
	d := diffCountries(before, after, 2)
	if d.Ranges != 5 || d.V4 != 512+128+256 || d.Left != 3 || len(d.Moves) != 2 || len(d.Changes) != 2 {
		t.Errorf("%+v", d)
	}
	if d.Moves[0] != (geoMove{"GB", "IE", 1, 512}) || d.Moves[1] != (geoMove{"US", "", 1, 256}) {
		t.Errorf("%+v", d.Moves)
	}
	if d.Changes[0] != (geoChange{"10.0.0.0/25", "GB", "IE"}) || d.Changes[1] != (geoChange{"10.0.2.128/25", "GB", "FR"}) {
		t.Errorf("%+v", d.Changes)
	}
	if d := diffCountries(before, before, 9); d.Ranges != 0 || d.Changes == nil || d.Moves == nil {
		t.Errorf("a table differs from itself: %+v", d)
	}
}

// Growing old is logged once, and once more when it is serious; status tells of the latter alone.
func TestAges(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	built := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	g := &configs.GeoDatabase{File: "city.mmdb", Built: built, Database: &geodb.Database{}}
	said := ages{}
	for _, tt := range []struct {
		days     int
		level    string
		degraded int
	}{{0, "", 0}, {13, "", 0}, {14, "WARN", 0}, {15, "", 0}, {29, "", 0}, {30, "ERROR", 1}, {31, "", 1}} {
		out.Reset()
		now := built.Add(time.Duration(tt.days) * 24 * time.Hour)
		said.look([]*configs.GeoDatabase{g}, now, log)
		if got := out.String(); (got == "") != (tt.level == "") || !strings.Contains(got, tt.level) || got != "" && !strings.Contains(got, "city.mmdb") {
			t.Errorf("day %d: logged %q, want %s", tt.days, got, tt.level)
		}
		if got := outdated([]*configs.GeoDatabase{g}, now); len(got) != tt.degraded {
			t.Errorf("day %d: %q", tt.days, got)
		}
	}
	out.Reset()
	said.look(nil, built, log)
	if len(said) != 0 {
		t.Error("a database that is no more is remembered")
	}
	fresh := ages{}
	fresh.look([]*configs.GeoDatabase{g}, built.Add(20*24*time.Hour), log)
	if out.Len() > 0 { // the configuration warned of it
		t.Errorf("old when read: %s", &out)
	}
	fresh.look([]*configs.GeoDatabase{{File: "other", Built: built, Database: &geodb.Database{}}}, built.Add(40*24*time.Hour), log)
	if !strings.Contains(out.String(), "level=ERROR") {
		t.Errorf("outdated when read: %q", &out)
	}
}
