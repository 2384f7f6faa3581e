package policy

import (
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
)

// explained renders the stages of a Trace: a line each.
func explained(trace Trace) string {
	var b strings.Builder
	for _, st := range trace.Stages {
		b.WriteString(st.Stage + ":")
		for _, k := range st.Kept {
			b.WriteString(" " + strings.TrimPrefix(k.Name, "web/"))
		}
		for _, d := range st.Dropped {
			b.WriteString(" -" + strings.TrimPrefix(d.Name, "web/") + " (" + d.Why + ")")
		}
		b.WriteString(" | " + st.Note + "\n")
	}
	return b.String()
}

func TestExplain(t *testing.T) {
	geo := Geo{
		Rules:   []GeoRule{{Prefix: netip.MustParsePrefix("192.0.2.128/25"), To: GeoTarget{Sites: []string{"ap"}}}, {Region: "asia", To: GeoTarget{Sites: []string{"ap", "us"}}}},
		Default: GeoTarget{Nearest: true},
	}
	spec := worldSpec(Healthy{}, geo, Failover{}, Weighted{}, Take{1})
	spec.Services[0].Endpoints[2].V4 = netip.Addr{}
	spec.Services[0].Endpoints[2].V6 = netip.MustParseAddr("2001:db8::1")
	p := mustCompile(t, spec)
	for _, tt := range []struct {
		name, client, health string
		q                    Query
		want                 string
	}{
		{"all well", "198.51.100.7/32", "", Query{Family: FamilyV4, Dice: 5}, `
family: eu1 us1 ap1 us2 eu3 none1 -eu2 (has no IPv4 address) | 
healthy: eu1 us1 ap1 us2 eu3 none1 | 6 of 6 usable
geo: us1 us2 eu1 eu3 ap1 none1 | rule default: nearest
failover: us1 us2 -eu1 (in another group) -eu3 (in another group) -ap1 (in another group) -none1 (in another group) | us: 2 of 2 up with weight 20 of 20: kept
weighted: us1 us2 | drew the first 1 of 2
take: us1 -us2 (after the first 1) | 
`},
		{"a site is out", "192.0.2.7/32", "eu1=down eu3=drained!", Query{Family: FamilyV4}, `
family: eu1 us1 ap1 us2 eu3 none1 -eu2 (has no IPv4 address) | 
healthy: us1 ap1 us2 none1 -eu1 (down) -eu3 (drained, forced) | 4 of 6 usable
geo: us1 us2 ap1 none1 | rule default: nearest
failover: us1 us2 -ap1 (in another group) -none1 (in another group) | eu: 0 of 2 up with weight 0 of 20: passed over; us: 2 of 2 up with weight 20 of 20: kept
weighted: us2 us1 | drew the first 1 of 2
take: us2 -us1 (after the first 1) | 
`},
		{"by rule of a network", "192.0.2.200/32", "", Query{Family: FamilyV4}, `
family: eu1 us1 ap1 us2 eu3 none1 -eu2 (has no IPv4 address) | 
healthy: eu1 us1 ap1 us2 eu3 none1 | 6 of 6 usable
geo: ap1 eu1 eu3 us1 us2 none1 | rule 192.0.2.128/25: ap
failover: ap1 -eu1 (in another group) -eu3 (in another group) -us1 (in another group) -us2 (in another group) -none1 (in another group) | ap: 1 of 1 up with weight 10 of 10: kept
weighted: ap1 | nothing to draw
take: ap1 | 
`},
		{"from a site, all down, all wanted", "", "eu1=down us1=down eu2=down ap1=down us2=down eu3=down none1=down", Query{From: 3, Want: 9}, `
family: eu1 us1 eu2 ap1 us2 eu3 none1 | 
healthy: eu1 us1 eu2 ap1 us2 eu3 none1 | none of 7 usable: failed open, all count as up
geo: ap1 us1 us2 eu1 eu2 eu3 none1 | rule asia: ap, us
failover: ap1 -us1 (in another group) -us2 (in another group) -eu1 (in another group) -eu2 (in another group) -eu3 (in another group) -none1 (in another group) | ap: 1 of 1 up with weight 10 of 10: kept
weighted: ap1 | nothing to draw
take: ap1 | the asker takes up to 9
`},
		{"from nowhere", "", "", Query{Family: FamilyV6}, `
family: eu2 -eu1 (has no IPv6 address) -us1 (has no IPv6 address) -ap1 (has no IPv6 address) -us2 (has no IPv6 address) -eu3 (has no IPv6 address) -none1 (has no IPv6 address) | 
healthy: eu2 | 1 of 1 usable
geo: eu2 | rule default: nearest, but the client's place is unknown: the order of the sites
failover: eu2 | one group
weighted: eu2 | nothing to draw
take: eu2 | 
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.client != "" {
				tt.q.Client = netip.MustParsePrefix(tt.client)
			}
			h := healthOf(t, p, tt.health)
			if got := explained(p.Explain(tt.q, h)); got != strings.TrimPrefix(tt.want, "\n") {
				t.Errorf("got\n%swant%s", got, tt.want)
			}
		})
	}
}

func TestExplainClient(t *testing.T) {
	p := mustCompile(t, worldSpec(Geo{Default: GeoTarget{Nearest: true}}))
	for _, tt := range []struct {
		q    Query
		want ClientTrace
	}{
		{Query{}, ClientTrace{}},
		{Query{Client: netip.MustParsePrefix("198.51.100.77/24")}, ClientTrace{Prefix: "198.51.100.77/24", Address: "198.51.100.0", Network: "198.51.100.0/24", Site: "us", At: &Point{39.04, -77.49}}},
		{Query{Client: netip.MustParsePrefix("::ffff:203.0.113.1/128")}, ClientTrace{Prefix: "::ffff:203.0.113.1/128", Address: "203.0.113.1", Network: "203.0.113.0/24", Region: "asia", Regions: []string{"asia"}}},
		{Query{Client: netip.MustParsePrefix("10.0.0.0/8")}, ClientTrace{Prefix: "10.0.0.0/8", Address: "10.0.0.0"}},
		{Query{From: 1, Client: netip.MustParsePrefix("10.0.0.0/8")}, ClientTrace{Site: "eu", Region: "europe", Regions: []string{"europe"}, At: &Point{53.35, -6.26}}},
	} {
		got, want := p.Explain(tt.q, Health{}).Client, tt.want
		if (got.At == nil) != (want.At == nil) || got.At != nil && *got.At != *want.At {
			t.Errorf("%+v: at %v, want %v", tt.q, got.At, want.At)
		}
		got.At, want.At = nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: %+v, want %+v", tt.q, got, want)
		}
	}
}

// The JSON form is what programs read: changing it is changing the interface.
func TestTraceJSON(t *testing.T) {
	spec := worldSpec(Healthy{}, Geo{Default: GeoTarget{Nearest: true}}, Weighted{}, Take{1})
	spec.Services[0].Endpoints = spec.Services[0].Endpoints[:3]
	p := mustCompile(t, spec)
	trace := p.Explain(Query{Client: netip.MustParsePrefix("198.51.100.0/25"), Dice: 4}, healthOf(t, p, "us1=drained!/9 eu1=up/15"))
	got, err := json.MarshalIndent(trace, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/trace.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != strings.TrimSpace(string(want)) {
		t.Errorf("got %s", got)
	}
}

// The candidates of a weighted stage carry the odds of coming first.
func TestExplainShares(t *testing.T) {
	p := weightsPlan(t, 1, 2, 7)
	for _, st := range p.Explain(Query{Policy: 1}, Health{}).Stages {
		for _, k := range st.Kept {
			want := 0.0
			if st.Stage == "weighted" {
				want = float64(k.Weight) / 10
			}
			if k.Share != want {
				t.Errorf("%s in %s has share %v, want %v", k.Name, st.Stage, k.Share, want)
			}
		}
	}
	p = weightsPlan(t, 0, 0)
	if k := p.Explain(Query{Policy: 1}, Health{}).Stages[2].Kept[0]; k.Share != 0.5 {
		t.Errorf("one of two without weight has share %v", k.Share)
	}
}

// TestExplainCuts: who is outside, and why; and who comes back.
func TestExplainCuts(t *testing.T) {
	within := Geo{Default: GeoTarget{Nearest: true, Within: 0.05, Limit: 2, Bias: []SiteBias{{"ap", -50}}}}
	for _, tt := range []struct {
		stage  Geo
		health string
		want   string
	}{
		{within, "", "geo: eu1 us1 eu2 us2 eu3 -ap1 (at none of the nearest 2 sites) -none1 (at none of the nearest 2 sites) | " +
			"rule default: nearest, within 5 %, the first 2 sites, ap biased by -50"},
		{Geo{Default: GeoTarget{Sites: []string{"us", "ap"}, Fence: true}}, "us1=down us2=down ap1=down",
			"geo: us1 us2 ap1 -eu1 (outside the fence) -eu2 (outside the fence) -eu3 (outside the fence) -none1 (outside the fence) | " +
				"rule default: us, ap, fenced: nothing inside is up, so what is there counts as up"},
	} {
		p := mustCompile(t, worldSpec(Healthy{}, tt.stage))
		got := p.Explain(Query{Client: netip.MustParsePrefix("100.64.1.0/24")}, healthOf(t, p, tt.health))
		if lines := strings.Split(explained(got), "\n"); lines[2] != tt.want {
			t.Errorf("got  %s\nwant %s", lines[2], tt.want)
		}
		for _, k := range got.Stages[2].Kept {
			if k.Returned != (k.State == Down) {
				t.Errorf("%s is %v, returned %v", k.Name, k.State, k.Returned)
			}
		}
	}
}

// TestExplainOrder: which rule said in which order sites are tried.
func TestExplainOrder(t *testing.T) {
	order := Geo{Rules: []GeoRule{{Region: "europe", To: GeoTarget{Sites: []string{"ap", "eu"}}}}, Default: GeoTarget{Nearest: true}}
	p := mustCompile(t, worldSpec(Healthy{}, Failover{Order: &order}))
	got := p.Explain(Query{Client: netip.MustParsePrefix("192.0.2.0/24")}, healthOf(t, p, "ap1=down")).Stages[2]
	want := "rule europe: ap, eu; ap: 0 of 1 up with weight 0 of 10: passed over; eu: 3 of 3 up with weight 30 of 30: kept"
	if got.Note != want || got.Rule != "europe" || got.Scope != 24 {
		t.Errorf("rule %s, scope %d\n%s, want\n%s", got.Rule, got.Scope, got.Note, want)
	}
}
