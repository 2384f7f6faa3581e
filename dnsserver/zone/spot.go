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
	sets uint32 // where that node's sets begin
}

// manyZones is from how many zones on what finds a zone is not always at hand.
const manyZones = 64

// Approach reads what will find the zones of some names, as Fetch does the rest.
func (s *Set) Approach(names []wire.Name) uint32 {
	if s == nil || len(s.zones) < manyZones {
		return 0
	}
	const most = 32
	var at [most]uint32
	names = names[:min(len(names), most)]
	for i, name := range names {
		at[i] = s.approach(name)
	}
	sum := uint32(0)
	for i := range names {
		if at[i] > 0 {
			sum += uint32(s.doors[at[i]-1].size)
		}
	}
	return sum
}

// approach returns the position, plus one, of the zone that most likely holds a name: the first of the deepest apex it can have.
func (s *Set) approach(name wire.Name) uint32 {
	if len(name) == 0 {
		return 0
	}
	for depth := name.Labels(); depth > 0; depth-- {
		if s.has(depth) {
			return s.index.slots[uint32(hashName(name))&uint32(len(s.index.slots)-1)].pos
		}
		name = name.Parent()
	}
	return 0
}

// Spot returns the spot of a name. It reads nothing that grows with the number of names.
func (s *Set) Spot(name wire.Name) Spot {
	pos, ok := s.find(name)
	if !ok {
		return Spot{}
	}
	return Spot{hash: hashName(name), zone: uint32(pos) + 1}
}

// Zone returns the position of the zone that holds the name among those of the Set, -1 if none does.
func (at Spot) Zone() int { return int(at.zone) - 1 }

// Steering returns by which service and policy the name is most likely answered, once Fetch has read the Spot; false if by none.
func (s *Set) Steering(at Spot) (service policy.ServiceID, by policy.PolicyID, ok bool) {
	if at.pos == 0 {
		return 0, 0, false
	}
	n := &s.doors[at.zone-1].zone.nodes[at.pos-1]
	return n.steer.Service, n.steer.Policy, n.steered()
}

// Fetch reads the tables of zones at some Spots, then the nodes that these tell of, then what these have. What it returns means nothing,
// but must be used, or nothing may be read.
func (s *Set) Fetch(spots []Spot) uint32 {
	sum := uint32(0)
	for i := range spots {
		if p := &spots[i]; p.zone > 0 {
			d := &s.doors[p.zone-1]
			p.pos = d.slots[uint32(p.hash)&uint32(len(d.slots)-1)].pos
			sum += d.zone.touch()
		}
	}
	for i := range spots {
		if p := &spots[i]; p.pos > 0 {
			p.sets = s.doors[p.zone-1].zone.nodes[p.pos-1].setsAt
		}
	}
	for i := range spots {
		if p := &spots[i]; p.pos > 0 {
			if sets := s.doors[p.zone-1].zone.sets; int(p.sets) < len(sets) {
				sum += sets[p.sets].TTL
			}
		}
	}
	return sum
}

// touch reads the parts of a zone that answers look at, each in a cache line of its own.
func (z *Zone) touch() uint32 { return uint32(len(z.apex) + len(z.sets) + len(z.names) + len(z.allow)) }
