package wire

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A request is a message under construction: what packs it, and what to do to the bytes after.
func pack(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	msg, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func question(name string, qtype uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.Id = 0x1234
	return m
}

func withOPT(m *dns.Msg, options ...dns.EDNS0) *dns.Msg {
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = options
	return m
}

// raw is an EDNS option with any bytes.
func raw(code uint16, data string) dns.EDNS0 { return &dns.EDNS0_LOCAL{Code: code, Data: []byte(data)} }

func TestParseQuestion(t *testing.T) {
	var q Query
	msg := pack(t, question("WwW.Example.COM.", dns.TypeAAAA))
	if out := Parse(msg, &q); out != Good {
		t.Fatalf("outcome %d", out)
	}
	if q.ID != 0x1234 || !q.RD || q.Opcode != 0 || q.Type != TypeAAAA || q.Class != ClassIN || q.HasOPT || q.HasSubnet {
		t.Errorf("query %+v", q)
	}
	if q.Name.String() != "www.example.com." {
		t.Errorf("name %q", q.Name.String())
	}
	if !bytes.Equal(q.question, msg[12:]) {
		t.Errorf("question %q, want the bytes as received, %q", q.question, msg[12:])
	}
	if out := Parse(pack(t, question(".", dns.TypeNS)), &q); out != Good || q.Name.String() != "." {
		t.Errorf("root: outcome %d, name %q", out, q.Name.String())
	}
}

// TestParseDrops: nothing that could be a response, or that has no room for an answer's header, is answered.
func TestParseDrops(t *testing.T) {
	var q Query
	for size := range 12 {
		if out := Parse(make([]byte, size), &q); out != Drop {
			t.Errorf("%d bytes: outcome %d", size, out)
		}
	}
	m := question("x.", dns.TypeA)
	m.Response = true
	if out := Parse(pack(t, m), &q); out != Drop {
		t.Errorf("QR=1: outcome %d", out)
	}
	m.Opcode = 15
	if out := Parse(pack(t, m), &q); out != Drop {
		t.Errorf("QR=1 with an unknown opcode: outcome %d", out)
	}
}

// edit returns a copy of msg with one byte changed.
func edit(msg []byte, at int, to byte) []byte {
	msg = bytes.Clone(msg)
	msg[at] = to
	return msg
}

func TestParseForm(t *testing.T) {
	plain := pack(t, question("www.example.", dns.TypeA))
	opt := pack(t, withOPT(question("www.example.", dns.TypeA)))
	rdlen := len(opt) - 2
	twoOPT := withOPT(question("www.example.", dns.TypeA))
	twoOPT.Extra = append(twoOPT.Extra, twoOPT.Extra[0])
	inAnswer := question("www.example.", dns.TypeA)
	inAnswer.Answer = withOPT(question("x.", dns.TypeA)).Extra
	ixfr := question("example.", dns.TypeIXFR)
	soa, err := dns.NewRR("example. 0 SOA . . 1 0 0 0 0")
	if err != nil {
		t.Fatal(err)
	}
	ixfr.Ns = []dns.RR{soa}
	tsig := question("www.example.", dns.TypeA)
	tsig.SetTsig("key.", dns.HmacSHA256, 300, 0)
	early := withOPT(tsig.Copy())
	long := make([]byte, 12, 300)
	long[5] = 1
	for range 4 {
		long = append(append(long, 63), strings.Repeat("a", 63)...)
	}
	long = append(long, 0, 0, 1, 0, 1)

	tests := []struct {
		name   string
		msg    []byte
		want   Outcome
		echoed bool // the question
		opt    bool
	}{
		{"plain", plain, Good, true, false},
		{"EDNS", opt, Good, true, true},
		{"no question", plain[:12], Malformed, false, false},
		{"QDCOUNT 0", edit(plain, 5, 0), Malformed, false, false},
		{"QDCOUNT 2", edit(plain, 5, 2), Malformed, false, false},
		{"QDCOUNT 65281", edit(plain, 4, 255), Malformed, false, false},
		{"name cut", plain[:20], Malformed, false, false},
		{"type cut", plain[:len(plain)-3], Malformed, false, false},
		{"class cut", plain[:len(plain)-1], Malformed, false, false},
		{"pointer in the question", edit(plain, 12, 0xC0), Malformed, false, false},
		{"label of type 01", edit(plain, 12, 0x41), Malformed, false, false},
		{"name of 257 bytes", long, Malformed, false, false},
		{"count of records that are not there", edit(plain, 11, 1), Malformed, true, false},
		{"count of 65280 records", edit(opt, 10, 255), Malformed, true, true},
		{"trailing byte", append(bytes.Clone(plain), 0), Malformed, true, false},
		{"record cut", opt[:len(opt)-1], Malformed, true, false},
		{"RDLENGTH beyond the end", edit(opt, rdlen+1, 1), Malformed, true, false},
		{"two OPT", pack(t, twoOPT), Malformed, true, true},
		{"OPT in the answer section", pack(t, inAnswer), Malformed, true, false},
		{"OPT that the root does not own", bytes.Replace(opt, []byte("\x00\x00\x29"), []byte("\x01x\x00\x00\x29"), 1), Malformed, true, false},
		{"an SOA in authority, as IXFR has it", pack(t, ixfr), Good, true, false},
		{"TSIG", pack(t, tsig), Good, true, false},
		{"TSIG that is not the last", pack(t, early), Malformed, true, false},
		{"EDNS version 1", edit(opt, rdlen-3, 1), BadVersion, true, true},
		{"unknown EDNS flags", edit(opt, rdlen-1, 0x7f), Good, true, true},
		{"unknown opcode", edit(plain, 2, 15<<3), NotImplemented, true, false},
		{"unknown opcode, header only", edit(plain, 2, 15<<3)[:12], NotImplemented, false, false},
		{"NOTIFY with EDNS", edit(opt, 2, 4<<3), NotImplemented, true, true},
		{"UPDATE", edit(plain, 2, 5<<3), NotImplemented, true, false},
		{"reserved header bits, TC, AD, CD, a response code", edit(edit(plain, 2, 0x07), 3, 0x7f), Good, true, false},
	}
	for _, tt := range tests {
		q := Query{HasOPT: true, HasSubnet: true, question: []byte("old")} // what an earlier message left must not show
		if out := Parse(tt.msg, &q); out != tt.want {
			t.Errorf("%s: outcome %d, want %d", tt.name, out, tt.want)
		}
		if got := q.question != nil; got != tt.echoed || (q.Name != nil) != tt.echoed {
			t.Errorf("%s: question %q, name %v; want one: %v", tt.name, q.question, q.Name, tt.echoed)
		}
		if q.HasOPT != tt.opt || q.HasSubnet {
			t.Errorf("%s: HasOPT %v, HasSubnet %v", tt.name, q.HasOPT, q.HasSubnet)
		}
	}
}

func TestParseEDNS(t *testing.T) {
	var q Query
	m := withOPT(question("x.", dns.TypeA), raw(65001, "abc"), raw(65002, ""))
	m.IsEdns0().SetDo()
	m.IsEdns0().SetUDPSize(100)
	if out := Parse(pack(t, m), &q); out != Good || !q.HasOPT || !q.DO || q.UDPSize != 100 {
		t.Errorf("outcome %d, %+v", out, q)
	}
	for _, data := range []string{"\x00", "\x00\x08\x00", "\x00\x08\x00\x05abcd"} { // options cut short
		msg := pack(t, withOPT(question("x.", dns.TypeA)))
		binary.BigEndian.PutUint16(msg[len(msg)-2:], uint16(len(data)))
		if out := Parse(append(msg, data...), &q); out != Malformed || !q.HasOPT {
			t.Errorf("options %q: outcome %d", data, out)
		}
	}
}

func TestParseClientSubnet(t *testing.T) {
	tests := []struct{ name, data, want string }{
		{"IPv4 /24", "\x00\x01\x18\x00\xc0\x00\x02", "192.0.2.0/24"},
		{"IPv4 /32", "\x00\x01\x20\x00\xc0\x00\x02\x01", "192.0.2.1/32"},
		{"IPv4 /23", "\x00\x01\x17\x00\xc0\x00\x02", "192.0.2.0/23"},
		{"IPv4 /0", "\x00\x01\x00\x00", "0.0.0.0/0"},
		{"IPv6 /56", "\x00\x02\x38\x00\x20\x01\x0d\xb8\x00\x01\x02", "2001:db8:1:200::/56"},
		{"IPv6 /128", "\x00\x02\x80\x00\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", "2001:db8::1/128"},
		{"IPv6 /0", "\x00\x02\x00\x00", "::/0"},
		{"family 0, length 0", "\x00\x00\x00\x00", "invalid Prefix"},
		{"family 0, length 8", "\x00\x00\x08\x00\x0a", ""},
		{"family 3", "\x00\x03\x08\x00\x0a", ""},
		{"IPv4 /33", "\x00\x01\x21\x00\xc0\x00\x02\x01\x00", ""},
		{"IPv6 /129", "\x00\x02\x81\x00" + strings.Repeat("\x00", 17), ""},
		{"scope in a query", "\x00\x01\x18\x18\xc0\x00\x02", ""},
		{"address too short", "\x00\x01\x18\x00\xc0\x00", ""},
		{"address too long", "\x00\x01\x18\x00\xc0\x00\x02\x00", ""},
		{"bits beyond the length", "\x00\x01\x17\x00\xc0\x00\x03", ""},
		{"no length", "\x00\x01", ""},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		var q Query
		out := Parse(pack(t, withOPT(question("x.", dns.TypeA), raw(8, tt.data))), &q)
		if tt.want == "" {
			if out != Malformed || q.HasSubnet || !q.HasOPT {
				t.Errorf("%s: outcome %d, subnet %v", tt.name, out, q.Subnet)
			}
			continue
		}
		if out != Good || !q.HasSubnet || q.Subnet.String() != tt.want || string(q.subnet) != tt.data {
			t.Errorf("%s: outcome %d, subnet %v, want %s", tt.name, out, q.Subnet, tt.want)
		}
	}
	one := "\x00\x01\x18\x00\xc0\x00\x02"
	var q Query
	if out := Parse(pack(t, withOPT(question("x.", dns.TypeA), raw(8, one), raw(8, one))), &q); out != Malformed || q.HasSubnet {
		t.Errorf("two subnets: outcome %d", out)
	}
}

// FuzzParse checks that any message is read without panic, that a Good one means to miekg/dns what it means to us, and that the
// response to any answerable one is sound.
func FuzzParse(f *testing.F) {
	f.Add(pack(f, question("WWW.example.", dns.TypeA)))
	f.Add(pack(f, withOPT(question("x.", dns.TypeMX), raw(8, "\x00\x01\x18\x00\xc0\x00\x02"), raw(10, "12345678"))))
	f.Add(pack(f, withOPT(question("x.", dns.TypeTXT), raw(10, "12345678abcdefghABCDEFGH"), raw(3, ""), raw(11, ""))))
	f.Add(pack(f, withoutQuestion(withOPT(question("x.", dns.TypeA), raw(10, "12345678")))))
	tsig := question("www.example.", dns.TypeA)
	tsig.SetTsig("key.", dns.HmacSHA256, 300, 0)
	f.Add(pack(f, tsig))
	f.Fuzz(func(t *testing.T, msg []byte) {
		var q Query
		out := Parse(msg, &q)
		if out == Drop {
			return
		}
		if out == Good {
			if n := len(q.Cookie); n != 0 && n != 8 && (n < 16 || n > 40) {
				t.Fatalf("cookie %x", q.Cookie)
			}
			if got := string(msg[12 : 12+len(q.Name)]); !strings.EqualFold(got, string(q.Name)) || len(q.Name) > MaxName {
				t.Fatalf("name %q of %q", q.Name, got)
			}
			if q.HasSubnet && q.Subnet.IsValid() && q.Subnet.Masked() != q.Subnet {
				t.Fatalf("subnet %v", q.Subnet)
			}
			var m dns.Msg
			if err := m.Unpack(msg); err == nil { // it refuses some records that we skip
				if (len(m.Question) == 0) != (q.Name == nil) || len(m.Question) == 0 && q.Cookie == nil {
					t.Fatalf("questions %v, ours %v", m.Question, q.Name)
				}
				if q.Name != nil && (m.Question[0].Qtype != q.Type || m.Question[0].Qclass != q.Class) || (m.IsEdns0() != nil) != q.HasOPT {
					t.Fatalf("%+v, miekg/dns: %v", q, &m)
				}
			}
		}
		var b Builder
		b.Reset(nil, &q, 512)
		b.SetCookie(&[ServerCookieLen]byte{})
		b.SetNSID("server")
		b.SetKeepalive(100)
		b.SetError(NotSupported, "text")
		b.Add(Answer, Name("\x01x\x00"), &RRset{Type: TypeA, RData: [][]byte{{1, 2, 3, 4}}})
		var m dns.Msg
		if err := m.Unpack(b.Finish(1232, 0)); err != nil || m.Id != q.ID || !m.Response || len(m.Answer) != 1 {
			t.Fatalf("response to %x: %v, %v", msg, err, &m)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, msg := range map[string][]byte{
		"plain":  pack(b, question("www.gslb.example.", dns.TypeA)),
		"OPT":    pack(b, withOPT(question("www.gslb.example.", dns.TypeA))),
		"subnet": pack(b, withOPT(question("www.gslb.example.", dns.TypeA), raw(8, "\x00\x01\x18\x00\xc0\x00\x02"))),
	} {
		b.Run(name, func(b *testing.B) {
			var q Query
			b.ReportAllocs()
			for b.Loop() {
				if Parse(msg, &q) != Good {
					b.Fatal("not good")
				}
			}
		})
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	var q Query
	msg := pack(t, withOPT(question("www.gslb.example.", dns.TypeA), raw(8, "\x00\x02\x38\x00\x20\x01\x0d\xb8\x00\x01\x02")))
	if n := testing.AllocsPerRun(100, func() { Parse(msg, &q) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if want := netip.MustParsePrefix("2001:db8:1:200::/56"); q.Subnet != want {
		t.Errorf("subnet %v", q.Subnet)
	}
}
