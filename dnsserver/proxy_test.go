package dnsserver

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The commands, and the families with the transport, of the PROXY protocol.
const (
	local, proxied             = 0x20, 0x21
	unspec, v4Stream, v4Dgram  = 0x00, 0x11, 0x12
	v6Stream, v6Dgram, unixOne = 0x21, 0x22, 0x31
)

// proxyHeader writes a header as a proxy does.
func proxyHeader(command, kind byte, addresses []byte) []byte {
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), command, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(addresses)))
	return append(b, addresses...)
}

// proxyFor writes the header for a client, followed by the given TLVs.
func proxyFor(client string, tlvs ...byte) []byte {
	from := netip.MustParseAddrPort(client)
	kind, to := byte(v4Dgram), netip.MustParseAddr("192.0.2.53")
	if from.Addr().Is6() {
		kind, to = v6Dgram, netip.MustParseAddr("2001:db8::53")
	}
	b := slices.Concat(from.Addr().AsSlice(), to.AsSlice(), binary.BigEndian.AppendUint16(nil, from.Port()), []byte{0, 53}, tlvs)
	return proxyHeader(proxied, kind, b)
}

func TestParseProxy(t *testing.T) {
	v4, v6 := proxyFor("198.51.100.9:1234"), proxyFor("[2001:db8:2::9]:1234")
	edit := func(b []byte, at int, c byte) []byte {
		b = slices.Clone(b)
		b[at] = c
		return b
	}
	for _, tt := range []struct {
		name    string
		in      []byte
		outcome proxyOutcome
		client  string // "": the proxy itself
	}{
		{"IPv4", v4, proxyGood, "198.51.100.9:1234"},
		{"IPv4 by stream", edit(v4, 13, v4Stream), proxyGood, "198.51.100.9:1234"},
		{"IPv6", v6, proxyGood, "[2001:db8:2::9]:1234"},
		{"IPv6 by stream", edit(v6, 13, v6Stream), proxyGood, "[2001:db8:2::9]:1234"},
		{"IPv4 as IPv6", proxyFor("[::ffff:198.51.100.9]:1234"), proxyGood, "198.51.100.9:1234"},
		{"TLVs", proxyFor("198.51.100.9:1234", 0xe0, 0, 2, 1, 2, 0x04, 0, 0), proxyGood, "198.51.100.9:1234"},
		{"something after the addresses that is no TLV", proxyFor("198.51.100.9:1234", 0xe0, 0xff), proxyGood, "198.51.100.9:1234"},
		{"the longest", proxyHeader(proxied, unspec, make([]byte, proxyMost-proxyFixed)), proxyGood, ""},
		{"local", proxyHeader(local, unspec, nil), proxyGood, ""},
		{"local with an address", edit(v4, 12, local), proxyGood, ""},
		{"local of an unknown family", proxyHeader(local, 0x77, []byte{1}), proxyGood, ""},
		{"unspecified", proxyHeader(proxied, unspec, nil), proxyGood, ""},
		{"unix", proxyHeader(proxied, unixOne, make([]byte, 216)), proxyGood, ""},

		{"version 1", []byte("PROXY TCP4 198.51.100.9 192.0.2.53 1234 53\r\n"), proxyBad, ""},
		{"a query", pack(t, query("www.gslb.example", dns.TypeA)), proxyBad, ""},
		{"version 3", edit(v4, 12, 0x31), proxyBad, ""},
		{"command 2", edit(v4, 12, 0x22), proxyBad, ""},
		{"family 4", edit(v4, 13, 0x41), proxyBad, ""},
		{"transport 3", edit(v4, 13, 0x13), proxyBad, ""},
		{"IPv4 without a transport", edit(v4, 13, 0x10), proxyBad, ""},
		{"IPv4 too short", proxyHeader(proxied, v4Dgram, make([]byte, 11)), proxyBad, ""},
		{"IPv6 too short", proxyHeader(proxied, v6Dgram, make([]byte, 35)), proxyBad, ""},
		{"unix too short", proxyHeader(proxied, unixOne, make([]byte, 215)), proxyBad, ""},
		{"too long", proxyHeader(proxied, unspec, make([]byte, proxyMost-proxyFixed+1)), proxyBad, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rest := []byte("the message")
			size, client, outcome := parseProxy(slices.Concat(tt.in, rest))
			if outcome != tt.outcome {
				t.Fatalf("outcome %d, want %d", outcome, tt.outcome)
			}
			want, _ := netip.ParseAddrPort(tt.client)
			if client != want {
				t.Errorf("client %v, want %v", client, want)
			}
			if outcome != proxyGood {
				return
			}
			if size != len(tt.in) {
				t.Errorf("size %d, want %d", size, len(tt.in))
			}
			for n := range tt.in {
				if _, _, outcome := parseProxy(tt.in[:n]); outcome != proxyShort {
					t.Fatalf("%d of its bytes: outcome %d", n, outcome)
				}
			}
		})
	}
}

