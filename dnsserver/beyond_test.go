package dnsserver

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// hostsSpec is the world of the tests with service cdn: by place, a host outside our zones or one of ours.
func hostsSpec() policy.Spec {
	spec := testPolicySpec()
	spec.Services = append(spec.Services, policy.ServiceSpec{Name: "cdn", Endpoints: []policy.EndpointSpec{
		{Name: "eu", Host: "eu.cdn.test", Site: "eu", Weight: 1},
		{Name: "us", Host: "us.b.example.", Site: "us", Weight: 1},
	}})
	return spec
}

// hostsSnapshot returns a snapshot of hostsSpec and zones.
func hostsSnapshot(t testing.TB, specs ...zone.Spec) *registry.Snapshot {
	t.Helper()
	plan, problems := policy.Compile(hostsSpec())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	zones, problems := zone.Compile(specs, plan)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return &registry.Snapshot{World: registry.World{Plan: plan, Zones: zones}, Health: policy.NewHealth(plan.NumEndpoints())}
}

func zoneOf(name string, records ...zone.RecordSpec) zone.Spec {
	return zone.Spec{Name: name, NS: []string{"ns.elsewhere.test."}, SOA: zone.SOASpec{Minimum: 60, Serial: 1}, Records: records}
}

func static(owner, rrtype, value string) zone.RecordSpec {
	return zone.RecordSpec{Owner: owner, Static: []zone.StaticSpec{{Type: rrtype, Values: strings.Split(value, "|")}}}
}

func steeredBy(owner, types string) zone.RecordSpec {
	return zone.RecordSpec{Owner: owner, TTL: 30, Steer: &zone.SteerSpec{Service: "cdn", Policy: "near", Types: strings.Split(types, " ")}}
}

// soaOf is the authority section of a negative answer from a zone of zoneOf, as show prints it.
func soaOf(zone, ttl string) string {
	return "ns " + zone + ". " + ttl + " SOA ns.elsewhere.test. hostmaster." + zone + ". 1 3600 600 604800 60"
}

// TestBeyondAliases: what ALIAS, CNAME and what a policy chooses lead to, through each other.
func TestBeyondAliases(t *testing.T) {
	s := hostsSnapshot(t,
		zoneOf("a.example",
			static("www", "CNAME", "b.example."), static("lost", "CNAME", "unknown.b.example.")),
		zoneOf("b.example",
			zone.RecordSpec{Owner: "@", Alias: "us"}, zone.RecordSpec{Owner: "app", Alias: "steered"}, zone.RecordSpec{Owner: "unknown", Alias: "www.nowhere.test."},
			static("us", "A", "192.0.2.1"), steeredBy("steered", "CNAME"), steeredBy("srv", "SRV HTTPS MX TXT")),
	)
	s.Outside = zone.NewOutside([]zone.OutsideSet{{Name: wire.Name("\x02eu\x03cdn\x04test\x00"), Type: wire.TypeA,
		Set: &wire.RRset{Type: wire.TypeA, TTL: 20, RData: [][]byte{{198, 51, 100, 7}}}}})
	const eu, us = "192.0.2.0/24", "198.51.100.0/24"
	for _, tt := range []struct {
		name, qname string
		qtype       uint16
		client      string
		want        string
		scope       uint8
	}{
		{"CNAME to an ALIAS of another zone", "www.a.example", dns.TypeA, eu, lines("NOERROR aa", "an www.a.example. 300 CNAME b.example.", "an b.example. 300 A 192.0.2.1"), 0},
		{"and without data there: the SOA of that zone", "www.a.example", dns.TypeAAAA, eu, lines("NOERROR aa", "an www.a.example. 300 CNAME b.example.", soaOf("b.example", "60")), 0},
		{"ALIAS, steered CNAME, outside", "app.b.example", dns.TypeA, eu, lines("NOERROR aa", "an app.b.example. 20 A 198.51.100.7"), 6},
		{"ALIAS, steered CNAME, ours", "app.b.example", dns.TypeA, us, lines("NOERROR aa", "an app.b.example. 30 A 192.0.2.1"), 24},
		{"no data there, for no longer than the way there holds", "app.b.example", dns.TypeAAAA, us, lines("NOERROR aa", soaOf("b.example", "30")), 24},
		{"nothing is known", "unknown.b.example", dns.TypeA, eu, "SERVFAIL aa", 0},
		{"nothing is known, after an alias", "lost.a.example", dns.TypeA, eu, lines("SERVFAIL aa", "an lost.a.example. 300 CNAME unknown.b.example."), 0},
		{"steered CNAME, ours", "steered.b.example", dns.TypeA, us, lines("NOERROR aa", "an steered.b.example. 30 CNAME us.b.example.", "an us.b.example. 300 A 192.0.2.1"), 24},
		{"steered CNAME, outside", "steered.b.example", dns.TypeTXT, eu, lines("NOERROR aa", "an steered.b.example. 30 CNAME eu.cdn.test."), 6},
	} {
		r := answer(t, testAnswerer(s, UDP), query(tt.qname, tt.qtype, subnet(tt.client)))
		if got := show(r); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
		if scope := r.IsEdns0().Option[0].(*dns.EDNS0_SUBNET).SourceScope; scope != tt.scope {
			t.Errorf("%s: scope %d, want %d", tt.name, scope, tt.scope)
		}
	}
}

