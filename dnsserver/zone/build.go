package zone

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// A builder makes the nodes and sets of a zone out of the records of its file and the owners of its Spec. What they point to is
// made in a few large pieces, and names and RDATA of the file stay where they are.
type builder struct {
	*draft
	zone *Zone

	records []uint32          // of the file: where they stand in the RRs, by node, then by type, then as in the file
	first   []uint32          // for each node where its records begin in records; one more than there are nodes
	ofNode  map[uint32]*owner // of the Spec
	named   int               // nodes that names lead to; after them come those of variants

	variantAt map[*owner]uint32 // their nodes

	values [][]byte        // of the set at hand
	rdata  [][]byte        // of all sets that have several values
	bytes  []byte          // of all RDATA of the Spec
	text   strings.Builder // the names that the file steers, one after the other
}

// nameNodes makes the nodes: of every owner and of every name between it and the apex. The apex is the first.
func (b *builder) nameNodes() {
	z, rrs := b.zone, b.spec.RRs
	if rrs.Len() > 0 {
		z.names = rrs.data[:len(rrs.data):len(rrs.data)]
		_, owner, _ := rrs.read(0)
		z.index = newTable(rrs.owners + len(b.owners))
		z.nodes = make([]node, 0, rrs.owners+len(b.owners)+1)
		b.node(owner + uint32(len(rrs.nameAt(owner))-len(b.apex)))
		b.nodesOfFile()
	} else {
		z.index = newTable(len(b.owners))
		z.nodes = make([]node, 0, len(b.owners)+1)
		size := 0
		for i := range b.owners {
			size += len(b.owners[i].name)
		}
		z.names = append(make([]byte, 0, size+len(b.apex)), b.apex...)
		b.node(0)
	}
	b.ofNode = make(map[uint32]*owner, len(b.owners))
	for i := range b.owners {
		o := &b.owners[i]
		pos, ok := z.position(o.name)
		if !ok {
			at := uint32(len(z.names))
			z.names = append(z.names, o.name...)
			pos = b.node(at)
		}
		b.ofNode[pos] = o
	}
	b.nodesOfVariants()
}

// nodesOfVariants makes a node for each variant of a name, which no name leads to.
func (b *builder) nodesOfVariants() {
	z := b.zone
	b.named = len(z.nodes)
	for i := range b.named {
		o := b.ofNode[uint32(i)]
		if o == nil {
			continue
		}
		for j := range o.variants {
			if b.variantAt == nil {
				b.variantAt = map[*owner]uint32{}
			}
			v, at := &o.variants[j], uint32(len(z.nodes))
			n := &z.nodes[i]
			z.nodes = append(z.nodes, node{nameAt: n.nameAt, nameLen: n.nameLen, head: n.head})
			b.ofNode[at], b.variantAt[v] = v, at
		}
	}
}

// nodesOfFile makes the nodes of the records of the file, and sorts the records by node.
func (b *builder) nodesOfFile() {
	rrs := b.spec.RRs
	nodes := make([]uint32, 0, rrs.Len()) // of each record
	var counts []uint32
	last, lastOwner := uint32(0), ^uint32(0)
	for at := uint32(0); at < uint32(len(rrs.data)); {
		_, owner, next := rrs.read(at)
		if owner != lastOwner {
			last, lastOwner = b.node(owner), owner
		}
		nodes = append(nodes, last)
		for int(last) >= len(counts) {
			counts = append(counts, 0)
		}
		counts[last]++
		at = next
	}
	b.first = make([]uint32, len(counts)+1)
	for i, n := range counts {
		b.first[i+1] = b.first[i] + n
		counts[i] = b.first[i]
	}
	b.records = make([]uint32, len(nodes))
	at := uint32(0)
	for _, n := range nodes {
		b.records[counts[n]] = at
		counts[n]++
		_, _, at = rrs.read(at)
	}
}

