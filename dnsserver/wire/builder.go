package wire

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// A Section is a part of a response that holds records (RFC 1035 4.1).
type Section uint8

// The sections, in the order in which a Builder takes them.
const (
	Answer Section = iota
	Authority
	Additional
)

const (
	optLen      = 11 // an OPT record without options
	recordLen   = 10 // type, class, TTL, RDLENGTH
	maxSuffixes = 32 // names to point to; a response with more is merely larger
	pointerTo   = 0xC000
	maxPointer  = 0x3FFF
)

// A Builder writes one response: Reset, options, then whole RRsets section by section, then Finish. It alone decides about truncation: an
// RRset that does not fit is left out as a whole, and TC says so if it was required (RFC 2181 9). The room for EDNS is set aside
// first, so it always fits. Owner names and the names in record types of RFC 1035 are compressed, names in other types never
// (RFC 3597 4). A Builder is reused without allocation as long as the buffers have room; it is not for concurrent use.
type Builder struct {
	q      *Query
	buf    []byte
	base   int // where the message starts in buf
	end    int // len(buf) must not exceed it
	limit  int // nor this while records are added: what Finish adds has its room set aside
	flags  uint16
	rcode  RCode
	counts [3]uint16
	class  uint16 // of records
	opt    options

	suffixes [maxSuffixes]suffix
	known    int // suffixes in use
}

// A suffix is a name that stands at an offset of the message.
type suffix struct {
	name Name
	off  uint16
}

// Reset starts the response to q after what dst holds; the message is appended to dst. It will have at most limit bytes, of which
// the header, the question and EDNS take the first: limit must be at least 512. q must stay as it is until Finish.
func (b *Builder) Reset(dst []byte, q *Query, limit int) {
	b.q, b.base, b.known = q, len(dst), 0
	b.flags = flagQR | uint16(q.Opcode)<<11
	if q.RD {
		b.flags |= flagRD
	}
	b.rcode, b.counts = NoError, [3]uint16{}
	if b.class = ClassIN; q.Class == ClassCH {
		b.class = ClassCH
	}
	b.opt.hasCookie, b.opt.hasAlive, b.opt.nsid, b.opt.err = false, false, "", 0
	b.buf = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b.buf = append(b.buf, q.question...)
	b.end = b.base + min(limit, 1<<16-1)
	b.limit = b.end - b.reserve()
}

// Forget lets go of the names of earlier responses, which may hold memory of zones that are no more. It comes before Reset.
func (b *Builder) Forget() { b.suffixes, b.known = [maxSuffixes]suffix{}, 0 }

// reserve is the number of bytes that Finish will add for EDNS as such and the client subnet.
func (b *Builder) reserve() int {
	switch {
	case !b.q.HasOPT:
		return 0
	case b.q.HasSubnet:
		return optLen + optionLen + len(b.q.subnet)
	default:
		return optLen
	}
}

// SetRCode sets the response code. A code above 15 needs EDNS in the query.
func (b *Builder) SetRCode(r RCode) { b.rcode = r }

// SetAuthoritative sets AA.
func (b *Builder) SetAuthoritative() { b.flags |= flagAA }

// SetTruncated makes the response one without records, whose TC bit sends the client to TCP. It comes before all records.
func (b *Builder) SetTruncated() { b.flags |= flagTC }

// Truncated reports whether a required RRset was left out. Nothing is added any more after that.
func (b *Builder) Truncated() bool { return b.flags&flagTC != 0 }

// Add appends an RRset that the response is not complete without. If it does not fit, it is left out and TC is set.
// It reports whether the set is in the message. Sections must be added in order.
func (b *Builder) Add(s Section, owner Name, set *RRset) bool {
	if b.AddOptional(s, owner, set) {
		return true
	}
	b.flags |= flagTC
	return false
}

// AddOptional is Add for an RRset that may be left out silently.
func (b *Builder) AddOptional(s Section, owner Name, set *RRset) bool {
	if b.Truncated() {
		return false
	}
	mark, known := len(b.buf), b.known
	for _, rdata := range set.RData {
		if !b.record(owner, set.Type, set.TTL, rdata) {
			b.buf, b.known = b.buf[:mark], known
			return false
		}
	}
	b.counts[s] += uint16(len(set.RData))
	return true
}

// AddAddresses is Add for an RRset of the Answer section made of addresses: A if the first is IPv4, else AAAA. All must be of one
// family.
func (b *Builder) AddAddresses(owner Name, ttl uint32, addrs []netip.Addr) bool {
	if b.Truncated() {
		return false
	}
	mark, known := len(b.buf), b.known
	for i := range addrs {
		if addrs[0].Is4() {
			a := addrs[i].As4()
			b.recordHead(owner, TypeA, ttl, len(a))
			b.buf = append(b.buf, a[:]...)
		} else {
			a := addrs[i].As16()
			b.recordHead(owner, TypeAAAA, ttl, len(a))
			b.buf = append(b.buf, a[:]...)
		}
		if len(b.buf) > b.limit {
			b.buf, b.known = b.buf[:mark], known
			b.flags |= flagTC
			return false
		}
	}
	b.counts[Answer] += uint16(len(addrs))
	return true
}

