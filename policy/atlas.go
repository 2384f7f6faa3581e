package policy

import "net/netip"

// An atlas holds the cause of every address: where its client is, and which rule for a network governs it. Stages whose rules name
// the same networks share one, whatever the rules then say.
type atlas struct {
	v4     table4 // values are positions in causes
	v6     table6
	causes []cause
}

// A cause is what a geo stage goes by.
type cause struct {
	place int // position in geoCompiler.places
	rule  int // position in Geo.Rules; noRule: none of those for networks
}

const noRule = -1

// newAtlas returns the atlas of places, by prefix flattened, under rules for networks. Without such rules cause i is place i.
func newAtlas(places int, place4, place6 []span, rules []GeoRule) *atlas {
	a := &atlas{}
	var prefixes [2][]netip.Prefix
	var values [2][]int
	for i, r := range rules {
		if r.Region == "" {
			f := familyIndex(r.Prefix)
			prefixes[f] = append(prefixes[f], r.Prefix)
			values[f] = append(values[f], i)
		}
	}
	for at := range places {
		a.causes = append(a.causes, cause{at, noRule})
	}
	ids := map[cause]uint32{}
	id := func(at, rule int) uint32 {
		if rule == noRule {
			return uint32(at)
		}
		c := cause{at, rule}
		n, ok := ids[c]
		if !ok {
			n = uint32(len(a.causes))
			ids[c] = n
			a.causes = append(a.causes, c)
		}
		return n
	}
	a.v4.grow(len(place4) + 2*len(prefixes[0]))
	a.v6.grow(len(place6) + 2*len(prefixes[1]))
	overlay(place4, flatten(prefixes[0], values[0], noRule, lastV4), func(start u128, at, rule int) { a.v4.add(start, id(at, rule)) })
	overlay(place6, flatten(prefixes[1], values[1], noRule, lastV6), func(start u128, at, rule int) { a.v6.add(start, id(at, rule)) })
	a.v4.seal()
	a.v6.seal()
	return a
}

// familyIndex returns 0 for IPv4, 1 for IPv6.
func familyIndex(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}
