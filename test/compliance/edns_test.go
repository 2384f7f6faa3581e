// Package compliance asks the running server the questions of the EDNS compliance testers, over every transport.
package compliance

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/test/peer"
)

const config = `
dns: {listen: ["127.0.0.1:%[1]d", "[::1]:%[1]d"], nsid: here, identity: here}
admin: {listen: "127.0.0.1:%[2]d"}
sites: {one: {}, two: {}}
services:
  web:
    endpoints:
      - {name: one-1, site: one, address: 192.0.2.1}
      - {name: two-1, site: two, address: 192.0.2.2}
policies:
  near:
    - geo: {11.0.0.0/8: two, default: one}
    - take: 1
zones:
  gslb.example:
    ns: [ns1.gslb.example]
    records:
      ns1: {A: 127.0.0.1, AAAA: "::1"}
      www: {A: 192.0.2.80, AAAA: "2001:db8::80"}
      near: {service: web, policy: near}
      big: {TXT: [%[3]s]}
`

// A transport is a way to the server.
type transport struct {
	network, addr string
}

func (tr transport) tcp() bool { return strings.HasPrefix(tr.network, "tcp") }

// startServer runs meridian and returns the ways to it.
func startServer(t *testing.T) []transport {
	t.Helper()
	port, admin := freePorts(t)
	var big []string
	for i := range 40 {
		big = append(big, fmt.Sprintf("%02d-%s", i, strings.Repeat("x", 60)))
	}
	file := filepath.Join(t.TempDir(), "meridian.yaml")
	peer.Write(t, file, fmt.Sprintf(config, port, admin, strings.Join(big, ", ")))
	p := peer.Start(t, peer.Build(t), "serve", "-c", file)
	p.WaitDNS(t, 20*time.Second, peer.Local(port), "www.gslb.example", dns.TypeA, dns.RcodeSuccess)
	v4, v6 := peer.Local(port), fmt.Sprintf("[::1]:%d", port)
	return []transport{{"udp4", v4}, {"udp6", v6}, {"tcp4", v4}, {"tcp6", v6}}
}

// freePorts returns a port that is free on both loopback addresses, and another.
func freePorts(t *testing.T) (int, int) {
	t.Helper()
	for range 50 {
		port := peer.FreePort(t)
		u, err := net.ListenPacket("udp6", fmt.Sprintf("[::1]:%d", port))
		if err != nil {
			continue
		}
		u.Close()
		if l, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", port)); err == nil {
			l.Close()
			return port, peer.FreePort(t)
		}
	}
	t.Fatal("no port that is free for IPv4 and IPv6")
	return 0, 0
}

// exchange sends a message and returns the response; nil if there is none in a second.
func exchange(t *testing.T, tr transport, msg []byte) []byte {
	t.Helper()
	conn, err := net.Dial(tr.network, tr.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &dns.Conn{Conn: conn, UDPSize: 65535}
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write(msg); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65535)
	n, err := c.Read(buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

// An edit changes a query; raw edits change its bytes.
type edit func(*dns.Msg)

func edns(size uint16, options ...dns.EDNS0) edit {
	return func(m *dns.Msg) {
		m.SetEdns0(size, false)
		m.IsEdns0().Option = options
	}
}

func version(v uint8) edit { return func(m *dns.Msg) { m.IsEdns0().SetVersion(v) } }
func do(m *dns.Msg)        { m.IsEdns0().SetDo() }

// unknown is an option that nobody knows.
func unknown() dns.EDNS0 { return &dns.EDNS0_LOCAL{Code: 100, Data: []byte("hello")} }

func nsid() dns.EDNS0 { return &dns.EDNS0_NSID{Code: dns.EDNS0NSID} }

func cookie(hex string) dns.EDNS0 { return &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex} }

func subnet4(bits uint8, addr ...byte) dns.EDNS0 {
	return &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: bits, Address: net.IP(addr)}
}

const clientCookie = "0102030405060708"

