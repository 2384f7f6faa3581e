package wire

import (
	"encoding/binary"
	"net/netip"
)

// headerLen is the size of the DNS header (RFC 1035 4.1.1).
const headerLen = 12

// Flags of the header's second 16 bits (RFC 1035 4.1.1), and of the OPT record's TTL (RFC 6891 6.1.3).
const (
	flagQR = 1 << 15
	flagAA = 1 << 10
	flagTC = 1 << 9
	flagRD = 1 << 8
	ednsDO = 1 << 15
)

// An Outcome says what a message deserves, as far as its form tells.
type Outcome uint8

// The outcomes. All but Drop leave enough in the Query to write the response.
const (
	Drop           Outcome = iota // not a query, or too short to be one: answering could start a loop between two servers
	Good                          // a query with one question, or with none and a cookie (RFC 7873 5.4)
	Malformed                     // answer FORMERR
	NotImplemented                // an opcode other than QUERY: answer NOTIMP
	BadVersion                    // EDNS of a version above 0: answer BADVERS (RFC 6891 6.1.3)
)

// A Query is one request as Parse read it. It refers to the memory of the message, so it is valid as long as that is unchanged.
// A Query can be parsed into any number of times.
type Query struct {
	ID     uint16
	Opcode uint8
	RD     bool // recursion desired, which responses repeat

	// The question. Name is nil and the others are 0 if there is none that could be read.
	Name  Name // lower case; lives in the Query
	Type  uint16
	Class uint16

	// EDNS(0) (RFC 6891).
	HasOPT  bool
	UDPSize uint16 // of the largest response the requestor takes over UDP, as it said
	DO      bool   // DNSSEC OK (RFC 3225)

	// Client subnet (RFC 7871).
	HasSubnet bool
	Subnet    netip.Prefix // as received; invalid for family 0, which can only say "nobody" (source prefix length 0)

	// Cookie is the data of the first cookie option as received: the client's 8 bytes, and the server's 8 to 32 if the client has
	// any (RFC 7873 4). It is nil without one.
	Cookie []byte

	NSID         bool // the name server's identifier is asked for (RFC 5001 2.1)
	Keepalive    bool // the client can hold its TCP connection open, and asks for how long (RFC 7828 3.2.1)
	BadKeepalive bool // a keepalive option that is not empty: an error over TCP, over UDP nothing is to be read from it (RFC 7828 3.2.2)

	question []byte        // as received, for the echo
	subnet   []byte        // the option's data as received, for the echo
	name     [MaxName]byte // what Name refers to
}

// Parse reads a request. It is strict about what it must understand to answer, and skips what it need not: other records in the
// additional section, unknown EDNS options and flags, reserved header bits. TSIG and SIG(0) are not supported: such requests are
// answered unsigned, which their sender will refuse, but a TSIG record that is not the last is an error (RFC 8945 5.1). The work
// is linear in len(msg), whatever the header's counts say.
func Parse(msg []byte, q *Query) Outcome {
	if len(msg) < headerLen {
		return Drop
	}
	flags := binary.BigEndian.Uint16(msg[2:])
	if flags&flagQR != 0 {
		return Drop
	}
	q.ID = binary.BigEndian.Uint16(msg)
	q.Opcode = uint8(flags >> 11 & 15)
	q.RD = flags&flagRD != 0
	q.Name, q.Type, q.Class, q.question = nil, 0, 0, nil
	q.HasOPT, q.UDPSize, q.DO = false, 0, false
	q.forgetOptions()

	outcome := q.body(msg)
	if q.Opcode != OpcodeQuery {
		return NotImplemented // whatever its body looks like: only the header of an unknown opcode has a known form (RFC 8906 3.1.4)
	}
	return outcome
}

// body reads what follows the header. What it could read before an error stays in q.
func (q *Query) body(msg []byte) Outcome {
	questions, off := binary.BigEndian.Uint16(msg[4:]), headerLen
	if questions == 1 {
		off = q.readQuestion(msg)
	}
	if questions > 1 || off < 0 { // RFC 9619 4
		return Malformed
	}
	others := int(binary.BigEndian.Uint16(msg[6:])) + int(binary.BigEndian.Uint16(msg[8:])) // answer, authority
	total := others + int(binary.BigEndian.Uint16(msg[10:]))
	outcome := Good
	for i := range total {
		r, ok := readRecord(msg, off)
		if !ok {
			return q.malformed()
		}
		off = r.end
		switch r.rrtype {
		case TypeOPT:
			if i < others || q.HasOPT || !r.root { // RFC 6891 6.1.1
				return q.malformed()
			}
			if outcome = q.readOPT(msg, r); outcome == Malformed {
				return q.malformed()
			}
		case TypeTSIG:
			if i < others || i != total-1 {
				return q.malformed()
			}
		}
	}
	if off != len(msg) || questions == 0 && q.Cookie == nil && outcome == Good {
		return q.malformed()
	}
	return outcome
}

// malformed forgets the options: a FORMERR depends on no client, and asks nothing of it.
func (q *Query) malformed() Outcome {
	q.forgetOptions()
	return Malformed
}

func (q *Query) forgetOptions() {
	q.HasSubnet, q.Subnet, q.subnet = false, netip.Prefix{}, nil
	q.Cookie, q.NSID, q.Keepalive, q.BadKeepalive = nil, false, false, false
}

