package zone

import "github.com/meridian-gslb/meridian/dnsserver/wire"

// A Spot is where a Lookup of some name will look. A server that has several names to look up can have all their Spots touched before,
// so that memory fetches them at one time. The zero Spot is nowhere.
type Spot struct {
	nodes []node
	at    slot
}

// Spot returns the spot of a name. It does half of what Lookup does first: it reads the table, but no node.
func (s *Set) Spot(name wire.Name) Spot {
	z := s.Zone(name)
	if z == nil {
		return Spot{}
	}
	return Spot{nodes: z.nodes, at: z.index.slots[uint32(hashName(name))&uint32(len(z.index.slots)-1)]}
}

// Touch reads the node that is most likely the name's. What it returns means nothing, but must be used, or nothing may be read.
func (s *Spot) Touch() uint32 {
	if s.at.pos == 0 {
		return 0
	}
	return s.nodes[s.at.pos-1].setsAt
}
