package dnsserver

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/registry"
)

// FuzzAnswer checks what holds of the response to any message at all, over both transports, and that it is the same in a batch.
func FuzzAnswer(f *testing.F) {
	for _, name := range []string{"www", "all", "big", "many", "alias2", "www.sub", "nx", "x.wild", "raw", "srv", "v4", "vary", "x.some"} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeTXT, dns.TypeDS, dns.TypeAXFR} {
			f.Add(pack(f, query(name+".gslb.example", qtype)), uint16(4444))
			f.Add(pack(f, query(name+".gslb.example", qtype, subnet("198.51.100.0/24"))), uint16(4444))
		}
	}
	for i, r := range kindZones()[0].Records {
		name := strings.TrimPrefix("x."+r.Owner+".k.example", "x.@.")
		for j, qtype := range []uint16{dns.TypeA, dns.TypeCNAME, dns.TypeSRV, dns.TypeMX, dns.TypeTXT, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeDNAME, dns.TypeANY} {
			f.Add(pack(f, query(name, qtype, fuzzOptions()[(i+j)%len(fuzzOptions())])), uint16(4444))
			f.Add(pack(f, query(strings.TrimPrefix(name, "x."), qtype, fuzzOptions()...)), uint16(4444))
		}
	}
	for _, t := range traps() {
		f.Add(pack(f, t.query), t.port)
	}
	f.Add(pack(f, query("gslb.example", dns.TypeNS, func(m *dns.Msg) { m.SetEdns0(65535, true) })), uint16(0))
	s, others := kindSnapshot(f), mixedDatagrams(f)
	f.Fuzz(func(t *testing.T, msg []byte, port uint16) {
		checkTogether(t, s, others, msg, port)
		for _, transport := range []Transport{UDP, TCP} {
			checkResponse(t, fuzzAnswerer(s, transport), msg, port)
		}
	})
}

// checkTogether answers a message again and again among others, as a batch and one by one: neither answers, nor numbers, nor limits
// are different. The message has a sender of its own, so the limits take what they look at early and late in the same order.
func checkTogether(t *testing.T, s *registry.Snapshot, others []datagram, msg []byte, port uint16) {
	mine := datagram{msg, netip.AddrPortFrom(netip.MustParseAddr("203.0.113.200"), port)}
	var in []datagram
	for i := range 2 * maxBatch {
		in = append(in, others[(int(port)+len(msg)+i*i)%len(others)])
		if i%3 > 0 {
			in[i] = mine
		}
	}
	alone, batched := mixedAnswerer(s, UDP), mixedAnswerer(s, UDP)
	want := oneByOne(alone, in)
	size := 1 + int(port)%maxBatch
	for at := 0; at < len(in); at += size {
		for i, got := range together(batched, in[at:min(at+size, len(in))]) {
			if !bytes.Equal(got, want[at+i]) {
				t.Fatalf("%x in a batch of %d: message %d\ngot  %x\nwant %x", in[at+i].msg, size, i, got, want[at+i])
			}
		}
	}
	if got, want := sum(batched), sum(alone); !reflect.DeepEqual(got, want) {
		t.Fatalf("counters of %x in batches of %d:\ngot  %v\nwant %v", msg, size, got, want)
	}
}

// fuzzOptions add EDNS options, one of every kind.
func fuzzOptions() []func(*dns.Msg) {
	options := []func(*dns.Msg){edns, subnet("198.51.100.0/24"), cookie("2464c4abcf10c957"), func(m *dns.Msg) { m.SetEdns0(512, true) }}
	for _, code := range []uint16{dns.EDNS0NSID, dns.EDNS0TCPKEEPALIVE, 65001} {
		options = append(options, func(m *dns.Msg) {
			edns(m)
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_LOCAL{Code: code})
		})
	}
	return options
}