// readQuestion reads the question section and returns the offset after it, or -1. There is nothing before the question that its
// name could point to, so compression is an error.
func (q *Query) readQuestion(msg []byte) int {
	off := headerLen
	for {
		if off >= len(msg) {
			return -1
		}
		size := int(msg[off])
		if size > MaxLabel {
			return -1
		}
		off += size + 1
		if size == 0 {
			break
		}
	}
	if off-headerLen > MaxName || off+4 > len(msg) {
		return -1
	}
	n := off - headerLen
	lowerName(q.name[:n], msg[headerLen:off])
	q.Name = q.name[:n]
	q.Type = binary.BigEndian.Uint16(msg[off:])
	q.Class = binary.BigEndian.Uint16(msg[off+2:])
	q.question = msg[headerLen : off+4]
	return off + 4
}

// A record is where a resource record lies in a message.
type record struct {
	rrtype     uint16
	root       bool // its owner is the root
	fixed      int  // offset of type, class, TTL, RDLENGTH
	rdata, end int  // offsets of RDATA and of what follows
}

// readRecord finds the record at an offset. Owner names are skipped, not followed.
func readRecord(msg []byte, off int) (r record, ok bool) {
	start := off
	for {
		if off >= len(msg) {
			return r, false
		}
		size := int(msg[off])
		off++
		if size == 0 {
			break
		}
		if size >= 0xC0 {
			off++
			break
		}
		if size > MaxLabel {
			return r, false
		}
		off += size
	}
	if off-start > MaxName || off+10 > len(msg) {
		return r, false
	}
	r.root = off-start == 1
	r.rrtype = binary.BigEndian.Uint16(msg[off:])
	r.fixed = off
	r.rdata = off + 10
	r.end = r.rdata + int(binary.BigEndian.Uint16(msg[off+8:]))
	return r, r.end <= len(msg)
}

// readOPT reads the OPT record: UDP size in the class, extended code, version and flags in the TTL, options in RDATA
// (RFC 6891 6.1.2 and 6.1.3). Options of a version we do not know may have any form, so only version 0 is read on.
func (q *Query) readOPT(msg []byte, r record) Outcome {
	q.HasOPT = true
	q.UDPSize = binary.BigEndian.Uint16(msg[r.fixed+2:])
	version := msg[r.fixed+5]
	q.DO = binary.BigEndian.Uint16(msg[r.fixed+6:])&ednsDO != 0
	if version > 0 {
		return BadVersion
	}
	for options := msg[r.rdata:r.end]; len(options) > 0; {
		if len(options) < 4 {
			return Malformed
		}
		code, size := binary.BigEndian.Uint16(options), int(binary.BigEndian.Uint16(options[2:]))
		if options = options[4:]; size > len(options) {
			return Malformed
		}
		if !q.readOption(code, options[:size]) {
			return Malformed
		}
		options = options[size:]
	}
	return Good
}

// readOption reads an EDNS option and reports whether it is well-formed. What is not known is ignored (RFC 6891 6.1.2).
func (q *Query) readOption(code uint16, data []byte) bool {
	switch code {
	case optSubnet:
		return q.readSubnet(data)
	case optCookie:
		return q.readCookie(data)
	case optNSID:
		q.NSID = true // a payload must not be there, and is to be ignored (RFC 5001 2.1, 2.2)
	case optKeepalive:
		q.Keepalive = q.Keepalive || len(data) == 0
		q.BadKeepalive = q.BadKeepalive || len(data) != 0
	}
	return true
}

// readCookie reads a cookie option and reports whether it has a length that a cookie can have (RFC 7873 4, 5.2.2). Of several the
// first counts (RFC 7873 5.2); the others must be well-formed all the same.
func (q *Query) readCookie(data []byte) bool {
	if len(data) != ClientCookieLen && (len(data) < ClientCookieLen+8 || len(data) > ClientCookieLen+32) {
		return false
	}
	if q.Cookie == nil {
		q.Cookie = data
	}
	return true
}

// readSubnet reads a client subnet option and reports whether it is well-formed (RFC 7871 6 and 7.1.2): a family we know, a source
// prefix length within it, scope 0, an address of exactly the bytes the length needs, no bits beyond it. A second option is an
// error, because we could obey only one. Family 0 is accepted with length 0, where the family means nothing.
func (q *Query) readSubnet(data []byte) bool {
	if q.HasSubnet || len(data) < 4 {
		return false
	}
	family, source, scope, addr := binary.BigEndian.Uint16(data), int(data[2]), data[3], data[4:]
	if scope != 0 || len(addr) != (source+7)/8 {
		return false
	}
	if source%8 != 0 && addr[len(addr)-1]<<(source%8) != 0 {
		return false
	}
	switch {
	case family == 0 && source == 0:
		q.Subnet = netip.Prefix{}
	case family == 1 && source <= 32:
		var a [4]byte
		copy(a[:], addr)
		q.Subnet = netip.PrefixFrom(netip.AddrFrom4(a), source)
	case family == 2 && source <= 128:
		var a [16]byte
		copy(a[:], addr)
		q.Subnet = netip.PrefixFrom(netip.AddrFrom16(a), source)
	default:
		return false
	}
	q.HasSubnet, q.subnet = true, data
	return true
}
