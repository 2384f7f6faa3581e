package probes

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-gslb/meridian/probes/check"
)

// metrics are the Prober's counters. They are safe for concurrent use.
type metrics struct {
	results      *prometheus.CounterVec
	success      prometheus.Counter
	failure      prometheus.Counter
	timeout      prometheus.Counter
	inconclusive prometheus.Counter
	duration     prometheus.Histogram
	skipped      prometheus.Counter
	panics       prometheus.Counter
	targets      prometheus.GaugeFunc
	inFlight     prometheus.GaugeFunc
}

func newMetrics(p *Prober) *metrics {
	results := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "meridian_probe_results_total",
		Help: "Checks by result: success, failure, timeout, or inconclusive for trouble on this machine.",
	}, []string{"result"})
	return &metrics{
		results:      results,
		success:      results.WithLabelValues("success"),
		failure:      results.WithLabelValues("failure"),
		timeout:      results.WithLabelValues("timeout"),
		inconclusive: results.WithLabelValues("inconclusive"),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "meridian_probe_duration_seconds",
			Help:    "Time that checks took, whatever their result.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		skipped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "meridian_probe_skipped_total",
			Help: "Checks left out because the one before had not ended or the process was held up.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name:        "meridian_panics_recovered_total",
			Help:        "Panics recovered, by where.",
			ConstLabels: prometheus.Labels{"where": "probe"},
		}),
		targets: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "meridian_probe_targets",
			Help: "Endpoints that are checked.",
		}, func() float64 { return float64(p.counts().targets) }),
		inFlight: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "meridian_probe_in_flight",
			Help: "Checks that run at this moment.",
		}, func() float64 { return float64(p.counts().inFlight) }),
	}
}

// observe counts one check.
func (m *metrics) observe(latency time.Duration, err error) {
	m.duration.Observe(latency.Seconds())
	switch {
	case err == nil:
		m.success.Inc()
	case inconclusive(err):
		m.inconclusive.Inc()
	case check.Timeout(err):
		m.timeout.Inc()
	default:
		m.failure.Inc()
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.results, m.duration, m.skipped, m.panics, m.targets, m.inFlight}
}

// Describe implements prometheus.Collector.
func (p *Prober) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range p.metrics.all() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (p *Prober) Collect(ch chan<- prometheus.Metric) {
	for _, c := range p.metrics.all() {
		c.Collect(ch)
	}
}

type counts struct{ targets, inFlight int }

func (p *Prober) counts() counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return counts{len(p.probes), p.workers}
}
