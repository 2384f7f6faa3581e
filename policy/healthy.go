package policy

import "fmt"

// healthy is the compiled Healthy stage.
type healthy Healthy

func (healthy) name() string { return Healthy{}.stageName() }

func (st healthy) run(s *Scratch) {
	if s.worst.Usable() && st.Min <= 1 {
		return
	}
	var up, all amount
	forced := false
	for i := range s.live {
		c := &s.live[i]
		all.add(c)
		if c.state.Usable() {
			up.add(c)
		} else {
			forced = forced || c.forced
		}
	}
	enough := st.enough(up, all)
	if up.n == all.n && enough {
		return
	}
	if forced {
		s.because(ReasonOverride)
	}
	s.settled = 0
	if !enough {
		s.failed = true
		switch st.shortage(s) {
		case ShortageOpen:
			s.failOpen()
			return
		case ShortageEmpty:
			up.n = 0
			s.lost, s.live = append(s.lost, s.live...), s.live[:0]
		}
		if up.n == 0 {
			s.because(ReasonFailClosed)
		}
	}
	s.closed = s.closed || st.shortage(s) != ShortageOpen
	kept := 0
	for _, c := range s.live {
		if c.state.Usable() {
			s.live[kept] = c
			kept++
		} else {
			s.lost = append(s.lost, c)
		}
	}
	s.live = s.live[:kept]
}

// shortage returns what the stage does where not enough is up.
func (st healthy) shortage(s *Scratch) Shortage {
	switch {
	case s.short != ShortageByPolicy:
		return s.short
	case st.Closed:
		return ShortageClosed
	}
	return ShortageOpen
}

// enough reports whether what is up of all will do.
func (st healthy) enough(up, all amount) bool {
	if all.n == 0 {
		return true // there is nothing to lose
	}
	return up.n >= max(st.Min, 1) && up.atLeast(st.Threshold, all)
}

// failOpen counts all that are not drained as up and drops the drained; if every one is drained, all count as up.
func (s *Scratch) failOpen() {
	s.because(ReasonFailOpen)
	drained := 0
	for i := range s.live {
		if s.live[i].state == Drained {
			drained++
		}
	}
	all := drained == len(s.live)
	kept := 0
	for _, c := range s.live {
		if c.state == Drained && !all {
			s.lost = append(s.lost, c)
			continue
		}
		c.state = Up
		s.live[kept] = c
		kept++
	}
	s.live = s.live[:kept]
}

func (st healthy) explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) {
	var up, all amount
	for i := range before {
		all.add(&before[i])
		if before[i].state.Usable() {
			up.add(&before[i])
		}
	}
	switch {
	case all.n == 0:
		t.Note = "nothing to choose from"
	case st.enough(up, all):
		t.Note = fmt.Sprintf("%d of %d usable", up.n, all.n)
	case st.shortage(s) != ShortageOpen:
		t.Note = fmt.Sprintf("%s: failed closed", st.shortageOf(up, all))
		if up.n > 0 && len(s.live) > 0 {
			t.Note += ", what is up is kept"
		}
	case len(s.live) < len(before):
		t.Note = fmt.Sprintf("%s: failed open, all but the drained count as up", st.shortageOf(up, all))
	default:
		t.Note = fmt.Sprintf("%s: failed open, all count as up", st.shortageOf(up, all))
	}
	for i := range t.Dropped {
		d := &t.Dropped[i]
		if d.Why = d.State.String(); d.State.Usable() {
			d.Why += ", but not enough is"
		}
		if d.Forced {
			d.Why += ", forced"
		}
	}
}

// shortageOf says how little is up.
func (st healthy) shortageOf(up, all amount) string {
	switch {
	case up.n == 0:
		return fmt.Sprintf("none of %d usable", all.n)
	case up.n < st.Min:
		return fmt.Sprintf("%d of %d usable, fewer than %d", up.n, all.n, st.Min)
	}
	return fmt.Sprintf("%d of %d usable with weight %d of %d, less than %g", up.n, all.n, up.weight, all.weight, st.Threshold)
}
