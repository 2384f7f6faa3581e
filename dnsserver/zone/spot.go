package zone

import (
	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
)

// A Spot is where a Set looks for a name: the zone that holds it, and its place in the zone's table. It serves one Lookup, and a server
// that has several names to look up can have all their Spots fetched before, so that memory does it at one time. A Spot is of one Set;
// it holds nothing of it. The zero Spot is of a name that no zone holds.
type Spot struct {
	hash uint64 // of the name
	zone uint32 // position in Set.zones plus one; 0: none
	pos  uint32 // of the node that is most likely the name's, plus one, once Fetch has read it; 0: none
}

// Spot returns the spot of a name. It reads nothing that grows with the number of names.
func (s *Set) Spot(name wire.Name) Spot {
	pos, ok := s.find(name)
	if !ok {
		return Spot{}
	}
	return Spot{hash: hashName(name), zone: uint32(pos) + 1}
}

// Steering returns by which service and policy the name is most likely answered, once Fetch has read the Spot; false if by none.
func (s *Set) Steering(at Spot) (service policy.ServiceID, by policy.PolicyID, ok bool) {
	if at.pos == 0 {
		return 0, 0, false
	}
	n := &s.zones[at.zone-1].nodes[at.pos-1]
	return n.steer.Service, n.steer.Policy, n.steered()
}

// Fetch reads the tables of zones at some Spots, then the nodes that these tell of. What it returns means nothing, but must be used, or
// nothing may be read.
func (s *Set) Fetch(spots []Spot) uint32 {
	for i := range spots {
		if p := &spots[i]; p.zone > 0 {
			slots := s.zones[p.zone-1].index.slots
			p.pos = slots[uint32(p.hash)&uint32(len(slots)-1)].pos
		}
	}
	sum := uint32(0)
	for i := range spots {
		if p := &spots[i]; p.pos > 0 {
			sum += s.zones[p.zone-1].nodes[p.pos-1].setsAt
		}
	}
	return sum
}
