package policy

import "net/netip"

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

// newAtlas returns the atlas of networks alone. Cause i is place i.
func newAtlas(networks [2][]interval, places int) *atlas {
	a := &atlas{causes: make([]cause, places)}
	for i := range a.causes {
		a.causes[i] = cause{i, noNetwork}
	}
	a.v4.grow(2*len(networks[0]) + 1)
	a.v6.grow(2*len(networks[1]) + 1)
	flatten(networks[0], 0, lastV4, a.v4.add)
	flatten(networks[1], 0, lastV6, a.v6.add)
	a.v4.seal()
	a.v6.seal()
	return a
}

// under returns an atlas with a stage's own networks.
func (a *atlas) under(own []netip.Prefix) *atlas {
	none := uint32(len(own))
	var networks [2][]interval
	for i, p := range own {
		f := familyIndex(p)
		networks[f] = append(networks[f], intervalOf(p, i))
	}
	var over [2]table6 // of either family
	for f, last := range [2]u128{lastV4, lastV6} {
		sortIntervals(networks[f])
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
