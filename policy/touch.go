package policy

import (
	"encoding/binary"
	"net/netip"
)

// Touch reads.
func (p *Plan) Touch(client netip.Prefix, pass int) uint32 {
	if len(p.stages) == 0 || p.stages[0].atlas.v4.index == nil || !client.Addr().Is4() {
		return 0
	}
	a := client.Addr().As4()
	x := binary.BigEndian.Uint32(a[:])
	t := &p.stages[0].atlas.v4
	lo := t.index[x>>16]
	if pass == 0 {
		return lo
	}
	hi := int(t.index[x>>16+1])
	at := int(lo)
	s := t.starts[at] + t.values[at]
	if at += 16; at < hi {
		s += t.starts[at] + t.values[at]
	}
	if at += 16; at < hi {
		s += t.starts[at] + t.values[at]
	}
	return s
}
