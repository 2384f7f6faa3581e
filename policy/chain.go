package policy

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxStages bounds the stages of a policy with all that its branches refer to.
const maxStages = 1000

// A chainCompiler compiles the chain of one policy, and those inside it.
type chainCompiler struct {
	*compiler
	gc    *geoCompiler
	draws uint64 // stages so far that draw: each gets dice of its own
	count int    // stages so far
	chain chain
}

// surroundings are what a chain is in.
type surroundings struct {
	policies []string // that lead here, the outermost first
	pick     uint32   // selection of sites
	ranked   bool     // a geo stage came before
	geos     int      // how many
	inside   bool     // it is the chain of a branch
	drops    dropping // what was dropped before
	after    []StageSpec
}

// compileChain checks the stages of a policy and compiles them.
func (c *compiler) compileChain(gc *geoCompiler, s PolicySpec) chain {
	cc := &chainCompiler{compiler: c, gc: gc, chain: chain{name: s.Name}}
	in := surroundings{policies: []string{s.Name}}
	cc.chain.stages, _ = cc.stages(&in, s.Stages)
	return cc.chain
}

// stages compiles the stages of a chain, and returns those that depend on the client too. What it finds of ranks is added to in.
func (c *chainCompiler) stages(in *surroundings, specs []StageSpec) (stages []stage, depend []scoped) {
	add := func(st stage) { stages = append(stages, st) }
	for i, spec := range specs {
		if c.count++; c.count > maxStages {
			if c.count == maxStages+1 {
				c.problem(here, "the policy, with what its branches refer to, has more than %d stages", maxStages)
			}
			break
		}
		next := specs[i+1:]
		c.at(func() {
			switch spec := spec.(type) {
			case Healthy:
				c.chain.health, c.chain.looks = true, true
				in.drops = max(in.drops, dropsDown)
				add(c.compileHealthy(spec))
			case Geo:
				if st := c.geo(in, spec, specs[:i], next); st != nil {
					depend = append(depend, scoped{st, in.pick})
					add(st)
				}
			case Latency:
				if st := c.latency(in, spec, specs[:i], next); st != nil {
					depend = append(depend, scoped{st, in.pick})
					add(st)
				}
			case Failover:
				if len(spec.Branches) > 0 {
					if spec.Order != nil {
						c.problem([]string{spec.stageName()}, "branches are tried in their own order")
					}
					st, inner := c.tree(in, spec.stageName(), spec.Branches, next)
					depend = append(depend, inner...)
					add(st)
					break
				}
				c.chain.health = true
				if len(spec.Sites) == 0 && spec.Order == nil && !in.ranked {
					c.problem([]string{spec.stageName()}, "failover needs to know what goes first: list its sites, or put a geo stage before it")
				}
				st := c.compileFailover(spec)
				if spec.Order != nil {
					if st.order = c.order(in, *spec.Order); st.order != nil {
						depend = append(depend, scoped{st.order, in.pick})
					}
				}
				if st.trickle > 0 {
					st.salt = c.salt()
				}
				add(st)
			case Weighted:
				if spec.Grouped && (spec.Multi || len(spec.Branches) > 0) {
					c.problem([]string{spec.stageName()}, "groups are drawn of endpoints, one after the other: neither multi nor branches have any")
				}
				switch {
				case len(spec.Branches) > 0:
					salt := c.salt()
					st, inner := c.tree(in, spec.stageName(), spec.Branches, next)
					st.drawn, st.salt = true, salt
					depend = append(depend, inner...)
					add(st)
				case spec.Multi:
					add(multi{salt: c.salt()})
				case spec.Grouped:
					c.checkShared(spec.stageName(), spec.By)
					add(grouped{c.weighted(in, spec.stageName(), next), onePer{spec.By}})
				default:
					add(c.weighted(in, spec.stageName(), next))
				}
			case Shuffle:
				st := c.weighted(in, spec.stageName(), next)
				st.even = true
				add(st)
			case Sticky:
				w := weightedBefore(append(slices.Clone(next), in.after...))
				if !(spec.Bound == 0 || spec.Bound > 1 && spec.Bound <= MaxBound) { // so that NaN is refused
					c.problem([]string{spec.stageName(), "bound"}, "bound %v is out of range: want more than 1, at most %d", spec.Bound, MaxBound)
				}
				st := sticky{w.limit, w.last, uint64(math.Round(spec.Bound * 1000))}
				depend = append(depend, scoped{st, in.pick})
				add(st)
			case OnePer:
				c.checkShared(spec.stageName(), spec.By)
				add(onePer{spec.By})
			case Canary:
				st := c.compileCanary(spec)
				depend = append(depend, scoped{st, in.pick})
				add(st)
			case Shed:
				c.chain.health = true
				st := c.compileShed(spec)
				depend = append(depend, scoped{st, in.pick})
				in.ranked = true
				add(st)
			case Schedule:
				add(c.compileSchedule(spec))
			case Take:
				if spec.N <= 0 {
					c.problem([]string{spec.stageName()}, "take %d keeps nothing: want 1 or more", spec.N)
				}
				add(take{spec.N})
			case nil:
				c.problem(here, "this stage is empty")
			default:
				c.problem(here, "stage %T is not known", spec)
			}
			if drops(spec) {
				in.drops = dropsAny
			}
		}, strconv.Itoa(i))
	}
	return stages, depend
}

