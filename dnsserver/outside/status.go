package outside

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Status is how well the targets are known.
type Status struct {
	Targets int           // names
	Ignored int           // names beyond MaxTargets
	Failing int           // lookups, of which each target has two, that fail
	Unknown int           // lookups of which nothing is known
	Oldest  time.Duration // since the lookup that no server has answered for longest was answered, or became one; 0: there is none
}

// Status returns how well the targets are known.
func (r *Resolver) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Status{Targets: r.names, Ignored: r.ignored}
	now := time.Now()
	for _, l := range r.lookups {
		if l.failures > 0 {
			s.Failing++
		}
		if !l.known {
			s.Unknown++
		}
		s.Oldest = max(s.Oldest, now.Sub(l.since))
	}
	return s
}

// Problems says what is wrong, one sentence each.
func (r *Resolver) Problems() []string {
	s := r.Status()
	servers := len(r.config.Load().Servers)
	var out []string
	switch {
	case s.Targets > 0 && servers == 0:
		out = append(out, fmt.Sprintf("nobody is asked for the %d names outside our zones that aliases lead to: there is no resolver", s.Targets))
	case s.Failing > 0:
		out = append(out, fmt.Sprintf("names outside our zones that aliases lead to do not resolve: %d of %d lookups fail, and nothing is known of %d",
			s.Failing, 2*s.Targets, s.Unknown))
	}
	if s.Ignored > 0 {
		out = append(out, fmt.Sprintf("aliases lead to %d names outside our zones, more than the %d that are resolved", s.Targets+s.Ignored, MaxTargets))
	}
	return out
}

// The results that are counted.
const (
	resultAddresses = iota
	resultNone
	resultFailure
	numResults
)

var resultLabels = [numResults]string{"addresses", "none", "failure"}

func (r *Resolver) count(res result) {
	what := resultAddresses
	switch {
	case res.err != nil:
		what = resultFailure
	case len(res.found.rdata) == 0:
		what = resultNone
	}
	r.counts[what].Add(1)
}

var (
	descTargets = prometheus.NewDesc("meridian_alias_targets", "Names outside our zones that aliases lead to, by whether they are resolved or beyond the limit (ignored).", []string{"state"}, nil)
	descLookups = prometheus.NewDesc("meridian_alias_lookups_total",
		"Lookups of such names, one for each family: addresses, none (they do not exist) or failure (no server answered).", []string{"result"}, nil)
	descFailing = prometheus.NewDesc("meridian_alias_failing", "Lookups that fail: what was known before is served on.", nil, nil)
	descUnknown = prometheus.NewDesc("meridian_alias_unknown", "Lookups of which nothing is known: their aliases cannot be answered.", nil, nil)
	descOldest  = prometheus.NewDesc("meridian_alias_oldest_seconds", "Time since the lookup that was not answered for longest was answered.", nil, nil)
)

// Describe implements prometheus.Collector.
func (r *Resolver) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descTargets, descLookups, descFailing, descUnknown, descOldest} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (r *Resolver) Collect(ch chan<- prometheus.Metric) {
	s := r.Status()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descTargets, float64(s.Targets), "resolved")
	gauge(descTargets, float64(s.Ignored), "ignored")
	gauge(descFailing, float64(s.Failing))
	gauge(descUnknown, float64(s.Unknown))
	gauge(descOldest, s.Oldest.Seconds())
	for i, label := range resultLabels {
		ch <- prometheus.MustNewConstMetric(descLookups, prometheus.CounterValue, float64(r.counts[i].Load()), label)
	}
}
