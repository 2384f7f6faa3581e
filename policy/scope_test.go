package policy

import (
	"cmp"
	"net/netip"
	"slices"
	"testing"
)

// A scopeCase is a policy over a service, and, by a naive search, the order into which its geo stages put the endpoints for an address.
type scopeCase struct {
	spec   Spec
	plan   *Plan
	stages []StageSpec // Geo and Latency
	groups *Geo        // a failover stage goes by, instead
	take   int         // 0: there is no take stage
	family Family
}

// order renders what a policy is told of an address: endpoints of the service and family, best first, for each geo stage; for the first
// no more than a take stage can keep, as nothing here looks at health. Where the first drops endpoints, only those that stay are told of; where
// another does, what stays of those at any of the sites.
func (c scopeCase) order(a netip.Addr) string {
	text := ""
	var list []EndpointSpec
	for _, e := range c.spec.Services[0].Endpoints {
		if ofFamily(&e, c.family) {
			list = append(list, e)
		}
	}
	if c.groups != nil {
		row, _, to := naiveRow(c.spec, *c.groups, NoSite, netip.PrefixFrom(a, a.BitLen()))
		if !to.Nearest {
			for site := range row {
				if row[site] = slices.Index(to.Sites, site); row[site] < 0 {
					row[site] = len(to.Sites)
				}
			}
		}
		return orderOf(list, row, len(list))
	}
	some := [][]EndpointSpec{list}
	for k, g := range c.stages {
		row, line, to := c.row(g, a)
		most := len(list)
		if k == 0 && c.take > 0 && !slices.ContainsFunc(c.stages[1:], drops) {
			most = c.take
		}
		for _, list := range some {
			text += orderOf(c.left(list, line, to), row, most) + "; "
		}
		if drops(g) && len(some) == 1 {
			some = bySubsetsOfSites(list)
		}
	}
	return text
}

// row is naiveRow of a stage; a latency stage has the empty target, which drops nothing.
func (c scopeCase) row(stage StageSpec, a netip.Addr) (row, line map[string]int, to GeoTarget) {
	client := netip.PrefixFrom(a, a.BitLen())
	if l, ok := stage.(Latency); ok {
		row = naiveLatency(c.spec, l, NoSite, client)
		return row, row, GeoTarget{}
	}
	return naiveRow(c.spec, stage.(Geo), NoSite, client)
}

// bySubsetsOfSites returns those of some endpoints that are at some of their sites, for all there are.
func bySubsetsOfSites(list []EndpointSpec) (subsets [][]EndpointSpec) {
	var sites []string
	for _, e := range list {
		if !slices.Contains(sites, e.Site) {
			sites = append(sites, e.Site)
		}
	}
	for bits := range 1 << len(sites) {
		out := func(e EndpointSpec) bool { return bits>>slices.Index(sites, e.Site)&1 == 0 }
		subsets = append(subsets, slices.DeleteFunc(slices.Clone(list), out))
	}
	return subsets
}

// left returns which of some endpoints a target leaves.
func (c scopeCase) left(list []EndpointSpec, line map[string]int, to GeoTarget) []EndpointSpec {
	var from []naiveEndpoint
	for i := range list {
		from = append(from, naiveEndpoint{e: &list[i]})
	}
	if to.Fence {
		from = nil
		for i := range c.spec.Services[0].Endpoints {
			if e := &c.spec.Services[0].Endpoints[i]; ofFamily(e, c.family) {
				from = append(from, naiveEndpoint{e: e})
			}
		}
	}
	stay := staying(from, to, line)
	left := slices.DeleteFunc(slices.Clone(list), func(e EndpointSpec) bool { return !stay[e.Site] })
	if len(left) == 0 {
		return list
	}
	return left
}

// orderOf renders the order into which ranks put endpoints, as far as so many of them, and those as good as the last.
func orderOf(list []EndpointSpec, row map[string]int, most int) (text string) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b EndpointSpec) int { return cmp.Compare(row[a.Site], row[b.Site]) })
	for i, e := range list {
		if i > 0 && row[e.Site] == row[list[i-1].Site] {
			text += "="
		} else if i >= most {
			break
		}
		text += e.Name + " "
	}
	return text
}

