package dnsserver

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// An Explanation is one answer and how it came about. Its JSON form is what people and programs are shown.
type Explanation struct {
	Name     string        `json:"name"` // as asked, lower case, with the final dot
	Type     string        `json:"type"`
	Client   string        `json:"client,omitempty"`   // as asked; empty = unknown
	Resolver string        `json:"resolver,omitempty"` // where the query comes from, if that was asked; empty = from the client
	Located  string        `json:"located,omitempty"`  // if steered and there is a client: by what it was looked for, e.g. "the client subnet"
	View     string        `json:"view,omitempty"`     // what the client sees; empty = the zones of no view
	Zone     string        `json:"zone,omitempty"`     // that holds the last name of the chain; empty = none of ours
	Record   string        `json:"record,omitempty"`   // the owner in the zone that decided: the name itself, a wildcard, a delegation
	Chain    []string      `json:"chain,omitempty"`    // the aliases followed, first to last, then where they lead
	Kind     string        `json:"kind"`               // what the lookup found, e.g. "steered", "no such name"
	RCode    string        `json:"rcode"`              // e.g. "NOERROR"
	Service  string        `json:"service,omitempty"`  // if steered
	Policy   string        `json:"policy,omitempty"`   // if steered
	Trace    *policy.Trace `json:"trace,omitempty"`    // if steered: every stage

	Variants []VariantTrace `json:"variants,omitempty"` // of names on the way that have some: those that were looked at
	Fallback string         `json:"fallback,omitempty"` // the service that answers for Service; Trace is of it
	Tried    []policy.Trace `json:"tried,omitempty"`    // services of which not enough is up, Service first

	Answers    []string         `json:"answers"`               // the answer section in presentation form
	TTL        uint32           `json:"ttl"`                   // seconds an answer may be kept, negative ones included; 0 = not at all
	Scope      uint8            `json:"scope"`                 // client subnet prefix length that the answer holds for; 0 = everybody
	TTLSteps   []string         `json:"ttl_steps,omitempty"`   // if steered: how the TTL of the steered record came about
	ScopeSteps []string         `json:"scope_steps,omitempty"` // and the scope
	Varies     []string         `json:"varies,omitempty"`      // why the same question may be answered otherwise, things being as they are; none = it is not
	Odds       []Odds           `json:"odds,omitempty"`        // if it is: of the endpoints that may be in the answer
	Health     []EndpointHealth `json:"health,omitempty"`      // of the endpoints of the service; who asks for the Explanation adds it
	Notes      []string         `json:"notes,omitempty"`       // what a person might wonder about
}

// A VariantTrace is one variant of a name, and whether it answers.
type VariantTrace struct {
	Name string `json:"name"`
	When string `json:"when,omitempty"` // its condition in words; "" = it has none
	Why  string `json:"why,omitempty"`  // the condition does not hold; "" = it does, and the variant answers
}

// A Question is what Explain is asked.
type Question struct {
	Name wire.Name // valid, absolute and lower case
	Type uint16

	// Client is whom the answer is for: with a length below the full one a client subnet, a full address that of the resolver or of a
	// client that it speaks for. The zero Prefix is a client that nothing is known of.
	Client netip.Prefix

	// Resolver is the address that the query comes from. The zero Addr means that of Client; else Client, if any, is a client subnet.
	Resolver netip.Addr

	// View is the name of the view to answer from; "" = the one that the address decides on.
	View string
}

// Explain answers a question as an Answerer would over TCP, by the same code, and says why. It draws no dice: where an answer is drawn,
// the same is shown each time, and the odds are said.
func Explain(s *registry.Snapshot, q Question) Explanation {
	name, rrtype, clientPrefix := q.Name, q.Type, q.Client
	if q.View != "" {
		in := *s
		in.Zones, _ = s.Zones.View(q.View)
		s = &in
	}
	a := explainer(s)
	query, from := ask(&q)
	var m dns.Msg
	err := m.Unpack(a.Answer(nil, query, netip.AddrPortFrom(from, 53), 1<<16-1))

	x := Explanation{
		Name: name.String(), Type: dns.Type(rrtype).String(), Kind: a.path.match.Kind.String(), Scope: a.scope,
		RCode: dns.RcodeToString[m.Rcode], Answers: []string{}, View: a.zones.ViewName(),
	}
	if err != nil { // RDATA that is not what its type says; zones are checked for that
		x.note("the answer cannot be read: %v", err)
	}
	if clientPrefix.IsValid() {
		x.Client = clientPrefix.String()
	}
	if q.Resolver.IsValid() {
		x.Resolver = q.Resolver.String()
	}
	if _, refused := a.refuse(wire.Good); refused {
		x.noteRefused(rrtype)
	} else {
		x.found(a)
	}
	for _, rr := range m.Answer {
		x.Answers = append(x.Answers, strings.ReplaceAll(rr.String(), "\t", " "))
	}
	x.TTL = lowestTTL(&m)
	steer := a.path.match.Steer
	if steer == nil {
		steer = a.steered // an alias on the way
	}
	if steer != nil {
		x.Service, x.Policy = s.Plan.ServiceName(steer.Service), s.Plan.PolicyName(steer.Policy)
		if a.steered == steer {
			trace := s.Plan.Explain(a.asked, s.Health)
			x.Trace = &trace
			x.noteManner(s, a)
			x.noteSteered(a, &q)
			x.why(a)
		} else {
			x.note("service %s has no endpoint that answers type %s", x.Service, x.Type)
		}
	}
	return x
}

