package dnsserver

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
)

// maxHints is the most address hints of either family in one record: they only spare a client the wait for A and AAAA, which have all.
const maxHints = 8

// Keys of service parameters (RFC 9460 14.3.2), in the order in which they must stand.
const (
	svcALPN     = 1
	svcPort     = 3
	svcIPv4Hint = 4
	svcIPv6Hint = 6
)

// steerSVCB makes a record for each way in, which is a target, a port and protocols, in the policy's order: SvcPriority counts up from
// 1, and the hints are the addresses of the endpoints behind it, so that HTTPS, A and AAAA never disagree (RFC 9460 2.4.3, 7).
func (a *Answerer) steerSVCB() {
	list, plan := a.decided.Endpoints, a.snapshot.Plan
	for i, id := range list {
		e := plan.Endpoint(id)
		if slices.ContainsFunc(list[:i], func(other policy.EndpointID) bool { return sameWayIn(e, plan.Endpoint(other)) }) {
			continue
		}
		if a.svcb(e, list[i:]); len(a.set.RData) == maxRecords {
			return
		}
	}
}

// sameWayIn reports whether clients would use two endpoints by the same record.
func sameWayIn(a, b *policy.Endpoint) bool {
	return a.Port == b.Port && a.Host == b.Host && slices.Equal(a.ALPN, b.ALPN)
}

// svcb makes the record of e's way in, with hints of those in the list that share it. A port is named even if it is 443 and the type
// HTTPS: without one clients stay with the port of their URL (RFC 9460 7.2), which is another if they came by _8443._https or by an
// AliasMode record of such a name.
func (a *Answerer) svcb(e *policy.Endpoint, list []policy.EndpointID) {
	s, start := &a.set, len(a.set.buf)
	s.buf = binary.BigEndian.AppendUint16(s.buf, uint16(len(s.RData)+1))
	if e.Host == "" {
		s.buf = append(s.buf, 0) // the owner itself
	} else if buf, err := wire.AppendName(s.buf, e.Host); err == nil {
		s.buf = buf
	} else { // hosts are checked on their way in
		s.buf = s.buf[:start]
		return
	}
	if len(e.ALPN) > 0 {
		at := s.param(svcALPN)
		for _, id := range e.ALPN {
			s.buf = append(append(s.buf, byte(len(id))), id...)
		}
		s.endParam(at)
	}
	if e.Port != 0 {
		at := s.param(svcPort)
		s.buf = binary.BigEndian.AppendUint16(s.buf, e.Port)
		s.endParam(at)
	}
	a.hints(svcIPv4Hint, e, list)
	a.hints(svcIPv6Hint, e, list)
	s.end(start)
}

// hints appends the addresses of one family, each once, if there are any (RFC 9460 7.3).
func (a *Answerer) hints(key uint16, e *policy.Endpoint, list []policy.EndpointID) {
	a.addrs = a.addrs[:0]
	for _, id := range list {
		other := a.snapshot.Plan.Endpoint(id)
		addr := other.V4
		if key == svcIPv6Hint {
			addr = other.V6
		}
		if addr.IsValid() && sameWayIn(e, other) && !slices.Contains(a.addrs, addr) {
			if a.addrs = append(a.addrs, addr); len(a.addrs) == maxHints {
				break
			}
		}
	}
	if len(a.addrs) == 0 {
		return
	}
	at := a.set.param(key)
	for _, addr := range a.addrs {
		a.set.buf = appendAddr(a.set.buf, addr)
	}
	a.set.endParam(at)
}

// param begins a service parameter and returns where.
func (s *set) param(key uint16) int {
	s.buf = append(s.buf, byte(key>>8), byte(key), 0, 0)
	return len(s.buf)
}

// endParam writes the length of the parameter that began there.
func (s *set) endParam(at int) {
	binary.BigEndian.PutUint16(s.buf[at-2:], uint16(len(s.buf)-at))
}

// appendAddr appends the bytes of an address.
func appendAddr(dst []byte, addr netip.Addr) []byte {
	if addr.Is4() {
		b := addr.As4()
		return append(dst, b[:]...)
	}
	b := addr.As16()
	return append(dst, b[:]...)
}
