package dnsserver

import (
	"slices"
	"strings"
	"sync"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

const (
	maxSeries = 1024      // zones, and steered records, that are counted by name: the first that are asked for
	otherName = "(other)" // the name that all others share
)

// An owned is the name of a zone or record, and the view that it is in, "" if it is in all.
type owned struct{ view, name string }

// others is what all others share.
var others = owned{name: otherName}

// A series is the names of zones and of steered records that all workers count by. A configuration may have a million records;
// whoever collects numbers would not be served by as many series, nor we by as many counters.
type series struct {
	mu      sync.Mutex
	set     *zone.Set // that the names were last compared with
	zones   map[owned]wire.Name
	records map[owned]wire.Name
}

func newSeries() *series {
	return &series{zones: map[owned]wire.Name{}, records: map[owned]wire.Name{}}
}

// admit adds a name that is met for the first time, if there is room or it is there already. It keeps nothing of a snapshot alive.
func admit(names map[owned]wire.Name, name owned) (own owned, ok bool) {
	own = owned{strings.Clone(name.view), strings.Clone(name.name)}
	if _, known := names[name]; !known {
		if len(names) >= maxSeries {
			return others, false
		}
		parsed, err := wire.ParseName(own.name) // fails for "", which is no zone's
		if err != nil {
			parsed = nil
		}
		names[own] = parsed
	}
	return own, true
}

// compare forgets the names that a set of zones does not have. The series is locked.
func (s *series) compare(set *zone.Set) {
	if s.set == set {
		return
	}
	s.set = set
	for name, parsed := range s.zones {
		seen, _ := set.View(name.view)
		if z := seen.Zone(parsed); parsed != nil && (z == nil || len(z.Apex()) != len(parsed) || z.View() != name.view) {
			delete(s.zones, name)
		}
	}
	for name, parsed := range s.records {
		if len(steersOf(set, parsed, name)) == 0 {
			delete(s.records, name)
		}
	}
}

// steersOf returns the steers of a record in a set of zones: one, or several if it has variants, or none.
func steersOf(set *zone.Set, parsed wire.Name, name owned) []*zone.Steer {
	seen, _ := set.View(name.view)
	var list []*zone.Steer
	for _, t := range [...]uint16{wire.TypeA, wire.TypeAAAA, wire.TypeTXT, wire.TypeSRV, wire.TypeMX, wire.TypeHTTPS, wire.TypeSVCB} {
		m := seen.Lookup(parsed, t)
		for m := range m.Each(t) {
			if m.Steer != nil && m.Steer.Record == name.name && m.Zone.View() == name.view && !slices.Contains(list, m.Steer) {
				list = append(list, m.Steer)
			}
		}
	}
	return list
}

// newZone makes the counters of a zone met for the first time.
func (c *counters) newZone(name owned) *zoneCounters {
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
func (c *counters) newRecord(name owned) *recordCounters {
	c.series.mu.Lock()
	defer c.series.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	name, ok := admit(c.series.records, name)
	if !ok {
		for known, parsed := range c.series.records {
			rc := c.makeRecord(known)
			for _, steer := range steersOf(c.set, parsed, known) {
				c.recordOf[steer] = rc
				c.own.add(steer.Tag)
			}
		}
		c.others = c.makeRecord(others)
	}
	return c.makeRecord(name)
}

func (c *counters) makeRecord(name owned) *recordCounters {
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
		if _, ok := c.series.zones[name]; !ok && name != others {
			delete(c.zones, name)
		}
	}
	for name := range c.records {
		if _, ok := c.series.records[name]; !ok && name != others {
			delete(c.records, name)
		}
	}
}
