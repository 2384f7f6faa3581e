package policy

import (
	"math/bits"
	"slices"
)

// indexFrom is the number of ranges from which a table has an index.
const indexFrom = 256

// A table4 maps every IPv4 address to a value by disjoint ranges: range i is starts[i] to starts[i+1]-1, and neighbours differ in
// value. Half a million prefixes make some 1.5 million ranges, 12 MB; with the index, finding one touches three or four cache lines.
type table4 struct {
	starts []uint32 // starts[0] is 0
	values []uint32
	index  []uint32 // nil, or 65,537 long: the range that address b<<16 is in; the last entry is that of the last address
}

func (t *table4) grow(n int) {
	t.starts, t.values = make([]uint32, 0, n), make([]uint32, 0, n)
}

func (t *table4) len() int           { return len(t.starts) }
func (t *table4) start(i int) u128   { return u128{0, uint64(t.starts[i])} }
func (t *table4) value(i int) uint32 { return t.values[i] }

// add begins a range. Ranges come in order.
func (t *table4) add(start u128, value uint32) {
	if n := len(t.values); n > 0 && t.values[n-1] == value {
		return
	}
	t.starts = append(t.starts, uint32(start.lo))
	t.values = append(t.values, value)
}

// set gives the last range, which begins at start or before it, another value from start on.
func (t *table4) set(start u128, value uint32) {
	if n := len(t.starts) - 1; n >= 0 && t.starts[n] == uint32(start.lo) {
		t.starts, t.values = t.starts[:n], t.values[:n]
	}
	t.add(start, value)
}

// renumber gives each value another, in the room that the table has. It is not sealed.
func (t *table4) renumber(to []uint32) {
	starts, values := t.starts, t.values
	t.starts, t.values = starts[:0], values[:0]
	for i, v := range values {
		t.add(u128{0, uint64(starts[i])}, to[v])
	}
}

// seal ends the adding.
func (t *table4) seal() {
	t.starts, t.values = slices.Clone(t.starts), slices.Clone(t.values)
	if len(t.starts) < indexFrom {
		return
	}
	t.index = make([]uint32, 1<<16+1)
	at := 0
	for b := range 1 << 16 {
		for at+1 < len(t.starts) && t.starts[at+1] <= uint32(b)<<16 {
			at++
		}
		t.index[b] = uint32(at)
	}
	t.index[1<<16] = uint32(len(t.starts) - 1)
}

// find returns the range of an address.
func (t *table4) find(x uint32) int {
	lo, n := 0, len(t.starts)
	if t.index != nil {
		lo = int(t.index[x>>16])
		n = int(t.index[x>>16+1]) - lo + 1
	}
	for n > 1 { // no branch on the address: it is random to the processor
		half := n / 2
		before := int(int64(uint64(x)-uint64(t.starts[lo+half])) >> 63) // -1: the address is before that range, else 0
		lo += half &^ before
		n -= half
	}
	return lo
}

// scope returns the length of the shortest prefix around an address of range at that holds no other range, but for those that no mark
// keeps apart from it.
func (t *table4) scope(x uint32, at int, m marks) uint8 {
	length := 0 // a prefix excludes the neighbour if it is longer than what the two share
	lo, hi := m.around(at)
	if lo > 0 {
		length = 1 + bits.LeadingZeros32(x^(t.starts[lo]-1))
	}
	if hi < len(t.starts) {
		length = max(length, 1+bits.LeadingZeros32(x^t.starts[hi]))
	}
	return uint8(length)
}

// A table6 is a table4 of IPv6 addresses. Its index has two levels, as networks crowd in few of the first 16 bits.
type table6 struct {
	starts []u128
	values []uint32
	index  []bucket // nil, or 65,537 long, by the first 16 bits
	more   []uint32 // second level: as table4.index for the bits after the first 16
}

// A bucket is where to look for the addresses of a /16.
type bucket struct {
	at   uint32 // the range that the first of them is in
	more uint32 // where the bucket's part of table6.more begins, which is 1<<bits+1 long
	bits uint8  // 0: it has none
}

// splitFrom is the number of ranges from which a bucket has a second level.
const splitFrom = 16

func (t *table6) grow(n int) {
	t.starts, t.values = make([]u128, 0, n), make([]uint32, 0, n)
}

func (t *table6) len() int           { return len(t.starts) }
func (t *table6) start(i int) u128   { return t.starts[i] }
func (t *table6) value(i int) uint32 { return t.values[i] }

// add is table4.add.
func (t *table6) add(start u128, value uint32) {
	if n := len(t.values); n > 0 && t.values[n-1] == value {
		return
	}
	t.starts = append(t.starts, start)
	t.values = append(t.values, value)
}

// set is table4.set.
func (t *table6) set(start u128, value uint32) {
	if n := len(t.starts) - 1; n >= 0 && t.starts[n] == start {
		t.starts, t.values = t.starts[:n], t.values[:n]
	}
	t.add(start, value)
}

// renumber is table4.renumber.
func (t *table6) renumber(to []uint32) {
	starts, values := t.starts, t.values
	t.starts, t.values = starts[:0], values[:0]
	for i, v := range values {
		t.add(starts[i], to[v])
	}
}

// seal ends the adding.
func (t *table6) seal() {
	t.starts, t.values = slices.Clone(t.starts), slices.Clone(t.values)
	if len(t.starts) < indexFrom {
		return
	}
	t.index = make([]bucket, 1<<16+1)
	at := 0
	seek := func(x uint64) uint32 { // the range that the address of these first 64 bits is in; they come in order
		for at+1 < len(t.starts) && !(u128{x, 0}).less(t.starts[at+1]) {
			at++
		}
		return uint32(at)
	}
	for b := range t.index[:1<<16] {
		t.index[b].at = seek(uint64(b) << 48)
	}
	t.index[1<<16].at = uint32(len(t.starts) - 1)
	at = 0
	for b := range t.index[:1<<16] {
		d := &t.index[b]
		n := t.index[b+1].at - d.at
		if n < splitFrom {
			continue
		}
		d.bits, d.more = uint8(bits.Len32(n)), uint32(len(t.more))
		for k := range uint64(1) << d.bits {
			t.more = append(t.more, seek(uint64(b)<<48|k<<(48-d.bits)))
		}
		t.more = append(t.more, t.index[b+1].at)
	}
	t.more = slices.Clone(t.more)
}

// find is table4.find.
func (t *table6) find(x u128) int {
	lo, n := 0, len(t.starts)
	if t.index != nil {
		d := &t.index[x.hi>>48]
		lo = int(d.at)
		n = int(t.index[x.hi>>48+1].at) - lo + 1
		if d.bits > 0 {
			k := uint64(d.more) + x.hi<<16>>(64-d.bits)
			lo = int(t.more[k])
			n = int(t.more[k+1]) - lo + 1
		}
	}
	for n > 1 {
		half := n / 2
		lo += half * x.atLeast(t.starts[lo+half])
		n -= half
	}
	return lo
}

// scope is table4.scope.
func (t *table6) scope(x u128, at int, m marks) uint8 {
	length := 0
	lo, hi := m.around(at)
	if lo > 0 {
		length = 1 + x.common(t.starts[lo].prev())
	}
	if hi < len(t.starts) {
		length = max(length, 1+x.common(t.starts[hi]))
	}
	return uint8(length)
}
