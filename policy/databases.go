package policy

import (
	"net/netip"
	"slices"
)

// A grid is what the databases of a Spec say of every address, as far as the policies can tell it apart. Values are positions in
// frame.places.
type grid struct {
	v4 table4
	v6 table6
}

// whole returns the atlas without networks of a stage's own.
func (gc *geoCompiler) whole() *atlas {
	base := gc.compileTables()
	return newAtlas(gc.layers, base, len(gc.places))
}

// compileTables joins the databases, and adds the places that the policies can tell apart to the frame: no more of them than there are
// ways to put the sites in order by distance, times lists of regions that rules are for. Half a million cities become a few hundred.
func (gc *geoCompiler) compileTables() *grid {
	r := &reducer{frame: gc.frame, ruled: gc.ruled, measures: gc.measures, areas: map[area]uint32{{}: 0}, list: []area{{}}, orders: map[string]uint32{}, near: map[Point]uint32{},
		asns: map[uint32]uint32{0: 0}, said: map[said]uint32{{}: 0}, all: []said{{}}}
	g := &grid{}
	g.v4.add(u128{}, 0)
	g.v6.add(u128{}, 0)
	for _, t := range gc.tables {
		g = r.join(g, t)
	}
	places := make([]uint32, len(r.all)) // by what is said
	ids := map[place]uint32{{}: 0}
	for i, s := range r.all {
		at := r.place(s)
		id, ok := ids[at]
		if !ok {
			id = uint32(len(gc.places))
			ids[at] = id
			gc.places = append(gc.places, at)
		}
		places[i] = id
	}
	g.v4.renumber(places)
	g.v6.renumber(places)
	return g
}

// An area is what of a PlaceSpec's area matters. The zero area is that of a place that says nothing; that of one which says nothing that
// matters has said set.
type area struct {
	said    bool
	regions regions // those that rules are for
	order   uint32  // of the sites by distance, from 1; 0: the coordinates are unknown
}

// A said is what databases together say of an address, as far as it matters.
type said struct {
	area uint32 // position in reducer.list
	asn  uint32 // see reducer.asns
}

// A reducer numbers what databases say.
type reducer struct {
	*frame
	ruled    map[string]bool // regions that rules are for
	measures []target
	areas    map[area]uint32 // positions in list
	list     []area
	orders   map[string]uint32 // by the sites in their order
	points   []Point           // of each order, one at which it holds
	near     map[Point]uint32  // orders by point
	asns     map[uint32]uint32 // by number: 0 nothing is said, 1 none that rules are for, else its position in system + 2
	system   []uint32          // numbers of those that rules are for
	said     map[said]uint32   // positions in all
	all      []said
	key      []byte
}

// join returns a grid of what was said and, where that is silent, what a table says.
func (r *reducer) join(g *grid, t *NetworkTable) *grid {
	ids := make([]uint32, len(t.places)) // of what a place says by itself
	for i := range t.places {
		ids[i] = r.number(said{r.area(&t.places[i]), r.asn(t.places[i].ASN)})
	}
	over := &grid{}
	over.v4.grow(len(t.v4.starts))
	over.v6.grow(len(t.v6.starts))
	for i, v := range t.v4.values {
		over.v4.add(t.v4.start(i), ids[v])
	}
	for i, v := range t.v6.values {
		over.v6.add(t.v6.start(i), ids[v])
	}
	if len(g.v4.starts) == 1 && len(g.v6.starts) == 1 && g.v4.values[0] == 0 && g.v6.values[0] == 0 {
		return over
	}
	joined := &grid{}
	overlay(&g.v4, &over.v4, func(start u128, a, b uint32) { joined.v4.add(start, r.both(a, b)) })
	overlay(&g.v6, &over.v6, func(start u128, a, b uint32) { joined.v6.add(start, r.both(a, b)) })
	return joined
}

// both joins what is said first with what is said then.
func (r *reducer) both(first, then uint32) uint32 {
	if then == 0 || first == then {
		return first
	}
	s, t := r.all[first], r.all[then]
	if s.area == 0 {
		s.area = t.area
	}
	if s.asn == 0 {
		s.asn = t.asn
	}
	return r.number(s)
}

func (r *reducer) number(s said) uint32 {
	id, ok := r.said[s]
	if !ok {
		id = uint32(len(r.all))
		r.said[s] = id
		r.all = append(r.all, s)
	}
	return id
}

// asn returns the number of what is said of an autonomous system.
func (r *reducer) asn(number uint32) uint32 {
	id, ok := r.asns[number]
	if !ok {
		id = 1
		if r.ruled[(&PlaceSpec{ASN: number}).asnRegions()[0]] {
			id = uint32(len(r.system)) + 2
			r.system = append(r.system, number)
		}
		r.asns[number] = id
	}
	return id
}

