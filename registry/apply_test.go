package registry

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/l7edge/route"
	"github.com/meridian-gslb/meridian/policy"
)

func TestFirstSnapshotIsAnEmptyWorld(t *testing.T) {
	s := New(Options{}).Snapshot()
	if s == nil || s.Plan == nil || s.Zones == nil || s.Routes == nil || s.Gen != 0 || s.Plan.NumEndpoints() != 0 || s.Health.Len() != 0 {
		t.Fatalf("%+v", s)
	}
	if _, ok := s.Routes.Match("a.example", "/"); ok {
		t.Error("a route matches")
	}
}

func TestCompileFindsEveryProblem(t *testing.T) {
	d := definition()
	d.Policy.Services[0].Endpoints[0].Site = "nowhere"
	d.Policy.Services[0].Endpoints[1].Meta = map[string]string{"k": strings.Repeat("x", MaxMetaBytes)}
	d.Zones[0].Records = append(d.Zones[0].Records, zone.RecordSpec{Owner: "bad", Static: []zone.StaticSpec{{Type: "A", Values: []string{"x"}}}})
	d.Routes = append(d.Routes, route.Spec{Path: "no-slash", Service: "web"})
	c, problems := Compile(d)
	if c != nil {
		t.Error("compiled all the same")
	}
	var roots []string
	for _, p := range problems {
		roots = append(roots, strings.Join(p.Path[:min(2, len(p.Path))], "."))
	}
	for _, want := range []string{"services.web", "zones.gslb.example", "routes.1"} {
		if !slices.Contains(roots, want) {
			t.Errorf("no problem of %s among %v", want, problems)
		}
	}
	if n := strings.Count(strings.Join(roots, " "), "services.web"); n != 2 {
		t.Errorf("%d problems of service web: %v", n, problems)
	}
}

func TestCompileLimits(t *testing.T) {
	list := make([]policy.EndpointSpec, MaxEndpointsPerService+1)
	for i := range list {
		list[i] = ep(fmt.Sprintf("e%d", i), "")
	}
	d := Definition{Policy: policy.Spec{Services: []policy.ServiceSpec{{Name: "web", Endpoints: list}}}}
	if _, problems := Compile(d); len(problems) != 1 || !reflect.DeepEqual(problems[0].Path, []string{"services", "web", "endpoints"}) {
		t.Errorf("one too many in a service: %v", problems)
	}
	d.Policy.Services = nil
	for i := range MaxEndpoints/MaxEndpointsPerService + 1 {
		d.Policy.Services = append(d.Policy.Services, policy.ServiceSpec{Name: fmt.Sprintf("s%d", i), Endpoints: list[1:]})
	}
	if _, problems := Compile(d); len(problems) != 1 || !reflect.DeepEqual(problems[0].Path, []string{"services"}) {
		t.Errorf("too many in all: %v", problems)
	}
}

// TestPublishKeepsIDs: zones and routes of an Apply serve every later Plan, because services, policies and sites keep their ids.
func TestPublishKeepsIDs(t *testing.T) {
	r := applied(t, Options{})
	before := r.Snapshot()
	r.Publish("embedded", catalog("api", ep("x", "us")))
	after := r.Snapshot()
	if after == before || after.Gen != before.Gen+1 {
		t.Fatalf("generation %d after %d", after.Gen, before.Gen)
	}
	if after.Zones != before.Zones || after.Routes != before.Routes {
		t.Error("zones or routes were compiled again")
	}
	for _, name := range []string{"web", "api"} {
		a, _ := before.Plan.ServiceByName(name)
		b, ok := after.Plan.ServiceByName(name)
		if a != b || !ok {
			t.Errorf("service %s: id %d, then %d", name, a, b)
		}
	}
	a, _ := before.Plan.PolicyByName(policy.DefaultPolicy)
	b, _ := after.Plan.PolicyByName(policy.DefaultPolicy)
	x, _ := before.Plan.SiteByName("us")
	y, _ := after.Plan.SiteByName("us")
	if a != b || x != y {
		t.Error("policies or sites have other ids")
	}
	if got := names(before.Plan); !slices.Equal(got, []string{"web/a", "web/b"}) {
		t.Errorf("the old snapshot has changed: %v", got)
	}
}

