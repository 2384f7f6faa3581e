package quorum

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// Why a Report is not taken.
var (
	ErrOld     = errors.New("quorum: not newer than what is known") // no mistake: reports come by two ways
	ErrOwnName = errors.New("quorum: another process reports under the name of this one")
	ErrFull    = fmt.Errorf("quorum: more than %d probers", MaxProbers)
)

// A Matrix is what all probers see, and what is made of it. It belongs to one goroutine at a time.
type Matrix struct {
	columns []*column // the first is this prober's; nil: free
	rows    map[string]*row
	byKey   map[uint64]*row
	order   []*row // by endpoint

	// Of this prober.
	begun    bool          // a check has had an answer
	answered time.Duration // when one last had
	silences int           // targets that were silent since
	blind    bool          // changes were wanted while nothing had an answer
	healed   time.Duration // when it last ceased to be suspect as things answered again; 0: it never did

	linked  time.Duration // since when reports of others could be heard, if there were any; negative: they cannot
	tallies Tallies
}

// A column is one prober.
type column struct {
	Prober
	boot, seq uint64 // of the newest report
	full      uint64 // number of the newest that had everything
	ttl       time.Duration
	heard     time.Duration // last report that was newer
	declared  bool          // it doubts itself
	fresh     bool
	suspect   bool
	why       string // it is suspect
	targets   int    // that it has checked
	failing   int    // of these: the last check failed
	lost      int    // of these: and no other site has trouble with them
}

// New returns a Matrix of one prober without endpoints.
func New(self Prober) *Matrix {
	return &Matrix{columns: []*column{{Prober: self, fresh: true}}, linked: -1, rows: map[string]*row{}, byKey: map[uint64]*row{}}
}

// SetTargets makes targets the rows. A row that was there keeps its state and its votes; votes of others on a row whose Key changed
// are forgotten, as they are on something else.
func (m *Matrix) SetTargets(targets []Target) {
	was := m.rows
	m.rows, m.byKey, m.order = make(map[string]*row, len(targets)), make(map[uint64]*row, len(targets)), m.order[:0]
	for _, t := range targets {
		t.Hold = min(max(t.Hold, 0), MaxHold)
		r := was[t.Endpoint]
		switch {
		case r == nil:
			r = &row{votes: make([]Vote, len(m.columns)), seqs: make([]uint64, len(m.columns))}
		case r.Key != t.Key:
			clear(r.votes[1:])
			clear(r.seqs)
		}
		r.Target, r.because = t, ""
		if m.rows[t.Endpoint] == nil {
			m.order = append(m.order, r)
		}
		m.rows[t.Endpoint] = r
		if t.Key != 0 {
			m.byKey[t.Key] = r
		}
	}
	clear(m.order[len(m.order):cap(m.order)])
	slices.SortFunc(m.order, func(a, b *row) int { return strings.Compare(a.Endpoint, b.Endpoint) })
}

// A Result is how a check of this prober ended.
type Result struct {
	Checked bool // there was one, and it says something of the endpoint; else the rest means nothing
	Failing bool
	Silent  bool
	Latency time.Duration
	Trouble string // why it failed, for people
}

// Own takes what this prober makes of an endpoint, and the Result it follows from. It reports whether that may change a verdict, so
// that Decide is worth calling.
func (m *Matrix) Own(endpoint string, verdict policy.Verdict, res Result, now time.Duration) bool {
	r := m.rows[endpoint]
	if r == nil {
		return false
	}
	old := r.votes[0]
	v := old
	if v.State != verdict.State {
		v.Since = now
	}
	v.State, v.TTL = verdict.State, verdict.TTL
	switch {
	case !res.Checked:
	case !res.Silent:
		m.answer(now)
	default:
		if !old.Silent {
			r.silentFrom = now
		}
		if !m.begun || r.silentLast <= m.answered {
			m.silences++
		}
		r.silentLast = now
	}
	if res.Checked {
		v.Failing, v.Silent, v.Checked, v.Latency = res.Failing, res.Silent, now, res.Latency
		if r.trouble != res.Trouble {
			r.trouble, r.because = res.Trouble, ""
		}
	}
	r.votes[0] = v
	// Nothing answers: is it the endpoint that is gone, or this prober? It cannot know, and so it says nothing. With the state
	// unknown it has nothing to hold on to.
	if v.State == policy.Down && old.State == policy.Up && v.Silent && m.silences >= minSilence && (!m.begun || r.silentFrom > m.answered) {
		m.blind = true
	}
	return v.State != old.State || v.TTL != old.TTL || v.Failing != old.Failing
}

