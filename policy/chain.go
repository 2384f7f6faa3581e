package policy

import (
	"net/netip"
	"slices"
	"strconv"
)

// compileChain checks the stages of a policy and compiles them.
func (c *compiler) compileChain(gc *geoCompiler, s PolicySpec) chain {
	ch := chain{name: s.Name}
	ranked := false
	geos, draws := 0, uint64(0)
	for i, spec := range s.Stages {
		c.at(func() {
			switch spec := spec.(type) {
			case Healthy:
				ch.health = true
				ch.stages = append(ch.stages, healthy{})
			case Geo:
				geos++
				if geos*int(rankBits(len(gc.sites))) > 31 {
					c.problem(here, "too many geo stages for %d sites", len(gc.sites)-1)
				}
				ranked = true
				if st := c.compileGeo(gc, spec, horizonOf(s.Stages[:i], s.Stages[i+1:])); st != nil {
					ch.stages = append(ch.stages, st)
					if ch.geo == nil {
						ch.geo = st
					}
				}
			case Failover:
				ch.health = true
				if len(spec.Sites) == 0 && !ranked {
					c.problem([]string{spec.stageName()}, "failover needs to know what goes first: list its sites, or put a geo stage before it")
				}
				ch.stages = append(ch.stages, c.compileFailover(spec))
			case Weighted:
				st := weightedBefore(s.Stages[i+1:])
				st.salt = draws * 0xd1342543de82ef95
				draws++
				ch.stages = append(ch.stages, st)
			case Take:
				if spec.N <= 0 {
					c.problem([]string{spec.stageName()}, "take %d keeps nothing: want 1 or more", spec.N)
				}
				ch.stages = append(ch.stages, take{spec.N})
			case nil:
				c.problem(here, "this stage is empty")
			default:
				c.problem(here, "stage %T is not known", spec)
			}
		}, strconv.Itoa(i))
	}
	return ch
}

// weightedBefore returns a weighted stage that orders no more than the stages after it look at.
func weightedBefore(next []StageSpec) weighted {
	st := weighted{last: true}
	for _, spec := range next {
		t, ok := spec.(Take)
		if !ok {
			return weighted{limit: st.limit}
		}
		if st.limit == 0 || t.N < st.limit {
			st.limit = t.N
		}
	}
	return st
}

// horizonOf returns how many of the endpoints that a geo stage puts first can get into an answer, whatever the health, by the stages
// before and after it; 0 if any can. Health and earlier ranks let any.
func horizonOf(before, after []StageSpec) int {
	for _, spec := range before {
		if _, ok := spec.(Weighted); !ok {
			return 0
		}
	}
	for _, spec := range after {
		switch spec := spec.(type) {
		case Take:
			return max(0, spec.N)
		case Healthy, Failover:
			return 0
		}
	}
	return 0
}

// compileGeo checks a geo stage and compiles it; it returns nil once there are problems, as nothing will come of it.
func (c *compiler) compileGeo(gc *geoCompiler, spec Geo, horizon int) *geo {
	targets := make([]target, 0, len(spec.Rules)+1)
	prefixes, regions := map[netip.Prefix]bool{}, map[string]bool{}
	for _, r := range spec.Rules {
		key := r.Region
		if r.Region == "" {
			key = r.Prefix.String()
		}
		c.at(func() {
			switch {
			case r.Region != "" && r.Prefix.IsValid():
				c.problem(here, "a rule has a network or a region, not both")
			case r.Region != "":
				if regions[r.Region] {
					c.problem(here, "there are two rules for region %q", r.Region)
				}
				regions[r.Region] = true
				if !c.regionExists(r.Region) {
					c.problem(here, "no site and no network is in region %q", r.Region)
				}
			case c.checkPrefix(r.Prefix):
				if prefixes[r.Prefix] {
					c.problem(here, "there are two rules for network %s", r.Prefix)
				}
				prefixes[r.Prefix] = true
			}
			targets = append(targets, c.compileTarget(r.To))
		}, "geo", key)
	}
	if !spec.Default.Nearest && len(spec.Default.Sites) == 0 {
		c.problem([]string{"geo"}, "geo needs a default: a site, a list of sites, or nearest")
	} else {
		c.at(func() { targets = append(targets, c.compileTarget(spec.Default)) }, "geo", "default")
	}
	if len(c.problems) > 0 {
		return nil
	}
	return gc.compile(cloneGeo(spec), targets, horizon)
}

// regionExists reports whether a site or a network is in a region.
func (c *compiler) regionExists(region string) bool {
	return slices.ContainsFunc(c.plan.places, func(p place) bool { return p.region == region })
}

// cloneGeo returns a copy that shares nothing with its argument.
func cloneGeo(g Geo) Geo {
	g.Rules = slices.Clone(g.Rules)
	for i := range g.Rules {
		g.Rules[i].To.Sites = slices.Clone(g.Rules[i].To.Sites)
	}
	g.Default.Sites = slices.Clone(g.Default.Sites)
	return g
}

// compileTarget checks a target at the current path and compiles it.
func (c *compiler) compileTarget(t GeoTarget) target {
	switch {
	case t.Nearest && len(t.Sites) > 0:
		c.problem(here, "the target is nearest or a list of sites, not both")
	case !t.Nearest && len(t.Sites) == 0:
		c.problem(here, "the target is empty: want a site, a list of sites, or nearest")
	case t.Nearest && !slices.ContainsFunc(c.plan.sites, func(s site) bool { return s.known }):
		c.problem(here, "nearest needs sites with coordinates, and none has them")
	}
	return target{nearest: t.Nearest, sites: c.compileSiteList(t.Sites)}
}

// compileSiteList looks names up, and reports those unknown or repeated at the current path.
func (c *compiler) compileSiteList(names []string) []SiteID {
	var ids []SiteID
	for i, name := range names {
		id, ok := c.plan.siteByName[name]
		switch {
		case !ok:
			c.problem(here, "there is no site %q", name)
		case slices.Contains(names[:i], name):
			c.problem(here, "site %q is listed twice", name)
		default:
			ids = append(ids, id)
		}
	}
	return ids
}

// compileFailover checks a failover stage and compiles it.
func (c *compiler) compileFailover(spec Failover) *failover {
	st := &failover{threshold: spec.Threshold}
	if spec.Threshold == 0 {
		st.threshold = defaultThreshold
	} else if !(spec.Threshold > 0 && spec.Threshold <= 1) { // so that NaN is refused
		c.problem([]string{spec.stageName(), "threshold"}, "threshold %v is out of range: want more than 0, at most 1", spec.Threshold)
	}
	c.at(func() {
		ids := c.compileSiteList(spec.Sites)
		if len(ids) == 0 {
			return
		}
		st.groupOf = make([]uint32, len(c.plan.sites))
		for i := range st.groupOf {
			st.groupOf[i] = uint32(len(ids)) // elsewhere
		}
		for i, id := range ids {
			st.groupOf[id] = uint32(i)
		}
	}, spec.stageName())
	return st
}
