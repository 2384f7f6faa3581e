package zone

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// freeze lays the draft out as a Zone. The draft may have problems; the Zone then serves the remaining checks.
func (d *draft) freeze() *Zone {
	z := &Zone{name: strings.TrimSuffix(d.origin, "."), apex: d.apex, records: len(d.owners)}
	if z.name == "" {
		z.name = "."
	}
	if d.spec.Allow != nil {
		z.allow = newACL(d.spec.Allow)
	}
	b := newBuilder(z, d.owners)
	for i := range d.owners {
		b.fill(&d.owners[i])
	}
	b.bind()
	z.index = newTable(len(z.nodes))
	for i := range z.nodes {
		z.index.insert(hashName(z.nameOf(&z.nodes[i])), i)
	}
	for i := range z.sets {
		z.resolve(&z.sets[i])
	}
	for i := range z.nodes {
		if n := &z.nodes[i]; i > 0 && n.cut == uint32(i) {
			z.markGlue(n)
		}
	}
	z.sign()
	return z
}

// A builder makes the nodes of a zone. What nodes point to is made in a few large pieces, sized beforehand.
type builder struct {
	zone  *Zone
	pos   map[string]uint32
	rdata [][]byte // of all sets
	bytes []byte   // of all rdata
}

func newBuilder(z *Zone, owners []owner) *builder {
	b := &builder{zone: z, pos: make(map[string]uint32, len(owners)*5/4+1)}
	sets, values, size, names := 0, 0, 0, 0
	for i := range owners {
		names += len(owners[i].name)
		sets += len(owners[i].sets)
		for _, s := range owners[i].sets {
			values += len(s.RData)
			for _, rdata := range s.RData {
				size += len(rdata)
			}
		}
	}
	z.nodes, z.names, z.sets = make([]node, 0, len(owners)), make([]byte, 0, names), make([]set, 0, sets)
	b.rdata, b.bytes = make([][]byte, 0, values), make([]byte, 0, size)
	return b
}

// node returns the position of a name, which is made if need be with every name between it and the apex. Data may follow for it
// or not: names without data are the empty non-terminals.
func (b *builder) node(name wire.Name) uint32 {
	if i, ok := b.pos[string(name)]; ok {
		return i
	}
	z := b.zone
	i := uint32(len(z.nodes))
	b.pos[string(name)] = i
	n := node{nameAt: uint32(len(z.names)), nameLen: uint8(len(name))}
	copy(n.head[:], name)
	z.names = append(z.names, name...)
	z.nodes = append(z.nodes, n)
	z.labels = max(z.labels, name.Labels())
	if len(name) > len(z.apex) {
		b.node(name.Parent())
	}
	return i
}

// fill gives a node its data.
func (b *builder) fill(o *owner) {
	z := b.zone
	first := len(z.sets)
	for _, s := range o.sets {
		z.sets = append(z.sets, set{RRset: wire.RRset{Type: s.Type, TTL: s.TTL, RData: b.keep(s.RData)}})
	}
	slices.SortFunc(z.sets[first:], func(a, b set) int { return cmp.Compare(a.Type, b.Type) })
	n := &z.nodes[b.node(o.name)]
	n.setsAt, n.setsCount = uint32(first), uint16(len(z.sets)-first)
	if o.steer != nil {
		n.steer = *o.steer
	}
}

// keep copies values into the builder's pieces.
func (b *builder) keep(values [][]byte) [][]byte {
	first := len(b.rdata)
	for _, v := range values {
		at := len(b.bytes)
		b.bytes = append(b.bytes, v...)
		b.rdata = append(b.rdata, b.bytes[at:len(b.bytes):len(b.bytes)])
	}
	return b.rdata[first:len(b.rdata):len(b.rdata)]
}

// bind tells every node of its wildcard and of the delegation it is at or below.
func (b *builder) bind() {
	z := b.zone
	cuts := false
	for i := range z.nodes {
		n := &z.nodes[i]
		if name := z.nameOf(n); name.IsWildcard() {
			z.nodes[b.pos[string(name.Parent())]].wild = uint32(i)
		}
		cuts = cuts || i > 0 && z.find(n, wire.TypeNS) != nil
	}
	if !cuts {
		return
	}
	for i := range z.nodes {
		for name := z.nameOf(&z.nodes[i]); len(name) > len(z.apex); name = name.Parent() {
			if above := b.pos[string(name)]; z.find(&z.nodes[above], wire.TypeNS) != nil {
				z.nodes[i].cut = above
			}
		}
	}
}

// resolve notes the addresses that the zone has for the targets of a set: glue for NS, a courtesy for MX and SRV.
func (z *Zone) resolve(s *set) {
	if s.Type != wire.TypeNS && s.Type != wire.TypeMX && s.Type != wire.TypeSRV {
		return
	}
	for _, rdata := range s.RData {
		name := target(s.Type, rdata)
		if !name.IsSubdomainOf(z.apex) {
			continue
		}
		for _, rrtype := range [...]uint16{wire.TypeA, wire.TypeAAAA} {
			if found := z.static(name, rrtype, s.Type == wire.TypeNS); found != nil {
				s.extra = append(s.extra, Address{Name: name, Set: found})
			}
		}
	}
}

// static returns the static set of a name and type, or nil. Glue says whether one below a delegation counts.
func (z *Zone) static(name wire.Name, rrtype uint16, glue bool) *wire.RRset {
	switch m := z.lookup(name, rrtype); m.Kind {
	case Answer:
		return m.Set
	case Referral:
		if n := z.node(name); n != nil && glue {
			return z.find(n, rrtype)
		}
	}
	return nil
}

// markGlue marks the addresses without which the servers of a delegation cannot be reached, and puts them first.
func (z *Zone) markGlue(cut *node) {
	for _, s := range z.setsOf(cut) {
		if s.Type != wire.TypeNS {
			continue
		}
		for j := range s.extra {
			s.extra[j].Required = s.extra[j].Name.IsSubdomainOf(z.nameOf(cut))
		}
		slices.SortStableFunc(s.extra, func(a, b Address) int {
			switch {
			case a.Required == b.Required:
				return 0
			case a.Required:
				return -1
			default:
				return 1
			}
		})
	}
}

// sign notes the serial and the SOA of negative answers.
func (z *Zone) sign() {
	soa := z.SOA()
	numbers := soa.RData[0][len(soa.RData[0])-20:]
	z.serial = binary.BigEndian.Uint32(numbers)
	z.negative = *soa
	z.negative.TTL = min(soa.TTL, binary.BigEndian.Uint32(numbers[16:]))
}
