package registry

import "github.com/meridian-gslb/meridian/policy"

// Preview returns the Snapshot that Apply of a Compiled would make now: with what sources published, what probes found out about endpoints of
// the same names, and the overrides. It changes nothing, and its Gen is that of the Snapshot in force.
func (r *Registry) Preview(c *Compiled) *Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.merged
	if c.plan != r.compiled.plan {
		m = merge(c, c.plan, r.catalogs, r.allowLoopback)
	}
	s := *r.current.Load()
	s.World = World{Plan: m.plan, Zones: c.zones, Routes: c.routes}
	verdicts := make([]policy.Verdict, m.plan.NumEndpoints())
	for i := range verdicts {
		e := m.plan.Endpoint(policy.EndpointID(i))
		st := r.endpoints[e.Name]
		if st == nil {
			st = &endpointState{}
		}
		verdicts[i] = r.verdict(c, &m, e, st, m.plan)
	}
	s.Health = policy.HealthOf(verdicts)
	return &s
}
