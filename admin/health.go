package admin

import (
	"net/http"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// A Health is what is believed of one endpoint, and why, in short: GET /v1/health.
type Health struct {
	Endpoint string       `json:"endpoint"` // full name: "service/endpoint"
	Site     string       `json:"site,omitempty"`
	State    policy.State `json:"state"` // in force
	Since    time.Time    `json:"since"`
	Forced   bool         `json:"forced"`            // State comes from an override
	Probed   policy.State `json:"probed"`            // what checks say, whatever is forced
	Error    string       `json:"error,omitempty"`   // of the last check; "" = it succeeded, or there is none
	Why      string       `json:"why,omitempty"`     // checks say so, e.g. "2 of 3 probers say down"; "" = there are none
	Stopped  string       `json:"stopped,omitempty"` // why that does not change although it would
	Votes    []VoteStatus `json:"votes,omitempty"`   // of all probers that said something; the row of the matrix
}

// getHealth lists the endpoints in the order of the configuration: all, those of one service, those in one state.
func (s *Server) getHealth(r *http.Request) (int, any, error) {
	q, err := parameters(r, "service", "state")
	if err != nil {
		return 0, nil, err
	}
	service := q.Get("service")
	if _, ok := s.Registry.Snapshot().Plan.ServiceByName(service); q.Has("service") && !ok {
		return 0, nil, notFound("there is no service %.80q", service)
	}
	var state policy.State
	if err := state.UnmarshalText([]byte(q.Get("state"))); q.Has("state") && err != nil {
		return 0, nil, badRequest("state %.80q does not exist; unknown, up, down and drained do", q.Get("state"))
	}
	out := []Health{}
	for _, d := range s.Registry.Details() {
		if q.Has("service") && d.Service != service || q.Has("state") && d.State != state {
			continue
		}
		p, _ := s.Probe(d.Name)
		h := Health{
			Endpoint: d.Name, Site: d.Site, State: d.State, Since: d.Since, Forced: d.Forced, Probed: d.Probed, Error: p.Error,
		}
		if v := s.verdict(d.Name); v != nil {
			h.Why, h.Stopped, h.Votes = v.Why, v.Stopped, v.Votes
		}
		out = append(out, h)
	}
	return http.StatusOK, out, nil
}
