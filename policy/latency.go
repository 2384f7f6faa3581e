package policy

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// MaxRTT is the longest round-trip time of a LatencySpec.
const MaxRTT = time.Minute

// A LatencySpec says how long it takes from the clients of a prefix to some sites and back. Of prefixes around a client the longest counts.
type LatencySpec struct {
	Prefix netip.Prefix
	Times  []SiteTime // at least one, each site once
	Best   string     // one of Times: the site that goes first, however long it takes; "" = the fastest. See KeepBest
}

// A SiteTime is the round-trip time to a site.
type SiteTime struct {
	Site string
	RTT  time.Duration // [0,MaxRTT]
}

// A Margin is how much longer a time may be than another, so that both count as the same: the larger of a share of the shorter one, or of
// the one in force, and a time. The zero Margin is none.
type Margin struct {
	Share float64       // [0,1]
	Time  time.Duration // [0,MaxRTT]
}

// DefaultWithin and DefaultHysteresis are the Margins of configurations that do not say others.
var (
	DefaultWithin     = Margin{Share: 0.1}
	DefaultHysteresis = Margin{Share: 0.1, Time: 5 * time.Millisecond}
)

// of returns the margin of a time.
func (m Margin) of(t time.Duration) time.Duration {
	return max(time.Duration(m.Share*float64(t)), m.Time)
}

// alike reports whether neither of two times is longer than the other by more than the margin.
func (m Margin) alike(a, b time.Duration) bool { return max(a, b)-min(a, b) <= m.of(min(a, b)) }

// best returns the site that goes first, and its time.
func (l *LatencySpec) best() SiteTime {
	var first SiteTime
	for i, t := range l.Times {
		if l.Best == t.Site {
			return t
		}
		if i == 0 || t.RTT < first.RTT {
			first = t
		}
	}
	return first
}

// KeepBest lets the prefixes of a new table keep the site that went first in the table before, unless another is faster now by more than
// a margin of that site's time. It sets Best; a prefix without it goes by the fastest.
func KeepBest(table, before []LatencySpec, hysteresis Margin) {
	was := make(map[netip.Prefix]string, len(before))
	for i := range before {
		was[before[i].Prefix] = before[i].best().Site
	}
	for i := range table {
		l := &table[i]
		l.Best = ""
		fastest := l.best()
		for _, t := range l.Times {
			if t.Site == was[l.Prefix] && t.Site != fastest.Site && t.RTT-fastest.RTT <= hysteresis.of(t.RTT) {
				l.Best = t.Site
			}
		}
	}
}

// A timetable is a compiled list of LatencySpecs.
type timetable struct {
	networks layer // values are positions in rows
	rows     []timeRow
}

// A timeRow is what a LatencySpec says of its prefix.
type timeRow struct {
	times []siteTime // the fastest first, then in the order of the Spec
	best  SiteID     // NoSite: the fastest
}

type siteTime struct {
	site SiteID
	rtt  time.Duration
}

// compileLatency checks the round-trip times of the Spec and compiles them. Prefixes that say the same share a row.
func (c *compiler) compileLatency(specs []LatencySpec) {
	list, twice := sortPrefixes(len(specs), func(i int) netip.Prefix { return specs[i].Prefix })
	t := &timetable{networks: list}
	ids := map[string]uint32{}
	rowOf := make([]uint32, len(specs))
	var key []byte
	for i := range specs {
		l := &specs[i]
		c.at(func() {
			if c.checkPrefix(l.Prefix) && twice[i] {
				c.problem(here, "network %s is declared twice", l.Prefix)
			}
			row := c.compileTimes(l)
			key = binary.AppendUvarint(key[:0], uint64(row.best))
			for _, t := range row.times {
				key = binary.AppendUvarint(binary.AppendUvarint(key, uint64(t.site)), uint64(t.rtt))
			}
			id, ok := ids[string(key)]
			if !ok {
				id = uint32(len(t.rows))
				ids[string(key)] = id
				t.rows = append(t.rows, row)
			}
			rowOf[i] = id
		}, "geo", "latency", l.Prefix.String())
	}
	for _, family := range list {
		for i := range family {
			family[i].value = rowOf[family[i].value]
		}
	}
	c.plan.times = t
}

