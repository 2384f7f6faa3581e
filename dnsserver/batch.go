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
	query   wire.Query
}

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

// read reads message i of the batch.
func (a *Answerer) read(i int, msg []byte, from netip.AddrPort) {
	m := &a.batch[i]
	m.outcome = wire.Drop
	if len(a.proxies) > 0 {
		var ok bool
		if msg, from, ok = a.proxies.unwrap(msg, from); !ok {
			a.counters.drop(dropProxy)
			return
		}
	}
	m.from = from
	if from.Port() != 0 { // nobody listens there: a forgery
		m.outcome = wire.Parse(msg, &m.query)
	}
	if m.outcome == wire.Drop {
		a.counters.drop(dropMalformed)
	}
}

// warmUp reads what the answers to the first n messages of the batch will look at, as far as it is in large tables. Memory answers such
// reads at random places late, but many at one time: after this, none of the messages has to wait for itself.
func (a *Answerer) warmUp(n int) {
	if n < 2 {
		return
	}
	var spots [maxBatch]struct {
		name   zone.Spot
		client policy.Spot
	}
	for i := range n {
		if m := &a.batch[i]; m.outcome == wire.Good && m.query.Class == wire.ClassIN {
			spots[i].name = a.snapshot.Zones.Spot(m.query.Name)
			if m.query.HasSubnet {
				spots[i].client = a.snapshot.Plan.Spot(m.query.Subnet)
			}
		}
	}
	warm := uint32(0)
	for i := range n {
		warm += spots[i].name.Touch() + spots[i].client.Touch()
	}
	a.warm = warm // else the compiler could leave out what nobody needs
}
