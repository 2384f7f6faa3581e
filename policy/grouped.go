package policy

// grouped is the compiled Weighted stage with Grouped. It draws all candidates of a rank and has the members of each group follow the first of them. That is
// a draw of groups by the sums of their weights, and then inside each: with every candidate comes its group, and who comes next of a group, or
// which group comes next, does not depend on what came before.
type grouped struct {
	weighted
	by onePer // what the members of a group share
}

func (st grouped) run(s *Scratch) {
	s.dice = s.seed + st.salt
	n := st.need(s)
	for i := 0; i < n; {
		end := s.lead(i)
		if c := s.live[i:end]; len(c) > 1 {
			s.because(ReasonWeight)
			most := len(c)
			if n-i == 1 {
				most = 1 // the first of all is the first of its group
			}
			if s.joint {
				s.rendezvous(c, most, s.dice, false)
			} else {
				s.draw(c, most)
			}
			if most > 1 {
				s.gather(st.by, c)
			}
		}
		i = end
	}
}

// gather has the members of each group of some candidates follow the first of them, in the order in which they are.
func (s *Scratch) gather(by onePer, c []candidate) {
	s.nextEpoch()
	s.keys, s.first = s.keys[:0], s.first[:0] // by candidate its group; by group its size, then where its next member goes
	for i := range c {
		g := uint32(len(s.first))
		if shared := by.group(s.plan, &c[i]); shared != 0 {
			for int(shared) >= len(s.seen) {
				s.seen = append(s.seen, 0)
			}
			for int(shared) >= len(s.groupOf) {
				s.groupOf = append(s.groupOf, 0)
			}
			if s.seen[shared] == s.epoch {
				g = s.groupOf[shared]
			}
			s.seen[shared], s.groupOf[shared] = s.epoch, g
		}
		if int(g) == len(s.first) {
			s.first = append(s.first, 0)
		}
		s.first[g]++
		s.keys = append(s.keys, g)
	}
	if len(s.first) == len(c) {
		return // nothing is shared
	}
	at := uint32(0)
	for g, size := range s.first {
		s.first[g] = at
		at += size
	}
	if cap(s.rest) < len(c) {
		s.rest = make([]candidate, cap(s.live))
	}
	rest := s.rest[:len(c)]
	for i, g := range s.keys {
		rest[s.first[g]] = c[i]
		s.first[g]++
	}
	copy(c, rest)
}

func (st grouped) explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) {
	st.weighted.explain(p, s, before, t)
	if len(before) > 1 {
		t.Note += ", one " + sharedNames[st.by.by] + " after the other"
	}
}
