package policy

import (
	"encoding/binary"
	"net/netip"
)

// A Spot is where a Decide for some client will look among many networks. A server that has several clients can have all their Spots
// touched before, so that memory fetches them at one time. The zero Spot is nowhere.
type Spot struct {
	table    *table4
	from, to uint32 // the ranges that one of is the client's
}

// line is how many ranges a cache line holds.
const line = 16

// Spot returns the spot of a client. It is nowhere where there is little to wait for: for IPv6, whose networks are fewer, and without
// many networks.
func (p *Plan) Spot(client netip.Prefix) Spot {
	if len(p.stages) == 0 || !client.Addr().Is4() {
		return Spot{}
	}
	t := &p.stages[0].atlas.v4 // most often that of all
	if t.index == nil {
		return Spot{}
	}
	a := client.Addr().As4()
	block := binary.BigEndian.Uint16(a[:])
	return Spot{table: t, from: t.index[block], to: t.index[int(block)+1]}
}

// Touch reads the ranges, a cache line's worth at a time, as far as most blocks have any. What it returns means nothing, but must be
// used, or nothing may be read.
func (s *Spot) Touch() uint32 {
	if s.table == nil {
		return 0
	}
	sum := uint32(0)
	for at := s.from; at <= s.to && at < s.from+3*line; at += line {
		sum += s.table.starts[at] + s.table.values[at]
	}
	return sum
}
