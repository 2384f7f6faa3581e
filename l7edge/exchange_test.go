package l7edge

import (
	"errors"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/l7edge/route"
	"github.com/meridian-gslb/meridian/l7edge/upstream"
	"github.com/meridian-gslb/meridian/policy"
)

// What decides and accounts must outlive net/http.
func TestTheExchangeKnowsNoProtocol(t *testing.T) {
	files := []string{"exchange.go", "fault.go", "watchdog.go"}
	entries, err := os.ReadDir("upstream")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") {
			files = append(files, "upstream/"+e.Name())
		}
	}
	for _, f := range files {
		ast, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range ast.Imports {
			if strings.HasPrefix(imp.Path.Value, `"net/http`) || strings.Contains(imp.Path.Value, "x/net") {
				t.Errorf("%s imports %s", f, imp.Path.Value)
			}
		}
	}
}

func testCore(w *world, limit int) *core {
	return newCore(Config{MaxRequests: limit}, w.now.Load)
}

// ready takes a new exchange as far as decide.
func ready(t *testing.T, c *core) *exchange {
	t.Helper()
	x := c.open()
	if f := x.admit(); f != noFault {
		t.Fatal(f)
	}
	if f := x.route("any.test", "/"); f != noFault {
		t.Fatal(f)
	}
	if f := x.decide(netip.MustParseAddr("192.0.2.1")); f != noFault {
		t.Fatal(f)
	}
	return x
}

func TestExchangeRetriesOtherEndpoints(t *testing.T) {
	refused := &upstream.ConnectError{Err: errors.New("refused")}
	for _, c := range []struct {
		name      string
		endpoints int
		retries   int
		err       error
		touched   bool
		attempts  int
	}{
		{"none allowed", 4, 0, refused, false, 1},
		{"the default is one", 4, -1, refused, false, 2},
		{"three", 4, 3, refused, false, 4},
		{"more than there are endpoints", 3, 5, refused, false, 3},
		{"not when the connection broke", 4, 3, errors.New("reset"), false, 1},
		{"not when the body was read", 4, 3, refused, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80", "192.0.2.4:80"}[:c.endpoints]
			rule := all()
			rule.Retries = c.retries
			core := testCore(newWorld(t, service(at...), rule), 10)
			x := ready(t, core)
			tried := map[string]bool{}
			n := 0
			for {
				m, f := x.pick()
				if f != noFault {
					if f != faultNoEndpoint {
						t.Errorf("fault %v", f)
					}
					break
				}
				n++
				if tried[m.Name()] {
					t.Errorf("%s tried twice", m.Name())
				}
				tried[m.Name()] = true
				if !x.retry(c.err, c.touched) {
					break
				}
				x.outcome(upstream.ConnectFailed)
			}
			if n != c.attempts {
				t.Errorf("%d attempts, want %d", n, c.attempts)
			}
			x.close()
			for _, s := range core.set.Stats() {
				if s.InFlight != 0 {
					t.Errorf("%s: %d in flight after the end", s.Name, s.InFlight)
				}
			}
		})
	}
}

func TestExchangeAdmitsUpToTheLimit(t *testing.T) {
	c := testCore(newWorld(t, service("192.0.2.1:80"), all()), 2)
	a, b := ready(t, c), ready(t, c)
	x := c.open()
	if f := x.admit(); f != faultOverload {
		t.Errorf("third of two: %v", f)
	}
	x.close()
	a.close()
	x = ready(t, c)
	x.close()
	b.close()
	if n := c.inFlight.Load(); n != 0 {
		t.Errorf("%d in flight after all ended", n)
	}
}

