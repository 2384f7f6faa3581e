package policy

import (
	"fmt"
	"net/netip"
)

// canary is the compiled Canary stage.
type canary struct {
	share  uint64      // of 2^32 clients, how many are in it
	listed *networkSet // whose clients are in it too; nil: none
	at     []bool      // by SiteID: the sites under trial
}

func (*canary) name() string { return Canary{}.stageName() }

// trial makes what draws the clients of canaries another draw than that of sticky stages.
const trial = 0x63616e617279

func (st *canary) run(s *Scratch) {
	chosen, _, scope := st.chosen(s)
	if st.matters(s) {
		s.scope = max(s.scope, scope)
	}
	there := 0
	for i := range s.live {
		if st.at[s.live[i].site] == chosen {
			there++
		}
	}
	if there == 0 || there == len(s.live) {
		return // nothing is left on that side, or on the other
	}
	s.because(ReasonCanary)
	s.live, s.lost = st.side(s.live, chosen), st.side(s.lost, chosen)
	s.settled = 0
}

// chosen reports whether the client is one of those that are sent to the sites under trial, whether its network is why, and the length of the
// shortest prefix around it of which that is true.
func (st *canary) chosen(s *Scratch) (yes, listed bool, scope uint8) {
	if st.share == 1<<32 {
		return true, false, 0
	}
	if st.listed != nil {
		if listed, scope = st.listed.find(&s.client); listed {
			return true, true, scope
		}
	}
	if st.share == 0 {
		return false, false, scope
	}
	return mix(s.key^trial)>>32 < st.share, false, max(scope, s.client.keyed())
}

// side keeps, in place, the candidates under trial, or the others.
func (st canary) side(list []candidate, under bool) []candidate {
	kept := 0
	for _, c := range list {
		if st.at[c.site] == under {
			list[kept] = c
			kept++
		}
	}
	return list[:kept]
}

// scope returns the scope of the stage's outcome for the client.
func (st *canary) scope(s *Scratch) uint8 {
	if !st.matters(s) {
		return 0
	}
	_, _, scope := st.chosen(s)
	return scope
}

// matters reports whether the service has endpoints on both sides.
func (st *canary) matters(s *Scratch) bool {
	var sides [2]bool
	list, pick := s.all, &s.picks[s.pick]
	for i := range list {
		if !pick.has(list[i].site) {
			continue
		}
		if st.at[list[i].site] {
			sides[1] = true
		} else {
			sides[0] = true
		}
		if sides[0] && sides[1] {
			return true
		}
	}
	return false
}

func (st *canary) explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) {
	who := "others"
	yes, listed, _ := st.chosen(s)
	if yes {
		who = "canaries"
	}
	t.Scope = st.scope(s)
	if listed {
		t.Note = "the client's network is listed, so it is of the canaries"
	} else {
		t.Note = fmt.Sprintf("key %016x is of the %s, who have %.4g %% of the clients", s.key, who, st.percent(yes))
	}
	if len(t.Dropped) == 0 && len(before) > 0 {
		t.Note += ": there is no choice"
	}
	for i := range t.Dropped {
		t.Dropped[i].Why = "not for the " + who
	}
}

// percent returns how many of a hundred clients, by key, are canaries, or are not.
func (st *canary) percent(in bool) float64 {
	if in {
		return float64(st.share) * 100 / (1 << 32)
	}
	return 100 - float64(st.share)*100/(1<<32)
}

// compileCanary checks a canary stage and compiles it.
func (c *compiler) compileCanary(spec Canary) *canary {
	st := &canary{at: make([]bool, len(c.plan.sites))}
	if !(spec.Share >= 0 && spec.Share <= 1) { // so that NaN is refused
		c.problem([]string{spec.stageName(), "share"}, "share %v is out of range: want 0 to 1", spec.Share)
	} else {
		st.share = uint64(spec.Share * (1 << 32))
	}
	if len(spec.Sites) == 0 {
		c.problem([]string{spec.stageName()}, "a canary needs the sites that are under trial")
	}
	c.at(func() {
		for _, id := range c.compileSiteList(spec.Sites) {
			st.at[id] = true
		}
	}, spec.stageName(), "sites")
	c.at(func() { st.listed = c.compileNetworkSet(spec.Networks) }, spec.stageName(), "networks")
	return st
}

// A networkSet is some networks.
type networkSet struct {
	v4 table4 // 1 in them, else 0
	v6 table6
}

// find reports whether a client is in one of them, and the length of the shortest prefix around it of which the same is true; it is 0 only if it is
// true of everybody.
func (n *networkSet) find(c *client) (in bool, scope uint8) {
	var value uint32
	switch c.from {
	case clientV4:
		var at int
		at, value = n.v4.find(c.v4)
		scope = n.v4.scope(c.v4, at, nil)
	case clientV6:
		var at int
		at, value = n.v6.find(c.v6)
		scope = n.v6.scope(c.v6, at, nil)
	default:
		return false, 0
	}
	switch varies := len(n.v4.values)+len(n.v6.values) > 2 || n.v4.values[0] != n.v6.values[0]; {
	case !varies || c.kind == clientSite:
		scope = 0
	case c.mapped:
		scope += 96
	default:
		scope = max(scope, 1)
	}
	return value == 1, scope
}

// compileNetworkSet checks networks at the current path and makes a set of them; nil if there are none.
func (c *compiler) compileNetworkSet(list []netip.Prefix) *networkSet {
	if len(list) == 0 {
		return nil
	}
	var families [2][]interval
	seen := map[netip.Prefix]bool{}
	for _, p := range list {
		if !c.checkPrefix(p) {
			continue
		}
		if seen[p] {
			c.problem(here, "network %s is listed twice", p)
			continue
		}
		seen[p] = true
		families[familyIndex(p)] = append(families[familyIndex(p)], intervalOf(p, 1))
	}
	n := &networkSet{}
	sortIntervals(families[0])
	sortIntervals(families[1])
	flatten(families[0], 0, lastV4, n.v4.add)
	flatten(families[1], 0, lastV6, n.v6.add)
	n.v4.seal()
	n.v6.seal()
	return n
}
