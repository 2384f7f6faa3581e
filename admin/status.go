package admin

import (
	"net/http"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

func (s *Server) getStatus(*http.Request) (int, any, error) {
	return http.StatusOK, s.Status(), nil
}

// Status returns the state of everything. The parts are read one after the other: a change in between may show in one and not yet in
// the other.
func (s *Server) Status() Status {
	st := Status{
		About:      s.About(),
		Waiting:    s.Waiting(),
		Generation: s.Registry.Snapshot().Gen,
		Services:   s.services(),
		Overrides:  s.overrides(),
		Probers:    s.probers(),
		Zones:      s.zones(),
		Orphans:    s.Registry.Orphans(),
	}
	if s.Sources != nil {
		st.Sources = s.Sources()
	}
	if s.Redis != nil {
		st.Redis = s.Redis()
	}
	st.Ready = len(st.Waiting) == 0
	var refused int
	st.Refused, refused = s.Registry.Refused()
	st.Sites = s.sites(st.Services)
	st.Degraded = s.degraded(&st, refused)
	return st
}

// services returns all services in the order of the configuration, with their endpoints.
func (s *Server) services() []ServiceStatus {
	plan := s.Registry.Snapshot().Plan
	out := make([]ServiceStatus, plan.NumServices())
	at := make(map[string]int, len(out))
	for i := range out {
		out[i] = ServiceStatus{Name: plan.ServiceName(policy.ServiceID(i)), Endpoints: []EndpointStatus{}}
		at[out[i].Name] = i
	}
	traffic, leases := s.traffic(), s.leases()
	for _, d := range s.Registry.Details() {
		i, ok := at[d.Service]
		if !ok { // the World changed in between
			continue
		}
		e := EndpointStatus{EndpointDetail: d, Expires: leases[d.Name]}
		if p, ok := s.Probe(d.Name); ok {
			e.Probe = &p
		}
		e.Verdict = s.verdict(d.Name)
		if t, ok := traffic[d.Name]; ok {
			e.Traffic = &t
		}
		out[i].Endpoints = append(out[i].Endpoints, e)
		out[i].Counts.add(d.State)
	}
	for i := range out {
		c := out[i].Counts
		out[i].FailOpen = c.Total() > 0 && c.Usable() == 0
	}
	return out
}

// verdict returns why an endpoint is believed to be in its state; nil if it is not checked.
func (s *Server) verdict(endpoint string) *VerdictStatus {
	if s.Verdict == nil {
		return nil
	}
	v, ok := s.Verdict(endpoint)
	if !ok {
		return nil
	}
	return &v
}

func (s *Server) traffic() map[string]Traffic {
	if s.Traffic == nil {
		return nil
	}
	return s.Traffic()
}

// leases returns when the leases of registered endpoints end, by full name.
func (s *Server) leases() map[string]time.Time {
	if s.Embedded == nil {
		return nil
	}
	out := map[string]time.Time{}
	for _, service := range s.Embedded.Services() {
		for _, reg := range s.Embedded.List(service) {
			if !reg.Expires.IsZero() {
				out[service+"/"+reg.Name] = reg.Expires
			}
		}
	}
	return out
}

// sites counts endpoints by site, in the order of the configuration.
func (s *Server) sites(services []ServiceStatus) []SiteStatus {
	plan := s.Registry.Snapshot().Plan
	out := make([]SiteStatus, plan.NumSites())
	at := make(map[string]*Counts, len(out))
	for i := range out {
		out[i].Name = plan.SiteName(policy.SiteID(i + 1))
		at[out[i].Name] = &out[i].Counts
	}
	for _, svc := range services {
		for _, e := range svc.Endpoints {
			if c := at[e.Site]; c != nil {
				c.add(e.State)
			}
		}
	}
	return out
}

func (s *Server) overrides() []OverrideStatus {
	list := s.Registry.Overrides()
	targets := make([]registry.Target, len(list))
	for i, o := range list {
		targets[i] = o.Target
	}
	out := make([]OverrideStatus, len(list))
	for i, n := range s.Registry.MatchingEach(targets) {
		out[i] = OverrideStatus{Override: list[i], Endpoints: n}
	}
	return out
}

func (s *Server) zones() []ZoneStatus {
	out := []ZoneStatus{}
	set := s.Registry.Snapshot().Zones
	for _, z := range set.Zones() {
		out = append(out, ZoneStatus{Name: z.Apex().String(), View: z.View(), Serial: z.Serial(), Names: z.Len()})
	}
	return out
}

func (s *Server) getServices(*http.Request) (int, any, error) {
	return http.StatusOK, s.services(), nil
}

func (s *Server) getService(r *http.Request) (int, any, error) {
	name := r.PathValue("service")
	for _, svc := range s.services() {
		if svc.Name == name {
			return http.StatusOK, svc, nil
		}
	}
	return 0, nil, notFound("there is no service %.80q", name)
}
