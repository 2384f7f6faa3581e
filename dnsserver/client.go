package dnsserver

import (
	"encoding/binary"
	"net/netip"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// A client is on whose behalf a query is answered, as a Plan takes it.
type client struct {
	prefix netip.Prefix
	subnet bool // prefix is the query's client subnet, just as it came, so the answer's scope tells for whom else it holds
}

// locate returns the client of a query from a resolver's address. A client subnet goes before the resolver's address, unless it
// says nothing: its prefix length is 0 (RFC 7871 7.1.2: "do not use it") or no such network is reached over the Internet (7.1.2,
// 11.2). Then the resolver's address counts and the scope is 0. Networks for documentation do count: they stand for places in
// examples.
func locate(q *wire.Query, from netip.Addr) client {
	if q.HasSubnet && routable(q.Subnet) {
		return client{prefix: q.Subnet, subnet: true}
	}
	from = from.Unmap().WithZone("")
	return client{prefix: netip.PrefixFrom(from, from.BitLen())}
}

// scope returns the scope to answer with from the one of a Decision, which counts in the family of the prefix it was asked with.
func (c *client) scope(decided uint8) uint8 {
	if !c.subnet {
		return 0
	}
	return decided
}

// routable reports whether a prefix can be a network of clients that a resolver elsewhere speaks for: not empty, nor wholly
// private, shared, loopback, link-local, multicast or reserved (RFC 6890). IPv4 written as IPv6 (::ffff:0:0/96) is as good as IPv4.
func routable(p netip.Prefix) bool {
	addr, bits := p.Addr(), p.Bits()
	if addr.Is4In6() && bits >= 96 {
		addr, bits = addr.Unmap(), bits-96
	}
	if bits <= 0 { // or no prefix at all
		return false
	}
	if addr.Is4() {
		a := addr.As4()
		switch {
		case a[0] == 0 && bits >= 8, a[0] == 10 && bits >= 8, a[0] == 127 && bits >= 8:
			return false
		case a[0] == 172 && a[1]&0xf0 == 16 && bits >= 12:
			return false
		case a[0] == 192 && a[1] == 168 && bits >= 16, a[0] == 169 && a[1] == 254 && bits >= 16:
			return false
		case a[0] == 100 && a[1]&0xc0 == 64 && bits >= 10:
			return false
		}
		return a[0] < 224 // 224/4 multicast, 240/4 reserved
	}
	a := addr.As16()
	switch {
	case a[0] == 0: // ::, ::1, IPv4 in other forms
		return false
	case a[0]&0xfe == 0xfc && bits >= 7: // unique local
		return false
	case a[0] == 0xfe && a[1]&0xc0 == 0x80 && bits >= 10: // link-local
		return false
	}
	return a[0] != 0xff // multicast
}

// key returns a number that stays the same for a client: of its /24 or /56, so that the machines behind one connection share it.
// It depends on nothing else, so all nodes of a deployment agree on it.
func (c *client) key() uint64 {
	a := c.prefix.Addr().As16()
	hi, lo := binary.BigEndian.Uint64(a[:8]), uint64(0)
	if addr := c.prefix.Addr(); addr.Is4() || addr.Is4In6() {
		hi, lo = 1, binary.BigEndian.Uint64(a[8:])&^0xff
	} else {
		hi &^= 0xff
	}
	return mix(mix(hi) ^ lo)
}

// mix is a bijection that spreads every bit of x over all others (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
