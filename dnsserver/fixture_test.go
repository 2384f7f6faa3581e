package dnsserver

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The world of the tests: two sites, each the place of a documentation network of either family; service web with an endpoint of
// both families at each, v4only, many, and none without endpoints.
func testPolicySpec() policy.Spec {
	prefix := netip.MustParsePrefix
	addr := netip.MustParseAddr
	many := policy.ServiceSpec{Name: "many"}
	for i := range 100 {
		many.Endpoints = append(many.Endpoints, policy.EndpointSpec{
			Name: fmt.Sprintf("m%d", i), V4: netip.AddrFrom4([4]byte{198, 18, 0, byte(i)}), Weight: 1,
		})
	}
	return policy.Spec{
		Sites: []policy.SiteSpec{{Name: "eu", Region: "europe"}, {Name: "us", Region: "america"}},
		Networks: []policy.NetworkSpec{
			{Prefix: prefix("192.0.2.0/24"), Site: "eu"}, {Prefix: prefix("198.51.100.0/24"), Site: "us"},
			{Prefix: prefix("2001:db8:1::/48"), Site: "eu"}, {Prefix: prefix("2001:db8:2::/48"), Site: "us"},
			{Prefix: prefix("10.0.0.0/8"), Site: "us"},
		},
		Services: []policy.ServiceSpec{
			{Name: "web", Endpoints: []policy.EndpointSpec{
				{Name: "eu-1", V4: addr("192.0.2.10"), V6: addr("2001:db8:1::10"), Site: "eu", Weight: 1},
				{Name: "us-1", V4: addr("198.51.100.10"), V6: addr("2001:db8:2::10"), Site: "us", Weight: 1},
			}},
			{Name: "v4only", Endpoints: []policy.EndpointSpec{
				{Name: "a", V4: addr("192.0.2.20"), Port: 80, Weight: 1}, {Name: "b", V4: addr("192.0.2.20"), Port: 81, Weight: 1},
			}},
			{Name: "v6only", Endpoints: []policy.EndpointSpec{{Name: "a", V6: addr("2001:db8::20"), Weight: 1}}},
			many,
			{Name: "none"},
		},
		Policies: []policy.PolicySpec{
			{Name: "near", Stages: []policy.StageSpec{
				policy.Healthy{},
				policy.Geo{Rules: []policy.GeoRule{
					{Region: "europe", To: policy.GeoTarget{Sites: []string{"eu", "us"}}},
					{Region: "america", To: policy.GeoTarget{Sites: []string{"us", "eu"}}},
				}, Default: policy.GeoTarget{Sites: []string{"eu", "us"}}},
				policy.Take{N: 1},
			}},
			{Name: "all", Stages: []policy.StageSpec{policy.Healthy{}}},
			{Name: "six", Stages: []policy.StageSpec{
				policy.Geo{
					Rules:   []policy.GeoRule{{Prefix: prefix("2001:db8:2::/48"), To: policy.GeoTarget{Sites: []string{"us"}}}},
					Default: policy.GeoTarget{Sites: []string{"eu"}},
				},
				policy.Take{N: 1},
			}},
		},
	}
}

// testZones are gslb.example, with every kind of data, and other.example.
func testZones() []zone.Spec {
	static := func(owner string, sets ...string) zone.RecordSpec {
		r := zone.RecordSpec{Owner: owner}
		for i := 0; i < len(sets); i += 2 {
			r.Static = append(r.Static, zone.StaticSpec{Type: sets[i], Values: strings.Split(sets[i+1], "|")})
		}
		return r
	}
	steered := func(owner, service, pol string) zone.RecordSpec {
		return zone.RecordSpec{Owner: owner, TTL: 30, Steer: &zone.SteerSpec{Service: service, Policy: pol}}
	}
	big := make([]string, 40)
	for i := range big {
		big[i] = fmt.Sprintf("%02d %s", i, strings.Repeat("x", 40))
	}
	return []zone.Spec{
		{
			Name: "gslb.example", NS: []string{"ns1", "ns2"}, SOA: zone.SOASpec{Minimum: 10, Serial: 7},
			Records: []zone.RecordSpec{
				static("ns1", "A", "192.0.2.53", "AAAA", "2001:db8::53"),
				static("ns2", "A", "198.51.100.53"),
				static("@", "MX", "10 mail", "TXT", "hello"),
				static("mail", "A", "192.0.2.25"),
				static("srv", "SRV", "1 2 443 mail"),
				static("caa", "CAA", `0 issue "ca.example"`),
				static("text", "TXT", "one|two", "AAAA", "2001:db8::7"),
				static("big", "TXT", strings.Join(big, "|")),
				static("raw", "TYPE65280", `\# 4 c0000201`),
				static("deep.down.ent", "A", "192.0.2.7"),
				static("*.wild", "A", "192.0.2.8"),
				static("*.wildalias", "CNAME", "www"),
				static("alias", "CNAME", "www"),
				static("alias2", "CNAME", "alias"),
				static("toother", "CNAME", "host.other.example."),
				static("tonowhere", "CNAME", "nx.other.example."),
				static("toempty", "CNAME", "ent"),
				static("outside", "CNAME", "www.elsewhere.test."),
				static("tocut", "CNAME", "www.sub"),
				static("sub", "NS", "ns.sub|ns.far.test.", "DS", "1 13 2 "+strings.Repeat("00", 32)),
				static("ns.sub", "A", "192.0.2.99", "AAAA", "2001:db8::99"),
				static("sibling", "NS", "ns.sub"),
				steered("www", "web", "near"),
				steered("all", "web", "all"),
				steered("six", "web", "six"), // one outcome for all IPv4 clients, two for those of IPv6
				steered("v4", "v4only", ""),
				steered("v6", "v6only", ""),
				steered("many", "many", "all"),
				steered("none", "none", ""),
				steered("*.app", "web", "near"),
				{Owner: "vary", Variants: []zone.RecordSpec{
					{When: &zone.ConditionSpec{Client: []netip.Prefix{netip.MustParsePrefix("198.51.0.0/17")}, Types: []string{"A"}}, Static: []zone.StaticSpec{{Type: "CNAME", Values: []string{"alias"}}}},
					{When: &zone.ConditionSpec{Resolver: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, Static: []zone.StaticSpec{{Type: "A", Values: []string{"192.0.2.200"}}}},
					{TTL: 20, Steer: &zone.SteerSpec{Service: "web", Policy: "near", Jitter: 10, Fallbacks: []zone.FallbackSpec{{Service: "many", Policy: "all"}}}},
				}},
				{Owner: "*.some", When: &zone.ConditionSpec{Client: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}}, Alias: "vary"},
				{Owner: "mixed", Static: []zone.StaticSpec{{Type: "TXT", Values: []string{"beside"}}}, Steer: &zone.SteerSpec{Service: "web", Policy: "near"}},
			},
		},
		{
			Name: "other.example", NS: []string{"ns1.gslb.example."}, SOA: zone.SOASpec{Minimum: 900}, TTL: 60,
			Records: []zone.RecordSpec{static("host", "A", "192.0.2.77"), static("child", "NS", "ns1.gslb.example.")},
		},
		{
			Name: "child.other.example", NS: []string{"ns1.gslb.example."},
			Records: []zone.RecordSpec{static("host", "A", "192.0.2.78")},
		},
	}
}

