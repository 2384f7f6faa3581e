package dnsserver

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// A Record is the decision behind one steered answer with all that it hangs on beside the configuration: the same can be decided again at any time,
// and looked at. It does not change.
type Record struct {
	Time       int64           `json:"time"`                 // Unix seconds
	Snapshot   uint64          `json:"snapshot"`             // generation of the snapshot that answered
	Generation uint64          `json:"generation,omitempty"` // that the configuration is kept under; 0 = it is not; who keeps it adds this
	Name       string          `json:"name"`                 // of the record, without the final dot
	Type       string          `json:"type"`
	Client     netip.Prefix    `json:"client"`  // as the policy took it
	Service    string          `json:"service"` // that answered: perhaps one that the record falls back on
	Policy     string          `json:"policy"`
	Family     string          `json:"family"` // as policy.Family.String says
	Dice       uint64          `json:"dice,string"`
	Joint      bool            `json:"joint,omitempty"`
	Short      policy.Shortage `json:"short,omitempty"` // as in policy.Query
	Health     []RecordHealth  `json:"health"`          // of all endpoints of the service

	// The decision.
	Endpoints []string `json:"endpoints"` // in order
	TTL       uint32   `json:"ttl"`       // bound by health; 0 = none
	Scope     uint8    `json:"scope"`
	Reason    string   `json:"reason"`
}

// A RecordHealth is what was believed of one endpoint.
type RecordHealth struct {
	Endpoint string       `json:"endpoint"`
	State    policy.State `json:"state"`
	Forced   bool         `json:"forced,omitempty"`
	Load     policy.Load  `json:"load,omitempty"` // thousandths
	TTL      uint32       `json:"ttl,omitempty"`
}

// newRecord returns the Record of a question to a Snapshot. The decision is made again; it is what it was.
func newRecord(s *registry.Snapshot, name string, rrtype uint16, q policy.Query, scratch *policy.Scratch) Record {
	r := Record{
		Time: q.Now, Snapshot: s.Gen, Name: name, Type: dns.Type(rrtype).String(), Client: q.Client, Service: s.Plan.ServiceName(q.Service),
		Policy: s.Plan.PolicyName(q.Policy), Family: q.Family.String(), Dice: q.Dice, Joint: q.Joint, Short: q.Short,
		Health: []RecordHealth{}, Endpoints: []string{},
	}
	for _, id := range s.Plan.Endpoints(q.Service) {
		v := s.Health.Of(id)
		r.Health = append(r.Health, RecordHealth{s.Plan.Endpoint(id).Name, v.State, v.Forced, v.Load, v.TTL})
	}
	d := s.Plan.Decide(scratch, q, s.Health)
	for _, id := range d.Endpoints {
		r.Endpoints = append(r.Endpoints, s.Plan.Endpoint(id).Name)
	}
	r.TTL, r.Scope, r.Reason = d.TTL, d.Scope, d.Reason.String()
	return r
}

// Replay decides again by a Plan, which should be that of the configuration of then, and says why. same is true if the decision is the one that was
// recorded. The error says what the Plan has not.
func (r *Record) Replay(p *policy.Plan) (trace policy.Trace, same bool, err error) {
	q := policy.Query{Client: r.Client, Key: policy.ClientKey(r.Client.Addr()), Dice: r.Dice, Joint: r.Joint, Short: r.Short, Now: r.Time}
	var ok bool
	if q.Service, ok = p.ServiceByName(r.Service); !ok {
		return trace, false, fmt.Errorf("dnsserver: there is no service %q", r.Service)
	}
	if q.Policy, ok = p.PolicyByName(r.Policy); !ok {
		return trace, false, fmt.Errorf("dnsserver: there is no policy %q", r.Policy)
	}
	for q.Family = policy.FamilyAny; q.Family.String() != r.Family; q.Family++ {
		if q.Family >= policy.FamilyServer {
			return trace, false, fmt.Errorf("dnsserver: there is no family %q", r.Family)
		}
	}
	health := policy.NewHealth(p.NumEndpoints())
	for _, h := range r.Health {
		if id, ok := p.EndpointByName(h.Endpoint); ok {
			health = health.With(id, policy.Verdict{State: h.State, Forced: h.Forced, Load: h.Load, TTL: h.TTL})
		}
	}
	t := p.Explain(q, health)
	return t, slices.Equal(t.Endpoints, r.Endpoints) && t.TTL == r.TTL && t.Scope == r.Scope && t.Reason == r.Reason, nil
}
