package dnsserver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// negative is the authority section of negative answers from gslb.example, as show prints it.
const negative = "ns gslb.example. 10 SOA ns1.gslb.example. hostmaster.gslb.example. 7 3600 600 604800 10"

// TestAnswers shows every kind of answer from static data, sections in order.
func TestAnswers(t *testing.T) {
	tests := []struct {
		name, qname string
		qtype       uint16
		want        string
	}{
		{"A", "mail.gslb.example", dns.TypeA, lines("NOERROR aa", "an mail.gslb.example. 300 A 192.0.2.25")},
		{"a set of two", "text.gslb.example", dns.TypeTXT, lines("NOERROR aa", `an text.gslb.example. 300 TXT "one"`, `an text.gslb.example. 300 TXT "two"`)},
		{"SOA", "gslb.example", dns.TypeSOA, lines("NOERROR aa", "an gslb.example. 300 SOA ns1.gslb.example. hostmaster.gslb.example. 7 3600 600 604800 10")},
		{"NS, and their addresses", "gslb.example", dns.TypeNS, lines("NOERROR aa",
			"an gslb.example. 300 NS ns1.gslb.example.", "an gslb.example. 300 NS ns2.gslb.example.",
			"ar ns1.gslb.example. 300 A 192.0.2.53", "ar ns1.gslb.example. 300 AAAA 2001:db8::53", "ar ns2.gslb.example. 300 A 198.51.100.53")},
		{"MX", "gslb.example", dns.TypeMX, lines("NOERROR aa", "an gslb.example. 300 MX 10 mail.gslb.example.", "ar mail.gslb.example. 300 A 192.0.2.25")},
		{"SRV", "srv.gslb.example", dns.TypeSRV, lines("NOERROR aa", "an srv.gslb.example. 300 SRV 1 2 443 mail.gslb.example.", "ar mail.gslb.example. 300 A 192.0.2.25")},
		{"CAA", "caa.gslb.example", dns.TypeCAA, lines("NOERROR aa", `an caa.gslb.example. 300 CAA 0 issue "ca.example"`)},
		{"unknown type", "raw.gslb.example", 65280, lines("NOERROR aa", `an raw.gslb.example. 300 CLASS1 TYPE65280 \# 4 c0000201`)},
		{"static beside steered", "mixed.gslb.example", dns.TypeTXT, lines("NOERROR aa", `an mixed.gslb.example. 300 TXT "beside"`)},

		{"NODATA", "mail.gslb.example", dns.TypeAAAA, lines("NOERROR aa", negative)},
		{"NODATA at a steered name", "www.gslb.example", dns.TypeTXT, lines("NOERROR aa", negative)},
		{"NODATA at an empty non-terminal", "ent.gslb.example", dns.TypeA, lines("NOERROR aa", negative)},
		{"NODATA below an empty non-terminal", "down.ent.gslb.example", dns.TypeA, lines("NOERROR aa", negative)},
		{"NXDOMAIN", "nx.gslb.example", dns.TypeA, lines("NXDOMAIN aa", negative)},
		{"NXDOMAIN beside an empty non-terminal's child", "x.ent.gslb.example", dns.TypeA, lines("NXDOMAIN aa", negative)},
		{"the SOA's TTL is the lesser", "nx.other.example", dns.TypeA, lines("NXDOMAIN aa",
			"ns other.example. 60 SOA ns1.gslb.example. hostmaster.other.example. 1 3600 600 604800 900")},

		{"wildcard", "x.wild.gslb.example", dns.TypeA, lines("NOERROR aa", "an x.wild.gslb.example. 300 A 192.0.2.8")},
		{"wildcard, two labels", "y.x.wild.gslb.example", dns.TypeA, lines("NOERROR aa", "an y.x.wild.gslb.example. 300 A 192.0.2.8")},
		{"wildcard without the type", "x.wild.gslb.example", dns.TypeTXT, lines("NOERROR aa", negative)},
		{"the wildcard does not cover its parent", "wild.gslb.example", dns.TypeA, lines("NOERROR aa", negative)},
		{"the wildcard itself", "*.wild.gslb.example", dns.TypeA, lines("NOERROR aa", "an *.wild.gslb.example. 300 A 192.0.2.8")},

		{"CNAME asked for", "alias.gslb.example", dns.TypeCNAME, lines("NOERROR aa", "an alias.gslb.example. 300 CNAME www.gslb.example.")},
		{"CNAME across our zones", "toother.gslb.example", dns.TypeA, lines("NOERROR aa",
			"an toother.gslb.example. 300 CNAME host.other.example.", "an host.other.example. 60 A 192.0.2.77")},
		{"CNAME to a name that does not exist", "tonowhere.gslb.example", dns.TypeA, lines("NXDOMAIN aa",
			"an tonowhere.gslb.example. 300 CNAME nx.other.example.",
			"ns other.example. 60 SOA ns1.gslb.example. hostmaster.other.example. 1 3600 600 604800 900")},
		{"CNAME to a name without data", "toempty.gslb.example", dns.TypeA, lines("NOERROR aa", "an toempty.gslb.example. 300 CNAME ent.gslb.example.", negative)},
		{"CNAME out of our zones", "outside.gslb.example", dns.TypeA, lines("NOERROR aa", "an outside.gslb.example. 300 CNAME www.elsewhere.test.")},
		{"CNAME to a delegation", "tocut.gslb.example", dns.TypeA, lines("NOERROR aa", "an tocut.gslb.example. 300 CNAME www.sub.gslb.example.",
			"ns sub.gslb.example. 300 NS ns.sub.gslb.example.", "ns sub.gslb.example. 300 NS ns.far.test.",
			"ar ns.sub.gslb.example. 300 A 192.0.2.99", "ar ns.sub.gslb.example. 300 AAAA 2001:db8::99")},

		{"referral", "www.sub.gslb.example", dns.TypeA, lines("NOERROR",
			"ns sub.gslb.example. 300 NS ns.sub.gslb.example.", "ns sub.gslb.example. 300 NS ns.far.test.",
			"ar ns.sub.gslb.example. 300 A 192.0.2.99", "ar ns.sub.gslb.example. 300 AAAA 2001:db8::99")},
		{"referral at the cut, even for NS", "sub.gslb.example", dns.TypeNS, lines("NOERROR",
			"ns sub.gslb.example. 300 NS ns.sub.gslb.example.", "ns sub.gslb.example. 300 NS ns.far.test.",
			"ar ns.sub.gslb.example. 300 A 192.0.2.99", "ar ns.sub.gslb.example. 300 AAAA 2001:db8::99")},
		{"glue is not an answer", "ns.sub.gslb.example", dns.TypeA, lines("NOERROR",
			"ns sub.gslb.example. 300 NS ns.sub.gslb.example.", "ns sub.gslb.example. 300 NS ns.far.test.",
			"ar ns.sub.gslb.example. 300 A 192.0.2.99", "ar ns.sub.gslb.example. 300 AAAA 2001:db8::99")},
		{"DS belongs to the parent", "sub.gslb.example", dns.TypeDS, lines("NOERROR aa",
			"an sub.gslb.example. 300 DS 1 13 2 "+strings.Repeat("00", 32))},
		{"DS of a zone whose parent is ours", "child.other.example", dns.TypeDS, lines("NOERROR aa",
			"ns other.example. 60 SOA ns1.gslb.example. hostmaster.other.example. 1 3600 600 604800 900")},
		{"the longest zone", "host.child.other.example", dns.TypeA, lines("NOERROR aa", "an host.child.other.example. 300 A 192.0.2.78")},

		{"not ours", "www.elsewhere.test", dns.TypeA, "REFUSED"},
		{"the parent of ours", "example", dns.TypeSOA, "REFUSED"},
		{"the root", ".", dns.TypeNS, "REFUSED"},

		{"ANY: one set", "text.gslb.example", dns.TypeANY, lines("NOERROR aa", `an text.gslb.example. 300 TXT "one"`, `an text.gslb.example. 300 TXT "two"`)},
		{"ANY at an alias", "alias.gslb.example", dns.TypeANY, lines("NOERROR aa", "an alias.gslb.example. 300 CNAME www.gslb.example.")},
		{"ANY at an empty non-terminal", "ent.gslb.example", dns.TypeANY, lines("NOERROR aa", negative)},
		{"ANY at no name", "nx.gslb.example", dns.TypeANY, lines("NXDOMAIN aa", negative)},
		{"ANY at a steered name", "v4.gslb.example", dns.TypeANY, lines("NOERROR aa", "an v4.gslb.example. 30 A 192.0.2.20")},
		{"ANY at a steered name of the other family", "v6.gslb.example", dns.TypeANY, lines("NOERROR aa", "an v6.gslb.example. 30 AAAA 2001:db8::20")},
	}
	s := testSnapshot(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := answer(t, testAnswerer(s, UDP), query(tt.qname, tt.qtype))
			if got := show(r); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestANYIsSmall: ANY gets one set of several, over TCP too, so that it is no amplifier.
func TestANYIsSmall(t *testing.T) {
	r := answer(t, testAnswerer(testSnapshot(t, nil), TCP), query("gslb.example", dns.TypeANY))
	types := map[uint16]bool{}
	for _, rr := range r.Answer {
		types[rr.Header().Rrtype] = true
	}
	if len(types) != 1 {
		t.Errorf("sets of %d types", len(types))
	}
}

// TestRefusals: what is answered with a code and nothing else, whatever zone the name is in.
func TestRefusals(t *testing.T) {
	opcode := func(n int) func(*dns.Msg) { return func(m *dns.Msg) { m.Opcode = n } }
	class := func(n uint16) func(*dns.Msg) { return func(m *dns.Msg) { m.Question[0].Qclass = n } }
	version := func(m *dns.Msg) { edns(m); m.IsEdns0().SetVersion(1) }
	tests := []struct {
		name  string
		qtype uint16
		edits []func(*dns.Msg)
		want  int
		opt   bool
	}{
		{"AXFR", dns.TypeAXFR, nil, dns.RcodeRefused, false},
		{"IXFR", dns.TypeIXFR, nil, dns.RcodeRefused, false},
		{"OPT as a type", dns.TypeOPT, nil, dns.RcodeFormatError, false},
		{"NXNAME as a type", 128, nil, dns.RcodeFormatError, false},
		{"TSIG as a type", dns.TypeTSIG, nil, dns.RcodeNotImplemented, false},
		{"TKEY as a type", dns.TypeTKEY, nil, dns.RcodeNotImplemented, false},
		{"MAILA", dns.TypeMAILA, nil, dns.RcodeNotImplemented, false},
		{"MAILB", dns.TypeMAILB, nil, dns.RcodeNotImplemented, false},
		{"unassigned meta type", 200, nil, dns.RcodeNotImplemented, false},
		{"class CH", dns.TypeTXT, []func(*dns.Msg){class(dns.ClassCHAOS)}, dns.RcodeRefused, false},
		{"class ANY", dns.TypeA, []func(*dns.Msg){class(dns.ClassANY), edns}, dns.RcodeRefused, true},
		{"IQUERY", dns.TypeA, []func(*dns.Msg){opcode(1)}, dns.RcodeNotImplemented, false},
		{"STATUS", dns.TypeA, []func(*dns.Msg){opcode(2)}, dns.RcodeNotImplemented, false},
		{"NOTIFY", dns.TypeSOA, []func(*dns.Msg){opcode(dns.OpcodeNotify), edns}, dns.RcodeNotImplemented, true},
		{"UPDATE", dns.TypeSOA, []func(*dns.Msg){opcode(dns.OpcodeUpdate)}, dns.RcodeNotImplemented, false},
		{"opcode 15", dns.TypeA, []func(*dns.Msg){opcode(15)}, dns.RcodeNotImplemented, false},
		{"EDNS version 1", dns.TypeA, []func(*dns.Msg){version}, dns.RcodeBadVers, true},
	}
	a := testAnswerer(testSnapshot(t, nil), UDP)
	for _, tt := range tests {
		r := answer(t, a, query("WWW.gslb.example", tt.qtype, tt.edits...))
		if r.Rcode != tt.want || r.Authoritative || len(r.Answer)+len(r.Ns) != 0 {
			t.Errorf("%s: %s", tt.name, show(r))
		}
		if len(r.Question) != 1 || r.Question[0].Name != "WWW.gslb.example." || r.Question[0].Qtype != tt.qtype {
			t.Errorf("%s: question %v", tt.name, r.Question)
		}
		if o := r.IsEdns0(); (o != nil) != tt.opt || o != nil && o.Version() != 0 {
			t.Errorf("%s: OPT %v", tt.name, o)
		}
	}
}

// TestNeverAnswered: answering these could start a loop, or hit whoever the sender pretends to be.
func TestNeverAnswered(t *testing.T) {
	a := testAnswerer(testSnapshot(t, nil), UDP)
	good := pack(t, query("www.gslb.example", dns.TypeA))
	response := append([]byte{}, good...)
	response[2] |= 0x80
	fromPort0 := resolver
	for name, try := range map[string]func() []byte{
		"response": func() []byte { return a.Answer(nil, response, resolver, 1232) },
		"short":    func() []byte { return a.Answer(nil, good[:11], resolver, 1232) },
		"empty":    func() []byte { return a.Answer(nil, nil, resolver, 1232) },
		"port 0": func() []byte {
			return a.Answer(nil, good, netipPort(fromPort0, 0), 1232)
		},
	} {
		if out := try(); out != nil {
			t.Errorf("%s: answered %x", name, out)
		}
	}
	if n := a.counters.dropped[dropMalformed].Load(); n != 4 {
		t.Errorf("%d drops counted", n)
	}
}

// TestFormErr: what has a header but no sense is answered, with EDNS if it had any, so that the sender does not think we lack it.
func TestFormErr(t *testing.T) {
	a := testAnswerer(testSnapshot(t, nil), UDP)
	good := pack(t, query("www.gslb.example", dns.TypeA, edns))
	for name, msg := range map[string][]byte{
		"no question":   {0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"trailing byte": append(append([]byte{}, good...), 0),
		"bad subnet": pack(t, query("www.gslb.example", dns.TypeA, edns, func(m *dns.Msg) {
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_LOCAL{Code: 8, Data: []byte{0, 1, 24, 0, 1}})
		})),
	} {
		r := new(dns.Msg)
		if err := r.Unpack(a.Answer(nil, msg, resolver, 1232)); err != nil || r.Rcode != dns.RcodeFormatError {
			t.Errorf("%s: %v %v", name, r, err)
		}
		if hasOPT := r.IsEdns0() != nil; hasOPT != (len(msg) > 12) {
			t.Errorf("%s: OPT %v", name, hasOPT)
		}
	}
}

// TestCaseIsKept: the question comes back in the case it was asked in, and so do owner names (0x20).
func TestCaseIsKept(t *testing.T) {
	r := answer(t, testAnswerer(testSnapshot(t, nil), UDP), query("MaIl.GsLb.eXaMpLe", dns.TypeA))
	if r.Question[0].Name != "MaIl.GsLb.eXaMpLe." || r.Answer[0].Header().Name != "MaIl.GsLb.eXaMpLe." {
		t.Errorf("%v", r)
	}
}

// TestSigned: signatures of queries are not supported, and do not keep anybody from an answer.
func TestSigned(t *testing.T) {
	m := query("mail.gslb.example", dns.TypeA)
	m.SetTsig("key.", dns.HmacSHA256, 300, 1_800_000_000)
	if r := answer(t, testAnswerer(testSnapshot(t, nil), UDP), m); r.Rcode != 0 || len(r.Answer) != 1 || r.IsTsig() != nil {
		t.Errorf("%v", r)
	}
}

// TestTruncation: over UDP a response is as short as the client asks, but no client takes less than 512 bytes; TCP has it all.
func TestTruncation(t *testing.T) {
	s := testSnapshot(t, nil)
	size := func(n uint16) func(*dns.Msg) { return func(m *dns.Msg) { m.SetEdns0(n, false) } }
	tests := []struct {
		name      string
		transport Transport
		qname     string
		qtype     uint16
		edits     []func(*dns.Msg)
		limit     int
		truncated bool
		answers   int
	}{
		{"UDP without EDNS", UDP, "big.gslb.example", dns.TypeTXT, nil, 512, true, 0},
		{"UDP 4096 is cut to ours", UDP, "big.gslb.example", dns.TypeTXT, []func(*dns.Msg){size(4096)}, 1232, true, 0},
		{"TCP", TCP, "big.gslb.example", dns.TypeTXT, nil, 65535, false, 40},
		{"TCP, whatever size EDNS says", TCP, "big.gslb.example", dns.TypeTXT, []func(*dns.Msg){size(512)}, 65535, false, 40},
		{"64 addresses fit 1232 bytes", UDP, "many.gslb.example", dns.TypeA, []func(*dns.Msg){size(1232)}, 1232, false, 64},
		{"and not 512", UDP, "many.gslb.example", dns.TypeA, []func(*dns.Msg){size(0)}, 512, true, 0},
		{"what is optional is left out silently", UDP, "gslb.example", dns.TypeNS, nil, 512, false, 2},
	}
	for _, tt := range tests {
		a := testAnswerer(s, tt.transport)
		msg := a.Answer(nil, pack(t, query(tt.qname, tt.qtype, tt.edits...)), resolver, map[Transport]int{UDP: 1232, TCP: 65535}[tt.transport])
		r := new(dns.Msg)
		if err := r.Unpack(msg); err != nil {
			t.Fatal(err)
		}
		if len(msg) > tt.limit || r.Truncated != tt.truncated || len(r.Answer) != tt.answers || r.Rcode != 0 {
			t.Errorf("%s: %d bytes, %s", tt.name, len(msg), show(r))
		}
	}
}

// TestRequiredGlue: a referral that lacks an address of a server inside the delegated zone says so; servers elsewhere, whose names
// can be looked up on their own, may be left without.
func TestRequiredGlue(t *testing.T) {
	plan, problems := policy.Compile(testPolicySpec())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	spec := zone.Spec{Name: "gslb.example", NS: []string{"ns.elsewhere.test."}}
	var inside, sibling []string
	for i := range 8 {
		name := fmt.Sprintf("ns%d-%s", i, strings.Repeat("x", 20))
		inside, sibling = append(inside, name+".in"), append(sibling, name+".beside")
		for _, owner := range []string{name + ".in", name + ".beside"} {
			spec.Records = append(spec.Records, zone.RecordSpec{Owner: owner, Static: []zone.StaticSpec{
				{Type: "A", Values: []string{"192.0.2.1"}}, {Type: "AAAA", Values: []string{"2001:db8::1"}}}})
		}
	}
	spec.Records = append(spec.Records,
		zone.RecordSpec{Owner: "in", Static: []zone.StaticSpec{{Type: "NS", Values: inside}}},
		zone.RecordSpec{Owner: "out", Static: []zone.StaticSpec{{Type: "NS", Values: sibling}}})
	zones, problems := zone.Compile([]zone.Spec{spec}, plan)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	a := testAnswerer(&registry.Snapshot{World: registry.World{Plan: plan, Zones: zones}}, UDP)
	for _, tt := range []struct {
		name      string
		truncated bool
	}{{"www.in.gslb.example", true}, {"www.out.gslb.example", false}} {
		r := answer(t, a, query(tt.name, dns.TypeA))
		if len(r.Ns) != 8 || len(r.Extra) == 16 || r.Truncated != tt.truncated || r.Authoritative {
			t.Errorf("%s", show(r))
		}
	}
	big := answer(t, a, query("www.in.gslb.example", dns.TypeA, edns))
	if big.Truncated || len(big.Extra) != 17 {
		t.Errorf("with room for all: %s", show(big))
	}
}
