package policy

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// A view is all that the endpoints of a service can tell of where a client is: in which order a geo stage puts the sites they are at,
// those of equal rank included, as far as its horizon. Other sites do not matter, nor does health: an endpoint that is down now may be
// up while the answer is kept.
type view struct {
	varies bool // there are clients, of whichever family, for whom the order is another
	v4, v6 marks
}

// scope returns the scope of an address from the length of the shortest prefix of its family in which all have its order. A scope of 0
// lets resolvers give an answer to everybody, clients of the other family and those without a subnet included: it is for views that do
// not vary at all (RFC 7871 7.3.1). mapped is for IPv4 that came in IPv6 form.
func (v *view) scope(length uint8, mapped bool) uint8 {
	if mapped {
		return length + 96
	}
	return max(length, 1)
}

// everywhere is the view of endpoints at one site, or of one order whatever the client.
var everywhere = &view{}

// viewBudget bounds what the views of a Plan may cost: a unit is a range of addresses or a rank to look at, 1 ns or so, and eight of them
// are a byte to keep. It lasts for a thousand sets of sites over half a million networks. Views beyond it take every border between places
// for one: scopes are longer than they could be, never shorter.
const viewBudget = 1 << 30

// A viewer makes the views of a Plan.
type viewer struct {
	stages  []*geo
	sets    map[string]uint32 // key of a set of sites -> position in Plan.views
	views   [][]*view
	same    map[string]*view // by stage and what is told apart
	horizon int              // the farthest of the stages: more endpoints at one site need not be counted
	nowhere bool             // endpoints at no site matter to one of the stages
	before  *Plan            // whose views of the same stages are good; nil: of none
	budget  int
}

// compileViews gives every service its views, those of before as far as it has them. p and before share a frame.
func (p *Plan) compileViews(before *Plan) {
	v := viewer{stages: p.stages, sets: map[string]uint32{}, same: map[string]*view{}, before: before, budget: viewBudget}
	for _, g := range v.stages {
		v.horizon = max(v.horizon, g.horizon)
		v.nowhere = v.nowhere || g.nowhere
	}
	v.add("", nil)
	for i := range p.services {
		s := &p.services[i]
		s.sets = make([][numFamilies]extent, len(p.picks))
		for pick := range p.picks {
			sets := &s.sets[pick]
			for f, list := range s.lists {
				if f > 0 && len(list) == len(s.lists[FamilyAny]) { // it is the same
					sets[f] = sets[FamilyAny]
					continue
				}
				sets[f] = extent{v.set(list, &p.picks[pick]), p.picks[pick].count(list) > 1}
			}
		}
	}
	p.views, p.sets = v.views, v.sets
}

// A presence is a site with the number of endpoints there, as far as a stage may count them.
type presence struct {
	site SiteID
	n    int
}

// set returns the position in views of those for a list of candidates, as far as they are at the sites of a selection.
func (v *viewer) set(list []candidate, pick *selection) uint32 {
	if len(v.stages) == 0 {
		return 0
	}
	var at []presence
	for i := range list {
		id := list[i].site
		if id == NoSite && !v.nowhere || !pick.has(id) { // last, whoever the client is
			continue
		}
		k, ok := slices.BinarySearchFunc(at, id, func(p presence, id SiteID) int { return cmp.Compare(p.site, id) })
		if !ok {
			at = slices.Insert(at, k, presence{site: id})
		}
		at[k].n = min(at[k].n+1, v.horizon)
	}
	if len(at) < 2 {
		return 0
	}
	key := make([]byte, 0, 4*len(at))
	for _, p := range at {
		key = binary.BigEndian.AppendUint16(key, uint16(p.site))
		if v.horizon > 0 {
			key = binary.AppendUvarint(key, uint64(p.n))
		}
	}
	if at, ok := v.sets[string(key)]; ok {
		return at
	}
	return v.add(string(key), at)
}

// add makes the views of a set of sites.
func (v *viewer) add(key string, at []presence) uint32 {
	var old []*view
	if v.before != nil {
		if k, ok := v.before.sets[key]; ok {
			old = v.before.views[k]
		}
	}
	row := make([]*view, len(v.stages))
	for i, g := range v.stages {
		switch {
		case len(at) == 0:
			row[i] = everywhere
		case !v.afford(g, len(at)):
			row[i] = &view{varies: true}
		case old != nil && (old[i].v4 != nil || !old[i].varies):
			row[i] = old[i]
		default:
			row[i] = v.make(g, at)
		}
	}
	n := uint32(len(v.views))
	v.views = append(v.views, row)
	v.sets[key] = n
	return n
}

// afford takes the cost of a view from the budget and reports whether there was enough.
func (v *viewer) afford(g *geo, sites int) bool {
	v.budget -= len(g.atlas.v4.starts) + len(g.atlas.v6.starts) + len(g.outcomes) + 8*sites*g.rows()
	return v.budget >= 0
}

// rows returns the number of outcomes.
func (g *geo) rows() int { return len(g.ranks) / g.stride }

// make returns what endpoints at some sites can tell of the outcomes of a stage.
func (v *viewer) make(g *geo, at []presence) *view {
	classes := g.classes(at)
	key := binary.AppendUvarint(nil, uint64(g.position))
	for _, class := range classes {
		key = binary.LittleEndian.AppendUint32(key, class)
	}
	if w := v.same[string(key)]; w != nil {
		return w
	}
	told := make([]uint32, len(g.outcomes)) // by cause
	for i, o := range g.outcomes {
		told[i] = classes[o]
	}
	w := &view{}
	v4, v6 := &g.atlas.v4, &g.atlas.v6
	var n4, n6 int
	w.v4, n4 = newMarks(v4.values, told)
	w.v6, n6 = newMarks(v6.values, told)
	w.varies = n4+n6 > 0 || told[v4.values[0]] != told[v6.values[0]]
	if !w.varies {
		w = everywhere
	}
	v.same[string(key)] = w
	return w
}

// classes returns, by outcome, a number that two outcomes share if and only if they put sites into the same order, as far as the
// horizon. Numbers come in the order of the outcomes.
func (g *geo) classes(at []presence) []uint32 {
	byOrder := map[string]uint32{}
	classes := make([]uint32, g.rows())
	var key []byte
	for o := range classes {
		key = g.told(key[:0], at, o)
		class, ok := byOrder[string(key)]
		if !ok {
			class = uint32(len(byOrder))
			byOrder[string(key)] = class
		}
		classes[o] = class
	}
	return classes
}

// order appends the order into which ranks put sites, with the high bit set in those as good as the one before. It
// ends with the group of sites that reaches the horizon.
func (g *geo) order(key []byte, at []presence, ranks []uint16) []byte {
	var room [16]uint32
	order := room[:0] // rank, then position
	for k, p := range at {
		order = append(order, uint32(ranks[p.site])<<16|uint32(k))
	}
	slices.Sort(order)
	n := 0
	for k, x := range order {
		site := uint16(at[uint16(x)].site) // at most MaxSites
		if k > 0 && x>>16 == order[k-1]>>16 {
			site |= 1 << 15
		} else if g.horizon > 0 && n >= g.horizon {
			break
		}
		n += at[uint16(x)].n
		key = binary.BigEndian.AppendUint16(key, site)
	}
	return key
}
