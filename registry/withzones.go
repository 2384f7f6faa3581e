package registry

import (
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
)

// WithZones returns a Compiled of the same Definition, with the same views, and with other zones, or every problem with them. The zones of which same is true
// are as they were. They and what has nothing to do with zones are shared, and cost nothing, however large they are: the way to
// follow zone files.
func (c *Compiled) WithZones(zones []zone.Spec, same []bool) (*Compiled, []policy.Problem) {
	set, problems := zone.Recompile(c.zones, zones, same, c.plan)
	if len(problems) > 0 {
		return nil, problems
	}
	with := *c
	with.zones = set
	return &with, nil
}
