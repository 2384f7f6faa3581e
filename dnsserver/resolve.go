package dnsserver

import (
	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// resolve writes the sections of the answer to a question and returns its code: that of the last name of a chain of aliases
// (RFC 6604 3). AA belongs to the first name (RFC 1035 4.1.1).
func (a *Answerer) resolve() wire.RCode {
	p := &a.path
	zones := a.zones
	zones.LookupAt(&p.match, p.spot, p.name, a.rrtype)
	p.first = p.match.Zone
	for ; ; zones.LookupAt(&p.match, zones.Spot(p.name), p.name, a.rrtype) {
		if p.match.Zone != nil && !p.flat && !p.match.Zone.Allows(a.from.Addr()) { // an ALIAS is the will of the zone that has it
			return a.forbidden()
		}
		if rcode, more := a.follow(); !more {
			return rcode
		}
	}
}

// forbidden refuses a name of a zone that is not for this client. At the end of an alias the client goes on by itself, and learns it
// then.
func (a *Answerer) forbidden() wire.RCode {
	if a.path.n > 0 {
		return wire.NoError
	}
	a.builder.SetError(wire.Prohibited, "")
	return wire.Refused
}

// follow writes what was found. If that is an alias whose target is to be looked up, more is true (RFC 1034 4.3.2, step 3a), else
// rcode is that of the response.
func (a *Answerer) follow() (rcode wire.RCode, more bool) {
	p, b := &a.path, &a.builder
	if p.match.Kind == zone.Conditional {
		a.vary()
	}
	switch p.match.Kind {
	case zone.NotAuth:
		return a.outside(), false
	case zone.Referral:
		if p.flat {
			return a.outside(), false
		}
		return a.refer(), false
	}
	b.SetAuthoritative()
	switch m := &p.match; m.Kind {
	case zone.NXDomain:
		return a.nothing(wire.NXDomain), false
	case zone.Answer:
		a.add(m.Set)
		if !p.flat {
			a.addresses(false)
		}
		return wire.NoError, false
	case zone.Alias:
		if a.add(m.Set); p.advance(m.Set.RData[0], nil) {
			return 0, true
		}
		return a.circle(), false
	case zone.Redirect:
		return a.redirect()
	case zone.Flatten:
		return a.flatten()
	case zone.Steered:
		return a.steer()
	case zone.Whoami:
		return a.whoami(), false
	}
	return a.nothing(wire.NoError), false
}

// vary takes the variant of a name that is for who asks. The scope is that of the conditions that were looked at, too.
func (a *Answerer) vary() {
	if !a.located {
		a.locate()
	}
	asker := a.asker()
	i, bits, varies := a.path.match.Variants.Pick(&asker)
	a.scope = max(a.scope, a.client.holds(bits, varies))
	a.path.match.Take(i, a.rrtype)
}

// asker returns what conditions look at, once the client is located.
func (a *Answerer) asker() zone.Asker {
	return zone.Asker{Client: a.client.prefix.Addr().Unmap(), Resolver: a.from.Addr(), Type: a.rrtype, Subnet: a.client.asked.IsValid()}
}

// add writes an RRset found at the end of the path, or an alias on it. What is on the way of an ALIAS is not shown.
func (a *Answerer) add(set *wire.RRset) {
	p := &a.path
	p.bound(set.TTL)
	switch {
	case !p.flat && set.Type == wire.TypeDNAME && p.redirected(p.owner): // it led here, and is there already
	case !p.flat:
		a.builder.Add(wire.Answer, p.owner, set)
	case set.Type == a.rrtype:
		a.flattened = wire.RRset{Type: set.Type, TTL: p.ttl, RData: set.RData}
		a.builder.Add(wire.Answer, p.owner, &a.flattened)
	}
}

// nothing writes a negative answer and returns its code. The name of an ALIAS exists, whatever its target does, and lacks data for no
// longer than the way to its target holds. Unless a policy chose an alias on the way, or fails closed, no decision leads here, so it holds
// for everybody, as it must: caches keep negative answers without regard to a scope (RFC 7871 7.4).
func (a *Answerer) nothing(rcode wire.RCode) wire.RCode {
	p := &a.path
	z := p.match.Zone
	if p.flat {
		z, rcode = p.home, wire.NoError
	}
	soa := z.Negative()
	if p.ttl < soa.TTL {
		a.flattened = wire.RRset{Type: soa.Type, TTL: p.ttl, RData: soa.RData}
		soa = &a.flattened
	}
	a.builder.Add(wire.Authority, z.Apex(), soa)
	return rcode
}

// outside ends a path at a name that we are not authoritative for.
func (a *Answerer) outside() wire.RCode {
	p := &a.path
	switch {
	case p.flat:
		return a.flattenOutside()
	case p.n > 0:
		return wire.NoError // the client goes on from the last alias
	}
	a.builder.SetError(wire.NotAuthoritative, "")
	return wire.Refused
}

// circle ends a path whose next name was on it before, or that is too long. A client that sees the aliases finds out by itself.
func (a *Answerer) circle() wire.RCode {
	if !a.path.flat {
		return wire.NoError
	}
	return a.unresolved("the target leads into a circle")
}

// refer writes a referral: the name servers of the zone below, and their addresses. Without the addresses of servers inside that
// zone it would be useless, so they are required (RFC 9471 3).
func (a *Answerer) refer() wire.RCode {
	a.builder.Add(wire.Authority, a.path.match.Cut, a.path.match.Set)
	a.addresses(true)
	a.addresses(false)
	return wire.NoError
}

// addresses adds the addresses of the names in the set found: those that are required, or the others as far as there is room.
func (a *Answerer) addresses(required bool) {
	for i := range a.path.match.Extra {
		switch e := &a.path.match.Extra[i]; {
		case e.Required != required:
		case required:
			a.builder.Add(wire.Additional, e.Name, e.Set)
		default:
			a.builder.AddOptional(wire.Additional, e.Name, e.Set)
		}
	}
}

// redirect answers for a name below a DNAME: with it, and with the CNAME that it means for this name, of the same TTL (RFC 6672 3.1).
// A name that becomes too long is YXDOMAIN (2.2).
func (a *Answerer) redirect() (rcode wire.RCode, more bool) {
	p, m := &a.path, &a.path.match
	p.bound(m.Set.TTL)
	if !p.flat && !p.redirected(m.Cut) {
		a.builder.Add(wire.Answer, m.Cut, m.Set)
	}
	name := zone.Substitute(a.names, p.name, m.Cut, m.Set.RData[0])
	switch {
	case name != nil:
		a.names = a.names[:len(a.names)+len(name)]
	case p.flat:
		return a.unresolved("the target becomes too long"), false
	default:
		return wire.YXDomain, false
	}
	if !p.flat {
		a.alias(name, m.Set.TTL)
	}
	if t := a.rrtype; t == wire.TypeCNAME || t == wire.TypeANY {
		return wire.NoError, false
	}
	if p.advance(name, nil) {
		return 0, true
	}
	return a.circle(), false
}

// alias writes a CNAME that no zone holds.
func (a *Answerer) alias(target wire.Name, ttl uint32) {
	a.set.begin(wire.TypeCNAME, ttl)
	a.set.add(target)
	a.builder.Add(wire.Answer, a.path.owner, &a.set.RRset)
}

// newName returns the name that was appended to a.names. It stays as it is until the response is written.
func (a *Answerer) newName(names []byte) wire.Name {
	name := wire.Name(names[len(a.names):len(names):len(names)])
	a.names = names
	return name
}
