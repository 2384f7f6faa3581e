package registry

import (
	"net/netip"
	"slices"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// An EndpointDetail is all that is known about one endpoint, for people.
type EndpointDetail struct {
	Name      string            `json:"name"` // full: "service/endpoint"
	Service   string            `json:"service"`
	Site      string            `json:"site,omitempty"`
	Addresses []netip.Addr      `json:"addresses"` // never nil; none if it has a host or a text only
	Host      string            `json:"host,omitempty"`
	Text      string            `json:"text,omitempty"`
	ALPN      []string          `json:"alpn,omitempty"` // do not change
	Port      uint16            `json:"port,omitempty"`
	Weight    uint32            `json:"weight"`
	Load      float64           `json:"load,omitempty"` // share of what it can take that it has to do; 0: nothing, or it does not say
	Meta      map[string]string `json:"meta,omitempty"` // do not change
	Source    string            `json:"source"`         // SourceFile, or the source that published it

	State  policy.State `json:"state"` // in force
	Since  time.Time    `json:"since"`
	Forced bool         `json:"forced"`             // State comes from an override
	By     *Override    `json:"override,omitempty"` // the override that decides, if any

	Probed      policy.State `json:"probed"` // what probes say, whatever is forced
	ProbedSince time.Time    `json:"probedSince"`
	TTL         uint32       `json:"ttl,omitempty"` // seconds that answers may be kept (policy.Verdict.TTL); 0 = no bound
}

// Details returns all endpoints of the World, those of a service together, in the order of the configuration.
func (r *Registry) Details() []EndpointDetail {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.current.Load().Plan
	out := make([]EndpointDetail, p.NumEndpoints())
	for i := range out {
		out[i] = r.detail(p.Endpoint(policy.EndpointID(i)), p)
	}
	return out
}

// Detail returns one endpoint by its full name.
func (r *Registry) Detail(name string) (EndpointDetail, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.current.Load().Plan
	id, ok := p.EndpointByName(name)
	if !ok {
		return EndpointDetail{}, false
	}
	return r.detail(p.Endpoint(id), p), true
}

func (r *Registry) detail(e *policy.Endpoint, p *policy.Plan) EndpointDetail {
	st := r.endpoints[e.Name]
	d := EndpointDetail{
		Name: e.Name, Service: p.ServiceName(e.Service), Site: p.SiteName(e.Site),
		Addresses: []netip.Addr{}, Host: e.Host, Text: e.Text, ALPN: e.ALPN,
		Port: e.Port, Weight: e.Weight, Load: st.effective.Load.Share(), Meta: e.Meta, Source: SourceFile,
		State: st.effective.State, Since: st.since, Forced: st.effective.Forced,
		Probed: st.probed.State, ProbedSince: st.probedSince, TTL: st.effective.TTL,
	}
	for _, a := range [...]netip.Addr{e.V4, e.V6} {
		if a.IsValid() {
			d.Addresses = append(d.Addresses, a)
		}
	}
	if source, ok := r.merged.origin[e.Name]; ok {
		d.Source = source
	}
	if _, by, ok := r.forced(e, p); ok {
		d.By = &by
	}
	return d
}

// Probed returns what probes last said of an endpoint, also of one that is not (or not yet) in the World: after Restore, what was
// saved. ok is false if nothing is known.
func (r *Registry) Probed(name string) (v policy.Verdict, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.endpoints[name]
	if st == nil || st.probed.State == policy.Unknown {
		return policy.Verdict{}, false
	}
	return st.probed, true
}

// Refused returns published endpoints that did not become part of the World, at most MaxListed of them, and how many there are.
func (r *Registry) Refused() (list []Refusal, total int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.merged.refused), r.merged.refusals
}

// Orphans returns services that sources publish and the configuration does not define, at most MaxListed of them, sorted.
func (r *Registry) Orphans() []Orphan {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.merged.orphans)
}

// Matching returns how many endpoints of the World a Target covers. For many Targets, ask MatchingEach.
func (r *Registry) Matching(t Target) int { return r.MatchingEach([]Target{t})[0] }

// MatchingEach returns how many endpoints of the World each of the Targets covers. It goes over the endpoints once, however many
// Targets there are.
func (r *Registry) MatchingEach(targets []Target) []int {
	p := r.Snapshot().Plan
	atSite := make([]int, p.NumSites()+1) // by SiteID, which begin at 1
	for i := range p.NumEndpoints() {
		atSite[p.Endpoint(policy.EndpointID(i)).Site]++
	}
	out := make([]int, len(targets))
	for i, t := range targets {
		out[i] = t.count(p, atSite)
	}
	return out
}
