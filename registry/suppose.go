package registry

import (
	"fmt"
	"strings"

	"github.com/meridian-gslb/meridian/policy"
)

// A Supposition is a state that what a Target covers is supposed to be in, to see what would be answered then.
type Supposition struct {
	Target Target
	State  policy.State
}

// ParseSuppositions reads a list such as "us-east=down,web/eu-1=drained": names as Resolve takes them, and states. Commas, and more
// lists, add to it; of two that are about one endpoint the later counts.
func (r *Registry) ParseSuppositions(lists ...string) ([]Supposition, error) {
	var out []Supposition
	for _, list := range lists {
		for word := range strings.SplitSeq(list, ",") {
			name, state, ok := strings.Cut(strings.TrimSpace(word), "=")
			var s Supposition
			if !ok || s.State.UnmarshalText([]byte(state)) != nil {
				return nil, fmt.Errorf("registry: %q: want NAME=STATE, such as us-east=down; states are up, down, drained and unknown", word)
			}
			var err error
			if s.Target, err = r.Resolve(name); err != nil {
				return nil, err
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// Suppose returns a Snapshot with the same World, in which all that the Suppositions cover is in their states, as if an operator had forced it.
func (s *Snapshot) Suppose(list []Supposition) *Snapshot {
	if len(list) == 0 {
		return s
	}
	out := *s
	for id := range policy.EndpointID(s.Plan.NumEndpoints()) {
		e := s.Plan.Endpoint(id)
		for _, x := range list {
			if x.Target.covers(e, s.Plan) {
				out.Health = out.Health.With(id, policy.Verdict{State: x.State, Forced: true, Load: out.Health.Of(id).Load})
			}
		}
	}
	return &out
}

// covers reports whether an endpoint is what the Target names, or a part of it.
func (t Target) covers(e *policy.Endpoint, p *policy.Plan) bool {
	switch t.Kind {
	case KindSite:
		return p.SiteName(e.Site) == t.Name
	case KindService:
		return p.ServiceName(e.Service) == t.Name
	}
	return t.Kind == KindEndpoint && e.Name == t.Name
}
