package zone

import (
	"bytes"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// A Set is all zones of one configuration, as the clients that no view has see them, or those of one view. It never changes, so any number of
// goroutines may use it. A nil Set has no zones.
type Set struct {
	zones  []*Zone   // of all views
	doors  []door    // parallel to zones
	index  table     // into zones, by apex, of those that are seen
	depths [2]uint64 // bit n: a zone whose apex has n labels is seen
	seen   []*Zone   // by the clients of the view, or of none
	name   string    // of the view; "" = of none
	views  []view    // in their order; a view has none
	specs  []ViewSpec
}

// A door is what is needed of a zone to find a name in it, in one cache line: with thousands of zones the others are seldom at hand.
type door struct {
	slots []slot // of the zone's index
	zone  *Zone
	size  uint8    // of the apex
	apex  [31]byte // its first bytes
}

func doorOf(z *Zone) door {
	d := door{slots: z.index.slots, zone: z, size: uint8(len(z.apex))}
	copy(d.apex[:], z.apex)
	return d
}

// is reports whether a name is the apex.
func (d *door) is(name wire.Name) bool {
	if len(name) != int(d.size) {
		return false
	}
	if len(name) <= len(d.apex) {
		return string(d.apex[:len(name)]) == string(name)
	}
	return bytes.Equal(d.zone.apex, name)
}

// Zones returns all zones, of all views, in the order of their Specs. The slice is shared: do not change it.
func (s *Set) Zones() []*Zone {
	if s == nil {
		return nil
	}
	return s.zones
}

// Zone returns the zone with the longest apex that holds the name, or nil. Of zones and names of other views it knows nothing; so it is with
// all that follows.
func (s *Set) Zone(name wire.Name) *Zone {
	if pos, ok := s.find(name); ok {
		return s.zones[pos]
	}
	return nil
}

// find returns the position of the zone with the longest apex that holds the name, and whether there is one.
func (s *Set) find(name wire.Name) (pos int, ok bool) {
	if s == nil || len(name) == 0 {
		return 0, false
	}
	for depth := name.Labels(); ; depth-- {
		if s.has(depth) {
			hash := hashName(name)
			for pos, i, ok := s.index.next(hash, 0); ok; pos, i, ok = s.index.next(hash, i) {
				if s.doors[pos].is(name) {
					return pos, true
				}
			}
		}
		if depth == 0 {
			return 0, false
		}
		name = name.Parent()
	}
}

// has reports whether there is a zone whose apex has so many labels.
func (s *Set) has(depth int) bool { return s.depths[depth>>6&1]>>(depth&63)&1 != 0 }

// Lookup returns what the Set knows of a name and type. The name is as wire.Parse and wire.ParseName make it: valid, absolute,
// lower case.
//
// A type DS belongs to the parent's side of a cut, so at an apex it is looked up in the zone above if that is ours too
// (RFC 4035 3.1.4.1). Type ANY finds one set of the name (RFC 8482 4.1), and Steered only where there is no static one. Lookup
// does not allocate, and its cost grows with the labels of the deepest name of the zone, not with the number of names or zones.
func (s *Set) Lookup(name wire.Name, rrtype uint16) Match {
	var m Match
	s.LookupAt(&m, s.Spot(name), name, rrtype)
	return m
}

// LookupAt is Lookup for a name whose Spot in this Set is known; the result is in m. A Match is large: what is made where it is needed
// need not be copied.
func (s *Set) LookupAt(m *Match, at Spot, name wire.Name, rrtype uint16) {
	*m = Match{}
	if at.zone == 0 {
		return
	}
	z := s.doors[at.zone-1].zone
	if rrtype == wire.TypeDS && len(name) == len(z.apex) && len(name) > 1 {
		if above := s.Zone(name.Parent()); above != nil {
			above.lookupChild(m, z, rrtype)
			return
		}
	}
	z.lookup(m, at.hash, name, rrtype)
}

// lookupChild is lookup for the apex of another zone of ours that lies in this one. If the zone does not delegate it, the name exists
// all the same: denying it would deny the whole child (RFC 8020 2). A DNAME above it denies nothing, and is the answer.
func (z *Zone) lookupChild(m *Match, child *Zone, rrtype uint16) {
	z.lookup(m, hashName(child.apex), child.apex, rrtype)
	if m.Kind == NXDomain || m.Wildcard {
		*m = Match{Kind: NoData, Zone: z, Owner: child.apex}
	}
}

// lookup is Lookup for a name that the zone holds, with its hash. m is empty, here and below.
func (z *Zone) lookup(m *Match, hash uint64, name wire.Name, rrtype uint16) {
	m.Zone = z
	pos, ok := z.probe(hash, name)
	if !ok {
		z.beyond(m, z.encloser(name), rrtype)
		return
	}
	n := &z.nodes[pos]
	if n.cut != 0 {
		if cut := &z.nodes[n.cut]; cut != n || rrtype != wire.TypeDS {
			z.referral(m, n, cut)
			return
		}
	}
	z.at(m, pos, rrtype)
}

// beyond answers for a name that does not exist below its closest encloser n: by the delegation or the DNAME there (RFC 6672 3.2), or
// by the wildcard below it, if any (RFC 4592 3.3.1).
func (z *Zone) beyond(m *Match, n *node, rrtype uint16) {
	switch {
	case n.cut != 0:
		z.referral(m, n, &z.nodes[n.cut])
	case n.flags&flagDNAME != 0:
		m.Kind, m.Owner, m.Set = Redirect, z.nameOf(n), z.rrset(n, wire.TypeDNAME)
		m.Cut = m.Owner
	case n.wild != 0:
		m.Wildcard = true
		z.at(m, n.wild, rrtype)
	default:
		m.Kind, m.Owner = NXDomain, z.nameOf(n)
	}
}

// at answers from the data of the node at a position.
func (z *Zone) at(m *Match, pos uint32, rrtype uint16) {
	n := &z.nodes[pos]
	m.Kind, m.Owner = NoData, z.nameOf(n)
	sets := z.setsOf(n)
	for i := range sets {
		set := &sets[i]
		switch {
		case set.Type == rrtype || rrtype == wire.TypeANY:
			m.Kind, m.Set, m.Extra = Answer, &set.RRset, z.extraOf(set)
			return
		case set.Type == wire.TypeCNAME:
			m.Kind, m.Set = Alias, &set.RRset
			return
		}
	}
	any := rrtype == wire.TypeANY
	switch {
	case n.flags&flagVariants != 0:
		m.Kind, m.Variants = Conditional, &z.variants[z.more[pos]-1]
	case n.flags&flagWhoami != 0:
		if any || rrtype == wire.TypeTXT || rrtype == wire.TypeA || rrtype == wire.TypeAAAA {
			if m.Kind = Whoami; n.steered() {
				m.Steer, m.Manner = &n.steer, z.mannerOf(pos)
			}
		}
	case n.steered():
		if any || n.steer.Types.Has(rrtype) || n.steer.Types.Has(wire.TypeCNAME) {
			m.Kind, m.Steer, m.Manner = Steered, &n.steer, z.mannerOf(pos)
		}
	case n.flags&flagAlias != 0:
		if any || rrtype == wire.TypeA || rrtype == wire.TypeAAAA {
			m.Kind, m.Target = Flatten, z.aliasOf(n)
		}
	}
}

// referral points to the servers of the zone below cut. The node is where the search ended.
func (z *Zone) referral(m *Match, n, cut *node) {
	m.Kind, m.Owner, m.Cut = Referral, z.nameOf(n), z.nameOf(cut)
	if set := z.set(cut, wire.TypeNS); set != nil {
		m.Set, m.Extra = &set.RRset, z.extraOf(set)
	}
}

// node returns the node of a name, or nil.
func (z *Zone) node(name wire.Name) *node {
	if i, ok := z.probe(hashName(name), name); ok {
		return &z.nodes[i]
	}
	return nil
}

// probe returns the position of the node of a name whose hash is given, and whether there is one.
func (z *Zone) probe(hash uint64, name wire.Name) (uint32, bool) {
	for pos, i, ok := z.index.next(hash, 0); ok; pos, i, ok = z.index.next(hash, i) {
		if z.is(&z.nodes[pos], name) {
			return uint32(pos), true
		}
	}
	return 0, false
}

// position returns the position of the node of a name, and whether there is one.
func (z *Zone) position(name wire.Name) (uint32, bool) { return z.probe(hashName(name), name) }

// encloser returns the node of the closest encloser of a name that has no node (RFC 4592 3.3.1): the apex at the least.
func (z *Zone) encloser(name wire.Name) *node {
	for depth := name.Labels() - 1; len(name) > len(z.apex); depth-- {
		name = name.Parent()
		if depth <= z.labels {
			if n := z.node(name); n != nil {
				return n
			}
		}
	}
	return &z.nodes[0]
}
