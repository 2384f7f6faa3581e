package dnsserver

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// kindNegative is the SOA of k.example in negative answers.
const kindNegative = "ns k.example. 10 SOA ns.elsewhere.test. hostmaster.k.example. 7 3600 600 604800 10"

// A kindTest asks a name of k.example, as a client in America unless it says otherwise.
type kindTest struct {
	name, qname string
	qtype       uint16
	want        string
}

// europe and america are clients.
var (
	europe  = netip.MustParseAddrPort("192.0.2.200:4444")
	america = netip.MustParseAddrPort("198.51.100.200:4444")
)

func runKinds(t *testing.T, from netip.AddrPort, tests []kindTest) {
	t.Helper()
	s := kindSnapshot(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := strings.TrimPrefix(tt.qname+".k.example", "@.")
			if got := show(answerFrom(t, testAnswerer(s, TCP), query(name, tt.qtype), from)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			a, buf := testAnswerer(s, UDP), make([]byte, 0, 2048)
			msg := pack(t, query(name, tt.qtype, subnet("198.51.100.0/24")))
			if n := testing.AllocsPerRun(50, func() { a.Answer(buf, msg, from, 1232) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// TestSteeredCNAME: a policy chooses where a name leads.
func TestSteeredCNAME(t *testing.T) {
	runKinds(t, america, []kindTest{
		{"to a name of ours", "c", dns.TypeA, lines("NOERROR aa", "an c.k.example. 30 CNAME us.k.example.", "an us.k.example. 300 A 198.51.100.10")},
		{"without such data at its end", "c", dns.TypeMX, lines("NOERROR aa", "an c.k.example. 30 CNAME us.k.example.", kindNegative)},
		{"itself", "c", dns.TypeCNAME, lines("NOERROR aa", "an c.k.example. 30 CNAME us.k.example.")},
		{"ANY", "c", dns.TypeANY, lines("NOERROR aa", "an c.k.example. 30 CNAME us.k.example.")},
		{"outside", "c.far", dns.TypeAAAA, lines("NOERROR aa", "an c.far.k.example. 30 CNAME www.far.test.")},
		{"on through a static one", "c.chain", dns.TypeA, lines("NOERROR aa", "an c.chain.k.example. 30 CNAME cname.k.example.",
			"an cname.k.example. 300 CNAME eu.k.example.", "an eu.k.example. 300 A 192.0.2.10")},
		{"to what does not exist", "c.missing", dns.TypeA, lines("NXDOMAIN aa", "an c.missing.k.example. 30 CNAME nx.k.example.", kindNegative)},
		{"to itself", "self", dns.TypeA, lines("NOERROR aa", "an self.k.example. 30 CNAME self.k.example.")},
	})
}

// TestSteeredSRV: weights, ports, and the tiers of the policy as priorities.
func TestSteeredSRV(t *testing.T) {
	runKinds(t, europe, []kindTest{
		{"tiers", "_s._tcp", dns.TypeSRV, lines("NOERROR aa", "an _s._tcp.k.example. 30 SRV 0 10 8443 eu.k.example.", "an _s._tcp.k.example. 30 SRV 1 30 443 us.k.example.")},
		{"weights beyond 16 bits", "_h._tcp", dns.TypeSRV, lines("NOERROR aa", "an _h._tcp.k.example. 30 SRV 0 32768 1 eu.k.example.", "an _h._tcp.k.example. 30 SRV 0 16384 2 us.k.example.",
			"an _h._tcp.k.example. 30 SRV 0 1 3 far.test.", "an _h._tcp.k.example. 30 SRV 0 1 4 far.test.")},
		{"ANY", "_s._tcp", dns.TypeANY, lines("NOERROR aa", "an _s._tcp.k.example. 30 SRV 0 10 8443 eu.k.example.", "an _s._tcp.k.example. 30 SRV 1 30 443 us.k.example.")},
		{"other types", "_s._tcp", dns.TypeA, lines("NOERROR aa", kindNegative)},
		{"no port", "_f._tcp", dns.TypeSRV, lines("NOERROR aa", kindNegative)},
	})
}

// TestSteeredMX and TXT: each host and text once, in the policy's order.
func TestSteeredMX(t *testing.T) {
	runKinds(t, europe, []kindTest{
		{"hosts", "mx", dns.TypeMX, lines("NOERROR aa", "an mx.k.example. 30 MX 10 eu.k.example.", "an mx.k.example. 30 MX 20 us.k.example.")},
	})
}

func TestSteeredTXT(t *testing.T) {
	runKinds(t, europe, []kindTest{
		{"texts", "txt", dns.TypeTXT, lines("NOERROR aa", `an txt.k.example. 30 TXT "eu"`, `an txt.k.example. 30 TXT "`+strings.Repeat("u", 255)+`" "`+strings.Repeat("u", 45)+`"`)},
	})
}

// TestSteeredSVCB: one record for each port, host and set of protocols, with the addresses behind it.
func TestSteeredSVCB(t *testing.T) {
	runKinds(t, europe, []kindTest{
		{"HTTPS", "ways", dns.TypeHTTPS, lines("NOERROR aa",
			`an ways.k.example. 30 HTTPS 1 . alpn="h2,http/1.1" port="443" ipv4hint="192.0.2.1,192.0.2.3" ipv6hint="2001:db8:1::1,2001:db8:2::3"`,
			`an ways.k.example. 30 HTTPS 2 . alpn="h2,http/1.1" port="8443" ipv4hint="192.0.2.2"`,
			`an ways.k.example. 30 HTTPS 3 . ipv4hint="192.0.2.4"`,
			`an ways.k.example. 30 HTTPS 4 us.k.example. port="443"`)},
		{"SVCB", "_8443._https.ways", dns.TypeSVCB, lines("NOERROR aa",
			`an _8443._https.ways.k.example. 30 SVCB 1 . alpn="h2,http/1.1" port="443" ipv4hint="192.0.2.1,192.0.2.3" ipv6hint="2001:db8:1::1,2001:db8:2::3"`,
			`an _8443._https.ways.k.example. 30 SVCB 2 . alpn="h2,http/1.1" port="8443" ipv4hint="192.0.2.2"`,
			`an _8443._https.ways.k.example. 30 SVCB 3 . ipv4hint="192.0.2.4"`,
			`an _8443._https.ways.k.example. 30 SVCB 4 us.k.example. port="443"`)},
		{"A", "ways", dns.TypeA, lines("NOERROR aa", "an ways.k.example. 30 A 192.0.2.1", "an ways.k.example. 30 A 192.0.2.2", "an ways.k.example. 30 A 192.0.2.3", "an ways.k.example. 30 A 192.0.2.4")},
	})
}

// TestOneDecision: the hints of HTTPS are what A and AAAA say, for every client, with the same scope.
func TestOneDecision(t *testing.T) {
	a := testAnswerer(kindSnapshot(t), UDP)
	for _, from := range []string{"192.0.2.0/24", "198.51.100.0/24", "2001:db8:1::/48", "2001:db8:2::/48", "8.8.8.0/24"} {
		ask := func(qtype uint16) *dns.Msg { return answer(t, a, query("www.k.example", qtype, subnet(from))) }
		https, v4, v6 := ask(dns.TypeHTTPS), ask(dns.TypeA), ask(dns.TypeAAAA)
		want := lines("", `1 . ipv4hint="`+v4.Answer[0].(*dns.A).A.String()+`" ipv6hint="`+v6.Answer[0].(*dns.AAAA).AAAA.String()+`"`)
		if got := show(https); len(https.Answer) != 1 || !strings.HasSuffix(got, strings.TrimPrefix(want, "\n")) {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
		if h, x, y := subnetOf(https), subnetOf(v4), subnetOf(v6); h.SourceScope != x.SourceScope || x.SourceScope != y.SourceScope {
			t.Errorf("%s: scopes %d, %d, %d", from, h.SourceScope, x.SourceScope, y.SourceScope)
		}
	}
}

// TestWorkingMemoryIsBounded: what is made for one answer is given back before the next.
func TestWorkingMemoryIsBounded(t *testing.T) {
	a := testAnswerer(kindSnapshot(t), UDP)
	grown := 0
	for round := range 100 {
		for _, q := range []*dns.Msg{query("txt.k.example", dns.TypeTXT), query("ways.k.example", dns.TypeHTTPS), query("x.d2.k.example", dns.TypeA)} {
			answer(t, a, q)
		}
		if n := cap(a.set.buf) + cap(a.names); round == 0 {
			grown = n
		} else if n != grown {
			t.Fatalf("round %d: %d bytes, %d after the first", round, n, grown)
		}
	}
}