// answer notes that an endpoint answered: this prober can see.
func (m *Matrix) answer(now time.Duration) {
	m.begun, m.answered, m.silences = true, now, 0
	if m.blind {
		m.blind, m.healed = false, now
	}
}

// Hear takes what another prober sees. An error says why nothing was taken; ErrOld is no trouble. Entries on endpoints that are no
// target here are passed over.
func (m *Matrix) Hear(rep *Report, now time.Duration) error {
	if rep.Name == m.columns[0].Name {
		return ErrOwnName
	}
	slot, err := m.slotOf(rep, now)
	if err != nil {
		return err
	}
	c := m.columns[slot]
	if rep.Boot != c.boot {
		m.forget(slot)
		c = &column{boot: rep.Boot}
		m.columns[slot] = c
	}
	if c.Prober, c.ttl, c.heard = rep.Prober, rep.TTL, now; rep.Seq > c.seq {
		c.seq, c.declared = rep.Seq, rep.Suspect
	}
	if rep.Full {
		c.full = rep.Seq
		for _, r := range m.order {
			r.hear(slot, Vote{}, rep.Seq-1)
		}
	}
	for i := range rep.Entries {
		if r := m.byKey[rep.Entries[i].Key]; r != nil {
			r.hear(slot, rep.Entries[i].Vote, rep.Seq)
		}
	}
	return nil
}

// hear takes a vote, unless it is older than the one that is there: a report of everything may come later than one of what changed
// since.
func (r *row) hear(slot int, v Vote, seq uint64) {
	if seq >= r.seqs[slot] {
		r.votes[slot], r.seqs[slot] = v, seq
	}
}

// slotOf returns the column of the prober that reports, a new one if it has none.
func (m *Matrix) slotOf(rep *Report, now time.Duration) (int, error) {
	free := -1
	for i, c := range m.columns {
		switch {
		case c == nil:
			free = i
		case c.Name != rep.Name:
		case rep.Boot == c.boot && rep.Full && rep.Seq <= c.full, rep.Boot == c.boot && !rep.Full && rep.Seq <= c.seq:
			return 0, ErrOld
		case rep.Boot < c.boot && now-c.heard < c.ttl: // once the higher one is silent, it counts: a clock may have been set back
			return 0, ErrOld
		default:
			return i, nil
		}
	}
	switch {
	case free >= 0:
	case len(m.columns) <= MaxProbers:
		free = len(m.columns)
		m.columns = append(m.columns, nil)
		for _, r := range m.order {
			r.votes, r.seqs = append(r.votes, Vote{}), append(r.seqs, 0)
		}
	default:
		if free = m.longestGone(now); free < 0 {
			return 0, ErrFull
		}
		m.forget(free)
	}
	m.columns[free] = &column{boot: rep.Boot}
	return free, nil
}

// longestGone returns the column that has been silent for longest, negative if all are heard.
func (m *Matrix) longestGone(now time.Duration) int {
	found := -1
	for i, c := range m.columns[1:] {
		if c != nil && now-c.heard >= c.ttl && (found < 0 || c.heard < m.columns[found].heard) {
			found = i + 1
		}
	}
	return found
}

func (m *Matrix) forget(slot int) {
	m.columns[slot] = nil
	for _, r := range m.order {
		r.votes[slot], r.seqs[slot] = Vote{}, 0
	}
}

// SetLinked says whether reports of others could be heard at a moment. Those that could be and are not come from probers that ended;
// while they cannot be, their probers may be as well as ever.
func (m *Matrix) SetLinked(ok bool, now time.Duration) {
	switch {
	case !ok:
		m.linked = -1
	case m.linked < 0:
		m.linked = now
	}
}

