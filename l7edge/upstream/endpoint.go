package upstream

import "sync/atomic"

// An Endpoint is what is remembered of one endpoint across Plans. All methods may be called concurrently.
type Endpoint struct {
	name string

	inFlight        atomic.Int64
	served          atomic.Uint64 // weighted count of picks in units of 1/share; see pick.go. Wraps around
	requests        atomic.Uint64
	connectFailures atomic.Uint64
	failures        atomic.Uint64
	serverErrors    atomic.Uint64
}

// Name returns the full name, "service/endpoint".
func (e *Endpoint) Name() string { return e.name }

// InFlight returns the number of requests begun and not ended.
func (e *Endpoint) InFlight() int64 { return e.inFlight.Load() }

// Begin counts a request as sent to the endpoint. Every Begin is followed by exactly one End.
func (e *Endpoint) Begin() {
	e.inFlight.Add(1)
	e.requests.Add(1)
}

// An Outcome is how a request that was sent to an endpoint ended.
type Outcome uint8

// The outcomes.
const (
	Answered      Outcome = iota // a complete response of a status below 500
	ServerError                  // a complete response of status 500 or above
	Failed                       // connected, but no response or only a part of one
	ConnectFailed                // no connection could be made
	Abandoned                    // the client went away, which says nothing about the endpoint
)

// End counts a request as ended.
func (e *Endpoint) End(o Outcome) {
	e.inFlight.Add(-1)
	switch o {
	case ServerError:
		e.serverErrors.Add(1)
	case Failed:
		e.failures.Add(1)
	case ConnectFailed:
		e.connectFailures.Add(1)
	}
}

// Stats are the counts of one endpoint since it first appeared.
type Stats struct {
	Name            string `json:"name"` // "service/endpoint"
	InFlight        int64  `json:"inFlight"`
	Requests        uint64 `json:"requests"`        // attempts, so a request that was retried counts at each endpoint it tried
	ServerErrors    uint64 `json:"serverErrors"`    // responses of status 500 or above
	Failures        uint64 `json:"failures"`        // connected, but no complete response
	ConnectFailures uint64 `json:"connectFailures"` // no connection could be made
}

// Stats returns the counts. They are read one by one, so they may be a few requests apart.
func (e *Endpoint) Stats() Stats {
	return Stats{
		Name:            e.name,
		InFlight:        e.inFlight.Load(),
		Requests:        e.requests.Load(),
		ServerErrors:    e.serverErrors.Load(),
		Failures:        e.failures.Load(),
		ConnectFailures: e.connectFailures.Load(),
	}
}
