package policy

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

// loads says "eu=0.8 us=0.2": the loads of all endpoints at sites of worldSpec, beside their states.
func loads(t *testing.T, p *Plan, h Health, text string) Health {
	t.Helper()
	for _, word := range strings.Fields(text) {
		name, load, _ := strings.Cut(word, "=")
		share, err := strconv.ParseFloat(load, 64)
		if err != nil {
			t.Fatal(err)
		}
		for id := range EndpointID(p.NumEndpoints()) {
			if e := p.Endpoint(id); p.SiteName(e.Site) == name || e.Name == "web/"+name {
				v := h.Of(id)
				v.Load = LoadOf(share)
				h = h.With(id, v)
			}
		}
	}
	return h
}

// shedShares asks as many clients at a site and returns which share goes to each site.
func shedShares(t *testing.T, p *Plan, h Health, from SiteID) map[string]float64 {
	t.Helper()
	const clients = 200_000
	shares := map[string]float64{}
	var s Scratch
	r := seeded(4)
	for range clients {
		q := Query{From: from, Key: r.Uint64(), Dice: r.Uint64()}
		first := p.Decide(&s, q, h).Endpoints[0]
		q.Dice++
		if again := p.Decide(&s, q, h).Endpoints[0]; p.Endpoint(again).Site != p.Endpoint(first).Site {
			t.Fatalf("a client gets %s, then %s", p.Endpoint(first).Name, p.Endpoint(again).Name)
		}
		shares[p.SiteName(p.Endpoint(first).Site)] += 1.0 / clients
	}
	return shares
}

// TestShed: between the watermarks as many clients leave as the load says, and those who leave, or whose site is lost, spread over all others by the room there.
func TestShed(t *testing.T) {
	spec := worldSpec(Healthy{}, Geo{Default: GeoTarget{Nearest: true}}, Shed{0.5, 0.9}, Weighted{}, Take{1}) // eu has weight 30, us 20, ap 10
	spec.Services[0].Endpoints = spec.Services[0].Endpoints[:6]
	p := mustCompile(t, spec)
	for _, tt := range []struct {
		health, loads string
		eu, us, ap    float64
	}{
		{"", "", 1, 0, 0},
		{"", "eu=0.5", 1, 0, 0},
		{"", "eu=0.6", 0.75, 0.25 * 2 / 3, 0.25 / 3}, // us has twice the room of ap
		{"", "eu=0.7", 0.5, 0.5 * 2 / 3, 0.5 / 3},
		{"", "eu=0.9", 0, 2.0 / 3, 1.0 / 3},
		{"", "eu=5", 0, 2.0 / 3, 1.0 / 3},
		{"", "eu=0.9 us=0.45", 0, 0.5, 0.5},                                     // 20 × 0.45, 10 × 0.9
		{"", "eu=0.9 us=0.95", 0, 0, 1},                                         // us has no room
		{"", "eu=0.9 us=0.9 ap=0.9", 1, 0, 0},                                   // nobody has: stay
		{"", "eu=0.7 us=0.7 ap=0.9", 0.75, 0.25, 0},                             // half leave eu, half of those may not have us either and stay
		{"", "eu1=0.3 eu2=0.8 eu3=0.7", 0.75, 0.25 * 2 / 3, 0.25 / 3},           // 0.6 on the mean
		{"eu1=down", "eu2=0.6 eu3=0.6", 0.75, 0.25 * 2 / 3, 0.25 / 3},           // what is down has no load
		{"eu1=down eu2=down eu3=down", "", 0, 2.0 / 3, 1.0 / 3},                 // not all to us, which is next
		{"eu1=down eu2=down eu3=down", "us=0.45", 0, 0.5, 0.5},                  // less to us, which has less room
		{"eu1=down eu2=down eu3=down us1=down", "us=0.45", 0, 1.0 / 3, 2.0 / 3}, // the half of it
		{"eu1=down eu2=down eu3=down", "us=0.9 ap=1", 0, 1, 0},                  // nobody has room: the next
	} {
		h := loads(t, p, healthOf(t, p, tt.health), tt.loads)
		got := shedShares(t, p, h, 1)
		for site, want := range map[string]float64{"eu": tt.eu, "us": tt.us, "ap": tt.ap} {
			if math.Abs(got[site]-want) > 0.005 {
				t.Errorf("%q, loads %q: %s has %.4f, want %.4f", tt.health, tt.loads, site, got[site], want)
			}
		}
	}
}

// TestShedWithoutGeo: of sites as good as one another, each client has a home by their weights, and so have the clients of one that is lost.
func TestShedWithoutGeo(t *testing.T) {
	spec := worldSpec(Healthy{}, Shed{0.5, 0.9}, Take{1})
	spec.Services[0].Endpoints = spec.Services[0].Endpoints[:6]
	p := mustCompile(t, spec)
	for _, tt := range []struct {
		health, loads string
		eu, us, ap    float64
	}{
		{"", "", 1.0 / 2, 1.0 / 3, 1.0 / 6},
		{"eu1=down", "", 1.0 / 2, 1.0 / 3, 1.0 / 6},
		{"", "ap=0.8", 0.5 + 0.125*0.6, 1.0/3 + 0.125*0.4, 1.0/6 - 0.125},
		{"us1=down us2=down", "eu=0.45", 0.5 + 1.0/3*0.6, 0, 1.0/6 + 1.0/3*0.4},
	} {
		got := shedShares(t, p, loads(t, p, healthOf(t, p, tt.health), tt.loads), 0)
		for site, want := range map[string]float64{"eu": tt.eu, "us": tt.us, "ap": tt.ap} {
			if math.Abs(got[site]-want) > 0.005 {
				t.Errorf("%q, loads %q: %s has %.4f, want %.4f", tt.health, tt.loads, site, got[site], want)
			}
		}
	}
}

