package policy

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
)

// A network is a compiled NetworkSpec.
type network struct {
	prefix netip.Prefix
	place  place
}

// geo is the compiled Geo stage. Everything that a client's address can lead to is an outcome: a rank for each site. The tables
// hold the outcome of every address, merged into the largest ranges, so one search yields both the ranks and the exact scope.
type geo struct {
	spec   Geo
	stride int      // length of an outcome: number of sites, NoSite included
	shift  uint     // bits a rank takes
	ranks  []uint16 // outcome o ranks site s by ranks[o*stride+s]
	v4     table4
	v6     table6
	from   []uint32 // outcome of a client at a site, by SiteID; the first is that of a client whose place is unknown
}

func (*geo) name() string { return Geo{}.stageName() }

func (g *geo) run(s *Scratch) {
	outcome, scope := g.locate(&s.client)
	s.scope = max(s.scope, scope)
	at := int(outcome) * g.stride
	row := g.ranks[at : at+g.stride]
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

// locate returns the outcome for a client and the prefix length that it holds for, 0 = everywhere.
func (g *geo) locate(c *client) (outcome uint32, scope uint8) {
	switch c.kind {
	case clientV4:
		outcome, scope = g.v4.find(c.v4)
		if c.mapped && (scope > 0 || len(g.v6.starts) > 1 || g.v6.outcomes[0] != outcome) {
			scope += 96
		}
		return outcome, scope
	case clientV6:
		return g.v6.find(c.v6)
	case clientSite:
		if int(c.site) < len(g.from) {
			return g.from[c.site], 0
		}
	}
	return g.from[NoSite], 0
}

// A geoCompiler builds geo stages over one set of sites and networks.
type geoCompiler struct {
	sites  []site
	places []place // by SiteID those of sites, the first being nowhere; then those of networks
	v4, v6 []span  // values are positions in places
}

// newGeoCompiler flattens the networks.
func newGeoCompiler(sites []site, networks []network) *geoCompiler {
	gc := &geoCompiler{sites: sites}
	seen := map[place]int{}
	for i, s := range sites {
		gc.places = append(gc.places, s.place)
		seen[s.place] = i
	}
	var prefixes [2][]netip.Prefix
	var values [2][]int
	for _, n := range networks {
		at, ok := seen[n.place]
		if !ok {
			at = len(gc.places)
			seen[n.place] = at
			gc.places = append(gc.places, n.place)
		}
		f := familyIndex(n.prefix)
		prefixes[f] = append(prefixes[f], n.prefix)
		values[f] = append(values[f], at)
	}
	gc.v4 = flatten(prefixes[0], values[0], 0, lastV4)
	gc.v6 = flatten(prefixes[1], values[1], 0, lastV6)
	return gc
}

// familyIndex returns 0 for IPv4, 1 for IPv6.
func familyIndex(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}

// compile builds a stage. targets is parallel to spec.Rules, with that of spec.Default at the end.
func (gc *geoCompiler) compile(spec Geo, targets []target) *geo {
	g := &geo{spec: spec, stride: len(gc.sites), shift: rankBits(len(gc.sites))}
	byRegion := map[string]int{}
	var prefixes [2][]netip.Prefix
	var values [2][]int
	for i, r := range spec.Rules {
		if r.Region != "" {
			byRegion[r.Region] = i
			continue
		}
		f := familyIndex(r.Prefix)
		prefixes[f] = append(prefixes[f], r.Prefix)
		values[f] = append(values[f], i)
	}

	const noRule = -1
	type cause struct{ place, rule int }
	byCause := map[cause]uint32{}
	byRow := map[string]uint32{}
	var key []byte
	outcome := func(at, rule int) uint32 {
		if rule == noRule {
			rule = len(spec.Rules)
			if r, ok := byRegion[gc.places[at].region]; ok {
				rule = r
			}
		}
		if o, ok := byCause[cause{at, rule}]; ok {
			return o
		}
		row := rankRow(gc.sites, targets[rule], gc.places[at])
		key = key[:0]
		for _, rank := range row {
			key = append(key, byte(rank), byte(rank>>8))
		}
		o, ok := byRow[string(key)]
		if !ok {
			o = uint32(len(byRow))
			byRow[string(key)] = o
			g.ranks = append(g.ranks, row...)
		}
		byCause[cause{at, rule}] = o
		return o
	}

	overlay(gc.v4, flatten(prefixes[0], values[0], noRule, lastV4), func(start u128, at, rule int) { g.v4.add(start, outcome(at, rule)) })
	overlay(gc.v6, flatten(prefixes[1], values[1], noRule, lastV6), func(start u128, at, rule int) { g.v6.add(start, outcome(at, rule)) })
	g.v4.seal()
	g.v6.seal()

	g.from = make([]uint32, len(gc.sites))
	for id := range gc.sites {
		g.from[id] = outcome(id, noRule)
	}
	return g
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
	for _, r := range g.spec.Rules {
		if r.Region != "" && r.Region == at.region {
			return r.Region, r.To
		}
	}
	return "default", g.spec.Default
}

func (g *geo) explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) {
	key, to := g.ruleOf(s.rec.addr, s.rec.place)
	want := "nearest"
	if !to.Nearest {
		want = strings.Join(to.Sites, ", ")
	}
	t.Rule = key
	t.Note = fmt.Sprintf("rule %s: %s", key, want)
	if to.Nearest && !s.rec.place.known && s.rec.place.site == NoSite {
		t.Note += ", but the client's place is unknown: the order of the sites"
	}
	_, t.Scope = g.locate(&s.client)
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
