package policy

import (
	"fmt"
	"math"
)

// A State says whether an endpoint may receive traffic.
type State uint8

// States, best first. Unknown (never checked) counts as up.
const (
	Unknown State = iota
	Up
	Down    // checks fail, or an operator forces it down
	Drained // an operator takes it out; left out even when failing open, unless nothing else exists
)

// stateNames is indexed by State.
var stateNames = [...]string{"unknown", "up", "down", "drained"}

// Usable reports whether an endpoint in this state may receive traffic without failing open.
func (s State) Usable() bool { return s <= Up }

// String returns "unknown", "up", "down" or "drained".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MarshalText returns the same words as String, or an error for a value that is no State.
func (s State) MarshalText() ([]byte, error) {
	if int(s) >= len(stateNames) {
		return nil, fmt.Errorf("policy: %d is not a state", uint8(s))
	}
	return []byte(stateNames[s]), nil
}

// UnmarshalText accepts the words of MarshalText and nothing else.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if string(text) == name {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("policy: %q is not a state: want unknown, up, down or drained", text)
}

// A Load is how much of what an endpoint can take it has to do, in thousandths. 0 is nothing, or that nobody says.
type Load uint16

// LoadOf returns a share as a Load, rounded, from 0 to the largest there is.
func LoadOf(share float64) Load {
	return Load(max(0, min(math.Round(share*1000), math.MaxUint16)))
}

// Share returns a Load as a share: 1 is all that the endpoint can take.
func (l Load) Share() float64 { return float64(l) / 1000 }

// A Verdict is what is believed of one endpoint at one moment. The zero Verdict is "unknown, not forced, no load, no TTL bound".
type Verdict struct {
	State  State
	Forced bool // set by an operator, beats probes
	Load   Load

	// TTL is how many seconds an answer that depends on the endpoint may be kept at most, from whenever it is given while this
	// Verdict stands, so that it has expired by a second after the state changes. 0 = no bound.
	TTL uint32
}

// Worse combines two beliefs about one endpoint: the worse state, forced if either is, the larger load, the smaller bound. It is commutative,
// associative and idempotent, and the zero Verdict changes nothing.
func (v Verdict) Worse(w Verdict) Verdict {
	return Verdict{State: max(v.State, w.State), Forced: v.Forced || w.Forced, Load: max(v.Load, w.Load), TTL: min(v.TTL-1, w.TTL-1) + 1} // 0-1 is the largest
}

// A page holds the Verdicts of 256 consecutive endpoints: With copies one page and the list of pages, so a change among 100,000
// endpoints copies 5 KiB.
type page [pageSize]Verdict

const (
	pageBits = 8
	pageSize = 1 << pageBits
)

// Health holds a Verdict for every endpoint of one Plan. It never changes, so it is safe for concurrent use; With returns a new
// one that shares what did not change. The zero Health says "unknown" of everything.
type Health struct {
	pages []*page
	n     int
}

// NewHealth returns the Health of n endpoints of which nothing is known. Use it with n = Plan.NumEndpoints().
func NewHealth(n int) Health {
	h := Health{pages: make([]*page, (n+pageSize-1)>>pageBits), n: n}
	blank := new(page) // shared: With copies before it writes
	for i := range h.pages {
		h.pages[i] = blank
	}
	return h
}

// HealthOf returns a Health with the given Verdicts, indexed by EndpointID. It is the cheap way to set many at once.
func HealthOf(verdicts []Verdict) Health {
	h := Health{pages: make([]*page, 0, (len(verdicts)+pageSize-1)>>pageBits), n: len(verdicts)}
	for len(verdicts) > 0 {
		p := new(page)
		verdicts = verdicts[copy(p[:], verdicts):]
		h.pages = append(h.pages, p)
	}
	return h
}

// Len returns the number of endpoints.
func (h Health) Len() int { return h.n }

// Of returns the Verdict of an endpoint, the zero Verdict if id is out of range.
func (h Health) Of(id EndpointID) Verdict {
	if i := int(id >> pageBits); i < len(h.pages) {
		return h.pages[i][id&(pageSize-1)]
	}
	return Verdict{}
}

// With returns a Health that differs from h in the Verdict of one endpoint. An id out of range returns h itself.
func (h Health) With(id EndpointID, v Verdict) Health {
	if int(id) >= h.n || h.Of(id) == v {
		return h
	}
	pages := make([]*page, len(h.pages))
	copy(pages, h.pages)
	p := *pages[id>>pageBits]
	p[id&(pageSize-1)] = v
	pages[id>>pageBits] = &p
	return Health{pages: pages, n: h.n}
}
