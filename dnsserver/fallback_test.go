package dnsserver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// mannerWorld has the services web, of two endpoints with all that types want, spare with one of both families, and last with one of IPv4
// alone; the policies near and site, whose scopes are long, and half, which wants half of all to be up.
func mannerSnapshot(t testing.TB, verdicts string, records ...zone.RecordSpec) *registry.Snapshot {
	t.Helper()
	endpoint := func(name, site string, v4, v6 string) policy.EndpointSpec {
		e := policy.EndpointSpec{Name: name, Site: site, Port: 443, Weight: 1, Host: name + ".hosts.test", Text: name, V4: netip.MustParseAddr(v4)}
		if v6 != "" {
			e.V6 = netip.MustParseAddr(v6)
		}
		return e
	}
	near := policy.Geo{Rules: []policy.GeoRule{{Region: "america", To: policy.GeoTarget{Sites: []string{"us"}}}}, Default: policy.GeoTarget{Sites: []string{"eu"}}}
	plan, problems := policy.Compile(policy.Spec{
		Sites: []policy.SiteSpec{{Name: "eu", Region: "europe"}, {Name: "us", Region: "america"}},
		Networks: []policy.NetworkSpec{
			{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Site: "eu"}, {Prefix: netip.MustParsePrefix("198.51.100.0/24"), Site: "us"},
		},
		Services: []policy.ServiceSpec{
			{Name: "web", Endpoints: []policy.EndpointSpec{endpoint("w1", "eu", "192.0.2.1", "2001:db8::1"), endpoint("w2", "us", "192.0.2.2", "2001:db8::2")}},
			{Name: "spare", Endpoints: []policy.EndpointSpec{endpoint("s1", "eu", "192.0.2.11", "2001:db8::11"), endpoint("s2", "us", "192.0.2.12", "2001:db8::12")}},
			{Name: "last", Endpoints: []policy.EndpointSpec{endpoint("l1", "eu", "192.0.2.21", "")}},
		},
		Policies: []policy.PolicySpec{
			{Name: "near", Stages: []policy.StageSpec{policy.Healthy{}, near, policy.Take{N: 1}}},
			{Name: "all", Stages: []policy.StageSpec{policy.Healthy{}}},
			{Name: "closed", Stages: []policy.StageSpec{policy.Healthy{Closed: true}}},
			{Name: "most", Stages: []policy.StageSpec{policy.Healthy{Threshold: 0.6}}},
		},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	zones, problems := zone.Compile([]zone.Spec{{Name: "m.example", NS: []string{"ns.elsewhere.test."}, SOA: zone.SOASpec{Minimum: 60}, Records: records}}, plan)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	health := policy.NewHealth(plan.NumEndpoints())
	for _, word := range strings.Fields(verdicts) {
		name, ttl, _ := strings.Cut(word, "/")
		v := policy.Verdict{State: policy.Down}
		if ttl != "" {
			fmt.Sscan(ttl, &v.TTL)
		}
		for id := range policy.EndpointID(plan.NumEndpoints()) {
			if strings.HasSuffix(plan.Endpoint(id).Name, "/"+name) {
				health = health.With(id, v)
			}
		}
	}
	return &registry.Snapshot{Gen: 1, World: registry.World{Plan: plan, Zones: zones}, Health: health}
}

// allTypes are those that a service can answer, in sets that may stand at one name.
var allTypes = []string{"A", "AAAA", "SRV", "HTTPS", "SVCB", "TXT", "MX"}

func mannered(s zone.SteerSpec) zone.RecordSpec {
	if s.Service == "" {
		s.Service = "web"
	}
	if s.Policy == "" {
		s.Policy = "all"
	}
	if s.Types == nil {
		s.Types = allTypes
	}
	return zone.RecordSpec{Owner: "www", TTL: 30, Steer: &s}
}

// brief renders the data of the answer section, and what a negative answer has.
func brief(r *dns.Msg) string {
	var out []string
	for _, rr := range r.Answer {
		out = append(out, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	for _, rr := range r.Ns {
		out = append(out, fmt.Sprint(dns.TypeToString[rr.Header().Rrtype], " ", rr.Header().Ttl))
	}
	if o := r.IsEdns0(); o != nil {
		for _, e := range o.Option {
			if e, ok := e.(*dns.EDNS0_EDE); ok {
				out = append(out, fmt.Sprint("EDE ", e.InfoCode))
			}
		}
	}
	return strings.Join(out, ", ")
}

// TestFail: what is answered when too little is up, of A, and of all other types in the same way.
func TestFail(t *testing.T) {
	const both, main = "192.0.2.1, 192.0.2.2", "w1 w2"
	to := func(names ...string) (list []zone.FallbackSpec) {
		for _, n := range names {
			s, p, _ := strings.Cut(n, "/")
			list = append(list, zone.FallbackSpec{Service: s, Policy: p})
		}
		return list
	}
	for _, tt := range []struct {
		name   string
		steer  zone.SteerSpec
		down   string
		answer string
		reason policy.Reason
	}{
		{"by default open", zone.SteerSpec{}, main, both, policy.ReasonFailOpen},
		{"open", zone.SteerSpec{Fail: zone.FailOpen}, main, both, policy.ReasonFailOpen},
		{"open against the policy", zone.SteerSpec{Fail: zone.FailOpen, Policy: "closed"}, main, both, policy.ReasonFailOpen},
		{"closed by the policy", zone.SteerSpec{Policy: "closed"}, main, "SOA 60, EDE 23", policy.ReasonFailClosed},
		{"closed", zone.SteerSpec{Fail: zone.FailClosed}, main, "SOA 60, EDE 23", policy.ReasonFailClosed},
		{"closed, for no longer than that is sure", zone.SteerSpec{Fail: zone.FailClosed}, "w1/7 w2/9", "SOA 7, EDE 23", policy.ReasonFailClosed},
		{"closed, one is up", zone.SteerSpec{Fail: zone.FailClosed}, "w1", "192.0.2.2", policy.ReasonStatic},
		{"closed, less than is wanted is up", zone.SteerSpec{Fail: zone.FailClosed, Policy: "most"}, "w1", "192.0.2.2", policy.ReasonStatic},
		{"a fallback that is not needed", zone.SteerSpec{Fallbacks: to("spare/all")}, "w1", "192.0.2.2", policy.ReasonStatic},
		{"a fallback", zone.SteerSpec{Fallbacks: to("spare/all")}, main, "192.0.2.11, 192.0.2.12", policy.ReasonFallback},
		{"a fallback, before failing closed", zone.SteerSpec{Fail: zone.FailClosed, Fallbacks: to("spare/all")}, main, "192.0.2.11, 192.0.2.12", policy.ReasonFallback},
		{"a fallback, less than is wanted is up", zone.SteerSpec{Policy: "most", Fallbacks: to("spare/all")}, "w1", "192.0.2.11, 192.0.2.12", policy.ReasonFallback},
		{"a fallback by its own policy", zone.SteerSpec{Fallbacks: to("spare/near")}, main, "192.0.2.11", policy.ReasonFallback},
		{"the second fallback", zone.SteerSpec{Fallbacks: to("spare/all", "last/all")}, main + " s1 s2", "192.0.2.21", policy.ReasonFallback},
		{"nothing at all, open", zone.SteerSpec{Fallbacks: to("spare/all", "last/all")}, main + " s1 s2 l1", both, policy.ReasonFailOpen},
		{"nothing at all, closed", zone.SteerSpec{Fail: zone.FailClosed, Fallbacks: to("spare/all", "last/all")}, main + " s1/5 s2 l1", "SOA 5, EDE 23", policy.ReasonFailClosed},
		{"nothing at all, as the policy says", zone.SteerSpec{Policy: "closed", Fallbacks: to("spare/all")}, main + " s1 s2", "SOA 60, EDE 23", policy.ReasonFailClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := mannerSnapshot(t, tt.down, mannered(tt.steer))
			a := testAnswerer(s, TCP)
			r := answer(t, a, query("www.m.example", dns.TypeA, edns))
			if got := brief(r); got != tt.answer || a.decided.Reason != tt.reason {
				t.Errorf("%s, %v; want %s, %v", got, a.decided.Reason, tt.answer, tt.reason)
			}
			whole := len(r.Answer)
			for _, name := range allTypes {
				qtype := dns.StringToType[name]
				r := answer(t, a, query("www.m.example", qtype, edns))
				fewer := (qtype == dns.TypeAAAA) && strings.Contains(tt.answer, "192.0.2.21")
				if fewer && (len(r.Answer) > 0 || brief(r) != "SOA 60") || !fewer && len(r.Answer) != whole || a.decided.Reason != tt.reason {
					t.Errorf("%s: %s, %v", name, brief(r), a.decided.Reason)
				}
			}
		})
	}
}

// A steered CNAME falls back, too, and what an ALIAS leads to.
func TestFailOfAliases(t *testing.T) {
	spare := []zone.FallbackSpec{{Service: "spare", Policy: "all"}}
	cname := mannered(zone.SteerSpec{Types: []string{"CNAME"}, Fallbacks: spare})
	cname.Owner = "cname"
	flat := zone.RecordSpec{Owner: "flat", Alias: "www"}
	closed := zone.RecordSpec{Owner: "none", Alias: "closed"}
	target := mannered(zone.SteerSpec{Fail: zone.FailClosed})
	target.Owner = "closed"
	s := mannerSnapshot(t, "w1/8 w2", cname, mannered(zone.SteerSpec{Fallbacks: spare}), flat, target, closed)
	for name, want := range map[string]string{
		"cname": "s1.hosts.test.", "flat": "192.0.2.11, 192.0.2.12", "none": "SOA 8, EDE 23", "closed": "SOA 8, EDE 23",
	} {
		if got := brief(answer(t, testAnswerer(s, UDP), query(name+".m.example", dns.TypeA, edns))); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// A service without endpoints for a type answers it with nothing while it works for others, and gives way with them; what is not answered
// is kept no longer than health is sure to hold.
func TestFallbackOfOtherFamilies(t *testing.T) {
	for _, tt := range []struct{ down, a, aaaa string }{
		{"", "192.0.2.21", "SOA 60"},
		{"w1/3 w2/3 s1/3", "192.0.2.21", "SOA 60"}, // of no account
		{"l1/7", "192.0.2.11, 192.0.2.12", "2001:db8::11, 2001:db8::12"},
		{"l1/7 s1 s2/9", "SOA 7, EDE 23", "SOA 7"},
	} {
		s := mannerSnapshot(t, tt.down, mannered(zone.SteerSpec{Service: "last", Fail: zone.FailClosed, Fallbacks: []zone.FallbackSpec{{Service: "spare", Policy: "all"}}}))
		for qtype, want := range map[uint16]string{dns.TypeA: tt.a, dns.TypeAAAA: tt.aaaa} {
			if got := brief(answer(t, testAnswerer(s, UDP), query("www.m.example", qtype, edns))); got != want {
				t.Errorf("down %q, type %s: %s, want %s", tt.down, dns.TypeToString[qtype], got, want)
			}
		}
	}
	s := mannerSnapshot(t, "w1/7 w2", mannered(zone.SteerSpec{Fallbacks: []zone.FallbackSpec{{Service: "last", Policy: "all"}}}))
	if got := brief(answer(t, testAnswerer(s, UDP), query("www.m.example", dns.TypeAAAA, edns))); got != "SOA 7" {
		t.Errorf("AAAA of a fallback without: %s, want it no longer than the service is sure to be down", got)
	}
}

// The scope is that of the service and its fallbacks together, whatever is up; and of what is withheld, too.
func TestScopeOfFallbacks(t *testing.T) {
	spare := []zone.FallbackSpec{{Service: "spare", Policy: "near"}, {Service: "last", Policy: "all"}}
	own := zone.SteerSpec{Policy: "near", Fallbacks: []zone.FallbackSpec{{Service: "last", Policy: "all"}}}
	for _, steer := range []zone.SteerSpec{own, {Fallbacks: spare}, {Policy: "near", Fail: zone.FailClosed}, {Fail: zone.FailClosed, Fallbacks: spare}} {
		for _, down := range []string{"", "w1", "w1 w2", "w1 w2 s1", "w1 w2 s1 s2", "w1 w2 s1 s2 l1"} {
			s := mannerSnapshot(t, down, mannered(steer))
			for client, want := range map[string]uint8{"198.51.100.0/24": 24, "198.51.101.0/24": 24, "2001:db8::/48": 1} {
				r := answer(t, testAnswerer(s, UDP), query("www.m.example", dns.TypeA, subnet(client)))
				want := want
				if client[0] == '2' {
					want = apart(netip.MustParseAddr("2001:db8::"))
				}
				if got := subnetOf(r).SourceScope; got != want {
					t.Errorf("%+v, down %q: scope %d for %s, want %d", steer, down, got, client, want)
				}
			}
		}
	}
}

// TestJitter: TTLs are drawn evenly from the share below the record's, one for all records of a set, and health shortens them first.
func TestJitter(t *testing.T) {
	for _, tt := range []struct {
		ttl, health uint32
		percent     int
		low, high   uint32
	}{
		{30, 0, 10, 27, 30}, {30, 10, 10, 9, 10}, {1, 0, 90, 1, 1}, {3, 0, 90, 1, 3}, {30, 0, 0, 30, 30}, {100, 0, 1, 99, 100}, {1 << 30, 0, 90, 1<<30 - (1<<30)/10*9, 1 << 30},
	} {
		r := mannered(zone.SteerSpec{Jitter: tt.percent, Types: []string{"A"}})
		r.TTL = tt.ttl
		verdicts := ""
		if tt.health > 0 {
			verdicts = fmt.Sprintf("w1/%d", tt.health)
		}
		s := mannerSnapshot(t, verdicts, r)
		dice := uint64(0)
		a := testAnswerer(s, UDP)
		a.Dice = func() uint64 { dice += 0x9e3779b97f4a7c15; return dice }
		seen := map[uint32]int{}
		for range 4000 {
			r := answer(t, a, query("www.m.example", dns.TypeA))
			ttl := r.Answer[0].Header().Ttl
			if slices.ContainsFunc(r.Answer, func(rr dns.RR) bool { return rr.Header().Ttl != ttl }) {
				t.Fatalf("several TTLs in one set: %v", r.Answer)
			}
			seen[ttl]++
			if ttl > tt.high || tt.high < 1000 && ttl < tt.low {
				t.Fatalf("TTL %d of %+v", ttl, tt)
			}
		}
		if n := int(tt.high - tt.low + 1); n < 1000 {
			for ttl := tt.low; ttl <= tt.high; ttl++ {
				if got, want := seen[ttl], 4000/n; got < want*9/10 || got > want*11/10 {
					t.Errorf("%+v: TTL %d %d times, want some %d", tt, ttl, got, want)
				}
			}
		}
	}
}

// What an Answerer does in a manner of its own allocates nothing.
func TestMannerAllocatesNothing(t *testing.T) {
	s := mannerSnapshot(t, "w1/9 w2", mannered(zone.SteerSpec{Jitter: 10, Fallbacks: []zone.FallbackSpec{{Service: "spare", Policy: "near"}, {Service: "last", Policy: "all"}}}))
	a := testAnswerer(s, UDP)
	msg, buf := pack(t, query("www.m.example", dns.TypeA, subnet("198.51.100.0/24"))), make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() { a.Answer(buf, msg, resolver, 1232) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// The explanation says who was passed over, and why.
func TestExplainManner(t *testing.T) {
	fall := zone.SteerSpec{Jitter: 10, Fallbacks: []zone.FallbackSpec{{Service: "spare", Policy: "all"}, {Service: "last", Policy: "all"}}}
	for _, tt := range []struct {
		steer    zone.SteerSpec
		down     string
		qtype    uint16
		fallback string
		tried    string
		notes    []string
	}{
		{fall, "w1", dns.TypeA, "", "", []string{"27 s at the least"}},
		{fall, "w1 w2", dns.TypeA, "spare", "web", []string{"not enough of service web is up, so service spare answers for it"}},
		{fall, "w1 w2 s1 s2", dns.TypeA, "last", "web spare", []string{"not enough of service spare is up"}},
		{fall, "w1 w2 s1 s2", dns.TypeAAAA, "last", "web spare", []string{"service last has no endpoint that answers type AAAA"}},
		{fall, "w1 w2 s1 s2 l1", dns.TypeA, "", "web spare last", []string{"nor of what it falls back on", "every endpoint counts as up"}},
		{zone.SteerSpec{Fail: zone.FailClosed}, "w1 w2", dns.TypeA, "", "", []string{"fails closed"}},
	} {
		s := mannerSnapshot(t, tt.down, mannered(tt.steer))
		name, err := wire.ParseName("www.m.example")
		if err != nil {
			t.Fatal(err)
		}
		x := Explain(s, Question{Name: name, Type: tt.qtype})
		tried := ""
		for _, tr := range x.Tried {
			tried += tr.Service + " "
			if len(tr.Endpoints) > 0 || tr.Reason != "fail_closed" {
				t.Errorf("down %s: tried %+v", tt.down, tr)
			}
		}
		if x.Service != "web" || x.Fallback != tt.fallback || strings.TrimSpace(tried) != tt.tried {
			t.Errorf("down %s: service %s, fallback %q, tried %q", tt.down, x.Service, x.Fallback, tried)
		}
		for _, want := range tt.notes {
			if notes := strings.Join(x.Notes, "\n"); !strings.Contains(notes, want) {
				t.Errorf("down %s: notes %q, want %q", tt.down, notes, want)
			}
		}
	}
}