// Decide takes the passing of time into account and calls emit for every endpoint whose Verdict changed, or, if all is true, for every
// one that has a Verdict. It looks at every row and column, whatever happened.
func (m *Matrix) Decide(now time.Duration, all bool, emit func(Change)) {
	m.age(now)
	cutOff, since := m.cutOff(now)
	m.judge(now, cutOff)
	for _, r := range m.order {
		if m.settle(r, now, cutOff, since) || all && r.told != (policy.Verdict{}) {
			emit(Change{r.Endpoint, r.told, r.why})
		}
	}
}

// age says whose reports still count, and forgets who has been gone for long. While nobody can be heard, reports grow old together: else
// those who happened to be heard last would decide for a moment.
func (m *Matrix) age(now time.Duration) {
	ref := now
	if m.linked < 0 {
		last, ttl := m.lastHeard()
		if ref = last; now-last >= ttl {
			ref = now
		}
	}
	for i, c := range m.columns[1:] {
		if c == nil {
			continue
		}
		c.fresh = ref-c.heard < c.ttl
		if now-c.heard > Keep+c.ttl {
			m.forget(i + 1)
		}
	}
}

// lastHeard returns when another prober was last heard, and the longest that a report counts.
func (m *Matrix) lastHeard() (last, ttl time.Duration) {
	for _, c := range m.columns[1:] {
		if c != nil {
			last, ttl = max(last, c.heard), max(ttl, c.ttl)
		}
	}
	return last, ttl
}

// cutOff reports whether this node does not hear others that it knows of, because it cannot, or because it could not a moment ago, and
// they may just have got their way back, too. What it saw change after since it may believe.
func (m *Matrix) cutOff(now time.Duration) (cutOff bool, since time.Duration) {
	fresh, missing := false, false
	for _, c := range m.columns[1:] {
		if c != nil {
			fresh, missing = fresh || c.fresh, missing || !c.fresh
		}
	}
	last, ttl := m.lastHeard()
	switch {
	case !missing, m.linked >= 0 && now-m.linked >= ttl, m.linked < 0 && fresh:
		return false, 0
	case fresh:
		return true, now
	}
	return true, last
}

// judge finds out who is suspect: whose checks fail for more than half of its targets, while nobody at another site has trouble with
// these. A prober that has, and had, nobody to compare itself with is suspect only if nothing at all answers (Own).
func (m *Matrix) judge(now time.Duration, cutOff bool) {
	heard := 0
	for _, c := range m.columns {
		if c != nil {
			c.targets, c.failing, c.lost = 0, 0, 0
			if c.fresh {
				heard++
			}
		}
	}
	for _, r := range m.order {
		m.count(r, now)
	}
	for i, c := range m.columns {
		if c == nil {
			continue
		}
		was := c.suspect
		c.suspect, c.why = false, ""
		switch lost := float64(c.lost) > suspicious*float64(c.targets) && c.lost >= minLost; {
		case i == 0 && m.blind:
			c.suspect, c.why = true, "nothing that it checks answers"
		case lost && (heard > 1 || cutOff):
			c.suspect, c.why = true, fmt.Sprintf("%d of its %d targets fail for it, and no other site has trouble with them", c.lost, c.targets)
		case c.declared:
			c.suspect, c.why = true, "it doubts itself"
		}
		if i == 0 && was && !c.suspect && 2*c.failing <= c.targets {
			m.healed = now
		}
	}
}

// count adds a row to what its probers have lost.
func (m *Matrix) count(r *row, now time.Duration) {
	trouble, several := "", false // sites that have trouble with the endpoint
	for i, c := range m.columns {
		if c == nil || !c.fresh || !r.votes[i].Failing || m.old(i, r, now) {
			continue
		}
		site := cmp.Or(c.Site, c.Name)
		several = several || trouble != "" && trouble != site
		trouble = site
	}
	for i, c := range m.columns {
		if c == nil || !c.fresh || r.votes[i].Checked == 0 {
			continue
		}
		c.targets++
		if r.votes[i].Failing {
			c.failing++
			if !several {
				c.lost++
			}
		}
	}
}

// Suspect reports whether this prober doubts itself, and why.
func (m *Matrix) Suspect() (bool, string) { return m.columns[0].suspect, m.columns[0].why }

// Tallies returns what was kept from changing an answer so far.
func (m *Matrix) Tallies() Tallies { return m.tallies }
