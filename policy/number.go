package policy

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// mask32 returns a netmask of n bits, 0 ≤ n ≤ 32.
func mask32(n int) uint32 { return uint32(^uint64(0) << (32 - n)) }

// u128 is an IPv6 address, or an IPv4 address in its low 32 bits, as a number.
type u128 struct{ hi, lo uint64 }

// u128Of returns an address as a number.
func u128Of(a netip.Addr) u128 {
	if a.Is4() {
		b := a.As4()
		return u128{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return u128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// mask128 returns a netmask of n bits, 0 ≤ n ≤ 128.
func mask128(n int) u128 {
	if n <= 64 {
		return u128{^uint64(0) << (64 - n), 0}
	}
	return u128{^uint64(0), ^uint64(0) << (128 - n)}
}

// addr returns a number as the address that it is of.
func (a u128) addr(v4 bool) netip.Addr {
	if v4 {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(a.lo))))
	}
	return netip.AddrFrom16([16]byte(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, a.hi), a.lo)))
}

func (a u128) and(b u128) u128 { return u128{a.hi & b.hi, a.lo & b.lo} }

// length returns the number of bits that a takes.
func (a u128) length() int {
	if a.hi != 0 {
		return 64 + bits.Len64(a.hi)
	}
	return bits.Len64(a.lo)
}

// less reports a < b.
func (a u128) less(b u128) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

// compare returns -1, 0 or 1 as a is less than, equal to or more than b.
func (a u128) compare(b u128) int {
	if a.hi != b.hi {
		return cmp.Compare(a.hi, b.hi)
	}
	return cmp.Compare(a.lo, b.lo)
}

// atLeast returns 1 if a ≥ b, 0 otherwise, without a branch: which it is, a search cannot guess.
func (a u128) atLeast(b u128) int {
	_, borrow := bits.Sub64(a.lo, b.lo, 0)
	_, borrow = bits.Sub64(a.hi, b.hi, borrow)
	return int(1 - borrow)
}

// next returns a+1, which wraps at the end.
func (a u128) next() u128 {
	lo, carry := bits.Add64(a.lo, 1, 0)
	return u128{a.hi + carry, lo}
}

// prev returns a-1, which wraps at 0.
func (a u128) prev() u128 {
	lo, borrow := bits.Sub64(a.lo, 1, 0)
	return u128{a.hi - borrow, lo}
}

// common returns the number of leading bits that a and b share.
func (a u128) common(b u128) int {
	if a.hi != b.hi {
		return bits.LeadingZeros64(a.hi ^ b.hi)
	}
	return 64 + bits.LeadingZeros64(a.lo^b.lo)
}

// firstAddr returns the first address of a prefix as a number.
func firstAddr(p netip.Prefix) u128 { return u128Of(p.Masked().Addr()) }

// familyIndex returns 0 for IPv4, 1 for IPv6.
func familyIndex(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}
