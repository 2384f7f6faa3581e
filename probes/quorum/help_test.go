package quorum

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

const (
	up   = policy.Up
	down = policy.Down
)

// A bench is a Matrix, a clock, and what the Matrix said.
type bench struct {
	*Matrix
	t       testing.TB
	now     time.Duration
	seq     uint64
	state   map[string]policy.State
	ttl     map[string]uint32
	changes []string // "12s web/0 down", the first state of an endpoint left out
	at      []time.Duration
}

// newBench returns the Matrix of prober "me" at site "a" with n targets checked every second, rise 2, fall 3.
func newBench(t testing.TB, n int, rule Rule) *bench {
	b := &bench{Matrix: New(Prober{"me", "a", "ra"}), t: t, now: time.Second, state: map[string]policy.State{}, ttl: map[string]uint32{}}
	var targets []Target
	for i := range n {
		targets = append(targets, Target{Endpoint: web(i), Key: uint64(i + 1), Rule: rule, Fresh: 5 * time.Second, Settle: 4 * time.Second})
	}
	b.SetTargets(targets)
	return b
}

func web(i int) string { return fmt.Sprintf("web/%d", i) }

// decide lets time pass and the Matrix decide.
func (b *bench) decide(after time.Duration) {
	b.t.Helper()
	b.now += after
	b.Decide(b.now, false, func(c Change) {
		if was := b.state[c.Endpoint]; was != policy.Unknown && was != c.Verdict.State {
			b.changes = append(b.changes, fmt.Sprintf("%v %s %v", b.now, c.Endpoint, c.Verdict.State))
			b.at = append(b.at, b.now)
		}
		if c.Why == "" {
			b.t.Errorf("%s becomes %v without a reason", c.Endpoint, c.Verdict.State)
		}
		b.state[c.Endpoint], b.ttl[c.Endpoint] = c.Verdict.State, c.Verdict.TTL
	})
}

// own has this prober see a state of an endpoint, as its check has just said.
func (b *bench) own(i int, s policy.State, silent bool) {
	b.Own(web(i), policy.Verdict{State: s, TTL: 3}, Result{Checked: true, Failing: s == down, Silent: silent}, b.now)
}

// hear has another prober, at a site of its own, see states of all endpoints.
func (b *bench) hear(name string, states ...policy.State) {
	b.t.Helper()
	b.seq++
	rep := Report{Prober: Prober{name, "site-" + name, "r" + name}, Boot: 1, Seq: b.seq, TTL: 10 * time.Second, Full: true}
	for i, s := range states {
		if s != policy.Unknown {
			rep.Entries = append(rep.Entries, Entry{uint64(i + 1), Vote{State: s, TTL: 4, Failing: s == down, Checked: b.now, Since: b.now}})
		}
	}
	if err := b.Hear(&rep, b.now); err != nil && !errors.Is(err, ErrOld) {
		b.t.Fatal(err)
	}
}

// want checks the states believed.
func (b *bench) want(states ...policy.State) {
	b.t.Helper()
	for i, s := range states {
		if got := b.state[web(i)]; got != s {
			row, _ := b.Row(web(i), b.now)
			b.t.Errorf("at %v: %s is %v, want %v: %+v", b.now, web(i), got, s, row)
		}
	}
}

// none checks that no state has changed so far.
func (b *bench) none() {
	b.t.Helper()
	if len(b.changes) > 0 {
		b.t.Errorf("changes: %v", b.changes)
	}
}

func all(n int, s policy.State) []policy.State {
	out := make([]policy.State, n)
	for i := range out {
		out[i] = s
	}
	return out
}
