package dnsserver

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// toldWhy is an Answerer over TCP that explains to a network.
func toldWhy(s *registry.Snapshot, transport Transport) *Answerer {
	a := testAnswerer(s, transport)
	a.ExplainFrom = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	return a
}

// texts are the strings of the only TXT record of an answer.
func texts(t *testing.T, r *dns.Msg) []string {
	t.Helper()
	if len(r.Answer) != 1 || r.Rcode != dns.RcodeSuccess || !r.Authoritative {
		t.Fatalf("%v", r)
	}
	return r.Answer[0].(*dns.TXT).Txt
}

func TestExplainByDNS(t *testing.T) {
	s := testSnapshot(t, map[string]policy.Verdict{"web/us-1": {State: policy.Down}, "web/eu-1": {State: policy.Up, TTL: 4}})
	a := toldWhy(s, TCP)
	for _, tt := range []struct {
		name string
		edit func(*dns.Msg)
		want string
	}{
		{"_explain.www.gslb.example", subnet("198.51.100.0/24"), "www.gslb.example. A: NOERROR, steered|service web, policy near, reason static|" +
			"client 198.51.100.0/24 by the client subnet: in network 198.51.100.0/24, at site us, region america|0 family: web/eu-1, web/us-1 down|" +
			"1 healthy: web/eu-1; not web/us-1 down|2 geo rule america: web/eu-1|3 take: web/eu-1|answer: www.gslb.example. 4 IN A 192.0.2.10|ttl: the record says 30 s|" +
			"ttl: the state of web/eu-1 (up) could change so that 4 s is the most|ttl: the least of these, and at least 1 s: 4 s|" +
			"scope: stage geo does the same for all of the /24 around the client|scope: the longest counts: 24|note: the TTL is 4 s instead of 30 s: the health of an endpoint could change by then"},
		{"_EXPLAIN.mail.gslb.example", edns, "mail.gslb.example. A: NOERROR, answer|answer: mail.gslb.example. 300 IN A 192.0.2.25"},
		{"_mx._explain.gslb.example", edns, "gslb.example. MX: NOERROR, answer|answer: gslb.example. 300 IN MX 10 mail.gslb.example."},
		{"_explain.nx.gslb.example", edns, "nx.gslb.example. A: NXDOMAIN, no such name|note: the closest name that exists is gslb.example."},
	} {
		r := answer(t, a, query(tt.name, dns.TypeTXT, tt.edit))
		if got := strings.Join(texts(t, r), "|"); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
		if ecs := tt.edit; strings.Contains(tt.want, "client subnet") && ecs != nil {
			if o := r.IsEdns0().Option[0].(*dns.EDNS0_SUBNET); o.SourceScope != 24 {
				t.Errorf("%s: scope %d", tt.name, o.SourceScope)
			}
		}
	}
}

// TestExplainByDNSForOthers: whoever is not in the networks, and every question that is none for an explanation, gets what it would get without the
// setting.
func TestExplainByDNSForOthers(t *testing.T) {
	s := testSnapshot(t, nil)
	without, with := testAnswerer(s, TCP), toldWhy(s, TCP)
	stranger := netip.MustParseAddrPort("203.0.114.5:4444")
	for _, q := range []struct {
		name   string
		rrtype uint16
		from   netip.AddrPort
	}{
		{"_explain.www.gslb.example", dns.TypeTXT, stranger}, {"_explain.www.gslb.example", dns.TypeA, resolver}, {"_explain.www.elsewhere.test", dns.TypeTXT, resolver},
		{"x._explain.www.gslb.example", dns.TypeTXT, resolver}, {"_nonsense._explain.www.gslb.example", dns.TypeTXT, resolver}, {"_explains.gslb.example", dns.TypeTXT, resolver},
		{"_.gslb.example", dns.TypeTXT, resolver}, {"www.gslb.example", dns.TypeTXT, resolver}, {"_explain", dns.TypeTXT, resolver}, {".", dns.TypeTXT, resolver},
	} {
		want := show(answerFrom(t, without, query(q.name, q.rrtype), q.from))
		if got := show(answerFrom(t, with, query(q.name, q.rrtype), q.from)); got != want || strings.Contains(got, "an ") {
			t.Errorf("%s %s from %s:\ngot  %s\nwant %s", q.name, dns.Type(q.rrtype), q.from, got, want)
		}
	}
	z := testZones()
	z[0].Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	zones, problems := zone.Compile(z, s.Plan)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	closed := *s
	closed.Zones = zones
	if r := answer(t, toldWhy(&closed, TCP), query("_explain.www.gslb.example", dns.TypeTXT)); r.Rcode != dns.RcodeRefused {
		t.Errorf("a zone that is not for this client: %v", r)
	}
}

