package quorum

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

var others = []string{"b", "c", "d", "e"}

// One liar of five, whoever it is and whatever it says, changes nothing; three of five do, at once.
func TestOneLiarOfFive(t *testing.T) {
	for _, truth := range []policy.State{up, down} {
		for _, rule := range []Rule{{}, {Kind: AtLeast, K: 3}} {
			for liar := range 5 {
				b := newBench(t, 4, rule)
				say := func(honest, lie policy.State) {
					for i := range 4 {
						s := honest
						if liar == 0 {
							s = lie
						}
						b.own(i, s, false)
					}
					for i, name := range others {
						s := honest
						if liar == i+1 {
							s = lie
						}
						b.hear(name, all(4, s)...)
					}
					b.decide(time.Second)
				}
				say(truth, truth)
				b.want(all(4, truth)...)
				for i := range 50 {
					say(truth, []policy.State{up, down}[i%2])
				}
				b.none()
				for i, name := range others[:3] {
					_ = i
					b.hear(name, all(4, truth^3)...) // up is 1, down 2
				}
				for i := range 4 {
					b.own(i, truth^3, false)
				}
				b.decide(time.Second)
				b.want(all(4, truth^3)...)
			}
		}
	}
}

// Votes grow old and are lost; what is believed stays.
func TestOldVotesAreLost(t *testing.T) {
	for _, rule := range []Rule{{}, {Kind: AtLeast, K: 3}, {Kind: Share}, {Kind: Any}, {Kind: RegionFirst}} {
		b := newBench(t, 3, rule)
		b.SetLinked(true, b.now)
		for _, name := range others {
			b.hear(name, up, up, down)
		}
		b.decide(0)
		b.want(up, up, down)
		for range 20 {
			b.decide(time.Second)
		}
		for i := range 3 {
			if row, _ := b.Row(web(i), b.now); len(row.Votes) != 4 || row.Votes[0].Silence == "" {
				t.Errorf("%v: %+v", rule, row)
			}
		}
		for range 4000 {
			b.decide(time.Second)
		}
		b.want(up, up, down)
		b.none()
		if list := b.Probers(); len(list) != 1 {
			t.Errorf("%v: after an hour, still known: %+v", rule, list)
		}
	}
}

// A prober that publishes goes on, but its checks do not: its votes are lost one by one.
func TestVoteOfAnOldCheck(t *testing.T) {
	b := newBench(t, 1, Rule{})
	b.own(0, up, false)
	rep := Report{Prober: Prober{Name: "b"}, TTL: time.Minute, Full: true, Entries: []Entry{{1, Vote{State: down, TTL: 1, Checked: b.now}}}}
	for i := range 8 {
		rep.Seq++
		if err := b.Hear(&rep, b.now); err != nil {
			t.Fatal(err)
		}
		b.own(0, up, false)
		b.decide(time.Second)
		row, _ := b.Row(web(0), b.now)
		if lost := row.Votes[1].Silence != ""; lost != (i >= 6) {
			t.Errorf("after %d s: %+v", i+1, row.Votes[1])
		}
	}
}

// A prober without others to which nothing answers any more changes nothing: not while it is blind, and not when it sees again. What
// did fall down meanwhile is found out then.
func TestBlindAlone(t *testing.T) {
	b := newBench(t, 6, Rule{})
	tick := func(n int, s policy.State, silent bool) {
		for range n {
			for i := range 6 {
				b.own(i, s, silent)
				b.decide(time.Second / 6)
			}
		}
	}
	tick(3, up, false)
	tick(2, up, true) // fails, and is not down yet
	tick(600, down, true)
	if bad, why := b.Suspect(); !bad || why == "" || b.Tallies().Suspect != 6 {
		t.Errorf("suspect %v (%s), %+v", bad, why, b.Tallies())
	}
	b.own(0, down, false) // something answers
	b.decide(0)
	if bad, _ := b.Suspect(); bad {
		t.Error("it sees, and still doubts itself")
	}
	for range 3 { // not all is up again at once
		for i := range 5 {
			b.own(i, down, false)
		}
		b.own(5, down, true)
		b.decide(time.Second)
	}
	b.none()
	for range 2 {
		for i := range 5 {
			b.own(i, up, false)
		}
		b.own(5, down, true)
		b.decide(time.Second)
	}
	b.want(up, up, up, up, up, down)
}

// A few endpoints that are gone are gone, although they are silent: others answer.
func TestSomeAreGone(t *testing.T) {
	b := newBench(t, 6, Rule{})
	for range 3 {
		for i := range 6 {
			b.own(i, up, false)
		}
		b.decide(time.Second)
	}
	for n := range 3 {
		for i := range 6 {
			switch {
			case i > 0 && n == 2:
				b.own(i, down, true)
			case i > 0:
				b.own(i, up, true)
			default:
				b.own(i, up, false)
			}
		}
		b.decide(time.Second)
	}
	b.want(up, down, down, down, down, down)
}

