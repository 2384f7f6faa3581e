package policy

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// soundSpec is a Spec without problems, for tests to spoil.
func soundSpec() Spec {
	return Spec{
		Sites: []SiteSpec{
			{Name: "eu", At: &Point{53.35, -6.26}, Region: "europe"},
			{Name: "us", At: &Point{39.04, -77.49}},
			{Name: "lab"},
		},
		Networks: []NetworkSpec{
			{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Site: "eu"},
			{Prefix: netip.MustParsePrefix("2001:db8::/32"), At: &Point{1, 2}, Region: "asia"},
		},
		Services: []ServiceSpec{
			{Name: "web", Endpoints: []EndpointSpec{
				{Name: "a", V4: netip.MustParseAddr("192.0.2.1"), V6: netip.MustParseAddr("2001:db8::1"), Port: 80, Site: "eu", Weight: 3, Meta: map[string]string{"k": "v"}},
				{Name: "[2001:db8::2]:443", V6: netip.MustParseAddr("2001:db8::2"), Weight: MaxWeight},
			}},
			{Name: "empty"},
			{Name: "old", Endpoints: []EndpointSpec{{Name: "a", V4: netip.MustParseAddr("192.0.2.9"), Site: "lab"}}},
		},
		Policies: []PolicySpec{
			{Name: "close", Stages: []StageSpec{
				Healthy{},
				Geo{Rules: []GeoRule{
					{Prefix: netip.MustParsePrefix("198.51.100.0/24"), To: GeoTarget{Sites: []string{"us", "eu"}}},
					{Region: "asia", To: GeoTarget{Sites: []string{"lab"}}},
				}, Default: GeoTarget{Nearest: true}},
				Failover{}, Weighted{}, Take{2},
			}},
		},
	}
}

func TestCompileSound(t *testing.T) {
	p := mustCompile(t, soundSpec())
	if p.NumEndpoints() != 3 || p.NumServices() != 3 || p.NumSites() != 3 || p.NumPolicies() != 2 {
		t.Errorf("%d endpoints, %d services, %d sites, %d policies", p.NumEndpoints(), p.NumServices(), p.NumSites(), p.NumPolicies())
	}
	for i, name := range []string{"web", "empty", "old"} {
		if id, ok := p.ServiceByName(name); !ok || int(id) != i || p.ServiceName(id) != name {
			t.Errorf("service %s is %d, %v", name, id, ok)
		}
	}
	for i, name := range []string{"eu", "us", "lab"} {
		if id, ok := p.SiteByName(name); !ok || int(id) != i+1 || p.SiteName(id) != name {
			t.Errorf("site %s is %d, %v", name, id, ok)
		}
	}
	for i, name := range []string{"close", DefaultPolicy} {
		if id, ok := p.PolicyByName(name); !ok || int(id) != i || p.PolicyName(id) != name {
			t.Errorf("policy %s is %d, %v", name, id, ok)
		}
	}
	id, ok := p.EndpointByName("web/a")
	if !ok {
		t.Fatal("no endpoint web/a")
	}
	e := p.Endpoint(id)
	if e.Name != "web/a" || e.Service != 0 || p.SiteName(e.Site) != "eu" || e.V4.String() != "192.0.2.1" || e.V6.String() != "2001:db8::1" ||
		e.Port != 80 || e.Weight != 3 || e.Meta["k"] != "v" {
		t.Errorf("web/a is %+v", e)
	}
	if got := p.Endpoints(0); !slices.Equal(got, []EndpointID{0, 1}) {
		t.Errorf("endpoints of web: %v", got)
	}
	for _, tt := range []struct {
		service ServiceID
		family  Family
		want    bool
	}{{0, FamilyV4, true}, {0, FamilyV6, true}, {0, FamilyAny, true}, {0, FamilyAddress, true}, {0, FamilyTarget, true}, {0, FamilyHost, false}, {0, FamilyText, false}, {1, FamilyAny, false}, {1, FamilyV4, false}, {2, FamilyV4, true}, {2, FamilyV6, false}, {9, FamilyAny, false}, {0, 9, false}} {
		if got := p.HasFamily(tt.service, tt.family); got != tt.want {
			t.Errorf("HasFamily(%d, %v) = %v", tt.service, tt.family, got)
		}
	}
}

