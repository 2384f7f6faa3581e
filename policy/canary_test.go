package policy

import (
	"math"
	"net/netip"
	"strings"
	"testing"
)

// TestCanary: a share of the clients, and always they, gets the sites under trial; nobody else does, as long as there is anything else.
func TestCanary(t *testing.T) {
	spec := treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{Healthy{}, Canary{Share: 0.05, Sites: []string{"us"}}, Take{1}}})
	p := mustCompile(t, spec)
	const clients = 400_000
	for _, tt := range []struct {
		down string
		us   float64
	}{{"", 0.05}, {"us1", 0.05}, {"us1 us2", 0}, {"eu1 eu2", 1}} {
		h, us := downOf(p, strings.Fields(tt.down)...), 0
		var s Scratch
		r := seeded(2)
		for range clients {
			q := Query{Key: r.Uint64(), Dice: r.Uint64()}
			first := answerOf(p, p.Decide(&s, q, h))[0]
			q.Dice++
			if again := answerOf(p, p.Decide(&s, q, h))[0]; again != first {
				t.Fatalf("a client gets %s, then %s", first, again)
			}
			if strings.HasPrefix(first, "us") {
				us++
			}
		}
		if got := float64(us) / clients; math.Abs(got-tt.us) > 0.003 {
			t.Errorf("down %q: %.4f of the clients get us, want %v", tt.down, got, tt.us)
		}
	}
}

// TestCanaryScope: a key's, where the service has endpoints on both sides and the share is neither none nor all.
func TestCanaryScope(t *testing.T) {
	for name, tt := range map[string]struct {
		stage Canary
		want  uint8
	}{
		"some": {Canary{Share: 0.1, Sites: us}, 24}, "none": {Canary{Sites: us}, 0}, "all": {Canary{Share: 1, Sites: us}, 0},
		"all sites": {Canary{Share: 0.1, Sites: []string{"us", "eu"}}, 0},
	} {
		p := mustCompile(t, treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{tt.stage}}))
		if d := p.Decide(new(Scratch), Query{Client: netip.MustParsePrefix("192.0.2.0/24")}, downOf(p, "us1", "us2")); d.Scope != tt.want {
			t.Errorf("%s: scope %d, want %d", name, d.Scope, tt.want)
		}
	}
}

// TestCanaryNetworks: the clients of some networks, and who else the share says.
func TestCanaryNetworks(t *testing.T) {
	list := prefixes("10.0.0.0/9 10.128.0.0/10 10.192.0.0/10 192.0.2.128/25 2001:db8::/32")
	for _, tt := range []struct {
		client string
		share  float64
		from   SiteID
		us     bool
		scope  uint8
	}{
		{"10.1.2.0/24", 0, 0, true, 8}, // the three are one
		{"10.1.2.0/24", 0.5, 0, true, 8},
		{"11.0.0.0/24", 0, 0, false, 8},
		{"128.0.0.0/24", 0, 0, false, 2},
		{"192.0.2.0/24", 0, 0, false, 25},
		{"192.0.2.255/32", 0, 0, true, 25},
		{"::ffff:10.1.2.3/128", 0, 0, true, 104},
		{"2001:db8:1::/48", 0, 0, true, 32},
		{"8000::/1", 0, 0, false, 1},
		{"8000::/1", 1e-9, 0, false, 56},
		{"10.1.2.3/32", 0, 1, true, 0}, // the edge knows it by its address too
		{"192.0.2.0/24", 1, 0, true, 0},
	} {
		stage := Canary{Share: tt.share, Networks: list, Sites: us}
		p := mustCompile(t, treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{stage, Take{1}}}))
		d := p.Decide(new(Scratch), Query{Client: netip.MustParsePrefix(tt.client), From: tt.from}, Health{})
		if got := strings.HasPrefix(answerOf(p, d)[0], "us"); got != tt.us || d.Scope != tt.scope {
			t.Errorf("%s with share %v: us %v, scope %d; want %v, %d", tt.client, tt.share, got, d.Scope, tt.us, tt.scope)
		}
	}
	p := mustCompile(t, treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{Canary{Networks: prefixes("0.0.0.0/0"), Sites: us}}}))
	for _, client := range []string{"192.0.2.0/24", "2001:db8::/32"} {
		if d := p.Decide(new(Scratch), Query{Client: netip.MustParsePrefix(client)}, Health{}); d.Scope != 1 {
			t.Errorf("%s has scope %d, and the other family gets another answer", client, d.Scope)
		}
	}
	if note := p.Explain(Query{Client: netip.MustParsePrefix("192.0.2.0/24")}, Health{}).Stages[1].Note; note != "the client's network is listed, so it is of the canaries" {
		t.Errorf("explained as %q", note)
	}
}

// us are the sites under trial.
var us = []string{"us"}

// prefixes reads networks with blanks between them.
func prefixes(text string) (list []netip.Prefix) {
	for _, word := range strings.Fields(text) {
		list = append(list, netip.MustParsePrefix(word))
	}
	return list
}

func TestBadCanaries(t *testing.T) {
	for _, bad := range []Canary{
		{Share: -0.1, Sites: us}, {Share: 1.1, Sites: us}, {Share: math.NaN(), Sites: us}, {Share: 0.1}, {Share: 0.1, Sites: []string{"x"}},
		{Networks: prefixes("192.0.2.1/24"), Sites: us}, {Networks: prefixes("192.0.2.0/24 192.0.2.0/24"), Sites: us}, {Networks: make([]netip.Prefix, 1), Sites: us},
	} {
		if _, problems := Compile(treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{bad}})); len(problems) != 1 {
			t.Errorf("%+v: %v", bad, problems)
		}
	}
}
