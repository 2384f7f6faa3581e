package dnsserver

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// A Transport is what carries messages to an Answerer.
type Transport uint8

// The transports.
const (
	UDP Transport = iota // responses are as short as the client asks for
	TCP
)

// AnswererOptions are what an Answerer needs.
type AnswererOptions struct {
	Snapshot  func() *registry.Snapshot // required; loaded once for each batch of messages; never nil
	Dice      func() uint64             // required; fresh random numbers, of this Answerer alone
	Now       func() int64              // Unix seconds, read once for each batch; default: the clock
	Transport Transport                 // default UDP
	UDPSize   uint16                    // announced to clients; default DefaultUDPSize
	Limiter   *Limiter                  // shared by all; nil = everybody is answered, however often
	Proxy     []netip.Prefix            // from where messages begin with a header of the PROXY protocol, version 2
	series    *series                   // shared by all; nil = of this Answerer alone
	sampler   *sampler                  // of this Answerer alone; nil = nobody wants to know who asks
	settings  *atomic.Pointer[settings] // go before Limiter and Proxy and what follows; nil = those stay

	// As in Config.
	NSID, Identity, Version, Site string
	ExplainFrom                   []netip.Prefix
	Cookies                       CookieConfig // Answerers of one server must be given the same secrets; without any, each makes its own

	// Keepalive returns how long a TCP client that asks may leave its connection idle, in units of 100 ms; 0 asks it to close the
	// connection (RFC 7828 3.4). nil: nobody is told.
	Keepalive func() uint16
}

// An Answerer answers messages. It owns its working memory, its dice and its counters: each worker has one, and calls it from one
// goroutine at a time.
type Answerer struct {
	AnswererOptions
	counters *counters
	proxies  proxies
	settled  *settings // those of settings that were taken over last

	// Of the batch at hand.
	snapshot *registry.Snapshot
	now      int64
	meter    meter
	batch    []message             // room for the largest
	spots    [maxBatch]zone.Spot   // of the messages' names, whatever their views
	places   [maxBatch]policy.Spot // of the client subnets among them
	warm     uint32                // what prepare has read; else the compiler could leave out what nobody needs

	// Of the query at hand.
	from        netip.AddrPort
	query       *wire.Query // in the batch
	rrtype      uint16      // that is looked up: the query's, or what ANY stands for
	zones       *zone.Set   // that the client sees
	cookieValid bool        // the client is where it says: we sent it this cookie
	builder     wire.Builder
	path        path
	located     bool // client is set
	client      client
	freeDice    bool            // Dice are those of all questions
	steered     *zone.Steer     // the last record for which a Plan was asked, or nil
	manner      *zone.Manner    // if steered: of it, or nil
	asked       policy.Query    // if steered
	decided     policy.Decision // if steered
	scope       uint8           // of the answer to a client subnet

	// Working memory.
	scratch   policy.Scratch
	addrs     []netip.Addr
	set       set
	flattened wire.RRset
	names     []byte // names that were made for the query at hand, one after the other
}

// NewAnswerer returns an Answerer that has counted nothing yet.
func NewAnswerer(o AnswererOptions) *Answerer {
	if o.Now == nil {
		o.Now = func() int64 { return time.Now().Unix() }
	}
	if o.UDPSize == 0 {
		o.UDPSize = DefaultUDPSize
	}
	if o.series == nil {
		o.series = newSeries()
	}
	if o.settings == nil {
		o.Cookies = o.Cookies.withDefaults()
	}
	return &Answerer{
		batch: make([]message, 1), AnswererOptions: o, counters: newCounters(o.Transport, o.series), proxies: newProxies(o.Proxy), addrs: make([]netip.Addr, 0, maxAddresses),
		names: make([]byte, 0, (maxAliases+1)*wire.MaxName), // of every alias, and of one that is not followed
	}
}

// Answer is the whole server: it appends to dst the response to a message that came from an address, of at most limit bytes, and
// returns the extended buffer. It appends nothing if the message must not be answered. limit is what the transport carries, at
// least 512; over UDP, what the client takes bounds it further. dst and msg must not overlap. Answer does not allocate if dst has
// room for the response.
func (a *Answerer) Answer(dst, msg []byte, from netip.AddrPort, limit int) []byte {
	a.begin()
	dst = a.answer(dst, msg, from, limit)
	a.end()
	return dst
}