func FuzzParseProxy(f *testing.F) {
	f.Add(proxyFor("198.51.100.9:1234"))
	f.Add(proxyFor("[2001:db8:2::9]:1234", 0x04, 0, 0))
	f.Add(proxyHeader(local, unspec, nil))
	f.Add(proxyHeader(proxied, unixOne, make([]byte, 216)))
	f.Add([]byte("PROXY TCP4 198.51.100.9 192.0.2.53 1234 53\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		size, client, outcome := parseProxy(b)
		switch outcome {
		case proxyGood:
			if size < proxyFixed || size > len(b) || size > proxyMost {
				t.Fatalf("size %d of %d", size, len(b))
			}
			again, same, outcome := parseProxy(b[:size])
			if again != size || same != client || outcome != proxyGood {
				t.Fatal("what follows the header changes it")
			}
			if client.IsValid() && (client.Addr().Is4In6() || client.Addr().Zone() != "") {
				t.Fatalf("client %v", client)
			}
		case proxyShort:
			if len(b) >= proxyMost {
				t.Fatalf("%d bytes are not enough", len(b))
			}
			if client.IsValid() {
				t.Fatal("a client before the header is whole")
			}
		default:
			if client.IsValid() {
				t.Fatalf("client %v of no header", client)
			}
			if _, _, outcome := parseProxy(append(bytes.Clone(b), make([]byte, 64)...)); outcome != proxyBad {
				t.Fatal("bad bytes become good by what follows")
			}
		}
	})
}

// proxyAnswerer returns an Answerer that trusts resolver.
func proxyAnswerer(t testing.TB, limits RateConfig) *Answerer {
	o := testAnswerer(testSnapshot(t, nil), UDP).AnswererOptions
	o.Proxy = []netip.Prefix{netip.MustParsePrefix("::ffff:203.0.113.0/120"), netip.MustParsePrefix("2001:db8:ffff::/48")}
	o.Limiter = NewLimiter(limits)
	return NewAnswerer(o)
}

