package dnsserver

import (
	"bytes"
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

// viewSnapshot has a zone that is another for 10.0.0.0/8, the view inner; one that only it sees; and one that all see, which leads into both.
func viewSnapshot(t testing.TB) *registry.Snapshot {
	t.Helper()
	s := *mannerSnapshot(t, "")
	steered := func(owner, service string) zone.RecordSpec {
		return zone.RecordSpec{Owner: owner, TTL: 30, Steer: &zone.SteerSpec{Service: service, Policy: "near"}}
	}
	inner := func(z zone.Spec) zone.Spec {
		z.View = "inner"
		return z
	}
	zones, problems := zone.Compile([]zone.Spec{
		zoneOf("v.example", static("a", "A", "192.0.2.71"), steered("www", "web"), static("cut", "NS", "ns.elsewhere.test."), static("x.cut", "A", "192.0.2.79")),
		inner(zoneOf("v.example", static("a", "A", "10.0.0.1"), steered("www", "spare"), static("x.cut", "A", "10.0.0.2"), static("only", "A", "10.0.0.3"))),
		inner(zoneOf("secret.example", static("a", "A", "10.0.0.9"))),
		zoneOf("shared.example", static("c", "CNAME", "a.v.example."), static("s", "CNAME", "a.secret.example."), static("d", "DNAME", "v.example."),
			zone.RecordSpec{Owner: "al", Alias: "a.v.example."}, zone.RecordSpec{Owner: "as", Alias: "a.secret.example."}, static("plain", "A", "192.0.2.77"), zone.RecordSpec{Owner: "who", Whoami: true}),
	}, s.Plan, zone.ViewSpec{Name: "inner", Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s.Zones = zones
	return &s
}

// TestViews: the address that sends decides what is seen, and what a view has does not show in others: not through CNAME, DNAME or ALIAS,
// not below a delegation, not in denials. A client subnet decides nothing.
func TestViews(t *testing.T) {
	s := viewSnapshot(t)
	for _, c := range []struct{ name, out, in string }{
		{"a.v", "192.0.2.71", "10.0.0.1"},
		{"www.v", "192.0.2.1", "192.0.2.11"},
		{"only.v", "NXDOMAIN SOA 60", "10.0.0.3"},
		{"x.cut.v", "NS 300", "10.0.0.2"},
		{"a.secret", "REFUSED", "10.0.0.9"},
		{"secret", "REFUSED", "SOA 60"},
		{"c.shared", "a.v.example., 192.0.2.71", "a.v.example., 10.0.0.1"},
		{"s.shared", "a.secret.example.", "a.secret.example., 10.0.0.9"},
		{"a.d.shared", "v.example., a.v.example., 192.0.2.71", "v.example., a.v.example., 10.0.0.1"},
		{"al.shared", "192.0.2.71", "10.0.0.1"},
		{"as.shared", "SERVFAIL", "10.0.0.9"},
		{"plain.shared", "192.0.2.77", "192.0.2.77"},
	} {
		for from, want := range map[string]string{"192.0.2.9": c.out, "8.8.8.8": c.out, "2001:db8::9": c.out, "10.1.2.3": c.in, "::ffff:10.1.2.3": c.in, "fd00::1": c.in} {
			for _, ecs := range []string{"", "10.1.2.0/24", "192.0.2.0/24"} {
				q := query(c.name+".example", dns.TypeA)
				if ecs != "" {
					subnet(ecs)(q)
				}
				r := answerFrom(t, testAnswerer(s, UDP), q, netip.AddrPortFrom(netip.MustParseAddr(from), 53))
				got, _, _ := strings.Cut(brief(r), ", EDE")
				if got, _, _ = strings.Cut(got, "EDE"); r.Rcode != dns.RcodeSuccess {
					got = strings.TrimSpace(dns.RcodeToString[r.Rcode] + " " + got)
				}
				if got != want {
					t.Errorf("%s from %s, subnet %q: %s, want %s", c.name, from, ecs, got, want)
				}
			}
		}
	}
}

// The mirror names the view.
func TestWhoamiOfViews(t *testing.T) {
	s := viewSnapshot(t)
	for from, want := range map[string]bool{"192.0.2.9:53": false, "10.1.2.3:53": true} {
		r := answerFrom(t, testAnswerer(s, UDP), query("who.shared.example", dns.TypeTXT), netip.MustParseAddrPort(from))
		if got := brief(r); strings.Contains(got, `"view=inner"`) != want || strings.Contains(got, "view=") != want {
			t.Errorf("from %s: %s", from, got)
		}
	}
}

// Behind a proxy, the client that it names decides.
func TestViewsBehindProxy(t *testing.T) {
	s := viewSnapshot(t)
	a := testAnswerer(s, UDP)
	a.proxies = newProxies([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	proxy := netip.MustParseAddrPort("10.9.9.9:4444")
	for client, want := range map[string]string{"198.51.100.9:1234": "192.0.2.71", "10.1.1.1:1234": "10.0.0.1"} {
		out := a.Answer(nil, append(proxyFor(client), pack(t, query("a.v.example", dns.TypeA))...), proxy, 1232)
		var r dns.Msg
		if err := r.Unpack(out); err != nil || brief(&r) != want {
			t.Errorf("%s: %s, %v, want %s", client, brief(&r), err, want)
		}
	}
}

// A batch of messages from clients of several views is answered as one by one.
func TestBatchOfViews(t *testing.T) {
	s := viewSnapshot(t)
	alone, together := testAnswerer(s, UDP), testAnswerer(s, UDP)
	together.batch = make([]message, maxBatch)
	var msgs [][]byte
	var from []netip.AddrPort
	for i := range maxBatch {
		q := query([]string{"a.v", "www.v", "c.shared", "a.secret", "only.v"}[i%5]+".example", dns.TypeA, subnet("198.51.100.0/24"))
		q.Id = uint16(i)
		msgs = append(msgs, pack(t, q))
		from = append(from, netip.MustParseAddrPort([]string{"10.0.0.7:53", "192.0.2.9:53", "192.0.2.9:0"}[i/3%3]))
	}
	for n := range maxBatch + 1 {
		together.begin()
		for i := range n {
			together.read(i, msgs[i], from[i])
		}
		together.prepare(n)
		for i := range n {
			want := alone.Answer(nil, msgs[i], from[i], 1232)
			if got := together.reply(i, nil, 1232); !bytes.Equal(got, want) {
				t.Fatalf("batch of %d, message %d:\ngot  %x\nwant %x", n, i, got, want)
			}
		}
		together.end()
	}
}

// Zones and records of a view are counted apart from those of the same name elsewhere, and their numbers end with them.
func TestCountersOfViews(t *testing.T) {
	s := viewSnapshot(t)
	a := testAnswerer(s, UDP)
	ask := func(name, from string, times int) {
		for range times {
			answerFrom(t, a, query(name, dns.TypeA), netip.MustParseAddrPort(from))
		}
	}
	ask("www.v.example", "10.0.0.7:53", 3)
	ask("www.v.example", "192.0.2.9:53", 2)
	ask("plain.shared.example", "10.0.0.7:53", 1)
	got := sum(a)
	for key, want := range map[requestKey]uint64{
		{"udp", "ipv4", "A", owned{"inner", "v.example"}}: 3, {"udp", "ipv4", "A", owned{"", "v.example"}}: 2, {"udp", "ipv4", "A", owned{"", "shared.example"}}: 1,
	} {
		if got.requests[key] != want {
			t.Errorf("%v: %d, want %d", key, got.requests[key], want)
		}
	}
	for key, want := range map[answerKey]uint64{{owned{"inner", "www.v.example"}, "eu", "geo"}: 3, {owned{"", "www.v.example"}, "eu", "geo"}: 2} {
		if got.answers[key] != want {
			t.Errorf("%v: %d, want %d: %v", key, got.answers[key], want, got.answers)
		}
	}
	without := *s
	specs := []zone.Spec{zoneOf("v.example", zone.RecordSpec{Owner: "www", Steer: &zone.SteerSpec{Service: "web", Policy: "near"}})}
	zones, problems := zone.Compile(specs, s.Plan)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	without.Zones = zones
	a.Snapshot = func() *registry.Snapshot { return &without }
	a.renew()
	got = sum(a)
	if n := got.answers[answerKey{owned{"inner", "www.v.example"}, "eu", "geo"}]; n != 0 {
		t.Errorf("a record of no view has %d answers", n)
	}
	if n := got.answers[answerKey{owned{"", "www.v.example"}, "eu", "geo"}]; n != 2 {
		t.Errorf("%d answers are left, want 2", n)
	}
}

// Records with variants keep their numbers over reloads, too.
func TestCountersOfVariants(t *testing.T) {
	make := func() *registry.Snapshot {
		return mannerSnapshot(t, "", variedRecord(t, "x", "client 10.0.0.0/8|near", "|near"))
	}
	a := testAnswerer(make(), UDP)
	for i := range 3 {
		next := make()
		a.Snapshot = func() *registry.Snapshot { return next }
		answerFrom(t, a, query("x.m.example", dns.TypeA), netip.MustParseAddrPort("10.0.0.7:53"))
		answerFrom(t, a, query("x.m.example", dns.TypeA), netip.MustParseAddrPort("8.8.8.8:53"))
		if n := sum(a).answers[answerKey{owned{"", "x.m.example"}, "eu", policy.ReasonGeo.String()}]; n != uint64(2*i+2) {
			t.Errorf("after %d: %v", i+1, sum(a).answers)
		}
	}
}

// An explanation is of the view of the address, or the one that is named; what was asked of another is not there.
func TestExplainViews(t *testing.T) {
	s := viewSnapshot(t)
	for _, c := range []struct{ name, client, resolver, view, want string }{
		{"a.v", "", "", "", " NOERROR 192.0.2.71"},
		{"a.v", "10.1.2.3/32", "", "", "inner NOERROR 10.0.0.1"},
		{"a.v", "198.51.100.0/24", "10.0.0.1", "", "inner NOERROR 10.0.0.1"},
		{"a.v", "198.51.100.0/24", "", "", " NOERROR 192.0.2.71"},
		{"a.v", "", "", "inner", "inner NOERROR 10.0.0.1"},
		{"a.secret", "198.51.100.0/24", "", "inner", "inner NOERROR 10.0.0.9"},
		{"a.secret", "198.51.100.0/24", "", "", " REFUSED "},
		{"www.v", "198.51.100.0/24", "", "inner", "inner NOERROR 192.0.2.12"},
	} {
		name, err := wire.ParseName(c.name + ".example")
		if err != nil {
			t.Fatal(err)
		}
		q := Question{Name: name, Type: dns.TypeA, View: c.view}
		if c.client != "" {
			q.Client = netip.MustParsePrefix(c.client)
		}
		if c.resolver != "" {
			q.Resolver = netip.MustParseAddr(c.resolver)
		}
		x := Explain(s, q)
		var data []string
		for _, a := range x.Answers {
			data = append(data, a[strings.LastIndex(a, " ")+1:])
		}
		if got := fmt.Sprintf("%s %s %s", x.View, x.RCode, strings.Join(data, " ")); got != c.want {
			t.Errorf("%+v: %s, want %s", c, got, c.want)
		}
	}
	if !slices.Equal(s.Zones.Views(), []string{"inner"}) {
		t.Error(s.Zones.Views())
	}
}

// Views cost no allocation.
func TestViewsAllocateNothing(t *testing.T) {
	a := testAnswerer(viewSnapshot(t), UDP)
	msg, buf := pack(t, query("www.v.example", dns.TypeA, subnet("198.51.100.0/24"))), make([]byte, 0, 2048)
	inside := netip.MustParseAddrPort("10.0.0.7:53")
	a.Answer(buf, msg, inside, 1232)
	if n := testing.AllocsPerRun(100, func() { a.Answer(buf, msg, inside, 1232) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
