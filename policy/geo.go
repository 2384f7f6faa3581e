package policy

import (
	"fmt"
	"maps"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
)

// geo is the compiled Geo or Latency stage. Everything that a client's place can lead to is an outcome: a rank for each site.
type geo struct {
	spec     Geo
	latency  *Latency // instead of spec; nil: it is a Geo stage
	position int      // among the geo stages of the frame
	wide     int      // position of the same stage without a horizon
	horizon  int      // how many of the endpoints that come first can get into an answer; 0: all
	atlas    *atlas
	outcomes []uint32 // by cause of the atlas
	ranks    []uint16 // outcome o ranks site s by ranks[o*stride+s]
	cuts     []cut    // by outcome; nil: none drops anything
	places   []uint16 // of sites, as ranks, if there are cuts: see rankRow
	known    dropping // what the stages before can have dropped, if there are cuts
	nowhere  bool     // what becomes of endpoints at no site depends on the client too
	stride   int      // length of an outcome: number of sites, NoSite included
	shift    uint     // bits a rank takes
}

func (g *geo) name() string {
	if g.latency != nil {
		return g.latency.stageName()
	}
	return g.spec.stageName()
}

func (g *geo) run(s *Scratch) {
	outcome, scope := g.locate(&s.client, g.view(s))
	s.scope = max(s.scope, scope)
	at := int(outcome) * g.stride
	row := g.ranks[at : at+g.stride]
	if g.cuts != nil && g.cuts[outcome].cuts() {
		g.cuts[outcome].apply(s, g.places[at:at+g.stride])
	}
	spread := rankAll(s.live, row, g.shift)
	if spread {
		s.because(ReasonGeo)
	}
	if len(s.lost) > 0 {
		rankAll(s.lost, row, g.shift)
		spread = true // perhaps
	}
	s.ranked = s.ranked || spread
	s.settled = 0
}

// scope returns the scope of the stage's outcome for the client.
func (g *geo) scope(s *Scratch) uint8 {
	_, scope := g.locate(&s.client, g.view(s))
	return scope
}

// view returns what the service in question can tell of the outcomes. An asker who says how many it wants does not care for take stages.
func (g *geo) view(s *Scratch) *view {
	if s.want > 0 {
		return s.views[g.wide]
	}
	return s.views[g.position]
}

// rankAll refines the rank of each candidate by that of its site, and reports whether they differ in it.
func rankAll(list []candidate, row []uint16, shift uint) bool {
	differ := uint32(0)
	first := ^uint32(0)
	for i := range list {
		c := &list[i]
		r := uint32(row[c.site])
		c.rank = c.rank<<shift | r
		if i == 0 {
			first = r
		}
		differ |= r ^ first
	}
	return differ != 0
}

// locate returns the outcome for a client and the prefix length for which those whose view it is cannot tell the outcome from any
// other there; 0 = everywhere.
func (g *geo) locate(c *client, v *view) (outcome uint32, scope uint8) {
	at := uint32(0) // nowhere
	switch c.kind {
	case clientV4:
		t := &g.atlas.v4
		r, value := t.find(c.v4)
		if v.varies {
			scope = v.scope(t.scope(c.v4, r, v.v4), c.mapped)
		}
		at = value
	case clientV6:
		t := &g.atlas.v6
		r, value := t.find(c.v6)
		if v.varies {
			scope = v.scope(t.scope(c.v6, r, v.v6), false)
		}
		at = value
	case clientSite:
		if int(c.site) < g.stride {
			at = uint32(c.site)
		}
	}
	return g.outcomes[at], scope
}

// A geoCompiler builds the geo stages of a frame.
type geoCompiler struct {
	*frame
	ruled    map[string]bool   // regions that rules are for
	measures []target          // ways in which targets measure distances
	atlases  map[string]*atlas // by a stage's own networks
	byKey    map[string]*geo
}

