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
			scope = max(scope, a.ask(q).Scope, a.askOthers(q).Scope)
		}
		q.Service, q.Policy = own.Service, own.Policy
	}
	works := a.works(&ttl)
	scope = max(scope, a.decided.Scope)
	if !works && !a.fallBack(m, &ttl) {
		*q = own
		q.Short = m.Shortage
		a.decided = a.ask(q)
	}
	a.decided.Scope = max(a.decided.Scope, scope)
	a.decided.TTL = shorter(a.decided.TTL, ttl)
}

// fallBack decides by the first of some fallbacks of which enough is up, and reports whether there is one. ttl becomes no longer than any
// decision holds that was looked at.
func (a *Answerer) fallBack(m *zone.Manner, ttl *uint32) bool {
	for _, f := range m.Fallbacks {
		a.asked.Service, a.asked.Policy = f.Service, f.Policy
		if a.works(ttl) {
			a.decided.Reason = policy.ReasonFallback
			return true
		}
	}
	return false
}

// works decides on a.asked, and reports whether enough is up to answer. A service that has no endpoints for the type asked, but others,
// answers with nothing if enough of those is up, so that clients do not go by one type where they would not by another.
func (a *Answerer) works(ttl *uint32) bool {
	a.decided = a.ask(&a.asked)
	others := a.askOthers(&a.asked)
	a.decided.Scope = max(a.decided.Scope, others.Scope)
	*ttl = shorter(*ttl, shorter(a.decided.TTL, others.TTL))
	return len(a.decided.Endpoints) > 0 || len(others.Endpoints) > 0
}

// askOthers asks the Plan for endpoints of whatever family if the service has none of the one asked for; else it asks nothing.
func (a *Answerer) askOthers(q *policy.Query) (d policy.Decision) {
	if !a.snapshot.Plan.HasFamily(q.Service, q.Family) {
		others := *q
		others.Family = policy.FamilyAny
		d = a.ask(&others)
	}
	return d
}

// ask asks the Plan.
func (a *Answerer) ask(q *policy.Query) policy.Decision {
	return a.snapshot.Plan.Decide(&a.scratch, *q, a.snapshot.Health)
}

// shorter returns the shorter of two bounds of a TTL, of which 0 is none.
func shorter(a, b uint32) uint32 { return min(a-1, b-1) + 1 }

// withhold answers with no records: there are none of the type asked, or nothing is up, and the record or its policy fails closed. What
// hangs on health resolvers keep no longer than that is sure to hold.
func (a *Answerer) withhold() wire.RCode {
	p := &a.path
	if a.steered == p.match.Steer {
		if a.decided.Reason == policy.ReasonFailClosed {
			a.builder.SetError(wire.NetworkError, "no endpoint is up")
		}
		if a.decided.TTL != 0 {
			p.ttl = min(p.ttl, a.decided.TTL)
		}
	}
	return a.nothing(wire.NoError)
}
