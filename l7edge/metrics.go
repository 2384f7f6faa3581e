package l7edge

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-gslb/meridian/l7edge/upstream"
)

// metrics are the counts of the edge. They implement prometheus.Collector.
type metrics struct {
	carrier  *carrier
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	rejected *prometheus.CounterVec
	panics   prometheus.Counter

	mu   sync.RWMutex
	seen map[labels]counters // those of requests that have come before

	retries, inFlight, tunnels, waiting, held     *prometheus.Desc
	endpointInFlight, endpointRequests, endpointX *prometheus.Desc
}

func newMetrics(c *carrier) *metrics {
	endpoint := []string{"endpoint"}
	return &metrics{
		carrier: c,
		seen:    make(map[labels]counters),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "meridian_proxy_requests_total",
			Help: "Requests by route, status the client got, method and protocol; the route is empty if none matched.",
		}, []string{"route", "code", "method", "proto"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                        "meridian_proxy_request_duration_seconds",
			Help:                        "Time from a request's header to the end of its response, by route; tunnels are left out.",
			Buckets:                     []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
			NativeHistogramBucketFactor: 1.1,
		}, []string{"route"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "meridian_proxy_rejected_total",
			Help: "Requests the edge answered itself or gave up, and connections it closed for being too many, by reason.",
		}, []string{"reason"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name:        "meridian_panics_recovered_total",
			Help:        "Panics recovered, by where.",
			ConstLabels: prometheus.Labels{"where": "edge"},
		}),
		retries:          prometheus.NewDesc("meridian_proxy_retries_total", "Attempts after the first: on another endpoint because one could not be connected to, or over another connection because one was closed before the endpoint acted.", nil, nil),
		inFlight:         prometheus.NewDesc("meridian_proxy_requests_in_flight", "Requests and tunnels being carried.", nil, nil),
		tunnels:          prometheus.NewDesc("meridian_proxy_tunnels", "Upgraded connections (WebSocket) being carried.", nil, nil),
		waiting:          prometheus.NewDesc("meridian_proxy_streams_waiting", "Requests over HTTP/2 that wait for a stream to their endpoint.", nil, nil),
		held:             prometheus.NewDesc("meridian_proxy_held_bytes", "Bytes of bodies over HTTP/2 that wait for the other side.", nil, nil),
		endpointInFlight: prometheus.NewDesc("meridian_proxy_endpoint_requests_in_flight", "Requests at an endpoint.", endpoint, nil),
		endpointRequests: prometheus.NewDesc("meridian_proxy_endpoint_requests_total", "Attempts by endpoint.", endpoint, nil),
		endpointX: prometheus.NewDesc("meridian_proxy_endpoint_errors_total", "Attempts that went wrong, by endpoint and kind: "+
			"connect (no connection), broken (no complete response), status (5xx).", append(endpoint, "kind"), nil),
	}
}

// labels are what a request is counted under; all are bounded.
type labels struct {
	route, method, proto string
	status               int
}

// counters are those of one set of labels.
type counters struct {
	requests prometheus.Counter
	duration prometheus.Observer
}

// observe counts a request.
func (m *metrics) observe(a *account, took time.Duration) {
	l := labels{method: methodLabel(a.method), proto: protoLabel(a.proto), status: statusLabel(a.status)}
	if a.x.rule != nil {
		l.route = a.x.rule.Name
	}
	m.mu.RLock()
	c, ok := m.seen[l]
	m.mu.RUnlock()
	if !ok {
		c = m.add(l)
	}
	c.requests.Inc()
	if !a.hijacked {
		c.duration.Observe(took.Seconds())
	}
	if a.fault != noFault {
		m.rejected.WithLabelValues(a.fault.String()).Inc()
	}
}

// add remembers the counters of labels that are new, because to look them up costs more than to count.
func (m *metrics) add(l labels) counters {
	code := "other"
	if l.status != 0 {
		code = strconv.Itoa(l.status)
	}
	c := counters{m.requests.WithLabelValues(l.route, code, l.method, l.proto), m.duration.WithLabelValues(l.route)}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[l] = c
	return c
}

// statusLabel bounds what an endpoint can make of the label: statuses that HTTP does not have are 0, for "other".
func statusLabel(status int) int {
	if status < 100 || status > 599 {
		return 0
	}
	return status
}

// methodLabel bounds what a client can make of the label.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
		http.MethodConnect, http.MethodTrace:
		return method
	}
	return "other"
}

// protoLabel returns the label for the protocol of a request as net/http writes it.
func protoLabel(proto string) string {
	switch proto {
	case protoH2:
		return "h2"
	case "HTTP/1.0":
		return "http/1.0"
	}
	return "http/1.1"
}

// protoH2 is how records and net/http write HTTP/2.
const protoH2 = "HTTP/2.0"

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	m.requests.Describe(ch)
	m.duration.Describe(ch)
	m.rejected.Describe(ch)
	m.panics.Describe(ch)
	for _, d := range []*prometheus.Desc{m.retries, m.inFlight, m.tunnels, m.waiting, m.held, m.endpointInFlight, m.endpointRequests, m.endpointX} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Endpoints that never got a request are left out.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	m.requests.Collect(ch)
	m.duration.Collect(ch)
	m.rejected.Collect(ch)
	m.panics.Collect(ch)
	c := m.carrier
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	counter(m.retries, c.core.retries.Load())
	gauge(m.inFlight, c.core.inFlight.Load())
	gauge(m.tunnels, c.tunnels.Load())
	gauge(m.waiting, c.engine.pools.waiting())
	gauge(m.held, c.engine.budget.Held())
	for _, s := range c.core.set.Stats() {
		if s.Requests == 0 {
			continue
		}
		m.endpoint(s, counter, gauge)
	}
}

func (m *metrics) endpoint(s upstream.Stats, counter func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, int64, ...string)) {
	gauge(m.endpointInFlight, s.InFlight, s.Name)
	counter(m.endpointRequests, s.Requests, s.Name)
	counter(m.endpointX, s.ConnectFailures, s.Name, "connect")
	counter(m.endpointX, s.Failures, s.Name, "broken")
	counter(m.endpointX, s.ServerErrors, s.Name, "status")
}
