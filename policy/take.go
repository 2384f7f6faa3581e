package policy

import (
	"fmt"
	"strconv"
)

// take is the compiled Take stage.
type take struct{ n int }

func (take) name() string { return Take{}.stageName() }

func (st take) run(s *Scratch) {
	if s.want > 0 {
		return // the asker says how many
	}
	n := min(st.n, len(s.live))
	s.settle(n)
	s.live = s.live[:n]
	s.settled = min(s.settled, n)
}

func (st take) explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) {
	if s.want > 0 {
		t.Note = fmt.Sprintf("the asker takes up to %d", s.want)
	}
	for i := range t.Dropped {
		t.Dropped[i].Why = "after the first " + strconv.Itoa(st.n)
	}
}
