package simulate

import (
	"fmt"
	"slices"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// Run plays a Scenario. Every client asks once a step, and sends all its queries of the step where the answer says. The error says what of the
// Scenario the World has not, or what is wrong with it or with the clients.
func Run(w World, s Scenario, clients []Client) (*Series, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	r := &run{scenario: s, plan: w.Plan, services: slices.Clone(w.Services), events: s.inOrder()}
	if err := r.resolve(); err != nil {
		return nil, err
	}
	if err := r.meet(clients); err != nil {
		return nil, err
	}
	r.begin()
	for i := range s.Steps() {
		if err := r.step(i); err != nil {
			return nil, err
		}
	}
	r.out.peaks(s.Capacity)
	return r.out, nil
}

// A run is a Scenario being played.
type run struct {
	scenario Scenario
	plan     *policy.Plan
	services []policy.ServiceSpec // as they are now; endpoints of the service are the run's own
	events   []Event              // those to come, by time
	out      *Series

	service policy.ServiceID
	policy  policy.PolicyID
	first   policy.EndpointID // of the service; the others follow it
	siteOf  []int             // by position in the service: in out.Sites

	ofSite     map[string]policy.State // by site, and by endpoint of the service: what events said
	ofEndpoint map[string]policy.State
	loads      map[string]policy.Load // by endpoint of the service: what events said
	health     policy.Health
	scratch    policy.Scratch

	clients []Client
	keys    []uint64
	answers []answer // of the step before
}

// An answer is which endpoints a client uses, and which sites, each as one number: a sum, so that the order does not matter.
type answer struct{ endpoints, sites uint64 }

// resolve finds what the Scenario names in the World.
func (r *run) resolve() error {
	s := &r.scenario
	if s.Policy == "" {
		s.Policy = policy.DefaultPolicy
	}
	var ok bool
	if r.service, ok = r.plan.ServiceByName(s.Service); !ok {
		return fmt.Errorf("simulate: there is no service %q", s.Service)
	}
	if len(r.services) != r.plan.NumServices() || r.services[r.service].Name != s.Service {
		return fmt.Errorf("simulate: the services are not those of the plan")
	}
	if r.policy, ok = r.plan.PolicyByName(s.Policy); !ok {
		return fmt.Errorf("simulate: there is no policy %q", s.Policy)
	}
	ids := r.plan.Endpoints(r.service)
	if len(ids) == 0 {
		return fmt.Errorf("simulate: service %q has no endpoint", s.Service)
	}
	r.first = ids[0]
	r.services[r.service].Endpoints = slices.Clone(r.services[r.service].Endpoints)
	for _, e := range r.events {
		if e.Site != "" {
			if _, ok := r.plan.SiteByName(e.Site); !ok {
				return fmt.Errorf("simulate: there is no site %q", e.Site)
			}
		} else if _, ok := r.plan.EndpointByName(s.Service + "/" + e.Endpoint); !ok {
			return fmt.Errorf("simulate: service %q has no endpoint %q", s.Service, e.Endpoint)
		}
	}
	for _, c := range s.Capacity {
		if _, ok := r.plan.SiteByName(c.Site); !ok {
			return fmt.Errorf("simulate: there is no site %q", c.Site)
		}
	}
	return nil
}

// meet takes the clients in.
func (r *run) meet(clients []Client) error {
	if len(clients) == 0 || len(clients) > MaxClients {
		return fmt.Errorf("simulate: %d clients: there are 1 to %d", len(clients), MaxClients)
	}
	r.clients, r.keys, r.answers = clients, make([]uint64, len(clients)), make([]answer, len(clients))
	for i, c := range clients {
		if !(c.Queries > 0) {
			return fmt.Errorf("simulate: client %s has %v queries a second, not more than 0", c.Prefix, c.Queries)
		}
		r.keys[i] = policy.ClientKey(c.Prefix.Masked().Addr())
	}
	return nil
}

// begin sets up the Series before the first step.
func (r *run) begin() {
	s := &r.scenario
	r.ofSite, r.ofEndpoint, r.loads = map[string]policy.State{}, map[string]policy.State{}, map[string]policy.Load{}
	r.out = &Series{
		Title: s.name(), Service: s.Service, Policy: s.Policy, Family: s.Family.String(), Clients: len(r.clients), Queries: Queries(r.clients),
		Start: s.Start, Duration: seconds(s.Duration), Step: seconds(s.Step), Steps: make([]Step, 0, s.Steps()), Events: []Mark{},
	}
	ids := r.plan.Endpoints(r.service)
	var sites []policy.SiteID
	for _, id := range ids {
		sites = append(sites, r.plan.Endpoint(id).Site)
		r.out.Targets = append(r.out.Targets, shortName(r.plan.Endpoint(id).Name))
	}
	order := slices.Clone(sites)
	slices.SortFunc(order, func(a, b policy.SiteID) int { return int(a-1) - int(b-1) }) // NoSite becomes the largest
	order = slices.Compact(order)
	for _, id := range order {
		r.out.Sites = append(r.out.Sites, r.plan.SiteName(id))
	}
	for _, id := range sites {
		r.siteOf = append(r.siteOf, slices.Index(order, id))
	}
	for _, e := range r.events {
		r.out.Events = append(r.out.Events, Mark{seconds(e.At), e.String()})
	}
	r.assess()
}

// step makes step i: what is due happens, then everybody asks.
func (r *run) step(i int) error {
	at := time.Duration(i) * r.scenario.Step
	st := Step{At: seconds(at), Sites: make([]float64, len(r.out.Sites)), Endpoints: make([]float64, len(r.siteOf))}
	for len(r.events) > 0 && r.events[0].At <= at {
		if err := r.happen(r.events[0]); err != nil {
			return err
		}
		st.Events = append(st.Events, r.events[0].String())
		r.events = r.events[1:]
	}
	q := policy.Query{Service: r.service, Policy: r.policy, Family: r.scenario.Family, Now: r.scenario.Start + st.At}
	roll := mix(mix(r.scenario.Seed) ^ uint64(i))
	for k := range r.clients {
		c := &r.clients[k]
		q.Client, q.Key, q.Dice = c.Prefix, r.keys[k], mix(roll^mix(uint64(k)))
		answer := r.ask(&st, q, c.Queries/r.out.Queries)
		if last := r.answers[k]; i > 0 {
			if answer.endpoints != last.endpoints {
				st.Moved++
			}
			if answer.sites != last.sites {
				st.MovedSite++
			}
		}
		r.answers[k] = answer
	}
	for e, share := range st.Endpoints {
		st.Sites[r.siteOf[e]] += share
	}
	st.round()
	r.out.Steps = append(r.out.Steps, st)
	return nil
}

// ask makes one decision and counts a share of the queries where it leads.
func (r *run) ask(st *Step, q policy.Query, share float64) (a answer) {
	d := r.plan.Decide(&r.scratch, q, r.health)
	if d.Reason == policy.ReasonFailOpen {
		st.FailedOpen += share
	}
	if len(d.Endpoints) == 0 {
		st.Unanswered += share
		return answer{}
	}
	use := d.Endpoints
	if !r.scenario.Spread {
		use = use[:1]
	}
	for _, id := range use {
		st.Endpoints[id-r.first] += share / float64(len(use))
		a.endpoints += mix(uint64(id))
		a.sites += mix(uint64(r.siteOf[id-r.first]))
	}
	return a
}

// happen makes an event true.
func (r *run) happen(e Event) error {
	switch {
	case e.Load != nil:
		for _, id := range r.plan.Endpoints(r.service) {
			x := r.plan.Endpoint(id)
			if name := shortName(x.Name); name == e.Endpoint || e.Site != "" && r.plan.SiteName(x.Site) == e.Site {
				r.loads[name] = *e.Load
			}
		}
	case e.Site != "":
		r.ofSite[e.Site] = e.State
	case e.State != policy.Unknown:
		r.ofEndpoint[e.Endpoint] = e.State
	default:
		list := r.services[r.service].Endpoints
		i := slices.IndexFunc(list, func(x policy.EndpointSpec) bool { return x.Name == e.Endpoint })
		list[i].Weight = e.Weight
		plan, problems := r.plan.WithServices(r.services)
		if len(problems) > 0 {
			return fmt.Errorf("simulate: %s: %s", e, problems[0].Msg)
		}
		r.plan = plan
	}
	r.assess()
	return nil
}

// assess makes the health of what events said. Endpoints keep their numbers when weights change. What is drained, an operator drained.
func (r *run) assess() {
	verdicts := make([]policy.Verdict, r.plan.NumEndpoints())
	for i := range verdicts {
		e := r.plan.Endpoint(policy.EndpointID(i))
		v := policy.Verdict{State: policy.Up, Load: e.Load}.Worse(policy.Verdict{State: r.ofSite[r.plan.SiteName(e.Site)]})
		if load, ok := r.loads[shortName(e.Name)]; ok && e.Service == r.service {
			v.Load = load
		}
		if e.Service == r.service {
			v = v.Worse(policy.Verdict{State: r.ofEndpoint[shortName(e.Name)]})
		}
		v.Forced = v.State == policy.Drained
		verdicts[i] = v
	}
	r.health = policy.HealthOf(verdicts)
}
