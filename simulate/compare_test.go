package simulate

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/policy"
)

// A question is what a Side is asked for every name: none, fixed records, or a policy.
type question struct {
	fate    Fate
	service policy.ServiceID
	policy  policy.PolicyID
}

// A planner asks a Plan; of names it knows only whether there is a question of its own for them.
type planner struct {
	plan    *policy.Plan
	health  policy.Health
	of      map[string]question // by name; "" = all others
	q       policy.Query
	fate    Fate
	scratch policy.Scratch
}

func (p *planner) About(f *Flow, c *Client) {
	x, ok := p.of[f.Name]
	if !ok {
		x = p.of[""]
	}
	p.fate = x.fate
	p.q = policy.Query{Service: x.service, Policy: x.policy, Client: c.Prefix, Key: policy.ClientKey(c.Prefix.Addr())}
}

func (p *planner) Ask(dice uint64) Ask {
	if p.fate != Steered {
		return Ask{Fate: p.fate}
	}
	p.q.Dice = dice
	d := p.plan.Decide(&p.scratch, p.q, p.health)
	if len(d.Endpoints) == 0 {
		return Ask{}
	}
	return Ask{Steered, d.Endpoints[0], d.Reason == policy.ReasonFailOpen}
}

// A state is a compiled spec, of which everything is up.
type state struct {
	plan   *policy.Plan
	health policy.Health
}

func stateOf(t testing.TB, s policy.Spec) state {
	t.Helper()
	plan, problems := policy.Compile(s)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return state{plan, policy.NewHealth(plan.NumEndpoints())}
}

// side is the state with one question for all names.
func (w state) side(q question) Side {
	return Side{w.plan, &planner{plan: w.plan, health: w.health, of: map[string]question{"": q}}}
}

// asked is the question for a service by a policy.
func asked(t *testing.T, w state, service, by string) question {
	t.Helper()
	q := question{fate: Steered}
	var ok bool
	if q.service, ok = w.plan.ServiceByName(service); !ok {
		t.Fatalf("no service %s", service)
	}
	if q.policy, ok = w.plan.PolicyByName(by); !ok {
		t.Fatalf("no policy %s", by)
	}
	return q
}

// three are clients in three regions: 5 queries a second from europe, 3 from america, 2 from asia.
func three() []Client {
	return []Client{{netip.MustParsePrefix("80.1.0.0/24"), 5}, {netip.MustParsePrefix("68.1.0.0/24"), 3}, {netip.MustParsePrefix("117.1.0.0/24"), 2}}
}

// told is a Forecast in one line for each part.
func told(f *Forecast) string {
	var b strings.Builder
	fmt.Fprintf(&b, "moved %.2f lost %.2f unanswered %.2f open %.2f\n", f.Moved, f.Lost, f.Unanswered, f.FailedOpen)
	for _, s := range f.Sites {
		fmt.Fprintf(&b, "%s %.2f %v", s.Site, s.Shares, s.Capacity)
		if s.Over {
			b.WriteString(" over")
		}
		b.WriteString("\n")
	}
	for _, n := range f.Names {
		fmt.Fprintf(&b, "%s %s %.2f %.2f %.2f\n", n.Name, n.Type, n.Queries, n.Moved, n.Lost)
	}
	for _, r := range f.Regions {
		fmt.Fprintf(&b, "%s %.2f %.2f %s>%s\n", r.Region, r.Queries, r.Moved, r.From, r.To)
	}
	return b.String()
}

