package zone

import "github.com/meridian-gslb/meridian/dnsserver/wire"

// A Place is where a name may be found.
type Place struct {
	zone *Zone
	slot slot
}

// Place begins to look a name up.
func (s *Set) Place(name wire.Name) Place {
	z := s.Zone(name)
	if z == nil {
		return Place{}
	}
	h := hashName(name)
	return Place{z, z.index.slots[uint32(h)&uint32(len(z.index.slots)-1)]}
}

// Touch reads what is at the place.
func (p *Place) Touch() uint32 {
	if p.zone == nil || p.slot.pos == 0 {
		return 0
	}
	return p.zone.nodes[p.slot.pos-1].setsAt
}
