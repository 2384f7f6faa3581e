package forecast

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/demand"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/simulate"
)

// snapshot is a state with www at two sites, with change made to it.
func snapshot(t *testing.T, change func(*registry.Definition)) *registry.Snapshot {
	t.Helper()
	addr := netip.MustParseAddr
	d := registry.Definition{
		Policy: policy.Spec{
			Sites:    []policy.SiteSpec{{Name: "eu", Region: "europe"}, {Name: "us"}},
			Networks: []policy.NetworkSpec{{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Site: "eu"}},
			Services: []policy.ServiceSpec{
				{Name: "web", Endpoints: []policy.EndpointSpec{
					{Name: "a", V4: addr("192.0.2.1"), V6: addr("2001:db8::1"), Site: "eu", Weight: 1}, {Name: "b", V4: addr("192.0.2.2"), Site: "us", Weight: 1}}},
				{Name: "cdn", Endpoints: []policy.EndpointSpec{{Name: "x", Host: "cdn.example.net", Site: "us", Weight: 1}}},
			},
			Policies: []policy.PolicySpec{
				{Name: "eu", Stages: []policy.StageSpec{policy.Healthy{}, policy.Failover{Sites: []string{"eu", "us"}}}},
				{Name: "us", Stages: []policy.StageSpec{policy.Healthy{}, policy.Failover{Sites: []string{"us", "eu"}}}},
			},
		},
		Zones: []zone.Spec{{Name: "gslb.example", NS: []string{"ns1.example.net."}, Records: []zone.RecordSpec{
			{Owner: "www", Steer: &zone.SteerSpec{Service: "web", Policy: "eu"}},
			{Owner: "*.app", Steer: &zone.SteerSpec{Service: "web", Policy: "eu"}},
			{Owner: "mail", Static: []zone.StaticSpec{{Type: "A", Values: []string{"192.0.2.9"}}}},
		}}},
	}
	change(&d)
	c, problems := registry.Compile(d)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return registry.New(registry.Options{}).Preview(c)
}

func none(*registry.Definition) {}

// report is what three names are asked for.
func report() demand.Report {
	client := netip.MustParsePrefix("192.0.2.0/24")
	return demand.Report{Entries: []demand.Entry{
		{Name: "www.gslb.example", Type: "A", Client: client, Queries: 5}, {Name: "*.app.gslb.example", Type: "A", Client: client, Queries: 3},
		{Name: "www.gslb.example", Type: "AAAA", Client: netip.MustParsePrefix("2001:db8:7::/56"), Queries: 2},
	}}
}

func TestOf(t *testing.T) {
	record := func(d *registry.Definition, i int) *zone.RecordSpec { return &d.Zones[0].Records[i] }
	for name, c := range map[string]struct {
		change func(*registry.Definition)
		moved  string
		sites  string
	}{
		"nothing": {none, "0 0", "eu[1 1]"},
		"order":   {func(d *registry.Definition) { record(d, 0).Steer.Policy = "us" }, "0.5 0", "eu[1 0.5] us[0 0.5]"}, // us has no IPv6
		"gone":    {func(d *registry.Definition) { d.Zones[0].Records = d.Zones[0].Records[1:] }, "0.7 0.7", "eu[1 0.3]"},
		"alias": {func(d *registry.Definition) {
			record(d, 0).Steer, record(d, 0).Static = nil, []zone.StaticSpec{{Type: "CNAME", Values: []string{"n.app"}}}
		}, "0 0", "eu[1 1]"},
		"fixed": {func(d *registry.Definition) {
			record(d, 1).Steer, record(d, 1).Static = nil, []zone.StaticSpec{{Type: "A", Values: []string{"192.0.2.3"}}}
		}, "0.3 0", "fixed records[0 0.3] eu[1 0.7]"},
		"no endpoints": {func(d *registry.Definition) { d.Policy.Services[0].Endpoints = nil }, "1 1", "eu[1 0]"},
		"another type": {func(d *registry.Definition) {
			record(d, 0).Steer = &zone.SteerSpec{Service: "cdn", Types: []string{"CNAME"}}
		}, "0.7 0", "eu[1 0.3] us[0 0.7]"},
		"not for them": {func(d *registry.Definition) { d.Zones[0].Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }, "0.2 0.2", "eu[1 0.8]"},
	} {
		f, err := Of(snapshot(t, none), snapshot(t, c.change), report(), nil, 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var sites []string
		for _, s := range f.Sites {
			sites = append(sites, s.Site+fmt.Sprint(s.Shares))
		}
		if got := fmt.Sprint(f.Moved, " ", f.Lost); got != c.moved || strings.Join(sites, " ") != c.sites {
			t.Errorf("%s: moved and lost %s, sites %s; want %s, %s", name, got, sites, c.moved, c.sites)
		}
	}
}

// TestPopulation: clients ask evenly for the names of a service, of a type that the policy answers.
func TestPopulation(t *testing.T) {
	s := snapshot(t, func(d *registry.Definition) {
		d.Zones[0].Records = append(d.Zones[0].Records, zone.RecordSpec{Owner: "cdn", Steer: &zone.SteerSpec{Service: "cdn", Types: []string{"CNAME"}}})
	})
	clients := []simulate.Client{{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Queries: 8}, {Prefix: netip.MustParsePrefix("2001:db8::/56"), Queries: 2}}
	want := "[{*.app.gslb.example A 192.0.2.0/24 4} {www.gslb.example A 192.0.2.0/24 4} {*.app.gslb.example A 2001:db8::/56 1} {www.gslb.example A 2001:db8::/56 1}]"
	if got := fmt.Sprint(Population(s, "web", clients).Entries); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := fmt.Sprint(Population(s, "cdn", clients[1:]).Entries); got != "[{cdn.gslb.example CNAME 2001:db8::/56 2}]" {
		t.Error(got)
	}
	if got := Population(s, "none", clients); len(got.Entries) != 0 {
		t.Error(got)
	}
}

func TestOfErrors(t *testing.T) {
	s := snapshot(t, none)
	for want, d := range map[string]demand.Report{
		"nobody asks":          {},
		`"x..y" is not a name`: {Entries: []demand.Entry{{Name: "x..y", Type: "A", Queries: 1}}},
		"is no record type":    {Entries: []demand.Entry{{Name: "x", Type: "NONSENSE", Queries: 1}}},
		"has 0 queries":        {Entries: []demand.Entry{{Name: "x", Type: "A"}}},
	} {
		if _, err := Of(s, s, d, nil, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := Of(s, s, report(), []simulate.Capacity{{Site: "mars", Queries: 1}}, 0); err == nil || !strings.Contains(err.Error(), "mars") {
		t.Error(err)
	}
}
