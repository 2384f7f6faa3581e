package zone

import (
	"math/bits"
	"net/netip"
	"slices"
)

// An acl is a set of addresses: ranges in order that do not touch, those of IPv4 before those of IPv6.
type acl []addrRange

type addrRange struct{ first, last netip.Addr }

// newACL returns the set of all addresses in some prefixes. Prefixes of IPv4 addresses mapped to IPv6 stand for those.
func newACL(prefixes []netip.Prefix) acl {
	list := make(acl, 0, len(prefixes))
	for _, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if p.IsValid() {
			list = append(list, addrRange{p.Masked().Addr(), lastOf(p)})
		}
	}
	slices.SortFunc(list, func(a, b addrRange) int { return a.first.Compare(b.first) })
	out := list[:0]
	for _, r := range list {
		if n := len(out); n > 0 && out[n-1].last.BitLen() == r.first.BitLen() && (r.first.Compare(out[n-1].last) <= 0 || r.first == out[n-1].last.Next()) {
			if r.last.Compare(out[n-1].last) > 0 {
				out[n-1].last = r.last
			}
			continue
		}
		out = append(out, r)
	}
	return slices.Clip(out)
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// has reports whether an address is in the set.
func (l acl) has(addr netip.Addr) bool {
	_, in := l.find(addr.Unmap().WithZone(""))
	return in
}

// find returns the position of the range that an address, which is not one of IPv4 in IPv6, is in, or else of the first one behind it.
func (l acl) find(addr netip.Addr) (pos int, in bool) {
	i, found := slices.BinarySearchFunc(l, addr, func(r addrRange, a netip.Addr) int { return r.first.Compare(a) })
	if found {
		return i, true
	}
	if i > 0 && l[i-1].last.BitLen() == addr.BitLen() && addr.Compare(l[i-1].last) <= 0 {
		return i - 1, true
	}
	return i, false
}

// span returns whether an address is in the set, and the length of the shortest prefix around it of which that is true as a whole; varies
// says whether it is not true of any addresses at all, of whichever family.
func (l acl) span(addr netip.Addr) (in bool, length uint8, varies bool) {
	addr = addr.Unmap().WithZone("")
	i, in := l.find(addr)
	var before, after netip.Addr // the nearest of which it is not true; invalid: there is none
	if in {
		before, after = l[i].first.Prev(), l[i].last.Next()
		varies = len(l) != 2 || before.IsValid() || after.IsValid() || l[1-i].first.Prev().IsValid() || l[1-i].last.Next().IsValid()
	} else {
		if i > 0 {
			before = l[i-1].last
		}
		if i < len(l) {
			after = l[i].first
		}
		varies = len(l) > 0
	}
	for _, other := range [...]netip.Addr{before, after} {
		if other.BitLen() == addr.BitLen() {
			length = max(length, common(addr, other)+1)
		}
	}
	return in, length, varies
}

// common returns how many leading bits two addresses of one family share.
func common(a, b netip.Addr) uint8 {
	x, y := a.As16(), b.As16()
	n := 0
	for n < len(x) && x[n] == y[n] {
		n++
	}
	if n == len(x) {
		return uint8(a.BitLen())
	}
	return uint8(8*n + bits.LeadingZeros8(x[n]^y[n]) - (128 - a.BitLen()))
}

// covers reports whether all addresses of some prefixes are in the set.
func (l acl) covers(prefixes []netip.Prefix) bool {
	for _, r := range newACL(prefixes) {
		i, in := l.find(r.first)
		if !in || r.last.Compare(l[i].last) > 0 {
			return false
		}
	}
	return true
}
