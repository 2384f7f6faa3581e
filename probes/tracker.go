package probes

import (
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// A tracker turns the results of one endpoint's checks into its Verdict. It is pure: results come in, a state comes out; when
// they came does not matter.
//
// The state changes after rise successes or fall failures in a row; a result of the other kind starts the count anew. While the
// state is unknown, the first result decides at once.
type tracker struct {
	rise, fall int           // ≥ 1
	interval   time.Duration // between two results
	state      policy.State  // Unknown, Up or Down
	against    int           // results in a row that contradict the state; less than fall when up, less than rise when down
}

// newTracker returns a tracker that starts from a saved state, or unknown. Probes know only up and down, so any other saved
// state is unknown to them.
func newTracker(c Check, saved policy.State) tracker {
	if saved != policy.Up && saved != policy.Down {
		saved = policy.Unknown
	}
	return tracker{rise: c.Rise, fall: c.Fall, interval: c.Interval, state: saved}
}

// add takes the next result into account.
func (t *tracker) add(ok bool) {
	result := policy.Down
	if ok {
		result = policy.Up
	}
	switch {
	case t.state == policy.Unknown:
		t.state, t.against = result, 0
	case t.state == result:
		t.against = 0
	default:
		if t.against++; t.against >= t.threshold() {
			t.state, t.against = result, 0
		}
	}
}

// threshold returns how many results in a row flip the state.
func (t *tracker) threshold() int {
	if t.state == policy.Down {
		return t.rise
	}
	return t.fall
}

// retune changes the thresholds and the interval to those of c. What contradicts the state so far still counts, but it takes
// at least one more result to flip it.
func (t *tracker) retune(c Check) {
	t.rise, t.fall, t.interval = c.Rise, c.Fall, c.Interval
	t.against = min(t.against, t.threshold()-1)
}

// verdict returns the state and how long an answer may be kept that is given before the next result: the interval times the
// checks needed to flip the state after that one, at least a second. The next result may come at any moment, so the time up to it
// must not count: an answer given just before the check that begins a row of failures would outlive the row by an interval. So
// every answer has expired a second after the flip at the latest, and an endpoint that begins to fail shortens the TTL of the
// answers that name it before it is down.
func (t *tracker) verdict() policy.Verdict {
	if t.state == policy.Unknown {
		return policy.Verdict{}
	}
	after := t.threshold() - t.against - 1
	return policy.Verdict{State: t.state, TTL: seconds(t.interval * time.Duration(after))}
}

// soon returns the Verdict of a state that the next result alone may flip.
func soon(s policy.State) policy.Verdict { return policy.Verdict{State: s, TTL: seconds(0)} }

// seconds rounds d down, but not to 0, which would mean that there is no bound.
func seconds(d time.Duration) uint32 { return max(1, uint32(d/time.Second)) }
