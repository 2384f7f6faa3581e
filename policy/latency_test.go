package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// latencySpec has three sites and, for some networks, the times to them.
func latencySpec() Spec {
	return Spec{
		Sites: []SiteSpec{{Name: "eu", At: &Point{50, 0}}, {Name: "us", At: &Point{40, -75}}, {Name: "ap", At: &Point{20, 75}}, {Name: "nowhere"}},
		Networks: []NetworkSpec{
			{Prefix: netip.MustParsePrefix("10.0.0.0/8"), At: &Point{41, -74}},
			{Prefix: netip.MustParsePrefix("11.0.0.0/8"), At: &Point{19, 72}},
		},
		Latency: []LatencySpec{
			{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Times: []SiteTime{{"us", 20 * ms}, {"eu", 80 * ms}, {"ap", 200 * ms}}},
			{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Times: []SiteTime{{"ap", 30 * ms}, {"us", 33 * ms}}},
			{Prefix: netip.MustParsePrefix("10.2.0.0/16"), Times: []SiteTime{{"nowhere", 5 * ms}}},
			{Prefix: netip.MustParsePrefix("10.3.0.0/16"), Times: []SiteTime{{"eu", 15 * ms}, {"us", 20 * ms}, {"ap", 21 * ms}}, Best: "us"},
			{Prefix: netip.MustParsePrefix("2001:db8::/32"), Times: []SiteTime{{"eu", 40 * ms}, {"us", 0}}},
		},
		Services: []ServiceSpec{{Name: "web", Endpoints: []EndpointSpec{
			benchEndpoint(0, 1, "eu"), benchEndpoint(1, 1, "us"), benchEndpoint(2, 1, "ap"), benchEndpoint(3, 1, "nowhere"), benchEndpoint(4, 1, "")}}},
		Policies: []PolicySpec{
			{Name: "exact", Stages: []StageSpec{Latency{}}},
			{Name: "about", Stages: []StageSpec{Latency{Within: DefaultWithin}}},
			{Name: "wide", Stages: []StageSpec{Latency{Within: Margin{Time: 60 * ms}}}},
			{Name: "geo", Stages: []StageSpec{Geo{Default: GeoTarget{Nearest: true}}}},
		},
	}
}