func TestExchangeKeepsItsSnapshot(t *testing.T) {
	w := newWorld(t, service("192.0.2.1:80"), all())
	c := testCore(w, 10)
	x := ready(t, c)
	defer x.close()
	w.set(service("192.0.2.9:80", "192.0.2.8:80"), route.Spec{Host: "else.test", Service: "web"})
	c.view()
	m, f := x.pick()
	if f != noFault || m.Address.String() != "192.0.2.1:80" {
		t.Errorf("%v %v after a reload", m, f)
	}
	y := c.open()
	defer y.close()
	if f := y.route("any.test", "/"); f != faultNoRoute {
		t.Errorf("the next exchange got the old routes: %v", f)
	}
}

// The site of the process locates all requests; without one, each client's address does.
func TestExchangeLocates(t *testing.T) {
	spec := policy.Spec{
		Sites:    []policy.SiteSpec{{Name: "eu"}, {Name: "us"}},
		Networks: []policy.NetworkSpec{{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Site: "us"}, {Prefix: netip.MustParsePrefix("192.0.2.0/24"), Site: "eu"}},
		Services: service("192.0.2.1:80", "192.0.2.2:80").Services,
		Policies: []policy.PolicySpec{{Name: "near", Stages: []policy.StageSpec{policy.Geo{Rules: []policy.GeoRule{
			{Prefix: netip.MustParsePrefix("192.0.2.0/24"), To: policy.GeoTarget{Sites: []string{"eu"}}},
			{Prefix: netip.MustParsePrefix("198.51.100.0/24"), To: policy.GeoTarget{Sites: []string{"us"}}},
		}, Default: policy.GeoTarget{Nearest: true}}}}},
	}
	spec.Sites[0].At, spec.Sites[1].At = &policy.Point{Lat: 53, Lon: -6}, &policy.Point{Lat: 39, Lon: -77}
	spec.Services[0].Endpoints[0].Site, spec.Services[0].Endpoints[1].Site = "eu", "us"
	for _, c := range []struct{ site, client, want string }{
		{"", "192.0.2.77", "web/b0"},
		{"", "198.51.100.77", "web/b1"},
		{"us", "192.0.2.77", "web/b1"},
		{"eu", "198.51.100.77", "web/b0"},
		{"gone", "198.51.100.77", "web/b1"}, // a site the Plan does not have is none
	} {
		w := newWorld(t, spec, route.Spec{Service: "web", Policy: "near"})
		core := newCore(Config{MaxRequests: 1, SiteName: c.site}, w.now.Load)
		x := core.open()
		x.admit()
		x.route("any", "/")
		x.decide(netip.MustParseAddr(c.client))
		if m, f := x.pick(); f != noFault || m.Name() != c.want {
			t.Errorf("site %q, client %s: %v %v, want %s", c.site, c.client, m, f, c.want)
		}
		x.close()
	}
}

// A client has the key that DNS gives it, and the time is now: canaries and schedules are the same here and there.
func TestExchangeAsksAsDNSDoes(t *testing.T) {
	spec := service("192.0.2.1:80", "192.0.2.2:80")
	spec.Sites = []policy.SiteSpec{{Name: "old"}, {Name: "new"}}
	spec.Services[0].Endpoints[0].Site, spec.Services[0].Endpoints[1].Site = "old", "new"
	spec.Policies = []policy.PolicySpec{{Name: "trial", Stages: []policy.StageSpec{policy.Canary{Share: 0.5, Sites: []string{"new"}}}}}
	w := newWorld(t, spec, route.Spec{Service: "web", Policy: "trial"})
	core := testCore(w, 10)
	s := w.now.Load()
	trial, _ := s.Plan.PolicyByName("trial")
	seen := map[policy.EndpointID]bool{}
	for i := range 64 {
		client := netip.AddrFrom4([4]byte{198, 51, byte(i), 7})
		x := core.open()
		x.admit()
		x.route("any", "/")
		before := time.Now().Unix()
		if q := x.query(client); q.Now < before || q.Now > time.Now().Unix() {
			t.Fatalf("it is %d, asked at %d", before, q.Now)
		}
		x.decide(client)
		var scratch policy.Scratch
		want := s.Plan.Decide(&scratch, policy.Query{Policy: trial, Client: netip.PrefixFrom(client, 24), Family: policy.FamilyV4, Key: policy.ClientKey(client)}, s.Health).Endpoints
		if !slices.Equal(x.allowed, want) {
			t.Fatalf("%v: %v here, %v in DNS", client, x.allowed, want)
		}
		seen[want[0]] = true
		x.close()
	}
	if len(seen) != 2 {
		t.Errorf("all clients are on one side: %v", seen)
	}
}