// node returns the position of the node whose name stands at a place in the zone's names. It is made if need be, with every name
// between it and the apex; these are the ends of its name.
func (b *builder) node(at uint32) uint32 {
	z := b.zone
	name := nameIn(z.names, at)
	hash := hashName(name)
	if i, ok := z.probe(hash, name); ok {
		return i
	}
	i := uint32(len(z.nodes))
	n := node{nameAt: at, nameLen: uint8(len(name))}
	copy(n.head[:], name)
	z.nodes = append(z.nodes, n)
	z.labels = max(z.labels, name.Labels())
	if 2*len(z.nodes) > len(z.index.slots) {
		z.index = newTable(2 * len(z.nodes))
		for j := range z.nodes {
			z.index.insert(hashName(z.nameOf(&z.nodes[j])), j)
		}
	} else {
		z.index.insert(hash, int(i))
	}
	if len(name) > len(z.apex) {
		b.node(at + 1 + uint32(name[0]))
	}
	return i
}

// recordsOf returns where the records of a node stand in the RRs of the file.
func (b *builder) recordsOf(i int) []uint32 {
	if i+1 >= len(b.first) {
		return nil
	}
	return b.records[b.first[i]:b.first[i+1]]
}

// sortRecords sorts the records of each node by type, and makes room for the sets.
func (b *builder) sortRecords() {
	rrs, sets, values, size, text := b.spec.RRs, 0, 0, 0, 0
	for i := range b.zone.nodes {
		list := b.recordsOf(i)
		if len(list) > 1 {
			slices.SortStableFunc(list, func(x, y uint32) int { return cmp.Compare(rrs.typeAt(x), rrs.typeAt(y)) })
		}
		if n := b.steered(list); n > 0 {
			list, text = list[n:], text+int(b.zone.nodes[i].nameLen)
		}
		for len(list) > 0 {
			n := b.sameType(list)
			if sets++; n > 1 {
				values += n
			}
			list = list[n:]
		}
	}
	for o := range b.all() {
		if sets += len(o.sets); o.alias != nil {
			sets, size = sets+1, size+len(o.alias)
		}
		for _, s := range o.sets {
			if len(s.RData) > 1 {
				values += len(s.RData)
			}
			for _, rdata := range s.RData {
				size += len(rdata)
			}
		}
	}
	b.zone.sets = make([]set, 0, sets)
	b.text.Grow(text)
	b.rdata, b.bytes = make([][]byte, 0, values), make([]byte, 0, size)
}

// sameType returns how many of some records, at least one, have the type of the first.
func (b *builder) sameType(list []uint32) int {
	n, rrs := 1, b.spec.RRs
	for n < len(list) && rrs.typeAt(list[n]) == rrs.typeAt(list[0]) {
		n++
	}
	return n
}

// steered returns how many of the records of a node, which come first, steer it.
func (b *builder) steered(list []uint32) int {
	if len(list) == 0 || b.spec.RRs.typeAt(list[0]) != TypeSteered {
		return 0
	}
	return b.sameType(list)
}

// steer has the zone file steer a node by some records, which must say the same. The lowest of their TTLs counts.
func (b *builder) steer(pos uint32, list []uint32) {
	n := &b.zone.nodes[pos]
	name, ttl := b.zone.nameOf(n), uint32(MaxTTL)
	first, _, _ := b.spec.RRs.read(list[0])
	for _, at := range list {
		rr, _, _ := b.spec.RRs.read(at)
		if ttl = min(ttl, rr.TTL); !bytes.Equal(rr.RData, first.RData) {
			b.fault(at, "%s is steered twice; a name has one service and one policy, and all types in one line", show(name))
		}
	}
	from := b.text.Len()
	var buf [4 * wire.MaxName]byte
	shown := name.AppendTo(buf[:0])
	b.text.Write(shown[:len(shown)-min(1, len(shown)-1)]) // without the final dot, but for the root's
	way := &b.steers[binary.LittleEndian.Uint32(first.RData)]
	n.steer = way.Steer
	n.steer.TTL, n.steer.Tag, n.steer.Record = ttl, uint16(hashName(name)), b.text.String()[from:]
	b.behave(pos, way.manner)
}

