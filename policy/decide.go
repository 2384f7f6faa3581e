package policy

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// A Scratch is the working memory of Decide. The zero value is ready; it grows to the largest service it met and is then reused
// without allocation. It must not be used by two goroutines at once: give each worker its own.
type Scratch struct {
	live    []candidate // still in the running; the first settled of them are in order of rank, and before all others
	lost    []candidate // dropped by a healthy stage: a failover stage counts their weight as missing
	rest    []candidate // room for lead and draw
	keys    []uint32    // room for failover
	sums    []uint64    // room for draw
	stack   []candidate // what the stages with branches that are running were given
	keyed   []keyed     // room for stick
	seen    []uint32    // room for onePer: epochs, by group
	groupOf []uint32    // room for gather: groups, by what their members share
	takers  []taker     // room for shed
	health  Health      // of the Query, for stages that look at loads
	first   []uint32    // room for gather
	epoch   uint32
	out     []EndpointID // what the Decision points to

	client  client
	views   []*view // what the endpoints at hand can tell of the outcomes of geo stages, by position
	plan    *Plan
	sets    [][numFamilies]extent // of the service
	picks   []selection           // of the Plan
	family  Family
	pick    uint32      // position of the selection at hand in picks
	key     uint64      // Query.Key
	all     []candidate // of the service and family
	now     int64       // Query.Now
	seed    uint64      // Query.Dice
	dice    uint64      // of the stage that draws
	joint   bool        // Query.Joint
	short   Shortage    // Query.Short
	want    int
	ttl     uint32 // smallest bound so far, less one
	worst   State  // the worst state among the candidates at the beginning
	scope   uint8
	reason  Reason
	ranked  bool // candidates of live may differ in rank
	failed  bool // there is not enough left: a stage around this chain may know better
	closed  bool // some of lost were dropped by a stage that fails closed
	settled int
	rec     *recorder // nil unless explaining
}

// Forget lets go of the Plan of the last Query, of which a Scratch holds a part until the next. It keeps its room.
func (s *Scratch) Forget() {
	s.views, s.rec, s.plan, s.sets, s.picks, s.all, s.health = nil, nil, nil, nil, nil, nil, Health{}
}

// A candidate is an endpoint on its way through the stages: 16 bytes, copied freely.
type candidate struct {
	id     EndpointID
	weight uint32
	rank   uint32 // 0 until a geo stage sets it; lower goes first
	site   SiteID
	state  State
	forced bool
}

// noBound is Scratch.ttl when nothing bounds it.
const noBound = uint32(1<<32 - 1)

// A stage is a compiled StageSpec. It narrows or orders what is in the Scratch and must not allocate once the Scratch is warm.
// Stages that hold chains of their own run them on the same Scratch.
type stage interface {
	run(s *Scratch)
	name() string
	explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) // says in t what run, which has just ended, did to before
}

// Decide answers a Query: it starts from all endpoints of the service that are of the family and runs the policy's
// stages over them. Equal arguments give equal Decisions. The Decision is empty if the service or the policy does not exist. It
// allocates nothing once s is warm.
func (p *Plan) Decide(s *Scratch, q Query, h Health) Decision {
	if int(q.Service) >= len(p.services) || int(q.Policy) >= len(p.policies) || int(q.Family) >= numFamilies {
		return Decision{}
	}
	chain := &p.policies[q.Policy]
	service := &p.services[q.Service]
	s.begin(service.lists[q.Family], &q, h)
	s.plan, s.sets, s.picks, s.family = p, service.sets, p.picks, q.Family
	s.views = s.viewsOf(0)
	if !chain.health {
		s.ttl = noBound
	}
	if s.rec != nil {
		s.rec.start(p, s, q)
	}
	s.runAll(chain.stages)
	return s.finish()
}

// runAll runs stages one after the other.
func (s *Scratch) runAll(stages []stage) {
	for _, stage := range stages {
		stage.run(s)
		if s.rec != nil {
			s.rec.stage(s.plan, s, stage)
		}
	}
}

// viewsOf returns what the endpoints of the service at the sites of a selection can tell of the outcomes of geo stages.
func (s *Scratch) viewsOf(pick uint32) []*view { return s.plan.views[s.sets[pick][s.family].views] }

