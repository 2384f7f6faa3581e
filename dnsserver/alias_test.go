package dnsserver

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// TestALIAS: addresses of another name as if they were a name's own.
func TestALIAS(t *testing.T) {
	runKinds(t, america, []kindTest{
		{"to a static name", "al.static", dns.TypeA, lines("NOERROR aa", "an al.static.k.example. 300 A 192.0.2.10")},
		{"without addresses of the family", "al.static", dns.TypeAAAA, lines("NOERROR aa", kindNegative)},
		{"other types", "al.static", dns.TypeTXT, lines("NOERROR aa", kindNegative)},
		{"to a steered name", "al.steered", dns.TypeAAAA, lines("NOERROR aa", "an al.steered.k.example. 30 AAAA 2001:db8:2::10")},
		{"through a CNAME, with the least TTL", "al.cname", dns.TypeA, lines("NOERROR aa", "an al.cname.k.example. 30 A 198.51.100.10")},
		{"through a CNAME that a policy chooses", "al.choice", dns.TypeA, lines("NOERROR aa", "an al.choice.k.example. 30 A 198.51.100.10")},
		{"through a DNAME", "al.dname", dns.TypeA, lines("NOERROR aa", "an al.dname.k.example. 300 A 192.0.2.10")},
		{"outside", "al.out", dns.TypeA, lines("NOERROR aa", "an al.out.k.example. 20 A 203.0.113.9")},
		{"outside, known to have none", "al.out", dns.TypeAAAA, lines("NOERROR aa", kindNegative)},
		{"outside, not known", "al.unknown", dns.TypeA, "SERVFAIL aa"},
		{"below a delegation of ours, not known", "al.cut", dns.TypeA, "SERVFAIL aa"},
		{"through another alias, outside", "al.alias", dns.TypeA, lines("NOERROR aa", "an al.alias.k.example. 20 A 203.0.113.9")},
		{"through another alias, outside, known to have none", "al.alias", dns.TypeAAAA, lines("NOERROR aa", kindNegative)},
		{"by a wildcard", "x.al.wild", dns.TypeA, lines("NOERROR aa", "an x.al.wild.k.example. 30 A 198.51.100.10")},
		{"into a circle", "al.self", dns.TypeA, "SERVFAIL aa"},
		{"of a zone that is not for this client", "al.closed", dns.TypeA, lines("NOERROR aa", "an al.closed.k.example. 300 A 192.0.2.66")},
		{"at the apex", "@", dns.TypeA, lines("NOERROR aa", "an k.example. 30 A 198.51.100.10")},
		{"beside MX", "@", dns.TypeMX, lines("NOERROR aa", "an k.example. 300 MX 10 mail.elsewhere.test.")},
		{"beside NS", "@", dns.TypeNS, lines("NOERROR aa", "an k.example. 300 NS ns.elsewhere.test.")},
		{"ANY is the addresses", "al.static", dns.TypeANY, lines("NOERROR aa", "an al.static.k.example. 300 A 192.0.2.10")},
		{"ANY, a steered name", "al.steered", dns.TypeANY, lines("NOERROR aa", "an al.steered.k.example. 30 A 198.51.100.10")},
	})
}

// TestALIASScope: the answer holds for those for whom that at its target does.
func TestALIASScope(t *testing.T) {
	a := testAnswerer(kindSnapshot(t), UDP)
	for name, want := range map[string]uint8{"www": 24, "al.steered": 24, "al.cname": 24, "al.choice": 24, "al.static": 0, "al.out": 0, "al.unknown": 0} {
		r := answer(t, a, query(name+".k.example", dns.TypeA, subnet("198.51.100.0/24")))
		if got := subnetOf(r).SourceScope; got != want {
			t.Errorf("%s: scope %d, want %d", name, got, want)
		}
	}
}

// TestDNAME: RFC 6672.
func TestDNAME(t *testing.T) {
	label := strings.Repeat("a", 60)
	fits := label + "." // with three labels of 60, k.example and this one: 4*61+10+1 = 255
	runKinds(t, america, []kindTest{
		{"below it: a CNAME of the same TTL", "eu.d", dns.TypeA, lines("NOERROR aa", "an d.k.example. 300 DNAME k.example.", "an eu.d.k.example. 300 CNAME eu.k.example.",
			"an eu.k.example. 300 A 192.0.2.10")},
		{"the CNAME itself", "eu.d", dns.TypeCNAME, lines("NOERROR aa", "an d.k.example. 300 DNAME k.example.", "an eu.d.k.example. 300 CNAME eu.k.example.")},
		{"through a second one", "us.d2", dns.TypeA, lines("NOERROR aa", "an d2.k.example. 300 DNAME d.k.example.", "an us.d2.k.example. 300 CNAME us.d.k.example.",
			"an d.k.example. 300 DNAME k.example.", "an us.d.k.example. 300 CNAME us.k.example.", "an us.k.example. 300 A 198.51.100.10")},
		{"to a name that does not exist", "nx.d", dns.TypeA, lines("NXDOMAIN aa", "an d.k.example. 300 DNAME k.example.", "an nx.d.k.example. 300 CNAME nx.k.example.", kindNegative)},
		{"outside", "x.dout", dns.TypeA, lines("NOERROR aa", "an dout.k.example. 300 DNAME far.test.", "an x.dout.k.example. 300 CNAME x.far.test.")},
		{"at its owner", "d", dns.TypeDNAME, lines("NOERROR aa", "an d.k.example. 300 DNAME k.example.")},
		{"other types at its owner", "d", dns.TypeA, lines("NOERROR aa", kindNegative)},
		{"255 bytes", fits + "dlong", dns.TypeCNAME, lines("NOERROR aa", "an dlong.k.example. 300 DNAME "+strings.Repeat(strings.Repeat("l", 60)+".", 3)+"k.example.",
			"an "+fits+"dlong.k.example. 300 CNAME "+fits+strings.Repeat(strings.Repeat("l", 60)+".", 3)+"k.example.")},
		{"256 bytes", "a" + fits + "dlong", dns.TypeA, lines("YXDOMAIN aa", "an dlong.k.example. 300 DNAME "+strings.Repeat(strings.Repeat("l", 60)+".", 3)+"k.example.")},
	})
}

