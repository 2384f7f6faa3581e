package policy

import "fmt"

// canary is the compiled Canary stage.
type canary struct {
	share uint64 // of 2^32 clients, how many are in it
	at    []bool // by SiteID: the sites under trial
}

func (canary) name() string { return Canary{}.stageName() }

// trial makes what draws the clients of canaries another draw than that of sticky stages.
const trial = 0x63616e617279

func (st canary) run(s *Scratch) {
	s.scope = max(s.scope, st.scope(s))
	chosen, there := st.chosen(s), 0
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

// chosen reports whether the client is one of those that are sent to the sites under trial.
func (st canary) chosen(s *Scratch) bool { return mix(s.key^trial)>>32 < st.share }

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

// scope returns the length of the networks that share a key, if the service has endpoints on both sides.
func (st canary) scope(s *Scratch) uint8 {
	if st.share == 0 || st.share == 1<<32 {
		return 0
	}
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
			return s.client.keyed()
		}
	}
	return 0
}

func (st canary) explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) {
	who := "others"
	if st.chosen(s) {
		who = "canaries"
	}
	t.Scope = st.scope(s)
	t.Note = fmt.Sprintf("key %016x is of the %s, who have %.4g %% of the clients", s.key, who, st.percent(who == "canaries"))
	if len(t.Dropped) == 0 && len(before) > 0 {
		t.Note += ": there is no choice"
	}
	for i := range t.Dropped {
		t.Dropped[i].Why = "not for the " + who
	}
}

// percent returns how many of a hundred clients are canaries, or are not.
func (st canary) percent(in bool) float64 {
	if in {
		return float64(st.share) * 100 / (1 << 32)
	}
	return 100 - float64(st.share)*100/(1<<32)
}

// compileCanary checks a canary stage and compiles it.
func (c *compiler) compileCanary(spec Canary) canary {
	st := canary{at: make([]bool, len(c.plan.sites))}
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
	return st
}