// drops reports whether a stage may drop endpoints for another reason than their health.
func drops(spec StageSpec) bool {
	switch spec := spec.(type) {
	case Healthy, Latency, Shuffle, Sticky:
		return false
	case Weighted:
		return spec.Multi || len(spec.Branches) > 0
	case Geo:
		for _, r := range spec.Rules {
			if r.To.Limit > 0 || r.To.Fence {
				return true
			}
		}
		return spec.Default.Limit > 0 || spec.Default.Fence
	}
	return true
}

// salt returns what tells the dice of a stage from those of the others.
func (c *chainCompiler) salt() uint64 {
	c.draws++
	return (c.draws - 1) * 0xd1342543de82ef95
}

// weighted returns a weighted stage before others.
func (c *chainCompiler) weighted(in *surroundings, name string, next []StageSpec) weighted {
	st := weightedBefore(append(slices.Clone(next), in.after...))
	st.kind, st.salt = name, c.salt()
	return st
}

// geo compiles a geo stage between others; it returns nil if there are problems.
func (c *chainCompiler) geo(in *surroundings, spec Geo, before, next []StageSpec) *geo {
	return c.ranked(in, before, next, func(horizon int) *geo {
		return c.compileGeo(c.gc, spec, []string{spec.stageName()}, horizon, in.drops, false)
	})
}

// ranked has a stage that ranks by where the client is compiled, for its horizon between others; compile returns nil if there are problems.
func (c *chainCompiler) ranked(in *surroundings, before, next []StageSpec, compile func(horizon int) *geo) *geo {
	in.geos++
	if in.geos*int(rankBits(len(c.gc.sites))) > 31 {
		c.problem(here, "too many geo stages for %d sites", len(c.gc.sites)-1)
	}
	in.ranked = true
	horizon := 0
	if !in.inside {
		horizon = horizonOf(before, next)
	}
	st := compile(horizon)
	if st != nil && c.chain.geo == nil && !in.inside {
		c.chain.geo = st
	}
	return st
}

// order compiles what the groups of a failover stage depend on; it returns nil if there are problems.
func (c *chainCompiler) order(in *surroundings, spec Geo) *geo {
	if drops(spec) {
		c.problem([]string{"failover", "order"}, "failover keeps one group, and needs no limit and no fence: put them into a geo stage before it")
	}
	return c.compileGeo(c.gc, spec, []string{"failover", "order"}, 0, in.drops, true)
}

// checkShared checks what endpoints share.
func (c *compiler) checkShared(stage string, by Shared) {
	if by > SharedSubnet {
		c.problem([]string{stage}, "there is nothing number %d that endpoints share", by)
	}
}

// compileShed checks a shed stage and compiles it.
func (c *compiler) compileShed(spec Shed) *shed {
	for _, x := range []struct {
		name string
		mark float64
	}{{"low", spec.Low}, {"high", spec.High}} {
		if !(x.mark >= 0 && x.mark <= 1) { // so that NaN is refused
			c.problem([]string{spec.stageName(), x.name}, "%s %v is out of range: want 0 to 1", x.name, x.mark)
		}
	}
	if spec.Low >= spec.High {
		c.problem([]string{spec.stageName()}, "low %v has to be less than high %v", spec.Low, spec.High)
	}
	return &shed{LoadOf(spec.Low), LoadOf(spec.High)}
}

// compileHealthy checks a healthy stage and compiles it.
func (c *compiler) compileHealthy(spec Healthy) healthy {
	if !(spec.Threshold >= 0 && spec.Threshold <= 1) { // so that NaN is refused
		c.problem([]string{spec.stageName(), "threshold"}, "threshold %v is out of range: want 0 to 1", spec.Threshold)
	}
	if spec.Min < 0 {
		c.problem([]string{spec.stageName(), "min"}, "min %d is negative", spec.Min)
	}
	if spec.Closed && (spec.Threshold > 0 || spec.Min > 0) {
		c.problem([]string{spec.stageName()}, "a stage that fails closed keeps what is up, however little: it has no threshold and no min")
	}
	return healthy(spec)
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
		if w, ok := spec.(Weighted); !ok || w.Multi || len(w.Branches) > 0 {
			return 0
		}
	}
	for _, spec := range after {
		switch spec := spec.(type) {
		case Take:
			return max(0, spec.N)
		case Weighted, Geo, Latency, Shuffle, Sticky:
			if drops(spec) {
				return 0
			}
		default:
			return 0
		}
	}
	return 0
}

