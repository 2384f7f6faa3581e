package policy

import (
	"fmt"
	"strings"
	"time"
)

// minutesOfDay is the length of a day without change of clocks.
const minutesOfDay = 24 * 60

// schedule is the compiled Schedule stage.
type schedule struct {
	zone    *time.Location
	windows []window
}

// A window is a compiled Window.
type window struct {
	Window
	at []bool // by SiteID
}

func (schedule) name() string { return Schedule{}.stageName() }

func (st schedule) run(s *Scratch) {
	open, left := st.open(s.now)
	s.ttl = min(s.ttl, uint32(left-1))
	if open < 0 {
		return
	}
	w, here := &st.windows[open], 0
	for i := range s.live {
		if w.at[s.live[i].site] {
			here++
		}
	}
	if here == 0 || here == len(s.live) {
		return
	}
	s.because(ReasonSchedule)
	s.live, s.lost = w.only(s.live), w.only(s.lost)
	s.settled = 0
}

// only keeps, in place, the candidates at the sites of the window.
func (w *window) only(list []candidate) []candidate {
	kept := 0
	for _, c := range list {
		if w.at[c.site] {
			list[kept] = c
			kept++
		}
	}
	return list[:kept]
}

// open returns the first window that is open at a time, -1 if none is, and the seconds, 1 at least, until any opens or closes.
func (st *schedule) open(now int64) (open int, left int64) {
	t := time.Unix(now, 0).In(st.zone)
	year, month, day := t.Date()
	open, left = -1, 1<<31-1
	for i := range st.windows {
		w := &st.windows[i]
		for d := -1; d <= 8; d++ { // the one that began yesterday may still be open; the next begins in a week at the latest
			if w.Days != 0 && w.Days>>((int(t.Weekday())+d+14)%7)&1 == 0 {
				continue
			}
			from := time.Date(year, month, day+d, 0, w.From, 0, 0, st.zone).Unix()
			to := time.Date(year, month, day+d, 0, w.until(), 0, 0, st.zone).Unix()
			if from <= now && now < to && open < 0 {
				open = i
			}
			if from > now {
				left = min(left, from-now)
				if d > 0 {
					break
				}
			}
			if to > now {
				left = min(left, to-now)
			}
		}
	}
	return open, max(left, 1)
}

// until returns the minute at which the window closes, counted from the beginning of the day on which it opens.
func (w *Window) until() int {
	if w.To <= w.From {
		return w.To + minutesOfDay
	}
	return w.To
}

// dayNames are the words for days, the first being bit 0 of Window.Days.
var dayNames = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// String returns the window as in "mon,tue 22:00-06:00".
func (w Window) String() string {
	var days []string
	for i, name := range dayNames {
		if w.Days>>i&1 != 0 {
			days = append(days, name)
		}
	}
	text := fmt.Sprintf("%02d:%02d-%02d:%02d", w.From/60, w.From%60, w.To/60, w.To%60)
	if len(days) > 0 {
		text = strings.Join(days, ",") + " " + text
	}
	return text
}

func (st schedule) explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) {
	open, left := st.open(s.now)
	now := time.Unix(s.now, 0).In(st.zone).Format("Mon 15:04:05 MST")
	if open < 0 {
		t.Note = fmt.Sprintf("it is %s: no window is open, for %d s more", now, left)
		return
	}
	w := &st.windows[open]
	t.Note = fmt.Sprintf("it is %s: %s is open, for %d s more at least", now, w, left)
	if len(t.Dropped) == 0 {
		t.Note += ", and has nothing to choose from"
	}
	for i := range t.Dropped {
		t.Dropped[i].Why = "at no site of the window"
	}
}

// compileSchedule checks a schedule stage and compiles it.
func (c *compiler) compileSchedule(spec Schedule) schedule {
	st := schedule{zone: spec.Zone}
	if st.zone == nil {
		st.zone = time.UTC
	}
	if len(spec.Windows) == 0 || len(spec.Windows) > maxBranches {
		c.problem([]string{spec.stageName()}, "a schedule has 1 to %d windows, not %d", maxBranches, len(spec.Windows))
		return st
	}
	for i, w := range spec.Windows {
		c.at(func() {
			if w.From < 0 || w.From >= minutesOfDay || w.To < 0 || w.To > minutesOfDay {
				c.problem(here, "minutes of a day are 0 to %d, not %d and %d", minutesOfDay, w.From, w.To)
			}
			if w.Days >= 1<<7 {
				c.problem(here, "there are seven days")
			}
			if len(w.Sites) == 0 {
				c.problem(here, "the window needs sites")
			}
			out := window{Window: w, at: make([]bool, len(c.plan.sites))}
			out.Sites = nil
			for _, id := range c.compileSiteList(w.Sites) {
				out.at[id] = true
			}
			st.windows = append(st.windows, out)
		}, spec.stageName(), "windows", fmt.Sprint(i))
	}
	return st
}