// explainer returns an Answerer over TCP for questions of one time. It draws no dice.
func explainer(s *registry.Snapshot) *Answerer {
	return NewAnswerer(AnswererOptions{
		Snapshot:  func() *registry.Snapshot { return s },
		Dice:      func() uint64 { return 0 },
		Transport: TCP,
	})
}

// ask returns the query that a client is explained by, and the address it comes from. Without a resolver, a subnet that Answer would
// ignore is taken for the resolver's address, for it is the client that the question is about.
func ask(q *Question) (msg []byte, from netip.Addr) {
	msg = []byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1}
	msg = append(msg, q.Name...)
	msg = append(msg, byte(q.Type>>8), byte(q.Type), 0, byte(wire.ClassIN), 0, 0, byte(wire.TypeOPT), 255, 255, 0, 0, 0, 0)
	from = q.Resolver
	if !q.Client.IsValid() {
		if !from.IsValid() {
			from = netip.IPv4Unspecified()
		}
		return append(msg, 0, 0), from
	}
	p := q.Client.Masked()
	if !from.IsValid() {
		from = q.Client.Addr()
		if seen, _ := unembed(p); p.Bits() == 0 || unrouted(seen) > 0 {
			return append(msg, 0, 0), from
		}
	}
	family := byte(2)
	if p.Addr().Is4() {
		family = 1
	}
	addr := p.Addr().AsSlice()[:(p.Bits()+7)/8]
	msg = append(msg, 0, byte(8+len(addr)), 0, 8, 0, byte(4+len(addr)), 0, family, byte(p.Bits()), 0)
	return append(msg, addr...), from
}

// noteRefused says why a type is not looked up at all.
func (x *Explanation) noteRefused(rrtype uint16) {
	if rrtype == wire.TypeAXFR || rrtype == wire.TypeIXFR {
		x.note("zone transfers are not served")
		return
	}
	x.note("%s is no type of data", x.Type)
}

// found says what the lookup found.
func (x *Explanation) found(a *Answerer) {
	p, m := &a.path, &a.path.match
	for i := range p.links[:p.n] {
		l := &p.links[i]
		x.Chain = append(x.Chain, l.owner.String())
		switch {
		case l.kind == zone.Redirect:
			x.note("%s is below a DNAME", l.owner)
		case l.kind == zone.Flatten:
			x.note("%s is an ALIAS: what it leads to is sent as its own", l.owner)
		case l.steer != nil:
			x.note("%s is an alias that its policy chooses", l.owner)
		}
	}
	if p.n > 0 {
		x.Chain = append(x.Chain, p.name.String())
	}
	for i := range p.links[:p.n] {
		x.foundVariants(a, p.links[i].owner)
	}
	x.foundVariants(a, p.name)
	if p.cut {
		x.note("the way of aliases leads into a circle or is longer than %d; it is not followed further", maxAliases)
	}
	if m.Zone != nil {
		x.Zone = m.Zone.Name()
		if p.n == 0 && !m.Zone.Allows(a.from.Addr()) {
			x.note("zone %s does not answer clients from %s", x.Zone, a.from.Addr())
			return
		}
	}
	x.noteMatch(p)
}

// foundVariants adds the variants of a name on the way, as far as they were looked at.
func (x *Explanation) foundVariants(a *Answerer, name wire.Name) {
	m := a.zones.Lookup(name, a.rrtype)
	if m.Kind != zone.Conditional || !a.located {
		return
	}
	asker := a.asker()
	last, _, _ := m.Variants.Pick(&asker)
	if last < 0 {
		last = m.Variants.Len() - 1
		x.note("no condition of a variant of %s holds: no data", name)
	}
	for i := range last + 1 {
		x.Variants = append(x.Variants, VariantTrace{Name: name.String(), When: m.Variants.When(i), Why: m.Variants.Why(i, &asker)})
	}
}

// noteMatch says what stands at the end of a path.
func (x *Explanation) noteMatch(p *path) {
	switch m := &p.match; m.Kind {
	case zone.NotAuth:
		switch {
		case p.flat:
			x.note("%s is in none of our zones; its addresses are as the resolvers of dns.resolvers last found them", p.name)
		case p.n > 0:
			x.note("%s is in none of our zones; resolvers go on there", p.name)
		default:
			x.note("%s is in none of our zones", x.Name)
		}
	case zone.NXDomain:
		x.note("the closest name that exists is %s", m.Owner)
	case zone.Referral:
		x.Record = m.Cut.String()
		x.note("%s is delegated to other servers", m.Cut)
	case zone.Redirect:
		x.Record = m.Cut.String()
	default:
		x.Record = m.Owner.String()
		if m.Wildcard {
			x.note("%s does not exist, so the wildcard %s answers", p.name, m.Owner)
		}
	}
}

