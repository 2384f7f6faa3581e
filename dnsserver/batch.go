package dnsserver

import (
	"time"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// begin comes before the messages of a batch: all of them are answered from one snapshot, at one time.
func (a *Answerer) begin() {
	a.snapshot, a.now = a.Snapshot(), a.Now()
	a.settle()
	a.counters.follow(a.snapshot)
}

// end comes after the messages of a batch: what they counted can be read from now on. It comes before a client can see an answer.
func (a *Answerer) end() { a.counters.publish() }

// took notes how long it took to answer a batch of n messages.
func (a *Answerer) took(n int, d time.Duration) { a.counters.took.observe(n, d) }

// renew lets go of an old snapshot, which may be hundreds of megabytes. A worker without work calls it now and then.
func (a *Answerer) renew() {
	a.begin()
	a.path, a.steered, a.flattened = path{}, nil, wire.RRset{}
}