func TestLongestEndpoint(t *testing.T) {
	e := EndpointSpec{Name: "x", Host: strings.Repeat("a.", 127), Text: strings.Repeat("é", MaxText/2), ALPN: strings.Split("abcdefgh", ""), Weight: MaxWeight}
	if problems := new(Plan).CheckEndpoint(e); len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
}

func TestLookupsOfNothing(t *testing.T) {
	for _, p := range []*Plan{mustCompile(t, Spec{}), {}} {
		_, ok1 := p.ServiceByName("x")
		_, ok2 := p.SiteByName("")
		_, ok3 := p.PolicyByName("x")
		_, ok4 := p.EndpointByName("x/y")
		if ok1 || ok2 || ok3 || ok4 {
			t.Error("found what is not there")
		}
		if p.ServiceName(5) != "" || p.SiteName(5) != "" || p.PolicyName(5) != "" || p.SiteName(NoSite) != "" || p.Endpoints(5) != nil {
			t.Error("what is not there has a name")
		}
		if p.NumSites() != 0 || p.NumEndpoints() != 0 {
			t.Error("something where nothing is")
		}
	}
}

func TestDefaultPolicyMayBeDefined(t *testing.T) {
	s := soundSpec()
	s.Policies = append([]PolicySpec{{Name: DefaultPolicy, Stages: []StageSpec{Take{1}}}}, s.Policies...)
	p := mustCompile(t, s)
	if id, ok := p.PolicyByName(DefaultPolicy); !ok || id != 0 || p.NumPolicies() != 2 {
		t.Errorf("default is %d, %v of %d", id, ok, p.NumPolicies())
	}
}

// A Plan must not change with the Spec it came from.
func TestPlanKeepsNothingOfTheSpec(t *testing.T) {
	s := soundSpec()
	p := mustCompile(t, s)
	q := Query{Client: netip.MustParsePrefix("198.51.100.1/32")}
	before := fmt.Sprintf("%+v", p.Explain(q, NewHealth(3)).Stages[2].Note)
	s.Services[0].Endpoints[0].Meta["k"] = "changed"
	s.Sites[0].At.Lat = 0
	geo := s.Policies[0].Stages[1].(Geo)
	geo.Rules[0].To.Sites[0] = "changed"
	s.Policies[0].Stages[0] = Take{1}
	if got := p.Endpoint(0).Meta["k"]; got != "v" {
		t.Errorf("meta is %q", got)
	}
	if after := fmt.Sprintf("%+v", p.Explain(q, NewHealth(3)).Stages[2].Note); after != before {
		t.Errorf("explained %q, then %q", before, after)
	}
}

