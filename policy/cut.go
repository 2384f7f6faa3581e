package policy

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// A cut is what an outcome of a geo stage drops. The zero cut drops nothing.
type cut struct {
	limit int    // of the nearest sites, how many stay; 0: all
	fence bool   // those inside stay, whatever their health: the nearest limit of the service's sites, or those with ranks below listed
	list  uint16 // the number of sites that the target lists, if it does
}

// cuts reports whether it drops anything.
func (c cut) cuts() bool { return c.limit > 0 || c.fence }

// cutOf returns the cut of a target.
func cutOf(to *target) cut {
	c := cut{limit: to.limit, fence: to.fence}
	if !to.nearest {
		c.list = uint16(len(to.sites))
	}
	return c
}

// bound returns the place before which sites stay: of the nearest limit sites that candidates are at, and a selection has.
func (c cut) bound(list []candidate, pick *selection, places []uint16) uint16 {
	if c.limit == 0 {
		return c.list // places of sites that are listed are their ranks
	}
	bound := uint16(0)
	for range c.limit {
		next := noPlace
		for i := range list {
			if at := places[list[i].site]; at >= bound && at < next && pick.has(list[i].site) && (!c.fence || list[i].site != NoSite) {
				next = at
			}
		}
		if next == noPlace {
			break
		}
		bound = next + 1
	}
	return bound
}

// noPlace is the place of no site.
const noPlace = ^uint16(0)

// apply drops candidates of places that do not stay.
func (c cut) apply(s *Scratch, places []uint16) {
	from, pick := s.live, &s.picks[0] // all: what is live is in the selection at hand
	if c.fence {
		from, pick = s.all, &s.picks[s.pick]
	}
	bound := c.bound(from, pick, places)
	inside := before(s.live, places, bound)
	bringBack := c.fence && inside == 0
	if bringBack && before(s.lost, places, bound) == 0 || inside == len(s.live) && len(s.lost) == 0 {
		return // there is nothing inside, or nothing else
	}
	if inside < len(s.live) {
		s.because(ReasonGeo)
	}
	s.live, s.lost = keepBefore(s.live, places, bound), keepBefore(s.lost, places, bound)
	s.settled = 0
	if !bringBack {
		return
	}
	s.failed = true
	if !s.closed {
		s.live, s.lost = append(s.live, s.lost...), s.lost[:0]
		s.failOpen()
	}
}

// before counts the candidates at sites of places before one.
func before(list []candidate, places []uint16, bound uint16) (n int) {
	for i := range list {
		if places[list[i].site] < bound {
			n++
		}
	}
	return n
}

// keepBefore keeps, in place, the candidates at sites of places before one.
func keepBefore(list []candidate, places []uint16, bound uint16) []candidate {
	kept := 0
	for _, c := range list {
		if places[c.site] < bound {
			list[kept] = c
			kept++
		}
	}
	return list[:kept]
}

// told appends what endpoints at some sites, those at no site included, can tell of an outcome: which of them stay, and in which order they are
// then, whatever the health.
func (g *geo) told(key []byte, at []presence, outcome int) []byte {
	ranks := g.ranks[outcome*g.stride:][:g.stride]
	if g.cuts == nil || !g.cuts[outcome].cuts() {
		return g.order(key, at, ranks)
	}
	c, places := g.cuts[outcome], g.places[outcome*g.stride:][:g.stride]
	sites := slices.Clone(at)
	slices.SortFunc(sites, func(a, b presence) int { return int(places[a.site]) - int(places[b.site]) })
	inside := c.inside(sites, places)
	if inside == 0 || inside == len(sites) { // it drops nothing
		return g.order(key, at, ranks)
	}
	if g.known == dropsNothing || c.fence && g.known == dropsDown { // nothing outside stays
		return g.order(key, inOrder(sites[:inside], ranks), ranks)
	}
	if c.fence && inside == 1 && len(sites) == 2 { // what is inside, else what is outside: so the nearer of the two
		c = cut{limit: 1}
	}
	kind := byte('l')
	if c.fence {
		kind = 'f'
	}
	key = binary.AppendUvarint(append(key, kind), uint64(inside))
	if c.fence {
		key = appendOrder(key, inOrder(sites[:inside], ranks), ranks) // of equals all stay, or none
		return appendOrder(key, inOrder(sites[inside:], ranks), ranks)
	}
	inOrder(sites[:inside], ranks)
	if c.limit == 1 {
		ranks = nil // there is never another of the same
	}
	return appendOrder(key, sites, ranks)
}

// inside returns how many of some sites, in the order of their places, are inside the fence, or stay if all have candidates.
func (c cut) inside(sites []presence, places []uint16) (n int) {
	for _, p := range sites {
		if c.limit > 0 && n == c.limit || c.limit == 0 && places[p.site] >= c.list || c.fence && p.site == NoSite {
			break
		}
		n++
	}
	return n
}

// inOrder puts sites into the order of their ranks; those of one rank into that of the Spec.
func inOrder(sites []presence, ranks []uint16) []presence {
	slices.SortFunc(sites, func(a, b presence) int { return cmp.Or(int(ranks[a.site])-int(ranks[b.site]), int(a.site)-int(b.site)) })
	return sites
}

// appendOrder appends sites, with a mark at those of the rank of the one before; ranks may be nil.
func appendOrder(key []byte, order []presence, ranks []uint16) []byte {
	for k, p := range order {
		site := uint16(p.site) // at most MaxSites
		if k > 0 && ranks != nil && ranks[p.site] == ranks[order[k-1].site] {
			site |= 1 << 15
		}
		key = binary.BigEndian.AppendUint16(key, site)
	}
	return key
}

// A dropping is what the stages of a policy before another can have dropped.
type dropping uint8

const (
	dropsNothing dropping = iota
	dropsDown             // endpoints for their health, which can be brought back
	dropsAny
)