// TestProxyClient sees that the client that the header names decides the answer.
func TestProxyClient(t *testing.T) {
	msg := pack(t, query("www.gslb.example", dns.TypeA))
	const eu, us = "192.0.2.10", "198.51.100.10"
	for _, tt := range []struct {
		name   string
		header []byte
		from   string
		want   string // address; "": no response
	}{
		{"no proxy", nil, "198.51.100.9:5", us},
		{"proxy for a client", proxyFor("198.51.100.9:1234"), "203.0.113.5:4444", us},
		{"proxy for another", proxyFor("192.0.2.9:1234"), "203.0.113.5:4444", eu},
		{"proxy for a client of IPv6", proxyFor("[2001:db8:2::9]:1234"), "203.0.113.5:4444", us},
		{"proxy by IPv6", proxyFor("198.51.100.9:1234"), "[2001:db8:ffff::1]:4444", us},
		{"proxy by IPv4 as IPv6", proxyFor("198.51.100.9:1234"), "[::ffff:203.0.113.5]:4444", us},
		{"proxy for itself", proxyHeader(local, unspec, nil), "203.0.113.5:4444", eu},
		{"proxy without header", nil, "203.0.113.5:4444", ""},
		{"proxy with half a header", proxyFor("198.51.100.9:1234")[:14], "203.0.113.5:4444", ""},
		{"proxy of port 0", proxyFor("198.51.100.9:1234"), "203.0.113.5:0", ""},
		{"client of port 0", proxyFor("198.51.100.9:0"), "203.0.113.5:4444", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := proxyAnswerer(t, RateConfig{Off: true})
			out := a.Answer(nil, slices.Concat(tt.header, msg), netip.MustParseAddrPort(tt.from), 1232)
			if tt.want == "" {
				if len(out) > 0 {
					t.Fatalf("answered: %x", out)
				}
				if a.counters.dropped[dropProxy].Load()+a.counters.dropped[dropMalformed].Load() != 1 {
					t.Error("not counted")
				}
				return
			}
			r := new(dns.Msg)
			if err := r.Unpack(out); err != nil {
				t.Fatal(err)
			}
			if got := show(r); !strings.Contains(got, " A "+tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestProxyUntrusted sends a header from where none is believed: it is no answer for the client in it, but whatever its bytes say.
func TestProxyUntrusted(t *testing.T) {
	a := proxyAnswerer(t, RateConfig{Off: true})
	msg := pack(t, query("www.gslb.example", dns.TypeA))
	out := a.Answer(nil, slices.Concat(proxyFor("198.51.100.9:1234"), msg), netip.MustParseAddrPort("192.0.2.1:5"), 1232)
	if len(out) < 12 || out[3]&15 == dns.RcodeSuccess || binary.BigEndian.Uint16(out[6:]) != 0 {
		t.Errorf("%x", out)
	}
}

// TestProxyRateLimit sees that each client behind a proxy has its own limit, and the proxy none.
func TestProxyRateLimit(t *testing.T) {
	a := proxyAnswerer(t, RateConfig{Rate: 1, Burst: 5, Slip: -1})
	msg := pack(t, query("mail.gslb.example", dns.TypeA))
	for _, client := range []string{"198.51.100.9:1", "198.51.101.9:1", "[2001:db8:2::9]:1"} {
		in, answered := slices.Concat(proxyFor(client), msg), 0
		for range 20 {
			if len(a.Answer(nil, in, resolver, 1232)) > 0 {
				answered++
			}
		}
		if answered != 5 {
			t.Errorf("%s: %d answered, want 5", client, answered)
		}
	}
}

func TestProxyDoesNotAllocate(t *testing.T) {
	a := proxyAnswerer(t, RateConfig{})
	in, buf := slices.Concat(proxyFor("[2001:db8:2::9]:1234"), pack(t, query("www.gslb.example", dns.TypeA))), make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(200, func() { a.Answer(buf, in, resolver, 1232) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestProxyOverUDP asks a server as a proxy does: the answer comes back to it.
func TestProxyOverUDP(t *testing.T) {
	s, _ := start(t, Config{Listen: []string{"127.0.0.1:0"}, Proxy: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	c, err := net.Dial("udp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	msg := pack(t, query("www.gslb.example", dns.TypeA))
	for _, in := range [][]byte{msg, slices.Concat(proxyFor("198.51.100.9:1234"), msg)} { // the first is dropped
		if _, err := c.Write(in); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 4096)
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	r := new(dns.Msg)
	if err := r.Unpack(buf[:n]); err != nil || show(r) != lines("NOERROR aa", "an www.gslb.example. 30 A 198.51.100.10") {
		t.Errorf("%v, %v", show(r), err)
	}
}
