package registry

import (
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/l7edge/route"
	"github.com/meridian-gslb/meridian/policy"
)

// A Compiled is a Definition in which everything was checked, ready to be applied. It never changes. Of the Definition it keeps the
// services alone: a million records or networks are there once, compiled.
type Compiled struct {
	declared []policy.ServiceSpec
	plan     *policy.Plan // of the file's endpoints alone
	zones    *zone.Set
	routes   *route.Table
	probed   map[string]bool // by service
}

// Compile checks a Definition as a whole. It returns every problem found, or a Compiled whose application cannot fail. The
// services of the Definition must not be changed afterwards.
func Compile(d Definition) (*Compiled, []policy.Problem) {
	problems := checkSizes(d)
	plan, found := policy.Compile(d.Policy)
	problems = append(problems, found...)
	zones, found := zone.Compile(d.Zones, plan, d.Views...) // without a plan, all but the names of services and policies is checked
	problems = append(problems, found...)
	routes, found := route.Compile(d.Routes, plan)
	problems = append(problems, found...)
	if len(problems) > 0 {
		return nil, problems
	}
	probed := make(map[string]bool, len(d.Probed))
	for _, service := range d.Probed {
		probed[service] = true
	}
	return &Compiled{declared: d.Policy.Services, plan: plan, zones: zones, routes: routes, probed: probed}, nil
}

// Plan returns the Plan of the file's own endpoints, without what sources publish.
func (c *Compiled) Plan() *policy.Plan { return c.plan }

// Zones returns the zones of the file.
func (c *Compiled) Zones() *zone.Set { return c.zones }

// Routes returns the routes of the file.
func (c *Compiled) Routes() *route.Table { return c.routes }
