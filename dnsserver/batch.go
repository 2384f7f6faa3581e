package dnsserver

import (
	"time"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// begin comes before the messages of a batch: all of them are answered from one snapshot, at one time.
func (a *Answerer) begin() {
	a.now = a.Now()
	if s := a.Snapshot(); s != a.snapshot {
		a.snapshot = s
		a.forget()
	}
	a.settle()
	a.counters.follow(a.snapshot)
}

// end comes after the messages of a batch: what they counted can be read from now on. It comes before a client can see an answer.
func (a *Answerer) end() { a.counters.publish() }

// took notes how long it took to answer a batch of n messages.
func (a *Answerer) took(n int, d time.Duration) { a.counters.took.observe(n, d) }

// forget lets go of what earlier answers pointed to in an old snapshot, which may be hundreds of megabytes: one name is enough to hold
// all names of its zone.
func (a *Answerer) forget() {
	a.path, a.steered, a.flattened = path{}, nil, wire.RRset{}
	a.builder.Forget()
	a.scratch.Forget()
}

// renew lets go of an old snapshot. A worker without work calls it now and then.
func (a *Answerer) renew() { a.begin() }
