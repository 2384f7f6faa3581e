package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// MaxSites is the largest number of sites of a Spec.
const MaxSites = 4096

// Compile checks a Spec and turns it into a Plan. It returns either a Plan or every problem found, in the order of the Spec, never
// both. It keeps nothing of the Spec that a caller could change.
func Compile(s Spec) (*Plan, []Problem) {
	c := &compiler{}
	c.compileSites(s.Sites)
	c.compileGeoData(s)
	c.compileLatency(s.Latency)
	c.compileServices(s.Services)
	c.compilePolicies(s.Policies)
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	c.plan.finish(nil)
	return &c.plan, nil
}

// WithServices returns a Plan with the sites, networks and policies of p and other services, or every problem with them. It costs
// what the services cost, however many networks there are, but for services at sites that no service of p had together: the way to
// follow a registry.
func (p *Plan) WithServices(services []ServiceSpec) (*Plan, []Problem) {
	c := &compiler{plan: Plan{frame: p.frame}}
	c.compileServices(services)
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	c.plan.finish(p)
	return &c.plan, nil
}

// finish makes what follows from endpoints and policies together. before may be a Plan with the same frame, or nil.
func (p *Plan) finish(before *Plan) {
	p.hashes = make([]uint64, len(p.endpoints))
	for i := range p.endpoints {
		p.hashes[i] = hashOf(p.endpoints[i].Name)
	}
	p.numberSubnets()
	p.compileViews(before)
}

// CheckEndpoint returns what is wrong with one endpoint by itself, as Compile would, with paths relative to the endpoint, e.g.
// {"weight"}. Whoever takes endpoints from elsewhere can refuse the bad ones alone.
func (p *Plan) CheckEndpoint(e EndpointSpec) []Problem {
	c := &compiler{plan: Plan{frame: p.frame}}
	c.checkEndpoint(e)
	return c.problems
}

// A compiler fills a Plan and collects problems. path is where it is.
type compiler struct {
	plan     Plan
	specs    map[string]PolicySpec // of the policies that branches may refer to
	problems []Problem
	referred []referral
	path     []string
}

// at runs f with the path extended.
func (c *compiler) at(f func(), path ...string) {
	n := len(c.path)
	c.path = append(c.path, path...)
	f()
	c.path = c.path[:n]
}

// problem records a problem at the current path, extended.
func (c *compiler) problem(path []string, format string, args ...any) {
	full := append(append([]string{}, c.path...), path...)
	c.problems = append(c.problems, Problem{Path: full, Msg: fmt.Sprintf(format, args...)})
}

// here is the path of a problem with the current thing itself.
var here []string

func (c *compiler) compileSites(specs []SiteSpec) {
	c.plan.sites = []site{{}}
	c.plan.siteByName = map[string]SiteID{}
	if len(specs) > MaxSites {
		c.problem([]string{"sites"}, "%d sites are too many: at most %d", len(specs), MaxSites)
		specs = specs[:MaxSites]
	}
	for i, s := range specs {
		c.at(func() {
			c.checkName("site", s.Name)
			if s.Name == "nearest" {
				c.problem(here, "a site cannot be called %q: geo stages use the word", s.Name)
			}
			if _, twice := c.plan.siteByName[s.Name]; twice {
				c.problem(here, "site %q is declared twice", s.Name)
			}
			if s.At != nil {
				c.checkPoint(*s.At)
			}
			c.checkRegions(s.Region, s.Within)
		}, "sites", s.Name)
		id := SiteID(i + 1)
		at := place{site: id, regions: regionsOf(s.Region, s.Within)}
		if s.At != nil {
			at.known, at.at = true, *s.At
		}
		c.plan.sites = append(c.plan.sites, site{s.Name, hashOf(s.Name), at})
		c.plan.siteByName[s.Name] = id
	}
}