// TestExplainByDNSOverUDP: whoever may be somebody else is told to come over TCP; a cookie is proof.
func TestExplainByDNSOverUDP(t *testing.T) {
	a := toldWhy(testSnapshot(t, nil), UDP)
	r := answer(t, a, query("_explain.www.gslb.example", dns.TypeTXT, edns))
	if !r.Truncated || len(r.Answer) != 0 || r.Rcode != dns.RcodeSuccess {
		t.Errorf("%v", r)
	}
	q := query("_explain.www.gslb.example", dns.TypeTXT, edns)
	q.IsEdns0().SetUDPSize(4096)
	q.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}}
	r = answer(t, a, q)
	var cookie string
	for _, o := range r.IsEdns0().Option {
		if c, ok := o.(*dns.EDNS0_COOKIE); ok {
			cookie = c.Cookie
		}
	}
	q.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie}}
	if r = answer(t, a, q); r.Truncated || len(r.Answer) != 1 {
		t.Errorf("with a good cookie: %v", r)
	}
}

// TestExplainByDNSIsBounded: however much there is to say, strings have at most 255 bytes, and all of them the bound.
func TestExplainByDNSIsBounded(t *testing.T) {
	spec := testPolicySpec()
	long := strings.Repeat("w", 60)
	for i := range 60 {
		var stages []policy.StageSpec
		for range 10 {
			stages = append(stages, policy.Healthy{}, policy.Weighted{Multi: true})
		}
		spec.Policies = append(spec.Policies, policy.PolicySpec{Name: fmt.Sprintf("%s%d", long, i), Stages: stages})
	}
	for i := range spec.Services[3].Endpoints {
		spec.Services[3].Endpoints[i].Name = fmt.Sprintf("%s%d", long, i)
	}
	plan, problems := policy.Compile(spec)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	z := testZones()
	for i := range z[0].Records {
		if z[0].Records[i].Owner == "many" {
			z[0].Records[i].Steer.Policy = long + "7"
		}
	}
	zones, problems := zone.Compile(z, plan)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	a := toldWhy(&registry.Snapshot{World: registry.World{Plan: plan, Zones: zones}, Health: policy.NewHealth(plan.NumEndpoints())}, TCP)
	list := texts(t, answer(t, a, query("_explain.many.gslb.example", dns.TypeTXT)))
	sum := 0
	for _, s := range list {
		sum += 1 + len(s)
		if len(s) > 255 {
			t.Errorf("%d bytes: %s", len(s), s)
		}
	}
	if sum > maxExplained || sum < maxExplained/2 || list[len(list)-1] != "more: meridian explain" {
		t.Errorf("%d bytes in %d strings, the last %q", sum, len(list), list[len(list)-1])
	}
	for in, want := range map[string]string{"abc": "abc", strings.Repeat("ü", 200): strings.Repeat("ü", 126) + "..."} {
		if got := cut(in, 255); got != want {
			t.Errorf("%d bytes became %d", len(in), len(got))
		}
	}
}

// TestExplainSubnet: a client subnet is sent as it is, and the resolver is who asks.
func TestExplainSubnet(t *testing.T) {
	s := testSnapshot(t, nil)
	name, _ := wire.ParseName("www.gslb.example")
	us := netip.MustParseAddr("198.51.100.9")
	for subnet, want := range map[string]string{
		"192.0.2.0/25": "the client subnet 192.0.2.10 6", "10.0.0.0/8": "the resolver's address 198.51.100.10 8", "0.0.0.0/0": "the resolver's address 198.51.100.10 0",
		"2002:c000:0200::/40": "the client subnet 192.0.2.10 22",
	} {
		x := Explain(s, Question{Name: name, Type: wire.TypeA, Resolver: us, Client: netip.MustParsePrefix(subnet)})
		_, addr, _ := strings.Cut(x.Answers[0], " A ")
		if got := fmt.Sprint(x.Located, " ", addr, " ", x.Scope); got != want || x.Client != netip.MustParsePrefix(subnet).String() || x.Resolver != us.String() {
			t.Errorf("%s: %s, want %s", subnet, got, want)
		}
	}
}

// TestExplainOdds: what is drawn is said with its odds, which are those of the weights; what is not drawn says nothing.
func TestExplainOdds(t *testing.T) {
	if x := explain(t, "www.gslb.example", dns.TypeA, "198.51.100.0/24", nil); x.Varies != nil || x.Odds != nil {
		t.Errorf("%v %v", x.Varies, x.Odds)
	}
	x := explain(t, "v4.gslb.example", dns.TypeA, "", nil)
	if len(x.Odds) != 2 || x.Odds[0].First < 0.47 || x.Odds[0].First > 0.53 || x.Odds[0].Listed != 1 || x.Odds[0].First+x.Odds[1].First != 1 || len(x.Varies) != 1 {
		t.Errorf("%v %v", x.Varies, x.Odds)
	}
}

// FuzzExplainedName: whatever a name is, it is about one that is valid.
func FuzzExplainedName(f *testing.F) {
	for _, name := range []string{"_explain.www.example", "_aaaa._explain.x", "_explain", "_._explain", "."} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := wire.ParseName(text)
		if err != nil {
			return
		}
		if about, _, ok := explained(n); ok {
			if again, err := wire.ParseName(about.String()); err != nil || string(again) != string(about) {
				t.Errorf("%s is about %s: %v", n, about, err)
			}
		}
	})
}
