package quorum

import (
	"cmp"
	"slices"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// A ProberView is what a Matrix knows of one prober, for people.
type ProberView struct {
	Prober
	Self    bool
	Heard   time.Duration // when it last reported something new; of this prober, 0
	Fresh   bool          // its votes count as far as their age goes
	Suspect string        // why its votes do not count; "": they do
	Targets int           // that it checked, of those that are checked here
	Failing int           // of these
	Lost    int           // of these: and no other site has trouble with them
}

// What a prober is to the others.
const (
	Trusted = "trusted" // its votes count
	Suspect = "suspect" // they do not, as it sees what nobody else does
	Gone    = "gone"    // they do not, as nothing new is heard of it
)

// State returns Trusted, Suspect or Gone.
func (p ProberView) State() string {
	switch {
	case !p.Fresh:
		return Gone
	case p.Suspect != "":
		return Suspect
	}
	return Trusted
}

// A VoteView is one prober's word on one endpoint, for people.
type VoteView struct {
	Prober  string
	Vote    Vote
	Silence string // why it does not count; "": it does
}

// A RowView is one endpoint, for people.
type RowView struct {
	Endpoint string
	Rule     Rule
	State    policy.State
	Since    time.Duration // of State
	Why      string        // it is believed
	Stopped  string        // why State does not change although the votes say so; "": they do not
	Until    time.Duration // State does not change before; may be past
	Votes    []VoteView    // of all probers that said something, this one first, the others by name
}

// Probers returns all probers, this one first, the others by name. It is as Decide left things.
func (m *Matrix) Probers() []ProberView {
	var out []ProberView
	for i, c := range m.columns {
		if c != nil {
			out = append(out, ProberView{c.Prober, i == 0, c.heard, c.fresh, c.why, c.targets, c.failing, c.lost})
		}
	}
	slices.SortFunc(out[1:], func(a, b ProberView) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Row returns one endpoint at a moment, false if it is no target.
func (m *Matrix) Row(endpoint string, now time.Duration) (RowView, bool) {
	r := m.rows[endpoint]
	if r == nil {
		return RowView{}, false
	}
	v := RowView{Endpoint: r.Endpoint, Rule: r.Rule, State: r.state, Since: r.since, Why: r.why, Stopped: r.stopped, Until: r.until}
	for i, c := range m.columns {
		if c != nil && r.votes[i] != (Vote{}) {
			v.Votes = append(v.Votes, VoteView{c.Name, r.votes[i], m.silenced(i, r, now)})
		}
	}
	if len(v.Votes) > 0 {
		first := 0
		if v.Votes[0].Prober == m.columns[0].Name {
			first = 1
		}
		slices.SortFunc(v.Votes[first:], func(a, b VoteView) int { return cmp.Compare(a.Prober, b.Prober) })
	}
	return v, true
}

// Report returns what this prober sees, for others: all of it, or of some endpoints. Votes that do not count here, as the prober looks
// again, are in it without a state; that it doubts itself is in the Report.
func (m *Matrix) Report(only map[string]bool, now time.Duration) Report {
	self := m.columns[0]
	rep := Report{Prober: self.Prober, Full: only == nil, Suspect: self.suspect}
	for _, r := range m.order {
		v := r.votes[0]
		if r.Key == 0 || v == (Vote{}) || only != nil && !only[r.Endpoint] {
			continue
		}
		if m.looksAgain(v, r, now) {
			v.State = policy.Unknown
		}
		rep.Entries = append(rep.Entries, Entry{r.Key, v})
	}
	slices.SortFunc(rep.Entries, func(a, b Entry) int { return cmp.Compare(a.Key, b.Key) })
	return rep
}
