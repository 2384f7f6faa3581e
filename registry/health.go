package registry

import (
	"cmp"
	"slices"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// KeepGone is how long the state of an endpoint that left the World is remembered, in case it comes back: a source that republishes,
// a reload that is taken back, a saved state whose endpoint is yet to be published.
const KeepGone = 10 * time.Minute

// maxGone bounds how many such endpoints are remembered.
const maxGone = MaxEndpoints

// An endpointState is what the registry remembers about one endpoint from Plan to Plan.
type endpointState struct {
	probed      policy.Verdict // what probes say; never forced, and without load
	load        policy.Load    // what the endpoint reported of itself
	loaded      bool           // it did
	probedSince time.Time      // of probed.State
	effective   policy.Verdict // what the Snapshot says
	since       time.Time      // of effective.State
	transitions [policy.Drained + 1]uint64
	gone        time.Time // when it left the World; zero while it is in it
}

// A transition is a change of one endpoint's state, for the log.
type transition struct {
	endpoint string
	from, to policy.State
	forced   bool
	why      string
	moot     bool // the state in force stays: it is only probed
}

// Report tells what probes found out about an endpoint ("service/name"). It returns false if the World has no such endpoint, or the
// state does not exist. A Verdict equal to the last changes nothing. While an override is in force the Verdict is only kept, to
// take effect when that ends. When an endpoint is no longer probed, report the zero Verdict, or the last one stays. A Verdict without a
// TTL bound gets one of a second if the Definition says that the endpoint's service is probed.
func (r *Registry) Report(endpoint string, v policy.Verdict) bool {
	return r.ReportWhy(endpoint, v, "probe")
}

// ReportWhy is Report with a reason, one line that the log and the Event of a transition have.
func (r *Registry) ReportWhy(endpoint string, v policy.Verdict, why string) bool {
	if v.State > policy.Drained {
		return false
	}
	v.Forced, v.Load = false, 0 // the one is for operators, the other for the endpoint itself
	r.mu.Lock()
	known, changes := r.report(endpoint, v, why)
	r.mu.Unlock()
	r.logTransitions(changes)
	return known
}

func (r *Registry) report(name string, v policy.Verdict, why string) (known bool, changes []transition) {
	s := r.current.Load()
	id, ok := s.Plan.EndpointByName(name)
	if !ok {
		return false, nil
	}
	st := r.endpoints[name]
	if st.probed == v {
		return true, nil
	}
	before := st.probed.State
	st.probed = v
	if before != v.State {
		st.probedSince = r.now()
		r.healthDirty = true
		tick(r.unsaved)
	}
	e := s.Plan.Endpoint(id)
	if _, by, ok := r.forced(e, s.Plan); ok {
		if before != v.State {
			changes = []transition{{name, before, v.State, true, why + "; without effect: " + by.why(), true}}
		}
		return true, changes
	}
	v = r.believed(e, st, s.Plan)
	if t, ok := r.become(e, st, v, s.Plan); ok {
		if !t.forced {
			t.why = why
		}
		changes = []transition{t}
	}
	r.current.Store(&Snapshot{Gen: s.Gen + 1, World: s.World, Health: s.Health.With(id, v), Outside: s.Outside})
	return true, changes
}

// ReportLoad tells how much an endpoint ("service/name") has to do. It counts for as long as the registry knows the endpoint, or until another is
// reported; an endpoint that the World does not have yet may report it too. One that reported none has that of its Definition.
func (r *Registry) ReportLoad(endpoint string, load policy.Load) {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.endpoints[endpoint]
	if st == nil && load == 0 {
		return
	}
	if st == nil {
		now := r.now()
		st = &endpointState{probedSince: now, gone: now}
		r.endpoints[endpoint] = st
	}
	if st.loaded && st.load == load {
		return
	}
	st.load, st.loaded = load, true
	s := r.current.Load()
	id, ok := s.Plan.EndpointByName(endpoint)
	if !ok {
		return
	}
	st.effective = st.withLoad(st.effective, s.Plan.Endpoint(id))
	r.current.Store(&Snapshot{Gen: s.Gen + 1, World: s.World, Health: s.Health.With(id, st.effective), Outside: s.Outside})
}

// withLoad returns a Verdict with the load of the endpoint that it is of.
func (st *endpointState) withLoad(v policy.Verdict, e *policy.Endpoint) policy.Verdict {
	v.Load = e.Load
	if st.loaded {
		v.Load = st.load
	}
	return v
}

// believed returns what probes, and the source of an endpoint, make believe of it. Without a bound of probes, and if there are any, the
// first result is yet to come and may change everything: the endpoint is new, was restored, or was away. One without an address is never
// probed.
func (r *Registry) believed(e *policy.Endpoint, st *endpointState, p *policy.Plan) policy.Verdict {
	return believed(r.compiled, &r.merged, e, st, p)
}

// believed is Registry.believed for any World.
func believed(c *Compiled, m *merged, e *policy.Endpoint, st *endpointState, p *policy.Plan) policy.Verdict {
	v := st.probed
	probed := c.probed[p.ServiceName(e.Service)] && e.HasAddress()
	if v.TTL == 0 && probed {
		v.TTL = 1
	}
	if said := m.said[e.Name]; said == policy.Drained || !probed && said == policy.Down {
		v.State = said
	}
	return st.withLoad(v, e)
}

// become makes v the effective Verdict of an endpoint. ok is true if its state changed.
func (r *Registry) become(e *policy.Endpoint, st *endpointState, v policy.Verdict, p *policy.Plan) (t transition, ok bool) {
	was := st.effective
	st.effective = v
	if was.State == v.State {
		return t, false
	}
	st.since = r.now()
	st.transitions[v.State]++
	t = transition{e.Name, was.State, v.State, v.Forced, "probe", false}
	switch _, by, forced := r.forced(e, p); {
	case forced:
		t.why = by.why()
	case was.Forced:
		t.why = "override ended"
	case r.merged.said[e.Name] == v.State && st.probed.State != v.State:
		t.why = "source " + r.merged.origin[e.Name]
	}
	return t, true
}

// reassess publishes the Health that probes and overrides now amount to. Callers hold mu.
func (r *Registry) reassess() []transition {
	s := r.current.Load()
	health, changes := r.assess(s.Plan)
	r.current.Store(&Snapshot{Gen: s.Gen + 1, World: s.World, Health: health, Outside: s.Outside})
	return changes
}

// assess computes the Health of all endpoints of a Plan from probes and overrides, and remembers it. Every endpoint has its
// endpointState already. Callers hold mu.
func (r *Registry) assess(p *policy.Plan) (policy.Health, []transition) {
	var changes []transition
	verdicts := make([]policy.Verdict, p.NumEndpoints())
	for i := range verdicts {
		e := p.Endpoint(policy.EndpointID(i))
		st := r.endpoints[e.Name]
		v := r.verdict(r.compiled, &r.merged, e, st, p)
		verdicts[i] = v
		if t, ok := r.become(e, st, v, p); ok {
			changes = append(changes, t)
		}
	}
	return policy.HealthOf(verdicts), changes
}

// verdict returns what probes and overrides amount to for an endpoint. Callers hold mu.
func (r *Registry) verdict(c *Compiled, m *merged, e *policy.Endpoint, st *endpointState, p *policy.Plan) policy.Verdict {
	if v, _, forced := r.forced(e, p); forced {
		return st.withLoad(v, e)
	}
	return believed(c, m, e, st, p)
}

// follow gives every endpoint of a Plan its state by name, new or remembered, and forgets what has been gone for long. Callers hold
// mu.
func (r *Registry) follow(p *policy.Plan) {
	now := r.now()
	for i := range p.NumEndpoints() {
		e := p.Endpoint(policy.EndpointID(i))
		st := r.endpoints[e.Name]
		if st == nil {
			st = &endpointState{probedSince: now, gone: now}
			r.endpoints[e.Name] = st
		}
		if !st.gone.IsZero() {
			r.appear(e, st, p)
		}
	}
	var gone []string
	for name, st := range r.endpoints {
		if _, ok := p.EndpointByName(name); ok {
			continue
		}
		if st.gone.IsZero() {
			st.gone = now
			st.probed.TTL = 0 // it would be counted from a past moment
		}
		gone = append(gone, name)
	}
	r.forget(gone, now)
}

// appear makes an endpoint part of the World, in the state it is in: that is no transition.
func (r *Registry) appear(e *policy.Endpoint, st *endpointState, p *policy.Plan) {
	st.gone = time.Time{}
	st.effective, st.since = r.believed(e, st, p), st.probedSince
	if v, by, ok := r.forced(e, p); ok {
		st.effective, st.since = st.withLoad(v, e), by.Since
	}
}

// forget drops endpoints that have been gone longer than KeepGone, and the longest gone if there are more than maxGone.
func (r *Registry) forget(gone []string, now time.Time) {
	slices.SortFunc(gone, func(a, b string) int { // the latest first
		return cmp.Or(r.endpoints[b].gone.Compare(r.endpoints[a].gone), cmp.Compare(a, b))
	})
	for i, name := range gone {
		if st := r.endpoints[name]; i >= maxGone || now.Sub(st.gone) > KeepGone {
			delete(r.endpoints, name)
			r.healthDirty = true
			tick(r.unsaved)
		}
	}
}

// maxTransitionLines bounds the log lines of one change: a drained site may hold thousands of endpoints.
const maxTransitionLines = 100

func (r *Registry) logTransitions(changes []transition) {
	for _, t := range changes {
		if !t.moot {
			r.Note(Event{Kind: EventEndpoint, Name: t.endpoint, From: t.from.String(), To: t.to.String(), Forced: t.forced, Why: t.why})
		}
	}
	for i, t := range changes {
		if i == maxTransitionLines {
			r.log.Info("endpoint state changed: more of the same", "endpoints", len(changes)-i)
			return
		}
		r.log.Info("endpoint state changed", "endpoint", t.endpoint, "from", t.from, "to", t.to, "forced", t.forced, "why", t.why)
	}
}
