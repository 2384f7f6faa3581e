package registry

import (
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
)

// WithZones returns a Compiled of the same Definition with other zones, or every problem with them. What has nothing to do with zones
// is shared, and costs nothing, however large it is: the way to follow zone files.
func (c *Compiled) WithZones(zones []zone.Spec) (*Compiled, []policy.Problem) {
	set, problems := zone.Compile(zones, c.plan)
	if len(problems) > 0 {
		return nil, problems
	}
	with := *c
	with.zones = set
	return &with, nil
}
