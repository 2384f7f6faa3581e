package zone

import (
	"bytes"

	"github.com/meridian-gslb/meridian/policy"
)

// Recompile is Compile for Specs of which some, those that same says true of, are what zones of a Set were compiled from: these zones
// are taken over, and cost next to nothing however large they are. The plan must have the services and policies of the Set's, in
// their order.
//
// What they say of names in other zones is checked again, as these may have changed. The views are those of the Set.
func Recompile(was *Set, specs []Spec, same []bool, plan *policy.Plan) (*Set, []policy.Problem) {
	kept := make([]*Zone, len(specs))
	for i := range specs {
		if !same[i] {
			continue
		}
		if apex, err := parseName(specs[i].Name); err == nil {
			seen, ok := was.View(specs[i].View)
			if z := seen.Zone(apex); ok && z != nil && bytes.Equal(z.apex, apex) && z.view == specs[i].View {
				kept[i] = z
			}
		}
	}
	var views []ViewSpec
	if was != nil {
		views = was.specs
	}
	return compileSet(specs, plan, views, kept)
}

// keep is draft for a zone that is there already.
func (c *compiler) keep(spec *Spec, z *Zone) *draft {
	var d *draft
	if len(spec.Records) == 0 && len(spec.NS) == 0 {
		d = &draft{compiler: c, spec: spec, apex: z.apex}
		c.apexes[apexKey{spec.View, string(z.apex)}] = spec.Name
	} else {
		d = c.draft(spec)
	}
	if d != nil {
		d.zone = z
	}
	return d
}
