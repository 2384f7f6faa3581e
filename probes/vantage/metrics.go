package vantage

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-gslb/meridian/policy"
)

// metrics describe what a Council knows.
type metrics struct {
	suppressed, seen, suspect, votes *prometheus.Desc
}

func newMetrics() metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("meridian_"+name, help, labels, nil)
	}
	return metrics{
		suppressed: desc("health_suppressed_total", "Changes of an endpoint's state that were not made, by reason.", "reason"),
		seen:       desc("peer_last_seen_timestamp_seconds", "When another prober last reported something new.", "peer"),
		suspect:    desc("prober_suspect", "1 if the prober is suspect and has no vote, else 0.", "prober"),
		votes:      desc("probe_votes", "Probers by what they say of an endpoint: up, down, or none if what they say does not count.", "endpoint", "vote"),
	}
}

// Describe implements prometheus.Collector.
func (c *Council) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.metrics.suppressed, c.metrics.seen, c.metrics.suspect, c.metrics.votes} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Council) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	now, wall := c.now(), time.Now()
	tallies, probers := c.matrix.Tallies(), c.matrix.Probers()
	type votes struct {
		endpoint       string
		up, down, none int
	}
	all := make([]votes, 0, len(c.targets))
	for name := range c.targets {
		row, _ := c.matrix.Row(name, now)
		v := votes{endpoint: name}
		for _, x := range row.Votes {
			switch {
			case x.Silence != "":
				v.none++
			case x.Vote.State == policy.Up:
				v.up++
			default:
				v.down++
			}
		}
		all = append(all, v)
	}
	c.mu.Unlock()
	m := c.metrics
	count := func(n uint64, reason string) {
		out <- prometheus.MustNewConstMetric(m.suppressed, prometheus.CounterValue, float64(n), reason)
	}
	count(tallies.Held, "hold")
	count(tallies.Suspect, "self_suspect")
	count(tallies.CutOff, "cut_off")
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, p := range probers {
		if !p.Self {
			gauge(m.seen, float64(wall.Add(p.Heard-now).UnixMilli())/1000, p.Name)
		}
		bad := 0.0
		if p.Suspect != "" {
			bad = 1
		}
		gauge(m.suspect, bad, p.Name)
	}
	for _, v := range all {
		gauge(m.votes, float64(v.up), v.endpoint, "up")
		gauge(m.votes, float64(v.down), v.endpoint, "down")
		gauge(m.votes, float64(v.none), v.endpoint, "none")
	}
}
