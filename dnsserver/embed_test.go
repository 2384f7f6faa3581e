package dnsserver

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// embedded are the forms in which an IPv6 address holds an IPv4 one: a client of any of them is where the IPv4 address is.
var embedded = []struct {
	name   string
	before int // bits before those of the IPv4 address
	make   func(v4 [4]byte) [16]byte
}{
	{"compatible", 96, last32("::", 0)},
	{"mapped", 96, last32("::ffff:0:0", 0)},
	{"SIIT", 96, last32("::ffff:0:0:0", 0)},
	{"NAT64", 96, last32("64:ff9b::", 0)},
	{"Teredo", 96, last32("2001:0:1234:5678:8000:63bf::", 0xff)},
	{"6to4", 16, func(v4 [4]byte) [16]byte {
		a := netip.MustParseAddr("2002::1").As16()
		copy(a[2:], v4[:])
		return a
	}},
}

// last32 puts an IPv4 address, its bits flipped by a mask, behind 96 bits.
func last32(prefix string, mask byte) func([4]byte) [16]byte {
	return func(v4 [4]byte) [16]byte {
		a := netip.MustParseAddr(prefix).As16()
		for i, b := range v4 {
			a[12+i] = b ^ mask
		}
		return a
	}
}

// TestEmbeddedClients: whatever form an IPv4 client has, it gets the answer of the IPv4 client, with the same scope after the bits that go
// before; and no address within that scope gets another answer.
func TestEmbeddedClients(t *testing.T) {
	a := testAnswerer(testSnapshot(t, nil), UDP)
	ask := func(name string, p netip.Prefix) (answered string, scope int) {
		r := answer(t, a, query(name, dns.TypeA, subnet(p.String())))
		return r.Answer[0].(*dns.A).A.String(), int(subnetOf(r).SourceScope)
	}
	rnd := rand.New(rand.NewPCG(17, 25))
	for i := range 200 {
		v4 := [4]byte{198, 51, byte(99 + i%3), byte(i)}
		if i%4 == 0 {
			binary.BigEndian.PutUint32(v4[:], rnd.Uint32())
		}
		plain := netip.PrefixFrom(netip.AddrFrom4(v4), 32)
		if unrouted(plain) > 0 {
			continue
		}
		want, wantScope := ask("www.gslb.example", plain)
		for _, e := range embedded {
			addr := netip.AddrFrom16(e.make(v4))
			got, scope := ask("www.gslb.example", netip.PrefixFrom(addr, 128))
			if got != want || scope != e.before+wantScope {
				t.Fatalf("%s of %s: %s, scope %d; IPv4 gets %s, scope %d", e.name, plain, got, scope, want, wantScope)
			}
			for range 8 {
				other := randomWithin(rnd, netip.PrefixFrom(addr, scope))
				if !reached(netip.PrefixFrom(other, 128)) {
					continue // the resolver's address decides for those that are not routed
				}
				if got, _ := ask("www.gslb.example", netip.PrefixFrom(other, 128)); got != want {
					t.Fatalf("%s of %s: %s, scope %d; %s within it gets %s", e.name, plain, want, scope, other, got)
				}
			}
		}
	}
}

// TestScopeOfIPv6 holds no embedded IPv4 address of another decision: random addresses near the forms, and everything within their scope.
func TestScopeOfIPv6(t *testing.T) {
	a := testAnswerer(testSnapshot(t, nil), UDP)
	ask := func(name string, addr netip.Addr) (string, int) {
		r := answer(t, a, query(name, dns.TypeA, subnet(fmt.Sprint(addr, "/128"))))
		return r.Answer[0].(*dns.A).A.String(), int(subnetOf(r).SourceScope)
	}
	rnd := rand.New(rand.NewPCG(6, 4))
	for range 300 {
		near := netip.AddrFrom16(embedded[rnd.IntN(len(embedded))].make([4]byte{198, 51, 100, 7}))
		addr := randomWithin(rnd, netip.PrefixFrom(near, rnd.IntN(129)))
		if !reached(netip.PrefixFrom(addr, 128)) {
			continue
		}
		for _, name := range []string{"www.gslb.example", "six.gslb.example"} {
			want, scope := ask(name, addr)
			within := netip.PrefixFrom(addr, scope)
			others := []netip.Addr{randomWithin(rnd, within), randomWithin(rnd, within)}
			for _, e := range embedded { // the places where other decisions are likely
				for _, v4 := range [][4]byte{{198, 51, 100, 9}, {192, 0, 2, 9}} {
					others = append(others, netip.AddrFrom16(e.make(v4)))
				}
			}
			for _, other := range others {
				if !within.Contains(other) || !reached(netip.PrefixFrom(other, 128)) {
					continue
				}
				if got, _ := ask(name, other); got != want {
					t.Fatalf("%s: %s gets %s, scope %d; %s within it gets %s", name, addr, want, scope, other, got)
				}
			}
		}
	}
}

// randomWithin returns an address that shares a prefix's bits.
func randomWithin(rnd *rand.Rand, p netip.Prefix) netip.Addr {
	a := p.Addr().As16()
	for i := p.Bits(); i < 128; i++ {
		a[i/8] = a[i/8]&^(0x80>>(i%8)) | byte(rnd.Uint32())&(0x80>>(i%8))
	}
	return netip.AddrFrom16(a)
}
