package policy

import (
	"encoding/binary"
	"net/netip"
)

// A Spot is where a Decide will look among many networks for its client. A server that has several Queries can have all their Spots
// fetched before, so that memory does it at one time. The zero Spot is nowhere.
type Spot struct {
	client   uint32 // its address
	there    bool   // it is not nowhere
	service  ServiceID
	policy   PolicyID
	from, to uint32 // the ranges that one of is the client's, once Fetch has read them
}

// line is how many ranges a cache line holds.
const line = 16

// SpotOf returns the spot of a client of a service under a policy. It is nowhere where there is little to wait for: for IPv6, whose
// networks are fewer.
func SpotOf(s ServiceID, p PolicyID, client netip.Prefix) Spot {
	if !client.Addr().Is4() {
		return Spot{}
	}
	a := client.Addr().As4()
	return Spot{client: binary.BigEndian.Uint32(a[:]) & mask32(max(0, client.Bits())), there: true, service: s, policy: p}
}

// Fetch reads the networks at some Spots, and what the first geo stage of their policies makes of them, a cache line's worth at a time, as
// far as most entries of the index have any. What it returns means nothing, but must be used, or nothing may be read.
func (p *Plan) Fetch(spots []Spot) uint32 {
	for i := range spots {
		if s := &spots[i]; s.there {
			g := p.firstGeo(s)
			if s.there = g != nil && g.atlas.v4.index != nil; s.there {
				s.from, s.to = g.atlas.v4.bucket(s.client)
			}
		}
	}
	sum := uint32(0)
	for i := range spots {
		s := &spots[i]
		if !s.there {
			continue
		}
		g := p.firstGeo(s)
		if v := p.views[p.services[s.service].sets[0][FamilyV4].views][g.position]; v.v4 != nil {
			sum += uint32(v.v4[0][s.from>>6])
		}
		t := &g.atlas.v4
		last := min(s.to, s.from+3*line)
		for at := s.from; at < last; at += line {
			sum += t.starts[at] + t.values[at]
		}
		sum += t.starts[last] + t.values[last]
	}
	return sum
}

// firstGeo returns the first geo stage of a spot's policy, or nil.
func (p *Plan) firstGeo(s *Spot) *geo {
	if int(s.policy) >= len(p.policies) || int(s.service) >= len(p.services) {
		return nil
	}
	return p.policies[s.policy].geo
}