func newGeoCompiler(f *frame, ruled map[string]bool, measures []target) *geoCompiler {
	return &geoCompiler{frame: f, ruled: ruled, measures: measures, atlases: map[string]*atlas{}, byKey: map[string]*geo{}}
}

// atlas returns the atlas for a stage's own networks, which are sorted.
func (gc *geoCompiler) atlas(own []netip.Prefix) *atlas {
	key := fmt.Sprint(own)
	if a := gc.atlases[key]; a != nil {
		return a
	}
	var a *atlas
	if len(own) == 0 {
		a = gc.whole()
	} else {
		a = gc.atlas(nil).under(own)
	}
	gc.atlases[key] = a
	return a
}

// compile builds a stage, or returns that of an equal Spec, horizon and what is known. targets is parallel to spec.Rules, with that of
// spec.Default at the end.
func (gc *geoCompiler) compile(spec Geo, targets []target, horizon int, known dropping) *geo {
	cuts := slices.ContainsFunc(targets, func(to target) bool { return cutOf(&to).cuts() })
	if !cuts {
		known = dropsNothing // it makes no difference
	}
	rest := slices.ContainsFunc(targets, func(to target) bool { return to.rest })
	return gc.stage(keyOf(spec, known, rest), horizon, func() *geo {
		g := gc.geo(spec, targets, cuts)
		g.known, g.nowhere = known, cuts || rest
		return g
	})
}

// stage returns the stage of a key and horizon, which build makes if it is not there yet; without a horizon.
func (gc *geoCompiler) stage(key string, horizon int, build func() *geo) *geo {
	full := fmt.Sprint(horizon, " ", key)
	if g := gc.byKey[full]; g != nil {
		return g
	}
	position := len(gc.stages)
	var g *geo
	if horizon > 0 {
		near := *gc.stage(key, 0, build)
		position = len(gc.stages)
		near.position, near.horizon = position, horizon
		g = &near
	} else {
		g = build()
		g.position, g.wide = position, position
	}
	gc.stages = append(gc.stages, g)
	gc.byKey[full] = g
	return g
}

// geo builds a geo stage; cuts says that some of its targets drop endpoints.
func (gc *geoCompiler) geo(spec Geo, targets []target, cuts bool) *geo {
	byRegion, byNetwork := map[string]int{}, map[netip.Prefix]int{}
	for i, r := range spec.Rules {
		if r.Region != "" {
			byRegion[RegionName(r.Region)] = i
		} else {
			byNetwork[r.Prefix] = i
		}
	}
	own := slices.SortedFunc(maps.Keys(byNetwork), netip.Prefix.Compare)
	g := &geo{spec: spec, atlas: gc.atlas(own)}
	g.fill(gc.frame, cuts, func(c cause) *target {
		if c.network != noNetwork {
			return &targets[byNetwork[own[c.network]]]
		}
		for region := range gc.places[c.place].regions.all() {
			if r, ok := byRegion[region]; ok {
				return &targets[r]
			}
		}
		return &targets[len(spec.Rules)]
	})
	return g
}

// fill makes the outcomes of the causes of the stage's atlas, by their targets; cuts says that some of these drop endpoints.
func (g *geo) fill(f *frame, cuts bool, targetOf func(cause) *target) {
	g.stride, g.shift = len(f.sites), rankBits(len(f.sites))
	byRow := map[string]uint32{}
	var text []byte
	g.outcomes = make([]uint32, len(g.atlas.causes))
	for i, c := range g.atlas.causes {
		to := targetOf(c)
		row, places := rankRow(f.sites, *to, f.places[c.place])
		cut := cutOf(to)
		text = appendRow(text[:0], row)
		if cut.cuts() {
			text = appendRow(fmt.Append(text, cut), places)
		}
		o, ok := byRow[string(text)]
		if !ok {
			o = uint32(len(byRow))
			byRow[string(text)] = o
			g.ranks = append(g.ranks, row...)
			if cuts {
				g.cuts, g.places = append(g.cuts, cut), append(g.places, places...)
			}
		}
		g.outcomes[i] = o
	}
}

