package dnsserver

import (
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// counters count what one Answerer does. Only its worker adds; anybody may read the numbers at any time. The worker takes the lock
// only when it meets a zone, record or site for the first time, so counting is a few additions for each message and a few
// uncontended atomic ones for each batch.
type counters struct {
	transport Transport
	dropped   [numDrops]atomic.Uint64
	slipped   atomic.Uint64 // responses to queries beyond the limit
	took      durations

	// The maps are the worker's: it alone writes to them, and guards that by the lock against those who read the numbers.
	mu      sync.Mutex
	zones   map[owned]*zoneCounters
	records map[owned]*recordCounters
	series  *series // of all workers

	// Of the worker alone: which counters belong to what hangs off the snapshot of the last batch.
	set        *zone.Set
	plan       *policy.Plan
	gen        uint64          // counts Plans
	zoneAt     []*zoneCounters // by position in set; nil = not met yet
	nowhere    *zoneCounters   // of the names that no zone holds; nil = not met yet
	recordOf   map[*zone.Steer]*recordCounters
	lastZone   *zone.Zone
	last       *zoneCounters
	lastSteer  *zone.Steer
	lastRecord *recordCounters
	others     *recordCounters // not nil: the series are full, and those of this set that have counters of their own are in recordOf
	own        tags            // if others is not nil: of the records in recordOf

	// Of the worker alone: what it has yet to publish.
	request, response zoneTallies
	answer            tally

	_ [64]byte // keeps counters of two workers off one cache line
}

// A zoneCounters counts the queries for names of one zone, and the responses to them; the one with the name "" those for no zone of ours.
type zoneCounters struct {
	counts [firstResponse + len(rcodeLabels)]atomic.Uint64
	_      [64]byte
}

// firstResponse is where the responses begin in zoneCounters.
const firstResponse = 2 * len(typeLabels)

// requestAt and responseAt return which of a zone's counters is that of requests of a family (0 IPv4, 1 IPv6) and the label of a type,
// and that of responses with the label of a code.
func requestAt(family, label int) int { return family*len(typeLabels) + label }
func responseAt(label int) int        { return firstResponse + label }

// A recordCounters counts the answers of one steered record. Sites are kept by name, because ids belong to one Plan.
type recordCounters struct {
	sites  map[string]*siteCounters // guarded by counters.mu
	gen    uint64                   // of the Plan that bySite belongs to
	bySite []*siteCounters          // by SiteID; nil = not met in this Plan
	_      [64]byte
}

type siteCounters [policy.ReasonFailClosed + 1]atomic.Uint64

// A tally adds to a counter that everybody reads, all at once for as long as it is the same counter.
type tally struct {
	to *atomic.Uint64
	n  uint64
}

func (t *tally) count(to *atomic.Uint64) {
	if to != t.to {
		t.publish()
		t.to = to
	}
	t.n++
}

func (t *tally) publish() {
	if t.n > 0 {
		t.to.Add(t.n)
		t.n = 0
	}
}

// zoneTallies add to the counters of zones, once a batch, all at once to one that is met several times in a row. A server of a thousand
// zones has most of its counters far away: those of a batch are fetched at one time.
type zoneTallies struct {
	list [maxBatch]zoneTally
	n    int
	sum  uint64 // means nothing, but else the compiler could leave out the fetching
}

type zoneTally struct {
	to *zoneCounters
	at int
	n  uint64
}

func (t *zoneTallies) count(to *zoneCounters, at int) {
	if t.n > 0 {
		if last := &t.list[t.n-1]; last.to == to && last.at == at {
			last.n++
			return
		}
		if t.n == len(t.list) {
			t.publish()
		}
	}
	t.list[t.n] = zoneTally{to, at, 1}
	t.n++
}

func (t *zoneTallies) publish() {
	list := t.list[:t.n]
	if len(list) > 1 {
		sum := uint64(0)
		for i := range list {
			sum += list[i].to.counts[list[i].at].Load()
		}
		t.sum = sum
	}
	for i := range list {
		list[i].to.counts[list[i].at].Add(list[i].n)
	}
	t.n = 0
}

// A drop is a reason for sending no response.
type drop uint8

const (
	dropMalformed drop = iota // no query: too short, a response, or from port 0
	dropSend                  // the operating system would not send the response
	dropRateLimit             // beyond the limit of its sender
	dropProxy                 // from a proxy, without a good header
	numDrops
)

var dropLabels = [numDrops]string{"malformed", "send", "rate_limit", "proxy"}

func newCounters(t Transport, all *series) *counters {
	return &counters{
		transport: t,
		series:    all,
		zones:     map[owned]*zoneCounters{},
		records:   map[owned]*recordCounters{},
		recordOf:  map[*zone.Steer]*recordCounters{},
	}
}

// drop counts a message without response.
func (c *counters) drop(why drop) { c.dropped[why].Add(1) }

// count counts a response to a query for a name of z, which is nil outside our zones; at is z's position among them, or that of another
// zone, or -1.
func (c *counters) count(q *wire.Query, from netip.Addr, z *zone.Zone, at int, rcode wire.RCode) {
	if c.last == nil || z != c.lastZone {
		c.lastZone, c.last = z, c.zone(z, at)
	}
	family := 0
	if !from.Is4() && !from.Is4In6() {
		family = 1
	}
	c.request.count(c.last, requestAt(family, typeLabel(q.Type)))
	c.response.count(c.last, responseAt(rcodeLabel(rcode)))
}

// answered counts an answer of a steered record of a zone: where its first address is, and why. Plan and record are of the snapshot that
// was last followed.
func (c *counters) answered(p *policy.Plan, z *zone.Zone, steer *zone.Steer, site policy.SiteID, why policy.Reason) {
	if steer != c.lastSteer {
		c.lastSteer, c.lastRecord = steer, c.record(z, steer)
	}
	rc := c.lastRecord
	if rc.gen != c.gen {
		rc.gen = c.gen
		rc.bySite = append(rc.bySite[:0], make([]*siteCounters, p.NumSites()+1)...)
	}
	sc := rc.bySite[site]
	if sc == nil {
		sc = c.site(rc, p.SiteName(site))
		rc.bySite[site] = sc
	}
	c.answer.count(&sc[why])
}

// publish lets everybody read what a batch counted.
func (c *counters) publish() {
	c.request.publish()
	c.response.publish()
	c.answer.publish()
}

// follow forgets what belongs to an earlier snapshot: pointers into its zones, its site ids, and numbers of what is no more. It comes
// before the counts of a batch.
func (c *counters) follow(s *registry.Snapshot) {
	if s.Zones != c.set {
		c.set = s.Zones
		c.zoneAt, c.nowhere = make([]*zoneCounters, len(c.set.Zones())), nil
		clear(c.recordOf)
		c.lastZone, c.last, c.lastSteer, c.lastRecord = nil, nil, nil, nil
		c.forget()
	}
	if s.Plan != c.plan {
		c.plan = s.Plan
		c.gen++
	}
}

// zone returns the counters of a zone.
func (c *counters) zone(z *zone.Zone, at int) *zoneCounters {
	if z == nil {
		if c.nowhere == nil {
			c.nowhere = c.zoneOf(owned{})
		}
		return c.nowhere
	}
	if at < 0 || c.set.Zones()[at] != z { // the one above, for a DS
		return c.zoneOf(owned{z.View(), z.Name()})
	}
	if c.zoneAt[at] == nil {
		c.zoneAt[at] = c.zoneOf(owned{z.View(), z.Name()})
	}
	return c.zoneAt[at]
}

// zoneOf returns the counters of a zone by its name.
func (c *counters) zoneOf(name owned) *zoneCounters {
	if zc := c.zones[name]; zc != nil {
		return zc
	}
	return c.newZone(name)
}

// record returns the counters of a steered record. Those that share one are not remembered: there may be millions. To read its name
// would cost as much as to find it.
func (c *counters) record(z *zone.Zone, steer *zone.Steer) *recordCounters {
	if c.others != nil && !c.own.has(steer.Tag) {
		return c.others
	}
	if rc := c.recordOf[steer]; rc != nil {
		return rc
	}
	if c.others != nil {
		return c.others
	}
	name := owned{z.View(), steer.Record}
	rc := c.records[name]
	if rc == nil {
		if rc = c.newRecord(name); rc == c.others {
			return rc
		}
	}
	c.recordOf[steer] = rc
	return rc
}

// tags are a set of the Tags of records, as far as their last 14 bits tell them apart: a quick no for nearly all of a million records.
type tags [1 << 14 / 64]uint64

func (t *tags) add(tag uint16)      { t[tag>>6%uint16(len(t))] |= 1 << (tag & 63) }
func (t *tags) has(tag uint16) bool { return t[tag>>6%uint16(len(t))]>>(tag&63)&1 != 0 }

// site returns the counters of a record for a site met for the first time in this Plan.
func (c *counters) site(rc *recordCounters, name string) *siteCounters {
	c.mu.Lock()
	defer c.mu.Unlock()
	sc := rc.sites[name]
	if sc == nil {
		sc = new(siteCounters)
		rc.sites[strings.Clone(name)] = sc
	}
	return sc
}