// A want is what a response must be like. The zero value: NOERROR, AA, one A record, no OPT.
type want struct {
	rcode   int
	noAA    bool
	answers int // -1: none
	opt     bool
	do      bool
	cookie  bool
	nsid    bool
	subnet  string // "address/length/scope"
	tc      bool   // over UDP; over TCP everything comes
}

var plain, withOPT = want{}, want{opt: true}

// cases are the questions of the compliance testers (RFC 6891, 8906 3 and 8).
var cases = []struct {
	name  string
	edits []edit
	raw   func([]byte) // changes the packed query
	want  want
}{
	{"plain", nil, nil, plain},
	{"AA set", []edit{func(m *dns.Msg) { m.Authoritative = true }}, nil, plain},
	{"AD set", []edit{func(m *dns.Msg) { m.AuthenticatedData = true }}, nil, plain},
	{"CD set", []edit{func(m *dns.Msg) { m.CheckingDisabled = true }}, nil, plain},
	{"RA set", []edit{func(m *dns.Msg) { m.RecursionAvailable = true }}, nil, plain},
	{"RD set", []edit{func(m *dns.Msg) { m.RecursionDesired = true }}, nil, plain},
	{"TC set", []edit{func(m *dns.Msg) { m.Truncated = true }}, nil, plain},
	{"Z set", []edit{func(m *dns.Msg) { m.Zero = true }}, nil, plain},
	{"every flag of EDNS and header", []edit{edns(4096), do}, func(b []byte) { b[2] |= 0x06; b[3] |= 0x70; setFlags(b, 0xffff) }, want{opt: true, do: true}},
	{"opcode 15", []edit{func(m *dns.Msg) { m.Opcode = 15 }}, nil, want{rcode: dns.RcodeNotImplemented, noAA: true, answers: -1}},
	{"opcode 15 with EDNS", []edit{edns(4096), func(m *dns.Msg) { m.Opcode = 15 }}, nil, want{rcode: dns.RcodeNotImplemented, noAA: true, answers: -1, opt: true}},
	{"opcode IQUERY", []edit{func(m *dns.Msg) { m.Opcode = 1 }}, nil, want{rcode: dns.RcodeNotImplemented, noAA: true, answers: -1}},
	{"type 1000", []edit{func(m *dns.Msg) { m.Question[0].Qtype = 1000 }}, nil, want{answers: -1}},
	{"edns", []edit{edns(4096)}, nil, withOPT},
	{"edns, size 512", []edit{edns(512)}, nil, withOPT},
	{"edns, size 0", []edit{edns(0)}, nil, withOPT},
	{"edns, unknown option", []edit{edns(4096, unknown())}, nil, withOPT},
	{"edns, unknown flag", []edit{edns(4096)}, func(b []byte) { setFlags(b, 0x0040) }, withOPT},
	{"edns, unknown option and flag", []edit{edns(4096, unknown())}, func(b []byte) { setFlags(b[:len(b)-len("1234hello")], 0x0040) }, withOPT},
	{"edns, DO", []edit{edns(4096), do}, nil, want{opt: true, do: true}},
	{"edns, DO, unknown option", []edit{edns(4096, unknown()), do}, nil, want{opt: true, do: true}},
	{"edns, NSID", []edit{edns(4096, nsid())}, nil, want{opt: true, nsid: true}},
	{"edns, expire", []edit{edns(4096, &dns.EDNS0_EXPIRE{Code: dns.EDNS0EXPIRE, Empty: true})}, nil, withOPT},
	{"edns, cookie", []edit{edns(4096, cookie(clientCookie))}, nil, want{opt: true, cookie: true}},
	{"edns, cookie of another server", []edit{edns(4096, cookie(clientCookie+"1112131415161718"))}, nil, want{opt: true, cookie: true}},
	{"edns, short cookie", []edit{edns(4096, cookie("01020304"))}, nil, want{rcode: dns.RcodeFormatError, noAA: true, answers: -1, opt: true}},
	{"edns, client subnet", []edit{edns(4096, subnet4(24, 11, 1, 2, 0))}, nil, want{opt: true, subnet: "11.1.2.0/24/0"}},
	{"edns, client subnet 0", []edit{edns(4096, subnet4(0, 0, 0, 0, 0))}, nil, want{opt: true, subnet: "0.0.0.0/0/0"}},
	{"edns, all options", []edit{edns(4096, nsid(), &dns.EDNS0_EXPIRE{Code: dns.EDNS0EXPIRE, Empty: true}, cookie(clientCookie), subnet4(24, 11, 1, 2, 0), unknown())},
		nil, want{opt: true, cookie: true, nsid: true, subnet: "11.1.2.0/24/0"}},
	{"edns1", []edit{edns(4096), version(1)}, nil, badVersion},
	{"edns1, size 512", []edit{edns(512), version(1)}, nil, badVersion},
	{"edns1, unknown option", []edit{edns(4096, unknown()), version(1)}, nil, badVersion},
	{"edns1, unknown flag", []edit{edns(4096), version(1)}, func(b []byte) { setFlags(b, 0x0040) }, badVersion},
	{"edns1, DO", []edit{edns(4096), version(1), do}, nil, want{rcode: dns.RcodeBadVers, noAA: true, answers: -1, opt: true, do: true}},
	{"edns1, cookie", []edit{edns(4096, cookie(clientCookie)), version(1)}, nil, badVersion},
	{"edns255", []edit{edns(4096), version(255)}, nil, badVersion},
	{"two OPT", []edit{edns(4096), func(m *dns.Msg) { m.Extra = append(m.Extra, m.Extra[0]) }}, nil,
		want{rcode: dns.RcodeFormatError, noAA: true, answers: -1, opt: true}},
	{"big", []edit{ask("big.gslb.example.", dns.TypeTXT)}, nil, want{answers: 40, tc: true}},
	{"big, edns, size 512", []edit{ask("big.gslb.example.", dns.TypeTXT), edns(512)}, nil, want{answers: 40, tc: true, opt: true}},
	{"big, edns, size 4096", []edit{ask("big.gslb.example.", dns.TypeTXT), edns(4096)}, nil, want{answers: 40, tc: true, opt: true}},
	{"signed by TSIG", []edit{edns(4096), func(m *dns.Msg) { m.SetTsig("nobody.", dns.HmacSHA256, 300, time.Now().Unix()) }}, nil, withOPT},
	{"no such name", []edit{ask("none.gslb.example.", dns.TypeA), edns(4096)}, nil, want{rcode: dns.RcodeNameError, answers: -1, opt: true}},
	{"no such type", []edit{ask("www.gslb.example.", dns.TypeMX), edns(4096)}, nil, want{answers: -1, opt: true}},
	{"no zone of ours", []edit{ask("www.elsewhere.invalid.", dns.TypeA), edns(4096)}, nil, want{rcode: dns.RcodeRefused, noAA: true, answers: -1, opt: true}},
	{"class CH", []edit{func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }}, nil, want{rcode: dns.RcodeRefused, noAA: true, answers: -1}},
	{"class CH, id.server", []edit{ask("id.server.", dns.TypeTXT), chaos, edns(4096)}, nil, want{opt: true}},
	{"class CH, version.bind", []edit{ask("version.bind.", dns.TypeTXT), chaos}, nil, want{rcode: dns.RcodeRefused, noAA: true, answers: -1}},
	{"edns1, NSID", []edit{edns(4096, nsid()), version(1)}, nil, badVersion},
	{"steered, client subnet", []edit{ask("near.gslb.example.", dns.TypeA), edns(4096, subnet4(24, 11, 1, 2, 0))}, nil, want{opt: true, subnet: "11.1.2.0/24/8"}},
	{"steered, 0x20", []edit{ask("nEaR.gSlB.eXaMpLe.", dns.TypeA)}, nil, plain},
}

