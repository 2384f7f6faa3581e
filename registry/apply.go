package registry

import (
	"fmt"
	"maps"
	"slices"

	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
)

// Apply makes a Compiled the base of the World and merges the catalogs into it again, unless it has the Plan of the last. It cannot
// fail. Verdicts and overrides follow the names of endpoints. It returns the new Snapshot.
func (r *Registry) Apply(c *Compiled) *Snapshot {
	r.mu.Lock()
	was := r.merged
	if c.plan != r.compiled.plan { // else it has other zones only
		r.merged = merge(c, c.plan, r.catalogs, r.allowLoopback)
	}
	r.compiled = c
	s, changes := r.newWorld()
	now := r.merged
	r.mu.Unlock()
	r.logWorld("configuration applied", s, was, now)
	r.logTransitions(changes)
	return s
}

// Publish replaces what a source says exists. An endpoint that is invalid or exceeds a limit is refused alone (see Refused), and
// services that the configuration does not define are kept aside (see Orphans) until it does. A Catalog that changes nothing makes
// no Snapshot. The Catalog must not be changed afterwards.
func (r *Registry) Publish(source string, c Catalog) {
	r.mu.Lock()
	r.catalogs[source] = c
	was := r.merged
	r.merged = merge(r.compiled, was.plan, r.catalogs, r.allowLoopback)
	now := r.merged
	if sameEndpoints(was, now) {
		r.merged.services, r.merged.plan = was.services, was.plan // the ids of the Snapshot in force
		var changes []transition
		if !maps.Equal(was.said, now.said) {
			changes = r.reassess()
		}
		r.mu.Unlock()
		r.logRefused(was, now)
		r.logTransitions(changes)
		return
	}
	s, changes := r.newWorld()
	r.mu.Unlock()
	r.logWorld("source "+source+" published", s, was, now)
	r.logTransitions(changes)
}

// SetOutside replaces what is known of the names outside our zones that aliases lead to. It stays through changes of the World, until
// it is replaced. Subscribers get no tick: the World is the same.
func (r *Registry) SetOutside(o *zone.Outside) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.current.Load()
	r.current.Store(&Snapshot{Gen: s.Gen + 1, World: s.World, Health: s.Health, Outside: o})
}

// newWorld publishes the merged World and tells the subscribers. Callers hold mu.
func (r *Registry) newWorld() (*Snapshot, []transition) {
	p := r.merged.plan
	r.follow(p)
	health, changes := r.assess(p)
	before := r.current.Load()
	s := &Snapshot{
		Gen:     before.Gen + 1,
		World:   World{Plan: p, Zones: r.compiled.zones, Routes: r.compiled.routes},
		Health:  health,
		Outside: before.Outside,
	}
	r.current.Store(s)
	for c := range r.subscribers {
		tick(c)
	}
	return s, changes
}

func sameEndpoints(a, b merged) bool {
	return maps.Equal(a.origin, b.origin) && slices.EqualFunc(a.services, b.services, func(a, b policy.ServiceSpec) bool {
		return a.Name == b.Name && slices.EqualFunc(a.Endpoints, b.Endpoints, sameEndpoint)
	})
}

func sameEndpoint(a, b policy.EndpointSpec) bool {
	return a.Name == b.Name && a.V4 == b.V4 && a.V6 == b.V6 && a.Port == b.Port && a.Site == b.Site && a.Weight == b.Weight && a.Load == b.Load &&
		a.Host == b.Host && a.Text == b.Text && slices.Equal(a.ALPN, b.ALPN) && maps.Equal(a.Meta, b.Meta)
}

func (r *Registry) logWorld(what string, s *Snapshot, was, now merged) {
	r.log.Info(what, "gen", s.Gen, "services", s.Plan.NumServices(), "endpoints", s.Plan.NumEndpoints())
	r.logRefused(was, now)
}

// logRefused writes one line when what is refused has changed; Refused has the rest.
func (r *Registry) logRefused(was, now merged) {
	if now.refusals == 0 || now.refusals == was.refusals && slices.Equal(was.refused, now.refused) {
		return
	}
	first := now.refused[0]
	r.log.Warn("endpoints refused", "number", now.refusals,
		"first", fmt.Sprintf("%s of %s, published by %s: %s", first.Name, clip(first.Service), first.Source, first.Reason))
}
