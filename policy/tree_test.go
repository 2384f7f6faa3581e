package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// treeSpec has the sites eu and us with two endpoints each, of weight 1 and 3, and policies.
func treeSpec(policies ...PolicySpec) Spec {
	s := Spec{Sites: []SiteSpec{{Name: "eu"}, {Name: "us"}}, Services: []ServiceSpec{{Name: "web"}}, Policies: policies}
	for i, site := range []string{"eu", "eu", "us", "us"} {
		e := benchEndpoint(i, []uint32{1, 3}[i%2], site)
		e.Name = fmt.Sprint(site, i%2+1)
		s.Services[0].Endpoints = append(s.Services[0].Endpoints, e)
	}
	return s
}

// downOf marks endpoints of treeSpec down, by name.
func downOf(p *Plan, down ...string) Health {
	h := NewHealth(p.NumEndpoints())
	for _, name := range down {
		id, ok := p.EndpointByName("web/" + name)
		if !ok {
			panic(name)
		}
		h = h.With(id, Verdict{State: Down})
	}
	return h
}

// answerOf returns the names of the answer's endpoints.
func answerOf(p *Plan, d Decision) (names []string) {
	for _, id := range d.Endpoints {
		names = append(names, strings.TrimPrefix(p.Endpoint(id).Name, "web/"))
	}
	return names
}

// TestFailoverOfBranches: gdnsd's metafo over weighted: a site that has less than half of its weight up counts as failed, and serves all that it
// has if it is the last.
func TestFailoverOfBranches(t *testing.T) {
	inside := []StageSpec{Healthy{Threshold: 0.5}}
	spec := treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{Failover{Branches: []Branch{{Sites: []string{"eu"}, Stages: inside}, {Sites: []string{"us"}, Stages: inside}}}}})
	p := mustCompile(t, spec)
	for _, tt := range []struct {
		down   string
		want   string
		reason Reason
	}{
		{"", "eu1 eu2", ReasonStatic},
		{"eu1", "eu2", ReasonStatic},               // 3 of 4
		{"eu2", "us1 us2", ReasonFailover},         // 1 of 4
		{"eu2 us1", "us2", ReasonFailover},         //
		{"eu2 us2", "eu1 eu2", ReasonFailOpen},     // none has enough: the first that has anything up, whole
		{"eu1 eu2 us2", "us1 us2", ReasonFailOpen}, //
		{"eu1 eu2 us1 us2", "eu1 eu2", ReasonFailOpen},
	} {
		d := p.Decide(new(Scratch), Query{}, downOf(p, strings.Fields(tt.down)...))
		if got := strings.Join(answerOf(p, d), " "); got != tt.want || d.Reason != tt.reason {
			t.Errorf("down %q: %s for %v, want %s for %v", tt.down, got, d.Reason, tt.want, tt.reason)
		}
	}
}

// TestWeightedBranches: a site is drawn by its share, then an endpoint of it by its weight, and the two draws do not depend on each other; the
// share of a site that does not work goes to the others.
func TestWeightedBranches(t *testing.T) {
	one := PolicySpec{Name: "one", Stages: []StageSpec{Healthy{}, Weighted{}, Take{1}}}
	split := Weighted{Branches: []Branch{{Sites: []string{"eu"}, Weight: 80, Policy: "one"}, {Sites: []string{"us"}, Weight: 20, Policy: "one"}}}
	p := mustCompile(t, treeSpec(PolicySpec{Name: "split", Stages: []StageSpec{split}}, one))
	const draws = 1_000_000
	for _, tt := range []struct {
		down string
		want map[string]float64
	}{
		{"", map[string]float64{"eu1": 20, "eu2": 60, "us1": 5, "us2": 15}},
		{"eu2", map[string]float64{"eu1": 80, "us1": 5, "us2": 15}},
		{"eu1 eu2", map[string]float64{"us1": 25, "us2": 75}},
	} {
		h, counts := downOf(p, strings.Fields(tt.down)...), map[string]int{}
		var s Scratch
		r := seeded(7)
		for range draws {
			counts[answerOf(p, p.Decide(&s, Query{Dice: r.Uint64()}, h))[0]]++
		}
		for _, name := range []string{"eu1", "eu2", "us1", "us2"} {
			if got := float64(counts[name]) * 100 / draws; got < tt.want[name]-0.3 || got > tt.want[name]+0.3 {
				t.Errorf("down %q: %s has %.2f %%, want %v", tt.down, name, got, tt.want[name])
			}
		}
	}
}

