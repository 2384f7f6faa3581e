package dnsserver

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
)

// maxAddresses is the most addresses in one answer, and maxRecords the most records of other types. A service may have thousands of
// endpoints and a policy that takes no fewer; nobody tries that many, and they would not fit.
const (
	maxAddresses = 64
	maxRecords   = 64
)

// steer answers at a steered name with what the policy chooses. A CNAME leads on to its target.
func (a *Answerer) steer() (rcode wire.RCode, more bool) {
	p, steer := &a.path, a.path.match.Steer
	rrtype := a.steeredType(steer)
	if rrtype == wire.TypeANY || !a.decide(steer, FamilyOf(rrtype)) {
		return a.withhold(), false
	}
	a.sample()
	ttl := steeredTTL(steer.TTL, a.decided.TTL)
	if m := p.match.Manner; m != nil && m.Jitter > 0 {
		ttl = jittered(ttl, m.Jitter, a.Dice())
	}
	if p.flat {
		p.bound(ttl)
		ttl = p.ttl
	}
	switch rrtype {
	case wire.TypeA, wire.TypeAAAA:
		a.builder.AddAddresses(p.owner, ttl, a.collect(rrtype == wire.TypeAAAA))
		return wire.NoError, false
	case wire.TypeCNAME:
		return a.steerAlias(ttl)
	}
	a.set.begin(rrtype, ttl)
	switch rrtype {
	case wire.TypeSRV:
		a.steerSRV()
	case wire.TypeMX:
		a.steerMX()
	case wire.TypeTXT:
		a.steerTXT()
	case wire.TypeHTTPS, wire.TypeSVCB:
		a.steerSVCB()
	}
	a.builder.Add(wire.Answer, p.owner, &a.set.RRset)
	return wire.NoError, false
}

// anyOrder is what ANY gets one set of, if the service has it (RFC 8482 4.1).
var anyOrder = [...]uint16{wire.TypeA, wire.TypeAAAA, wire.TypeHTTPS, wire.TypeSVCB, wire.TypeSRV, wire.TypeMX, wire.TypeTXT}

// steeredType returns the type of the records that answer: a CNAME stands for all. ANY is left where there is none.
func (a *Answerer) steeredType(steer *zone.Steer) uint16 {
	if steer.Types.Has(wire.TypeCNAME) {
		return wire.TypeCNAME
	}
	if a.rrtype == wire.TypeANY {
		for _, t := range anyOrder {
			if steer.Types.Has(t) && a.snapshot.Plan.HasFamily(steer.Service, FamilyOf(t)) {
				return t
			}
		}
	}
	return a.rrtype
}

// FamilyOf returns what endpoints must have to answer a type of records.
func FamilyOf(rrtype uint16) policy.Family {
	switch rrtype {
	case wire.TypeA:
		return policy.FamilyV4
	case wire.TypeAAAA:
		return policy.FamilyV6
	case wire.TypeCNAME, wire.TypeMX:
		return policy.FamilyHost
	case wire.TypeSRV:
		return policy.FamilyServer
	case wire.TypeHTTPS, wire.TypeSVCB:
		return policy.FamilyTarget
	case wire.TypeTXT:
		return policy.FamilyText
	}
	return policy.FamilyAny
}

// decide asks the Plan and reports whether it names any endpoint. All types of a name ask the same question, and with the same dice if
// one of them tells of others.
// The answer's scope is the longest of all decisions that led to it (RFC 7871 7.2.1).
func (a *Answerer) decide(steer *zone.Steer, family policy.Family) bool {
	plan := a.snapshot.Plan
	if m := a.path.match.Manner; !plan.HasFamily(steer.Service, family) && (m == nil || len(m.Fallbacks) == 0) {
		return false
	}
	if !a.located {
		a.locate()
	}
	a.steered, a.asked = steer, policy.Query{
		Service: steer.Service,
		Policy:  steer.Policy,
		Client:  a.client.prefix,
		Family:  family,
		Key:     a.client.key,
		Now:     a.now,
	}
	if a.asked.Joint = steer.Joint; steer.Joint && !a.freeDice {
		a.asked.Dice = policy.JointDice(a.client.key, a.now)
	} else {
		a.asked.Dice = a.Dice()
	}
	if a.manner = a.path.match.Manner; a.manner != nil {
		a.decideBy(a.manner)
	} else {
		a.decided = plan.Decide(&a.scratch, a.asked, a.snapshot.Health)
	}
	a.scope = max(a.scope, a.client.scope(&a.decided))
	site := policy.NoSite
	if len(a.decided.Endpoints) > 0 {
		site = plan.Endpoint(a.decided.Endpoints[0]).Site
	}
	a.counters.answered(plan, a.path.match.Zone, steer, site, a.decided.Reason)
	return len(a.decided.Endpoints) > 0
}

