package dnsserver

import (
	"net/netip"
	"time"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
)

// maxBatch is the most messages of a batch.
const maxBatch = 32

// A message is one of a batch, as it was read.
type message struct {
	from    netip.AddrPort // the client behind a proxy, if there is one
	outcome wire.Outcome
	limit   limitState
	zones   *zone.Set // that from sees
	query   wire.Query
}

// A limitState is what the limits said of a message.
type limitState uint8

const (
	unasked limitState = iota
	within
	beyond
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
	a.path, a.steered, a.manner, a.flattened = path{}, nil, nil, wire.RRset{}
	a.zones = nil
	for i := range a.batch {
		a.batch[i].zones = nil
	}
	a.builder.Forget()
	a.scratch.Forget()
}

// renew lets go of an old snapshot. A worker without work calls it now and then.
func (a *Answerer) renew() { a.begin() }

// read reads message i of the batch. Of the first, which may be the only one, it finds the Spot; of the others prepare does.
func (a *Answerer) read(i int, msg []byte, from netip.AddrPort) {
	m := &a.batch[i]
	m.outcome, m.zones = wire.Drop, a.snapshot.Zones
	if len(a.proxies) > 0 {
		var ok bool
		if msg, from, ok = a.proxies.unwrap(msg, from); !ok {
			a.counters.drop(dropProxy)
			return
		}
	}
	m.from, m.limit = from, unasked
	if from.Port() != 0 { // nobody listens there: a forgery
		m.outcome = wire.Parse(msg, &m.query)
	}
	if m.outcome == wire.Drop {
		a.counters.drop(dropMalformed)
		return
	}
	m.zones = m.zones.For(from.Addr())
	if i == 0 {
		a.spots[0] = m.zones.Spot(m.query.Name)
	}
}

// prepare does for the first n messages of the batch at one time what is dearer for each of them.
func (a *Answerer) prepare(n int) {
	if n < 2 {
		return
	}
	for i := 0; i < n && a.limits(); { // first, so that nothing is done for what will not be answered
		i += a.allowAlike(a.batch[i:n])
	}
	zones, plan := a.snapshot.Zones, a.snapshot.Plan
	var names [maxBatch]wire.Name
	for i := range n {
		if m := &a.batch[i]; m.outcome != wire.Drop && m.limit != beyond {
			names[i] = m.query.Name
		}
	}
	for i := 0; i < n; { // those in a row that see the same zones, most often all
		next := i + 1
		for next < n && a.batch[next].zones == a.batch[i].zones {
			next++
		}
		a.warm += a.batch[i].zones.Approach(names[i:next])
		i = next
	}
	for i := range n {
		a.spots[i] = a.batch[i].zones.Spot(names[i])
	}
	a.warm += zones.Fetch(a.spots[:n])
	located := a.places[:0]
	for i := range n {
		if m := &a.batch[i]; m.outcome == wire.Good && m.query.HasSubnet && m.limit != beyond {
			if service, by, ok := zones.Steering(a.spots[i]); ok {
				located = append(located, policy.SpotOf(service, by, m.query.Subnet))
			}
		}
	}
	a.warm += plan.Fetch(located)
}

// allowAlike asks the limits for the first messages of some as far as they are alike: from one address and without a cookie that could
// excuse them, which is looked at later. It returns how many they are, at least 1.
func (a *Answerer) allowAlike(messages []message) int {
	from, n := messages[0].from.Addr(), 0
	for n < len(messages) {
		m := &messages[n]
		if m.outcome == wire.Drop || m.query.Cookie != nil || m.from.Addr() != from {
			break
		}
		n++
	}
	if n == 0 {
		return 1
	}
	together := a.Limiter.limits.Allow(from, n, a.meter.now)
	for i := range messages[:n] {
		if together || n > 1 && a.Limiter.limits.Allow(from, 1, a.meter.now) {
			messages[i].limit = within
		} else {
			messages[i].limit = beyond
		}
	}
	return n
}