func TestCompileProblems(t *testing.T) {
	nan := math.NaN()
	v4 := netip.MustParseAddr("192.0.2.1")
	prefix := netip.MustParsePrefix
	endpoint := func(e EndpointSpec) func(*Spec) {
		return func(s *Spec) { s.Services[1].Endpoints = []EndpointSpec{e} }
	}
	stage := func(st StageSpec) func(*Spec) {
		return func(s *Spec) { s.Policies = []PolicySpec{{Name: "p", Stages: []StageSpec{Healthy{}, st}}} }
	}
	rules := func(rules ...GeoRule) func(*Spec) {
		return stage(Geo{Rules: rules, Default: GeoTarget{Nearest: true}})
	}
	network := func(n NetworkSpec) func(*Spec) {
		return func(s *Spec) { s.Networks = append(s.Networks, n) }
	}
	eu := GeoTarget{Sites: []string{"eu"}}
	long := strings.Repeat("x", 254)
	for _, tt := range []struct {
		name  string
		spoil func(*Spec)
		path  string // joined by spaces
		msg   string // a part of it
	}{
		{"site twice", func(s *Spec) { s.Sites = append(s.Sites, SiteSpec{Name: "us"}) }, "sites us", "declared twice"},
		{"site without name", func(s *Spec) { s.Sites = append(s.Sites, SiteSpec{}) }, "sites ", "needs a name"},
		{"site called nearest", func(s *Spec) { s.Sites = append(s.Sites, SiteSpec{Name: "nearest"}) }, "sites nearest", "use the word"},
		{"site with a slash", func(s *Spec) { s.Sites = append(s.Sites, SiteSpec{Name: "a/b"}) }, "sites a/b", "no name for a site"},
		{"site with a dash first", func(s *Spec) { s.Sites = append(s.Sites, SiteSpec{Name: "-a"}) }, "sites -a", "no name for a site"},
		{"site with a long name", func(s *Spec) { s.Sites = append(s.Sites, SiteSpec{Name: long}) }, "sites " + long, "at most 253"},
		{"latitude", func(s *Spec) { s.Sites[0].At = &Point{90.5, 0} }, "sites eu at", "latitude 90.5 is out of range: want -90 to 90"},
		{"longitude", func(s *Spec) { s.Sites[0].At = &Point{0, -181} }, "sites eu at", "longitude -181 is out of range: want -180 to 180"},
		{"latitude NaN", func(s *Spec) { s.Sites[0].At = &Point{nan, 0} }, "sites eu at", "latitude NaN"},
		{"longitude infinite", func(s *Spec) { s.Sites[0].At = &Point{0, math.Inf(1)} }, "sites eu at", "longitude +Inf"},
		{"region default", func(s *Spec) { s.Sites[1].Region = "default" }, "sites us region", "use the word"},
		{"region within nothing", func(s *Spec) { s.Sites[1].Within = []string{"GB/"} }, "sites us region", "no name for a region"},
		{"listed network", func(s *Spec) { s.Listed = []NetworkSpec{{Prefix: prefix("10.0.0.0/8"), Site: "x"}} }, "geo networks_file 10.0.0.0/8", "no site"},
		{"region with a space", func(s *Spec) { s.Sites[1].Region = "far east" }, "sites us region", "no name for a region"},
		{"too many sites", func(s *Spec) {
			for i := range MaxSites {
				s.Sites = append(s.Sites, SiteSpec{Name: fmt.Sprint("x", i)})
			}
		}, "sites", "too many"},

		{"network at unknown site", network(NetworkSpec{Prefix: prefix("10.0.0.0/8"), Site: "er"}), "geo networks 10.0.0.0/8", `no site "er"`},
		{"network with host bits", network(NetworkSpec{Prefix: prefix("10.1.2.3/8"), Site: "eu"}), "geo networks 10.1.2.3/8", "write 10.0.0.0/8"},
		{"network mapped", network(NetworkSpec{Prefix: prefix("::ffff:10.1.0.0/112"), Site: "eu"}), "geo networks ::ffff:10.1.0.0/112", "write 10.1.0.0/16"},
		{"network around mapped", network(NetworkSpec{Prefix: prefix("::ffff:0.0.0.0/90"), Site: "eu"}), "geo networks ::ffff:0.0.0.0/90", "IPv4 in IPv6 form"},
		{"network twice", network(NetworkSpec{Prefix: prefix("192.0.2.0/24"), Site: "us"}), "geo networks 192.0.2.0/24", "declared twice"},
		{"network invalid", network(NetworkSpec{Site: "us"}), "geo networks invalid Prefix", "no network"},
		{"network says nothing", network(NetworkSpec{Prefix: prefix("10.0.0.0/8")}), "geo networks 10.0.0.0/8", "says nothing"},
		{"network coordinates", network(NetworkSpec{Prefix: prefix("10.0.0.0/8"), At: &Point{nan, nan}}), "geo networks 10.0.0.0/8 at", "latitude NaN"},
		{"network region", network(NetworkSpec{Prefix: prefix("10.0.0.0/8"), Region: "a b"}), "geo networks 10.0.0.0/8 region", "no name for a region"},

		{"service twice", func(s *Spec) { s.Services = append(s.Services, ServiceSpec{Name: "web"}) }, "services web", "declared twice"},
		{"service name", func(s *Spec) { s.Services[1].Name = "a b" }, "services a b", "no name for a service"},
		{"endpoint twice", func(s *Spec) { s.Services[0].Endpoints[1].Name = "a" }, "services web endpoints 1 name", "in the service twice"},
		{"endpoint without name", endpoint(EndpointSpec{V4: v4}), "services empty endpoints 0 name", "needs a name"},
		{"endpoint with a slash", endpoint(EndpointSpec{Name: "a/b", V4: v4}), "services empty endpoints 0 name", "no name for an endpoint"},
		{"endpoint with a long name", endpoint(EndpointSpec{Name: long, V4: v4}), "services empty endpoints 0 name", "at most 253"},
		{"endpoint without address", endpoint(EndpointSpec{Name: "x"}), "services empty endpoints 0 address", "needs an address"},
		{"host with a blank", endpoint(EndpointSpec{Name: "x", Host: "a b.example"}), "services empty endpoints 0 host", "no host name"},
		{"host of the root", endpoint(EndpointSpec{Name: "x", Host: "."}), "services empty endpoints 0 host", "no host name"},
		{"host with an empty label", endpoint(EndpointSpec{Name: "x", Host: "a..example"}), "services empty endpoints 0 host", "no host name"},
		{"host with a long label", endpoint(EndpointSpec{Name: "x", Host: strings.Repeat("a", 64)}), "services empty endpoints 0 host", "no host name"},
		{"longer host", endpoint(EndpointSpec{Name: "x", Host: strings.Repeat("a.", 126) + "ab."}), "services empty endpoints 0 host", "no host name"},
		{"long text", endpoint(EndpointSpec{Name: "x", Text: strings.Repeat("a", MaxText+1)}), "services empty endpoints 0 text", "at most 1024"},
		{"text of two lines", endpoint(EndpointSpec{Name: "x", Text: "a\nb"}), "services empty endpoints 0 text", "control"},
		{"text of bytes", endpoint(EndpointSpec{Name: "x", Text: "\xff"}), "services empty endpoints 0 text", "UTF-8"},
		{"protocol twice", endpoint(EndpointSpec{Name: "x", V4: v4, ALPN: []string{"h2", "h3", "h2"}}), "services empty endpoints 0 alpn", "twice"},
		{"protocol without a name", endpoint(EndpointSpec{Name: "x", V4: v4, ALPN: []string{""}}), "services empty endpoints 0 alpn", "no protocol"},
		{"protocol with a blank", endpoint(EndpointSpec{Name: "x", V4: v4, ALPN: []string{"h 2"}}), "services empty endpoints 0 alpn", "no protocol"},
		{"too many protocols", endpoint(EndpointSpec{Name: "x", V4: v4, ALPN: strings.Split("abcdefghi", "")}), "services empty endpoints 0 alpn", "at most 8"},
		{"v6 as v4", endpoint(EndpointSpec{Name: "x", V4: netip.MustParseAddr("::1")}), "services empty endpoints 0 address", "no IPv4 address"},
		{"v4 as v6", endpoint(EndpointSpec{Name: "x", V6: v4}), "services empty endpoints 0 address", "no IPv6 address"},
		{"mapped", endpoint(EndpointSpec{Name: "x", V6: netip.MustParseAddr("::ffff:192.0.2.1")}), "services empty endpoints 0 address", "write 192.0.2.1"},
		{"zone", endpoint(EndpointSpec{Name: "x", V6: netip.MustParseAddr("fe80::1%eth0")}), "services empty endpoints 0 address", "has a zone"},
		{"unspecified", endpoint(EndpointSpec{Name: "x", V4: netip.MustParseAddr("0.0.0.0")}), "services empty endpoints 0 address", "one machine"},
		{"multicast", endpoint(EndpointSpec{Name: "x", V6: netip.MustParseAddr("ff02::1")}), "services empty endpoints 0 address", "one machine"},
		{"broadcast", endpoint(EndpointSpec{Name: "x", V4: netip.MustParseAddr("255.255.255.255")}), "services empty endpoints 0 address", "one machine"},
		{"weight", endpoint(EndpointSpec{Name: "x", V4: v4, Weight: MaxWeight + 1}), "services empty endpoints 0 weight", "want 0 to 1048576"},
		{"unknown site", endpoint(EndpointSpec{Name: "x", V4: v4, Site: "moon"}), "services empty endpoints 0 site", `no site "moon"`},

		{"policy twice", func(s *Spec) { s.Policies = append(s.Policies, s.Policies[0]) }, "policies close", "declared twice"},
		{"policy name", func(s *Spec) { s.Policies[0].Name = "" }, "policies ", "needs a name"},
		{"empty chain", func(s *Spec) { s.Policies[0].Stages = nil }, "policies close", "no stage"},
		{"nil stage", stage(nil), "policies p 1", "empty"},
		{"stage by pointer", stage(&Healthy{}), "policies p 1", "not known"},
		{"take 0", stage(Take{0}), "policies p 1 take", "take 0"},
		{"take -1", stage(Take{-1}), "policies p 1 take", "take -1"},
		{"failover of nothing", stage(Failover{}), "policies p 1 failover", "geo stage before"},
		{"failover to unknown", stage(Failover{Sites: []string{"eu", "xx"}}), "policies p 1 failover", `no site "xx"`},
		{"failover twice", stage(Failover{Sites: []string{"eu", "eu"}}), "policies p 1 failover", "listed twice"},
		{"failover by list and place", stage(Failover{Sites: []string{"eu"}, Order: &Geo{Default: eu}}), "policies p 1 failover", "not both"},
		{"failover by branches and place", stage(Failover{Order: &Geo{Default: eu}, Branches: []Branch{{Policy: "p"}}}), "policies p 1 failover", "own order"},
		{"failover without default", stage(Failover{Order: &Geo{}}), "policies p 1 failover order", "default"},
		{"failover of a region to unknown", stage(Failover{Order: &Geo{Rules: []GeoRule{{Region: "europe", To: GeoTarget{Sites: []string{"xx"}}}}, Default: eu}}),
			"policies p 1 failover order europe", `no site "xx"`},
		{"failover of an unknown region", stage(Failover{Order: &Geo{Rules: []GeoRule{{Region: "eurpoe", To: eu}}, Default: eu}}),
			"policies p 1 failover order eurpoe", `in region "eurpoe"`},
		{"failover with a fence", stage(Failover{Order: &Geo{Default: GeoTarget{Sites: []string{"eu"}, Fence: true}}}), "policies p 1 failover order", "no fence"},
		{"threshold above", stage(Failover{Sites: []string{"eu"}, Threshold: 1.1}), "policies p 1 failover threshold", "1.1"},
		{"threshold below", stage(Failover{Sites: []string{"eu"}, Threshold: -0.5}), "policies p 1 failover threshold", "-0.5"},
		{"threshold NaN", stage(Failover{Sites: []string{"eu"}, Threshold: nan}), "policies p 1 failover threshold", "NaN"},
		{"geo without default", stage(Geo{Rules: []GeoRule{{Region: "asia", To: eu}}}), "policies p 1 geo", "needs a default"},
		{"default unknown", stage(Geo{Default: GeoTarget{Sites: []string{"xx"}}}), "policies p 1 geo default", `no site "xx"`},
		{"default both", stage(Geo{Default: GeoTarget{Nearest: true, Sites: []string{"eu"}}}), "policies p 1 geo default", "not both"},
		{"rule of unknown site", rules(GeoRule{Region: "europe", To: GeoTarget{Sites: []string{"xx"}}}), "policies p 1 geo europe", `no site "xx"`},
		{"rule of no site", rules(GeoRule{Region: "europe"}), "policies p 1 geo europe", "empty"},
		{"rule of site twice", rules(GeoRule{Region: "europe", To: GeoTarget{Sites: []string{"eu", "eu"}}}), "policies p 1 geo europe", "listed twice"},
		{"unknown region", rules(GeoRule{Region: "eurpoe", To: eu}), "policies p 1 geo eurpoe", `in region "eurpoe"`},
		{"region rule twice", rules(GeoRule{Region: "europe", To: eu}, GeoRule{Region: "europe", To: eu}), "policies p 1 geo europe", "two rules"},
		{"network rule twice", rules(GeoRule{Prefix: prefix("10.0.0.0/8"), To: eu}, GeoRule{Prefix: prefix("10.0.0.0/8"), To: eu}), "policies p 1 geo 10.0.0.0/8", "two rules"},
		{"network rule with host bits", rules(GeoRule{Prefix: prefix("2001:db8::1/32"), To: eu}), "policies p 1 geo 2001:db8::1/32", "write 2001:db8::/32"},
		{"rule of nothing", rules(GeoRule{To: eu}), "policies p 1 geo invalid Prefix", "no network"},
		{"rule of both", rules(GeoRule{Region: "europe", Prefix: prefix("10.0.0.0/8"), To: eu}), "policies p 1 geo europe", "not both"},
		{"within too much", stage(Geo{Default: GeoTarget{Nearest: true, Within: 1.1}}), "policies p 1 geo default within", "within 1.1 is out of range: want 0 to 1"},
		{"within NaN", stage(Geo{Default: GeoTarget{Nearest: true, Within: nan}}), "policies p 1 geo default within", "within NaN"},
		{"limit of none", stage(Geo{Default: GeoTarget{Nearest: true, Limit: -1}}), "policies p 1 geo default limit", "limit -1"},
		{"limit of a list", stage(Geo{Default: GeoTarget{Sites: []string{"eu"}, Limit: 1}}), "policies p 1 geo default", "are for nearest"},
		{"fence around all", stage(Geo{Default: GeoTarget{Nearest: true, Fence: true}}), "policies p 1 geo default fence", "what is inside"},
		{"bias too large", stage(Geo{Default: GeoTarget{Nearest: true, Bias: []SiteBias{{"eu", 100}}}}), "policies p 1 geo default bias eu", "want -99 to 99"},
		{"bias too small", rules(GeoRule{Region: "europe", To: GeoTarget{Nearest: true, Bias: []SiteBias{{"eu", -100}}}}), "policies p 1 geo europe bias eu", "want -99 to 99"},
		{"bias of an unknown site", stage(Geo{Default: GeoTarget{Nearest: true, Bias: []SiteBias{{"xx", 1}}}}), "policies p 1 geo default bias xx", "no site"},
		{"bias twice", stage(Geo{Default: GeoTarget{Nearest: true, Bias: []SiteBias{{"eu", 1}, {"eu", 2}}}}), "policies p 1 geo default bias eu", "twice"},
		{"bias of nowhere", func(s *Spec) {
			s.Sites = append(s.Sites, SiteSpec{Name: "bare"})
			s.Policies = []PolicySpec{{Name: "p", Stages: []StageSpec{Geo{Default: GeoTarget{Nearest: true, Bias: []SiteBias{{"bare", 1}}}}}}}
		}, "policies p 0 geo default bias bare", "no coordinates"},
		{"nearest of nowhere", func(s *Spec) { s.Sites[0].At, s.Sites[1].At = nil, nil }, "policies close 1 geo default", "none has them"},
		{"too many geo stages", func(s *Spec) {
			for i := range 1000 {
				s.Sites = append(s.Sites, SiteSpec{Name: fmt.Sprint("x", i)})
			}
			geo := Geo{Default: eu}
			s.Policies[0].Stages = []StageSpec{geo, geo, geo, geo}
		}, "policies close 3", "too many geo stages"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := soundSpec()
			tt.spoil(&s)
			p, problems := Compile(s)
			if p != nil {
				t.Error("there is a Plan")
			}
			if len(problems) == 0 {
				t.Fatal("no problem")
			}
			for _, x := range problems {
				if strings.Join(x.Path, " ") == tt.path && strings.Contains(x.Msg, tt.msg) {
					return
				}
			}
			t.Errorf("problems %+v\nwant one at %q with %q", problems, tt.path, tt.msg)
		})
	}
}

