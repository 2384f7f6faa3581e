package policy

import (
	"fmt"
	"math/bits"
)

// multi is the compiled Weighted stage with Multi.
type multi struct{ salt uint64 }

func (multi) name() string { return Weighted{}.stageName() }

func (st multi) run(s *Scratch) {
	s.dice = s.seed + st.salt
	s.settle(len(s.live))
	kept := 0
	for i := 0; i < len(s.live); {
		end, most := i, uint32(0)
		for end < len(s.live) && s.live[end].rank == s.live[i].rank {
			most = max(most, s.live[end].weight)
			end++
		}
		for ; i < end; i++ {
			c := s.live[i]
			if most > 0 && c.weight < most && st.below(s, c.id, most) >= uint64(c.weight) {
				s.because(ReasonWeight)
				continue
			}
			s.live[kept] = c
			kept++
		}
	}
	s.live, s.settled = s.live[:kept], kept
}

// below returns a number in [0, n) drawn for an endpoint.
func (st multi) below(s *Scratch, id EndpointID, n uint32) uint64 {
	if !s.joint {
		return s.below(uint64(n))
	}
	x, _ := bits.Mul64(mix(s.dice^s.plan.hashes[id]), uint64(n))
	return x
}

func (st multi) explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) {
	most := map[uint32]uint32{}
	for _, c := range before {
		most[c.rank] = max(most[c.rank], c.weight)
	}
	chance := func(c *CandidateTrace) float64 {
		if most[c.rank] == 0 {
			return 1
		}
		return float64(c.Weight) / float64(most[c.rank])
	}
	for i := range t.Kept {
		t.Kept[i].Chance = chance(&t.Kept[i])
	}
	for i := range t.Dropped {
		t.Dropped[i].Chance = chance(&t.Dropped[i])
		t.Dropped[i].Why = "the dice: it is in the answer by its weight over the largest"
	}
	t.Note = fmt.Sprintf("kept %d of %d", len(t.Kept), len(before))
}