// begin sets the Scratch up for a Query over a list of candidates.
func (s *Scratch) begin(list []candidate, q *Query, h Health) {
	s.client.set(q)
	s.all, s.health = list, h
	s.seed, s.joint, s.short = q.Dice, q.Joint, q.Short
	s.want = q.Want
	s.key, s.now, s.pick = q.Key, q.Now, 0
	s.scope = 0
	s.reason = ReasonStatic
	s.ranked, s.settled, s.failed, s.closed = false, 0, false, false
	s.lost, s.stack = s.lost[:0], s.stack[:0]

	if cap(s.live) < len(list) {
		s.live = make([]candidate, len(list))
	}
	s.live = s.live[:len(list)]
	live := s.live
	ttl, worst := noBound, Unknown
	list = list[:len(live)]
	for i := range live {
		from, c := &list[i], &live[i]
		v := h.Of(from.id)
		c.id, c.weight, c.rank, c.site = from.id, from.weight, 0, from.site // field by field: a copy of the whole is three times slower
		c.state, c.forced = v.State, v.Forced
		ttl = min(ttl, v.TTL-1) // no bound (0) becomes the largest
		worst = max(worst, v.State)
	}
	s.ttl, s.worst = ttl, worst
}

// finish turns what is left into a Decision.
func (s *Scratch) finish() Decision {
	n := len(s.live)
	if s.want > 0 {
		n = min(n, s.want)
	}
	s.settle(n)
	s.out = s.out[:0]
	for i := range s.live[:n] {
		s.out = append(s.out, s.live[i].id)
	}
	return Decision{Endpoints: s.out, Tier: s.tier(n), TTL: s.ttl + 1, Scope: s.scope, Reason: s.reason}
}

// tier returns how many of the first n candidates, which are in order of rank, have the rank of the first.
func (s *Scratch) tier(n int) int {
	if !s.ranked {
		return n
	}
	for i := range s.live[:n] {
		if s.live[i].rank != s.live[0].rank {
			return i
		}
	}
	return n
}

// because raises the reason of the Decision if r is more telling.
func (s *Scratch) because(r Reason) { s.reason = max(s.reason, r) }

// settle puts at least the first n candidates in order of rank.
func (s *Scratch) settle(n int) {
	if !s.ranked {
		return
	}
	for s.settled < n {
		s.lead(s.settled)
	}
}

// lead moves the candidates of the lowest rank at or after position i = s.settled to position i, keeping the order among them and
// among the others, and returns the position after them. Working rank by rank, and only as far as somebody looks, beats sorting.
func (s *Scratch) lead(i int) int {
	if !s.ranked {
		s.settled = len(s.live)
		return s.settled
	}
	c := s.live[i:]
	low := ^uint32(0)
	for j := range c {
		low = min(low, c[j].rank)
	}
	if cap(s.rest) < len(c) {
		s.rest = make([]candidate, cap(s.live))
	}
	rest := s.rest[:len(c)]
	same, other := 0, 0
	for j := range c { // no branch on the rank: it is random to the processor
		x := c[j]
		c[same] = x
		rest[other] = x
		if x.rank == low {
			same++
		} else {
			other++
		}
	}
	copy(c[same:], rest[:other])
	s.settled = i + same
	return s.settled
}

// below returns a number in [0, n) drawn from the dice: one splitmix64 step, reduced by multiplication (the bias is n/2^64).
func (s *Scratch) below(n uint64) uint64 {
	s.dice += 0x9e3779b97f4a7c15
	z := s.dice
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	hi, _ := bits.Mul64(z^z>>31, n)
	return hi
}

// A client is where a Query comes from, as numbers: a site, or the first address of a prefix, or unknown.
type client struct {
	kind   clientKind // by what it is located
	from   clientKind // of its address, also if it is located at a site: clientV4, clientV6 or clientUnknown
	mapped bool       // IPv4 that came in IPv6 form: scopes are 96 longer
	site   SiteID     // clientSite
	v4     uint32     // clientV4
	v6     u128       // clientV6
}

type clientKind uint8

const (
	clientUnknown clientKind = iota
	clientSite
	clientV4
	clientV6
)

// set makes c the client of a Query. IPv4 addresses in IPv6 form (::ffff:0:0/96) count as IPv4.
func (c *client) set(q *Query) {
	*c = client{site: q.From}
	if q.Client.IsValid() {
		c.setAddress(q.Client.Addr(), q.Client.Bits())
	}
	if c.kind = c.from; q.From != NoSite {
		c.kind = clientSite
	}
}

// setAddress sets the first address of a prefix.
func (c *client) setAddress(addr netip.Addr, bits int) {
	if addr.Is4() {
		a := addr.As4()
		c.from, c.v4 = clientV4, binary.BigEndian.Uint32(a[:])&mask32(bits)
		return
	}
	a := u128Of(addr).and(mask128(bits))
	if a.hi == 0 && a.lo>>32 == 0xffff {
		c.from, c.mapped, c.v4 = clientV4, true, uint32(a.lo)
		return
	}
	c.from, c.v6 = clientV6, a
}