// TestShedMovesFew: with a rising load clients leave and none comes back, and no others move.
func TestShedMovesFew(t *testing.T) {
	p := mustCompile(t, worldSpec(Healthy{}, Geo{Default: GeoTarget{Nearest: true}}, Shed{0.5, 0.9}, Take{1}))
	var s Scratch
	for key := range uint64(2000) {
		left := false
		for load := 500; load <= 900; load += 20 {
			h := NewHealth(p.NumEndpoints())
			for _, name := range []string{"web/eu1", "web/eu2", "web/eu3"} {
				id, _ := p.EndpointByName(name)
				h = h.With(id, Verdict{Load: Load(load)})
			}
			q := Query{From: 1, Key: key * 0x9e3779b97f4a7c15}
			away := p.SiteName(p.Endpoint(p.Decide(&s, q, h).Endpoints[0]).Site) != "eu"
			if left && !away {
				t.Fatalf("client %d comes back at a load of %d", key, load)
			}
			left = away
			if q.From = 2; p.SiteName(p.Endpoint(p.Decide(&s, q, h).Endpoints[0]).Site) != "us" {
				t.Fatalf("client %d leaves us, where nothing is wrong", key)
			}
		}
		if !left {
			t.Fatalf("client %d stays at the high watermark", key)
		}
	}
}

// TestShedReasons: why a client is where it is, in one word and in many, and for whom that is true.
func TestShedReasons(t *testing.T) {
	p := mustCompile(t, worldSpec(Healthy{}, Geo{Default: GeoTarget{Sites: []string{"eu", "us"}}}, Shed{0.5, 0.9}))
	for _, tt := range []struct{ health, loads, want, note string }{
		{"", "eu=0.4", "eu1 eu2 eu3 us1 us2 ap1 none1 geo",
			"eu: load 0.4, 0 % leave; us: load 0, 0 % leave; ap: load 0, 0 % leave; web/none1: load 0, 0 % leave; the client stays at eu"},
		{"", "eu=0.9 ap=1 none1=1", "us1 us2 shed",
			"eu: load 0.9, 100 % leave; us: load 0, 0 % leave; ap: load 1, 100 % leave; web/none1: load 1, 100 % leave; the client leaves eu for us, by the room there"},
		{"eu1=down eu2=down eu3=down", "us=0.9 ap=0.2 none1=1", "ap1 failover",
			"us: load 0.9, 100 % leave; ap: load 0.2, 0 % leave; web/none1: load 1, 100 % leave; eu: nothing is up; the client leaves eu for ap, by the room there"},
		{"", "eu=0.9 us=0.9 ap=0.9 none1=0.95", "eu1 eu2 eu3 us1 us2 ap1 none1 geo",
			"eu: load 0.9, 100 % leave; us: load 0.9, 100 % leave; ap: load 0.9, 100 % leave; web/none1: load 0.95, 100 % leave; nobody has room for the client"},
	} {
		h := loads(t, p, healthOf(t, p, tt.health), tt.loads)
		q := Query{Client: netip.MustParsePrefix("192.0.2.0/24"), Key: 1}
		d := p.Decide(new(Scratch), q, h)
		if got := words(p, d); got != tt.want || d.Scope != 24 {
			t.Errorf("loads %q: %s, scope %d; want %s", tt.loads, got, d.Scope, tt.want)
		}
		if got := p.Explain(q, h).Stages[3]; got.Note != tt.note || got.Scope != 24 {
			t.Errorf("loads %q: scope %d\n%s, want\n%s", tt.loads, got.Scope, got.Note, tt.note)
		}
	}
	one := mustCompile(t, worldSpec(Failover{Sites: []string{"eu"}}, Shed{0.5, 0.9}))
	if d := one.Decide(new(Scratch), Query{Client: netip.MustParsePrefix("192.0.2.0/24")}, Health{}); d.Scope != 24 {
		t.Errorf("scope %d with several sites", d.Scope)
	}
	spec := worldSpec(Shed{0.5, 0.9})
	spec.Services[0].Endpoints = []EndpointSpec{spec.Services[0].Endpoints[0], spec.Services[0].Endpoints[2]}
	if d := mustCompile(t, spec).Decide(new(Scratch), Query{Client: netip.MustParsePrefix("192.0.2.0/24")}, Health{}); d.Scope != 0 {
		t.Errorf("scope %d with one site", d.Scope)
	}
}

func TestBadSheds(t *testing.T) {
	for _, bad := range []Shed{{-0.1, 0.5}, {0.5, 1.1}, {0.5, 0.5}, {0.9, 0.5}, {math.NaN(), 0.5}, {0.5, math.NaN()}} {
		if _, problems := Compile(worldSpec(bad)); len(problems) != 1 {
			t.Errorf("%+v: %v", bad, problems)
		}
	}
	for share, want := range map[float64]Load{0: 0, 0.7: 700, 1: 1000, -1: 0, 1e9: math.MaxUint16, 0.0004: 0, 0.0006: 1} {
		if got := LoadOf(share); got != want {
			t.Errorf("a share of %v is %d, want %d", share, got, want)
		}
	}
}
