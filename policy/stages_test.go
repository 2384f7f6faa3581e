package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// A world is a Spec and a Health in short form: "eu" has endpoints eu1 to eu3, "us" us1 and us2, "ap" ap1, "" none1.
// Clients of 192.0.2.0/24 are at eu, of 198.51.100.0/24 at us, of 203.0.113.0/24 in region "asia" without coordinates.
func worldSpec(stages ...StageSpec) Spec {
	s := Spec{
		Sites: []SiteSpec{
			{Name: "eu", At: &Point{53.35, -6.26}, Region: "europe"},
			{Name: "us", At: &Point{39.04, -77.49}},
			{Name: "ap", At: &Point{19.08, 72.88}, Region: "asia"},
		},
		Networks: []NetworkSpec{
			{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Site: "eu"},
			{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Site: "us"},
			{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Region: "asia"},
			{Prefix: netip.MustParsePrefix("100.64.0.0/10"), At: &Point{48, -46}}, // 2704 km from us, 2824 km from eu
		},
		Services: []ServiceSpec{{Name: "web"}},
		Policies: []PolicySpec{{Name: "p", Stages: stages}},
	}
	for i, name := range strings.Fields("eu1 us1 eu2 ap1 us2 eu3 none1") {
		site := name[:2]
		if name == "none1" {
			site = ""
		}
		s.Services[0].Endpoints = append(s.Services[0].Endpoints, EndpointSpec{
			Name: name, V4: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Site: site, Weight: 10,
		})
	}
	return s
}

// healthOf reads "eu1=down us1=drained! ap1=up/5": ! is forced, /n the TTL.
func healthOf(t *testing.T, p *Plan, text string) Health {
	t.Helper()
	h := NewHealth(p.NumEndpoints())
	for _, word := range strings.Fields(text) {
		name, state, _ := strings.Cut(word, "=")
		state, ttl, _ := strings.Cut(state, "/")
		v := Verdict{Forced: strings.HasSuffix(state, "!")}
		if err := v.State.UnmarshalText([]byte(strings.TrimSuffix(state, "!"))); err != nil {
			t.Fatal(err)
		}
		if ttl != "" {
			fmt.Sscan(ttl, &v.TTL)
		}
		id, ok := p.EndpointByName("web/" + name)
		if !ok {
			t.Fatalf("no endpoint %s", name)
		}
		h = h.With(id, v)
	}
	return h
}

