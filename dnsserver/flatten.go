package dnsserver

import (
	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// flattenAny is the type that ANY gets at an ALIAS (RFC 8482 4.1).
const flattenAny = wire.TypeA

// flatten begins the way from an ALIAS to the addresses it stands for. They are sent with the name of the ALIAS, as if they were its
// own; nothing of the way is shown. What other types it has was looked up before.
func (a *Answerer) flatten() (rcode wire.RCode, more bool) {
	p := &a.path
	if !p.flat {
		p.flat, p.home = true, p.match.Zone
	}
	if a.rrtype == wire.TypeANY {
		a.rrtype = flattenAny
	}
	if p.advance(p.match.Target, nil) {
		return 0, true
	}
	return a.circle(), false
}

// flattenOutside writes the addresses of a name in no zone of ours, as resolvers last found them.
func (a *Answerer) flattenOutside() wire.RCode {
	set, known := a.snapshot.Outside.Find(a.path.name, a.rrtype)
	switch {
	case !known:
		return a.unresolved("the target's addresses are not known")
	case set == nil:
		return a.nothing(wire.NoError)
	}
	a.add(set)
	return wire.NoError
}

// unresolved fails a query for an ALIAS that leads to nothing we know: no answer is better than a wrong one, and resolvers do not keep
// it for long (RFC 2308 7.1).
func (a *Answerer) unresolved(why string) wire.RCode {
	a.builder.SetError(wire.NoReachable, why)
	return wire.ServFail
}
