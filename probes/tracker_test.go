package probes

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// feed adds the results in s, '+' for success and '-' for failure, and returns the verdicts after each, e.g. "up/15 up/10".
func feed(t *tracker, s string) string {
	var out []string
	for _, c := range s {
		t.add(c == '+')
		out = append(out, show(t.verdict()))
	}
	return strings.Join(out, " ")
}

func show(v policy.Verdict) string {
	name := map[policy.State]string{policy.Unknown: "?", policy.Up: "up", policy.Down: "down"}[v.State]
	return fmt.Sprintf("%s/%d", name, v.TTL)
}

func TestTracker(t *testing.T) {
	usual := Check{Rise: 2, Fall: 3, Interval: 5 * time.Second}
	for _, tc := range []struct {
		name    string
		check   Check
		saved   policy.State
		results string
		want    string
	}{
		{"first success counts at once", usual, policy.Unknown, "+", "up/10"},
		{"first failure counts at once", usual, policy.Unknown, "-", "down/5"},
		{"steady up", usual, policy.Unknown, "+++++", "up/10 up/10 up/10 up/10 up/10"},
		{"steady down", usual, policy.Unknown, "----", "down/5 down/5 down/5 down/5"},
		{"falling", usual, policy.Unknown, "+---", "up/10 up/5 up/1 down/5"},
		{"rising", usual, policy.Unknown, "-++", "down/5 down/1 up/10"},
		{"isolated failures are forgotten", usual, policy.Unknown, "+--+--+-", "up/10 up/5 up/1 up/10 up/5 up/1 up/10 up/5"},
		{"isolated successes are forgotten", usual, policy.Unknown, "-+-+-++", "down/5 down/1 down/5 down/1 down/5 down/1 up/10"},
		{"saved up survives a failure", usual, policy.Up, "--+", "up/5 up/1 up/10"},
		{"saved up falls", usual, policy.Up, "---", "up/5 up/1 down/5"},
		{"saved down survives a success", usual, policy.Down, "+-++", "down/1 down/5 down/1 up/10"},
		{"saved drained is unknown to probes", usual, policy.Drained, "+", "up/10"},
		{"thresholds of one", Check{Rise: 1, Fall: 1, Interval: 10 * time.Second}, policy.Unknown, "+-+", "up/1 down/1 up/1"},
		{"part of a second is rounded down", Check{Rise: 1, Fall: 4, Interval: 900 * time.Millisecond}, policy.Up, "+---", "up/2 up/1 up/1 up/1"},
		{"never zero", Check{Rise: 1, Fall: 2, Interval: 100 * time.Millisecond}, policy.Up, "+-", "up/1 up/1"},
		{"the largest", Check{Rise: 100, Fall: 100, Interval: time.Hour}, policy.Unknown, "+", "up/356400"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := newTracker(tc.check, tc.saved)
			if got := feed(&tr, tc.results); got != tc.want {
				t.Errorf("results %s:\n got %s\nwant %s", tc.results, got, tc.want)
			}
		})
	}
}

func TestTrackerBeforeTheFirstResult(t *testing.T) {
	c := Check{Rise: 2, Fall: 3, Interval: 5 * time.Second}
	for saved, want := range map[policy.State]string{
		policy.Unknown: "?/0", policy.Up: "up/10", policy.Down: "down/5", policy.Drained: "?/0",
	} {
		tr := newTracker(c, saved)
		if got := show(tr.verdict()); got != want {
			t.Errorf("saved %d: got %s, want %s", saved, got, want)
		}
	}
}

func TestTrackerRetune(t *testing.T) {
	tr := newTracker(Check{Rise: 2, Fall: 5, Interval: 5 * time.Second}, policy.Up)
	feed(&tr, "----")
	tr.retune(Check{Rise: 1, Fall: 2, Interval: 10 * time.Second})
	if got, want := show(tr.verdict()), "up/1"; got != want {
		t.Fatalf("after a lower threshold: got %s, want %s: a change of settings alone must not flip the state", got, want)
	}
	if got, want := feed(&tr, "-+"), "down/1 up/10"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// naive is the definition of the tracker, read off the whole history.
func naive(c Check, saved policy.State, history []bool) policy.Verdict {
	state := saved
	begin := 0 // results before it led to state
	for i, ok := range history {
		now := map[bool]policy.State{true: policy.Up, false: policy.Down}[ok]
		if state == policy.Unknown {
			state, begin = now, i+1
			continue
		}
		if lastEqual(history[begin:i+1], ok) >= needed(c, state) && now != state {
			state, begin = now, i+1
		}
	}
	if state == policy.Unknown {
		return policy.Verdict{}
	}
	against := lastEqual(history[begin:], state != policy.Up)
	return policy.Verdict{State: state, TTL: max(1, uint32((needed(c, state)-against-1)*int(c.Interval/time.Second)))}
}

// lastEqual counts how many results at the end of history are ok.
func lastEqual(history []bool, ok bool) int {
	n := 0
	for n < len(history) && history[len(history)-1-n] == ok {
		n++
	}
	return n
}

func needed(c Check, s policy.State) int {
	if s == policy.Down {
		return c.Rise
	}
	return c.Fall
}

func TestTrackerAgreesWithItsDefinition(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		c := Check{Rise: 1 + dice.IntN(5), Fall: 1 + dice.IntN(5), Interval: time.Duration(1+dice.IntN(30)) * time.Second}
		saved := []policy.State{policy.Unknown, policy.Up, policy.Down}[dice.IntN(3)]
		odds := dice.Float64()
		tr := newTracker(c, saved)
		var history []bool
		for range 60 {
			ok := dice.Float64() < odds
			history = append(history, ok)
			before := tr.verdict()
			tr.add(ok)
			got, want := tr.verdict(), naive(c, saved, history)
			if got != want {
				t.Fatalf("%+v from %d after %v: got %+v, want %+v", c, saved, history, got, want)
			}
			if got.TTL == 0 || got.Forced {
				t.Fatalf("a verdict from a result must have a bound and no force: %+v", got)
			}
			if before.State != policy.Unknown && got.State != before.State && before.TTL != 1 {
				t.Fatalf("flipped although answers could be kept for %d s", before.TTL)
			}
		}
	}
}