// edges returns addresses at which the outcome may change.
func (c scopeCase) edges() []netip.Addr {
	var list []netip.Addr
	add := func(p netip.Prefix) {
		first, last := p.Masked().Addr(), lastOf(p)
		for _, a := range []netip.Addr{first, first.Prev(), last, last.Next()} {
			if a.IsValid() && !a.Is4In6() {
				list = append(list, a)
			}
		}
	}
	for _, n := range slices.Concat(c.spec.Networks, c.spec.Listed) {
		add(n.Prefix)
	}
	for _, t := range c.spec.Tables {
		for r := range t.All() {
			add(netip.PrefixFrom(r.First(), r.First().BitLen()))
			add(netip.PrefixFrom(r.Last(), r.Last().BitLen()))
		}
	}
	for _, l := range c.spec.Latency {
		add(l.Prefix)
	}
	stages := c.stages
	if c.groups != nil {
		stages = []StageSpec{*c.groups}
	}
	for _, stage := range stages {
		g, _ := stage.(Geo)
		for _, r := range g.Rules {
			if r.Prefix.IsValid() {
				add(r.Prefix)
			}
		}
	}
	return list
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// The scope of a Decision must be exact: for no address inside it is the order another, and for one in a scope one bit shorter it is.
// The order can only change at an edge of a prefix, so looking at the edges, and at the scope's own ends, is looking at everything.
// Where no address of the family has another order, but one of the other family has, the scope is 1: 0 would be for all.
func TestScopeIsExact(t *testing.T) {
	checked := map[uint8]int{}
	floored := 0
	for seed := range uint64(800) {
		r := seeded(seed)
		c := scopeCase{spec: randomSpec(r), family: Family(r.IntN(3))}
		policy := PolicySpec{Name: "p"}
		for range 1 + r.IntN(2) {
			var g StageSpec = randomGeo(r, c.spec)
			if r.IntN(3) == 0 {
				g = randomLatencyStage(r)
			}
			c.stages = append(c.stages, g)
			policy.Stages = append(policy.Stages, g)
		}
		if r.IntN(2) == 0 {
			c.take = 1 + r.IntN(3)
			policy.Stages = append(policy.Stages, Weighted{}, Take{c.take})
		}
		if r.IntN(5) == 0 {
			c.groups = randomOrder(r, c.spec)
			policy.Stages = []StageSpec{Failover{Order: c.groups}}
		}
		c.spec.Policies = []PolicySpec{policy}
		c.spec.Services = c.spec.Services[:1]
		c.plan = mustCompile(t, c.spec)
		edges := c.edges()
		for range 10 {
			a := randomAddr(r)
			if len(edges) > 0 && r.IntN(2) == 0 {
				a = edges[r.IntN(len(edges))]
			}
			scope, floor := checkScope(t, c, edges, a)
			checked[scope]++
			if floor {
				floored++
			}
		}
	}
	if len(checked) < 30 || checked[0] < 100 || floored < 20 {
		t.Errorf("the cases are too few: %v, %d floored", checked, floored)
	}
}

func checkScope(t *testing.T, c scopeCase, edges []netip.Addr, a netip.Addr) (length uint8, floored bool) {
	t.Helper()
	var s Scratch
	ask := func(a netip.Addr) Decision {
		return c.plan.Decide(&s, Query{Client: netip.PrefixFrom(a, a.BitLen()), Family: c.family}, Health{})
	}
	d := ask(a)
	answer := slices.Clone(d.Endpoints)
	scope := netip.PrefixFrom(a, int(d.Scope)).Masked()
	want := c.order(a)
	ends := append([]netip.Addr{scope.Addr(), lastOf(scope)}, edges...)
	for _, b := range ends {
		if b.BitLen() != a.BitLen() || !scope.Contains(b) || b.Is4In6() {
			continue
		}
		if got := c.order(b); got != want {
			t.Fatalf("%v and %v are both in %v: %s and %s\nspec %s", a, b, scope, want, got, show(c.spec))
		}
		if e := ask(b); !slices.Equal(e.Endpoints, answer) || e.Scope != d.Scope {
			t.Fatalf("%v in the scope of %v gets %+v, not %v/%d", b, a, e, answer, d.Scope)
		}
	}
	all := append([]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}, edges...)
	if d.Scope == 0 {
		for _, b := range all {
			if got := c.order(b); got != want {
				t.Fatalf("%v has scope 0, but %v gets %s, not %s\nspec %s", a, b, got, want, show(c.spec))
			}
		}
		return 0, false
	}
	wider := netip.PrefixFrom(a, int(d.Scope)-1).Masked()
	for _, b := range append(ends, wider.Addr(), lastOf(wider)) {
		if b.BitLen() == a.BitLen() && wider.Contains(b) && c.order(b) != want {
			return d.Scope, false
		}
	}
	if d.Scope == 1 && slices.ContainsFunc(all, func(b netip.Addr) bool { return c.order(b) != want }) {
		return d.Scope, true
	}
	t.Fatalf("%v has scope %d, but %v is all the same\nspec %s", a, d.Scope, wider, show(c.spec))
	return 0, false
}