// testSnapshot returns the world with some endpoints' verdicts.
func testSnapshot(t testing.TB, verdicts map[string]policy.Verdict) *registry.Snapshot {
	t.Helper()
	plan, problems := policy.Compile(testPolicySpec())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	zones, problems := zone.Compile(testZones(), plan)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	health := policy.NewHealth(plan.NumEndpoints())
	for name, v := range verdicts {
		id, ok := plan.EndpointByName(name)
		if !ok {
			t.Fatalf("no endpoint %s", name)
		}
		health = health.With(id, v)
	}
	return &registry.Snapshot{Gen: 1, World: registry.World{Plan: plan, Zones: zones}, Health: health}
}

// testAnswerer returns an Answerer over a snapshot whose dice count up.
func testAnswerer(s *registry.Snapshot, transport Transport) *Answerer {
	dice := uint64(0)
	return NewAnswerer(AnswererOptions{
		Snapshot:  func() *registry.Snapshot { return s },
		Dice:      func() uint64 { dice++; return dice },
		Now:       func() int64 { return 1_800_000_000 },
		Transport: transport,
	})
}

// resolver is where the queries of the tests come from: nowhere in particular.
var resolver = netip.MustParseAddrPort("203.0.113.5:4444")

// query returns a query, changed by each edit.
func query(name string, rrtype uint16, edits ...func(*dns.Msg)) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), rrtype)
	m.Id = 0xbeef
	for _, edit := range edits {
		edit(m)
	}
	return m
}

// edns adds an OPT record.
func edns(m *dns.Msg) {
	if m.IsEdns0() == nil {
		m.SetEdns0(1232, false)
	}
}

// subnet adds a client subnet.
func subnet(prefix string) func(*dns.Msg) {
	return func(m *dns.Msg) {
		p := netip.MustParsePrefix(prefix)
		e := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 2, SourceNetmask: uint8(p.Bits()), Address: p.Addr().AsSlice()}
		if p.Addr().Is4() {
			e.Family = 1
		}
		edns(m)
		m.IsEdns0().Option = append(m.IsEdns0().Option, e)
	}
}

// pack returns the bytes of a message.
func pack(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	msg, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// answer answers a query and reads the response, after checking what holds of every response.
func answer(t testing.TB, a *Answerer, m *dns.Msg) *dns.Msg {
	t.Helper()
	return answerFrom(t, a, m, resolver)
}

func answerFrom(t testing.TB, a *Answerer, m *dns.Msg, from netip.AddrPort) *dns.Msg {
	t.Helper()
	limit := DefaultUDPSize
	if a.Transport == TCP {
		limit = maxMessage
	}
	out := a.Answer(nil, pack(t, m), from, limit)
	if len(out) == 0 {
		t.Fatal("no answer")
	}
	r := new(dns.Msg)
	if err := r.Unpack(out); err != nil {
		t.Fatalf("%v in %x", err, out)
	}
	if r.Id != m.Id || !r.Response || r.Opcode != m.Opcode || r.RecursionDesired != m.RecursionDesired || r.RecursionAvailable {
		t.Fatalf("header of %v", r)
	}
	return r
}

// show returns the sections of a response as one line each: "rcode flags", then answer, authority, additional without OPT.
func show(r *dns.Msg) string {
	var b strings.Builder
	b.WriteString(wire.RCode(r.Rcode).String())
	if r.Authoritative {
		b.WriteString(" aa")
	}
	if r.Truncated {
		b.WriteString(" tc")
	}
	section := func(name string, rrs []dns.RR) {
		for _, rr := range rrs {
			if rr.Header().Rrtype != dns.TypeOPT {
				fmt.Fprintf(&b, "\n%s %s", name, strings.ReplaceAll(strings.ReplaceAll(rr.String(), "\t", " "), " IN ", " "))
			}
		}
	}
	section("an", r.Answer)
	section("ns", r.Ns)
	section("ar", r.Extra)
	return b.String()
}

// lines joins what show would give.
func lines(s ...string) string { return strings.Join(s, "\n") }

func netipPort(a netip.AddrPort, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr(), port)
}
