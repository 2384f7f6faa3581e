package l7edge

import (
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meridian-gslb/meridian/l7edge/route"
	"github.com/meridian-gslb/meridian/l7edge/upstream"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// A core takes requests from the client's side of a carrier to the endpoint's side. It decides and accounts; it moves no byte and
// knows no protocol. All its methods may be called concurrently.
type core struct {
	snap  func() *registry.Snapshot
	site  string // policy.Query.From, by name, because ids belong to one Plan
	limit int64  // of requests in flight
	set   *upstream.Set
	pool  sync.Pool // of *exchange

	inFlight atomic.Int64
	retries  atomic.Uint64
}

func newCore(cfg Config, snap func() *registry.Snapshot) *core {
	c := &core{snap: snap, site: cfg.SiteName, limit: int64(cfg.MaxRequests), set: upstream.NewSet()}
	c.pool.New = func() any { return &exchange{core: c} }
	return c
}

// view returns the endpoints of the current Plan, and makes it the one that idle connections are kept for.
func (c *core) view() *upstream.View {
	s := c.snap()
	return c.set.View(s.Plan, s.Gen)
}

// An exchange is one request, or one stream of HTTP/2, on its way. Its steps, each called once and in this order by a carrier:
//
//	open     take a Snapshot, which is kept to the end
//	admit    is there room for one more?
//	route    which rule governs it?
//	decide   which endpoints does the policy allow, in which order?
//	pick     which of those takes it?                     \  again while retry says so
//	attempt  the carrier connects and sends; outcome says how that went  /
//	close    forget it
//
// A step that returns a fault ends the exchange: the carrier answers with it and goes to close. An exchange belongs to one
// goroutine at a time.
type exchange struct {
	core *core
	snap *registry.Snapshot
	view *upstream.View
	rule *route.Rule // nil before route

	admitted bool
	scratch  policy.Scratch
	allowed  []policy.EndpointID // what the policy allows, best first; in scratch
	from, to int                 // the part of allowed that is being tried: first the tier, then what follows it one by one
	tried    [route.MaxRetries + 1]policy.EndpointID
	attempts int
	repeats  int              // attempts on an endpoint that was tried just before
	current  *upstream.Member // the endpoint of the attempt that is going on, or nil
	last     *upstream.Member // the endpoint of the last attempt, or nil
}

// open begins an exchange. It must be closed.
func (c *core) open() *exchange {
	x := c.pool.Get().(*exchange)
	x.snap = c.snap()
	return x
}

// admit counts the request in, unless the limit of requests in flight is reached.
func (x *exchange) admit() fault {
	if x.core.inFlight.Add(1) > x.core.limit {
		x.core.inFlight.Add(-1)
		return faultOverload
	}
	x.admitted = true
	return noFault
}

// route finds the rule for a host, which may carry a port, and a path that route.Clean returned.
func (x *exchange) route(host, path string) fault {
	rule, ok := x.snap.Routes.Match(host, path)
	if !ok {
		return faultNoRoute
	}
	x.rule = rule
	return noFault
}

// decide asks the rule's policy which endpoints may take the request of a client at an address.
func (x *exchange) decide(client netip.Addr) fault {
	d := x.snap.Plan.Decide(&x.scratch, x.query(client), x.snap.Health)
	x.view = x.core.set.View(x.snap.Plan, x.snap.Gen)
	x.allowed, x.from, x.to = d.Endpoints, 0, d.Tier
	return noFault
}

// query returns what decide asks. The key is that of DNS, so that a client that sticks there, or tries what is new, does so here.
func (x *exchange) query(client netip.Addr) policy.Query {
	q := policy.Query{
		Service: x.rule.Service,
		Policy:  x.rule.Policy,
		Family:  policy.FamilyAddress,
		Want:    math.MaxInt, // all: what a take stage would cut off is there for retries
		Dice:    rand.Uint64(),
		Key:     policy.ClientKey(client),
		Now:     time.Now().Unix(),
	}
	if client.IsValid() {
		q.Client = netip.PrefixFrom(client, client.BitLen())
	}
	if site, ok := x.snap.Plan.SiteByName(x.core.site); ok {
		q.From = site
	}
	return q
}

// pick chooses the endpoint of the next attempt and counts the attempt: one of the equally preferred, as long as there is one that
// was not tried yet, then what follows them in order.
func (x *exchange) pick() (*upstream.Member, fault) {
	for x.from < len(x.allowed) {
		id, ok := x.view.Pick(x.allowed[x.from:x.to], x.tried[:x.attempts], rand.Uint64())
		if ok {
			x.tried[x.attempts] = id
			x.attempts++
			x.current = x.view.Member(id)
			x.last = x.current
			x.current.Begin()
			return x.current, noFault
		}
		x.from, x.to = x.to, x.to+1
	}
	return nil, faultNoEndpoint
}

// outcome ends the attempt that is going on, if there is one.
func (x *exchange) outcome(o upstream.Outcome) {
	if x.current != nil {
		x.current.End(o)
		x.current = nil
	}
}

// repeat counts another attempt on the endpoint of the last one, whose connection turned out to be closed: that says nothing about the
// endpoint.
func (x *exchange) repeat() {
	x.outcome(upstream.Abandoned)
	x.repeats++
	x.current = x.last
	x.current.Begin()
}

// retry reports whether another endpoint may be tried after an attempt that ended with err: only if no connection could be made
// and nothing of the request's body has been read, so that the next endpoint gets all of the request and no other got any.
func (x *exchange) retry(err error, bodyTouched bool) bool {
	var connect *upstream.ConnectError
	if bodyTouched || !errors.As(err, &connect) || x.attempts > min(x.rule.Retries, route.MaxRetries) {
		return false
	}
	return true
}

// close ends the exchange. Nothing of it may be used afterwards.
func (x *exchange) close() {
	x.reset()
	x.core.pool.Put(x)
}

// reset undoes all steps, and keeps the memory of decide.
func (x *exchange) reset() {
	x.outcome(upstream.Abandoned)
	if x.admitted {
		x.core.inFlight.Add(-1)
	}
	x.snap, x.view, x.rule, x.allowed, x.last = nil, nil, nil, nil, nil
	x.admitted, x.attempts, x.repeats, x.from, x.to = false, 0, 0, 0, 0
}
