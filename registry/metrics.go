package registry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-gslb/meridian/policy"
)

// Collector returns the registry's metrics: meridian_snapshot_generation, meridian_state_save_errors_total,
// meridian_endpoint_up{service,endpoint,site}, meridian_endpoint_weight{service,endpoint,site},
// meridian_health_transitions_total{endpoint,to}, meridian_override_active{kind} and meridian_endpoints_refused. The label "endpoint"
// is the full name, "service/name"; up is 1 for the states up and unknown, which count as up, and 0 for down and drained.
func (r *Registry) Collector() prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("meridian_"+name, help, labels, nil)
	}
	return &collector{
		r:           r,
		generation:  desc("snapshot_generation", "Generation of the snapshot in force."),
		saveErrors:  desc("state_save_errors_total", "Writes of overrides or health that the state store failed."),
		up:          desc("endpoint_up", "1 if the endpoint may receive traffic, 0 if it is down or drained.", "service", "endpoint", "site"),
		weight:      desc("endpoint_weight", "Weight of the endpoint.", "service", "endpoint", "site"),
		transitions: desc("health_transitions_total", "Changes of the endpoint's state in force, by new state.", "endpoint", "to"),
		overrides:   desc("override_active", "Overrides in force, by kind of target.", "kind"),
		refused:     desc("endpoints_refused", "Published endpoints that are invalid or exceed a limit."),
	}
}

type collector struct {
	r                                                                   *Registry
	generation, saveErrors, up, weight, transitions, overrides, refused *prometheus.Desc
}

// Describe sends the descriptions of all metrics.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.generation, c.saveErrors, c.up, c.weight, c.transitions, c.overrides, c.refused} {
		out <- d
	}
}

// Collect sends the current values. It holds up writers only while it copies them.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	m := c.r.measure()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(c.generation, float64(m.snapshot.Gen))
	count(c.saveErrors, m.saveErrors)
	gauge(c.refused, float64(m.refused))
	for k := KindSite; k <= KindEndpoint; k++ {
		gauge(c.overrides, float64(m.overrides[k]), k.String())
	}
	p := m.snapshot.Plan
	for i, changes := range m.transitions {
		e := p.Endpoint(policy.EndpointID(i))
		service, site := p.ServiceName(e.Service), p.SiteName(e.Site)
		up := 0.0
		if m.snapshot.Health.Of(policy.EndpointID(i)).State.Usable() {
			up = 1
		}
		gauge(c.up, up, service, e.Name, site)
		gauge(c.weight, float64(e.Weight), service, e.Name, site)
		for to, n := range changes {
			if n > 0 {
				count(c.transitions, n, e.Name, policy.State(to).String())
			}
		}
	}
}

// A measurement is what the metrics are made of, at one moment.
type measurement struct {
	snapshot    *Snapshot
	saveErrors  uint64
	refused     int
	overrides   [KindEndpoint + 1]int
	transitions [][policy.Drained + 1]uint64 // by EndpointID
}

func (r *Registry) measure() measurement {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := measurement{snapshot: r.current.Load(), saveErrors: r.saveErrors, refused: r.merged.refusals}
	for t := range r.overrides {
		m.overrides[t.Kind]++
	}
	p := m.snapshot.Plan
	m.transitions = make([][policy.Drained + 1]uint64, p.NumEndpoints())
	for i := range m.transitions {
		m.transitions[i] = r.endpoints[p.Endpoint(policy.EndpointID(i)).Name].transitions
	}
	return m
}
