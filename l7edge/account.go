package l7edge

import (
	"net/netip"
	"time"

	"github.com/meridian-gslb/meridian/l7edge/upstream"
)

// An account is what is counted and recorded of one request, whatever carries it.
type account struct {
	*carrier
	x *exchange

	start    time.Time
	client   netip.Addr
	proto    string // "HTTP/1.0", "HTTP/1.1" or "HTTP/2.0"
	method   string
	host     string
	agent    string // User-Agent
	path     string // as route.Clean returned it; "" if it was refused
	asked    string // the path as it was sent
	status   int
	written  int64 // bytes of the response's body
	fault    fault
	hijacked bool // the connection was handed over for a tunnel
}

// result says what the end of the request means to its endpoint.
func (a *account) result() upstream.Outcome {
	switch a.fault {
	case noFault:
		if a.status >= 500 {
			return upstream.ServerError
		}
		return upstream.Answered
	case faultClientGone, faultSlowClient, faultBadBody, faultUnfit, faultDrained, faultPanic:
		return upstream.Abandoned
	}
	return upstream.Failed
}

// close ends the request at a time: outcome, metrics, access record.
func (a *account) close(now time.Time) {
	took := now.Sub(a.start)
	if a.x.last != nil {
		a.x.outcome(a.result())
	}
	a.metrics.observe(a, took)
	if a.access != nil {
		a.record(took)
	}
	if a.fault == faultPanic {
		a.x.reset() // nobody knows what state it is in, so nobody else gets it
		return
	}
	a.x.close()
}

// shownPath returns the path for records: the one that was matched and passed on, or what was refused.
func (a *account) shownPath() string {
	if a.path != "" {
		return a.path
	}
	return a.asked
}