// locate finds the client, once for each query.
func (a *Answerer) locate() { a.located, a.client = true, locate(a.query, a.from.Addr()) }

// collect returns the addresses of the endpoints decided on, in their order, each once: an RRset holds no record twice (RFC 2181 5),
// but one address may serve on several ports.
func (a *Answerer) collect(v6 bool) []netip.Addr {
	a.addrs = a.addrs[:0]
	for _, id := range a.decided.Endpoints {
		e := a.snapshot.Plan.Endpoint(id)
		addr := e.V4
		if v6 {
			addr = e.V6
		}
		if addr.IsValid() && !slices.Contains(a.addrs, addr) {
			a.addrs = append(a.addrs, addr)
			if len(a.addrs) == maxAddresses {
				break
			}
		}
	}
	return a.addrs
}

// steerAlias answers with the host of the first endpoint, and leads on to it. The question for the CNAME itself ends here.
func (a *Answerer) steerAlias(ttl uint32) (rcode wire.RCode, more bool) {
	e := a.snapshot.Plan.Endpoint(a.decided.Endpoints[0])
	names, err := wire.AppendName(a.names, e.Host)
	if err != nil { // hosts are checked on their way in
		return wire.ServFail, false
	}
	target := a.newName(names)
	if !a.path.flat {
		a.alias(target, ttl)
	}
	if t := a.rrtype; t == wire.TypeCNAME || t == wire.TypeANY {
		return wire.NoError, false
	}
	if a.path.advance(target, a.path.match.Steer) {
		return 0, true
	}
	return a.circle(), false
}

// steerSRV makes a record for each endpoint (RFC 2782): those that the policy prefers equally have priority 0, the others come after
// them. Weights are those of the endpoints, scaled down together if one has no place in 16 bits.
func (a *Answerer) steerSRV() {
	plan, shift := a.snapshot.Plan, 0
	for _, id := range a.decided.Endpoints {
		for plan.Endpoint(id).Weight>>shift > 1<<16-1 {
			shift++
		}
	}
	for i, id := range a.decided.Endpoints {
		e, start := plan.Endpoint(id), len(a.set.buf)
		priority := uint16(0)
		if i >= a.decided.Tier {
			priority = 1
		}
		a.set.buf = binary.BigEndian.AppendUint16(a.set.buf, priority)
		a.set.buf = binary.BigEndian.AppendUint16(a.set.buf, uint16(max(e.Weight>>shift, 1)))
		a.set.buf = binary.BigEndian.AppendUint16(a.set.buf, e.Port)
		a.set.host(start, e.Host)
		if len(a.set.RData) == maxRecords {
			return
		}
	}
}

// steerMX makes a record for each host, in the policy's order (RFC 1035 3.3.9).
func (a *Answerer) steerMX() {
	for _, id := range a.decided.Endpoints {
		e, start := a.snapshot.Plan.Endpoint(id), len(a.set.buf)
		a.set.buf = binary.BigEndian.AppendUint16(a.set.buf, uint16(10*(len(a.set.RData)+1)))
		a.set.host(start, e.Host)
		if n := len(a.set.RData); n > 0 && repeats(a.set.RData, 2) {
			a.set.RData = a.set.RData[:n-1]
		} else if n == maxRecords {
			return
		}
	}
}

// repeats reports whether the last of some RDATA is equal to an earlier one, but for the first bytes.
func repeats(rdata [][]byte, skip int) bool {
	last := rdata[len(rdata)-1][skip:]
	return slices.ContainsFunc(rdata[:len(rdata)-1], func(b []byte) bool { return bytes.Equal(b[skip:], last) })
}

// steerTXT makes a record for each text (RFC 1035 3.3.14).
func (a *Answerer) steerTXT() {
	for _, id := range a.decided.Endpoints {
		if a.set.text(a.snapshot.Plan.Endpoint(id).Text); len(a.set.RData) == maxRecords {
			return
		}
	}
}

// jittered returns a TTL drawn from those that are shorter than one by no more than a share in percent, at least 1.
func jittered(ttl uint32, percent uint8, dice uint64) uint32 {
	span := uint64(ttl) * uint64(percent) / 100
	off, _ := bits.Mul64(dice, span+1)
	return max(ttl-uint32(off), 1)
}

// steeredTTL returns the TTL of a steered answer in seconds: the record's, but no longer than health is sure to hold, and at least
// 1, so that a resolver can share an answer among those who wait for it.
func steeredTTL(record, health uint32) uint32 {
	if health != 0 {
		record = min(record, health)
	}
	return max(record, 1)
}