// fuzzAnswerer returns an Answerer that tells all it can.
func fuzzAnswerer(s *registry.Snapshot, transport Transport) *Answerer {
	a := testAnswerer(s, transport)
	a.NSID, a.Identity, a.Version, a.Site = "dub1", "dns-1", "1", "dub"
	a.Keepalive = func() uint16 { return 50 }
	return a
}

// checkResponse answers a message and checks the response against it.
func checkResponse(t *testing.T, a *Answerer, msg []byte, port uint16) {
	limit := 1232
	if a.Transport == TCP {
		limit = maxMessage
	}
	out := a.Answer([]byte("kept"), msg, netip.AddrPortFrom(resolver.Addr(), port), limit)
	if !bytes.HasPrefix(out, []byte("kept")) {
		t.Fatal("what dst held is gone")
	}
	out = out[4:]
	mayAnswer := len(msg) >= 12 && msg[2]&0x80 == 0 && port != 0
	if (len(out) > 0) != mayAnswer {
		t.Fatalf("%d bytes in answer to %x from port %d", len(out), msg, port)
	}
	if !mayAnswer {
		return
	}
	if !bytes.Equal(out[:2], msg[:2]) || out[2]&0xf9 != msg[2]&0x79|0x80 || out[3]&0xf0 != 0 {
		t.Fatalf("header %x in answer to %x", out[:12], msg[:12])
	}
	most := limit
	if a.Transport == UDP {
		most = wire.MinUDP
		if a.query.HasOPT {
			most = min(limit, max(most, int(a.query.UDPSize)))
		}
	}
	if len(out) > most {
		t.Fatalf("%d bytes, the client takes %d", len(out), most)
	}
	if q := binary.BigEndian.Uint16(out[4:]); q > 0 && !bytes.HasPrefix(out[12:], msg[12:12+len(a.query.Name)+4]) {
		t.Fatalf("question of %x in answer to %x", out, msg)
	}
	r := new(dns.Msg)
	if err := r.Unpack(out); err != nil {
		t.Fatalf("%v in %x", err, out)
	}
	if (r.IsEdns0() != nil) != a.query.HasOPT {
		t.Fatalf("OPT: %v", r)
	}
	if a.query.BadKeepalive { // an error over TCP alone
		return
	}
	if a.Transport == UDP {
		checkWhole(t, a, msg, r)
	} else if r.Truncated {
		t.Fatalf("truncated over TCP: %v", r)
	}
}

// checkWhole checks a response over UDP against the one over TCP: it has only whole RRsets of that, and TC says if it lacks any of
// the answer or authority section, or glue.
func checkWhole(t *testing.T, a *Answerer, msg []byte, cut *dns.Msg) {
	full := fuzzAnswerer(a.Snapshot(), TCP)
	r := new(dns.Msg)
	if err := r.Unpack(full.Answer(nil, msg, resolver, maxMessage)); err != nil {
		t.Fatal(err)
	}
	lacks := len(r.Answer) > len(cut.Answer) || len(r.Ns) > len(cut.Ns)
	lacksExtra := len(r.Extra) > len(cut.Extra)
	if r.Truncated || r.Rcode != cut.Rcode || lacks && !cut.Truncated || cut.Truncated && !lacks && !lacksExtra {
		t.Fatalf("over UDP: %v\nover TCP: %v", cut, r)
	}
	count := func(rrs []dns.RR) map[[2]string]int {
		n := map[[2]string]int{}
		for _, rr := range rrs {
			n[[2]string{rr.Header().Name, dns.TypeToString[rr.Header().Rrtype]}]++
		}
		return n
	}
	whole := count(append(append(r.Answer, r.Ns...), r.Extra...))
	for set, n := range count(append(append(cut.Answer, cut.Ns...), cut.Extra...)) {
		if n != whole[set] {
			t.Fatalf("%v: %d of %d records", set, n, whole[set])
		}
	}
}