// area returns the number of a place's area.
func (r *reducer) area(p *PlaceSpec) uint32 {
	if !p.hasArea() {
		return 0
	}
	a := area{said: true}
	for _, name := range p.areaRegions() {
		if r.ruled[name] {
			a.regions += regions(name + "\n")
		}
	}
	if p.usable(r.maxRadius) {
		a.order = r.order(p.At)
	}
	id, ok := r.areas[a]
	if !ok {
		id = uint32(len(r.list))
		r.areas[a] = id
		r.list = append(r.list, a)
	}
	return id
}

// order returns the number of the orders of the sites by distance from a point, ties included, as targets measure it.
func (r *reducer) order(at Point) uint32 {
	if id, ok := r.near[at]; ok {
		return id
	}
	r.key = r.key[:0]
	for i := range r.measures {
		for _, s := range byDistance(r.sites, &r.measures[i], place{known: true, at: at}) {
			tie := byte(0)
			if s.tied {
				tie = 1
			}
			r.key = append(r.key, byte(s.id), byte(s.id>>8), tie)
		}
	}
	id, ok := r.orders[string(r.key)]
	if !ok {
		r.points = append(r.points, at)
		id = uint32(len(r.points))
		r.orders[string(r.key)] = id
	}
	r.near[at] = id
	return id
}

// place returns a place of which all is true that matters of what was said.
func (r *reducer) place(s said) (at place) {
	a := r.list[s.area]
	if s.asn > 1 {
		at.regions = regionsOf("", (&PlaceSpec{ASN: r.system[s.asn-2]}).asnRegions())
	}
	at.regions += a.regions
	if a.order > 0 {
		at.known, at.at = true, r.points[a.order-1]
	}
	return at
}

// measuresOf returns the ways in which targets of policies measure distances, each once, the first being the plain one. What is wrong with one
// is told elsewhere.
func (c *compiler) measuresOf(policies []PolicySpec) []target {
	list := []target{{}}
	add := func(t GeoTarget) {
		m := target{within: t.Within}
		for _, b := range t.Bias {
			if id := c.plan.siteByName[b.Site]; id != NoSite {
				if m.bias == nil {
					m.bias = make([]int, len(c.plan.sites))
				}
				m.bias[id] = b.Bias
			}
		}
		if !slices.ContainsFunc(list, func(x target) bool { return x.within == m.within && slices.Equal(x.bias, m.bias) }) {
			list = append(list, m)
		}
	}
	for i := range policies {
		for s := range policies[i].All() {
			if g := rulesOf(s); g != nil {
				for _, r := range g.Rules {
					add(r.To)
				}
				add(g.Default)
			}
		}
	}
	return list
}

// rulesOf returns what of a stage depends on where the client is, or nil.
func rulesOf(s StageSpec) *Geo {
	switch s := s.(type) {
	case Geo:
		return &s
	case Failover:
		return s.Order
	}
	return nil
}

// ruledRegions returns the regions that rules of policies are for.
func ruledRegions(policies []PolicySpec) map[string]bool {
	ruled := map[string]bool{}
	for i := range policies {
		for s := range policies[i].All() {
			g := rulesOf(s)
			if g == nil {
				continue
			}
			for _, r := range g.Rules {
				if r.Region != "" {
					ruled[RegionName(r.Region)] = true
				}
			}
		}
	}
	return ruled
}

// lookUp finds the client in the databases, by what they say themselves.
func (r *recorder) lookUp(p *Plan) {
	t := &r.trace.Client
	var spec PlaceSpec
	longest := -1
	for _, table := range p.tables {
		value, bits := table.find(r.addr)
		if value == 0 {
			continue
		}
		longest = max(longest, int(bits))
		t.Databases = append(t.Databases, table.name)
		found := table.places[value]
		if asn := spec.ASN; !spec.hasArea() && found.hasArea() {
			spec = found
			spec.ASN = asn
		}
		if spec.ASN == 0 {
			spec.ASN = found.ASN
		}
	}
	if longest < 0 {
		return
	}
	t.Network = networkOf(r.addr, longest)
	r.place.regions = regionsOf("", spec.Regions())
	if spec.located() {
		t.Radius = float64(spec.Radius)
	}
	if spec.usable(p.maxRadius) {
		r.place.known, r.place.at = true, spec.At
	}
}

// networkOf returns the network of some length around an address.
func networkOf(addr netip.Addr, bits int) string {
	return netip.PrefixFrom(addr, bits).Masked().String()
}
