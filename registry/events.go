package registry

import (
	"sync"
	"time"
)

// MaxEvents is how many Events are kept: the latest.
const MaxEvents = 1000

// The kinds of Event.
const (
	EventEndpoint = "endpoint" // an endpoint's state in force changed
	EventProber   = "prober"   // a prober appeared, was lost, or became suspect or trustworthy
	EventVantage  = "vantage"  // what carries the probers' reports came or went
)

// An Event is something that happened once: a change of state, with its reason.
type Event struct {
	Seq    uint64    `json:"seq"` // grows by one from Event to Event; begins at 1 with the process
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Name   string    `json:"name"` // of an endpoint the full name
	From   string    `json:"from"`
	To     string    `json:"to"`
	Forced bool      `json:"forced,omitempty"` // by an operator
	Why    string    `json:"why,omitempty"`
}

// A history is the last MaxEvents Events.
type history struct {
	mu   sync.Mutex
	ring []Event // the one of Seq n is at (n-1) % MaxEvents
	last uint64
}

// Note adds an Event to the history. It sets Seq, and At if that is zero.
func (r *Registry) Note(e Event) {
	if e.At.IsZero() {
		e.At = r.now()
	}
	e.At = e.At.Round(0).UTC()
	h := &r.history
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	e.Seq = h.last
	if len(h.ring) < MaxEvents {
		h.ring = append(h.ring, e)
	} else {
		h.ring[(e.Seq-1)%MaxEvents] = e
	}
}

// Events returns the Events of the history whose Seq is greater than after, oldest first.
func (r *Registry) Events(after uint64) []Event {
	h := &r.history
	h.mu.Lock()
	defer h.mu.Unlock()
	first := max(after, h.last-uint64(len(h.ring))) + 1
	out := []Event{}
	for seq := first; seq <= h.last; seq++ {
		out = append(out, h.ring[(seq-1)%MaxEvents])
	}
	return out
}