var badVersion = want{rcode: dns.RcodeBadVers, noAA: true, answers: -1, opt: true}

func ask(name string, rrtype uint16) edit {
	return func(m *dns.Msg) { m.Question[0].Name, m.Question[0].Qtype = name, rrtype }
}

func chaos(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }

// setFlags sets the flags of the OPT record whose options begin at the end of b.
func setFlags(b []byte, flags uint16) { binary.BigEndian.PutUint16(b[len(b)-4:], flags) }

// TestEDNSCompliance asks everything over UDP and TCP, IPv4 and IPv6.
func TestEDNSCompliance(t *testing.T) {
	for _, tr := range startServer(t) {
		t.Run(tr.network, func(t *testing.T) {
			for _, c := range cases {
				m := new(dns.Msg)
				m.SetQuestion("www.gslb.example.", dns.TypeA)
				m.RecursionDesired = false
				for _, e := range c.edits {
					e(m)
				}
				msg, err := m.Pack()
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				if c.raw != nil {
					c.raw(msg)
				}
				out := exchange(t, tr, msg)
				if out == nil {
					t.Errorf("%s: no answer", c.name)
					continue
				}
				if problems := c.want.check(m, out, tr.tcp()); len(problems) > 0 {
					t.Errorf("%s: %s\n%x", c.name, strings.Join(problems, "; "), out)
				}
			}
		})
	}
}

