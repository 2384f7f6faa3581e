package zone

import (
	"cmp"
	"net/netip"
	"slices"
)

// An acl is a set of addresses: disjoint ranges in order, those of IPv4 before those of IPv6.
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
		if n := len(out); n > 0 && out[n-1].last.BitLen() == r.first.BitLen() && r.first.Compare(out[n-1].last) <= 0 {
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
	addr = addr.Unmap().WithZone("")
	i, found := slices.BinarySearchFunc(l, addr, func(r addrRange, a netip.Addr) int {
		return cmp.Compare(r.first.Compare(a), 0)
	})
	return found || i > 0 && l[i-1].last.BitLen() == addr.BitLen() && addr.Compare(l[i-1].last) <= 0
}