// All problems come at once, in the order of the Spec, each once.
func TestCompileReportsEverything(t *testing.T) {
	s := soundSpec()
	s.Sites[2].At = &Point{100, 200}
	s.Networks[0].Site = "nowhere"
	s.Services[0].Endpoints[0].Weight = MaxWeight + 1
	s.Services[2].Endpoints[0].Site = "nowhere"
	s.Policies[0].Stages[4] = Take{}
	s.Policies = append(s.Policies, PolicySpec{Name: "void"})
	_, problems := Compile(s)
	var got []string
	for _, x := range problems {
		got = append(got, strings.Join(x.Path, " "))
	}
	want := []string{
		"sites lab at", "sites lab at", "geo networks 192.0.2.0/24", "services web endpoints 0 weight", "services old endpoints 0 site",
		"policies close 4 take", "policies void",
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems at %q\nwant %q", got, want)
	}
}

func TestCheckEndpoint(t *testing.T) {
	p := mustCompile(t, soundSpec())
	good := EndpointSpec{Name: "x", V4: netip.MustParseAddr("192.0.2.1"), Site: "eu", Weight: 1}
	if problems := p.CheckEndpoint(good); problems != nil {
		t.Errorf("problems %v", problems)
	}
	bad := good
	bad.Site, bad.Weight = "moon", MaxWeight+1
	problems := p.CheckEndpoint(bad)
	if len(problems) != 2 || problems[0].Path[0] != "weight" || problems[1].Path[0] != "site" {
		t.Errorf("problems %v", problems)
	}
}

func TestWithServicesProblems(t *testing.T) {
	p := mustCompile(t, soundSpec())
	q, problems := p.WithServices([]ServiceSpec{{Name: "web", Endpoints: []EndpointSpec{{Name: "a"}}}})
	if q != nil || len(problems) != 1 || strings.Join(problems[0].Path, " ") != "services web endpoints 0 address" {
		t.Errorf("%v, %v", q, problems)
	}
}