// TestWhoami: what is seen of the client.
func TestWhoami(t *testing.T) {
	a := testAnswerer(kindSnapshot(t), UDP)
	a.Identity, a.Site = "dns-1", "dub"
	six := netip.MustParseAddrPort("[2001:db8:2::5]:53")
	const told = ` "server=dns-1" "here=dub"`
	for _, tt := range []struct {
		name, qname string
		qtype       uint16
		from        netip.AddrPort
		subnet      string
		want        string
		scope       uint8
	}{
		{"TXT", "who", dns.TypeTXT, america, "", `an who.k.example. 1 TXT "resolver=198.51.100.200" "port=4444" "transport=udp"` + told + ` "site=us" "reason=geo"`, 0},
		{"a client subnet", "who", dns.TypeTXT, america, "192.0.2.0/24", `an who.k.example. 1 TXT "resolver=198.51.100.200" "port=4444" "transport=udp" "subnet=192.0.2.0/24"` + told + ` "site=eu" "reason=geo"`, 24},
		{"no service", "plain", dns.TypeTXT, six, "", `an plain.k.example. 1 TXT "resolver=2001:db8:2::5" "port=53" "transport=udp"` + told, 0},
		{"no service, a subnet", "plain", dns.TypeANY, six, "10.0.0.0/8", `an plain.k.example. 1 TXT "resolver=2001:db8:2::5" "port=53" "transport=udp" "subnet=10.0.0.0/8"` + told, 8},
		{"A", "who", dns.TypeA, america, "", "an who.k.example. 1 A 198.51.100.200", 0},
		{"A over IPv6", "who", dns.TypeA, six, "192.0.2.0/24", kindNegative, 0},
		{"AAAA", "who", dns.TypeAAAA, six, "", "an who.k.example. 1 AAAA 2001:db8:2::5", 0},
		{"A of a mapped address", "who", dns.TypeA, netip.MustParseAddrPort("[::ffff:198.51.100.7]:9"), "", "an who.k.example. 1 A 198.51.100.7", 0},
		{"MX", "who", dns.TypeMX, america, "192.0.2.0/24", kindNegative, 0},
	} {
		q := query(tt.qname+".k.example", tt.qtype)
		if tt.subnet != "" {
			subnet(tt.subnet)(q)
		}
		r := answerFrom(t, a, q, tt.from)
		if got, want := show(r), lines("NOERROR aa", tt.want); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, want)
		}
		if s := subnetOf(r); s != nil && s.SourceScope != tt.scope {
			t.Errorf("%s: scope %d, want %d", tt.name, s.SourceScope, tt.scope)
		}
		buf, msg := make([]byte, 0, 2048), pack(t, q)
		if n := testing.AllocsPerRun(50, func() { a.Answer(buf, msg, tt.from, 1232) }); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

// TestAllow: a zone is for whom its list says, behind a CNAME too.
func TestAllow(t *testing.T) {
	a := testAnswerer(kindSnapshot(t), UDP)
	for _, tt := range []struct {
		qname string
		from  netip.AddrPort
		want  string
		ede   wire.EDE
	}{
		{"host.closed.example", europe, lines("NOERROR aa", "an host.closed.example. 300 A 192.0.2.66"), 0},
		{"host.closed.example", america, "REFUSED", wire.Prohibited},
		{"nx.closed.example", america, "REFUSED", wire.Prohibited},
		{"toclosed.open.example", europe, lines("NOERROR aa", "an toclosed.open.example. 300 CNAME host.closed.example.", "an host.closed.example. 300 A 192.0.2.66"), 0},
		{"toclosed.open.example", america, lines("NOERROR aa", "an toclosed.open.example. 300 CNAME host.closed.example."), 0},
	} {
		// A client subnet is a claim: it opens no zone.
		r := answerFrom(t, a, query(tt.qname, dns.TypeA, subnet("192.0.2.0/24")), tt.from)
		if got := show(r); got != tt.want || edeOf(r) != tt.ede {
			t.Errorf("%s from %s: EDE %d, %s\nwant EDE %d, %s", tt.qname, tt.from, edeOf(r), got, tt.ede, tt.want)
		}
	}
}