func TestMerge(t *testing.T) {
	heavy := ep("a", "us")
	heavy.Weight = 9
	for _, c := range []struct {
		name     string
		catalogs map[string]Catalog
		want     []string // endpoints, "name=source:weight"
		refused  []string // "source service name"
	}{
		{"nothing", nil, []string{"web/a=file:1", "web/b=file:1"}, nil},
		{"added after the file's", map[string]Catalog{"embedded": catalog("web", ep("z", ""), ep("c", "eu"))},
			[]string{"web/a=file:1", "web/b=file:1", "web/z=embedded:1", "web/c=embedded:1"}, nil},
		{"published beats file, in its place", map[string]Catalog{"embedded": catalog("web", heavy)},
			[]string{"web/a=embedded:9", "web/b=file:1"}, nil},
		{"two sources, first in the alphabet wins", map[string]Catalog{"zoo": catalog("web", ep("a", "eu"), ep("q", "")), "consul": catalog("web", heavy)},
			[]string{"web/a=consul:9", "web/b=file:1", "web/q=zoo:1"}, []string{"zoo web a"}},
		{"twice in one catalog", map[string]Catalog{"embedded": catalog("api", ep("x", ""), ep("x", "eu"))},
			[]string{"web/a=file:1", "web/b=file:1", "api/x=embedded:1"}, []string{"embedded api x"}},
		{"unknown service", map[string]Catalog{"embedded": catalog("other", ep("x", ""))}, []string{"web/a=file:1", "web/b=file:1"}, nil},
		{"invalid ones are refused alone", map[string]Catalog{"embedded": catalog("api", ep("good", ""), ep("bad", "nowhere"), ep("", ""), ep("also-good", "eu"))},
			[]string{"web/a=file:1", "web/b=file:1", "api/good=embedded:1", "api/also-good=embedded:1"}, []string{"embedded api bad", "embedded api "}},
		{"an invalid one does not replace the file's", map[string]Catalog{"embedded": catalog("web", ep("a", "nowhere"))},
			[]string{"web/a=file:1", "web/b=file:1"}, []string{"embedded web a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := applied(t, Options{})
			for source, published := range c.catalogs {
				r.Publish(source, published)
			}
			var got []string
			for _, d := range r.Details() {
				got = append(got, fmt.Sprintf("%s=%s:%d", d.Name, d.Source, d.Weight))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
			var refused []string
			list, total := r.Refused()
			for _, x := range list {
				refused = append(refused, x.Source+" "+x.Service+" "+x.Name)
				if x.Reason == "" {
					t.Errorf("no reason: %+v", x)
				}
			}
			if !slices.Equal(refused, c.refused) || total != len(c.refused) {
				t.Errorf("refused %q (%d), want %q", refused, total, c.refused)
			}
			applyAgain := r.Apply(mustCompile(t, definition()))
			if after := names(applyAgain.Plan); len(after) != len(c.want) {
				t.Errorf("after another Apply: %v", after)
			}
		})
	}
}

// TestBadPublishedEndpoints: what an outside system may say and must not get through.
func TestBadPublishedEndpoints(t *testing.T) {
	v4 := func(s string) policy.EndpointSpec {
		return policy.EndpointSpec{Name: "x", V4: netip.MustParseAddr(s), Weight: 1}
	}
	v6 := func(s string) policy.EndpointSpec {
		return policy.EndpointSpec{Name: "x", V6: netip.MustParseAddr(s), Weight: 1}
	}
	with := func(change func(*policy.EndpointSpec)) policy.EndpointSpec {
		e := ep("x", "eu")
		change(&e)
		return e
	}
	tags := map[string]string{}
	for i := range 10_000 {
		tags[fmt.Sprint(i)] = "t"
	}
	for _, c := range []struct {
		e    policy.EndpointSpec
		want string
	}{
		{v4("0.0.0.0"), "not the address of one machine"},
		{v4("224.0.0.1"), "not the address of one machine"},
		{v4("255.255.255.255"), "not the address of one machine"},
		{v4("127.0.0.1"), "loopback"},
		{v4("127.9.9.9"), "loopback"},
		{v4("169.254.169.254"), "link-local"},
		{v4("2001:db8::1"), "no IPv4"},
		{v6("::"), "not the address of one machine"},
		{v6("::1"), "loopback"},
		{v6("fe80::1"), "link-local"},
		{v6("ff02::1"), "not the address of one machine"},
		{v6("::ffff:127.0.0.1"), "IPv4 in IPv6 form"},
		{v6("2001:db8::1%eth0"), "zone"},
		{v6("192.0.2.1"), "no IPv6"},
		{policy.EndpointSpec{Name: "x"}, "needs an address"},
		{with(func(e *policy.EndpointSpec) { e.Name = strings.Repeat("n", 10_000) }), "at most 253"},
		{with(func(e *policy.EndpointSpec) { e.Name = "<script>" }), "no name"},
		{with(func(e *policy.EndpointSpec) { e.Name = "a/b" }), "no name"},
		{with(func(e *policy.EndpointSpec) { e.Weight = policy.MaxWeight + 1 }), "weight"},
		{with(func(e *policy.EndpointSpec) { e.Site = "nowhere" }), "no site"},
		{with(func(e *policy.EndpointSpec) { e.Meta = tags }), "pairs are too many"},
		{with(func(e *policy.EndpointSpec) { e.Meta = map[string]string{"k": strings.Repeat("v", 5000)} }), "bytes are too many"},
	} {
		r := applied(t, Options{})
		r.Publish("evil", catalog("api", c.e, ep("good", "eu")))
		list, total := r.Refused()
		if total != 1 || len(list) != 1 || !strings.Contains(list[0].Reason, c.want) || len(list[0].Name) > 100 {
			t.Errorf("%.60v: refused %+v, want a reason with %q", c.e, list, c.want)
		}
		if got := names(r.Snapshot().Plan); !slices.Contains(got, "api/good") || len(got) != 3 {
			t.Errorf("%.60v: endpoints %v", c.e, got)
		}
	}
}

func TestAllowLoopback(t *testing.T) {
	local := ep("x", "eu")
	local.V4, local.V6 = netip.MustParseAddr("127.0.1.1"), netip.MustParseAddr("::1")
	r := applied(t, Options{AllowLoopback: true})
	r.Publish("embedded", catalog("api", local))
	if _, total := r.Refused(); total != 0 {
		t.Error("refused where allowed")
	}
	d := definition()
	d.Policy.Services[1].Endpoints = []policy.EndpointSpec{local}
	if _, problems := Compile(d); len(problems) > 0 {
		t.Errorf("the file may name loopback addresses: %v", problems)
	}
}

func TestLimitsOfPublished(t *testing.T) {
	list := make([]policy.EndpointSpec, MaxEndpointsPerService+MaxListed+5)
	for i := range list {
		list[i] = ep(fmt.Sprintf("e%d", i), "")
	}
	r := applied(t, Options{})
	r.Publish("embedded", catalog("api", list...))
	refused, total := r.Refused()
	if n := r.Snapshot().Plan.NumEndpoints(); n != MaxEndpointsPerService+2 || total != MaxListed+5 || len(refused) != MaxListed {
		t.Errorf("%d endpoints, %d refused, %d of them listed", n, total, len(refused))
	}

	d := Definition{}
	c := Catalog{Services: map[string][]policy.EndpointSpec{}}
	for i := range MaxEndpoints/MaxEndpointsPerService + 1 {
		name := fmt.Sprintf("s%d", i)
		d.Policy.Services = append(d.Policy.Services, policy.ServiceSpec{Name: name})
		c.Services[name] = list[:MaxEndpointsPerService]
	}
	d.Policy.Services[10].Endpoints = []policy.EndpointSpec{ep("of-the-file", "")} // its place is kept, though it comes last
	r = New(Options{})
	r.Publish("embedded", c)
	p := r.Apply(mustCompile(t, d)).Plan
	if _, ok := p.EndpointByName("s10/of-the-file"); p.NumEndpoints() != MaxEndpoints || !ok {
		t.Errorf("%d endpoints, the file's among them: %v", p.NumEndpoints(), ok)
	}
}

func TestOrphansWaitForTheirService(t *testing.T) {
	r := applied(t, Options{})
	r.Publish("embedded", Catalog{Services: map[string][]policy.EndpointSpec{"new": {ep("x", "eu"), ep("y", "")}, "empty": nil}})
	if got, want := r.Orphans(), []Orphan{{"embedded", "new", 2}}; !slices.Equal(got, want) {
		t.Errorf("orphans %v, want %v", got, want)
	}
	d := definition()
	d.Policy.Services = append(d.Policy.Services, policy.ServiceSpec{Name: "new"})
	s := r.Apply(mustCompile(t, d))
	if got := names(s.Plan); !slices.Contains(got, "new/x") || len(r.Orphans()) != 0 {
		t.Errorf("endpoints %v, orphans %v", got, r.Orphans())
	}
}

// TestUnchangedCatalogIsNoNews: no snapshot, no tick; a difference of order within a catalog is one.
func TestUnchangedCatalogIsNoNews(t *testing.T) {
	r := applied(t, Options{})
	changed, cancel := r.Subscribe()
	defer cancel()
	with := func(meta string) Catalog {
		e := ep("x", "eu")
		e.Meta = map[string]string{"k": meta}
		return catalog("api", e, ep("bad", "nowhere"))
	}
	r.Publish("embedded", with("1"))
	<-changed
	before := r.Snapshot()
	r.Publish("embedded", with("1"))
	r.Publish("other", Catalog{})
	if r.Snapshot() != before {
		t.Error("a new snapshot")
	}
	select {
	case <-changed:
		t.Error("a tick")
	default:
	}
	r.Publish("embedded", with("2"))
	<-changed
	if r.Snapshot().Gen != before.Gen+1 {
		t.Errorf("generation %d after %d", r.Snapshot().Gen, before.Gen)
	}
}

func TestSubscribeCoalesces(t *testing.T) {
	r := New(Options{})
	changed, cancel := r.Subscribe()
	c := mustCompile(t, definition())
	for range 5 {
		r.Apply(c)
	}
	<-changed
	select {
	case <-changed:
		t.Error("more than one tick for changes nobody took note of")
	default:
	}
	r.Report("web/a", policy.Verdict{State: policy.Down})
	must(t, r.Force(drain(siteUS)))
	select {
	case <-changed:
		t.Error("a tick for health")
	default:
	}
	cancel()
	r.Apply(c)
	select {
	case <-changed:
		t.Error("a tick after cancel")
	default:
	}
}

// TestApplyFollowsTheFile: endpoints come, go and move with the file.
func TestApplyFollowsTheFile(t *testing.T) {
	r := applied(t, Options{})
	d := definition()
	d.Policy.Services[0].Endpoints = []policy.EndpointSpec{ep("c", "us"), ep("b", "us")}
	d.Policy.Services = append([]policy.ServiceSpec{{Name: "first", Endpoints: []policy.EndpointSpec{ep("a", "")}}}, d.Policy.Services...)
	s := r.Apply(mustCompile(t, d))
	if got := names(s.Plan); !slices.Equal(got, []string{"first/a", "web/c", "web/b"}) {
		t.Errorf("endpoints %v", got)
	}
	if s != r.Snapshot() || s.Health.Len() != 3 {
		t.Error("Apply returns another snapshot than the one in force, or one whose health is of other length")
	}
}

func TestRefusedEndpointsAreLoggedOnce(t *testing.T) {
	var l log
	r := applied(t, Options{Log: l.logger()})
	l.take("")
	r.Publish("embedded", catalog("api", ep("bad", "nowhere")))
	if lines := l.take("refused"); len(lines) != 1 || !strings.Contains(lines[0], "nowhere") || !strings.Contains(lines[0], "embedded") {
		t.Errorf("%q", lines)
	}
	r.Publish("embedded", catalog("api", ep("bad", "nowhere")))
	r.Publish("embedded", catalog("api", ep("bad", "nowhere"), ep("good", "")))
	if lines := l.take("refused"); len(lines) != 0 {
		t.Errorf("again: %q", lines)
	}
}

// TestPlanThatDoesNotCompileCostsNobody: should the Plan's compiler refuse what passed our checks, the file's endpoints serve.
func TestPlanThatDoesNotCompileCostsNobody(t *testing.T) {
	c := mustCompile(t, definition())
	m := merger{Compiled: c, last: c.plan, merged: c.merged()}
	m.services = []policy.ServiceSpec{{Name: "web", Endpoints: []policy.EndpointSpec{ep("x", ""), ep("x", "")}}}
	m.origin = map[string]string{"web/x": "embedded"}
	m.compile()
	if m.merged.plan != c.plan || len(m.refused) != 1 || m.refused[0].Reason == "" || len(m.origin) != 0 {
		t.Errorf("%+v", m.merged)
	}
}

// TestZonesAlone: a Compiled with other zones keeps the Plan, what sources published included.
func TestZonesAlone(t *testing.T) {
	r := New(Options{})
	c := mustCompile(t, definition())
	r.Apply(c)
	r.Publish("embedded", catalog("api", ep("x", "eu")))
	before := r.Snapshot()
	zones := append(definition().Zones, zone.Spec{Name: "more.example", NS: []string{"ns.elsewhere.test."}})
	other, problems := c.WithZones(zones, make([]bool, len(zones)))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	after := r.Apply(other)
	if after.Plan != before.Plan || after.Zones == before.Zones || after.Routes != before.Routes || after.Gen != before.Gen+1 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	r.Publish("embedded", Catalog{})
	if s := r.Snapshot(); s.Zones != after.Zones || len(names(s.Plan)) != 2 {
		t.Errorf("endpoints %v, the zones have changed: %v", names(s.Plan), s.Zones != after.Zones)
	}
	if _, problems := c.WithZones([]zone.Spec{{Name: "bad..example"}}, []bool{true}); len(problems) == 0 {
		t.Error("a bad zone has no problem")
	}
}
