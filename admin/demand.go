package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/policy"
)

// getDemand says who asks for steered names: GET /v1/demand?name=&limit=.
func (s *Server) getDemand(r *http.Request) (int, any, error) {
	q, err := parameters(r, "name", "limit")
	if err != nil {
		return 0, nil, err
	}
	if s.Demand == nil {
		return 0, nil, noDNS()
	}
	limit, err := limitOf(q)
	if err != nil {
		return 0, nil, err
	}
	report := s.Demand()
	if name := recordOf(q); name != "" {
		report = report.OfName(name)
	}
	if limit > 0 {
		report = report.First(limit)
	}
	return http.StatusOK, report, nil
}

func noDNS() error { return notFound("this process does not serve DNS, so nobody asks it for names") }

// limitOf returns the parameter limit, 0 if there is none.
func limitOf(q url.Values) (int, error) {
	text := q.Get("limit")
	if text == "" {
		return 0, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 {
		return 0, badRequest("limit %.80q is no whole number of more than 0", text)
	}
	return limit, nil
}

// recordOf returns the parameter name as records are called.
func recordOf(q url.Values) string { return strings.ToLower(strings.TrimSuffix(q.Get("name"), ".")) }

// getAnswers says what some of the last steered answers were: GET /v1/answers?name=&limit=.
func (s *Server) getAnswers(r *http.Request) (int, any, error) {
	q, err := parameters(r, "name", "limit")
	if err != nil {
		return 0, nil, err
	}
	if s.Answers == nil {
		return 0, nil, noDNS()
	}
	limit, err := limitOf(q)
	if err != nil {
		return 0, nil, err
	}
	list := s.Answers()
	if name := recordOf(q); name != "" {
		list = slices.DeleteFunc(list, func(r dnsserver.Record) bool { return r.Name != name })
	}
	if limit > 0 {
		list = list[:min(limit, len(list))]
	}
	return http.StatusOK, list, nil
}

// A Replayed is what comes of a recorded answer when it is decided again: POST /v1/replay.
type Replayed struct {
	Record     dnsserver.Record `json:"record"`
	Same       bool             `json:"same"`                 // the decision is the one that was recorded
	Generation uint64           `json:"generation,omitempty"` // of the configuration that decided; 0 = the one in force, which is not kept
	Trace      policy.Trace     `json:"trace"`
}

func (s *Server) postReplay(r *http.Request) (int, any, error) {
	var record dnsserver.Record
	if err := readBody(r, &record, false); err != nil {
		return 0, nil, err
	}
	out, err := s.Replay(record)
	return http.StatusOK, out, err
}
