package zone

import (
	"bytes"
	"cmp"
	"slices"

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
	rdata   [][]byte          // of all sets
	bytes   []byte            // of all RDATA of the Spec
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
	rrs, sets, values, size := b.spec.RRs, 0, len(b.records), 0
	for i := range b.zone.nodes {
		list := b.recordsOf(i)
		if len(list) > 1 {
			slices.SortStableFunc(list, func(x, y uint32) int { return cmp.Compare(rrs.typeAt(x), rrs.typeAt(y)) })
		}
		for j := range list {
			if j == 0 || rrs.typeAt(list[j]) != rrs.typeAt(list[j-1]) {
				sets++
			}
		}
	}
	for i := range b.owners {
		o := &b.owners[i]
		sets += len(o.sets)
		if o.alias != nil {
			sets, values, size = sets+1, values+1, size+len(o.alias)
		}
		for _, s := range o.sets {
			values += len(s.RData)
			for _, rdata := range s.RData {
				size += len(rdata)
			}
		}
	}
	b.zone.sets = make([]set, 0, sets)
	b.rdata, b.bytes = make([][]byte, 0, values), make([]byte, 0, size)
}

// fill gives the nodes their data, and checks what stands together.
func (b *builder) fill() {
	z := b.zone
	for i := range z.nodes {
		n, list, o := &z.nodes[i], b.recordsOf(i), b.ofNode[uint32(i)]
		first := len(z.sets)
		for len(list) > 0 {
			end := 1
			for end < len(list) && b.spec.RRs.typeAt(list[end]) == b.spec.RRs.typeAt(list[0]) {
				end++
			}
			b.fileSet(list[:end])
			list = list[end:]
		}
		n.setsAt, n.setsCount = uint32(first), uint16(len(z.sets)-first)
		b.judge(i, z.sets[first:])
		if o != nil {
			b.company(o, z.sets[first:])
			b.specSets(n, o)
		}
		if z.set(n, wire.TypeDNAME) != nil {
			n.flags |= flagDNAME
		}
	}
}

// fileSet makes a set of records of one name and type: the lowest of their TTLs is that of all (RFC 2181 5.2), and what is there
// twice counts once (RFC 2181 5).
func (b *builder) fileSet(list []uint32) {
	rr, _, _ := b.spec.RRs.read(list[0])
	s := set{RRset: wire.RRset{Type: rr.Type, TTL: rr.TTL}}
	first, size := len(b.rdata), 0
	var seen map[string]bool
	for _, at := range list {
		rr, _, _ := b.spec.RRs.read(at)
		s.TTL = min(s.TTL, rr.TTL)
		dup := false
		if len(list) > 16 { // so many are not compared one by one
			if seen == nil {
				seen = make(map[string]bool, len(list))
			}
			dup = seen[string(rr.RData)]
			seen[string(rr.RData)] = true
		} else {
			dup = slices.ContainsFunc(b.rdata[first:], func(v []byte) bool { return bytes.Equal(v, rr.RData) })
		}
		if !dup {
			b.rdata = append(b.rdata, rr.RData)
			size += len(rr.RData) + 12
		}
	}
	s.RData = b.rdata[first:len(b.rdata):len(b.rdata)]
	if size > maxSet {
		b.fault(list[0], "the set of type %s takes %d bytes; %d is the most that fits a message", typeName(s.Type), size, maxSet)
	}
	b.zone.sets = append(b.zone.sets, s)
}

// specSets adds to a node what the Spec has at its name.
func (b *builder) specSets(n *node, o *owner) {
	z := b.zone
	for _, s := range o.sets {
		z.sets = append(z.sets, set{RRset: wire.RRset{Type: s.Type, TTL: s.TTL, RData: b.keep(s.RData)}})
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
		z.sets = append(z.sets, set{RRset: wire.RRset{TTL: o.ttl, RData: b.keep([][]byte{o.alias})}})
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
