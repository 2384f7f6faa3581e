package policy

import (
	"net/netip"
	"slices"
)

// An atlas holds the cause of every address: where its client is, and which of a stage's own networks it is in. Stages with the same
// networks share one, whatever they say of them.
type atlas struct {
	v4     table4 // values are positions in causes
	v6     table6
	causes []cause
}

// A cause is what a geo stage goes by.
type cause struct {
	place   int // position in frame.places
	network int // position in the stage's own networks; noNetwork: none of them
}

const noNetwork = -1

// newAtlas returns the atlas of layers of networks over what databases say. Cause i is place i.
func newAtlas(layers []layer, base *grid, places int) *atlas {
	a := &atlas{causes: make([]cause, places)}
	for i := range a.causes {
		a.causes[i] = cause{i, noNetwork}
	}
	a.v4, a.v6 = base.v4, base.v6
	for _, l := range slices.Backward(layers) {
		var v4 table4
		v4.grow(len(a.v4.starts) + 2*len(l[0]))
		lay(&a.v4, l[0], lastV4, v4.add)
		var v6 table6
		v6.grow(len(a.v6.starts) + 2*len(l[1]))
		lay(&a.v6, l[1], lastV6, v6.add)
		a.v4, a.v6 = v4, v6
	}
	a.v4.seal()
	a.v6.seal()
	return a
}

// lay calls add for ranges of the places of networks of one family and, where they say nothing, of what is under them.
func lay(under ranges, networks []interval, last u128, add func(start u128, place uint32)) {
	if under.len() == 1 {
		flatten(networks, under.value(0), last, add)
		return
	}
	var over table6 // of either family
	over.grow(2*len(networks) + 1)
	flatten(networks, 0, last, over.add)
	overlay(under, &over, func(start u128, below, above uint32) {
		if above == 0 {
			above = below
		}
		add(start, above)
	})
}

// under returns an atlas with a stage's own networks.
func (a *atlas) under(own []netip.Prefix) *atlas {
	list, _ := sortPrefixes(len(own), func(i int) netip.Prefix { return own[i] })
	return a.over(list, uint32(len(own)))
}

// over returns an atlas with networks that have numbers below none, which several may share.
func (a *atlas) over(networks layer, none uint32) *atlas {
	var over [2]table6 // of either family
	for f, last := range [2]u128{lastV4, lastV6} {
		flatten(networks[f], none, last, over[f].add)
	}

	b := &atlas{causes: append([]cause(nil), a.causes...)}
	ids := map[cause]uint32{}
	id := func(was, network uint32) uint32 {
		if network == none {
			return was
		}
		c := cause{a.causes[was].place, int(network)}
		n, ok := ids[c]
		if !ok {
			n = uint32(len(b.causes))
			ids[c] = n
			b.causes = append(b.causes, c)
		}
		return n
	}
	b.v4.grow(len(a.v4.starts) + len(over[0].starts))
	b.v6.grow(len(a.v6.starts) + len(over[1].starts))
	overlay(&a.v4, &over[0], func(start u128, was, network uint32) { b.v4.add(start, id(was, network)) })
	overlay(&a.v6, &over[1], func(start u128, was, network uint32) { b.v6.add(start, id(was, network)) })
	b.v4.seal()
	b.v6.seal()
	return b
}
