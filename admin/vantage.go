package admin

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

// A ProberStatus is one of those who check endpoints: GET /v1/probers.
type ProberStatus struct {
	Name    string    `json:"name"`
	Site    string    `json:"site,omitempty"`
	Region  string    `json:"region,omitempty"`
	Self    bool      `json:"self,omitempty"`
	State   string    `json:"state"`          // "trusted", "suspect" or "gone"; only the trusted have votes
	Why     string    `json:"why,omitempty"`  // it is not trusted
	Heard   time.Time `json:"heard,omitzero"` // when it last said something new; zero for this prober
	Targets int       `json:"targets"`        // that it checks, of those that are checked here
	Failing int       `json:"failing"`        // of these: the last check failed
	Lost    int       `json:"lost"`           // of these: and no other site has trouble with them
}

// A LinkStatus is how what carries the probers' reports is.
type LinkStatus struct {
	Up        bool              `json:"up"`
	Since     time.Time         `json:"since,omitzero"`
	Exchanged time.Time         `json:"exchanged,omitzero"` // when reports were last exchanged
	Trouble   string            `json:"trouble,omitempty"`
	Refused   map[string]string `json:"refused,omitempty"` // why the report of a prober is refused, by name
}

// A VerdictStatus is why an endpoint is believed to be in its state.
type VerdictStatus struct {
	Rule    string       `json:"rule"` // e.g. "majority"
	State   policy.State `json:"state"`
	Since   time.Time    `json:"since,omitzero"`
	Why     string       `json:"why,omitempty"`
	Stopped string       `json:"stopped,omitempty"` // why the state does not change although it would
	Held    time.Time    `json:"held,omitzero"`     // the state does not change before; in the future or zero
	Votes   []VoteStatus `json:"votes"`             // the row of the matrix
}

// A VoteStatus is one prober's word on an endpoint.
type VoteStatus struct {
	Prober  string            `json:"prober"`
	State   policy.State      `json:"state"` // "unknown": it says nothing
	Failing bool              `json:"failing,omitempty"`
	Counts  bool              `json:"counts"`
	Why     string            `json:"why,omitempty"`    // it does not count
	Checked time.Time         `json:"checked,omitzero"` // end of the check that it rests on
	Latency embedded.Duration `json:"latency,omitempty"`
}

func (s *Server) probers() []ProberStatus {
	if s.Probers == nil {
		return []ProberStatus{}
	}
	return s.Probers()
}

func (s *Server) getProbers(*http.Request) (int, any, error) { return http.StatusOK, s.probers(), nil }

// getEvents lists what happened, oldest first: all that is remembered, or what came after an event.
func (s *Server) getEvents(r *http.Request) (int, any, error) {
	q, err := parameters(r, "after")
	if err != nil {
		return 0, nil, err
	}
	var after uint64
	if q.Has("after") {
		if after, err = strconv.ParseUint(q.Get("after"), 10, 64); err != nil {
			return 0, nil, badRequest("after=%.80q is not the number of an event", q.Get("after"))
		}
	}
	return http.StatusOK, s.Registry.Events(after), nil
}

// vantageTrouble says what is wrong with probers and with what carries their reports, one sentence each.
func (st *Status) vantageTrouble() []string {
	var out []string
	if l := st.Redis; l != nil {
		if !l.Up && l.Trouble != "" {
			out = append(out, "other probers cannot be heard over Redis: "+l.Trouble)
		}
		for _, name := range slices.Sorted(maps.Keys(l.Refused)) {
			out = append(out, fmt.Sprintf("the report of prober %q is refused: %s", name, l.Refused[name]))
		}
	}
	for _, p := range st.Probers {
		switch {
		case p.State == "suspect" && p.Self:
			out = append(out, "this prober doubts itself, and what is believed stays: "+p.Why)
		case p.State == "suspect":
			out = append(out, fmt.Sprintf("prober %s is suspect and has no vote: %s", p.Name, p.Why))
		}
	}
	return out
}
