package dnsserver

import (
	"encoding/binary"
	"net/netip"
)

// proxySignature begins every header of the PROXY protocol, version 2 ("The PROXY protocol, versions 1 & 2", HAProxy, 2.2).
const proxySignature = "\r\n\r\n\x00\r\nQUIT\n"

const (
	proxyFixed = 16      // bytes of a header before the addresses
	proxyMost  = 4 << 10 // bytes of a header that we read at most; what is known to come after the addresses is far less
)

// A proxyOutcome is what the bytes at the head of a message or connection are.
type proxyOutcome uint8

const (
	proxyGood  proxyOutcome = iota // a header
	proxyShort                     // the beginning of one
	proxyBad                       // none
)

// parseProxy reads the header that b begins with: its size, and the address that the proxied client has, which is not valid if the
// header names none that we could use. Then the proxy speaks for itself, to see whether we are well (LOCAL), or its client has no
// address (UNSPEC, UNIX). What stands after the addresses (TLVs) is skipped. Commands, families and transports that the protocol
// does not have are refused, as it wants, and version 1.
func parseProxy(b []byte) (size int, client netip.AddrPort, outcome proxyOutcome) {
	n := min(len(b), len(proxySignature))
	switch {
	case string(b[:n]) != proxySignature[:n]:
		return 0, client, proxyBad
	case len(b) > 12 && b[12]>>4 != 2, len(b) > 12 && b[12]&15 > 1:
		return 0, client, proxyBad
	case len(b) < proxyFixed:
		return 0, client, proxyShort
	}
	local, kind, rest := b[12]&15 == 0, b[13], int(binary.BigEndian.Uint16(b[14:]))
	size = proxyFixed + rest
	switch {
	case size > proxyMost, !local && !proxyFits(kind, rest):
		return 0, client, proxyBad
	case len(b) < size:
		return 0, client, proxyShort
	case local:
		return size, client, proxyGood
	}
	switch kind >> 4 {
	case 1:
		a := b[proxyFixed:]
		client = netip.AddrPortFrom(netip.AddrFrom4([4]byte(a)), binary.BigEndian.Uint16(a[8:]))
	case 2:
		a := b[proxyFixed:]
		client = netip.AddrPortFrom(netip.AddrFrom16([16]byte(a)).Unmap(), binary.BigEndian.Uint16(a[32:]))
	}
	return size, client, proxyGood
}

// proxyFits reports whether a family and transport are ones of the protocol, and size is enough for the addresses of the family.
// Whether the client came by a stream or by datagrams does not matter: a proxy may turn one into the other.
func proxyFits(kind byte, size int) bool {
	switch kind {
	case 0x00: // UNSPEC
		return true
	case 0x11, 0x12: // IPv4
		return size >= 12
	case 0x21, 0x22: // IPv6
		return size >= 36
	case 0x31, 0x32: // UNIX
		return size >= 216
	}
	return false
}

// proxies are the networks that headers are taken from. They are few.
type proxies []netip.Prefix

// newProxies returns networks in the form that contain compares in. IPv4 written as IPv6 is IPv4.
func newProxies(networks []netip.Prefix) proxies {
	var ps proxies
	for _, p := range networks {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		ps = append(ps, p)
	}
	return ps
}

// contain reports whether an address is that of a proxy.
func (ps proxies) contain(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, p := range ps {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// unwrap returns the message in a datagram, without the header that it begins with if it is from a proxy, and the address to answer
// for. It is not ok if the header is not, or not all there. From port 0 comes no proxy, but a forgery, whatever client it names.
func (ps proxies) unwrap(msg []byte, from netip.AddrPort) (inner []byte, client netip.AddrPort, ok bool) {
	if from.Port() == 0 || !ps.contain(from.Addr()) {
		return msg, from, true
	}
	size, client, outcome := parseProxy(msg)
	if outcome != proxyGood {
		return nil, from, false
	}
	if !client.IsValid() {
		client = from
	}
	return msg[size:], client, true
}

// unproxy takes off the header that a proxy's connection begins with, as soon as all of it is there, and has the connection count
// for the client that it names. It reports whether the connection may go on.
func (c *conn) unproxy(conns *conns) bool {
	size, client, outcome := parseProxy(c.in)
	switch outcome {
	case proxyShort:
		return true
	case proxyBad:
		conns.rejected[rejectProxy].Add(1)
		return false
	}
	c.proxied = false
	if c.in = c.in[:copy(c.in, c.in[size:])]; len(c.in) == 0 {
		c.in = make([]byte, 0, firstBuffer)
	}
	if !client.IsValid() {
		return true // it counts for nobody
	}
	c.from = client
	return conns.move(c)
}