// A prober that loses most of its targets while others do not has no vote, here nor elsewhere; one that loses what others lose, too, has.
func TestSuspect(t *testing.T) {
	b := newBench(t, 5, Rule{Kind: Any})
	b.hear("b", all(5, up)...)
	b.hear("c", up, down, down, down, up)
	for i := range 5 {
		b.own(i, up, false)
	}
	b.decide(0)
	if p := b.Probers()[2]; p.Suspect == "" || p.Lost != 3 {
		t.Errorf("c: %+v", p)
	}
	b.hear("b", up, down, down, up, up)
	b.decide(0)
	if p := b.Probers()[2]; p.Suspect != "" || p.Lost != 1 {
		t.Errorf("c, confirmed by b: %+v", p)
	}

	b = newBench(t, 5, Rule{Kind: Local}) // even where this prober alone decides
	for _, s := range []policy.State{up, down} {
		b.hear("b", all(5, up)...)
		for i := range 5 {
			b.own(i, s, true)
		}
		b.decide(time.Second)
	}
	b.none()
	if rep := b.Report(nil, b.now); !rep.Suspect || len(rep.Entries) != 5 {
		t.Errorf("report %+v", rep)
	}
}

// A site goes, with its prober: the other node hears it no more, although it could, and believes its own eyes.
func TestSiteGoesWithItsProber(t *testing.T) {
	b := newBench(t, 4, Rule{})
	b.SetLinked(true, b.now)
	b.hear("b", up, up, up, up)
	for i := range 4 {
		b.own(i, up, false)
	}
	b.decide(time.Second)
	for range 30 {
		b.own(0, up, false)
		for i := range 3 {
			b.own(i+1, down, true)
		}
		b.decide(time.Second)
	}
	b.want(up, down, down, down)
	for i := range 3 {
		row, _ := b.Row(web(i+1), b.now)
		if row.Since > 13*time.Second {
			t.Errorf("%s is down at %v only", web(i+1), row.Since)
		}
	}
}

// A node that is cut off from all others keeps what all believed, and takes only what it sees change from then on; an hour later it
// goes by its own eyes.
func TestCutOff(t *testing.T) {
	b := newBench(t, 5, Rule{})
	b.SetLinked(true, b.now)
	for range 3 {
		for _, name := range others {
			b.hear(name, all(5, up)...)
		}
		b.own(0, down, false) // overruled
		for i := range 4 {
			b.own(i+1, up, false)
		}
		b.decide(time.Second)
	}
	b.want(all(5, up)...)
	b.SetLinked(false, b.now)
	second := func() {
		b.own(0, down, false)
		for i := range 4 {
			b.own(i+1, up, false)
		}
		b.decide(time.Second)
	}
	for range 3590 {
		second()
	}
	b.want(all(5, up)...)
	b.own(1, down, false)
	b.decide(0)
	b.want(up, down, up, up, up)
	if b.Tallies().CutOff != 1 {
		t.Errorf("%+v", b.Tallies())
	}
	for range 30 {
		second()
	}
	b.want(down, up, up, up, up)
}

// After the way to others is back, a node waits for them rather than believe its own eyes for a moment.
func TestBackAgain(t *testing.T) {
	b := newBench(t, 2, Rule{})
	b.SetLinked(true, b.now)
	tick := func(hear bool) {
		for _, name := range others {
			if hear {
				b.hear(name, up, up)
			}
		}
		b.own(0, down, false)
		b.own(1, up, false)
		b.decide(time.Second)
	}
	tick(true)
	b.SetLinked(false, b.now)
	for range 60 {
		tick(false)
	}
	b.SetLinked(true, b.now)
	for range 9 {
		tick(false)
	}
	b.want(up, up)
	tick(true)
	b.want(up, up)
	b.none()
}

// An endpoint that comes and goes changes the answers less and less often; after a quiet time the count begins anew.
func TestHoldDown(t *testing.T) {
	b := newBench(t, 1, Rule{})
	const hold = 10 * time.Second
	b.SetTargets([]Target{{Endpoint: web(0), Key: 1, Hold: hold, Fresh: 5 * time.Second}})
	state := up
	for i := range 4000 {
		if i%3 == 0 {
			state ^= 3
		}
		b.own(0, state, false)
		b.decide(time.Second)
	}
	for i := 2; i < len(b.at); i++ {
		want := min(hold<<min(i-2, 5), MaxHold)
		if gap := b.at[i] - b.at[i-1]; gap < want || gap > want+6*time.Second {
			t.Errorf("change %d comes %v after the one before, want %v", i, gap, want)
		}
	}
	if n := len(b.at); n < 10 || n > 20 {
		t.Errorf("%d changes: %v", n, b.changes)
	}
	for range 2000 { // quiet
		b.own(0, up, false)
		b.decide(time.Second)
	}
	b.at = nil
	for _, s := range []policy.State{down, up} {
		b.own(0, s, false)
		b.decide(time.Second)
	}
	if len(b.at) != 2 {
		t.Errorf("after a quiet time an outage of a second makes changes at %v", b.at)
	}
}