// tiersOf renders the sites of an answer in their order, "=" between those of one rank.
func tiersOf(p *Plan, pol, client string) string {
	q := Query{Client: netip.MustParsePrefix(client)}
	q.Policy, _ = p.PolicyByName(pol)
	trace := p.Explain(q, Health{})
	text := ""
	kept := trace.Stages[1].Kept
	for i, k := range kept {
		if i > 0 && *k.Rank == *kept[i-1].Rank {
			text += "="
		} else if i > 0 {
			text += " "
		}
		text += cmpOr(k.Site, "-")
	}
	return text
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func TestLatency(t *testing.T) {
	p := mustCompile(t, latencySpec())
	for _, tt := range []struct{ policy, client, want string }{
		{"exact", "10.9.0.1/32", "us eu ap nowhere -"},
		{"exact", "10.1.0.1/32", "ap us eu nowhere -"},         // the longest prefix alone counts; eu has no time there
		{"about", "10.1.0.1/32", "us=ap eu nowhere -"},         // 33 ms is 10 % more than 30 ms
		{"exact", "10.2.0.1/32", "nowhere us eu ap -"},         // those without times by distance
		{"exact", "10.3.0.1/32", "us eu ap nowhere -"},         // the best is told, and slower than another
		{"about", "10.3.0.1/32", "us=ap eu nowhere -"},         // what is as fast as it goes with it
		{"wide", "10.9.0.1/32", "eu=us ap nowhere -"},          // 80 ms and 20 ms
		{"wide", "2001:db8::1/128", "eu=us ap nowhere -"},      // client of unknown place: the rest in the order of the sites
		{"about", "2001:db8::1/128", "us eu ap nowhere -"},     // a time of 0 has no share
		{"exact", "11.0.0.1/32", "ap eu us nowhere -"},         // no network of the table: nearest
		{"exact", "12.0.0.1/32", "eu us ap nowhere -"},         // and no place either
		{"about", "::ffff:10.1.0.1/128", "us=ap eu nowhere -"}, // IPv4 in IPv6 form
	} {
		if got := tiersOf(p, tt.policy, tt.client); got != tt.want {
			t.Errorf("%s, %s: %s, want %s", tt.policy, tt.client, got, tt.want)
		}
	}
	for _, client := range []string{"11.0.0.1/32", "12.0.0.1/32", "3000::/8"} {
		if got, want := tiersOf(p, "exact", client), tiersOf(p, "geo", client); got != want {
			t.Errorf("%s: %s, but geo: nearest gives %s", client, got, want)
		}
	}
	q := Query{From: 2} // the edge at a site
	a, b := p.Explain(q, Health{}), p.Explain(Query{From: 2, Policy: 3}, Health{})
	if !slices.Equal(a.Endpoints, b.Endpoints) || a.Stages[1].Rule != "nearest" {
		t.Errorf("from a site %v, geo: nearest gives %v", a.Endpoints, b.Endpoints)
	}
}

// Without a table, latency is geo: nearest.
func TestLatencyWithoutTable(t *testing.T) {
	spec := latencySpec()
	spec.Latency = nil
	p := mustCompile(t, spec)
	for _, client := range []string{"10.1.0.1/32", "11.0.0.1/32", "2001:db8::1/128"} {
		if got, want := tiersOf(p, "about", client), tiersOf(p, "geo", client); got != want {
			t.Errorf("%s: %s, but geo: nearest gives %s", client, got, want)
		}
	}
}

func TestLatencyScope(t *testing.T) {
	p := mustCompile(t, latencySpec())
	for _, tt := range []struct {
		client string
		scope  uint8
	}{{"10.1.2.3/32", 16}, {"10.2.2.3/32", 16}, {"10.128.0.1/32", 9}, {"11.0.0.1/32", 8}, {"128.0.0.1/32", 1}, {"2001:db8::1/128", 32}} {
		if d := p.Decide(new(Scratch), Query{Client: netip.MustParsePrefix(tt.client)}, Health{}); d.Scope != tt.scope {
			t.Errorf("%s: scope %d, want %d", tt.client, d.Scope, tt.scope)
		}
	}
}

func TestExplainLatency(t *testing.T) {
	p := mustCompile(t, latencySpec())
	trace := p.Explain(Query{Client: netip.MustParsePrefix("10.3.7.0/24")}, Health{})
	st := trace.Stages[1]
	if st.Stage != "latency" || st.Rule != "10.3.0.0/16" || st.Scope != 16 || trace.Reason != "geo" {
		t.Errorf("%+v", st)
	}
	if want := "network 10.3.0.0/16: eu 15ms, us 20ms, ap 21ms; us went first before, and none is faster by so much that this changes"; st.Note != want {
		t.Errorf("note %q, want %q", st.Note, want)
	}
	if k := st.Kept; *k[0].Ms != 20 || *k[1].Ms != 15 || k[3].Ms != nil || *k[0].Rank != 0 || k[0].Km == nil {
		t.Errorf("%+v", k)
	}
	if st := p.Explain(Query{Client: netip.MustParsePrefix("12.0.0.0/24")}, Health{}).Stages[1]; st.Rule != "nearest" || !strings.Contains(st.Note, "no network of the table") {
		t.Errorf("%+v", st)
	}
}

// A prefix keeps its site unless another is faster by more than the margin.
func TestKeepBest(t *testing.T) {
	prefix := netip.MustParsePrefix("10.0.0.0/8")
	table := func(best string, eu, us, ap time.Duration) []LatencySpec {
		return []LatencySpec{{Prefix: prefix, Times: []SiteTime{{"eu", eu}, {"us", us}, {"ap", ap}}, Best: best}}
	}
	for _, tt := range []struct {
		before, now []LatencySpec
		want        string
	}{
		{nil, table("", 20*ms, 10*ms, 30*ms), ""},
		{table("", 10*ms, 20*ms, 30*ms), table("", 10*ms, 20*ms, 30*ms), ""},
		{table("", 10*ms, 11*ms, 30*ms), table("", 12*ms, 11*ms, 30*ms), "eu"},
		{table("", 10*ms, 11*ms, 30*ms), table("", 16*ms, 11*ms, 30*ms), "eu"},       // by 5 ms, and no more
		{table("", 10*ms, 11*ms, 30*ms), table("", 16*ms+1, 11*ms, 30*ms), ""},       // by more
		{table("", 100*ms, 110*ms, 300*ms), table("", 200*ms, 180*ms, 300*ms), "eu"}, // by 10 %
		{table("", 100*ms, 110*ms, 300*ms), table("", 200*ms, 180*ms-1, 300*ms), ""}, // by more
		{table("us", 10*ms, 11*ms, 30*ms), table("", 10*ms, 12*ms, 30*ms), "us"},     // kept before, kept again
		{table("us", 10*ms, 11*ms, 30*ms), table("", 10*ms, 12*ms, 5*ms), ""},        // a third one
		{table("us", 10*ms, 11*ms, 30*ms), table("", 10*ms, 9*ms, 30*ms), ""},        // it is the fastest
		{table("", 10*ms, 11*ms, 30*ms), []LatencySpec{{Prefix: prefix, Times: []SiteTime{{"us", ms}}}}, ""},
		{[]LatencySpec{{Prefix: netip.MustParsePrefix("10.0.0.0/9"), Times: []SiteTime{{"eu", ms}}}}, // another prefix
			table("", 12*ms, 11*ms, 30*ms), ""},
	} {
		KeepBest(tt.now, tt.before, DefaultHysteresis)
		if got := tt.now[0].Best; got != tt.want {
			t.Errorf("%v, then %v: best %q, want %q", tt.before, tt.now, got, tt.want)
		}
	}
}

// With times that waver by less than half of the margin, no prefix ever changes its first site.
func TestKeepBestIsSteady(t *testing.T) {
	r := seeded(1)
	var table []LatencySpec
	for range 50 {
		var next []LatencySpec
		for i := range 200 {
			l := LatencySpec{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 16)}
			for k := range 5 {
				l.Times = append(l.Times, SiteTime{fmt.Sprint("s", k), 50*ms + time.Duration(r.IntN(2400))*time.Microsecond})
			}
			next = append(next, l)
		}
		KeepBest(next, table, DefaultHysteresis)
		for i := range table {
			if was, now := table[i].best().Site, next[i].best().Site; was != now {
				t.Fatalf("%v moved from %s to %s", next[i].Prefix, was, now)
			}
		}
		table = next
	}
}