// Take stages shorten a scope only where health cannot bring up others, and where the asker does not say how many it wants.
func TestScopeBeforeTake(t *testing.T) {
	geo := Geo{Default: GeoTarget{Nearest: true}}
	spec := Spec{
		Sites: []SiteSpec{{Name: "eu", At: &Point{0, 0}}, {Name: "us", At: &Point{0, 80}}, {Name: "ap", At: &Point{0, -80}}},
		Networks: []NetworkSpec{ // both nearest to eu, one with us next, the other with ap
			{Prefix: netip.MustParsePrefix("0.0.0.0/1"), At: &Point{0, 1}},
			{Prefix: netip.MustParsePrefix("128.0.0.0/1"), At: &Point{0, -1}},
			{Prefix: netip.MustParsePrefix("::/0"), At: &Point{0, -1}},
		},
		Services: []ServiceSpec{
			{Name: "three", Endpoints: []EndpointSpec{benchEndpoint(0, 1, "eu"), benchEndpoint(1, 1, "us"), benchEndpoint(2, 1, "ap")}},
			{Name: "more", Endpoints: []EndpointSpec{benchEndpoint(0, 1, "eu"), benchEndpoint(1, 1, "us"), benchEndpoint(2, 1, "ap"), benchEndpoint(3, 1, "eu")}},
		},
	}
	for name, tt := range map[string]struct {
		stages  []StageSpec
		want    int
		service ServiceID
		scope   uint8
	}{
		"all":                      {[]StageSpec{geo}, 0, 0, 1},
		"the first":                {[]StageSpec{geo, Take{1}}, 0, 0, 0},
		"two":                      {[]StageSpec{geo, Take{2}}, 0, 0, 1},
		"two of the first site":    {[]StageSpec{geo, Take{2}}, 0, 1, 0},
		"three of more":            {[]StageSpec{geo, Take{3}}, 0, 1, 1},
		"drawn":                    {[]StageSpec{Weighted{}, geo, Weighted{}, Take{1}}, 0, 0, 0},
		"the first that works":     {[]StageSpec{Healthy{}, geo, Take{1}}, 0, 0, 1},
		"the first group":          {[]StageSpec{geo, Failover{}, Take{1}}, 0, 0, 1},
		"failover among the first": {[]StageSpec{geo, Take{1}, Failover{}}, 0, 0, 0},
		"more wanted":              {[]StageSpec{geo, Take{1}}, 2, 0, 1},
	} {
		spec.Policies = []PolicySpec{{Name: "p", Stages: tt.stages}, {Name: "q", Stages: []StageSpec{geo}}}
		p := mustCompile(t, spec)
		q := Query{Service: tt.service, Client: netip.MustParsePrefix("10.0.0.0/8"), Want: tt.want}
		if d := p.Decide(new(Scratch), q, Health{}); d.Scope != tt.scope {
			t.Errorf("%s: scope %d, want %d", name, d.Scope, tt.scope)
		}
		q.Policy = 1
		if d := p.Decide(new(Scratch), q, Health{}); d.Scope != 1 {
			t.Errorf("%s: the other policy has scope %d, want 1", name, d.Scope)
		}
	}
}

// A change of health changes no scope: it would leave resolvers with answers of several scopes, the widest of them for everybody.
func TestScopeIsNoMatterOfHealth(t *testing.T) {
	for seed := range uint64(1000) {
		r := seeded(seed)
		p := mustCompile(t, randomSpec(r))
		var s Scratch
		for range 5 {
			q := randomQuery(r, p)
			want := p.Decide(&s, q, Health{}).Scope
			if got := p.Decide(&s, q, randomHealth(r, p)).Scope; got != want {
				t.Fatalf("seed %d: scope %d, %d when nothing is known\nquery %+v", seed, got, want, q)
			}
		}
	}
}

// Views that are not affordable are no reason for an answer too wide.
func TestScopeBeyondTheBudget(t *testing.T) {
	for seed := range uint64(300) {
		r := seeded(seed)
		spec := randomSpec(r)
		p := mustCompile(t, spec)
		poor := mustCompile(t, spec)
		poor.compileViews(nil)
		v := viewer{stages: poor.stages, sets: map[string]uint32{}, same: map[string]*view{}, nowhere: true}
		v.add("", nil)
		for i := range poor.services {
			for pick := range poor.picks {
				for f, list := range poor.services[i].lists {
					poor.services[i].sets[pick][f] = extent{v.set(list, &poor.picks[pick]), poor.picks[pick].count(list) > 1}
				}
			}
		}
		poor.views = v.views
		for range 20 {
			var s Scratch
			q := randomQuery(r, p)
			want := p.Decide(&s, q, Health{})
			want.Endpoints = slices.Clone(want.Endpoints)
			if got := poor.Decide(&s, q, Health{}); !sameDecision(got, want) || got.Scope < want.Scope {
				t.Fatalf("seed %d: %+v without a budget, %+v with one", seed, got, want)
			}
		}
	}
}

