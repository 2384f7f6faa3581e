package admin

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

// A Registered is a registration, and whether it became part of its service: PUT and GET /v1/services/{service}/endpoints/{name}.
type Registered struct {
	embedded.Registration
	Serving bool   `json:"serving"`          // it is one of the service's endpoints, at most a moment after it registered; its state is another matter
	Reason  string `json:"reason,omitempty"` // why not

	Load float64 `json:"load,omitempty"` // what it reported last: the share of what it can take that it has to do
}

func (s *Server) getRegistrations(r *http.Request) (int, any, error) {
	list := []Registered{}
	j := s.judge()
	for _, reg := range s.Embedded.List(r.PathValue("service")) {
		list = append(list, j.published(reg))
	}
	return http.StatusOK, list, nil
}

func (s *Server) getRegistration(r *http.Request) (int, any, error) {
	reg, err := s.Embedded.Get(r.PathValue("service"), r.PathValue("name"))
	if err != nil {
		return 0, nil, s.notRegistered(r, err, "")
	}
	return http.StatusOK, s.judge().published(reg), nil
}

// putRegistration registers an endpoint. Service and name are those of the path; the body may repeat them.
func (s *Server) putRegistration(r *http.Request) (int, any, error) {
	service, name := r.PathValue("service"), r.PathValue("name")
	var body registrationBody
	if err := readBody(r, &body, false); err != nil {
		return 0, nil, err
	}
	if body.Service != "" && body.Service != service || body.Name != "" && body.Name != name {
		return 0, nil, badRequest("the body is about %.80s/%.80s, the path about %.80s/%.80s", body.Service, body.Name, service, name)
	}
	if err := checkLoad(body.Load); err != nil {
		return 0, nil, err
	}
	stored, created, err := s.Embedded.Register(embedded.Registration{
		Service: service, Name: name, Address: body.Address, Host: body.Host, Text: body.Text, ALPN: body.ALPN, Port: body.Port, Site: body.Site, Weight: body.Weight, Meta: body.Meta, TTL: body.TTL,
	})
	if err != nil {
		return 0, nil, err
	}
	s.Registry.ReportLoad(service+"/"+name, policy.LoadOf(body.Load))
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	shown := s.judge().fresh(stored)
	shown.Load = policy.LoadOf(body.Load).Share() // of a new endpoint, the registry will show it a moment later
	return status, shown, nil
}

func (s *Server) deleteRegistration(r *http.Request) (int, any, error) {
	err := s.Embedded.Deregister(r.PathValue("service"), r.PathValue("name"))
	return http.StatusNoContent, nil, s.notRegistered(r, err, "remove it there, or drain it")
}

func (s *Server) putHeartbeat(r *http.Request) (int, any, error) {
	var body heartbeatBody
	if err := readBody(r, &body, true); err != nil {
		return 0, nil, err
	}
	if body.Load != nil {
		if err := checkLoad(*body.Load); err != nil {
			return 0, nil, err
		}
	}
	reg, err := s.Embedded.Heartbeat(r.PathValue("service"), r.PathValue("name"))
	if err != nil {
		return 0, nil, s.notRegistered(r, err, "it needs no heartbeat")
	}
	if body.Load != nil {
		s.Registry.ReportLoad(reg.Service+"/"+reg.Name, policy.LoadOf(*body.Load))
	}
	return http.StatusOK, s.judge().published(reg), nil
}

// notRegistered names the endpoint that a request was about, if the error is that nobody registered it, and says what could be done.
func (s *Server) notRegistered(r *http.Request, err error, ofFile string) error {
	if !errors.Is(err, embedded.ErrNotFound) {
		return err
	}
	full := r.PathValue("service") + "/" + r.PathValue("name")
	if d, ok := s.Registry.Detail(full); ok && d.Source == registry.SourceFile {
		if ofFile != "" {
			ofFile = ": " + ofFile
		}
		return notFound("%s is not registered, it is in the configuration file%s", full, ofFile)
	}
	if r.Method == http.MethodPut {
		return notFound("%.160s is not registered, or its lease is over: register again", full)
	}
	return notFound("%.160s is not registered", full)
}

// A judge tells which registrations are part of the World, by what it was at one moment.
type judge struct {
	*Server
	plan    *policy.Plan
	health  policy.Health
	refused map[string]string // by full name: what the registry said
}

func (s *Server) judge() judge {
	snap := s.Registry.Snapshot()
	j := judge{s, snap.Plan, snap.Health, map[string]string{}}
	list, _ := s.Registry.Refused()
	for _, r := range list {
		if r.Source == embedded.SourceName {
			j.refused[r.Service+"/"+r.Name] = r.Reason
		}
	}
	return j
}

// published judges a registration that the registry has seen.
func (j judge) published(reg embedded.Registration) Registered {
	r := j.fresh(reg)
	if said, ok := j.refused[reg.Service+"/"+reg.Name]; ok && r.Serving {
		r.Serving, r.Reason = false, said
	}
	return r
}

// fresh judges a registration by itself: the registry will see it a moment later.
func (j judge) fresh(reg embedded.Registration) Registered {
	why := j.objection(reg)
	r := Registered{Registration: reg, Serving: why == "", Reason: why}
	if id, ok := j.plan.EndpointByName(reg.Service + "/" + reg.Name); ok {
		r.Load = j.health.Of(id).Load.Share()
	}
	return r
}

// objection says why a registration cannot be part of the World; "" if it can.
func (j judge) objection(reg embedded.Registration) string {
	service, ok := j.plan.ServiceByName(reg.Service)
	if !ok {
		return j.noSuch(registry.KindService, reg.Service)
	}
	if _, ok := j.plan.SiteByName(reg.Site); !ok && reg.Site != "" {
		return j.noSuch(registry.KindSite, reg.Site)
	}
	if problems := j.plan.CheckEndpoint(reg.Spec()); len(problems) > 0 {
		return problems[0].Msg
	}
	_, there := j.plan.EndpointByName(reg.Service + "/" + reg.Name)
	switch {
	case there:
		return ""
	case len(j.plan.Endpoints(service)) >= registry.MaxEndpointsPerService:
		return fmt.Sprintf("the service has %d endpoints already, the most there may be", registry.MaxEndpointsPerService)
	case j.plan.NumEndpoints() >= registry.MaxEndpoints:
		return fmt.Sprintf("there are %d endpoints already, the most there may be", registry.MaxEndpoints)
	}
	return ""
}
