package dnsserver

import (
	"bytes"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// A set is an RRset made for one answer. Its memory is reused, so it is valid until the next query.
type set struct {
	wire.RRset
	buf []byte
}

// reset gives the memory of all sets back.
func (s *set) reset() { s.buf, s.RData = s.buf[:0], s.RData[:0] }

// begin starts a new RRset. Earlier ones of this query must have been written.
func (s *set) begin(rrtype uint16, ttl uint32) {
	s.Type, s.TTL, s.RData = rrtype, ttl, s.RData[:0]
}

// add adds a record, unless its RDATA is there already: no RRset holds a record twice (RFC 2181 5).
func (s *set) add(rdata []byte) {
	start := len(s.buf)
	s.buf = append(s.buf, rdata...)
	s.end(start)
}

// end makes a record of what was appended to buf from start on, as add does.
func (s *set) end(start int) {
	rdata := s.buf[start:len(s.buf):len(s.buf)]
	for _, other := range s.RData {
		if bytes.Equal(other, rdata) {
			s.buf = s.buf[:start]
			return
		}
	}
	s.RData = append(s.RData, rdata)
}

// text adds a TXT record, in strings of at most 255 bytes (RFC 1035 3.3).
func (s *set) text(text string) {
	start := len(s.buf)
	for {
		n := min(len(text), 255)
		s.buf = append(append(s.buf, byte(n)), text[:n]...)
		if text = text[n:]; text == "" {
			break
		}
	}
	s.end(start)
}

// host appends a host's name to the RDATA that begins at start, and ends the record. Hosts are checked on their way in; one that is no
// name makes no record.
func (s *set) host(start int, host string) {
	buf, err := wire.AppendName(s.buf, host)
	if err != nil {
		s.buf = s.buf[:start]
		return
	}
	s.buf = buf
	s.end(start)
}