// TestBranchesNest: failover between splits, three levels deep, by name and inline.
func TestBranchesNest(t *testing.T) {
	p := mustCompile(t, treeSpec(
		PolicySpec{Name: "top", Stages: []StageSpec{Failover{Branches: []Branch{{Policy: "middle"}, {Sites: []string{"us"}, Stages: []StageSpec{Healthy{}, Take{1}}}}}}},
		PolicySpec{Name: "middle", Stages: []StageSpec{Weighted{Branches: []Branch{
			{Sites: []string{"eu"}, Weight: 1, Stages: []StageSpec{Failover{Branches: []Branch{{Policy: "strict"}}}}}}}}},
		PolicySpec{Name: "strict", Stages: []StageSpec{Healthy{Min: 2}}},
	))
	for down, want := range map[string]string{"": "eu1 eu2", "eu1": "us1", "eu2 us1": "us2", "eu1 us1 us2": "eu1 eu2"} {
		if got := strings.Join(answerOf(p, p.Decide(new(Scratch), Query{}, downOf(p, strings.Fields(down)...))), " "); got != want {
			t.Errorf("down %q: %s, want %s", down, got, want)
		}
	}
}

// TestBranchesWithNothing: where no branch has an endpoint the stage does nothing but say so.
func TestBranchesWithNothing(t *testing.T) {
	spec := treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{Failover{Branches: []Branch{{Sites: []string{"far"}, Stages: []StageSpec{Take{1}}}}}}})
	spec.Sites = append(spec.Sites, SiteSpec{Name: "far"})
	p := mustCompile(t, spec)
	if got := answerOf(p, p.Decide(new(Scratch), Query{}, Health{})); len(got) != 4 {
		t.Errorf("answer %v", got)
	}
}

// TestExplainBranches: what is explained of branches says which was kept and why the others were not.
func TestExplainBranches(t *testing.T) {
	inside := []StageSpec{Healthy{Threshold: 0.5}, Take{1}}
	p := mustCompile(t, treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{Failover{Branches: []Branch{
		{Sites: []string{"eu"}, Stages: inside}, {Sites: []string{"us"}, Stages: inside}, {Policy: DefaultPolicy}}}}}))
	tr := p.Explain(Query{}, downOf(p, "eu2"))
	st := tr.Stages[len(tr.Stages)-1]
	if want := "eu: passed over: 1 of 2 usable with weight 1 of 4, less than 0.5: failed open, all count as up; us: kept"; st.Note != want {
		t.Errorf("note %q, want %q", st.Note, want)
	}
	var outcomes []string
	for _, b := range st.Branches {
		outcomes = append(outcomes, fmt.Sprintf("%s %d stages", b.Branch, len(b.Stages)))
	}
	if want := []string{"eu 3 stages", "us 3 stages", "default 0 stages"}; !slices.Equal(outcomes, want) {
		t.Errorf("branches %q, want %q", outcomes, want)
	}
	if b := st.Branches[1].Stages; b[0].Stage != "branch" || len(b[0].Kept) != 2 || b[2].Stage != "take" || b[2].Dropped[0].Name != "web/us2" {
		t.Errorf("the stages of the branch that was kept: %+v", b)
	}
	if len(st.Dropped) != 3 || st.Kept[0].Name != "web/us1" {
		t.Errorf("kept %+v, dropped %+v", st.Kept, st.Dropped)
	}
}