func TestStages(t *testing.T) {
	nearest := Geo{Default: GeoTarget{Nearest: true}}
	sites := func(names ...string) GeoTarget { return GeoTarget{Sites: names} }
	fence := func(names ...string) GeoTarget { return GeoTarget{Sites: names, Fence: true} }
	order := Failover{Order: &Geo{
		Rules: []GeoRule{
			{Region: "europe", To: sites("eu", "ap")},
			{Prefix: netip.MustParsePrefix("198.51.100.128/25"), To: sites("ap")},
		},
		Default: sites("us", "eu"),
	}}
	const allDown = "eu1=down us1=down eu2=down ap1=down us2=down eu3=down none1=down "
	for _, tt := range []struct {
		name   string
		stages []StageSpec
		client string // "" = unknown
		health string
		want   string // names, the reason, the TTL if any
	}{
		{"take alone", []StageSpec{Take{3}}, "", "", "eu1 us1 eu2 static"},
		{"take more than there is", []StageSpec{Take{100}}, "", "", "eu1 us1 eu2 ap1 us2 eu3 none1 static"},
		{"take sees no health", []StageSpec{Take{1}}, "", "eu1=down/5", "eu1 static"},

		{"healthy", []StageSpec{Healthy{}}, "", "eu1=down us2=up eu3=unknown", "us1 eu2 ap1 us2 eu3 none1 static"},
		{"healthy leaves out the drained", []StageSpec{Healthy{}}, "", "eu1=drained! us1=drained", "eu2 ap1 us2 eu3 none1 override"},
		{"healthy, forced up is no loss", []StageSpec{Healthy{}, Take{1}}, "", "eu1=up!", "eu1 static"},
		{"healthy fails open", []StageSpec{Healthy{}}, "", allDown, "eu1 us1 eu2 ap1 us2 eu3 none1 fail_open"},
		{"healthy fails open without the drained", []StageSpec{Healthy{}}, "", allDown + "eu1=drained! ap1=drained!", "us1 eu2 us2 eu3 none1 fail_open"},
		{"healthy fails open with only drained", []StageSpec{Healthy{}}, "", strings.ReplaceAll(allDown, "down", "drained!"), "eu1 us1 eu2 ap1 us2 eu3 none1 fail_open"},
		{"healthy after a cut fails open within it", []StageSpec{Take{2}, Healthy{}}, "", "eu1=down us1=down", "eu1 us1 fail_open"},
		{"ttl is the smallest bound, of those dropped too", []StageSpec{Healthy{}, Take{1}}, "", "eu1=down/7 us1=up/9 ap1=up/30", "us1 static 7"},
		{"ttl of what cannot change the answer", []StageSpec{nearest, Take{1}}, "192.0.2.1/32", "eu1=up/7", "eu1 geo"},

		{"geo by network", []StageSpec{nearest}, "198.51.100.9/32", "", "us1 us2 eu1 eu2 eu3 ap1 none1 geo"},
		{"geo of an unknown client", []StageSpec{nearest}, "", "", "eu1 eu2 eu3 us1 us2 ap1 none1 geo"},
		{"geo of a client in no network", []StageSpec{nearest}, "10.0.0.1/32", "", "eu1 eu2 eu3 us1 us2 ap1 none1 geo"},
		{"geo by region", []StageSpec{Geo{Rules: []GeoRule{{Region: "asia", To: sites("ap", "us")}}, Default: sites("eu")}, Take{4}}, "203.0.113.5/32", "", "ap1 us1 us2 eu1 geo"},
		{"geo default list, the rest by distance", []StageSpec{Geo{Default: sites("ap")}, Take{4}}, "198.51.100.9/32", "", "ap1 us1 us2 eu1 geo"},
		{"geo rule by network beats region", []StageSpec{Geo{Rules: []GeoRule{{Region: "europe", To: sites("us")}, {Prefix: netip.MustParsePrefix("192.0.2.0/25"), To: sites("ap")}}, Default: sites("eu")}, Take{1}}, "192.0.2.1/32", "", "ap1 geo"},
		{"geo rule by region outside the network", []StageSpec{Geo{Rules: []GeoRule{{Region: "europe", To: sites("us")}, {Prefix: netip.MustParsePrefix("192.0.2.0/25"), To: sites("ap")}}, Default: sites("eu")}, Take{1}}, "192.0.2.129/32", "", "us1 geo"},
		{"geo of the first address of a subnet", []StageSpec{nearest, Take{1}}, "198.51.100.255/24", "", "us1 geo"},
		{"geo of a mapped client", []StageSpec{nearest, Take{1}}, "::ffff:198.51.100.1/128", "", "us1 geo"},
		{"geo matters not if one site is left", []StageSpec{Failover{Sites: []string{"us"}}, nearest}, "192.0.2.1/32", "", "us1 us2 static"},
		{"the second geo breaks ties of the first", []StageSpec{Geo{Default: GeoTarget{Nearest: true}}, Geo{Default: sites("us")}, Take{3}}, "198.51.100.1/32", "", "us1 us2 eu1 geo"},

		{"within: ties with the nearest", []StageSpec{Geo{Default: GeoTarget{Nearest: true, Within: 0.05}}, Take{5}}, "100.64.1.1/32", "", "eu1 us1 eu2 us2 eu3 geo"},
		{"within: not far enough", []StageSpec{Geo{Default: GeoTarget{Nearest: true, Within: 0.04}}, Take{5}}, "100.64.1.1/32", "", "us1 us2 eu1 eu2 eu3 geo"},
		{"limit", []StageSpec{Geo{Default: GeoTarget{Nearest: true, Limit: 2}}}, "198.51.100.9/32", "", "us1 us2 eu1 eu2 eu3 geo"},
		{"limit counts sites that have something left", []StageSpec{Healthy{}, Geo{Default: GeoTarget{Nearest: true, Limit: 1}}}, "198.51.100.9/32", "us1=down us2=down", "eu1 eu2 eu3 geo"},
		{"limit takes the nearer of those as good", []StageSpec{Geo{Default: GeoTarget{Nearest: true, Within: 1, Limit: 1}}}, "100.64.1.1/32", "", "us1 us2 geo"},
		{"limit beyond all", []StageSpec{Geo{Default: GeoTarget{Nearest: true, Limit: 9}}, Take{1}}, "198.51.100.9/32", "", "us1 geo"},
		{"bias: nearer", []StageSpec{Geo{Default: GeoTarget{Nearest: true, Bias: []SiteBias{{"eu", 10}}}}, Take{1}}, "100.64.1.1/32", "", "eu1 geo"},
		{"bias: farther", []StageSpec{Geo{Default: GeoTarget{Nearest: true, Bias: []SiteBias{{"us", -10}}}}, Take{1}}, "100.64.1.1/32", "", "eu1 geo"},
		{"bias: not enough", []StageSpec{Geo{Default: GeoTarget{Nearest: true, Bias: []SiteBias{{"us", -2}}}}, Take{1}}, "100.64.1.1/32", "", "us1 geo"},
		{"fence", []StageSpec{Geo{Rules: []GeoRule{{Region: "europe", To: fence("eu")}}, Default: GeoTarget{Nearest: true}}}, "192.0.2.1/32", "", "eu1 eu2 eu3 geo"},
		{"fence, others", []StageSpec{Geo{Rules: []GeoRule{{Region: "europe", To: fence("eu")}}, Default: GeoTarget{Nearest: true}}, Take{1}}, "198.51.100.1/32", "", "us1 geo"},
		{"fence, some up inside", []StageSpec{Healthy{}, Geo{Default: fence("eu", "ap")}}, "", "eu1=down eu3=down", "eu2 ap1 geo"},
		{"fence, nothing up inside", []StageSpec{Healthy{}, Geo{Default: fence("us")}}, "", "us1=down us2=down", "us1 us2 fail_open"},
		{"fence, drained inside", []StageSpec{Healthy{}, Geo{Default: fence("us")}}, "", "us1=drained us2=down", "us2 fail_open"},
		{"fence, all drained inside", []StageSpec{Healthy{}, Geo{Default: fence("us")}}, "", "us1=drained us2=drained", "us1 us2 fail_open"},
		{"fence, healthy behind", []StageSpec{Geo{Default: fence("us")}, Healthy{}}, "", "us1=down us2=down", "us1 us2 fail_open"},
		{"fence, failed closed", []StageSpec{Healthy{Closed: true}, Geo{Default: fence("us")}}, "", "us1=down us2=down", "geo"},
		{"fence of the nearest", []StageSpec{Healthy{}, Geo{Default: GeoTarget{Nearest: true, Limit: 1, Fence: true}}}, "198.51.100.1/32", "us1=down us2=down", "us1 us2 fail_open"},
		{"fence around nothing", []StageSpec{Failover{Sites: []string{"us"}}, Geo{Default: fence("ap")}}, "", "", "us1 us2 static"},
		{"fence, failover by ranks", []StageSpec{Healthy{}, Geo{Default: fence("us", "ap")}, Failover{}}, "", "us1=down us2=down", "ap1 failover"},

		{"failover to the list", []StageSpec{Healthy{}, Failover{Sites: []string{"us", "eu"}}}, "", "", "us1 us2 static"},
		{"failover with half", []StageSpec{Healthy{}, Failover{Sites: []string{"us", "eu"}}}, "", "us1=down", "us2 static"},
		{"failover below half", []StageSpec{Healthy{}, Failover{Sites: []string{"eu", "us"}}}, "", "eu1=down eu2=down", "us1 us2 failover"},
		{"failover with a threshold", []StageSpec{Healthy{}, Failover{Sites: []string{"eu", "us"}, Threshold: 0.3}}, "", "eu1=down eu2=down", "eu3 static"},
		{"failover with a threshold of all", []StageSpec{Healthy{}, Failover{Sites: []string{"eu", "us"}, Threshold: 1}}, "", "eu1=down", "us1 us2 failover"},
		{"failover counts the drained as missing", []StageSpec{Healthy{}, Failover{Sites: []string{"us", "eu"}, Threshold: 1}}, "", "us1=drained!", "eu1 eu2 eu3 override"},
		{"failover to elsewhere", []StageSpec{Healthy{}, Failover{Sites: []string{"us", "eu"}}}, "", "us1=down us2=down eu1=down eu2=down", "ap1 none1 failover"},
		{"failover, no group has enough", []StageSpec{Healthy{}, Failover{Sites: []string{"us", "eu", "ap"}, Threshold: 1}}, "", "us1=down us2=down eu1=down ap1=down none1=down", "eu2 eu3 failover"},
		{"failover, all is down", []StageSpec{Healthy{}, Failover{Sites: []string{"us", "eu"}}}, "", allDown, "us1 us2 fail_open"},
		{"failover by geo ranks", []StageSpec{Healthy{}, nearest, Failover{}}, "198.51.100.9/32", "us1=down us2=down", "eu1 eu2 eu3 failover"},
		{"failover by geo ranks, all well", []StageSpec{Healthy{}, nearest, Failover{}}, "198.51.100.9/32", "", "us1 us2 geo"},
		{"failover without healthy judges by itself", []StageSpec{nearest, Failover{}}, "198.51.100.9/32", "us1=down us2=down", "eu1 eu2 eu3 failover"},
		{"failover without healthy keeps the down of its group", []StageSpec{nearest, Failover{}}, "198.51.100.9/32", "us1=down", "us1 us2 geo"},
		{"failover without healthy, all down", []StageSpec{nearest, Failover{}}, "198.51.100.9/32", allDown, "us1 us2 geo"},
		{"failover skips a site of which the family has nothing", []StageSpec{Healthy{}, Failover{Sites: []string{"ap", "us"}}}, "", "ap1=drained!", "us1 us2 override"},

		{"failover, an order for a region", []StageSpec{Healthy{}, order}, "192.0.2.1/32", "", "eu1 eu2 eu3 geo"},
		{"failover, the second of a region", []StageSpec{Healthy{}, order}, "192.0.2.1/32", "eu1=down eu2=down", "ap1 failover"},
		{"failover, what a region does not list", []StageSpec{Healthy{}, order}, "192.0.2.1/32", "eu1=down eu2=down eu3=down ap1=down", "us1 us2 none1 failover"},
		{"failover, an order for others", []StageSpec{Healthy{}, order}, "198.51.100.1/32", "", "us1 us2 geo"},
		{"failover, an order for a network", []StageSpec{Healthy{}, order}, "198.51.100.129/32", "", "ap1 geo"},
		{"failover, nobody knows where", []StageSpec{Healthy{}, order, Weighted{}, Take{1}}, "", "us1=down us2=down eu1=down eu2=down ap1=down none1=down", "eu3 failover"},
		{"failover to the nearest", []StageSpec{Healthy{}, Failover{Order: &Geo{Default: GeoTarget{Nearest: true}}}}, "100.64.1.1/32", "us1=down us2=down", "eu1 eu2 eu3 failover"},

		{"weighted within ranks", []StageSpec{Healthy{}, nearest, Weighted{}, Take{1}}, "203.0.113.1/32", "eu1=down eu3=down", "eu2 geo"},
		{"weighted of one", []StageSpec{Take{1}, Weighted{}}, "", "", "eu1 static"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spec := worldSpec(tt.stages...)
			p := mustCompile(t, spec)
			q := Query{Family: FamilyV4}
			if tt.client != "" {
				q.Client = netip.MustParsePrefix(tt.client)
			}
			h := healthOf(t, p, tt.health)
			checkDecision(t, spec, p, new(Scratch), q, h)
			d := p.Decide(new(Scratch), q, h)
			if got := words(p, d); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// words renders a Decision as TestStages writes it.
func words(p *Plan, d Decision) string {
	var list []string
	for _, id := range d.Endpoints {
		list = append(list, strings.TrimPrefix(p.Endpoint(id).Name, "web/"))
	}
	list = append(list, d.Reason.String())
	if d.TTL > 0 {
		list = append(list, fmt.Sprint(d.TTL))
	}
	return strings.Join(list, " ")
}

// A group without weight is judged by the number of its members.
func TestFailoverWithoutWeights(t *testing.T) {
	spec := worldSpec(Healthy{}, Failover{Sites: []string{"eu", "us"}})
	for i := range spec.Services[0].Endpoints {
		spec.Services[0].Endpoints[i].Weight = 0
	}
	p := mustCompile(t, spec)
	for health, want := range map[string]string{
		"":                           "eu1 eu2 eu3 static",
		"eu1=down":                   "eu2 eu3 static",
		"eu1=down eu2=down":          "us1 us2 failover",
		"eu1=down eu2=down eu3=down": "us1 us2 failover",
	} {
		d := p.Decide(new(Scratch), Query{}, healthOf(t, p, health))
		if got := words(p, d); got != want {
			t.Errorf("%s: got %s, want %s", health, got, want)
		}
	}
}

func TestWant(t *testing.T) {
	for _, tt := range []struct {
		stages []StageSpec
		want   int
		n      int
	}{
		{[]StageSpec{Healthy{}, Take{1}}, 0, 1},
		{[]StageSpec{Healthy{}, Take{1}}, 3, 3},
		{[]StageSpec{Healthy{}, Take{1}}, 100, 7},
		{[]StageSpec{Healthy{}, Weighted{}, Take{2}}, 1, 1},
		{[]StageSpec{Healthy{}, Weighted{}}, 5, 5},
		{[]StageSpec{Healthy{}, Weighted{}, Take{2}, Weighted{}}, 100, 7},
		{[]StageSpec{Healthy{}, Geo{Default: GeoTarget{Nearest: true}}, Failover{}, Weighted{}, Take{2}}, 100, 3},
	} {
		spec := worldSpec(tt.stages...)
		p := mustCompile(t, spec)
		q := Query{Want: tt.want, Dice: 1}
		checkDecision(t, spec, p, new(Scratch), q, Health{})
		if d := p.Decide(new(Scratch), q, Health{}); len(d.Endpoints) != tt.n {
			t.Errorf("%v wanting %d: %d endpoints, want %d", tt.stages, tt.want, len(d.Endpoints), tt.n)
		}
	}
}

// Whoever wants more gets the same first ones.
func TestWantMoreBeginsTheSame(t *testing.T) {
	p := mustCompile(t, worldSpec(Healthy{}, Geo{Default: GeoTarget{Nearest: true}}, Weighted{}, Take{1}))
	for dice := range uint64(200) {
		var s Scratch
		all := append([]EndpointID{}, p.Decide(&s, Query{Dice: dice, Want: 7, From: 2}, Health{}).Endpoints...)
		for want := 1; want < 7; want++ {
			got := p.Decide(&s, Query{Dice: dice, Want: want, From: 2}, Health{}).Endpoints
			for i := range got {
				if got[i] != all[i] {
					t.Fatalf("dice %d: %v of %v", dice, got, all)
				}
			}
		}
	}
}

func TestFamilies(t *testing.T) {
	spec := soundSpec()
	p := mustCompile(t, spec)
	for family, want := range map[Family]string{FamilyAny: "[0 1]", FamilyV4: "[0]", FamilyV6: "[0 1]"} {
		d := p.Decide(new(Scratch), Query{Family: family, Policy: 1, Dice: 3}, Health{})
		if len(d.Endpoints) == 2 && d.Endpoints[0] > d.Endpoints[1] {
			d.Endpoints[0], d.Endpoints[1] = d.Endpoints[1], d.Endpoints[0]
		}
		if got := fmt.Sprint(d.Endpoints); got != want {
			t.Errorf("%v: %s, want %s", family, got, want)
		}
	}
}

func TestDecideOfNothing(t *testing.T) {
	p := mustCompile(t, soundSpec())
	for _, q := range []Query{{Service: 9}, {Policy: 9}, {Family: 9}, {Service: 1}, {Service: 2, Family: FamilyV6}} {
		d := p.Decide(new(Scratch), q, Health{})
		if len(d.Endpoints) != 0 || d.TTL != 0 || d.Reason > ReasonGeo {
			t.Errorf("%+v: %+v", q, d)
		}
		if trace := p.Explain(q, Health{}); len(trace.Endpoints) != 0 {
			t.Errorf("%+v explained: %+v", q, trace)
		}
	}
}

func TestTier(t *testing.T) {
	nearest := Geo{Default: GeoTarget{Nearest: true}}
	only := Geo{Default: GeoTarget{Sites: []string{"us"}}}
	for _, tt := range []struct {
		name   string
		stages []StageSpec
		from   SiteID
		want   int
		health string
		tier   int
	}{
		{"without ranks all are equal", []StageSpec{Healthy{}, Weighted{}}, 1, 0, "", 7},
		{"the nearest site", []StageSpec{nearest}, 1, 0, "", 3},
		{"the nearest site, drawn", []StageSpec{nearest, Weighted{}}, 2, 0, "", 2},
		{"what is down is not counted", []StageSpec{Healthy{}, nearest}, 1, 0, "eu2=down", 2},
		{"the nearest site is out", []StageSpec{Healthy{}, nearest}, 1, 0, "eu1=down eu2=down eu3=down", 2},
		{"no more than are taken", []StageSpec{nearest, Take{2}}, 1, 0, "", 2},
		{"no more than are wanted", []StageSpec{nearest, Weighted{}}, 1, 2, "", 2},
		{"all are wanted", []StageSpec{nearest, Weighted{}, Take{1}}, 1, 99, "", 3},
		{"one rank is left", []StageSpec{nearest, Failover{}, Weighted{}}, 1, 0, "", 3},
		{"ranks inside a group of sites", []StageSpec{only, Failover{Sites: []string{"us", "eu"}}}, 1, 0, "us1=down us2=down", 3},
		{"the second geo splits a tie", []StageSpec{only, nearest}, 3, 0, "", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spec := worldSpec(tt.stages...)
			p := mustCompile(t, spec)
			q, h := Query{From: tt.from, Want: tt.want, Dice: 7}, healthOf(t, p, tt.health)
			checkDecision(t, spec, p, new(Scratch), q, h)
			if d := p.Decide(new(Scratch), q, h); d.Tier != tt.tier {
				t.Errorf("%d of %d are equally preferred, want %d", d.Tier, len(d.Endpoints), tt.tier)
			}
			if trace := p.Explain(q, h); trace.Tier != tt.tier {
				t.Errorf("explained as %d", trace.Tier)
			}
		})
	}
	p := mustCompile(t, Spec{Services: []ServiceSpec{{Name: "none"}}})
	if d := p.Decide(new(Scratch), Query{}, Health{}); d.Tier != 0 {
		t.Errorf("a tier of %d among none", d.Tier)
	}
}
