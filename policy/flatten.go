package policy

import (
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

// An interval is a prefix as the addresses it covers, with its value.
type interval struct {
	start, end u128
	value      int
}

// flatten turns prefixes of one family, in which the longest wins, into disjoint spans over the whole family, the first starting at
// 0. An address in no prefix has the value otherwise. values is parallel to prefixes, which must differ from one another.
func flatten(prefixes []netip.Prefix, values []int, otherwise int, last u128) []span {
	list := make([]interval, len(prefixes))
	for i, p := range prefixes {
		list[i] = interval{firstAddr(p), lastAddr(p), values[i]}
	}
	slices.SortFunc(list, func(a, b interval) int { // an outer prefix before those that begin where it does
		if a.start != b.start {
			return a.start.compare(b.start)
		}
		return b.end.compare(a.end)
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
