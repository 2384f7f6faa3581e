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
		"some": {Canary{0.1, []string{"us"}}, 24}, "none": {Canary{0, []string{"us"}}, 0}, "all": {Canary{1, []string{"us"}}, 0},
		"all sites": {Canary{0.1, []string{"us", "eu"}}, 0},
	} {
		p := mustCompile(t, treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{tt.stage}}))
		if d := p.Decide(new(Scratch), Query{Client: netip.MustParsePrefix("192.0.2.0/24")}, downOf(p, "us1", "us2")); d.Scope != tt.want {
			t.Errorf("%s: scope %d, want %d", name, d.Scope, tt.want)
		}
	}
}

func TestBadCanaries(t *testing.T) {
	for _, bad := range []Canary{{-0.1, []string{"us"}}, {1.1, []string{"us"}}, {math.NaN(), []string{"us"}}, {0.1, nil}, {0.1, []string{"x"}}} {
		if _, problems := Compile(treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{bad}})); len(problems) != 1 {
			t.Errorf("%+v: %v", bad, problems)
		}
	}
}
