package admin

import (
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

// A Status is everything the process says about itself at one moment: GET /v1/status.
type Status struct {
	About
	Ready      bool                    `json:"ready"`
	Waiting    []string                `json:"waiting,omitempty"`  // what is not ready, e.g. "probing: first round"
	Degraded   []string                `json:"degraded,omitempty"` // what is wrong, one sentence each; empty = all is well
	Generation uint64                  `json:"generation"`         // of the snapshot
	Sites      []SiteStatus            `json:"sites"`
	Services   []ServiceStatus         `json:"services"`
	Overrides  []OverrideStatus        `json:"overrides"`
	Probers    []ProberStatus          `json:"probers"`         // this one first
	Redis      *LinkStatus             `json:"redis,omitempty"` // nil: this node probes alone
	Zones      []ZoneStatus            `json:"zones"`
	Sources    []registry.SourceStatus `json:"sources,omitempty"` // outside systems that endpoints come from
	Refused    []registry.Refusal      `json:"refused,omitempty"` // registrations that did not become endpoints
	Orphans    []registry.Orphan       `json:"orphans,omitempty"` // registrations for services that the configuration does not define
}

// An About is what does not concern the registry: which program runs, since when, on what file and addresses.
type About struct {
	Version string       `json:"version"`
	Site    string       `json:"site,omitempty"` // where the process runs
	Started time.Time    `json:"started"`
	Config  ConfigStatus `json:"config"`
	Listen  Listen       `json:"listen"`
	State   string       `json:"state,omitempty"` // directory of what survives a restart; "" = nothing does
}

// A ConfigStatus says which configuration serves, and how the last reload went.
type ConfigStatus struct {
	File       string    `json:"file"`
	Loaded     time.Time `json:"loaded"`               // when what serves was read
	Tried      time.Time `json:"tried"`                // when a reload was tried last; equal to Loaded if none failed since
	Problem    string    `json:"problem,omitempty"`    // why the last reload was refused; "" = it was not
	Generation uint64    `json:"generation,omitempty"` // under which what serves is kept, see /v1/generations; 0 = it is not
	Pinned     bool      `json:"pinned,omitempty"`     // that generation serves in the place of the file, until the file changes and is reloaded
	More       int       `json:"more,omitempty"`       // problems beside the first that Problem tells
}

// A Listen holds the addresses that are served, as bound.
type Listen struct {
	DNS   []string `json:"dns,omitempty"`
	HTTPS []string `json:"https,omitempty"`
	HTTP  []string `json:"http,omitempty"`
	Admin string   `json:"admin"`
}

// A SiteStatus counts the endpoints of a site.
type SiteStatus struct {
	Name   string `json:"name"`
	Counts Counts `json:"counts"`
}

// Counts are endpoints by state.
type Counts struct {
	Up      int `json:"up"`
	Unknown int `json:"unknown"` // never checked; counts as up
	Down    int `json:"down"`
	Drained int `json:"drained"`
}

// Total returns the number of endpoints.
func (c Counts) Total() int { return c.Up + c.Unknown + c.Down + c.Drained }

// Usable returns the number of endpoints that may receive traffic.
func (c Counts) Usable() int { return c.Up + c.Unknown }

func (c *Counts) add(s policy.State) {
	switch s {
	case policy.Up:
		c.Up++
	case policy.Down:
		c.Down++
	case policy.Drained:
		c.Drained++
	default:
		c.Unknown++
	}
}

// A ServiceStatus is a service with its endpoints: GET /v1/services/{service}.
type ServiceStatus struct {
	Name      string           `json:"name"`
	Counts    Counts           `json:"counts"`
	FailOpen  bool             `json:"failOpen,omitempty"` // none is usable: those not drained count as up, or all if every one is drained
	Endpoints []EndpointStatus `json:"endpoints"`
}

// An EndpointStatus is one endpoint: what is believed of it, why, and what it carries.
type EndpointStatus struct {
	registry.EndpointDetail
	Probe   *ProbeStatus   `json:"probe,omitempty"`   // nil: not checked
	Verdict *VerdictStatus `json:"verdict,omitempty"` // nil: not checked
	Traffic *Traffic       `json:"traffic,omitempty"` // through the edge; nil: none passes there
	Expires time.Time      `json:"expires,omitzero"`  // when its lease ends unless it is renewed; zero: no lease
}

// A ProbeStatus is how an endpoint is checked and how the last check went.
type ProbeStatus struct {
	Kind    string            `json:"kind"`             // "http", "https", "tcp"
	Address string            `json:"address"`          // where checks connect
	Checked time.Time         `json:"checked,omitzero"` // end of the last check; zero: none yet
	Latency embedded.Duration `json:"latency,omitempty"`
	Error   string            `json:"error,omitempty"` // of the last check; "" = it succeeded
	Streak  int               `json:"streak"`          // checks in a row that ended like the last
}

// Traffic counts what the edge sent to an endpoint since it first appeared.
type Traffic struct {
	InFlight        int64  `json:"inFlight"`
	Requests        uint64 `json:"requests"`
	ServerErrors    uint64 `json:"serverErrors"`    // responses of status 500 or above
	Failures        uint64 `json:"failures"`        // connected, but no complete response
	ConnectFailures uint64 `json:"connectFailures"` // no connection could be made
}

// An OverrideStatus is an override in force and how many endpoints it covers: GET /v1/overrides.
type OverrideStatus struct {
	registry.Override
	Endpoints int `json:"endpoints"`

	// Warnings, when it is put in force: services that it leaves nothing usable, and what else is in force and beats it, one sentence each.
	Warnings []string `json:"warnings,omitempty"`
}

// An OverrideEnded is an override that was ended: DELETE /v1/overrides/{kind}/{name}.
type OverrideEnded struct {
	Target   registry.Target `json:"target"`
	Warnings []string        `json:"warnings,omitempty"` // what else is in force for its endpoints, one sentence each
}

// An OverrideRequest is the body of PUT /v1/overrides/{kind}/{name}.
type OverrideRequest struct {
	State  *policy.State     `json:"state,omitempty"`  // "drained", "down" or "up"; default "drained"
	For    embedded.Duration `json:"for,omitempty"`    // how long, e.g. "10m"; 0 = until it is ended
	Reason string            `json:"reason,omitempty"` // for people
	By     string            `json:"by,omitempty"`     // who, for people
}

// A ZoneStatus is one zone: GET /v1/zones.
type ZoneStatus struct {
	View   string `json:"view,omitempty"` // that it is in; "" = in all
	Name   string `json:"name"`           // with the final dot
	Serial uint32 `json:"serial"`
	Names  int    `json:"names"` // that own records
}

// A Reloaded is the outcome of a reload that took effect: POST /v1/reload.
type Reloaded struct {
	File       string    `json:"file"`
	Instead    uint64    `json:"instead,omitempty"` // the kept generation that serves in the place of the file, which has not changed since; 0 = the file serves
	Generation uint64    `json:"generation"`
	Warnings   []Problem `json:"warnings,omitempty"`
}

// A Problem is one thing wrong in the configuration file, with its place.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	Text    string `json:"text"` // all of it as people read it: place, message, source line, caret
}

// A Backend is one demo backend of "meridian dev": GET /v1/demo/backends.
type Backend struct {
	Name     string `json:"name"` // e.g. "us-east-1"
	Address  string `json:"address"`
	Running  bool   `json:"running"`
	Requests uint64 `json:"requests"` // answered, health checks not counted
}

// readiness is the body of GET /readyz.
type readiness struct {
	Ready   bool     `json:"ready"`
	Waiting []string `json:"waiting,omitempty"`
}
