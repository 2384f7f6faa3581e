package policy

import (
	"fmt"
	"slices"
	"strings"
)

// defaultThreshold is the share of its weight below which a group is passed over, unless the Spec says otherwise.
const defaultThreshold = 0.5

// failover is the compiled Failover stage.
type failover struct {
	threshold float64
	trickle   uint64   // of 2^32 questions, how many go to the second group
	salt      uint64   // of trickle
	groupOf   []uint16 // by SiteID: position of the site's group
	order     *geo     // of the groups, by where the client is; nil, and groupOf too: groups are ranks
}

// noGroup is the key of no group.
const noGroup = ^uint32(0)

func (*failover) name() string { return Failover{}.stageName() }

func (st *failover) run(s *Scratch) {
	groupOf := st.groups(s)
	if groupOf == nil && !s.ranked && len(s.lost) == 0 {
		s.failed = s.failed || !st.satisfied(s)
		return // one group
	}
	st.key(s, groupOf)
	anyUp, anyLive := noGroup, noGroup
	passed := false
	first, firstPassed := noGroup, false
	spill := st.trickle > 0 && st.spills(s)
	for low := uint32(0); ; {
		key, g := s.tally(low)
		if key == noGroup {
			break
		}
		enough := g.enough(st.threshold)
		if s.rec != nil {
			s.rec.groups = append(s.rec.groups, group{key: key, tally: g, enough: enough})
		}
		if enough && spill && first == noGroup {
			first, firstPassed = key, passed
			low = key + 1
			continue
		}
		if enough {
			if first != noGroup {
				s.because(ReasonWeight)
			}
			s.keep(st, key, passed)
			return
		}
		if anyUp == noGroup && g.up.n > 0 {
			anyUp = key
		}
		if anyLive == noGroup && g.live > 0 {
			anyLive = key
		}
		passed = passed || first == noGroup
		low = key + 1
	}
	if first != noGroup { // the only one
		s.keep(st, first, firstPassed)
		return
	}
	s.failed = s.failed || len(s.keys) > 0 // no group has the threshold
	switch first := s.firstKey(); {
	case anyUp != noGroup:
		s.keep(st, anyUp, anyUp != first)
	case anyLive != noGroup:
		s.keep(st, anyLive, anyLive != first)
	}
}

// spills draws whether a question is one of those that go to the second group.
func (st *failover) spills(s *Scratch) bool {
	s.dice = s.seed + st.salt
	return s.below(1<<32) < st.trickle
}

// satisfied reports whether all that is left, as one group, has the threshold.
func (st *failover) satisfied(s *Scratch) bool {
	if s.worst.Usable() || len(s.live) == 0 {
		return true
	}
	var g tally
	for i := range s.live {
		g.all.add(&s.live[i])
		if s.live[i].state.Usable() {
			g.up.add(&s.live[i])
		}
	}
	return g.enough(st.threshold)
}

// groups returns the position of each site's group, by SiteID, for the client; nil if groups are ranks.
func (st *failover) groups(s *Scratch) []uint16 {
	if st.order == nil {
		return st.groupOf
	}
	outcome, scope := st.order.locate(&s.client, st.order.view(s))
	s.scope = max(s.scope, scope)
	return st.order.ranks[int(outcome)*st.order.stride:][:st.order.stride]
}

// key writes the group of each candidate, first the live, then the lost, to s.keys.
func (st *failover) key(s *Scratch, groupOf []uint16) {
	keys := s.keys[:0]
	for _, list := range [2][]candidate{s.live, s.lost} {
		for i := range list {
			keys = append(keys, groupKey(groupOf, &list[i]))
		}
	}
	s.keys = keys
	for _, key := range keys[:len(s.live)] {
		if st.order != nil && key != keys[0] {
			s.because(ReasonGeo)
			break
		}
	}
}

// groupKey returns the group of a candidate.
func groupKey(groupOf []uint16, c *candidate) uint32 {
	if groupOf == nil {
		return c.rank
	}
	return uint32(groupOf[c.site])
}

// A tally is what a failover stage counts of one group.
type tally struct {
	live    int // members left
	up, all amount
}

// An amount is a number of endpoints and the sum of their weights.
type amount struct {
	n      int
	weight uint64
}

