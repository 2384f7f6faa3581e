package dnsserver

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-gslb/meridian/policy"
)

// The metrics. No label holds a name that a client chose: zone and record are names of the configuration.
var (
	descRequests = prometheus.NewDesc("meridian_dns_requests_total",
		"DNS queries that were answered; zone is empty outside our zones, view for zones in all views.", []string{"proto", "family", "type", "zone", "view"}, nil)
	descResponses = prometheus.NewDesc("meridian_dns_responses_total",
		"DNS responses by code; zone is empty outside our zones, view for zones in all views.", []string{"rcode", "zone", "view"}, nil)
	descDropped = prometheus.NewDesc("meridian_dns_dropped_total",
		"DNS messages without a response: malformed (no query), send (the system would not send it), rate_limit (beyond the limit of "+
			"its sender), proxy (from a proxy, without a good header), overflow (more came than could be answered, over UDP; counted on Linux "+
			"only).", []string{"reason"}, nil)
	descSlipped = prometheus.NewDesc("meridian_dns_slipped_total",
		"DNS responses, empty and truncated, to queries beyond the limit of their sender. They are no part of the responses.", nil, nil)
	descAnswers = prometheus.NewDesc("meridian_answers_total",
		"Steered answers, by the site of the first address and the most telling reason; view is empty for records in all views.", []string{"record", "site", "reason", "view"}, nil)
	descDuration = prometheus.NewDesc("meridian_dns_request_duration_seconds",
		"Time from when a DNS query was read until the responses to it and those read with it were sent (UDP) or ready to be sent (TCP).",
		[]string{"proto"}, nil)
	descWorkers     = prometheus.NewDesc("meridian_dns_udp_workers", "UDP workers that queries are given to at the moment, of all addresses.", nil, nil)
	descConnections = prometheus.NewDesc("meridian_dns_tcp_connections", "Open DNS connections over TCP.", nil, nil)
	descRejected    = prometheus.NewDesc("meridian_dns_tcp_rejected_total",
		"DNS connections over TCP not served: client (has its share), evicted (idle for longest when all places were taken), "+
			"accept (failed attempts to accept one), proxy (from a proxy, without a good header).", []string{"reason"}, nil)
)

// Describe implements prometheus.Collector.
func (s *Server) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRequests, descResponses, descDropped, descSlipped, descAnswers, descDuration, descWorkers,
		descConnections, descRejected} {
		ch <- d
	}
}

// Collect implements prometheus.Collector: the sums over all workers. It may be called at any time.
func (s *Server) Collect(ch chan<- prometheus.Metric) {
	t := totals{
		requests:  map[requestKey]uint64{},
		responses: map[responseKey]uint64{},
		answers:   map[answerKey]uint64{},
	}
	for _, c := range s.counters {
		t.add(c)
	}
	send := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	for k, n := range t.requests {
		send(descRequests, n, k.proto, k.family, k.rrtype, k.zone.name, k.zone.view)
	}
	for k, n := range t.responses {
		send(descResponses, n, k.rcode, k.zone.name, k.zone.view)
	}
	for k, n := range t.answers {
		send(descAnswers, n, k.record.name, k.site, k.reason, k.record.view)
	}
	for why, n := range t.dropped {
		send(descDropped, n, dropLabels[why])
	}
	send(descDropped, s.overflow(), "overflow")
	for proto, d := range t.took {
		ch <- d.metric(protoLabels[proto])
	}
	ch <- prometheus.MustNewConstMetric(descWorkers, prometheus.GaugeValue, float64(s.activeWorkers()))
	send(descSlipped, t.slipped)
	for why := range s.conns.rejected {
		send(descRejected, s.conns.rejected[why].Load(), rejectionLabels[why])
	}
	ch <- prometheus.MustNewConstMetric(descConnections, prometheus.GaugeValue, float64(s.conns.len()))
}

type requestKey struct {
	proto, family, rrtype string
	zone                  owned
}

type responseKey struct {
	rcode string
	zone  owned
}

type answerKey struct {
	record       owned
	site, reason string
}

// totals are sums over several counters, by labels. What is 0 is left out, but for drops.
type totals struct {
	requests  map[requestKey]uint64
	responses map[responseKey]uint64
	answers   map[answerKey]uint64
	dropped   [numDrops]uint64
	slipped   uint64
	took      [len(protoLabels)]durationTotals
}

var (
	protoLabels  = [...]string{UDP: "udp", TCP: "tcp"}
	familyLabels = [...]string{"ipv4", "ipv6"}
)

// add adds the numbers of one worker.
func (t *totals) add(c *counters) {
	for why := range c.dropped {
		t.dropped[why] += c.dropped[why].Load()
	}
	t.slipped += c.slipped.Load()
	t.took[c.transport].add(&c.took)
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, zc := range c.zones {
		for family := range familyLabels {
			for i := range typeLabels {
				if n := zc.counts[requestAt(family, i)].Load(); n > 0 {
					t.requests[requestKey{protoLabels[c.transport], familyLabels[family], typeLabels[i], name}] += n
				}
			}
		}
		for i := range rcodeLabels {
			if n := zc.counts[responseAt(i)].Load(); n > 0 {
				t.responses[responseKey{rcodeLabels[i].String(), name}] += n
			}
		}
	}
	for record, rc := range c.records {
		for site, sc := range rc.sites {
			for why := range sc {
				if n := sc[why].Load(); n > 0 {
					t.answers[answerKey{record, site, policy.Reason(why).String()}] += n
				}
			}
		}
	}
}

// String returns "udp" or "tcp", as metrics have it.
func (t Transport) String() string {
	if int(t) < len(protoLabels) {
		return protoLabels[t]
	}
	return strconv.Itoa(int(t))
}