func TestCompare(t *testing.T) {
	before := stateOf(t, spec())
	near := asked(t, before, "web", "near")
	changed := func(change func(s *policy.Spec)) state {
		s := spec()
		change(&s)
		return stateOf(t, s)
	}
	down := before
	for id := range policy.EndpointID(before.plan.NumEndpoints()) {
		if e := before.plan.Endpoint(id); before.plan.SiteName(e.Site) == "eu" {
			down.health = down.health.With(id, policy.Verdict{State: policy.Down})
		}
	}
	weights := changed(func(s *policy.Spec) { s.Services[2].Endpoints[0].Weight = 60; s.Services[2].Endpoints[1].Weight = 40 })
	noSite := changed(func(s *policy.Spec) {
		s.Networks = s.Networks[1:] // europe's is gone
		s.Policies[0].Stages = []policy.StageSpec{policy.Geo{Default: policy.GeoTarget{Sites: []string{"us"}},
			Rules: []policy.GeoRule{{Region: "asia", To: policy.GeoTarget{Sites: []string{"ap"}}}}}}
	})
	for name, c := range map[string]struct {
		after         state
		questions     [2]question
		capacity      []Capacity
		want          string
		wantEndpoints float64
	}{
		"nothing changes": {before, [2]question{near, near}, nil,
			"moved 0.00 lost 0.00 unanswered [0.00 0.00] open [0.00 0.00]\neu [0.50 0.50] 0\nus [0.30 0.30] 0\nap [0.20 0.20] 0\n", 0},
		"a site goes down": {down, [2]question{near, near}, []Capacity{{"us", 6}, {"eu", 9}},
			"moved 0.50 lost 0.00 unanswered [0.00 0.00] open [0.00 0.00]\neu [0.50 0.00] 9\nus [0.30 0.30] 6\nap [0.20 0.70] 0\nwww A 10.00 0.50 0.00\n" +
				"europe 5.00 1.00 eu>ap\n", 0.5},
		"another policy": {before, [2]question{near, asked(t, before, "web", "order")}, []Capacity{{"eu", 9.9}},
			"moved 0.50 lost 0.00 unanswered [0.00 0.00] open [0.00 0.00]\neu [0.50 1.00] 9.9 over\nus [0.30 0.00] 0\nap [0.20 0.00] 0\nwww A 10.00 0.50 0.00\n" +
				"america 3.00 1.00 us>eu\nasia 2.00 1.00 ap>eu\n", 0.5},
		"other weights": {weights, [2]question{asked(t, before, "split", "one"), asked(t, before, "split", "one")}, nil,
			"moved 0.20 lost 0.00 unanswered [0.00 0.00] open [0.00 0.00]\neu [0.80 0.60] 0\nus [0.20 0.40] 0\nwww A 10.00 0.20 0.00\n" +
				"europe 5.00 0.20 eu>us\namerica 3.00 0.20 eu>us\nasia 2.00 0.20 eu>us\n", 0.2},
		"networks go": {noSite, [2]question{near, near}, nil,
			"moved 0.50 lost 0.00 unanswered [0.00 0.00] open [0.00 0.00]\neu [0.50 0.00] 0\nus [0.30 0.80] 0\nap [0.20 0.20] 0\nwww A 10.00 0.50 0.00\n" +
				"europe 5.00 1.00 eu>us\n", -1},
		"the name goes": {before, [2]question{near, {}}, nil,
			"moved 1.00 lost 1.00 unanswered [0.00 1.00] open [0.00 0.00]\neu [0.50 0.00] 0\nus [0.30 0.00] 0\nap [0.20 0.00] 0\nwww A 10.00 1.00 1.00\n" +
				"europe 5.00 1.00 eu>no answer\namerica 3.00 1.00 us>no answer\nasia 2.00 1.00 ap>no answer\n", 1},
		"the name comes": {before, [2]question{{}, {fate: Fixed}}, nil,
			"moved 1.00 lost 0.00 unanswered [1.00 0.00] open [0.00 0.00]\nfixed records [0.00 1.00] 0\nwww A 10.00 1.00 0.00\n" +
				"europe 5.00 1.00 no answer>fixed records\namerica 3.00 1.00 no answer>fixed records\nasia 2.00 1.00 no answer>fixed records\n", 1},
		"endpoints without a site": {before, [2]question{asked(t, before, "four", "two"), asked(t, before, "mixed", "two")}, nil,
			"moved 1.00 lost 0.00 unanswered [0.00 0.00] open [0.00 0.00]\nfour/a [1.00 0.00] 0\nmixed/nowhere [0.00 1.00] 0\nwww A 10.00 1.00 0.00\n" +
				"europe 5.00 1.00 four/a>mixed/nowhere\namerica 3.00 1.00 four/a>mixed/nowhere\nasia 2.00 1.00 four/a>mixed/nowhere\n", 1},
	} {
		f, err := Compare(Comparison{Before: before.side(c.questions[0]), After: c.after.side(c.questions[1]), Capacity: c.capacity, Seed: 1,
			Flows: []Flow{{Name: "www", Type: "A", Clients: three()}}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := told(f); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", name, got, c.want)
		}
		if c.wantEndpoints >= 0 && math.Abs(f.Endpoints-c.wantEndpoints) > 0.01 {
			t.Errorf("%s: %v answered by other endpoints, want %v", name, f.Endpoints, c.wantEndpoints)
		}
	}
}

// TestCompareIsLeast: of three sites with new weights no more moves than has to, within what draws can tell.
func TestCompareIsLeast(t *testing.T) {
	s := spec()
	s.Services[4].Endpoints = []policy.EndpointSpec{
		{Name: "a", V4: netip.MustParseAddr("192.0.2.1"), Site: "eu", Weight: 1}, {Name: "b", V4: netip.MustParseAddr("192.0.2.2"), Site: "us", Weight: 1},
		{Name: "c", V4: netip.MustParseAddr("192.0.2.3"), Site: "ap", Weight: 1}}
	before := stateOf(t, s)
	s.Services[4].Endpoints = append([]policy.EndpointSpec(nil), s.Services[4].Endpoints...)
	s.Services[4].Endpoints[0].Weight = 2
	after := stateOf(t, s)
	q := asked(t, before, "mixed", "one")
	f, err := Compare(Comparison{Before: before.side(q), After: after.side(q), Flows: []Flow{{Name: "x", Clients: three()}}})
	if err != nil || math.Abs(f.Moved-1./6) > 0.02 {
		t.Errorf("%v %v, want 1/6", f, err)
	}
}

// TestCompareManyClients: with more clients than draws, each asks once, and sums are right. Equal arguments give equal results.
func TestCompareManyClients(t *testing.T) {
	before := stateOf(t, spec())
	q, r := asked(t, before, "split", "one"), asked(t, before, "split", "order")
	population := Synthetic{Number: 20_000, Queries: 1e6, Zipf: 1, Seed: 3, Groups: []Group{{Name: "all", Share: 1, Networks: []netip.Prefix{netip.MustParsePrefix("80.0.0.0/8")}}}}
	clients, err := population.Clients()
	if err != nil {
		t.Fatal(err)
	}
	side := func(of map[string]question) Side {
		return Side{before.plan, &planner{plan: before.plan, health: before.health, of: of}}
	}
	c := Comparison{Before: side(map[string]question{"x": q, "y": r}), After: side(map[string]question{"x": r, "y": q}),
		Flows: []Flow{{Name: "x", Type: "A", Clients: clients[:10_000]}, {Name: "y", Type: "A", Clients: clients[10_000:]}}}
	f, err := Compare(c)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(f.Moved-0.2) > 0.01 || math.Abs(f.Queries-1e6) > 1 || f.Clients != 20_000 || len(f.Names) != 2 {
		t.Errorf("%s", told(f))
	}
	if again, err := Compare(c); err != nil || !reflect.DeepEqual(f, again) {
		t.Errorf("not the same again: %v", err)
	}
}

func TestCompareErrors(t *testing.T) {
	s := stateOf(t, spec()).side(question{})
	flows := []Flow{{Clients: three()}}
	for want, c := range map[string]Comparison{
		"nobody asks":               {},
		"has -1 queries":            {Flows: []Flow{{Clients: []Client{{Queries: -1}}}}},
		"has NaN queries":           {Flows: []Flow{{Clients: []Client{{Queries: math.NaN()}}}}},
		`there is no site "mars"`:   {Flows: flows, Capacity: []Capacity{{"mars", 1}}},
		"capacity of 0 for site eu": {Flows: flows, Capacity: []Capacity{{"eu", 0}}},
	} {
		c.Before, c.After = s, s
		if _, err := Compare(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func BenchmarkCompare(b *testing.B) {
	s := stateOf(b, spec()).side(question{fate: Steered, service: 1})
	population := Synthetic{Number: 4096, Queries: 1e6, Zipf: 1, Groups: []Group{{Share: 1, Networks: []netip.Prefix{netip.MustParsePrefix("80.0.0.0/8")}}}}
	clients, err := population.Clients()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Compare(Comparison{Before: s, After: s, Flows: []Flow{{Clients: clients}}}); err != nil {
			b.Fatal(err)
		}
	}
}