// compileGeo checks a geo stage, which stands somewhere below the current path, and compiles it; it returns nil once there are problems, as nothing will
// come of it. rest says that what a target does not list shares a rank.
func (c *compiler) compileGeo(gc *geoCompiler, spec Geo, where []string, horizon int, known dropping, rest bool) *geo {
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
				name := RegionName(r.Region)
				if regions[name] {
					c.problem(here, "there are two rules for region %q", r.Region)
				}
				regions[name] = true
				c.checkRuleRegion(name)
			case c.checkPrefix(r.Prefix):
				if prefixes[r.Prefix] {
					c.problem(here, "there are two rules for network %s", r.Prefix)
				}
				prefixes[r.Prefix] = true
			}
			targets = append(targets, c.compileTarget(r.To))
		}, append(slices.Clone(where), key)...)
	}
	if !spec.Default.Nearest && len(spec.Default.Sites) == 0 {
		c.problem(where, "%s needs a default: a site, a list of sites, or nearest", strings.Join(where, " "))
	} else {
		c.at(func() { targets = append(targets, c.compileTarget(spec.Default)) }, append(slices.Clone(where), "default")...)
	}
	if len(c.problems) > 0 {
		return nil
	}
	for i := range targets {
		targets[i].rest = rest && !targets[i].nearest
	}
	return gc.compile(cloneGeo(spec), targets, horizon, known)
}

// cloneGeo returns a copy that shares nothing with its argument.
func cloneGeo(g Geo) Geo {
	g.Rules = slices.Clone(g.Rules)
	for i := range g.Rules {
		g.Rules[i].To = g.Rules[i].To.clone()
	}
	g.Default = g.Default.clone()
	return g
}

func (t GeoTarget) clone() GeoTarget {
	t.Sites, t.Bias = slices.Clone(t.Sites), slices.Clone(t.Bias)
	return t
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
	if !(t.Within >= 0 && t.Within <= 1) { // so that NaN is refused
		c.problem([]string{"within"}, "within %v is out of range: want 0 to 1", t.Within)
	}
	if t.Limit < 0 {
		c.problem([]string{"limit"}, "limit %d keeps nothing: want 1 or more", t.Limit)
	}
	if !t.Nearest && len(t.Sites) > 0 && (t.Within != 0 || t.Limit != 0 || len(t.Bias) > 0) {
		c.problem(here, "within, limit and bias are for nearest, and the target lists its sites")
	}
	if t.Fence && t.Nearest && t.Limit == 0 {
		c.problem([]string{"fence"}, "a fence needs to know what is inside: a list of sites, or the limit of the nearest")
	}
	to := target{nearest: t.Nearest, sites: c.compileSiteList(t.Sites), within: t.Within, limit: t.Limit, fence: t.Fence}
	c.at(func() { to.bias = c.compileBias(t.Bias) }, "bias")
	return to
}

// compileBias checks what makes sites seem nearer or farther, and returns it by SiteID.
func (c *compiler) compileBias(list []SiteBias) []int {
	if len(list) == 0 {
		return nil
	}
	bias, seen := make([]int, len(c.plan.sites)), map[string]bool{}
	for _, b := range list {
		at := []string{b.Site}
		id, ok := c.plan.siteByName[b.Site]
		switch {
		case !ok:
			c.problem(at, "there is no site %q", b.Site)
		case seen[b.Site]:
			c.problem(at, "site %q is listed twice", b.Site)
		case !c.plan.sites[id].known:
			c.problem(at, "site %q has no coordinates, so it has no distance either", b.Site)
		case b.Bias < -MaxBias || b.Bias > MaxBias:
			c.problem(at, "bias %d is out of range: want %d to %d", b.Bias, -MaxBias, MaxBias)
		default:
			bias[id] = b.Bias
		}
		seen[b.Site] = true
	}
	return bias
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
	if !(spec.Trickle >= 0 && spec.Trickle <= 0.5) {
		c.problem([]string{spec.stageName(), "trickle"}, "trickle %v is out of range: want 0 to 0.5", spec.Trickle)
	} else {
		st.trickle = uint64(spec.Trickle * (1 << 32))
	}
	c.at(func() {
		ids := c.compileSiteList(spec.Sites)
		if len(ids) == 0 {
			return
		}
		if spec.Order != nil {
			c.problem(here, "failover has a list of sites, or an order that depends on the client, not both")
		}
		st.groupOf = make([]uint16, len(c.plan.sites))
		for i := range st.groupOf {
			st.groupOf[i] = uint16(len(ids)) // elsewhere
		}
		for i, id := range ids {
			st.groupOf[id] = uint16(i)
		}
	}, spec.stageName())
	return st
}