// TestOutsideTargetsOfServices: what aliases need of names outside is known to be needed when a policy chooses among them, too.
func TestOutsideTargetsOfServices(t *testing.T) {
	s := hostsSnapshot(t, zoneOf("b.example", zone.RecordSpec{Owner: "@", Alias: "steered"}, steeredBy("steered", "CNAME"), static("us", "A", "192.0.2.1")))
	if got := s.Zones.OutsideTargets(s.Plan); len(got) != 1 || got[0].String() != "eu.cdn.test." {
		t.Errorf("%v", got)
	}
}

// TestNoTypeForANY: a name whose service has nothing that its types could say has no data, for ANY as for each of them.
func TestNoTypeForANY(t *testing.T) {
	s := snapshotOf(t, zoneOf("b.example", zone.RecordSpec{Owner: "srv", Steer: &zone.SteerSpec{Service: "web", Policy: "near", Types: []string{"SRV", "TXT", "MX"}}}))
	for _, qtype := range []uint16{dns.TypeANY, dns.TypeSRV, dns.TypeTXT, dns.TypeMX, dns.TypeA} {
		r := answer(t, testAnswerer(s, UDP), query("srv.b.example", qtype, subnet("192.0.2.0/24")))
		if got, want := show(r), lines("NOERROR aa", soaOf("b.example", "60")); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", dns.TypeToString[qtype], got, want)
		}
		if scope := r.IsEdns0().Option[0].(*dns.EDNS0_SUBNET).SourceScope; scope != 0 {
			t.Errorf("%s: scope %d", dns.TypeToString[qtype], scope)
		}
	}
}

// TestMirrorBeyondChoice: the scope of an alias that was chosen for a client stays, whatever the mirror at its end has to say.
func TestMirrorBeyondChoice(t *testing.T) {
	s := hostsSnapshot(t, zoneOf("b.example", steeredBy("steered", "CNAME"), zone.RecordSpec{Owner: "us", Whoami: true}))
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeMX} {
		r := answer(t, testAnswerer(s, UDP), query("steered.b.example", qtype, subnet("198.51.100.0/24")))
		if scope := r.IsEdns0().Option[0].(*dns.EDNS0_SUBNET).SourceScope; scope != 24 || len(r.Answer) == 0 {
			t.Errorf("%s: scope %d: %s", dns.TypeToString[qtype], scope, show(r))
		}
	}
}

// TestDNAMEsOfNestedZones: each DNAME on the way is in the answer, those of zones that lie in one another, too (RFC 6672 3.1).
func TestDNAMEsOfNestedZones(t *testing.T) {
	s := hostsSnapshot(t,
		zoneOf("x.example", static("@", "DNAME", "y.example.")),
		zoneOf("in.x.example", static("@", "DNAME", "other.x.example.")),
		zoneOf("y.example", static("a.other", "A", "192.0.2.1")))
	r := answer(t, testAnswerer(s, UDP), query("a.in.x.example", dns.TypeA))
	want := lines("NOERROR aa",
		"an in.x.example. 300 DNAME other.x.example.", "an a.in.x.example. 300 CNAME a.other.x.example.",
		"an x.example. 300 DNAME y.example.", "an a.other.x.example. 300 CNAME a.other.y.example.",
		"an a.other.y.example. 300 A 192.0.2.1")
	if got := show(r); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestSlipIsNoLarger: what says that there is more over TCP is no weapon, whatever the query asks to be told.
func TestSlipIsNoLarger(t *testing.T) {
	a, _ := limited(t, RateConfig{Rate: 1, Burst: 1}, UDP)
	a.NSID = strings.Repeat("n", maxNSID)
	msg := pack(t, query("mail.gslb.example", dns.TypeA, edns, func(m *dns.Msg) {
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
	}))
	from := netip.MustParseAddrPort("203.0.113.5:4444")
	for i := range 3 {
		out := a.Answer(nil, msg, from, DefaultUDPSize)
		if i > 0 && (len(out) > len(msg) || len(out) < 12 || out[2]&2 == 0) {
			t.Errorf("%d bytes for %d", len(out), len(msg))
		}
	}
}

// TestDNAMEOnce: a question for the DNAME itself, to which it leads back, has it once (RFC 2181 5).
func TestDNAMEOnce(t *testing.T) {
	s := hostsSnapshot(t, zoneOf("example.org", static("a", "DNAME", "example.org.")))
	r := answer(t, testAnswerer(s, UDP), query("a.a.example.org", dns.TypeDNAME))
	count := 0
	for _, rr := range r.Answer {
		if rr.Header().Rrtype == dns.TypeDNAME {
			count++
		}
	}
	if count != 1 || len(r.Answer) != 2 {
		t.Errorf("answer %v", r.Answer)
	}
}
