package quorum

import (
	"fmt"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// A row is one endpoint: the votes on it, and what is believed.
type row struct {
	Target
	votes   []Vote   // by column
	seqs    []uint64 // the reports that the votes are from, by column
	trouble string   // of this prober's last check

	silentFrom time.Duration // when this prober's last run of silence began
	silentLast time.Duration // and its last silent check ended

	// What the rule made of the last tally, as it mostly makes the same of the next.
	counted tally
	wants   policy.State
	because string // "": nothing was counted yet

	state policy.State // what is believed
	why   string
	since time.Duration // of the state

	level   int            // changes in a row
	until   time.Duration  // the state does not change before
	stopped string         // why it does not change although it would; "": it would not
	told    policy.Verdict // what was emitted last
}

// settle makes a verdict of the votes, and reports whether it is a new one.
func (m *Matrix) settle(r *row, now time.Duration, cutOff bool, since time.Duration) bool {
	want, why := m.wanted(r, now)
	held, stopped := time.Duration(0), ""
	switch {
	case want == policy.Unknown || want == r.state:
	case r.state == policy.Unknown:
		r.state, r.why, r.since = want, why, now
	case cutOff && !m.changedSince(r, since):
		stopped = "other probers cannot be heard, and this one has seen no change since"
		m.stop(r, stopped, &m.tallies.CutOff)
	case now < r.until:
		stopped = fmt.Sprintf("held after %d changes in a row", r.level)
		m.stop(r, stopped, &m.tallies.Held)
		held = r.until - now
	default:
		r.flip(want, why, now)
	}
	if want == policy.Unknown && m.columns[0].suspect && r.votes[0].State != r.state && r.votes[0].State != policy.Unknown {
		stopped = "this prober is suspect"
		m.stop(r, stopped, &m.tallies.Suspect)
	}
	r.stopped = stopped
	if want == r.state {
		r.why = why
	}
	v := policy.Verdict{State: r.state}
	switch {
	case v.State == policy.Unknown:
	case held > 0:
		v.TTL = bound(held)
	default:
		v.TTL = m.ttl(r, now)
	}
	was := r.told
	r.told = v
	return v != was
}

// stop counts a change that does not come, once for each time that it would.
func (m *Matrix) stop(r *row, why string, counter *uint64) {
	if r.stopped != why {
		*counter++
	}
}

// changedSince reports whether this prober saw the state change after a moment, or never had anyone else's word for it.
func (m *Matrix) changedSince(r *row, since time.Duration) bool {
	return r.Rule.Kind == Local || r.votes[0].Since > since
}

// flip changes the state. The first change after a quiet time may be reverted at once; each further one in the row is held for twice
// as long as the one before.
func (r *row) flip(want policy.State, why string, now time.Duration) {
	if now-r.since > max(quiet*r.Hold, 2*r.hold()) {
		r.level = 0
	}
	r.level++
	r.state, r.why, r.since, r.until = want, why, now, now+r.hold()
}

// hold returns how long the state is held after the change that made it.
func (r *row) hold() time.Duration {
	if r.level < 2 {
		return 0
	}
	return min(r.Hold<<min(r.level-2, doublings), MaxHold)
}

// wanted returns what the votes make of a row, Unknown if they leave it as it is.
func (m *Matrix) wanted(r *row, now time.Duration) (policy.State, string) {
	var t tally
	voters := 0
	for i, c := range m.columns {
		if c == nil || m.silenced(i, r, now) != "" {
			continue
		}
		voters++
		at := &t.there
		if i == 0 {
			t.own = r.votes[i].State
		}
		if i == 0 || c.Region != "" && c.Region == m.columns[0].Region {
			at = &t.here
		}
		if r.votes[i].State == policy.Up {
			at.up++
		} else {
			at.down++
		}
	}
	if t == r.counted && r.because != "" {
		return r.wants, r.because
	}
	s, why := r.Rule.decide(t)
	if voters == 1 && t.own == s && s != policy.Unknown || r.Rule.Kind == Local {
		why = "probe"
		if r.trouble != "" {
			why += ": " + r.trouble
		}
	}
	r.counted, r.wants, r.because = t, s, why
	return s, why
}

// silenced says why the prober of a column has no vote on a row, "" if it has one.
func (m *Matrix) silenced(i int, r *row, now time.Duration) string {
	c, v := m.columns[i], r.votes[i]
	switch {
	case !c.fresh:
		return "not heard any more"
	case v.State != policy.Up && v.State != policy.Down:
		return "nothing said"
	case c.suspect:
		return "suspect: " + c.why
	case m.old(i, r, now):
		return "last check too old"
	case i == 0 && m.looksAgain(v, r, now):
		return "looks again, as nothing answered a moment ago"
	}
	return ""
}

// old reports whether a vote rests on a check of too long ago: of another prober, when it was last heard.
func (m *Matrix) old(i int, r *row, now time.Duration) bool {
	if i > 0 {
		now = m.columns[i].heard
	}
	return now-max(r.votes[i].Checked, r.votes[i].Since) > r.Fresh // a saved state has no check yet
}

// looksAgain reports whether this prober's vote rests on a time in which it could not see.
func (m *Matrix) looksAgain(v Vote, r *row, now time.Duration) bool {
	return v.State == policy.Down && m.healed > 0 && now < m.healed+r.Settle
}

// ttl returns how long answers may live: as long as no voter that agrees with the state may change its mind, or, if there is none,
// anyone that has said something.
func (m *Matrix) ttl(r *row, now time.Duration) uint32 {
	agree, any := uint32(0), uint32(0) // 0-1 is the largest
	for i, c := range m.columns {
		v := &r.votes[i]
		if c == nil || !c.fresh || v.State == policy.Unknown {
			continue
		}
		any = min(any-1, v.TTL-1) + 1
		if v.State == r.state && m.silenced(i, r, now) == "" {
			agree = min(agree-1, v.TTL-1) + 1
		}
	}
	if agree != 0 {
		return agree
	}
	return max(any, 1)
}

// bound returns the largest power of two of seconds that is not more than d, at least 1: it changes a few times only while d passes.
func bound(d time.Duration) uint32 {
	ttl := uint32(1)
	for left := d / time.Second; left >= 2*time.Duration(ttl); {
		ttl *= 2
	}
	return ttl
}