// check returns what is wrong with a response.
func (w want) check(q *dns.Msg, out []byte, tcp bool) (problems []string) {
	r := new(dns.Msg)
	if err := r.Unpack(out); err != nil {
		return []string{err.Error()}
	}
	expect := func(what string, got, want any) {
		if got != want {
			problems = append(problems, fmt.Sprintf("%s is %v, want %v", what, got, want))
		}
	}
	truncated, answers := w.tc && !tcp, w.answers
	if answers == 0 {
		answers = 1
	}
	if answers < 0 || truncated {
		answers = 0
	}
	expect("QR", r.Response, true)
	expect("ID", r.Id, q.Id)
	expect("opcode", r.Opcode, q.Opcode)
	expect("rcode", r.Rcode, w.rcode)
	expect("AA", r.Authoritative, !w.noAA)
	expect("TC", r.Truncated, truncated)
	expect("RD", r.RecursionDesired, q.RecursionDesired)
	expect("RA", r.RecursionAvailable, false)
	expect("Z", r.Zero, false)
	expect("AD", r.AuthenticatedData, false)
	expect("CD", r.CheckingDisabled, false)
	expect("answers", len(r.Answer), answers)
	if len(r.Question) != 1 || r.Question[0] != q.Question[0] {
		problems = append(problems, fmt.Sprintf("question is %v, want %v", r.Question, q.Question))
	}
	if limit := limit(q); !tcp && len(out) > limit {
		problems = append(problems, fmt.Sprintf("%d bytes are more than %d", len(out), limit))
	}
	opt := r.IsEdns0()
	if expect("OPT", opt != nil, w.opt); opt == nil || !w.opt {
		return problems
	}
	expect("EDNS version", opt.Version(), uint8(0))
	expect("DO", opt.Do(), w.do)
	expect("other flags", opt.Hdr.Ttl&0x7fff, uint32(0))
	cookies, names, subnet := 0, 0, ""
	for _, o := range opt.Option {
		switch o := o.(type) {
		case *dns.EDNS0_COOKIE:
			cookies++
			if b, err := hex.DecodeString(o.Cookie); err != nil || len(b) != 24 || !strings.HasPrefix(o.Cookie, clientCookie) {
				problems = append(problems, fmt.Sprintf("cookie %s", o.Cookie))
			}
		case *dns.EDNS0_SUBNET:
			subnet += fmt.Sprintf("%v/%d/%d", o.Address, o.SourceNetmask, o.SourceScope)
		case *dns.EDNS0_NSID:
			names++
			expect("NSID", o.Nsid, hex.EncodeToString([]byte("here")))
		case *dns.EDNS0_EDE, *dns.EDNS0_TCP_KEEPALIVE:
		default:
			problems = append(problems, fmt.Sprintf("option %v was not asked for", o))
		}
	}
	expect("a cookie", cookies == 1, w.cookie)
	expect("an NSID", names == 1, w.nsid)
	expect("client subnet", subnet, w.subnet)
	return problems
}

// limit is how long the response to a query over UDP may be.
func limit(q *dns.Msg) int {
	opt := q.IsEdns0()
	if opt == nil {
		return 512
	}
	return int(min(max(opt.UDPSize(), 512), 1232))
}
