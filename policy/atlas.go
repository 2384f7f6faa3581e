package policy

import (
	"cmp"
	"net/netip"
	"slices"
)

// A span is the start of a range of addresses that share a value; the range ends where the next span starts.
type span struct {
	start u128
	value int
}

// lastV4 and lastV6 are the ends of the two families.
var (
	lastV4 = u128{0, 1<<32 - 1}
	lastV6 = u128{^uint64(0), ^uint64(0)}
)

// flatten turns prefixes of one family, in which the longest wins, into disjoint spans over the whole family, the first starting at
// 0. An address in no prefix has the value otherwise. values is parallel to prefixes, which must differ from one another.
func flatten(prefixes []netip.Prefix, values []int, otherwise int, last u128) []span {
	type interval struct {
		start, end u128
		bits       int
		value      int
	}
	list := make([]interval, len(prefixes))
	for i, p := range prefixes {
		list[i] = interval{firstAddr(p), lastAddr(p), p.Bits(), values[i]}
	}
	slices.SortFunc(list, func(a, b interval) int {
		return cmp.Or(cmp.Compare(a.start.hi, b.start.hi), cmp.Compare(a.start.lo, b.start.lo), a.bits-b.bits)
	})

	spans := make([]span, 0, 2*len(list)+1)
	begin := func(at u128, value int) {
		if n := len(spans); n > 0 && spans[n-1].start == at {
			spans[n-1].value = value
			return
		}
		spans = append(spans, span{at, value})
	}
	open := []interval{{end: last, value: otherwise}} // those around the current address, the innermost last
	closeTop := func() {
		top := open[len(open)-1]
		open = open[:len(open)-1]
		if top.end != last {
			begin(top.end.next(), open[len(open)-1].value)
		}
	}
	begin(u128{}, otherwise)
	for _, in := range list {
		for open[len(open)-1].end.less(in.start) {
			closeTop()
		}
		begin(in.start, in.value)
		open = append(open, in)
	}
	for len(open) > 1 {
		closeTop()
	}
	return spans
}

// overlay walks two lists of spans over one family together and calls f once for every range in which both are constant.
func overlay(a, b []span, f func(start u128, va, vb int)) {
	i, j := 0, 0
	at := u128{}
	for {
		f(at, a[i].value, b[j].value)
		moreA, moreB := i+1 < len(a), j+1 < len(b)
		switch {
		case !moreA && !moreB:
			return
		case !moreB || moreA && a[i+1].start.less(b[j+1].start):
			i++
			at = a[i].start
		case !moreA || b[j+1].start.less(a[i+1].start):
			j++
			at = b[j].start
		default:
			i++
			j++
			at = a[i].start
		}
	}
}

// indexFrom is the number of ranges from which a table4 has an index.
const indexFrom = 256

// A table4 maps every IPv4 address to an outcome by disjoint ranges: range i is starts[i] to starts[i+1]-1, and neighbours differ in
// outcome.
type table4 struct {
	starts   []uint32 // starts[0] is 0
	outcomes []uint32
	index    []uint32 // nil, or 65,537 long: the range that address b<<16 is in; the last entry is that of the last address
}

func (t *table4) add(start u128, outcome uint32) {
	if n := len(t.outcomes); n > 0 && t.outcomes[n-1] == outcome {
		return
	}
	t.starts = append(t.starts, uint32(start.lo))
	t.outcomes = append(t.outcomes, outcome)
}

// seal ends the adding.
func (t *table4) seal() {
	t.starts, t.outcomes = slices.Clip(t.starts), slices.Clip(t.outcomes)
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

// find returns the outcome of an address and the length of the shortest prefix around it that has no other outcome.
func (t *table4) find(x uint32) (outcome uint32, scope uint8) {
	lo, n := 0, len(t.starts)
	if t.index != nil {
		lo = int(t.index[x>>16])
		n = int(t.index[x>>16+1]) - lo + 1
	}
	for n > 1 {
		half := n / 2
		if t.starts[lo+half] <= x {
			lo += half
		}
		n -= half
	}
	length := 0 // a prefix excludes the neighbour if it is longer than what the two share
	if lo > 0 {
		length = 1 + leading32(x^(t.starts[lo]-1))
	}
	if lo+1 < len(t.starts) {
		length = max(length, 1+leading32(x^t.starts[lo+1]))
	}
	return t.outcomes[lo], uint8(length)
}

// A table6 is a table4 of IPv6 addresses, without an index.
type table6 struct {
	starts   []u128
	outcomes []uint32
}

func (t *table6) add(start u128, outcome uint32) {
	if n := len(t.outcomes); n > 0 && t.outcomes[n-1] == outcome {
		return
	}
	t.starts = append(t.starts, start)
	t.outcomes = append(t.outcomes, outcome)
}

func (t *table6) seal() {
	t.starts, t.outcomes = slices.Clip(t.starts), slices.Clip(t.outcomes)
}

// find is table4.find.
func (t *table6) find(x u128) (outcome uint32, scope uint8) {
	lo, n := 0, len(t.starts)
	for n > 1 {
		half := n / 2
		if !x.less(t.starts[lo+half]) {
			lo += half
		}
		n -= half
	}
	length := 0
	if lo > 0 {
		length = 1 + x.common(t.starts[lo].prev())
	}
	if lo+1 < len(t.starts) {
		length = max(length, 1+x.common(t.starts[lo+1]))
	}
	return t.outcomes[lo], uint8(length)
}