// compileTimes returns the row of a LatencySpec, whose path is the current one.
func (c *compiler) compileTimes(l *LatencySpec) (row timeRow) {
	if len(l.Times) == 0 {
		c.problem(here, "network %s has no times", l.Prefix)
	}
	for i, t := range l.Times {
		id, ok := c.plan.siteByName[t.Site]
		switch {
		case !ok:
			c.problem(here, "there is no site %q", t.Site)
		case slices.ContainsFunc(l.Times[:i], func(x SiteTime) bool { return x.Site == t.Site }):
			c.problem(here, "site %q has two times", t.Site)
		case t.RTT < 0 || t.RTT > MaxRTT:
			c.problem(here, "a round-trip time of %v is out of range: want 0 to %v", t.RTT, MaxRTT)
		}
		row.times = append(row.times, siteTime{id, t.RTT})
		if t.Site == l.Best {
			row.best = id
		}
	}
	if l.Best != "" && row.best == NoSite {
		c.problem(here, "the best site %q has no time", l.Best)
	}
	slices.SortFunc(row.times, func(a, b siteTime) int { return cmp.Or(cmp.Compare(a.rtt, b.rtt), int(a.site)-int(b.site)) })
	return row
}

// target returns the order of the sites that have times: first the best one and those about as fast as it, then of the others the fastest and
// those about as fast, and so on.
func (r *timeRow) target(within Margin) (to target) {
	best := r.times[0]
	for _, t := range r.times {
		if t.site == r.best {
			best = t
		}
	}
	first := func(t siteTime) bool { return within.alike(best.rtt, t.rtt) }
	for _, t := range r.times {
		if first(t) {
			to.sites, to.shares = append(to.sites, t.site), append(to.shares, len(to.sites) > 0)
		}
	}
	var lead *siteTime
	for i := range r.times {
		t := &r.times[i]
		if first(*t) {
			continue
		}
		shares := lead != nil && within.alike(lead.rtt, t.rtt)
		if !shares {
			lead = t
		}
		to.sites, to.shares = append(to.sites, t.site), append(to.shares, shares)
	}
	return to
}

// latency compiles a latency stage between others; it returns nil if there are problems.
func (c *chainCompiler) latency(in *surroundings, spec Latency, before, next []StageSpec) *geo {
	if m := spec.Within; !(m.Share >= 0 && m.Share <= 1) { // so that NaN is refused
		c.problem([]string{spec.stageName(), "within"}, "within %v is out of range: want 0 to 1", m.Share)
	} else if m.Time < 0 || m.Time > MaxRTT {
		c.problem([]string{spec.stageName(), "within"}, "within %v is out of range: want 0 to %v", m.Time, MaxRTT)
	}
	return c.ranked(in, before, next, func(horizon int) *geo {
		if len(c.problems) > 0 {
			return nil
		}
		return c.gc.latency(spec, horizon)
	})
}

// latency builds a latency stage, or returns that of an equal Spec and horizon. Rows that put sites into the same order are one network of the
// stage's own, so that its tables are no larger than they have to be.
func (gc *geoCompiler) latency(spec Latency, horizon int) *geo {
	return gc.stage(fmt.Sprint(spec.stageName(), " ", spec), horizon, func() *geo {
		var targets []target
		ids := map[string]uint32{}
		targetOf := make([]uint32, len(gc.times.rows))
		for i := range gc.times.rows {
			to := gc.times.rows[i].target(spec.Within)
			key := fmt.Sprint(to.sites, to.shares)
			id, ok := ids[key]
			if !ok {
				id = uint32(len(targets))
				ids[key] = id
				targets = append(targets, to)
			}
			targetOf[i] = id
		}
		own := gc.times.networks
		for f := range own {
			own[f] = slices.Clone(own[f])
			for i := range own[f] {
				own[f][i].value = targetOf[own[f][i].value]
			}
		}
		g := &geo{latency: &spec, atlas: gc.atlas(nil).over(own, uint32(len(targets)))}
		nearest := target{nearest: true}
		g.fill(gc.frame, false, func(c cause) *target {
			if c.network == noNetwork {
				return &nearest
			}
			return &targets[c.network]
		})
		return g
	})
}

// explainLatency says which network of the table the client is in, and its times.
func (g *geo) explainLatency(p *Plan, s *Scratch, t *StageTrace) {
	var row timeRow
	t.Rule = "nearest"
	if s.rec.addr.IsValid() {
		if at, bits, ok := p.times.networks.find(s.rec.addr); ok {
			row, t.Rule = p.times.rows[at], networkOf(s.rec.addr, bits)
		}
	}
	if len(row.times) == 0 {
		t.Note = "no network of the table has the client: nearest"
		return
	}
	var words []string
	for _, x := range row.times {
		words = append(words, fmt.Sprintf("%s %v", p.SiteName(x.site), x.rtt))
	}
	t.Note = fmt.Sprintf("network %s: %s", t.Rule, strings.Join(words, ", "))
	if row.best != NoSite {
		t.Note += fmt.Sprintf("; %s went first before, and none is faster by so much that this changes", p.SiteName(row.best))
	}
	for i := range t.Kept {
		for _, x := range row.times {
			if p.SiteName(x.site) == t.Kept[i].Site {
				ms := float64(x.rtt) / float64(time.Millisecond)
				t.Kept[i].Ms = &ms
			}
		}
	}
}
