package l7edge

import (
	"net/http"
	"strconv"
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

	retries, inFlight, tunnels                    *prometheus.Desc
	endpointInFlight, endpointRequests, endpointX *prometheus.Desc
}

func newMetrics(c *carrier) *metrics {
	endpoint := []string{"endpoint"}
	return &metrics{
		carrier: c,
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
		endpointInFlight: prometheus.NewDesc("meridian_proxy_endpoint_requests_in_flight", "Requests at an endpoint.", endpoint, nil),
		endpointRequests: prometheus.NewDesc("meridian_proxy_endpoint_requests_total", "Attempts by endpoint.", endpoint, nil),
		endpointX: prometheus.NewDesc("meridian_proxy_endpoint_errors_total", "Attempts that went wrong, by endpoint and kind: "+
			"connect (no connection), broken (no complete response), status (5xx).", append(endpoint, "kind"), nil),
	}
}

// observe counts a request.
func (m *metrics) observe(a *account, took time.Duration) {
	name := ""
	if a.x.rule != nil {
		name = a.x.rule.Name
	}
	m.requests.WithLabelValues(name, codeLabel(a.status), methodLabel(a.method), protoLabel(a.proto)).Inc()
	if !a.hijacked {
		m.duration.WithLabelValues(name).Observe(took.Seconds())
	}
	if a.fault != noFault {
		m.rejected.WithLabelValues(a.fault.String()).Inc()
	}
}

// codeLabel bounds what an endpoint can make of the label: statuses that HTTP does not have are "other".
func codeLabel(status int) string {
	if status < 100 || status > 599 {
		return "other"
	}
	return strconv.Itoa(status)
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
	for _, d := range []*prometheus.Desc{m.retries, m.inFlight, m.tunnels, m.endpointInFlight, m.endpointRequests, m.endpointX} {
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
