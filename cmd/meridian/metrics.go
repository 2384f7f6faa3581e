package main

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// nodeMetrics are the metrics of the process as a whole, and the registry that all rooms' metrics are in.
type nodeMetrics struct {
	registry     *prometheus.Registry
	reloadOK     prometheus.Gauge // 1: the last reload took effect
	reloadOKTime prometheus.Gauge // when one last did
	changed      atomic.Int64     // when the World last changed, Unix nanoseconds
}

func newNodeMetrics(n *node) *nodeMetrics {
	m := &nodeMetrics{
		registry: prometheus.NewRegistry(),
		reloadOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "meridian_config_last_reload_successful",
			Help: "1 if the configuration on disk was accepted when it was last read, else 0.",
		}),
		reloadOKTime: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "meridian_config_last_reload_success_timestamp_seconds",
			Help: "When a configuration last took effect.",
		}),
	}
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "meridian_snapshot_age_seconds",
		Help: "Time since the file or a registry last changed what exists; health does not count.",
	}, func() float64 { return time.Since(time.Unix(0, m.changed.Load())).Seconds() })
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "meridian_build_info",
		Help:        "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.reloaded(true)
	m.worldChanged()
	m.registry.MustRegister(m.reloadOK, m.reloadOKTime, age, build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), n.registry.Collector(), n.prober, n.council, n.outside, geoCollector{n})
	if n.link != nil {
		m.registry.MustRegister(n.link)
	}
	if n.dns != nil {
		m.registry.MustRegister(n.dns)
	}
	if n.edge != nil {
		m.registry.MustRegister(n.edge)
	}
	return m
}

// A geoCollector tells how old the geo databases in force are.
type geoCollector struct{ n *node }

var geoBuilt = prometheus.NewDesc("meridian_geo_database_build_timestamp_seconds", "When a geo database in force was built.", []string{"file"}, nil)

// Describe sends the description of the metric.
func (geoCollector) Describe(out chan<- *prometheus.Desc) { out <- geoBuilt }

// Collect sends one value for each database.
func (c geoCollector) Collect(out chan<- prometheus.Metric) {
	for _, g := range c.n.config.Load().Databases {
		out <- prometheus.MustNewConstMetric(geoBuilt, prometheus.GaugeValue, float64(g.Built.Unix()), g.File)
	}
}

func (m *nodeMetrics) reloaded(ok bool) {
	if !ok {
		m.reloadOK.Set(0)
		return
	}
	m.reloadOK.Set(1)
	m.reloadOKTime.SetToCurrentTime()
}

func (m *nodeMetrics) worldChanged() { m.changed.Store(time.Now().UnixNano()) }
