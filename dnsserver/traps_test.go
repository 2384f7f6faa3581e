package dnsserver

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A trap is what servers are known to get wrong, asked over both transports.
type trap struct {
	name  string // with the RFC and section that decides
	query *dns.Msg
	alter func(msg []byte) []byte // after packing; nil = as it is
	port  uint16                  // 0 = any other
	want  string                  // as show prints it, and the question's presence: see outcome; "" = no answer
}

// outcome is show with what else traps are about.
func outcome(r *dns.Msg) string {
	s := show(r)
	if len(r.Question) == 0 {
		s = "no question, " + s
	}
	if o := r.IsEdns0(); o != nil {
		s = "edns, " + s
		if o.Version() != 0 || o.Z() != 0 {
			s = "odd " + s
		}
	}
	return s
}

func traps() []trap {
	opcode := func(n int) func(*dns.Msg) { return func(m *dns.Msg) { m.Opcode = n } }
	class := func(n uint16) func(*dns.Msg) { return func(m *dns.Msg) { m.Question[0].Qclass = n } }
	eu := func(edits ...func(*dns.Msg)) *dns.Msg { return query("eu.k.example", dns.TypeA, edits...) }
	set := func(at int, v byte) func([]byte) []byte { return func(msg []byte) []byte { msg[at] = v; return msg } }
	const address = "NOERROR aa\nan eu.k.example. 300 A 192.0.2.10"
	return []trap{
		{"shorter than a header: RFC 1035 4.1.1", eu(), func(msg []byte) []byte { return msg[:11] }, 53, ""},
		{"a response: RFC 1035 4.1.1", eu(func(m *dns.Msg) { m.Response = true }), nil, 53, ""},
		{"from port 0: RFC 768", eu(), nil, 0, ""},
		{"two questions: RFC 9619 4", eu(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), nil, 53, "no question, FORMERR"},
		{"no question: RFC 9619 4", eu(func(m *dns.Msg) { m.Question = nil }), nil, 53, "no question, FORMERR"},
		{"no question, a cookie: RFC 7873 5.4", eu(func(m *dns.Msg) { m.Question = nil }, cookie("2464c4abcf10c957")), nil, 53, "edns, no question, NOERROR"},
		{"counts beyond the message: RFC 1035 4.1", eu(), set(7, 200), 53, "FORMERR"},
		{"a byte too many: RFC 1035 4.1", eu(), func(msg []byte) []byte { return append(msg, 0) }, 53, "FORMERR"},
		{"a name that points to itself: RFC 1035 4.1.4", eu(), func(msg []byte) []byte { return append(append(msg[:12:12], 0xc0, 12), 0, 1, 0, 1) }, 53, "no question, FORMERR"},

		{"NOTIFY: RFC 8906 3.1.4", query("k.example", dns.TypeSOA, opcode(dns.OpcodeNotify)), nil, 53, "NOTIMP"},
		{"UPDATE: RFC 2136 3.1", query("k.example", dns.TypeSOA, opcode(dns.OpcodeUpdate), edns), nil, 53, "edns, NOTIMP"},
		{"opcode 15, EDNS version 1: RFC 8906 3.1.4", eu(opcode(15), edns, func(m *dns.Msg) { m.IsEdns0().SetVersion(1) }), nil, 53, "edns, NOTIMP"},

		{"class HESIOD: RFC 1035 4.1.1", eu(class(dns.ClassHESIOD)), nil, 53, "REFUSED"},
		{"class ANY: RFC 1035 4.1.1", eu(class(dns.ClassANY)), nil, 53, "REFUSED"},
		{"CHAOS, nothing configured: RFC 4892 2.1", query("id.server", dns.TypeTXT, class(dns.ClassCHAOS)), nil, 53, "REFUSED"},
		{"outside, no SOA: RFC 1035 4.1.1", query("elsewhere.test", dns.TypeA), nil, 53, "REFUSED"},
		{"OPT as a type: RFC 6891 6.1.1", query("k.example", dns.TypeOPT), nil, 53, "FORMERR"},
		{"NXNAME as a type: RFC 9824 3.5", query("k.example", 128), nil, 53, "FORMERR"},
		{"a meta type: RFC 6895 3.1", query("k.example", 200), nil, 53, "NOTIMP"},

		{"ANY is one set: RFC 8482 4.1", query("mixed.gslb.example", dns.TypeANY), nil, 53, "NOERROR aa\nan mixed.gslb.example. 300 TXT \"beside\""},
		{"EDNS version 1: RFC 6891 6.1.3", eu(edns, func(m *dns.Msg) { m.IsEdns0().SetVersion(1) }), nil, 53, "edns, BADVERS"},
		{"two OPT: RFC 6891 6.1.1", eu(edns, func(m *dns.Msg) { m.Extra = append(m.Extra, m.Extra[0]) }), nil, 53, "edns, FORMERR"},
		{"unknown flags: RFC 6891 6.1.4", eu(edns, func(m *dns.Msg) { m.IsEdns0().SetZ(0x3fff) }), nil, 53, "edns, " + address},
		{"an unknown option: RFC 6891 6.1.2", eu(edns, func(m *dns.Msg) {
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_LOCAL{Code: 65001, Data: []byte("?")})
		}), nil, 53, "edns, " + address},
		{"no EDNS unasked: RFC 6891 7", eu(), nil, 53, address},
		{"header flags that are not for us: RFC 1035 4.1.1", eu(func(m *dns.Msg) { m.Zero, m.Authoritative, m.Truncated, m.RecursionAvailable = true, true, true, true }), nil, 53, address},

		{"case is kept: RFC 4343 4.1", query("Eu.K.eXample", dns.TypeA), nil, 53, strings.Replace(address, "eu.k.example", "Eu.K.eXample", 1)},
		{"only ASCII has case: RFC 4343 2.1", query(`\203\132.k.example`, dns.TypeA), nil, 53, "NXDOMAIN aa\n" + kindNegative},
		{"no authority section in answers: RFC 2181 9", query("eu.k.example", dns.TypeA, edns), nil, 53, "edns, " + address},
		{"the negative TTL: RFC 2308 5", query("nx.k.example", dns.TypeA), nil, 53, "NXDOMAIN aa\n" + kindNegative},
		{"the negative TTL where the SOA's is less than MINIMUM: RFC 2308 5", query("host.other.example", dns.TypeTXT), nil, 53,
			"NOERROR aa\nns other.example. 60 SOA ns1.gslb.example. hostmaster.other.example. 1 3600 600 604800 900"},
		{"one TTL for a set, the least of its endpoints': RFC 2181 5.2", query("all.gslb.example", dns.TypeA), nil, 53,
			"NOERROR aa\nan all.gslb.example. 30 A 192.0.2.10\nan all.gslb.example. 30 A 198.51.100.10"},
	}
}