func appendRow(text []byte, row []uint16) []byte {
	for _, x := range row {
		text = append(text, byte(x), byte(x>>8))
	}
	return text
}

// keyOf returns what two stages share if they are the same.
func keyOf(spec Geo, known dropping, rest bool) string {
	key := fmt.Append(nil, "geo ", known, rest, spec.Default) // names of sites have no blanks; those of regions may
	for _, r := range spec.Rules {
		key = fmt.Appendf(key, " %q %v %v", r.Region, r.Prefix, r.To)
	}
	return string(key)
}

// rankBits returns the bits that the rank of one of n sites, NoSite included, takes.
func rankBits(n int) uint { return uint(bits.Len(uint(n - 1))) }

// ruleOf returns the rule that governs a client at a place, as explain shows it: its key in the configuration and its target.
func (g *geo) ruleOf(addr netip.Addr, at place) (key string, to GeoTarget) {
	best := -1
	for i, r := range g.spec.Rules {
		if r.Region == "" && addr.IsValid() && r.Prefix.Contains(addr) && (best < 0 || r.Prefix.Bits() > g.spec.Rules[best].Prefix.Bits()) {
			best = i
		}
	}
	if best >= 0 {
		return g.spec.Rules[best].Prefix.String(), g.spec.Rules[best].To
	}
	for region := range at.regions.all() {
		for _, r := range g.spec.Rules {
			if r.Region != "" && RegionName(r.Region) == region {
				return r.Region, r.To
			}
		}
	}
	return "default", g.spec.Default
}

func (g *geo) explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) {
	if g.latency != nil {
		g.explainLatency(p, s, t)
	} else {
		g.explainRule(s, t)
	}
	_, t.Scope = g.locate(&s.client, g.view(s))
	for i := range t.Kept {
		k := &t.Kept[i]
		rank := int(k.rank & (1<<g.shift - 1))
		k.Rank = &rank
		if id, ok := p.SiteByName(k.Site); ok && s.rec.place.known && p.sites[id].known {
			km := distance(s.rec.place.at, p.sites[id].at) / 1000
			k.Km = &km
		}
	}
}

// explainRule says which rule governs the client, and what it drops.
func (g *geo) explainRule(s *Scratch, t *StageTrace) {
	key, to := g.ruleOf(s.rec.addr, s.rec.place)
	t.Rule = key
	t.Note = fmt.Sprintf("rule %s: %s", key, to)
	if to.Nearest && !s.rec.place.known && s.rec.place.site == NoSite {
		t.Note += ", but the client's place is unknown: the order of the sites"
	}
	for i := range t.Dropped {
		t.Dropped[i].Why = "outside the fence"
		if !to.Fence {
			t.Dropped[i].Why = "at none of the nearest " + plural(to.Limit, "site")
		}
	}
	if g.cuts != nil && to.Fence && slices.ContainsFunc(t.Kept, func(c CandidateTrace) bool { return c.Returned }) {
		t.Note += ": nothing inside is up, so what is there counts as up"
	}
}

// String returns a target in words, as "eu-west, us-east, fenced" or "nearest, within 5 %, the first 2 sites".
func (t GeoTarget) String() string {
	words := t.Sites
	if t.Nearest {
		words = []string{"nearest"}
	}
	words = slices.Clone(words)
	if t.Within > 0 {
		words = append(words, fmt.Sprintf("within %.4g %%", 100*t.Within))
	}
	if t.Limit > 0 {
		words = append(words, "the first "+plural(t.Limit, "site"))
	}
	for _, b := range t.Bias {
		words = append(words, fmt.Sprintf("%s biased by %+d", b.Site, b.Bias))
	}
	if t.Fence {
		words = append(words, "fenced")
	}
	return strings.Join(words, ", ")
}

// plural returns a number of things.
func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}
