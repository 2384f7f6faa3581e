package probes

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestFollowing(t *testing.T) {
	const interval = 10 * time.Second
	for _, tc := range []struct {
		name     string
		due, now time.Duration
		dice     float64
		next     time.Duration
		missed   int
	}{
		{"on time, no jitter", 0, 0, 0, 9950 * time.Millisecond, 0},
		{"on time, half the jitter", 0, 0, 0.5, 9550 * time.Millisecond, 0},
		{"early", 5 * time.Second, 4960 * time.Millisecond, 0, 14950 * time.Millisecond, 0},
		{"a delay does not add up", 0, 3 * time.Second, 0, 9950 * time.Millisecond, 0},
		{"the next is due at this moment", 0, 9950 * time.Millisecond, 0, 19950 * time.Millisecond, 1},
		{"one missed", 0, interval + time.Second, 0, 19950 * time.Millisecond, 1},
		{"an hour missed", 0, time.Hour + time.Second, 0, time.Hour + 9950*time.Millisecond, 360},
		{"missed, the phase is kept", 3 * time.Second, time.Minute, 0.5, 62550 * time.Millisecond, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			next, missed := following(tc.due, tc.now, interval, tc.dice)
			if next != tc.next || missed != tc.missed {
				t.Errorf("got %s and %d missed, want %s and %d", next, missed, tc.next, tc.missed)
			}
		})
	}
}

func TestFollowingIsAlwaysAheadAndNeverLate(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		interval := MinInterval + time.Duration(dice.Int64N(int64(MaxInterval-MinInterval)))
		due := time.Duration(dice.Int64N(int64(time.Hour)))
		now := due + time.Duration(dice.ExpFloat64()*float64(interval))
		next, missed := following(due, now, interval, dice.Float64())
		if next <= now || next > now+interval {
			t.Fatalf("due %s, now %s, interval %s: next %s is not within the interval to come", due, now, interval, next)
		}
		gap := next - due - time.Duration(missed)*interval
		if gap+early(interval) > interval || gap-early(interval) < interval*9/10 {
			t.Fatalf("gap %s of interval %s with %d missed", gap, interval, missed)
		}
	}
}

func TestScheduleOrdersByDue(t *testing.T) {
	dice := rand.New(rand.NewPCG(5, 6))
	var s schedule
	var all []*probe
	for range 500 {
		b := &probe{due: time.Duration(dice.IntN(1000))}
		all = append(all, b)
		s.add(b)
	}
	for _, i := range dice.Perm(500)[:100] {
		s.remove(all[i])
		all[i] = nil
	}
	all = slices.DeleteFunc(all, func(b *probe) bool { return b == nil })
	for _, b := range all[:200] {
		b.due = time.Duration(dice.IntN(1000))
		s.fix(b)
	}
	slices.SortStableFunc(all, func(a, b *probe) int { return int(a.due - b.due) })
	for i, want := range all {
		if got := s[0]; got.due != want.due {
			t.Fatalf("at %d: due %d, want %d", i, got.due, want.due)
		}
		s.remove(s[0])
	}
	if len(s) != 0 {
		t.Fatalf("%d left over", len(s))
	}
}

func TestQueueAgreesWithSlice(t *testing.T) {
	dice := rand.New(rand.NewPCG(7, 8))
	var q queue
	var model []*probe
	for range 50_000 {
		switch n := dice.IntN(20); {
		case n < 10:
			b := &probe{removed: dice.IntN(3) == 0}
			q.push(b)
			model = append(model, b)
		case n < 19:
			var want *probe
			if len(model) > 0 {
				want, model = model[0], model[1:]
			}
			if got := q.pop(); got != want {
				t.Fatalf("popped %p, want %p", got, want)
			}
		default:
			q.keep(func(b *probe) bool { return !b.removed })
			model = slices.DeleteFunc(slices.Clone(model), func(b *probe) bool { return b.removed })
		}
	}
}

func TestQueueThatIsNeverEmptyDoesNotGrow(t *testing.T) {
	var q queue
	for range 10 {
		q.push(&probe{})
	}
	for range 10_000 {
		q.push(&probe{})
		q.pop()
	}
	if cap(q.items) > 64 {
		t.Errorf("room for %d to hold 10", cap(q.items))
	}
}