// Views of a Plan made from another are those it would have made itself.
func TestViewsFollowServices(t *testing.T) {
	spec := benchSpec(2000)
	p := mustCompile(t, spec)
	q, err := p.WithServices(append(spec.Services, ServiceSpec{Name: "more", Endpoints: spec.Services[1].Endpoints[:2]}))
	if err != nil {
		t.Fatal(err)
	}
	a, b := p.services[1].sets[0][FamilyAny].views, q.services[1].sets[0][FamilyAny].views
	if p.views[a][0] != q.views[b][0] {
		t.Error("a view was made again")
	}
	if c := q.services[2].sets[0][FamilyAny].views; c == b || c == 0 || q.views[c][0] == q.views[b][0] {
		t.Error("endpoints at fewer sites have the same view")
	}
	if p.services[0].sets[0][FamilyAny].views != 0 || p.views[0][0] != everywhere {
		t.Error("endpoints without a site have a view")
	}
}

// With several geo stages and a whole policy around them, an address in the scope gets the same decision at equal dice.
func TestScopeOfWholePolicies(t *testing.T) {
	for seed := range uint64(1500) {
		r := seeded(seed)
		spec := randomSpec(r)
		p := mustCompile(t, spec)
		h := randomHealth(r, p)
		q := randomQuery(r, p)
		if !q.Client.IsValid() || q.From != NoSite { // the edge, which is at a site, has no scopes
			continue
		}
		var s Scratch
		d := p.Decide(&s, q, h)
		want := slices.Clone(d.Endpoints)
		scope := netip.PrefixFrom(q.Client.Masked().Addr(), int(d.Scope)).Masked()
		for range 20 {
			b := randomAddr(r)
			if r.IntN(2) == 0 {
				b = lastOf(scope)
			}
			if !scope.Contains(b) || b.Is4In6() != q.Client.Addr().Is4In6() && b.Is4In6() {
				continue
			}
			q.Client = netip.PrefixFrom(b, b.BitLen())
			if e := p.Decide(&s, q, h); !slices.Equal(e.Endpoints, want) || e.Scope != d.Scope || e.Reason != d.Reason || e.TTL != d.TTL {
				t.Fatalf("seed %d: %v in %v gets %+v, not %v of %+v\nspec %s", seed, b, scope, e, want, d, show(spec))
			}
		}
	}
}

func TestScopeTable(t *testing.T) {
	s := soundSpec()
	s.Networks = []NetworkSpec{
		{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Site: "eu"},
		{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Site: "us"},
		{Prefix: netip.MustParsePrefix("10.2.0.0/16"), Site: "eu"}, // no other outcome than around it
		{Prefix: netip.MustParsePrefix("2001:db8::/32"), Site: "us"},
	}
	s.Policies = []PolicySpec{{Name: "p", Stages: []StageSpec{Geo{Default: GeoTarget{Nearest: true}}}}}
	s.Services = []ServiceSpec{
		{Name: "two", Endpoints: []EndpointSpec{benchEndpoint(0, 1, "eu"), benchEndpoint(1, 1, "us")}},
		{Name: "one", Endpoints: []EndpointSpec{benchEndpoint(0, 1, "us"), benchEndpoint(1, 1, "us")}},
	}
	p := mustCompile(t, s)
	for _, tt := range []struct {
		client string
		scope  uint8
	}{
		{"10.1.2.3/32", 16},
		{"10.1.0.0/24", 16},
		{"10.1.0.0/12", 16}, // 10.0.0.0 locates it; the scope asks for more bits
		{"10.0.0.1/32", 16},
		{"10.3.0.1/32", 15}, // 10.2.0.0/15
		{"10.4.0.1/32", 14},
		{"10.200.0.1/32", 9},
		{"11.0.0.1/32", 8}, // eu is also what comes first for a client of no network
		{"::ffff:10.1.2.3/128", 112},
		{"2001:db8::1/128", 32},
		{"2001:db9::1/56", 32},
		{"8000::/1", 1},
		{"::/0", 3},
	} {
		var s Scratch
		client := netip.MustParsePrefix(tt.client)
		if d := p.Decide(&s, Query{Client: client}, Health{}); d.Scope != tt.scope {
			t.Errorf("%s has scope %d, want %d", tt.client, d.Scope, tt.scope)
		}
		if d := p.Decide(&s, Query{Client: client, Service: 1}, Health{}); d.Scope != 0 {
			t.Errorf("%s has scope %d though all endpoints are at one site", tt.client, d.Scope)
		}
	}
	for _, q := range []Query{{From: 1, Client: netip.MustParsePrefix("10.1.2.3/32")}, {}, {From: 99}} {
		var s Scratch
		if d := p.Decide(&s, q, Health{}); d.Scope != 0 {
			t.Errorf("%+v has scope %d, want 0", q, d.Scope)
		}
	}
}
