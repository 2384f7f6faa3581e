package dnsserver

import (
	"strconv"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
)

// whoamiTTL is the TTL in seconds of answers that mirror the client. They are good for once. But 0 is treated in odd ways by some
// resolvers, and 1 lets a resolver share an answer among those who wait for it.
const whoamiTTL = 1

// whoami answers with what is seen of the client. A and AAAA are the address that the query came from, TXT is one record of strings
// "key=value", in the form of RFC 6763 6.3:
//
//	resolver   the address that the query came from
//	port       its port
//	transport  udp or tcp
//	subnet     the client subnet as it came; absent without one
//	server     this server's identity, if it is configured
//	here       this server's site, if it is configured
//	view       the view that decides what the client sees; absent if none does
//	site       the site of the endpoint that the record's policy chooses for the client, if the record has one
//	reason     what the choice was made by
//
// The answer is tailored to the subnet, so its scope is all of what came (RFC 7871 7.2.1).
func (a *Answerer) whoami() wire.RCode {
	before := a.scope // of what led here
	if a.query.HasSubnet && a.query.Subnet.IsValid() {
		a.scope = max(a.scope, uint8(a.query.Subnet.Bits()))
	}
	from := a.from.Addr().Unmap().WithZone("")
	switch t := a.rrtype; {
	case t == wire.TypeTXT, t == wire.TypeANY:
		a.set.begin(wire.TypeTXT, whoamiTTL)
		a.mirror()
		a.add(&a.set.RRset)
	case t == wire.TypeA && from.Is4(), t == wire.TypeAAAA && from.Is6():
		a.builder.AddAddresses(a.path.owner, whoamiTTL, append(a.addrs[:0], from))
	default:
		a.scope = before
		return a.nothing(wire.NoError)
	}
	return wire.NoError
}

// mirror makes the TXT record.
func (a *Answerer) mirror() {
	s, from := &a.set, a.from.Addr().Unmap()
	start := len(s.buf)
	at := s.pair("resolver=")
	s.buf = from.AppendTo(s.buf)
	s.endPair(at)
	at = s.pair("port=")
	s.buf = strconv.AppendUint(s.buf, uint64(a.from.Port()), 10)
	s.endPair(at)
	s.pairOf("transport=", a.Transport.String())
	if a.query.HasSubnet && a.query.Subnet.IsValid() {
		at = s.pair("subnet=")
		s.buf = a.query.Subnet.AppendTo(s.buf)
		s.endPair(at)
	}
	s.pairOf("server=", a.Identity)
	s.pairOf("here=", a.Site)
	s.pairOf("view=", a.zones.ViewName())
	if steer := a.path.match.Steer; steer != nil && a.decide(steer, policy.FamilyAny) {
		plan := a.snapshot.Plan
		s.pairOf("site=", plan.SiteName(plan.Endpoint(a.decided.Endpoints[0]).Site))
		s.pairOf("reason=", a.decided.Reason.String())
	}
	s.end(start)
}

// pair begins a string of a TXT record with a key, and returns where it begins.
func (s *set) pair(key string) int {
	s.buf = append(append(s.buf, 0), key...)
	return len(s.buf) - len(key)
}

// endPair writes the length of the string that began there. A longer one than a string can be is cut (RFC 1035 3.3).
func (s *set) endPair(at int) {
	n := min(len(s.buf)-at, 255)
	s.buf = s.buf[:at+n]
	s.buf[at-1] = byte(n)
}

// pairOf adds a string of a key and a value, unless the value is empty.
func (s *set) pairOf(key, value string) {
	if value == "" {
		return
	}
	at := s.pair(key)
	s.buf = append(s.buf, value...)
	s.endPair(at)
}
