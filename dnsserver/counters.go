package dnsserver

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// counters count what one Answerer does. Only its worker adds; anybody may read the numbers at any time. The worker takes the lock
// only when it meets a zone, record or site for the first time, so counting is a few uncontended atomic additions.
type counters struct {
	transport Transport
	dropped   [numDrops]atomic.Uint64
	slipped   atomic.Uint64 // responses to queries beyond the limit

	mu      sync.Mutex // guards the maps against readers while the worker adds to them
	zones   map[string]*zoneCounters
	records map[string]*recordCounters

	// Of the worker alone: which counters belong to what hangs off the snapshot of the last query.
	set      *zone.Set
	plan     *policy.Plan
	gen      uint64 // counts Plans
	zoneOf   map[*zone.Zone]*zoneCounters
	recordOf map[*zone.Steer]*recordCounters
	lastZone *zone.Zone
	last     *zoneCounters

	_ [64]byte // keeps counters of two workers off one cache line
}

// A zoneCounters counts the queries for names of one zone; the one with the name "" those for no zone of ours.
type zoneCounters struct {
	requests  [2][len(typeLabels)]atomic.Uint64 // by family of the sender and type
	responses [len(rcodeLabels)]atomic.Uint64
	_         [64]byte
}

// A recordCounters counts the answers of one steered record. Sites are kept by name, because ids belong to one Plan.
type recordCounters struct {
	sites  map[string]*siteCounters // guarded by counters.mu
	gen    uint64                   // of the Plan that bySite belongs to
	bySite []*siteCounters          // by SiteID; nil = not met in this Plan
	_      [64]byte
}

type siteCounters [policy.ReasonFailOpen + 1]atomic.Uint64

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

// rcodeLabels are the codes we answer with; rcodeLabel is the position of one.
var rcodeLabels = [...]wire.RCode{wire.NoError, wire.FormErr, wire.ServFail, wire.NXDomain, wire.NotImp, wire.Refused, wire.BadVers}

func rcodeLabel(r wire.RCode) int {
	if r == wire.BadVers {
		return len(rcodeLabels) - 1
	}
	return int(r)
}

// typeLabels are the types that are counted by name, the first stands for all others; typeLabel is the position of one.
var typeLabels = [...]string{"other", "A", "AAAA", "NS", "CNAME", "SOA", "PTR", "MX", "TXT", "SRV", "NAPTR", "CAA", "DS", "DNSKEY",
	"TLSA", "SVCB", "HTTPS", "ANY", "AXFR", "IXFR"}

func typeLabel(t uint16) int {
	switch t {
	case wire.TypeA:
		return 1
	case wire.TypeAAAA:
		return 2
	case wire.TypeNS:
		return 3
	case wire.TypeCNAME:
		return 4
	case wire.TypeSOA:
		return 5
	case wire.TypePTR:
		return 6
	case wire.TypeMX:
		return 7
	case wire.TypeTXT:
		return 8
	case wire.TypeSRV:
		return 9
	case wire.TypeNAPTR:
		return 10
	case wire.TypeCAA:
		return 11
	case wire.TypeDS:
		return 12
	case wire.TypeDNSKEY:
		return 13
	case wire.TypeTLSA:
		return 14
	case wire.TypeSVCB:
		return 15
	case wire.TypeHTTPS:
		return 16
	case wire.TypeANY:
		return 17
	case wire.TypeAXFR:
		return 18
	case wire.TypeIXFR:
		return 19
	}
	return 0
}

func newCounters(t Transport) *counters {
	return &counters{
		transport: t,
		zones:     map[string]*zoneCounters{},
		records:   map[string]*recordCounters{},
		zoneOf:    map[*zone.Zone]*zoneCounters{},
		recordOf:  map[*zone.Steer]*recordCounters{},
	}
}

// drop counts a message without response.
func (c *counters) drop(why drop) { c.dropped[why].Add(1) }

// count counts a response to a query for a name of z, which is nil outside our zones.
func (c *counters) count(q *wire.Query, from netip.Addr, z *zone.Zone, rcode wire.RCode) {
	if c.last == nil || z != c.lastZone {
		c.lastZone, c.last = z, c.zone(z)
	}
	family := 0
	if !from.Is4() && !from.Is4In6() {
		family = 1
	}
	c.last.requests[family][typeLabel(q.Type)].Add(1)
	c.last.responses[rcodeLabel(rcode)].Add(1)
}

// zone returns the counters of a zone.
func (c *counters) zone(z *zone.Zone) *zoneCounters {
	if zc := c.zoneOf[z]; zc != nil {
		return zc
	}
	name := ""
	if z != nil {
		name = z.Name()
	}
	c.mu.Lock()
	zc := c.zones[name]
	if zc == nil {
		zc = new(zoneCounters)
		c.zones[name] = zc
	}
	c.mu.Unlock()
	c.zoneOf[z] = zc
	return zc
}

// answered counts an answer of a steered record: where its first address is, and why. Plan and record are of the snapshot that was
// last followed.
func (c *counters) answered(p *policy.Plan, steer *zone.Steer, site policy.SiteID, why policy.Reason) {
	rc := c.recordOf[steer]
	if rc == nil {
		rc = c.record(steer)
	}
	if rc.gen != c.gen {
		rc.gen = c.gen
		rc.bySite = append(rc.bySite[:0], make([]*siteCounters, p.NumSites()+1)...)
	}
	sc := rc.bySite[site]
	if sc == nil {
		sc = c.site(rc, p.SiteName(site))
		rc.bySite[site] = sc
	}
	sc[why].Add(1)
}

// follow forgets what belongs to an earlier snapshot: pointers into its zones, and its site ids. It comes before the counts of a
// batch.
func (c *counters) follow(s *registry.Snapshot) {
	if s.Zones != c.set {
		c.set = s.Zones
		clear(c.zoneOf)
		clear(c.recordOf)
		c.lastZone, c.last = nil, nil
	}
	if s.Plan != c.plan {
		c.plan = s.Plan
		c.gen++
	}
}

// publish lets everybody read what a batch counted.
func (c *counters) publish() {}

// record returns the counters of a steered record met for the first time in this snapshot.
func (c *counters) record(steer *zone.Steer) *recordCounters {
	c.mu.Lock()
	defer c.mu.Unlock()
	rc := c.records[steer.Record]
	if rc == nil {
		rc = &recordCounters{sites: map[string]*siteCounters{}}
		c.records[steer.Record] = rc
	}
	c.recordOf[steer] = rc
	return rc
}

// site returns the counters of a record for a site met for the first time in this Plan.
func (c *counters) site(rc *recordCounters, name string) *siteCounters {
	c.mu.Lock()
	defer c.mu.Unlock()
	sc := rc.sites[name]
	if sc == nil {
		sc = new(siteCounters)
		rc.sites[name] = sc
	}
	return sc
}
