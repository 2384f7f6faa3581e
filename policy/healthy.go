package policy

import "fmt"

// healthy is the compiled Healthy stage.
type healthy struct{}

func (healthy) name() string { return Healthy{}.stageName() }

func (healthy) run(s *Scratch) {
	if s.worst.Usable() {
		return
	}
	kept, forced := 0, false
	lost := s.lost
	for _, c := range s.live {
		if c.state.Usable() {
			s.live[kept] = c
			kept++
			continue
		}
		forced = forced || c.forced
		lost = append(lost, c)
	}
	if kept == len(s.live) {
		return
	}
	if forced {
		s.because(ReasonOverride)
	}
	if kept == 0 {
		s.lost = lost[:len(s.lost)] // as it was, with the room it has now
		s.failOpen()
		return
	}
	s.live, s.lost, s.settled = s.live[:kept], lost, 0
}

// failOpen handles a list of which nothing is usable: all that are not drained count as up, or all if every one is drained.
func (s *Scratch) failOpen() {
	s.because(ReasonFailOpen)
	s.settled = 0
	best := Drained
	for i := range s.live {
		best = min(best, s.live[i].state)
	}
	kept := 0
	for _, c := range s.live {
		if c.state > best {
			s.lost = append(s.lost, c)
			continue
		}
		c.state = Up
		s.live[kept] = c
		kept++
	}
	s.live = s.live[:kept]
}

func (healthy) explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) {
	usable := 0
	for _, c := range before {
		if c.state.Usable() {
			usable++
		}
	}
	switch {
	case len(before) == 0:
		t.Note = "nothing to choose from"
	case usable > 0:
		t.Note = fmt.Sprintf("%d of %d usable", usable, len(before))
	case len(s.live) < len(before):
		t.Note = fmt.Sprintf("none of %d usable: failed open, all but the drained count as up", len(before))
	default:
		t.Note = fmt.Sprintf("none of %d usable: failed open, all count as up", len(before))
	}
	for i := range t.Dropped {
		d := &t.Dropped[i]
		d.Why = d.State.String()
		if d.Forced {
			d.Why += ", forced"
		}
	}
}