// noteManner says what the record's own manner made of the policy's decision.
func (x *Explanation) noteManner(s *registry.Snapshot, a *Answerer) {
	m := a.manner
	if m == nil {
		return
	}
	if low := jittered(steeredTTL(a.steered.TTL, a.decided.TTL), m.Jitter, ^uint64(0)); m.Jitter > 0 && len(a.decided.Endpoints) > 0 {
		x.note("the TTL is drawn, %d s at the least", low)
	}
	fell := a.decided.Reason == policy.ReasonFallback
	if len(m.Fallbacks) == 0 || !fell && a.asked.Short == policy.ShortageEmpty {
		return // enough is up
	}
	q := a.asked
	q.Service, q.Policy, q.Short = a.steered.Service, a.steered.Policy, policy.ShortageEmpty
	x.Tried = append(x.Tried, s.Plan.Explain(q, s.Health))
	for _, f := range m.Fallbacks {
		if fell && f.Service == a.asked.Service {
			break
		}
		q.Service, q.Policy = f.Service, f.Policy
		x.Tried = append(x.Tried, s.Plan.Explain(q, s.Health))
	}
	if !fell {
		x.note("not enough is up of service %s, nor of what it falls back on", x.Service)
		return
	}
	x.Fallback = s.Plan.ServiceName(a.asked.Service)
	x.note("not enough of service %s is up, so service %s answers for it", x.Tried[len(x.Tried)-1].Service, x.Fallback)
	if len(a.decided.Endpoints) == 0 {
		x.note("service %s has no endpoint that answers type %s, so nothing does", x.Fallback, x.Type)
	}
}

// noteSteered adds what the trace alone does not say.
func (x *Explanation) noteSteered(a *Answerer, q *Question) {
	x.Located = "the resolver's address"
	if a.client.asked.IsValid() {
		x.Located = "the client subnet"
	}
	if a.decided.Reason == policy.ReasonFailOpen {
		x.note("nothing usable is left, so every endpoint counts as up")
	}
	if a.decided.Reason == policy.ReasonFailClosed {
		x.note("nothing usable is left, and the record, or its policy, fails closed: no data")
	}
	if a.decided.TTL != 0 && a.decided.TTL < a.steered.TTL && len(a.decided.Endpoints) > 0 {
		x.note("the TTL is %d s instead of %d s: the health of an endpoint could change by then", a.decided.TTL, a.steered.TTL)
	}
	if a.asked.Joint && a.decided.Reason == policy.ReasonWeight {
		x.note("what is drawn stays so for %d s for this client and all types, as HTTPS, SVCB or SRV must agree with addresses", policy.JointSeconds)
	}
	switch {
	case q.Resolver.IsValid():
		if q.Client.IsValid() && !a.client.asked.IsValid() {
			x.note("the client subnet %s says nothing of where the client is; the resolver's address counts", q.Client)
		}
	case !q.Client.IsValid():
		x.Located = ""
		x.note("no client given: its place is unknown")
	case !a.client.asked.IsValid():
		x.note("%s is no network that a client subnet may speak for: it is taken for the resolver's address, and the scope is 0", q.Client)
	}
}

func (x *Explanation) note(format string, args ...any) {
	x.Notes = append(x.Notes, fmt.Sprintf(format, args...))
}

// lowestTTL returns how long a response may be kept: the least TTL of the answer section, and of the SOA of a negative answer.
func lowestTTL(m *dns.Msg) uint32 {
	low := ^uint32(0)
	for _, rr := range m.Answer {
		low = min(low, rr.Header().Ttl)
	}
	for _, rr := range m.Ns {
		low = min(low, rr.Header().Ttl)
	}
	if low == ^uint32(0) {
		return 0
	}
	return low
}

// ParseType returns the type of a mnemonic ("AAAA", any case) or of the generic form "TYPE65280" (RFC 3597 5).
func ParseType(s string) (uint16, error) {
	if t, ok := dns.StringToType[strings.ToUpper(s)]; ok && t != dns.TypeNone {
		return t, nil
	}
	var t uint16
	if n, err := fmt.Sscanf(strings.ToUpper(s), "TYPE%d", &t); n == 1 && err == nil && fmt.Sprintf("TYPE%d", t) == strings.ToUpper(s) {
		return t, nil
	}
	return 0, fmt.Errorf("dnsserver: %q is no record type: want A, AAAA, CNAME, MX, NS, SOA, SRV, TXT, … or TYPE and a number", s)
}