// Stages of the same margin are one, and rows that say the same too.
func TestLatencyShares(t *testing.T) {
	spec := latencySpec()
	for i := range 100 {
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(i)}), 16)
		spec.Latency = append(spec.Latency, LatencySpec{Prefix: prefix, Times: []SiteTime{{"us", 20 * ms}, {"eu", 80 * ms}}})
	}
	spec.Policies = append(spec.Policies, PolicySpec{Name: "again", Stages: []StageSpec{Healthy{}, Latency{}}})
	p := mustCompile(t, spec)
	if p.policies[0].stages[0] != p.policies[4].stages[1] || p.policies[0].stages[0] == p.policies[1].stages[0] {
		t.Error("equal stages are two, or different ones are one")
	}
	g := p.policies[0].geo
	if len(p.times.rows) != 6 || len(g.atlas.v4.starts) > 15 || len(g.outcomes) > 30 {
		t.Errorf("%d rows, %d ranges, %d causes", len(p.times.rows), len(g.atlas.v4.starts), len(g.outcomes))
	}
}

func TestLatencyDoesNotAllocate(t *testing.T) {
	p := mustCompile(t, latencySpec())
	var s Scratch
	for _, client := range []string{"10.1.2.0/24", "12.0.0.0/8", "2001:db8::/56", "::ffff:10.1.2.3/128"} {
		q := Query{Client: netip.MustParsePrefix(client), Policy: 1}
		if n := testing.AllocsPerRun(20, func() { p.Decide(&s, q, Health{}) }); n != 0 {
			t.Errorf("%s: %v allocations", client, n)
		}
	}
}

func TestBadLatency(t *testing.T) {
	prefix := netip.MustParsePrefix("10.0.0.0/8")
	for name, tt := range map[string]struct {
		spec LatencySpec
		want string
	}{
		"site":      {LatencySpec{Prefix: prefix, Times: []SiteTime{{"x", ms}}}, `there is no site "x"`},
		"twice":     {LatencySpec{Prefix: prefix, Times: []SiteTime{{"eu", ms}, {"eu", ms}}}, `site "eu" has two times`},
		"none":      {LatencySpec{Prefix: prefix}, "network 10.0.0.0/8 has no times"},
		"negative":  {LatencySpec{Prefix: prefix, Times: []SiteTime{{"eu", -1}}}, "a round-trip time of -1ns is out of range: want 0 to 1m0s"},
		"too long":  {LatencySpec{Prefix: prefix, Times: []SiteTime{{"eu", MaxRTT + 1}}}, "a round-trip time of 1m0.000000001s is out of range: want 0 to 1m0s"},
		"best":      {LatencySpec{Prefix: prefix, Times: []SiteTime{{"eu", ms}}, Best: "us"}, `the best site "us" has no time`},
		"no prefix": {LatencySpec{Times: []SiteTime{{"eu", ms}}}, "this is no network: want an address and a length, such as 192.0.2.0/24"},
	} {
		s := latencySpec()
		s.Latency = []LatencySpec{tt.spec}
		if p, problems := Compile(s); p != nil || len(problems) != 1 || problems[0].Msg != tt.want || !slices.Equal(problems[0].Path[:2], []string{"geo", "latency"}) {
			t.Errorf("%s: %v, want %s", name, problems, tt.want)
		}
	}
	s := latencySpec()
	s.Latency = append(s.Latency, s.Latency[0])
	if _, problems := Compile(s); len(problems) != 1 || problems[0].Msg != "network 10.0.0.0/8 is declared twice" {
		t.Errorf("%v", problems)
	}
	for _, m := range []Margin{{Share: -0.1}, {Share: 1.1}, {Time: -1}, {Time: MaxRTT + 1}} {
		s := latencySpec()
		s.Policies = []PolicySpec{{Name: "p", Stages: []StageSpec{Latency{Within: m}}}}
		_, problems := Compile(s)
		if len(problems) != 1 || !strings.Contains(problems[0].Msg, "out of range") || !slices.Equal(problems[0].Path, []string{"policies", "p", "0", "latency", "within"}) {
			t.Errorf("%v: %v", m, problems)
		}
	}
}