// TestEverySize asks for a response of every shape at every size a client may ask for.
func TestEverySize(t *testing.T) {
	s := testSnapshot(t, nil)
	for _, name := range []string{"gslb.example", "big.gslb.example", "many.gslb.example", "www.sub.gslb.example", "alias2.gslb.example"} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeTXT, dns.TypeNS, dns.TypeMX} {
			for size := 500; size < 1300; size += 13 {
				msg := pack(t, query(name, qtype, func(m *dns.Msg) { m.SetEdns0(uint16(size), false) }))
				checkResponse(t, testAnswerer(s, UDP), msg, 4444)
			}
		}
	}
}

// TestGolden fixes the bytes of whole answers.
func TestGolden(t *testing.T) {
	q := func(name string, qtype byte) string { return name + "\x00" + string([]byte{qtype}) + "\x00\x01" }
	const gslb = "\x04gslb\x07example\x00"
	tests := []struct {
		name, msg, want string
	}{
		{"steered A with OPT and client subnet",
			"\xbe\xef\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01" + q("\x03WWW"+gslb, 1) +
				"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x0b\x00\x08\x00\x07\x00\x01\x18\x00\xc6\x33\x64",
			"\xbe\xef\x85\x00\x00\x01\x00\x01\x00\x00\x00\x01" + q("\x03WWW"+gslb, 1) +
				"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\xc6\x33\x64\x0a" +
				"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x0b\x00\x08\x00\x07\x00\x01\x18\x18\xc6\x33\x64"},
		{"NXDOMAIN",
			"\xbe\xef\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00" + q("\x02nx"+gslb, 1),
			"\xbe\xef\x84\x03\x00\x01\x00\x00\x00\x01\x00\x00" + q("\x02nx"+gslb, 1) +
				"\xc0\x0f\x00\x06\x00\x01\x00\x00\x00\x0a\x00\x27" + "\x03ns1\xc0\x0f" + "\x0ahostmaster\xc0\x0f" +
				"\x00\x00\x00\x07\x00\x00\x0e\x10\x00\x00\x02\x58\x00\x09\x3a\x80\x00\x00\x00\x0a"},
		{"NODATA for AAAA with OPT",
			"\xbe\xef\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01" + q("\x04mail"+gslb, 28) + "\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00",
			"\xbe\xef\x84\x00\x00\x01\x00\x00\x00\x01\x00\x01" + q("\x04mail"+gslb, 28) +
				"\xc0\x11\x00\x06\x00\x01\x00\x00\x00\x0a\x00\x27" + "\x03ns1\xc0\x11" + "\x0ahostmaster\xc0\x11" +
				"\x00\x00\x00\x07\x00\x00\x0e\x10\x00\x00\x02\x58\x00\x09\x3a\x80\x00\x00\x00\x0a" +
				"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"},
		{"REFUSED",
			"\xbe\xef\x01\x10\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x00\x00\x01\x00\x01",
			"\xbe\xef\x81\x05\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x00\x00\x01\x00\x01"},
		{"FORMERR with nothing to echo",
			"\xbe\xef\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00\x01x\x00\x00\x01\x00\x01\x01y\x00\x00\x01\x00\x01",
			"\xbe\xef\x81\x01\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"NOTIMP",
			"\xbe\xef\x28\x00\x00\x00\x00\x00\x00\x00\x00\x00",
			"\xbe\xef\xa8\x04\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"BADVERS",
			"\xbe\xef\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01x\x00\x00\x01\x00\x01\x00\x00\x29\x04\xd0\x00\x01\x00\x00\x00\x00",
			"\xbe\xef\x80\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01x\x00\x00\x01\x00\x01\x00\x00\x29\x04\xd0\x01\x00\x00\x00\x00\x00"},
	}
	for _, tt := range tests {
		got := testAnswerer(testSnapshot(t, nil), UDP).Answer(nil, []byte(tt.msg), resolver, 1232)
		if string(got) != tt.want {
			t.Errorf("%s:\ngot  %q\nwant %q", tt.name, got, tt.want)
		}
	}
}
