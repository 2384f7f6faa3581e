package quorum

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/policy"
)

func TestRules(t *testing.T) {
	votes := func(s string) (c count) { return count{strings.Count(s, "u"), strings.Count(s, "d")} }
	for _, c := range []struct {
		rule        Rule
		here, there string // u and d; the first of here is this prober's
		want        policy.State
	}{
		{Rule{}, "", "", policy.Unknown},
		{Rule{}, "u", "", up},
		{Rule{}, "d", "", down},
		{Rule{}, "d", "uuuu", up},
		{Rule{}, "d", "dduu", down},
		{Rule{}, "d", "u", policy.Unknown},
		{Rule{}, "", "dd", down},
		{Rule{Kind: AtLeast, K: 3}, "d", "ddu", down},
		{Rule{Kind: AtLeast, K: 3}, "d", "duu", policy.Unknown},
		{Rule{Kind: AtLeast, K: 3}, "d", "dduuuu", up}, // three say down, but more say the opposite
		{Rule{Kind: AtLeast, K: 3}, "d", "dduuu", policy.Unknown},
		{Rule{Kind: AtLeast, K: 3}, "d", "", down}, // as many as there are
		{Rule{Kind: AtLeast, K: 3}, "d", "u", policy.Unknown},
		{Rule{Kind: AtLeast, K: 1}, "d", "uu", up},
		{Rule{Kind: Share}, "u", "dddd", up}, // 20 %
		{Rule{Kind: Share}, "u", "ddddd", down},
		{Rule{Kind: Share, Share: 0.5}, "u", "d", down}, // more than the share
		{Rule{Kind: Share}, "", "", policy.Unknown},
		{Rule{Kind: Any}, "d", "dddu", up},
		{Rule{Kind: Any}, "d", "ddd", down},
		{Rule{Kind: Any}, "", "", policy.Unknown},
		{Rule{Kind: Local}, "d", "uuuu", down},
		{Rule{Kind: Local}, "", "dddd", policy.Unknown},
		{Rule{Kind: RegionFirst}, "dd", "uuuu", down},
		{Rule{Kind: RegionFirst}, "du", "uud", up},
		{Rule{Kind: RegionFirst}, "", "ddu", down},
		{Rule{Kind: RegionFirst}, "du", "ud", policy.Unknown},
	} {
		tl := tally{here: votes(c.here), there: votes(c.there)}
		if c.here != "" {
			tl.own = map[byte]policy.State{'u': up, 'd': down}[c.here[0]]
		}
		got, why := c.rule.decide(tl)
		if got != c.want || why == "" {
			t.Errorf("%v of %q here and %q there: %v (%s), want %v", c.rule, c.here, c.there, got, why, c.want)
		}
	}
}

func TestRuleProblems(t *testing.T) {
	nan := 0.0
	nan /= nan
	for _, c := range []struct {
		rule Rule
		bad  bool
	}{
		{Rule{}, false}, {Rule{Kind: RegionFirst}, false}, {Rule{Kind: AtLeast, K: 64}, false}, {Rule{Kind: Share}, false}, {Rule{Kind: Share, Share: .99}, false},
		{Rule{Kind: RegionFirst + 1}, true}, {Rule{Kind: AtLeast}, true}, {Rule{Kind: AtLeast, K: 65}, true}, {Rule{Kind: Share, Share: 1}, true},
		{Rule{Kind: Share, Share: -.1}, true}, {Rule{Kind: Share, Share: nan}, true},
	} {
		if got := c.rule.Problem(); (got != "") != c.bad {
			t.Errorf("%+v: %q", c.rule, got)
		}
	}
}

// reference says by the words of the documentation what a rule makes of votes; the first vote is this prober's own.
func reference(r Rule, votes []policy.State, region []bool) policy.State {
	var ups, downs, n, upsHere, nHere int
	for i, v := range votes {
		if v == policy.Unknown {
			continue
		}
		n++
		if region[i] {
			nHere++
		}
		if v == up {
			ups++
			if region[i] {
				upsHere++
			}
		} else {
			downs++
		}
	}
	moreThanHalf := func(ups, n int) policy.State {
		switch {
		case 2*ups > n:
			return up
		case 2*(n-ups) > n:
			return down
		}
		return policy.Unknown
	}
	switch r.Kind {
	case Local:
		return votes[0]
	case Any:
		switch {
		case n == 0:
			return policy.Unknown
		case ups > 0:
			return up
		}
		return down
	case Share:
		switch {
		case n == 0:
			return policy.Unknown
		case float64(ups)/float64(n) > r.Share:
			return up
		}
		return down
	case AtLeast:
		need := r.K
		if n < need {
			need = n
		}
		switch {
		case n == 0 || ups == downs:
			return policy.Unknown
		case ups > downs && ups >= need:
			return up
		case downs > ups && downs >= need:
			return down
		}
		return policy.Unknown
	case RegionFirst:
		if s := moreThanHalf(upsHere, nHere); s != policy.Unknown {
			return s
		}
		return moreThanHalf(ups-upsHere, n-nHere)
	}
	return moreThanHalf(ups, n)
}

// What a Matrix believes is what the reference says, or what it believed before where that says nothing.
func TestMatrixAgainstReference(t *testing.T) {
	rules := []Rule{{}, {Kind: AtLeast, K: 2}, {Kind: AtLeast, K: 4}, {Kind: Share, Share: .18}, {Kind: Share, Share: .6}, {Kind: Any}, {Kind: Local}, {Kind: RegionFirst}}
	dice := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		rule := rules[dice.IntN(len(rules))]
		b := newBench(t, 1, rule)
		others := dice.IntN(7)
		region := make([]bool, others+1)
		region[0] = true
		for i := range others {
			region[i+1] = dice.IntN(2) == 0
		}
		believed := policy.Unknown
		votes := make([]policy.State, others+1)
		for range 6 {
			for i := range votes {
				if dice.IntN(3) > 0 {
					votes[i] = []policy.State{policy.Unknown, up, down}[dice.IntN(3)]
				}
			}
			b.Own(web(0), policy.Verdict{State: votes[0], TTL: 1}, Result{Checked: true, Failing: votes[0] == down}, b.now)
			for i := range others {
				b.seq++
				p := Prober{Name: string(rune('b' + i)), Region: "elsewhere"}
				if region[i+1] {
					p.Region = "ra"
				}
				rep := Report{Prober: p, Seq: b.seq, TTL: 1e9, Full: true, Entries: []Entry{{1, Vote{State: votes[i+1], TTL: 1, Failing: votes[i+1] == down, Checked: b.now}}}}
				if err := b.Hear(&rep, b.now); err != nil {
					t.Fatal(err)
				}
			}
			b.decide(1)
			if s := reference(rule, votes, region); s != policy.Unknown {
				believed = s
			}
			if b.state[web(0)] != believed {
				t.Fatalf("%v of %v (here %v): %v, want %v", rule, votes, region, b.state[web(0)], believed)
			}
		}
	}
}