// TestTraps: what servers are known to get wrong in messages, the same over UDP and TCP.
func TestTraps(t *testing.T) {
	s := kindSnapshot(t)
	for _, tt := range traps() {
		for _, transport := range []Transport{UDP, TCP} {
			t.Run(tt.name+", "+transport.String(), func(t *testing.T) {
				msg := pack(t, tt.query)
				if tt.alter != nil {
					msg = tt.alter(msg)
				}
				out := testAnswerer(s, transport).Answer(nil, msg, netip.AddrPortFrom(resolver.Addr(), tt.port), 1232)
				if tt.want == "" {
					if out != nil {
						t.Errorf("answered %x", out)
					}
					return
				}
				r := new(dns.Msg)
				if err := r.Unpack(out); err != nil {
					t.Fatal(err)
				}
				if got := outcome(r); got != tt.want || r.Id != tt.query.Id || !r.Response || r.Zero || r.RecursionAvailable {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		}
	}
}

// TestTrapsOfSize: less than 512 counts as 512 (RFC 6891 6.2.3), ours bounds it (RFC 9715 3.1), and TC says that a required set is missing,
// of which there is no part (RFC 2181 9).
func TestTrapsOfSize(t *testing.T) {
	a := testAnswerer(kindSnapshot(t), UDP)
	for _, tt := range []struct {
		name      string
		size      uint16
		qname     string
		qtype     uint16
		truncated bool
		answers   int
	}{
		{"0 is 512", 0, "ways.k.example", dns.TypeHTTPS, false, 4},
		{"511 is 512", 511, "ways.k.example", dns.TypeHTTPS, false, 4},
		{"not all of it", 512, "many.gslb.example", dns.TypeA, true, 0},
		{"4096 is ours", 4096, "big.gslb.example", dns.TypeTXT, true, 0},
		{"only glue elsewhere is missing", 512, "gslb.example", dns.TypeNS, false, 2},
	} {
		out := a.Answer(nil, pack(t, query(tt.qname, tt.qtype, func(m *dns.Msg) { m.SetEdns0(tt.size, false) })), resolver, DefaultUDPSize)
		r := new(dns.Msg)
		if err := r.Unpack(out); err != nil {
			t.Fatal(err)
		}
		if limit := min(max(512, int(tt.size)), DefaultUDPSize); len(out) > limit || r.Truncated != tt.truncated || len(r.Answer) != tt.answers || r.IsEdns0() == nil {
			t.Errorf("%s: %d bytes, %s", tt.name, len(out), show(r))
		}
	}
}

// TestTrapsOfCompression: owners point to the question, targets in SRV, HTTPS and DNAME stand in full, those in CNAME and MX need not
// (RFC 3597 4, 2782, 9460 2.2, 6672 2.5).
func TestTrapsOfCompression(t *testing.T) {
	a := testAnswerer(kindSnapshot(t), UDP)
	const full, cut = "\x02us\x01k\x07example\x00", "\x02us\xc0"
	for _, tt := range []struct {
		qname string
		qtype uint16
		text  string
	}{
		{"_s._tcp.k.example", dns.TypeSRV, full}, {"ways.k.example", dns.TypeHTTPS, full}, {"d2.k.example", dns.TypeDNAME, "\x01d\x01k\x07example\x00"},
		{"mx.k.example", dns.TypeMX, cut}, {"c.k.example", dns.TypeCNAME, cut},
	} {
		out := a.Answer(nil, pack(t, query(tt.qname, tt.qtype)), america, DefaultUDPSize)
		question := 12 + len(tt.qname) + 2 + 4
		if len(out) < question+2 || !bytes.HasPrefix(out[question:], []byte{0xc0, 12}) || !bytes.Contains(out[question:], []byte(tt.text)) {
			t.Errorf("%s %s: %q", tt.qname, dns.TypeToString[tt.qtype], out)
		}
	}
}
