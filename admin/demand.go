package admin

import (
	"net/http"
	"strconv"
	"strings"
)

// getDemand says who asks for steered names: GET /v1/demand?name=&limit=.
func (s *Server) getDemand(r *http.Request) (int, any, error) {
	q, err := parameters(r, "name", "limit")
	if err != nil {
		return 0, nil, err
	}
	if s.Demand == nil {
		return 0, nil, notFound("this process does not serve DNS, so nobody asks it for names")
	}
	limit := -1
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 {
			return 0, nil, badRequest("limit %.80q is no whole number of more than 0", text)
		}
	}
	report := s.Demand()
	if name := q.Get("name"); name != "" {
		report = report.OfName(strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	if limit > 0 {
		report = report.First(limit)
	}
	return http.StatusOK, report, nil
}