func (c *compiler) compileServices(specs []ServiceSpec) {
	p := &c.plan
	p.serviceByName = make(map[string]ServiceID, len(specs))
	total := 0
	for _, s := range specs {
		total += len(s.Endpoints)
	}
	p.endpoints = make([]Endpoint, 0, total)
	p.byName = make(map[string]EndpointID, total)
	for i, s := range specs {
		c.at(func() {
			c.checkName("service", s.Name)
			if _, twice := p.serviceByName[s.Name]; twice {
				c.problem(here, "service %q is declared twice", s.Name)
			}
			p.serviceByName[s.Name] = ServiceID(i)
			p.services = append(p.services, service{name: s.Name})
			names := make(map[string]bool, len(s.Endpoints))
			for k, e := range s.Endpoints {
				c.at(func() {
					c.checkEndpoint(e)
					if names[e.Name] {
						c.problem([]string{"name"}, "endpoint %q is in the service twice", e.Name)
					}
					names[e.Name] = true
					c.addEndpoint(ServiceID(i), e)
				}, "endpoints", strconv.Itoa(k))
			}
			p.services[i].makeLists(p.endpoints)
		}, "services", s.Name)
	}
}

// addEndpoint adds an endpoint to the tables, whatever was found wrong with it.
func (c *compiler) addEndpoint(id ServiceID, e EndpointSpec) {
	p := &c.plan
	s := &p.services[id]
	added := Endpoint{
		Name: s.name + "/" + e.Name, Service: id, Site: p.siteByName[e.Site],
		V4: e.V4, V6: e.V6, Host: e.Host, Text: e.Text, ALPN: slices.Clone(e.ALPN),
		Port: e.Port, Weight: e.Weight, Load: e.Load, Meta: maps.Clone(e.Meta),
	}
	at := EndpointID(len(p.endpoints))
	p.endpoints = append(p.endpoints, added)
	p.byName[added.Name] = at
	s.ids = append(s.ids, at)
}

// makeLists fills the lists of candidates. Most services have addresses of one kind and nothing else, so most lists are those of
// FamilyAny.
func (s *service) makeLists(endpoints []Endpoint) {
	for f := range Family(numFamilies) {
		n := 0
		for _, id := range s.ids {
			if f.has(&endpoints[id]) {
				n++
			}
		}
		switch {
		case n == 0:
			continue
		case f != FamilyAny && n == len(s.ids):
			s.lists[f] = s.lists[FamilyAny]
			continue
		}
		list := make([]candidate, 0, n)
		for _, id := range s.ids {
			if e := &endpoints[id]; f.has(e) {
				list = append(list, candidate{id: id, weight: e.Weight, site: e.Site})
			}
		}
		s.lists[f] = list
	}
}

// has reports whether an endpoint is of the family.
func (f Family) has(e *Endpoint) bool {
	switch f {
	case FamilyAny:
		return true
	case FamilyV4:
		return e.V4.IsValid()
	case FamilyV6:
		return e.V6.IsValid()
	case FamilyAddress:
		return e.HasAddress()
	case FamilyHost:
		return e.Host != ""
	case FamilyTarget:
		return e.HasAddress() || e.Host != ""
	}
	if f == FamilyServer {
		return e.Host != "" && e.Port != 0
	}
	return f == FamilyText && e.Text != ""
}

func (c *compiler) compilePolicies(specs []PolicySpec) {
	p := &c.plan
	p.policyByName = make(map[string]PolicyID, len(specs)+1)
	p.picks = []selection{{}}
	c.specs = make(map[string]PolicySpec, len(specs)+1)
	c.specs[DefaultPolicy] = PolicySpec{Name: DefaultPolicy, Stages: []StageSpec{Healthy{}, Weighted{}}}
	for _, s := range specs {
		c.specs[s.Name] = s
	}
	gc := newGeoCompiler(&p.frame, ruledRegions(specs), c.measuresOf(specs))
	add := func(s PolicySpec) {
		c.at(func() {
			c.checkName("policy", s.Name)
			if _, twice := p.policyByName[s.Name]; twice {
				c.problem(here, "policy %q is declared twice", s.Name)
			}
			if len(s.Stages) == 0 {
				c.problem(here, "policy %q has no stage: it needs one at least, such as healthy", s.Name)
			}
			p.policyByName[s.Name] = PolicyID(len(p.policies))
			p.policies = append(p.policies, c.compileChain(gc, s))
		}, "policies", s.Name)
	}
	for _, s := range specs {
		add(s)
	}
	if _, ok := p.policyByName[DefaultPolicy]; !ok {
		add(c.specs[DefaultPolicy])
	}
	c.settleReferrals()
}