// All of the equally preferred endpoints are tried, in any order, then the others in the order of the decision. Sites may be equally
// preferred, here because they are in one place.
func TestExchangeExhaustsTheTierFirst(t *testing.T) {
	spec := service("192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80", "192.0.2.4:80", "192.0.2.5:80", "192.0.2.6:80")
	spec.Sites = []policy.SiteSpec{
		{Name: "far", At: &policy.Point{Lat: 19, Lon: 73}}, {Name: "mid", At: &policy.Point{Lat: 39, Lon: -77}},
		{Name: "here", At: &policy.Point{Lat: 53, Lon: -6}}, {Name: "next-door", At: &policy.Point{Lat: 53, Lon: -6}},
	}
	for i, site := range []string{"mid", "here", "far", "next-door", "here", "mid"} {
		spec.Services[0].Endpoints[i].Site = site
	}
	spec.Policies = []policy.PolicySpec{{Name: "near", Stages: []policy.StageSpec{policy.Geo{Default: policy.GeoTarget{Nearest: true}}}}}
	rule := route.Spec{Service: "web", Policy: "near", Retries: route.MaxRetries}
	core := newCore(Config{MaxRequests: 10, SiteName: "here"}, newWorld(t, spec, rule).now.Load)
	refused := &upstream.ConnectError{Err: errors.New("refused")}
	first := map[string]int{}
	for range 300 {
		x := ready(t, core)
		var order []string
		for {
			m, f := x.pick()
			if f != noFault {
				t.Fatal(f)
			}
			order = append(order, strings.TrimPrefix(m.Name(), "web/"))
			if !x.retry(refused, false) {
				break
			}
			x.outcome(upstream.ConnectFailed)
		}
		x.close()
		first[order[0]]++
		slices.Sort(order[:3])
		if got := strings.Join(order, " "); got != "b1 b3 b4 b0 b5 b2" {
			t.Fatalf("tried %s", got)
		}
	}
	for _, name := range []string{"b1", "b3", "b4"} {
		if first[name] < 80 {
			t.Errorf("%s was the first of %d, want about 100", name, first[name])
		}
	}
}

func TestExchangeDoesNotAllocate(t *testing.T) {
	c := testCore(newWorld(t, service("192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"), all()), 10)
	from := netip.MustParseAddr("192.0.2.1")
	x := c.open()
	defer x.close()
	if n := testing.AllocsPerRun(500, func() {
		x.snap = c.snap()
		x.admit()
		x.route("any.test", "/")
		x.decide(from)
		x.pick()
		x.outcome(upstream.Answered)
		x.reset()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFaultsAreComplete(t *testing.T) {
	seen := map[string]fault{}
	for f := range numFaults {
		i := f.info()
		if i.word == "" || i.status == 0 || f != noFault && i.text == "" || strings.ContainsAny(i.text, "\r\n") {
			t.Errorf("fault %d: %+v", f, i)
		}
		if other, ok := seen[i.word]; ok {
			t.Errorf("faults %d and %d are both %q", other, f, i.word)
		}
		seen[i.word] = f
		if f.String() != i.word {
			t.Errorf("fault %d is %q", f, f)
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	at := []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80", "192.0.2.4:80", "192.0.2.5:80", "192.0.2.6:80"}
	c := testCore(newWorld(b, service(at...), all()), 10)
	from := netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		x := c.open()
		x.admit()
		x.route("any.test", "/")
		x.decide(from)
		x.pick()
		x.outcome(upstream.Answered)
		x.close()
	}
}