// fill gives the nodes their data, and checks what stands together.
func (b *builder) fill() {
	z := b.zone
	for i := range z.nodes {
		n, list, o := &z.nodes[i], b.recordsOf(i), b.ofNode[uint32(i)]
		first := len(z.sets)
		steers := list[:b.steered(list)]
		if len(steers) > 0 {
			b.steer(uint32(i), steers)
		}
		list = list[len(steers):]
		for len(list) > 0 {
			n := b.sameType(list)
			b.fileSet(list[:n])
			list = list[n:]
		}
		n.setsAt, n.setsCount = uint32(first), uint16(len(z.sets)-first)
		b.judge(i, z.sets[first:])
		if len(steers) > 0 {
			b.judgeSteer(i, steers[0], z.sets[first:])
		}
		if o != nil {
			beside, steered := z.sets[first:], n.steer.Types
			if i >= b.named {
				beside, steered = z.setsOf(z.node(o.name)), z.node(o.name).steer.Types
			}
			b.company(o, beside, steered)
			b.specSets(n, o)
			b.behave(uint32(i), o.manner)
			b.vary(uint32(i), o)
		}
		if z.set(n, wire.TypeDNAME) != nil {
			n.flags |= flagDNAME
		}
	}
	for i := range z.sets { // now that they stay where they are
		s := &z.sets[i]
		if s.one[0] == nil {
			continue
		}
		if s.Type == wire.TypeA && len(s.one[0]) == len(s.four) {
			copy(s.four[:], s.one[0])
			s.one[0] = s.four[:]
		}
		s.RData = s.one[:]
	}
}

// push adds a set whose values are b.values. The values of a set of one are complete only at the end of fill.
func (b *builder) push(rrtype uint16, ttl uint32) {
	s := set{RRset: wire.RRset{Type: rrtype, TTL: ttl}}
	if len(b.values) == 1 {
		s.one[0] = b.values[0]
	} else {
		first := len(b.rdata)
		b.rdata = append(b.rdata, b.values...)
		s.RData = b.rdata[first:len(b.rdata):len(b.rdata)]
	}
	b.zone.sets = append(b.zone.sets, s)
}

// fileSet makes a set of records of one name and type: the lowest of their TTLs is that of all (RFC 2181 5.2), and what is there
// twice counts once (RFC 2181 5).
func (b *builder) fileSet(list []uint32) {
	b.values = b.values[:0]
	rr, _, _ := b.spec.RRs.read(list[0])
	rrtype, ttl, size := rr.Type, rr.TTL, 0
	var seen map[string]bool // many are not compared one by one
	if len(list) > 16 {
		seen = make(map[string]bool, len(list))
	}
	for _, at := range list {
		rr, _, _ := b.spec.RRs.read(at)
		ttl = min(ttl, rr.TTL)
		dup := seen[string(rr.RData)] || seen == nil && slices.ContainsFunc(b.values, func(v []byte) bool { return bytes.Equal(v, rr.RData) })
		if dup {
			continue
		}
		if seen != nil {
			seen[string(rr.RData)] = true
		}
		b.values = append(b.values, rr.RData)
		size += len(rr.RData) + 12
	}
	if size > maxSet {
		b.fault(list[0], "the set of type %s takes %d bytes; %d is the most that fits a message", typeName(rrtype), size, maxSet)
	}
	b.push(rrtype, ttl)
}

// specSets adds to a node what the Spec has at its name.
func (b *builder) specSets(n *node, o *owner) {
	z := b.zone
	for _, s := range o.sets {
		b.keep(s.RData)
		b.push(s.Type, s.TTL)
	}
	slices.SortStableFunc(z.sets[n.setsAt:], func(x, y set) int { return cmp.Compare(x.Type, y.Type) })
	n.setsCount = uint16(len(z.sets) - int(n.setsAt))
	if o.steer != nil {
		n.steer = *o.steer
	}
	if o.whoami {
		n.flags |= flagWhoami
	}
	if o.alias != nil {
		n.flags |= flagAlias
		b.keep([][]byte{o.alias})
		b.push(0, o.ttl)
	}
}

// behave gives the node at a position a Manner, by its position among them plus one.
func (b *builder) behave(pos uint32, manner uint16) {
	if manner == 0 {
		return
	}
	b.zone.note(pos, uint32(manner))
	b.zone.nodes[pos].flags |= flagManner
}

// keep copies values into the builder's memory, and makes them those of the set at hand.
func (b *builder) keep(values [][]byte) {
	b.values = b.values[:0]
	for _, v := range values {
		at := len(b.bytes)
		b.bytes = append(b.bytes, v...)
		b.values = append(b.values, b.bytes[at:len(b.bytes):len(b.bytes)])
	}
}
