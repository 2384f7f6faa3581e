package registry

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meridian-gslb/meridian/policy"
)

// SourceFile is the source of endpoints that the configuration file defines. No Source may publish under this name.
const SourceFile = "file"

// MaxListed bounds how many refused endpoints, and how many orphans, are listed one by one.
const MaxListed = 1000

// A Refusal is one published endpoint that did not become part of the World, and why.
type Refusal struct {
	Source  string `json:"source"`
	Service string `json:"service"`
	Name    string `json:"name"`
	Reason  string `json:"reason"`
}

// An Orphan is a service that a source publishes and the configuration does not define: its endpoints are kept aside until it does.
type Orphan struct {
	Source    string `json:"source"`
	Service   string `json:"service"`
	Endpoints int    `json:"endpoints"`
}

// A merged is a Definition's services with what sources published, and the Plan of it. It never changes.
type merged struct {
	services []policy.ServiceSpec
	plan     *policy.Plan
	origin   map[string]string       // full name -> source; the file's endpoints are not in it
	said     map[string]policy.State // what sources say of theirs, by full name; nothing said is not in it
	refused  []Refusal               // at most MaxListed
	refusals int                     // all of them
	orphans  []Orphan                // at most MaxListed, sorted by source and service
}

// merged returns the Compiled alone, nothing published.
func (c *Compiled) merged() merged { return merged{services: c.declared, plan: c.plan} }

// merge adds what sources published to the services of a Compiled. A published endpoint replaces the file's of the same name; of
// two sources that publish the same name, the first in alphabetical order wins, so that the outcome does not hang on who came first.
// An endpoint that is invalid or one too many is refused alone. last is the newest Plan of the same Compiled, of which the new one takes
// what it has.
func merge(c *Compiled, last *policy.Plan, catalogs map[string]Catalog, allowLoopback bool) merged {
	m := merger{Compiled: c, last: last, merged: c.merged(), sources: slices.Sorted(maps.Keys(catalogs)), catalogs: catalogs, allowLoopback: allowLoopback}
	m.services = make([]policy.ServiceSpec, len(c.declared))
	m.origin = map[string]string{}
	for _, s := range c.declared {
		m.total += len(s.Endpoints)
	}
	for i, s := range c.declared {
		m.services[i] = m.service(s)
	}
	m.listen()
	m.findOrphans()
	m.compile()
	return m.merged
}

type merger struct {
	*Compiled
	last *policy.Plan
	merged
	sources       []string // sorted
	catalogs      map[string]Catalog
	allowLoopback bool
	total         int // endpoints so far, those of the file in services to come included
}

// service returns a service of the file with what sources publish of it.
func (m *merger) service(s policy.ServiceSpec) policy.ServiceSpec {
	published := 0
	for _, source := range m.sources {
		published += len(m.catalogs[source].Services[s.Name])
	}
	if published == 0 {
		return s
	}
	s.Endpoints = append(make([]policy.EndpointSpec, 0, len(s.Endpoints)+min(published, MaxEndpointsPerService)), s.Endpoints...)
	position := make(map[string]int, len(s.Endpoints))
	for i, e := range s.Endpoints {
		position[e.Name] = i
	}
	for _, source := range m.sources {
		for _, e := range m.catalogs[source].Services[s.Name] {
			full := s.Name + "/" + e.Name
			at, there := position[e.Name]
			other, taken := m.origin[full]
			err := m.checkPublished(e, m.allowLoopback)
			switch {
			case err != nil:
				m.refuse(source, s.Name, e.Name, err.Error())
			case taken && other == source:
				m.refuse(source, s.Name, e.Name, "published twice")
			case taken:
				m.refuse(source, s.Name, e.Name, "source "+other+" publishes it too, and comes first")
			case there:
				s.Endpoints[at] = e
				m.origin[full] = source
			case len(s.Endpoints) >= MaxEndpointsPerService:
				m.refuse(source, s.Name, e.Name, fmt.Sprintf("the service has %d endpoints already, the most there may be", MaxEndpointsPerService))
			case m.total >= MaxEndpoints:
				m.refuse(source, s.Name, e.Name, fmt.Sprintf("there are %d endpoints already, the most there may be", MaxEndpoints))
			default:
				position[e.Name] = len(s.Endpoints)
				s.Endpoints = append(s.Endpoints, e)
				m.origin[full] = source
				m.total++
			}
		}
	}
	return s
}

// listen takes over what sources say of the endpoints that came from them, and what they refused themselves.
func (m *merger) listen() {
	m.said = map[string]policy.State{}
	for _, source := range m.sources {
		c := m.catalogs[source]
		for name, state := range c.States {
			if state != policy.Unknown && state <= policy.Drained && m.origin[name] == source {
				m.said[name] = state
			}
		}
		for _, r := range c.Refused {
			m.refuse(source, r.Service, r.Name, r.Reason)
		}
	}
}

func (m *merger) refuse(source, service, name, reason string) {
	m.refusals++
	if len(m.refused) < MaxListed {
		m.refused = append(m.refused, Refusal{Source: source, Service: service, Name: clip(name), Reason: reason})
	}
}

// findOrphans lists published services that the Definition lacks.
func (m *merger) findOrphans() {
	defined := make(map[string]bool, len(m.services))
	for _, s := range m.services {
		defined[s.Name] = true
	}
	for source, c := range m.catalogs {
		for service, endpoints := range c.Services {
			if !defined[service] && len(endpoints) > 0 {
				m.orphans = append(m.orphans, Orphan{Source: source, Service: clip(service), Endpoints: len(endpoints)})
			}
		}
	}
	slices.SortFunc(m.orphans, func(a, b Orphan) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Service, b.Service))
	})
	m.orphans = m.orphans[:min(len(m.orphans), MaxListed)]
}

// compile makes the Plan. Every endpoint was checked, so the Plan's compiler finds nothing; if it did, the file's endpoints would
// serve alone, as a source must never cost us the configuration.
func (m *merger) compile() {
	if len(m.origin) == 0 {
		m.services = m.declared
		return
	}
	plan, problems := m.last.WithServices(m.services)
	if plan != nil {
		m.merged.plan = plan
		return
	}
	for full, source := range m.origin {
		service, name, _ := strings.Cut(full, "/")
		m.refuse(source, service, name, problems[0].Msg)
	}
	m.services, m.origin = m.declared, nil
}

// clip shortens a name from outside for display.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
