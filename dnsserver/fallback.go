package dnsserver

import (
	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
)

// decideBy decides on a.asked in a manner: where not enough of the service is up, the first of the fallbacks answers of which enough is,
// else the service after all, as it fails. a.asked becomes the question that was decided on.
//
// Scopes are those of the service and of all fallbacks together, whoever answers, for a scope must not depend on health. TTLs last until
// the first of those that were passed over could be up again.
func (a *Answerer) decideBy(m *zone.Manner) {
	q := &a.asked
	if len(m.Fallbacks) == 0 {
		q.Short = m.Shortage
		a.decided = a.ask(q)
		return
	}
	own, scope, ttl := *q, uint8(0), uint32(0)
	q.Short = policy.ShortageEmpty
	if a.query.HasSubnet {
		for _, f := range m.Fallbacks {
			q.Service, q.Policy = f.Service, f.Policy
			scope = max(scope, a.ask(q).Scope)
		}
		q.Service, q.Policy = own.Service, own.Policy
	}
	a.decided = a.ask(q)
	if len(a.decided.Endpoints) == 0 {
		if ttl = a.decided.TTL; !a.fallBack(m, &ttl) {
			*q = own
			q.Short = m.Shortage
			a.decided = a.ask(q)
		}
	}
	a.decided.Scope = max(a.decided.Scope, scope)
	a.decided.TTL = shorter(a.decided.TTL, ttl)
}

// fallBack decides by the first of some fallbacks of which enough is up, and reports whether there is one. One that has no endpoints for
// the type asked answers, too: with nothing, so that clients do not go by one type where they would not by another. ttl becomes no longer
// than any decision holds that was looked at.
func (a *Answerer) fallBack(m *zone.Manner, ttl *uint32) bool {
	q := &a.asked
	for _, f := range m.Fallbacks {
		q.Service, q.Policy = f.Service, f.Policy
		d := a.ask(q)
		*ttl = shorter(*ttl, d.TTL)
		works := len(d.Endpoints) > 0
		if !works && !a.snapshot.Plan.HasFamily(f.Service, q.Family) {
			any := *q
			any.Family = policy.FamilyAny
			other := a.ask(&any)
			*ttl = shorter(*ttl, other.TTL)
			works = len(other.Endpoints) > 0
		}
		if works {
			a.decided = d
			a.decided.Reason = policy.ReasonFallback
			return true
		}
	}
	return false
}

// ask asks the Plan.
func (a *Answerer) ask(q *policy.Query) policy.Decision {
	return a.snapshot.Plan.Decide(&a.scratch, *q, a.snapshot.Health)
}

// shorter returns the shorter of two bounds of a TTL, of which 0 is none.
func shorter(a, b uint32) uint32 { return min(a-1, b-1) + 1 }

// withhold answers with no records where there are endpoints for the type asked: nothing is up, and the record or its policy fails closed.
// Resolvers keep that no longer than health is sure to hold.
func (a *Answerer) withhold() wire.RCode {
	p := &a.path
	if a.steered == p.match.Steer && a.decided.Reason == policy.ReasonFailClosed {
		a.builder.SetError(wire.NetworkError, "no endpoint is up")
		if a.decided.TTL != 0 {
			p.ttl = min(p.ttl, a.decided.TTL)
		}
	}
	return a.nothing(wire.NoError)
}