// The TTL of an answer follows a hold-down to its end.
func TestTTLOfHold(t *testing.T) {
	b := newBench(t, 1, Rule{})
	b.SetTargets([]Target{{Endpoint: web(0), Key: 1, Hold: 10 * time.Second, Fresh: 5 * time.Second}})
	for _, s := range []policy.State{up, down, up} {
		b.own(0, s, false)
		b.decide(0)
	}
	var seen []uint32
	for range 11 {
		b.own(0, down, false)
		b.decide(0)
		seen = append(seen, b.ttl[web(0)])
		b.now += time.Second
	}
	if got, want := fmt.Sprint(seen), "[8 8 8 4 4 4 4 2 2 1 3]"; got != want {
		t.Errorf("TTLs %s, want %s", got, want)
	}
	b.want(down)
}

func TestHear(t *testing.T) {
	b := newBench(t, 2, Rule{Kind: Any})
	say := func(name string, boot, seq uint64, full bool, votes ...Entry) error {
		return b.Hear(&Report{Prober: Prober{Name: name}, Boot: boot, Seq: seq, TTL: 10 * time.Second, Full: full, Entries: votes}, b.now)
	}
	vote := func(key uint64, s policy.State) Entry { return Entry{key, Vote{State: s, TTL: 2, Checked: b.now}} }
	for i, c := range []struct {
		name      string
		boot, seq uint64
		want      error
	}{
		{"me", 1, 1, ErrOwnName}, {"b", 5, 2, nil}, {"b", 5, 2, ErrOld}, {"b", 5, 1, ErrOld}, {"b", 4, 9, ErrOld}, {"b", 5, 3, nil}, {"b", 6, 1, nil}, {"b", 5, 4, ErrOld},
	} {
		if err := say(c.name, c.boot, c.seq, true, vote(1, down), vote(2, down), vote(99, up)); !errors.Is(err, c.want) {
			t.Errorf("%d: %v, want %v", i, err, c.want)
		}
	}
	b.decide(0)
	b.want(down, down)
	if err := say("b", 6, 2, false, vote(1, up)); err != nil {
		t.Fatal(err)
	}
	b.decide(0)
	b.want(up, down)
	if err := say("b", 6, 3, true, vote(2, up)); err != nil {
		t.Fatal(err)
	}
	if row, _ := b.Row(web(0), b.now); len(row.Votes) != 0 {
		t.Errorf("a full report leaves out an endpoint, and its vote stays: %+v", row)
	}
	// What changed comes faster than what was written before it: the older report brings what it knows more, and takes nothing back.
	if err := errors.Join(say("b", 6, 5, false, vote(1, down)), say("b", 6, 4, true, vote(1, up), vote(2, up))); err != nil {
		t.Fatal(err)
	}
	b.decide(0)
	b.want(down, up)
	if err := say("b", 6, 5, false, vote(1, up)); !errors.Is(err, ErrOld) {
		t.Error(err)
	}
	b.now += 10 * time.Second
	if err := say("b", 2, 1, true); err != nil { // its clock was set back
		t.Errorf("a lower boot after the higher one is silent: %v", err)
	}
	for i := range MaxProbers - 1 {
		if err := say(fmt.Sprint("x", i), 1, 1, true); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := say("one more", 1, 1, true); !errors.Is(err, ErrFull) {
		t.Errorf("one prober too many: %v", err)
	}
	b.now += 9 * time.Second
	for i := range MaxProbers - 1 {
		if err := say(fmt.Sprint("x", i), 1, 2, true); err != nil {
			t.Fatal(i, err)
		}
	}
	b.now += time.Second
	if err := say("one more", 1, 1, true, vote(1, down)); err != nil {
		t.Errorf("one prober too many, but another is silent: %v", err)
	}
	if row, _ := b.Row(web(1), b.now); len(row.Votes) != 0 {
		t.Errorf("votes of the forgotten are left: %+v", row)
	}
}

// Targets come and go, and change what is checked: what is believed goes by name, what others say by key.
func TestSetTargets(t *testing.T) {
	b := newBench(t, 2, Rule{})
	b.hear("b", down, down)
	b.hear("c", down, down)
	b.own(0, up, false)
	b.decide(0)
	b.want(down, down)
	b.SetTargets([]Target{{Endpoint: web(0), Key: 77, Fresh: time.Minute}})
	b.decide(0)
	b.want(up)
	if _, ok := b.Row(web(1), b.now); ok {
		t.Error("a row that is no target is left")
	}
	if b.Own(web(1), policy.Verdict{State: up}, Result{Checked: true}, b.now) {
		t.Error("an endpoint that is no target may change something")
	}
}

func BenchmarkDecide10k(b *testing.B) {
	m := newBench(b, 10_000, Rule{})
	for _, name := range others {
		m.hear(name, all(10_000, up)...)
	}
	for i := range 10_000 {
		m.own(i, up, false)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Decide(m.now, false, func(Change) {})
	}
}
