package policy

import (
	"cmp"
	"net/netip"
	"slices"
)

// lastV4 and lastV6 are the ends of the two families.
var (
	lastV4 = u128{0, 1<<32 - 1}
	lastV6 = u128{^uint64(0), ^uint64(0)}
)

// An interval is a prefix with a value. Half a million of them take 12 MB.
type interval struct {
	start u128
	value uint32
	bits  uint8
}

// intervalOf returns a sound prefix as an interval.
func intervalOf(p netip.Prefix, value int) interval {
	return interval{firstAddr(p), uint32(value), uint8(p.Bits())}
}

// end returns the last address of an interval of the family that ends at last.
func (in *interval) end(last u128) u128 {
	m := mask128(int(in.bits) + 128 - last.length())
	return u128{in.start.hi | ^m.hi&last.hi, in.start.lo | ^m.lo&last.lo}
}

// sortIntervals puts intervals of one family into the order of their starts, the wider first of those that share it.
func sortIntervals(list []interval) {
	slices.SortFunc(list, func(a, b interval) int {
		if a.start != b.start {
			return a.start.compare(b.start)
		}
		return cmp.Or(int(a.bits)-int(b.bits), cmp.Compare(a.value, b.value))
	})
}

// flatten turns sorted intervals of one family, no two of them equal and of those around an address the narrowest in force, into
// disjoint ranges over the whole family. It calls add for each, the first starting at 0. An address in no interval has the value
// otherwise.
func flatten(list []interval, otherwise uint32, last u128, add func(start u128, value uint32)) {
	next := interval{value: otherwise} // begins the range to add, if nothing else begins there
	begin := func(at u128, value uint32) {
		if at != next.start {
			add(next.start, next.value)
		}
		next = interval{start: at, value: value}
	}
	type enclosing struct {
		end   u128
		value uint32
	}
	open := []enclosing{{last, otherwise}} // those around the current address, the innermost last
	closeTop := func() {
		top := open[len(open)-1]
		open = open[:len(open)-1]
		if top.end != last {
			begin(top.end.next(), open[len(open)-1].value)
		}
	}
	for i := range list {
		in := &list[i]
		for open[len(open)-1].end.less(in.start) {
			closeTop()
		}
		begin(in.start, in.value)
		open = append(open, enclosing{in.end(last), in.value})
	}
	for len(open) > 1 {
		closeTop()
	}
	add(next.start, next.value)
}

// overlay walks two lists of ranges over one family together and calls f once for every range in which the values of both are
// constant.
func overlay(a, b ranges, f func(start u128, va, vb uint32)) {
	i, j := 0, 0
	at := u128{}
	for {
		f(at, a.value(i), b.value(j))
		moreA, moreB := i+1 < a.len(), j+1 < b.len()
		switch {
		case !moreA && !moreB:
			return
		case !moreB || moreA && a.start(i+1).less(b.start(j+1)):
			i++
			at = a.start(i)
		case !moreA || b.start(j+1).less(a.start(i+1)):
			j++
			at = b.start(j)
		default:
			i++
			j++
			at = a.start(i)
		}
	}
}

// ranges are disjoint ranges over one family, the first starting at 0.
type ranges interface {
	len() int
	start(i int) u128
	value(i int) uint32
}
