package simulate

import (
	"flag"
	"fmt"
	"math"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

var update = flag.Bool("update", false, "write golden files")

// golden compares with a file, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is not what comes out now; look at the difference, and if it is meant: go test ./simulate -update\n%s", name, got)
	}
}

// spec is three sites with two endpoints each, a service at one site, one without site, and the policies tests are about.
func spec() policy.Spec {
	s := policy.Spec{
		Sites: []policy.SiteSpec{
			{Name: "eu", At: &policy.Point{Lat: 50, Lon: 8}, Region: "europe"},
			{Name: "us", At: &policy.Point{Lat: 39, Lon: -77}, Region: "america"},
			{Name: "ap", At: &policy.Point{Lat: 25, Lon: 55}, Region: "asia"},
		},
		Networks: []policy.NetworkSpec{
			{Prefix: netip.MustParsePrefix("80.0.0.0/8"), Site: "eu"},
			{Prefix: netip.MustParsePrefix("68.0.0.0/8"), Site: "us"},
			{Prefix: netip.MustParsePrefix("117.0.0.0/8"), Site: "ap"},
			{Prefix: netip.MustParsePrefix("80.64.0.0/10"), Site: "ap"},
			{Prefix: netip.MustParsePrefix("2a00::/12"), Site: "eu"},
		},
		Policies: []policy.PolicySpec{
			{Name: "near", Stages: []policy.StageSpec{policy.Healthy{}, policy.Geo{Default: policy.GeoTarget{Nearest: true}}, policy.Failover{}, policy.Weighted{}}},
			{Name: "order", Stages: []policy.StageSpec{policy.Healthy{}, policy.Failover{Sites: []string{"eu", "us", "ap"}}, policy.Weighted{}}},
			{Name: "one", Stages: []policy.StageSpec{policy.Healthy{}, policy.Weighted{}, policy.Take{N: 1}}},
			{Name: "loyal", Stages: []policy.StageSpec{policy.Healthy{}, policy.Sticky{}}},
			{Name: "relieved", Stages: []policy.StageSpec{policy.Healthy{}, policy.Geo{Default: policy.GeoTarget{Nearest: true}}, policy.Shed{Low: 0.5, High: 0.9}, policy.Take{N: 1}}},
			{Name: "closed", Stages: []policy.StageSpec{policy.Healthy{Closed: true}, policy.Weighted{}}},
			{Name: "warm", Stages: []policy.StageSpec{policy.Healthy{}, policy.Failover{Sites: []string{"eu", "us"}, Trickle: 0.05}, policy.Weighted{}}},
			{Name: "nights", Stages: []policy.StageSpec{policy.Schedule{Windows: []policy.Window{{From: 22 * 60, To: 6 * 60, Sites: []string{"us"}}}},
				policy.Failover{Sites: []string{"eu"}}}},
			{Name: "two", Stages: []policy.StageSpec{policy.Healthy{}, policy.Take{N: 2}}},
		},
	}
	n := byte(0)
	add := func(service string, endpoints ...policy.EndpointSpec) {
		for i := range endpoints {
			n++
			endpoints[i].V4 = netip.AddrFrom4([4]byte{192, 0, 2, n})
		}
		s.Services = append(s.Services, policy.ServiceSpec{Name: service, Endpoints: endpoints})
	}
	add("other", policy.EndpointSpec{Name: "a", Site: "eu", Weight: 1})
	add("web", policy.EndpointSpec{Name: "eu1", Site: "eu", Weight: 1}, policy.EndpointSpec{Name: "eu2", Site: "eu", Weight: 1},
		policy.EndpointSpec{Name: "us1", Site: "us", Weight: 1}, policy.EndpointSpec{Name: "us2", Site: "us", Weight: 1},
		policy.EndpointSpec{Name: "ap1", Site: "ap", Weight: 1}, policy.EndpointSpec{Name: "ap2", Site: "ap", Weight: 1})
	add("split", policy.EndpointSpec{Name: "a", Site: "eu", Weight: 80}, policy.EndpointSpec{Name: "b", Site: "us", Weight: 20})
	add("four", policy.EndpointSpec{Name: "a", Weight: 1}, policy.EndpointSpec{Name: "b", Weight: 2}, policy.EndpointSpec{Name: "c", Weight: 3},
		policy.EndpointSpec{Name: "d", Weight: 94})
	add("mixed", policy.EndpointSpec{Name: "nowhere", Weight: 1}, policy.EndpointSpec{Name: "us", Site: "us", Weight: 1}, policy.EndpointSpec{Name: "eu", Site: "eu", Weight: 1})
	add("empty")
	return s
}

// world returns the World of spec.
func world(t testing.TB) World {
	t.Helper()
	s := spec()
	plan, problems := policy.Compile(s)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return World{plan, s.Services}
}

// crowd returns clients of equal size, one query a second each, in a /8.
func crowd(n int, first byte) []Client {
	clients := make([]Client, n)
	for i := range clients {
		clients[i] = Client{netip.PrefixFrom(netip.AddrFrom4([4]byte{first, byte(i >> 8), byte(i), 0}), 24), 1}
	}
	return clients
}

// play runs a Scenario that has to work. Without a duration it has ten steps of a minute.
func play(t testing.TB, s Scenario, clients []Client) *Series {
	t.Helper()
	if s.Duration == 0 {
		s.Duration, s.Step = 10*time.Minute, time.Minute
	}
	out, err := Run(world(t), s, clients)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// each returns a value of each step, as text.
func each(s *Series, of func(Step) any) string {
	text := ""
	for _, st := range s.Steps {
		text += fmt.Sprint(of(st), " ")
	}
	return text[:len(text)-1]
}

// site returns the share of a site at each step in percent.
func site(s *Series, i int) string {
	return each(s, func(st Step) any { return math.Round(100 * st.Sites[i]) })
}
