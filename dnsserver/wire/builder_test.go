package wire

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// set returns an RRset from presentation forms of one owner and type, and the owner.
func set(t testing.TB, records ...string) (Name, *RRset) {
	t.Helper()
	out := &RRset{}
	var owner Name
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		end, err := dns.PackRR(rr, buf, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		owner = mustName(t, rr.Header().Name)
		out.Type, out.TTL = rr.Header().Rrtype, rr.Header().Ttl
		out.RData = append(out.RData, buf[len(owner)+10:end])
	}
	return owner, out
}

func parsed(t testing.TB, m *dns.Msg) *Query {
	t.Helper()
	q := new(Query)
	if out := Parse(pack(t, m), q); out != Good {
		t.Fatalf("outcome %d", out)
	}
	return q
}

func unpack(t testing.TB, msg []byte) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(msg); err != nil {
		t.Fatalf("%v in %x", err, msg)
	}
	return m
}

// TestBuilderGolden fixes the bytes of one response: order of sections, pointers, flags, EDNS last.
func TestBuilderGolden(t *testing.T) {
	q := parsed(t, withOPT(question("wWw.Ex.", dns.TypeA), raw(8, "\x00\x01\x18\x00\xc0\x00\x02")))
	var b Builder
	b.Reset([]byte("before"), q, 512)
	b.SetAuthoritative()
	b.Add(Answer, q.Name, &RRset{Type: TypeCNAME, TTL: 60, RData: [][]byte{[]byte("\x01a\x02ex\x00")}})
	b.AddAddresses(mustName(t, "a.ex"), 30, []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")})
	b.Add(Authority, mustName(t, "ex"), &RRset{Type: TypeNS, TTL: 300, RData: [][]byte{[]byte("\x01a\x02ex\x00")}})
	got := b.Finish(1232, 20)
	want := "before" +
		"\x12\x34\x85\x00\x00\x01\x00\x03\x00\x01\x00\x01" +
		"\x03wWw\x02Ex\x00\x00\x01\x00\x01" +
		"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01a\xc0\x10" + // the target's end points into the question
		"\xc0\x24\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\xc0\x00\x02\x01" + // its owner to the target
		"\xc0\x24\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\xc0\x00\x02\x02" +
		"\xc0\x10\x00\x02\x00\x01\x00\x00\x01\x2c\x00\x02\xc0\x24" +
		"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x0b\x00\x08\x00\x07\x00\x01\x18\x14\xc0\x00\x02"
	if string(got) != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestBuilderHeader(t *testing.T) {
	tests := []struct {
		name string
		edit func(*dns.Msg)
		do   func(*Builder)
		want func(*dns.Msg) bool
	}{
		{"RD echoed, RA, AD, CD, Z clear", func(m *dns.Msg) { m.AuthenticatedData, m.CheckingDisabled, m.Zero = true, true, true }, nil,
			func(m *dns.Msg) bool {
				return m.RecursionDesired && !m.RecursionAvailable && !m.AuthenticatedData && !m.CheckingDisabled && !m.Zero && !m.Authoritative
			}},
		{"no RD", func(m *dns.Msg) { m.RecursionDesired = false }, nil, func(m *dns.Msg) bool { return !m.RecursionDesired }},
		{"rcode", nil, func(b *Builder) { b.SetRCode(Refused) }, func(m *dns.Msg) bool { return m.Rcode == dns.RcodeRefused }},
		{"extended rcode", func(m *dns.Msg) { withOPT(m) }, func(b *Builder) { b.SetRCode(BadVers) },
			func(m *dns.Msg) bool { return m.Rcode == dns.RcodeBadVers && m.IsEdns0().Version() == 0 }},
		{"no OPT unless asked", nil, nil, func(m *dns.Msg) bool { return len(m.Extra) == 0 }},
		{"DO and nothing else echoed", func(m *dns.Msg) { withOPT(m, raw(65001, "x")).IsEdns0().Hdr.Ttl = 0xffff }, nil,
			func(m *dns.Msg) bool {
				o := m.IsEdns0()
				return o != nil && o.Hdr.Ttl == 0x8000 && len(o.Option) == 0 && o.UDPSize() == 1232 && o.Hdr.Name == "."
			}},
	}
	for _, tt := range tests {
		m := question("x.", dns.TypeA)
		if tt.edit != nil {
			tt.edit(m)
		}
		var b Builder
		b.Reset(nil, parsed(t, m), 512)
		if tt.do != nil {
			tt.do(&b)
		}
		if got := unpack(t, b.Finish(1232, 0)); !tt.want(got) {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestBuilderEchoesSubnet(t *testing.T) {
	for _, data := range []string{"\x00\x01\x18\x00\xc0\x00\x02", "\x00\x02\x00\x00", "\x00\x00\x00\x00"} {
		var b Builder
		b.Reset(nil, parsed(t, withOPT(question("x.", dns.TypeA), raw(8, data))), 512)
		msg := b.Finish(1232, 17)
		want := []byte(data)
		want[3] = 17
		if !bytes.HasSuffix(msg, want) {
			t.Errorf("%q ends in no %q", msg, want)
		}
		unpack(t, msg)
	}
}

// TestBuilderCompression: the types of RFC 1035 have their names compressed, the others not (RFC 3597 4, 2782, 9460).
func TestBuilderCompression(t *testing.T) {
	for _, tt := range []struct {
		rr         string
		compressed bool
	}{
		{"a.x.example. 1 NS n.x.example.", true},
		{"a.x.example. 1 CNAME n.x.example.", true},
		{"a.x.example. 1 PTR n.x.example.", true},
		{"a.x.example. 1 MX 10 n.x.example.", true},
		{"a.x.example. 1 SOA n.x.example. h.x.example. 1 2 3 4 5", true},
		{"a.x.example. 1 SRV 1 2 3 n.x.example.", false},
		{"a.x.example. 1 HTTPS 1 n.x.example.", false},
		{"a.x.example. 1 DNAME n.x.example.", false},
		{"a.x.example. 1 NAPTR 1 1 \"\" \"\" \"\" n.x.example.", false},
		{`a.x.example. 1 TYPE65280 \# 11 01780765 78616d706c6500`, false},
	} {
		owner, rrset := set(t, tt.rr)
		var b Builder
		b.Reset(nil, parsed(t, question("a.x.example.", dns.TypeA)), 512)
		b.Add(Answer, owner, rrset)
		msg := b.Finish(0, 0)
		if got := bytes.Count(msg, []byte("\x07example")) == 1; got != tt.compressed {
			t.Errorf("%s: compressed %v in %q", tt.rr, got, msg)
		}
		want, err := dns.NewRR(tt.rr)
		if err != nil {
			t.Fatal(err)
		}
		if got := unpack(t, msg).Answer[0]; got.String() != want.String() {
			t.Errorf("reads %v, want %v", got, want)
		}
	}
}

// TestBuilderTruncation: whatever the limit, the response is within it, every RRset is whole, and TC is set exactly if a required
// one is missing.
func TestBuilderTruncation(t *testing.T) {
	q := parsed(t, withOPT(question("www.example.", dns.TypeTXT), raw(8, "\x00\x01\x18\x00\xc0\x00\x02")))
	owner, txt := set(t, "www.example. 1 TXT "+strings.Repeat("a", 200), "www.example. 1 TXT "+strings.Repeat("b", 200))
	apex, ns := set(t, "example. 1 NS n1.example.", "example. 1 NS n2.example.")
	glue, addr := set(t, "n1.example. 1 A 192.0.2.1", "n1.example. 1 A 192.0.2.2")
	seen := map[string]bool{}
	for limit := 60; limit < 600; limit++ {
		var b Builder
		b.Reset(nil, q, limit)
		b.Add(Answer, owner, txt)
		b.Add(Authority, apex, ns)
		b.AddOptional(Additional, glue, addr)
		m := unpack(t, b.Finish(1232, 0))
		if n := m.Len(); limit >= 90 && n > limit+200 { // Len is of the uncompressed form
			t.Fatalf("limit %d: %d bytes", limit, n)
		}
		if n := len(b.buf); n > limit && limit >= 60 {
			t.Fatalf("limit %d: %d bytes", limit, n)
		}
		shape := fmt.Sprintf("%d/%d/%d tc=%v", len(m.Answer), len(m.Ns), len(m.Extra), m.Truncated)
		seen[shape] = true
	}
	want := map[string]bool{"0/0/1 tc=true": true, "2/0/1 tc=true": true, "2/2/1 tc=false": true, "2/2/3 tc=false": true}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("responses %v, want %v", seen, want)
	}
}

// TestBuilderForgetsWhatDidNotFit: names of a set that was left out must not be pointed to.
func TestBuilderForgetsWhatDidNotFit(t *testing.T) {
	var b Builder
	b.Reset(nil, parsed(t, question("x.", dns.TypeMX)), 200)
	owner, mx := set(t, "x. 1 MX 1 mail.other.", "x. 1 MX 2 "+strings.Repeat("a", 63)+"."+strings.Repeat("b", 63)+"."+strings.Repeat("c", 60)+".")
	if b.AddOptional(Answer, owner, mx) || b.Truncated() {
		t.Fatal("it fits?")
	}
	owner, ns := set(t, "x. 1 NS mail.other.")
	if !b.Add(Authority, owner, ns) {
		t.Fatal("it does not fit?")
	}
	if got := unpack(t, b.Finish(0, 0)).Ns[0].(*dns.NS).Ns; got != "mail.other." {
		t.Errorf("name server %q", got)
	}
}

// TestBuilderLarge: pointers reach 14 bits; a response of more is still sound, and stops at 65535 bytes.
func TestBuilderLarge(t *testing.T) {
	var b Builder
	b.Reset(nil, parsed(t, question("x.", dns.TypeMX)), 1<<20)
	added := 0
	for i := range 2000 {
		owner, mx := set(t, fmt.Sprintf("o%d.x. 1 MX 1 host%d.%s.other.", i, i%40, strings.Repeat("y", 20)))
		if !b.AddOptional(Answer, owner, mx) {
			break
		}
		added++
	}
	filler := &RRset{Type: TypeTXT, RData: [][]byte{append([]byte{250}, bytes.Repeat([]byte("z"), 250)...)}}
	for b.AddOptional(Answer, Name("\x01x\x00"), filler) {
		added++
	}
	msg := b.Finish(0, 0)
	if len(msg) > 65535 || len(msg) < 65000 {
		t.Errorf("%d bytes", len(msg))
	}
	if m := unpack(t, msg); len(m.Answer) != added || m.Answer[1999].(*dns.MX).Mx != fmt.Sprintf("host39.%s.other.", strings.Repeat("y", 20)) {
		t.Errorf("%d records of %d", len(m.Answer), added)
	}
}

func TestBuilderAddresses(t *testing.T) {
	var b Builder
	q := parsed(t, question("x.", dns.TypeAAAA))
	b.Reset(nil, q, 512)
	b.AddAddresses(q.Name, 30, []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")})
	b.AddAddresses(mustName(t, "y"), 5, []netip.Addr{netip.MustParseAddr("192.0.2.1")})
	m := unpack(t, b.Finish(0, 0))
	if got := fmt.Sprint(m.Answer); !strings.Contains(got, "x.\t30\tIN\tAAAA\t2001:db8::2") || !strings.Contains(got, "y.\t5\tIN\tA\t192.0.2.1") {
		t.Error(got)
	}
	b.Reset(nil, q, 512)
	if b.AddAddresses(q.Name, 30, make([]netip.Addr, 0)); b.Truncated() {
		t.Error("no addresses do not fit")
	}
	many := make([]netip.Addr, 100)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
	}
	if b.AddAddresses(q.Name, 30, many) || !b.Truncated() || b.Add(Authority, q.Name, &RRset{}) {
		t.Error("100 addresses fit into 512 bytes")
	}
	if m := unpack(t, b.Finish(0, 0)); len(m.Answer) != 0 || !m.Truncated {
		t.Error(m)
	}
}

func TestBuilderDoesNotAllocate(t *testing.T) {
	q := parsed(t, withOPT(question("www.example.", dns.TypeMX), raw(8, "\x00\x01\x18\x00\xc0\x00\x02")))
	owner, mx := set(t, "www.example. 1 MX 1 mail.example.", "www.example. 1 MX 2 mail2.example.")
	apex, soa := set(t, "example. 1 SOA n.example. h.example. 1 2 3 4 5")
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	buf := make([]byte, 0, 1232)
	var b Builder
	if n := testing.AllocsPerRun(100, func() {
		b.Reset(buf, q, 1232)
		b.Add(Answer, owner, mx)
		b.AddAddresses(q.Name, 30, addrs)
		b.Add(Authority, apex, soa)
		b.Finish(1232, 24)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBuilder(b *testing.B) {
	q := parsed(b, withOPT(question("www.gslb.example.", dns.TypeA)))
	_, soa := set(b, "gslb.example. 1 SOA ns1.gslb.example. hostmaster.gslb.example. 1 2 3 4 5")
	apex := mustName(b, "gslb.example")
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	buf := make([]byte, 0, 1232)
	var w Builder
	b.Run("A", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w.Reset(buf, q, 1232)
			w.AddAddresses(q.Name, 30, addrs)
			w.Finish(1232, 0)
		}
	})
	b.Run("NXDOMAIN", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w.Reset(buf, q, 1232)
			w.Add(Authority, apex, soa)
			w.Finish(1232, 0)
		}
	})
}
