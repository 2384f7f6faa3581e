package admin

import (
	"maps"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/meridian-gslb/meridian/demand"
	"github.com/meridian-gslb/meridian/simulate"
)

// DefaultMaxMove is the share of the queries that a change may move without being forced.
const DefaultMaxMove = 0.2

// A Change is a configuration that is to be looked at, or put in force: the body of POST /v1/plan and POST /v1/apply. All of it may be left out.
type Change struct {
	File     string             `json:"file,omitempty"`     // absolute path on the machine of the process; "" = its own file, as it is now
	Demand   *demand.Report     `json:"demand,omitempty"`   // who asks; nil = who asked this process
	Capacity map[string]float64 `json:"capacity,omitempty"` // queries a second that sites can take; none = nothing is said
	MaxMove  *float64           `json:"maxMove,omitempty"`  // the share of the queries that may move, 0 to 1; nil = DefaultMaxMove
	Force    bool               `json:"force,omitempty"`    // whatever moves
}

// Capacities returns the capacities by the name of the site.
func (c *Change) Capacities() (list []simulate.Capacity) {
	for _, site := range slices.Sorted(maps.Keys(c.Capacity)) {
		list = append(list, simulate.Capacity{Site: site, Queries: c.Capacity[site]})
	}
	return list
}

// Limit returns the share of the queries that may move.
func (c *Change) Limit() float64 {
	if c.MaxMove == nil {
		return DefaultMaxMove
	}
	return *c.MaxMove
}

// check returns what is wrong with a Change by itself.
func (c *Change) check() error {
	if limit := c.Limit(); !(limit >= 0 && limit <= 1) {
		return badRequest("maxMove: %v is no share of 0 to 1", limit)
	}
	if c.File != "" && !filepath.IsAbs(c.File) {
		return badRequest("file: %.200q is no absolute path", c.File)
	}
	for site, q := range c.Capacity {
		if !(q > 0) || math.IsInf(q, 0) {
			return badRequest("capacity: %v of %.80q is not more than 0", q, site)
		}
	}
	return nil
}

// A Plan is what a change would do: POST /v1/plan.
type Plan struct {
	File     string             `json:"file"`               // that was looked at
	Against  string             `json:"against"`            // what it was compared with
	Same     bool               `json:"same,omitempty"`     // it has the text of what is in force
	Forecast *simulate.Forecast `json:"forecast,omitempty"` // nil: nobody asks, so there is nothing to say
	Limit    float64            `json:"limit"`              // the share of the queries that may move
	Refused  string             `json:"refused,omitempty"`  // why it would not be applied without force; "" = it would
	Warnings []Problem          `json:"warnings,omitempty"` // of the configuration
}

// An Applied is what came of a change that was to be put in force: POST /v1/apply.
type Applied struct {
	Plan       Plan     `json:"plan"`
	Applied    bool     `json:"applied"`              // it is in force
	Generation uint64   `json:"generation,omitempty"` // under which it is kept; 0 = it is not
	Snapshot   uint64   `json:"snapshot"`             // generation of the snapshot, as in the status
	Canaries   Canaries `json:"canaries"`
}

// Canaries are the questions that the process was asked after a change.
type Canaries struct {
	Asked  int      `json:"asked"`
	Total  int      `json:"failed"`             // how many were answered worse than before
	Failed []string `json:"failures,omitempty"` // the first of them, each with what came and what came before
}

// A Generation is a configuration that is kept: GET /v1/generations.
type Generation struct {
	Generation uint64    `json:"generation"`
	Time       time.Time `json:"time"` // when it came in force first
	File       string    `json:"file"`
	How        string    `json:"how"` // "start", "reload" or "apply"
	InForce    bool      `json:"inForce,omitempty"`
}

// A Rollback is the body of POST /v1/rollback.
type Rollback struct {
	To uint64 `json:"to,omitempty"` // a generation; 0 = the one before the one in force
}

// A RolledBack is the outcome of a rollback.
type RolledBack struct {
	Generation uint64    `json:"generation"`         // that is in force now, or will be when a process starts
	From       uint64    `json:"from,omitempty"`     // that was in force; 0 = none that is kept
	Snapshot   uint64    `json:"snapshot,omitempty"` // generation of the snapshot; 0 = no process runs
	Warnings   []Problem `json:"warnings,omitempty"`
}

// change reads a Change.
func change(r *http.Request) (c Change, err error) {
	if err := readBody(r, &c, true); err != nil {
		return c, err
	}
	return c, c.check()
}

func (s *Server) postPlan(r *http.Request) (int, any, error) {
	c, err := change(r)
	if err != nil {
		return 0, nil, err
	}
	p, err := s.Plan(r.Context(), c)
	return http.StatusOK, p, err
}

func (s *Server) postApply(r *http.Request) (int, any, error) {
	c, err := change(r)
	if err != nil {
		return 0, nil, err
	}
	a, err := s.Apply(r.Context(), c)
	return http.StatusOK, a, err
}

func (s *Server) getGenerations(*http.Request) (int, any, error) {
	list, err := s.Generations()
	return http.StatusOK, list, err
}

func (s *Server) postRollback(r *http.Request) (int, any, error) {
	var to Rollback
	if err := readBody(r, &to, true); err != nil {
		return 0, nil, err
	}
	done, err := s.Rollback(r.Context(), to.To)
	return http.StatusOK, done, err
}