func (a *amount) add(c *candidate) {
	a.n++
	a.weight += uint64(c.weight)
}

// enough reports whether at least a share of the group's weight is up (of its number, if no member has weight) and at least one
// member is.
func (g *tally) enough(share float64) bool { return g.up.n > 0 && g.up.atLeast(share, g.all) }

// atLeast reports whether an amount is at least a share of another, by weight, or by number if that has no weight.
func (a amount) atLeast(share float64, of amount) bool {
	part, all := a.weight, of.weight
	if all == 0 {
		part, all = uint64(a.n), uint64(of.n)
	}
	return float64(part) >= share*float64(all)*(1-1e-12) // 0.07 × 100 is more than 7 to a float64
}

// tally finds the lowest key ≥ low, noGroup if there is none, and counts its members.
func (s *Scratch) tally(low uint32) (key uint32, g tally) {
	key = noGroup
	for i, k := range s.keys {
		if k < low || k > key {
			continue
		}
		if k < key {
			key, g = k, tally{}
		}
		if i >= len(s.live) {
			g.all.add(&s.lost[i-len(s.live)])
			continue
		}
		c := &s.live[i]
		g.live++
		g.all.add(c)
		if c.state.Usable() {
			g.up.add(c)
		}
	}
	return key, g
}

// firstKey returns the lowest key.
func (s *Scratch) firstKey() uint32 {
	first := noGroup
	for _, k := range s.keys {
		first = min(first, k)
	}
	return first
}

// keep drops the candidates of all other groups.
func (s *Scratch) keep(st *failover, key uint32, passed bool) {
	if passed {
		s.because(ReasonFailover)
	}
	n := len(s.live)
	s.live = filter(s.live, s.keys[:n], key)
	s.lost = filter(s.lost, s.keys[n:], key)
	s.settled = 0
	if st.groupOf == nil && st.order == nil {
		s.ranked = false
	}
}

// filter keeps, in place, the candidates whose key is the given one.
func filter(list []candidate, keys []uint32, key uint32) []candidate {
	kept := 0
	for i, k := range keys {
		list[kept] = list[i]
		if k == key {
			kept++
		}
	}
	return list[:kept]
}

// A group is a tally with its outcome, recorded for explain.
type group struct {
	key uint32
	tally
	enough bool
}

func (st *failover) explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) {
	groups := s.rec.groups
	s.rec.groups = nil
	if st.order != nil {
		var to GeoTarget
		t.Rule, to = st.order.ruleOf(s.rec.addr, s.rec.place)
		t.Scope = st.order.scope(s)
		defer func() { t.Note = fmt.Sprintf("rule %s: %s; %s", t.Rule, to, t.Note) }()
	}
	if len(groups) == 0 {
		t.Note = "one group"
		return
	}
	kept, groupOf := noGroup, st.groups(s)
	if len(s.live) > 0 {
		kept = groupKey(groupOf, &s.live[0])
	}
	var notes []string
	for _, g := range groups {
		verdict := "passed over"
		switch {
		case g.key == kept && g.enough:
			verdict = "kept"
		case g.enough:
			verdict = "left out, for this question is one of those that keep the next group warm"
		case g.key == kept:
			verdict = "kept, as no group has enough"
		}
		notes = append(notes, fmt.Sprintf("%s: %d of %d up with weight %d of %d: %s",
			groupName(p, s, before, groupOf, g.key), g.up.n, g.all.n, g.up.weight, g.all.weight, verdict))
	}
	t.Note = strings.Join(notes, "; ")
	for i := range t.Dropped {
		t.Dropped[i].Why = "in another group"
	}
}

// groupName names a group by the sites of its members.
func groupName(p *Plan, s *Scratch, before []candidate, groupOf []uint16, key uint32) string {
	var names []string
	for _, list := range [2][]candidate{before, s.rec.lost} {
		for i := range list {
			if name := siteLabel(p, list[i].site); groupKey(groupOf, &list[i]) == key && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, "+")
}

// siteLabel names a site, or the lack of one.
func siteLabel(p *Plan, id SiteID) string {
	if id == NoSite {
		return "no site"
	}
	return p.SiteName(id)
}
