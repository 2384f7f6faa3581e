package dnsserver

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
)

// A client is on whose behalf a query is answered, as a Plan takes it.
type client struct {
	prefix netip.Prefix // IPv4 that came in an IPv6 form is IPv4 here, except for the mapped form, which the Plan reads itself
	asked  netip.Prefix // the client subnet that prefix was made of, as it came; invalid if prefix is the resolver's address
	before uint8        // how many bits of asked go before the IPv4 ones
	block  uint8        // the length of the network around a subnet that nobody routes, in the form it was asked in; 0 = there is none
	key    uint64       // stays the same for a client, on all nodes
}

// locate returns the client of a query from a resolver's address. A client subnet goes before the resolver's address, unless it
// says nothing: its prefix length is 0 (RFC 7871 7.1.2: "do not use it") or no such network is reached over the Internet (7.1.2,
// 11.2). Then the resolver's address counts. Networks for documentation do count: they stand for places in examples.
func locate(q *wire.Query, from netip.Addr) client {
	block := uint8(0)
	if q.HasSubnet && q.Subnet.Bits() > 0 {
		p, before := unembed(q.Subnet)
		if block = unrouted(p); block == 0 {
			c := client{prefix: p, asked: q.Subnet, before: before, key: policy.ClientKey(p.Addr())}
			if q.Subnet.Addr().Is4In6() { // the Plan knows this form, and its scopes
				c.prefix, c.before = q.Subnet, 0
			}
			return c
		}
		block += before
	}
	from = from.WithZone("")
	p, _ := unembed(netip.PrefixFrom(from, from.BitLen()))
	return client{prefix: p, key: policy.ClientKey(p.Addr()), block: block}
}

// scope returns the scope to answer with: the shortest prefix of the client subnet's own family in which every address gets the same
// decision (RFC 7871 7.2.1). It is 0 only if all addresses of both families do, for caches hand answers of scope 0 to everybody, and
// never use longer ones for the same name beside them. A subnet that nobody routes has the answer of the resolver, which holds for all of
// the network that is set aside.
func (c *client) scope(d *policy.Decision) uint8 {
	switch {
	case d.Scope == 0:
		return 0
	case !c.asked.IsValid():
		return c.block
	case c.before > 0:
		return c.before + d.Scope
	case c.prefix.Addr().Is4(), c.prefix.Addr().Is4In6():
		return d.Scope
	}
	return max(d.Scope, apart(c.prefix.Addr()))
}

// holds returns the scope of what is so for all in a prefix of so many bits around the client, in the family it is taken for, and not for
// some others if it varies, as scope does.
func (c *client) holds(bits uint8, varies bool) uint8 {
	addr := c.prefix.Addr()
	switch {
	case !varies:
		return 0
	case !c.asked.IsValid():
		return c.block
	case c.before > 0:
		return c.before + bits
	case addr.Is4In6():
		return 96 + bits
	case addr.Is4():
		return max(bits, 1)
	}
	return max(bits, 1, apart(addr))
}

// An embedding is a range of IPv6 addresses that hold an IPv4 address: the client is where that is.
type embedding struct {
	hi, lo  uint64 // the first address
	bits    uint8  // the length of the prefix
	at      uint8  // the bit at which the IPv4 address begins
	flipped bool   // its bits are inverted
}

// The embeddings, in the order of their addresses.
var embeddings = [...]embedding{
	{0, 0, 96, 96, false},                     // IPv4-compatible (RFC 4291 2.5.5.1)
	{0, 0xffff_0000_0000, 96, 96, false},      // IPv4-mapped (RFC 4291 2.5.5.2)
	{0, 0xffff_0000_0000_0000, 96, 96, false}, // IPv4-translated (RFC 2765 2.1)
	{0x0064_ff9b << 32, 0, 96, 96, false},     // NAT64 (RFC 6052 2.1)
	{0x2001_0000 << 32, 0, 32, 96, true},      // Teredo (RFC 4380 4)
	{0x2002 << 48, 0, 16, 16, false},          // 6to4 (RFC 3056 2)
}

// common returns how many leading bits an address has in common with the range, at most the length of its prefix.
func (e *embedding) common(hi, lo uint64) uint8 {
	n := bits.LeadingZeros64(hi ^ e.hi)
	if n == 64 {
		n += bits.LeadingZeros64(lo ^ e.lo)
	}
	return uint8(min(n, int(e.bits)))
}

// unembed returns the IPv4 prefix that an IPv6 prefix holds, and how many bits stand before it. Any other prefix is returned as it is.
func unembed(p netip.Prefix) (v4 netip.Prefix, before uint8) {
	if !p.Addr().Is6() || p.Bits() <= 16 {
		return p, 0
	}
	a := p.Addr().As16()
	if a[0] != 0 && (a[0] != 0x20 || a[1]&^3 != 0) { // most of the Internet
		return p, 0
	}
	hi, lo := binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])
	for i := range embeddings {
		e := &embeddings[i]
		if p.Bits() <= int(e.at) || e.common(hi, lo) < e.bits {
			continue
		}
		x := [4]byte(a[e.at/8:])
		if e.flipped {
			for j := range x {
				x[j] = ^x[j]
			}
		}
		v4 = netip.PrefixFrom(netip.AddrFrom4(x), min(p.Bits()-int(e.at), 32))
		return v4.Masked(), e.at
	}
	return p, 0
}

// apart returns the length of the shortest prefix around an IPv6 address that holds no embedded IPv4 address, for the client of such a
// one is elsewhere. Within an embedding it is so long that it tells IPv4 addresses apart.
func apart(addr netip.Addr) (length uint8) {
	a := addr.As16()
	hi, lo := binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])
	for i := range embeddings {
		e := &embeddings[i]
		if n := e.common(hi, lo); n < e.bits {
			length = max(length, n+1)
		} else {
			length = max(length, e.at+32)
		}
	}
	return length
}

// unrouted returns the length of the network set aside, private, shared, loopback, link-local, multicast or reserved (RFC 6890), that all of
// a prefix is in: nobody elsewhere can speak for clients there. It is 0 if there is none.
func unrouted(p netip.Prefix) uint8 {
	addr, bits := p.Addr(), p.Bits()
	if addr.Is4() {
		a := addr.As4()
		switch {
		case a[0] == 0 && bits >= 8, a[0] == 10 && bits >= 8, a[0] == 127 && bits >= 8:
			return 8
		case a[0] == 172 && a[1]&0xf0 == 16 && bits >= 12:
			return 12
		case a[0] == 192 && a[1] == 168 && bits >= 16, a[0] == 169 && a[1] == 254 && bits >= 16:
			return 16
		case a[0] == 100 && a[1]&0xc0 == 64 && bits >= 10:
			return 10
		case a[0] >= 224: // 224/4 multicast, 240/4 reserved
			return 3
		}
		return 0
	}
	a := addr.As16()
	switch {
	case a[0] == 0: // ::, ::1, and nothing else that is not embedded IPv4
		return max(8, apart(addr))
	case a[0]&0xfe == 0xfc && bits >= 7: // unique local
		return 7
	case a[0] == 0xfe && a[1]&0xc0 == 0x80 && bits >= 10: // link-local
		return 10
	case a[0] == 0xff: // multicast
		return 8
	}
	return 0
}
