package dnsserver

import (
	"strings"
	"sync"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

const (
	maxSeries = 1024      // zones, and steered records, that are counted by name: the first that are asked for
	otherName = "(other)" // the name that all others share
)

// A series is the names of zones and of steered records that all workers count by. A configuration may have a million records;
// whoever collects numbers would not be served by as many series, nor we by as many counters.
type series struct {
	mu      sync.Mutex
	set     *zone.Set // that the names were last compared with
	zones   map[string]wire.Name
	records map[string]wire.Name
}

func newSeries() *series {
	return &series{zones: map[string]wire.Name{}, records: map[string]wire.Name{}}
}

// admit adds a name that is met for the first time, if there is room or it is there already. It keeps nothing of a snapshot alive.
func admit(names map[string]wire.Name, name string) (own string, ok bool) {
	if _, known := names[name]; !known {
		if len(names) >= maxSeries {
			return otherName, false
		}
		parsed, err := wire.ParseName(name) // fails for "", which is no zone's
		if err != nil {
			parsed = nil
		}
		names[strings.Clone(name)] = parsed
	}
	return strings.Clone(name), true
}

// compare forgets the names that a set of zones does not have. The series is locked.
func (s *series) compare(set *zone.Set) {
	if s.set == set {
		return
	}
	s.set = set
	for name, parsed := range s.zones {
		if z := set.Zone(parsed); parsed != nil && (z == nil || len(z.Apex()) != len(parsed)) {
			delete(s.zones, name)
		}
	}
	for name, parsed := range s.records {
		if steerOf(set, parsed, name) == nil {
			delete(s.records, name)
		}
	}
}

// steerOf returns the steered record of a name in a set of zones, nil if it has none.
func steerOf(set *zone.Set, parsed wire.Name, name string) *zone.Steer {
	for _, t := range [...]uint16{wire.TypeA, wire.TypeAAAA, wire.TypeTXT, wire.TypeSRV, wire.TypeMX, wire.TypeHTTPS, wire.TypeSVCB} {
		if m := set.Lookup(parsed, t); m.Steer != nil && m.Steer.Record == name {
			return m.Steer
		}
	}
	return nil
}

// newZone makes the counters of a zone met for the first time.
func (c *counters) newZone(name string) *zoneCounters {
	c.series.mu.Lock()
	name, _ = admit(c.series.zones, name)
	c.series.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	zc := c.zones[name]
	if zc == nil {
		zc = new(zoneCounters)
		c.zones[name] = zc
	}
	return zc
}

// newRecord makes the counters of a steered record met for the first time. If it has none of its own, those that do have are all made
// now, and found in the present set: from now on, what is not known by its pointer has none.
func (c *counters) newRecord(name string) *recordCounters {
	c.series.mu.Lock()
	defer c.series.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	name, ok := admit(c.series.records, name)
	if !ok {
		for known, parsed := range c.series.records {
			rc := c.makeRecord(known)
			if steer := steerOf(c.set, parsed, known); steer != nil {
				c.recordOf[steer] = rc
				c.own.add(steer.Tag)
			}
		}
		c.others = c.makeRecord(otherName)
	}
	return c.makeRecord(name)
}

func (c *counters) makeRecord(name string) *recordCounters {
	rc := c.records[name]
	if rc == nil {
		rc = &recordCounters{sites: map[string]*siteCounters{}}
		c.records[name] = rc
	}
	return rc
}

// forget drops the numbers of zones and records that the present set does not have.
func (c *counters) forget() {
	c.series.mu.Lock()
	defer c.series.mu.Unlock()
	c.series.compare(c.set)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.others, c.own = nil, tags{}
	for name := range c.zones {
		if _, ok := c.series.zones[name]; !ok && name != otherName {
			delete(c.zones, name)
		}
	}
	for name := range c.records {
		if _, ok := c.series.records[name]; !ok && name != otherName {
			delete(c.records, name)
		}
	}
}
