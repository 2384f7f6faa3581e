package dnsserver

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// kindServices are what the types that a policy can choose are made of.
func kindServices() []policy.ServiceSpec {
	addr := netip.MustParseAddr
	return []policy.ServiceSpec{
		{Name: "hosts", Endpoints: []policy.EndpointSpec{
			{Name: "a", Host: "eu.k.example", Port: 8443, Weight: 10, Text: "eu", Site: "eu"},
			{Name: "b", Host: "us.k.example.", Port: 443, Weight: 30, Text: strings.Repeat("u", 300), Site: "us"},
			{Name: "c", Host: "us.k.example", Port: 443, Weight: 30, Text: "eu"}, // as b and a again
		}},
		{Name: "heavy", Endpoints: []policy.EndpointSpec{
			{Name: "a", Host: "eu.k.example", Port: 1, Weight: 1 << 17}, {Name: "b", Host: "us.k.example", Port: 2, Weight: 1 << 16},
			{Name: "c", Host: "far.test", Port: 3, Weight: 1}, {Name: "d", Host: "far.test", Port: 4, Weight: 0},
		}},
		{Name: "far", Endpoints: []policy.EndpointSpec{{Name: "a", Host: "www.far.test", Weight: 1}}},
		{Name: "chain", Endpoints: []policy.EndpointSpec{{Name: "a", Host: "cname.k.example", Weight: 1}}},
		{Name: "nowhere", Endpoints: []policy.EndpointSpec{{Name: "a", Host: "nx.k.example", Weight: 1}}},
		{Name: "self", Endpoints: []policy.EndpointSpec{{Name: "a", Host: "self.k.example", Weight: 1}}},
		{Name: "ways", Endpoints: []policy.EndpointSpec{
			{Name: "a", V4: addr("192.0.2.1"), V6: addr("2001:db8:1::1"), Port: 443, ALPN: []string{"h2", "http/1.1"}, Weight: 1, Site: "eu"},
			{Name: "b", V4: addr("192.0.2.2"), Port: 8443, ALPN: []string{"h2", "http/1.1"}, Weight: 1, Site: "us"},
			{Name: "c", V4: addr("192.0.2.3"), V6: addr("2001:db8:2::3"), Port: 443, ALPN: []string{"h2", "http/1.1"}, Weight: 1, Site: "eu"},
			{Name: "d", V4: addr("192.0.2.4"), Weight: 1},
			{Name: "e", Host: "us.k.example", Port: 443, Weight: 1},
			{Name: "f", V4: addr("192.0.2.1"), Port: 443, ALPN: []string{"h2", "http/1.1"}, Weight: 1}, // the address of a again
		}},
	}
}

// kindZones are k.example, which has every kind of data that is not static, open.example and closed.example, which is for 192.0.2.0/24.
func kindZones() []zone.Spec {
	record := func(owner string, sets ...string) zone.RecordSpec {
		r := zone.RecordSpec{Owner: owner}
		for i := 0; i < len(sets); i += 2 {
			r.Static = append(r.Static, zone.StaticSpec{Type: sets[i], Values: strings.Split(sets[i+1], "|")})
		}
		return r
	}
	steered := func(owner, service, pol string, types ...string) zone.RecordSpec {
		return zone.RecordSpec{Owner: owner, TTL: 30, Steer: &zone.SteerSpec{Service: service, Policy: pol, Types: types}}
	}
	alias := func(owner, target string, sets ...string) zone.RecordSpec {
		r := record(owner, sets...)
		r.Alias = target
		return r
	}
	long := strings.Repeat(strings.Repeat("l", 60)+".", 3)
	soa := zone.SOASpec{Minimum: 10, Serial: 7}
	return []zone.Spec{
		{
			Name: "k.example", NS: []string{"ns.elsewhere.test."}, SOA: soa,
			Records: []zone.RecordSpec{
				alias("@", "www", "MX", "10 mail.elsewhere.test."),
				record("eu", "A", "192.0.2.10"), record("us", "A", "198.51.100.10"), record("cname", "CNAME", "eu"), record("tonear", "CNAME", "www"),
				steered("www", "web", "near", "A", "AAAA", "HTTPS"),
				steered("c", "hosts", "near", "CNAME"), steered("c.far", "far", "all", "CNAME"), steered("c.chain", "chain", "all", "CNAME"),
				steered("c.missing", "nowhere", "all", "CNAME"), steered("self", "self", "all", "CNAME"),
				steered("_s._tcp", "hosts", "ranked", "SRV"), steered("_h._tcp", "heavy", "all", "SRV"), steered("_f._tcp", "far", "all", "SRV"),
				steered("mx", "hosts", "all", "MX"), steered("txt", "hosts", "all", "TXT"),
				steered("ways", "ways", "all", "A", "AAAA", "HTTPS"), steered("_8443._https.ways", "ways", "all", "SVCB"),
				alias("al.static", "eu"), alias("al.alias", "al.out"), alias("*.al.wild", "al.steered"), alias("al.steered", "www"), alias("al.cname", "tonear"), alias("al.out", "known.test."),
				alias("al.unknown", "unknown.test."), alias("al.choice", "c"), alias("al.self", "self"), alias("al.dname", "eu.d"),
				alias("al.closed", "host.closed.example."), alias("al.cut", "x.child"), record("child", "NS", "ns.elsewhere.test."),
				record("d", "DNAME", "k.example."), record("d2", "DNAME", "d"), record("dlong", "DNAME", long+"k.example."), record("dout", "DNAME", "far.test."),
				{Owner: "who", Whoami: true, Steer: &zone.SteerSpec{Service: "web", Policy: "near"}}, {Owner: "plain", Whoami: true},
			},
		},
		{
			Name: "closed.example", NS: []string{"ns.elsewhere.test."}, SOA: soa, Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
			Records: []zone.RecordSpec{record("host", "A", "192.0.2.66")},
		},
		{
			Name: "open.example", NS: []string{"ns.elsewhere.test."}, SOA: soa,
			Records: []zone.RecordSpec{record("toclosed", "CNAME", "host.closed.example.")},
		},
	}
}

// kindSnapshot returns the world of the other tests, and that of kindServices and kindZones.
func kindSnapshot(t testing.TB) *registry.Snapshot {
	t.Helper()
	spec := testPolicySpec()
	spec.Services = append(spec.Services, kindServices()...)
	geo := spec.Policies[0].Stages[1]
	spec.Policies = append(spec.Policies, policy.PolicySpec{Name: "ranked", Stages: []policy.StageSpec{policy.Healthy{}, geo}})
	plan, problems := policy.Compile(spec)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	zones, problems := zone.Compile(append(testZones(), kindZones()...), plan)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	known, err := wire.ParseName("known.test")
	if err != nil {
		t.Fatal(err)
	}
	return &registry.Snapshot{
		Gen: 1, World: registry.World{Plan: plan, Zones: zones}, Health: policy.NewHealth(plan.NumEndpoints()),
		Outside: zone.NewOutside([]zone.OutsideSet{
			{Name: known, Type: wire.TypeA, Set: &wire.RRset{Type: wire.TypeA, TTL: 20, RData: [][]byte{{203, 0, 113, 9}}}},
			{Name: known, Type: wire.TypeAAAA},
		}),
	}
}