// answer is Answer for one message of a batch.
func (a *Answerer) answer(dst, msg []byte, from netip.AddrPort, limit int) []byte {
	a.read(0, msg, from)
	return a.reply(0, dst, limit)
}

// reply appends to dst the response to message i of the batch, as answer does.
func (a *Answerer) reply(i int, dst []byte, limit int) []byte {
	m := &a.batch[i]
	if m.outcome == wire.Drop {
		return dst
	}
	a.query, a.zones, a.path.spot = &m.query, m.zones, a.spots[i]
	from := m.from
	a.reset(dst, from, limit)
	a.checkCookie()
	if m.limit == beyond || m.limit == unasked && a.overLimit(from.Addr()) {
		return a.shed(dst)
	}
	a.options()
	rcode, done := a.refuse(m.outcome)
	if !done && (len(a.ExplainFrom) == 0 || !a.explains()) {
		rcode = a.resolve()
	}
	a.builder.SetRCode(rcode)
	a.counters.count(a.query, from.Addr(), a.path.first, a.path.spot.Zone(), rcode)
	return a.builder.Finish(a.UDPSize, a.scope)
}

// reset begins the response to a query that was just parsed.
func (a *Answerer) reset(dst []byte, from netip.AddrPort, limit int) {
	a.from, a.rrtype = from, a.query.Type
	a.builder.Reset(dst, a.query, a.limit(limit))
	a.path.reset(a.query.Name)
	a.scope, a.steered, a.located = 0, nil, false
	a.set.reset()
	a.names = a.names[:0]
}

// options answers the query's EDNS options but its cookie and the client subnet, which the limits and the decision need first.
func (a *Answerer) options() {
	if a.NSID != "" {
		a.builder.SetNSID(a.NSID)
	}
	if a.query.Keepalive && a.Transport == TCP && a.Keepalive != nil {
		a.builder.SetKeepalive(a.Keepalive())
	}
}

// limit returns the most bytes of the response: over UDP no more than the client takes, which is 512 unless it says more
// (RFC 1035 4.2.1, 6891 6.2.3).
func (a *Answerer) limit(limit int) int {
	if a.Transport != UDP {
		return limit
	}
	size := wire.MinUDP
	if a.query.HasOPT {
		size = max(size, int(a.query.UDPSize))
	}
	return min(limit, size)
}

// refuse returns the code for queries that are not for any data in zones, and whether the query is one.
func (a *Answerer) refuse(outcome wire.Outcome) (rcode wire.RCode, done bool) {
	switch outcome {
	case wire.Malformed:
		return wire.FormErr, true
	case wire.NotImplemented:
		return a.unsupported(wire.NotImp), true
	case wire.BadVersion:
		return wire.BadVers, true
	}
	switch {
	case a.query.BadKeepalive && a.Transport == TCP: // RFC 7828 3.2.1
		return wire.FormErr, true
	case a.query.Name == nil:
		return a.cookieOnly(), true
	case a.badCookie():
		return wire.BadCookie, true
	case a.query.Class == wire.ClassCH:
		return a.chaos(), true
	case a.query.Class != wire.ClassIN:
		return a.unsupported(wire.Refused), true
	}
	switch t := a.query.Type; {
	case t == wire.TypeOPT, t == wire.TypeNXNAME: // RFC 6891 6.1.1, 9824 3.5
		a.builder.SetError(wire.InvalidQueryType, "")
		return wire.FormErr, true
	case t == wire.TypeAXFR, t == wire.TypeIXFR: // RFC 5936 4.1, 1995 2
		return a.unsupported(wire.Refused), true
	case t >= 128 && t < wire.TypeANY: // other meta types (RFC 6895 3.1)
		return a.unsupported(wire.NotImp), true
	}
	return wire.NoError, false
}

// unsupported returns a code, after adding that it is not about this query but about what this server does not do.
func (a *Answerer) unsupported(rcode wire.RCode) wire.RCode {
	a.builder.SetError(wire.NotSupported, "")
	return rcode
}
