package dnsserver

import (
	"net/netip"
	"slices"
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

// maxAddresses is the most addresses in one answer. A service may have thousands of endpoints and a policy that takes no fewer;
// nobody tries that many, and they would not fit.
const maxAddresses = 64

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
	settings  *atomic.Pointer[settings] // go before Limiter and Proxy and what follows; nil = those stay

	// As in Config.
	NSID, Identity, Version, Site string
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

	// Of the query at hand.
	query       wire.Query
	cookieValid bool // the client is where it says: we sent it this cookie
	builder     wire.Builder
	path        path
	client      client
	steered     bool            // a Plan was asked
	asked       policy.Query    // if steered
	decided     policy.Decision // if steered
	scope       uint8           // of the answer to a client subnet

	scratch policy.Scratch
	addrs   []netip.Addr
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
	return &Answerer{
		AnswererOptions: o, counters: newCounters(o.Transport, o.series), proxies: newProxies(o.Proxy), addrs: make([]netip.Addr, 0, maxAddresses),
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
	if len(a.proxies) > 0 {
		var ok bool
		if msg, from, ok = a.proxies.unwrap(msg, from); !ok {
			a.counters.drop(dropProxy)
			return dst
		}
	}
	if from.Port() == 0 { // nobody listens there: a forgery
		a.counters.drop(dropMalformed)
		return dst
	}
	outcome := wire.Parse(msg, &a.query)
	if outcome == wire.Drop {
		a.counters.drop(dropMalformed)
		return dst
	}
	a.builder.Reset(dst, &a.query, a.limit(limit))
	if a.overLimit(from.Addr()) {
		return a.shed(dst)
	}
	a.scope, a.steered, a.path.n, a.path.match = 0, false, 0, zone.Match{}
	if a.query.Keepalive && a.Transport == TCP && a.Keepalive != nil {
		a.builder.SetKeepalive(a.Keepalive())
	}

	rcode := a.refuse(outcome)
	if rcode == wire.NoError {
		rcode = a.resolve(a.snapshot, from.Addr())
	}
	a.builder.SetRCode(rcode)
	a.counters.count(&a.query, from.Addr(), a.path.zone(), rcode)
	return a.builder.Finish(a.UDPSize, a.scope)
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

// refuse returns the code for queries that are not for any data we could have, NoError for all others.
func (a *Answerer) refuse(outcome wire.Outcome) wire.RCode {
	switch outcome {
	case wire.Malformed:
		return wire.FormErr
	case wire.NotImplemented:
		return wire.NotImp
	case wire.BadVersion:
		return wire.BadVers
	}
	if a.query.BadKeepalive && a.Transport == TCP { // RFC 7828 3.2.1
		return wire.FormErr
	}
	if a.query.Name == nil { // no question, but a cookie, which only a server with cookies understands (RFC 7873 5.4)
		return wire.FormErr
	}
	if a.query.Class != wire.ClassIN {
		return wire.Refused
	}
	switch t := a.query.Type; {
	case t == wire.TypeOPT, t == wire.TypeNXNAME: // RFC 6891 6.1.1, 9824 3.5
		return wire.FormErr
	case t == wire.TypeAXFR, t == wire.TypeIXFR: // RFC 5936 4.1, 1995 2
		return wire.Refused
	case t >= 128 && t < wire.TypeANY: // other meta types (RFC 6895 3.1)
		return wire.NotImp
	}
	return wire.NoError
}

// resolve writes the sections of the answer to a question and returns its code: that of the last name of a chain of aliases
// (RFC 6604 3). AA belongs to the first name (RFC 1035 4.1.1).
func (a *Answerer) resolve(s *registry.Snapshot, from netip.Addr) wire.RCode {
	p, b := &a.path, &a.builder
	p.follow(s.Zones, a.query.Name, a.query.Type)
	for i := range p.aliases[:p.n] {
		b.SetAuthoritative()
		b.Add(wire.Answer, p.aliases[i].owner, p.aliases[i].match.Set)
	}
	switch p.match.Kind {
	case zone.NotAuth:
		if p.n == 0 {
			return wire.Refused
		}
		return wire.NoError // the client goes on from the last alias
	case zone.Referral:
		a.refer()
		return wire.NoError
	}
	b.SetAuthoritative()
	switch p.match.Kind {
	case zone.Steered:
		if a.steer(s, from) {
			return wire.NoError
		}
	case zone.NXDomain:
		b.Add(wire.Authority, p.match.Zone.Apex(), p.match.Zone.Negative())
		return wire.NXDomain
	case zone.Answer, zone.Alias:
		b.Add(wire.Answer, p.name, p.match.Set)
		a.addresses(false)
		return wire.NoError
	}
	b.Add(wire.Authority, p.match.Zone.Apex(), p.match.Zone.Negative())
	return wire.NoError
}

// refer writes a referral: the name servers of the zone below, and their addresses. Without the addresses of servers inside that
// zone it would be useless, so they are required (RFC 9471 3).
func (a *Answerer) refer() {
	a.builder.Add(wire.Authority, a.path.match.Cut, a.path.match.Set)
	a.addresses(true)
	a.addresses(false)
}

// addresses adds the addresses of the names in the set found: those that are required, or the others as far as there is room.
func (a *Answerer) addresses(required bool) {
	for i := range a.path.match.Extra {
		switch e := &a.path.match.Extra[i]; {
		case e.Required != required:
		case required:
			a.builder.Add(wire.Additional, e.Name, e.Set)
		default:
			a.builder.AddOptional(wire.Additional, e.Name, e.Set)
		}
	}
}

// steer writes the addresses that the policy chooses, and reports whether there are any.
func (a *Answerer) steer(s *registry.Snapshot, from netip.Addr) bool {
	steer := a.path.match.Steer
	family := a.family(s.Plan, steer)
	if !s.Plan.HasFamily(steer.Service, family) {
		return false
	}
	a.steered, a.client = true, locate(&a.query, from)
	a.asked = policy.Query{
		Service: steer.Service,
		Policy:  steer.Policy,
		Client:  a.client.prefix,
		Family:  family,
		Key:     a.client.key(),
		Dice:    a.Dice(),
		Now:     a.now,
	}
	a.decided = s.Plan.Decide(&a.scratch, a.asked, s.Health)
	a.collect(s.Plan)
	if len(a.addrs) == 0 {
		return false
	}
	a.builder.AddAddresses(a.path.name, steeredTTL(steer.TTL, a.decided.TTL), a.addrs)
	a.scope = a.client.scope(a.decided.Scope)
	a.counters.answered(s.Plan, steer, s.Plan.Endpoint(a.decided.Endpoints[0]).Site, a.decided.Reason)
	return true
}

// family returns the family that a question asks for. ANY gets one set (RFC 8482 4.1): IPv4 if there is any.
func (a *Answerer) family(p *policy.Plan, steer *zone.Steer) policy.Family {
	switch {
	case a.query.Type == wire.TypeAAAA:
		return policy.FamilyV6
	case a.query.Type == wire.TypeANY && !p.HasFamily(steer.Service, policy.FamilyV4):
		return policy.FamilyV6
	}
	return policy.FamilyV4
}

// collect sets addrs to the addresses of the endpoints decided on, in their order, each once: an RRset holds no record twice
// (RFC 2181 5), but one address may serve on several ports.
func (a *Answerer) collect(p *policy.Plan) {
	a.addrs = a.addrs[:0]
	for _, id := range a.decided.Endpoints {
		e := p.Endpoint(id)
		addr := e.V4
		if a.asked.Family == policy.FamilyV6 {
			addr = e.V6
		}
		if addr.IsValid() && !slices.Contains(a.addrs, addr) {
			a.addrs = append(a.addrs, addr)
			if len(a.addrs) == maxAddresses {
				return
			}
		}
	}
}

// steeredTTL returns the TTL of a steered answer in seconds: the record's, but no longer than health is sure to hold, and at least
// 1, so that a resolver can share an answer among those who wait for it.
func steeredTTL(record, health uint32) uint32 {
	if health != 0 {
		record = min(record, health)
	}
	return max(record, 1)
}