// TestScopeOfBranches: where the client is counts among the sites of the branch that looks at it, whichever branch is kept.
func TestScopeOfBranches(t *testing.T) {
	near := []StageSpec{Healthy{}, Geo{Default: GeoTarget{Sites: []string{"eu", "us"}}, Rules: []GeoRule{{Prefix: netip.MustParsePrefix("10.1.0.0/16"), To: GeoTarget{Sites: []string{"us"}}}}}}
	branches := func(list ...Branch) PolicySpec {
		return PolicySpec{Name: "p", Stages: []StageSpec{Failover{Branches: list}}}
	}
	for name, tt := range map[string]struct {
		policy PolicySpec
		scope  uint8
	}{
		"all sites":        {branches(Branch{Stages: near}), 16},
		"one site":         {branches(Branch{Sites: []string{"us"}, Stages: near}), 0},
		"not kept":         {branches(Branch{Sites: []string{"us"}, Stages: []StageSpec{Healthy{}}}, Branch{Stages: near}), 16},
		"sticky inside":    {branches(Branch{Sites: []string{"us"}, Stages: []StageSpec{Sticky{}}}), 24},
		"sticky of others": {branches(Branch{Stages: []StageSpec{Healthy{}}}, Branch{Stages: []StageSpec{Sticky{}}}), 24},
	} {
		p := mustCompile(t, treeSpec(tt.policy))
		for _, down := range []string{"", "eu1 eu2", "us1 us2", "eu1 eu2 us1 us2"} {
			d := p.Decide(new(Scratch), Query{Client: netip.MustParsePrefix("10.1.2.0/24")}, downOf(p, strings.Fields(down)...))
			if d.Scope != tt.scope {
				t.Errorf("%s, down %q: scope %d, want %d", name, down, d.Scope, tt.scope)
			}
		}
	}
}

// TestBadBranches: policies that lead to themselves, and other mistakes, are told with the place.
func TestBadBranches(t *testing.T) {
	failover := func(name string, list ...Branch) PolicySpec {
		return PolicySpec{Name: name, Stages: []StageSpec{Failover{Branches: list}}}
	}
	many := make([]Branch, maxBranches+1)
	for i := range many {
		many[i].Stages = []StageSpec{Healthy{}}
	}
	double := []PolicySpec{{Name: "l0", Stages: []StageSpec{Healthy{}}}}
	for i := range 12 {
		double = append(double, failover(fmt.Sprint("l", i+1), Branch{Policy: fmt.Sprint("l", i)}, Branch{Policy: fmt.Sprint("l", i)}))
	}
	for _, tt := range []struct {
		policies []PolicySpec
		want     string
	}{
		{[]PolicySpec{failover("a", Branch{Policy: "b"}), failover("b", Branch{Policy: "a"})}, `policies a 0 failover 0 policy: policy "b" cannot stand here: the policy leads to itself: a -> b -> a`},
		{[]PolicySpec{failover("a", Branch{Policy: "a"})}, "policies a 0 failover 0 policy: the policy leads to itself: a -> a"},
		{[]PolicySpec{failover("a", Branch{Policy: "x"})}, `policies a 0 failover 0 policy: there is no policy "x"`},
		{[]PolicySpec{failover("a", Branch{})}, "policies a 0 failover 0: the branch needs a chain: stages, or the name of a policy"},
		{[]PolicySpec{failover("a", Branch{Policy: "default", Stages: []StageSpec{Healthy{}}})}, "policies a 0 failover 0 policy: the branch has stages of its own and a policy: remove one of them"},
		{[]PolicySpec{failover("a", Branch{Policy: "default", Sites: []string{"x"}})}, `policies a 0 failover 0 sites: there is no site "x"`},
		{[]PolicySpec{failover("a", many...)}, "policies a 0 failover: 65 branches are too many: at most 64"},
		{[]PolicySpec{failover("a", Branch{Policy: "default", Weight: MaxWeight + 1})}, "policies a 0 failover 0 weight: weight 1048577 is too large: at most 1048576"},
		{[]PolicySpec{{Name: "a", Stages: []StageSpec{Healthy{Threshold: 1.5}}}}, "policies a 0 healthy threshold: threshold 1.5 is out of range: want 0 to 1"},
		{[]PolicySpec{{Name: "a", Stages: []StageSpec{Healthy{Min: -1}}}}, "policies a 0 healthy min: min -1 is negative"},
		{[]PolicySpec{{Name: "a", Stages: []StageSpec{Healthy{Closed: true, Min: 2}}}}, "policies a 0 healthy: a stage that fails closed keeps what is up, however little: it has no threshold and no min"},
		{double, "more than 1000 stages"},
	} {
		_, problems := Compile(treeSpec(tt.policies...))
		found := false
		for _, p := range problems {
			found = found || strings.Contains(strings.Join(p.Path, " ")+": "+p.Msg, tt.want)
		}
		if !found || len(problems) > 4 {
			t.Errorf("problems %v, want %q", problems, tt.want)
		}
	}
}
