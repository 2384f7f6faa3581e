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
	index  []uint32 // nil, or 2^(32-shift)+1 long: the range that address b<<shift is in; the last entry is that of the last address
	shift  uint8
}

// indexBits returns the length of the addresses' part by which a table of n ranges has an index: so long that four ranges or so share an entry, if
// they are spread evenly, and the index is an eighth of the table.
func indexBits(n int) int { return min(max(16, bits.Len(uint(n))-2), 22) }

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
	n := 1 << indexBits(len(t.starts))
	t.shift = uint8(32 - indexBits(len(t.starts)))
	t.index = make([]uint32, n+1)
	at := 0
	for b := range n {
		for at+1 < len(t.starts) && t.starts[at+1] <= uint32(b)<<t.shift {
			at++
		}
		t.index[b] = uint32(at)
	}
	t.index[n] = uint32(len(t.starts) - 1)
}

// bucket returns the first and the last range that may be an address's. There is an index.
func (t *table4) bucket(x uint32) (first, last uint32) {
	b := x >> t.shift
	return t.index[b], t.index[b+1]
}

// find returns the range of an address, and its value.
func (t *table4) find(x uint32) (at int, value uint32) {
	lo, n := 0, len(t.starts)
	if t.index != nil {
		first, last := t.bucket(x)
		lo, n = int(first), int(last-first)+1
	}
	from := lo
	value = t.values[from] // so that it comes from memory together with the starts; mostly it is the right one's neighbour
	for n > 1 {            // no branch on the address: it is random to the processor
		half := n / 2
		before := int(int64(uint64(x)-uint64(t.starts[lo+half])) >> 63) // -1: the address is before that range, else 0
		lo += half &^ before
		n -= half
	}
	if lo != from {
		value = t.values[lo]
	}
	return lo, value
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

// A table6 is a table4 of IPv6 addresses. As networks crowd in few places, it has no index by address but levels, of the first 64 bits of
// addresses: the last has those of every eighth range, each of the others every sixteenth entry of the one after it. A search looks at two cache
// lines of each, and those of the first are at hand.
type table6 struct {
	starts []u128
	values []uint32
	levels [][]uint64 // nil: there are few ranges
}

// How many ranges, and how many entries of a level, have one entry in the level before.
const (
	fanRanges = 8
	fanLevel  = 16
)

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
	level := make([]uint64, 0, len(t.starts)/fanRanges+1)
	for i := 0; i < len(t.starts); i += fanRanges {
		level = append(level, t.starts[i].hi)
	}
	t.levels = [][]uint64{level}
	for len(level) > fanLevel {
		up := make([]uint64, 0, len(level)/fanLevel+1)
		for i := 0; i < len(level); i += fanLevel {
			up = append(up, level[i])
		}
		t.levels = append(t.levels, up)
		level = up
	}
	slices.Reverse(t.levels)
}

// find is table4.find.
func (t *table6) find(x u128) (at int, value uint32) {
	if t.levels == nil {
		at = lastUpTo(t.starts, 0, len(t.starts), x)
		return at, t.values[at]
	}
	for _, level := range t.levels {
		lo := at * fanLevel
		at = lo
		for n := min(fanLevel, len(level)-lo); n > 1; {
			half := n / 2
			_, before := bits.Sub64(x.hi, level[at+half], 0)
			at += half * int(1-before)
			n -= half
		}
	}
	from := at * fanRanges
	value = t.values[from]
	if x.less(t.starts[from]) { // ranges of less than a /64, which the levels do not tell apart
		at = lastUpTo(t.starts, 0, from, x)
	} else {
		at = lastUpTo(t.starts, from, min(fanRanges, len(t.starts)-from), x)
	}
	if at != from {
		value = t.values[at]
	}
	return at, value
}

// lastUpTo returns the position of the last of n starts, from position lo on, that is not after x; the first is not.
func lastUpTo(starts []u128, lo, n int, x u128) int {
	for n > 1 {
		half := n / 2
		lo += half * x.atLeast(starts[lo+half])
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
