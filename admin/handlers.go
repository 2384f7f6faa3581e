package admin

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// healthz says that the process lives: it can answer at all.
func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "ok\n") // an error here is a client that went away
}

// readyz says whether the process does what it is there for, and if not, what is missing.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	waiting := s.Waiting()
	status := http.StatusOK
	if len(waiting) > 0 {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, readiness{Ready: len(waiting) == 0, Waiting: waiting})
}

func (s *Server) getZones(*http.Request) (int, any, error) { return http.StatusOK, s.zones(), nil }

// A Question is what explain is asked: GET /v1/explain?name=&type=&client=&what_if=&resolver=&view=&ecs=&at=.
type Question struct {
	Name   string
	Type   string // "" = A
	Client string // an address or network; "" = nothing is known of it
	WhatIf string // states to suppose, as in "us-east=down,web/eu-1=drained"; "" = things as they are

	Resolver string // the address that the query comes from; "" = that of the client
	View     string // to answer from; "" = the one that the address decides on
	ECS      string // the client subnet that comes; then Client, if there is no Resolver, is that; "" = Client says it
	At       uint64 // a kept generation of the configuration; 0 = the one in force
}

func (s *Server) getExplain(r *http.Request) (int, any, error) {
	q, err := parameters(r, "name", "type", "client", "what_if", "resolver", "view", "ecs", "at")
	if err != nil {
		return 0, nil, err
	}
	ask := Question{
		Name: q.Get("name"), Type: q.Get("type"), Client: q.Get("client"), WhatIf: q.Get("what_if"), Resolver: q.Get("resolver"), View: q.Get("view"),
		ECS: q.Get("ecs"),
	}
	if at := q.Get("at"); at != "" {
		if ask.At, err = strconv.ParseUint(at, 10, 64); err != nil || ask.At == 0 {
			return 0, nil, badRequest("at: %.80q is no generation: a number of /v1/generations is expected", at)
		}
	}
	x, err := s.Explain(ask)
	if err != nil {
		e := asError(err)
		e.Status = http.StatusBadRequest
		return 0, nil, e
	}
	return http.StatusOK, x, nil
}

func (s *Server) postReload(r *http.Request) (int, any, error) {
	done, err := s.Reload(r.Context())
	return http.StatusOK, done, err
}

// A Confirmed is what was held back and is believed now: POST /v1/sources/{source}/confirm.
type Confirmed struct {
	Source string `json:"source"`
	Held   string `json:"held"` // in words
}

func (s *Server) postConfirm(r *http.Request) (int, any, error) {
	done, err := s.Confirm(r.PathValue("source"))
	return http.StatusOK, done, err
}

// A Resolved is what a person's name for something means: GET /v1/resolve?name=.
type Resolved struct {
	Target registry.Target `json:"target"`
}

func (s *Server) getResolve(r *http.Request) (int, any, error) {
	q, err := parameters(r, "name")
	if err != nil {
		return 0, nil, err
	}
	t, err := s.resolve(q.Get("name"))
	return http.StatusOK, Resolved{t}, err
}

func (s *Server) getOverrides(*http.Request) (int, any, error) {
	return http.StatusOK, s.overrides(), nil
}

func (s *Server) putOverride(r *http.Request) (int, any, error) {
	t, err := s.target(r)
	if err != nil {
		return 0, nil, err
	}
	var req OverrideRequest
	if err := readBody(r, &req, true); err != nil {
		return 0, nil, err
	}
	o, err := req.override(t, time.Now())
	if err != nil {
		return 0, nil, err
	}
	if err := s.Registry.Force(o); err != nil {
		return 0, nil, err
	}
	warnings := append(s.leftWithout(o), s.stillForced(t, o.State)...)
	return http.StatusOK, OverrideStatus{Override: o, Endpoints: s.Registry.Matching(t), Warnings: warnings}, nil
}

// override returns what the request asks for, or what is wrong with it.
func (req OverrideRequest) override(t registry.Target, now time.Time) (registry.Override, error) {
	o := registry.Override{Target: t, State: policy.Drained, Since: now, Reason: req.Reason, By: req.By}
	if req.State != nil {
		o.State = *req.State
	}
	if req.For > 0 {
		o.Until = now.Add(time.Duration(req.For))
	}
	switch {
	case o.State == policy.Unknown:
		return o, badRequest("state must be drained, down or up")
	case req.For < 0:
		return o, badRequest("for must not be negative")
	case len(o.Reason) > registry.MaxReason:
		return o, badRequest("reason is longer than %d bytes", registry.MaxReason)
	case len(o.By) > registry.MaxBy:
		return o, badRequest("by is longer than %d bytes", registry.MaxBy)
	case !registry.Printable(o.Reason):
		return o, badRequest("reason has control characters")
	case !registry.Printable(o.By):
		return o, badRequest("by has control characters")
	}
	return o, nil
}

func (s *Server) deleteOverride(r *http.Request) (int, any, error) {
	t, err := registry.ParseTarget(r.PathValue("target"))
	if err != nil {
		return 0, nil, badRequest("%s", asError(err).Message)
	}
	if err := s.Registry.Unforce(t); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, OverrideEnded{Target: t, Warnings: s.stillForced(t, policy.Unknown)}, nil
}

// target returns the target that a path names. It has to exist: an override that waits for a name nobody uses is a misspelling.
func (s *Server) target(r *http.Request) (registry.Target, error) {
	name := r.PathValue("target")
	t, err := registry.ParseTarget(name)
	if err != nil {
		return t, badRequest("%s", asError(err).Message)
	}
	found, err := s.resolve(name)
	if err == nil && found != t {
		err = &registry.ResolveError{Name: name, Near: []registry.Target{found}}
	}
	return t, err
}

func (s *Server) getBackends(*http.Request) (int, any, error) {
	return http.StatusOK, s.Demo.Backends(), nil
}

func (s *Server) switchBackend(run bool) handler {
	return func(r *http.Request) (int, any, error) {
		b, err := s.Demo.Switch(r.PathValue("name"), run)
		return http.StatusOK, b, err
	}
}
