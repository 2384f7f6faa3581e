package limit

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// The lengths of the networks that are counted, and how many times the rate of one address each may send: what Knot DNS has, in the
// hope that it fits how many independent clients there are in one.
var (
	lengths4 = [...]network{{32, 1}, {24, 32}, {20, 256}, {18, 768}}
	lengths6 = [...]network{{128, 1}, {64, 2}, {56, 3}, {48, 4}, {32, 64}}
)

type network struct {
	bits  int
	times uint64
}

// perQuery is how long a query counts for an address, in ticks; for a network that may send n times more, an n-th of it.
const perQuery = 768

// maxLevels is the most lengths of a family.
const maxLevels = len(lengths6)

var (
	costs4 = costs(lengths4[:])
	costs6 = costs(lengths6[:])
)

func costs(networks []network) *[maxLevels]uint64 {
	var c [maxLevels]uint64
	for i, n := range networks {
		c[i] = perQuery / n.times
	}
	return &c
}

// prefixes4 makes q the question for an IPv4 address.
func (q *question) prefixes4(l *Limiter, a uint32) {
	q.n, q.costs = len(lengths4), costs4
	for i := range lengths4 {
		n := lengths4[i].bits
		q.hash[i] = l.hash(uint64(a>>(32-n)), uint64(n)|family4)
	}
}

// prefixes6 makes q the question for an IPv6 address.
func (q *question) prefixes6(l *Limiter, addr netip.Addr) {
	a := addr.As16()
	hi, lo := binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])
	q.n, q.costs = len(lengths6), costs6
	q.hash[0] = l.hash128(hi, lo)
	for i := 1; i < len(lengths6); i++ {
		n := lengths6[i].bits
		q.hash[i] = l.hash(hi>>(64-n), uint64(n))
	}
}

// family4 tells the IPv4 /32 from the IPv6 one.
const family4 = 1 << 8

func word4(addr netip.Addr) uint32 {
	a := addr.As4()
	return binary.BigEndian.Uint32(a[:])
}

// hash and hash128 are SipHash (Aumasson, Bernstein, "SipHash: a fast short-input PRF", 2012) with one round for each word and three
// at the end, which nobody who does not see the hashes is known to tell from chance. The length of the prefix, and by it the number
// of words, which the original has at the end, is in the beginning.
func (l *Limiter) hash(w, length uint64) uint64 {
	v0, v1, v2, v3 := l.k0^sip0, l.k1^sip1^length, l.k0^sip2, l.k1^sip3
	v0, v1, v2, v3 = round(v0, v1, v2, v3^w)
	v0, v1, v2, v3 = round(v0^w, v1, v2^0xff, v3)
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	return v0 ^ v1 ^ v2 ^ v3
}

func (l *Limiter) hash128(w, x uint64) uint64 {
	v0, v1, v2, v3 := l.k0^sip0, l.k1^sip1^128, l.k0^sip2, l.k1^sip3
	v0, v1, v2, v3 = round(v0, v1, v2, v3^w)
	v0, v1, v2, v3 = round(v0^w, v1, v2, v3^x)
	v0, v1, v2, v3 = round(v0^x, v1, v2^0xff, v3)
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	return v0 ^ v1 ^ v2 ^ v3
}

// The words that SipHash begins with, before the key.
const (
	sip0 = 0x736f6d6570736575
	sip1 = 0x646f72616e646f6d
	sip2 = 0x6c7967656e657261
	sip3 = 0x7465646279746573
)

func round(v0, v1, v2, v3 uint64) (uint64, uint64, uint64, uint64) {
	v0 += v1
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v3
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 += v3
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 += v1
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v2 = bits.RotateLeft64(v2, 32)
	return v0, v1, v2, v3
}

func keyWords(key [16]byte) (k0, k1 uint64) {
	return binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])
}