// Finish appends the OPT record if the query had one, writes the header, and returns dst of Reset with the message appended.
// udpSize is the largest request we take over UDP, scope the prefix length of the client subnet's answer (RFC 7871 6; the subnet
// itself is echoed as it came, 7.1.3). Flags of EDNS that we do not know are 0.
func (b *Builder) Finish(udpSize uint16, scope uint8) []byte {
	if b.q.HasOPT {
		b.finishOPT(udpSize, scope)
	}
	h := b.buf[b.base : b.base+headerLen]
	binary.BigEndian.PutUint16(h, b.q.ID)
	binary.BigEndian.PutUint16(h[2:], b.flags|uint16(b.rcode&15))
	questions := uint16(0)
	if b.q.question != nil {
		questions = 1
	}
	binary.BigEndian.PutUint16(h[4:], questions)
	for s, n := range b.counts {
		binary.BigEndian.PutUint16(h[6+2*s:], n)
	}
	return b.buf
}

func (b *Builder) finishOPT(udpSize uint16, scope uint8) {
	var do byte
	if b.q.DO {
		do = ednsDO >> 8
	}
	b.buf = append(b.buf, 0, 0, byte(TypeOPT), byte(udpSize>>8), byte(udpSize), byte(b.rcode>>4), 0, do, 0, 0, 0)
	size := len(b.buf)
	b.appendOptions(scope)
	binary.BigEndian.PutUint16(b.buf[size-2:], uint16(len(b.buf)-size))
	b.counts[Additional]++
}

// record appends one record and reports whether it fits; if not, the caller cuts the buffer.
func (b *Builder) record(owner Name, rrtype uint16, ttl uint32, rdata []byte) bool {
	names, head := compressible(rrtype)
	if names == 0 && len(b.buf)+1+recordLen+len(rdata) > b.limit { // an owner takes at least 1 byte; do not grow the buffer in vain
		return false
	}
	b.recordHead(owner, rrtype, ttl, 0)
	start := len(b.buf)
	b.buf = append(b.buf, rdata[:head]...)
	for rdata = rdata[head:]; names > 0; names-- {
		n := nameAt(rdata)
		b.appendName(n)
		rdata = rdata[len(n):]
	}
	b.buf = append(b.buf, rdata...)
	binary.BigEndian.PutUint16(b.buf[start-2:], uint16(len(b.buf)-start))
	return len(b.buf) <= b.limit
}

// recordHead appends what precedes the RDATA of a record.
func (b *Builder) recordHead(owner Name, rrtype uint16, ttl uint32, size int) {
	b.appendName(owner)
	b.buf = append(b.buf, byte(rrtype>>8), byte(rrtype), byte(b.class>>8), byte(b.class),
		byte(ttl>>24), byte(ttl>>16), byte(ttl>>8), byte(ttl), byte(size>>8), byte(size))
}

// compressible returns how many names the RDATA of a type holds that may be compressed (RFC 3597 4: only types of RFC 1035), and
// how many bytes precede them.
func compressible(rrtype uint16) (names, head int) {
	switch rrtype {
	case TypeNS, TypeCNAME, TypePTR:
		return 1, 0
	case TypeMX:
		return 1, 2
	case TypeSOA:
		return 2, 0
	}
	return 0, 0
}

// nameAt returns the name that RDATA starts with.
func nameAt(rdata []byte) Name {
	end := 0
	for rdata[end] != 0 {
		end += int(rdata[end]) + 1
	}
	return Name(rdata[:end+1])
}

// appendName appends a name, as a pointer from the first suffix on that the message already has (RFC 1035 4.1.4). Owners are most
// often the name in question, which keeps the case it was asked in.
func (b *Builder) appendName(n Name) {
	if b.q.question != nil && len(n) > 1 && bytes.Equal(n, b.q.Name) {
		b.buf = append(b.buf, pointerTo>>8, headerLen)
		return
	}
	if b.known == 0 && b.q.question != nil {
		b.learn(b.q.Name, headerLen)
	}
	known, start := b.known, len(b.buf)-b.base
	for rest := n; ; rest = rest[int(rest[0])+1:] {
		if rest[0] == 0 {
			b.buf = append(b.buf, 0)
			break
		}
		if off, ok := b.find(rest, known); ok {
			b.buf = append(b.buf, byte((pointerTo|off)>>8), byte(off))
			break
		}
		if off := start + len(n) - len(rest); off <= maxPointer && b.known < maxSuffixes {
			b.suffixes[b.known] = suffix{rest, uint16(off)}
			b.known++
		}
		b.buf = append(b.buf, rest[:int(rest[0])+1]...)
	}
}

// learn remembers every suffix of a name that stands uncompressed at an offset.
func (b *Builder) learn(n Name, off int) {
	for ; n[0] != 0 && b.known < maxSuffixes; n = n.Parent() {
		b.suffixes[b.known] = suffix{n, uint16(off)}
		b.known++
		off += int(n[0]) + 1
	}
}

// find returns the offset of a name among the first known suffixes.
func (b *Builder) find(n Name, known int) (uint16, bool) {
	for i := range b.suffixes[:known] {
		if s := &b.suffixes[i]; len(s.name) == len(n) && bytes.Equal(s.name, n) {
			return s.off, true
		}
	}
	return 0, false
}
