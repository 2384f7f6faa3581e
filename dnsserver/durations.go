package dnsserver

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// durationBounds are the upper bounds of the buckets that durations are counted in.
var durationBounds = [...]time.Duration{
	10 * time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 200 * time.Microsecond,
	500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond,
}

// durations are how long messages took from when they were read until their responses were ready, over TCP, or sent, over UDP. All
// messages of a batch take as long as the batch: none leaves before the last is answered. One worker adds, anybody may read.
type durations struct {
	counts [len(durationBounds) + 1]atomic.Uint64 // the last for those beyond all bounds
	sum    atomic.Uint64                          // nanoseconds
}

// observe counts n messages that took so long.
func (d *durations) observe(n int, took time.Duration) {
	i := 0
	for i < len(durationBounds) && took > durationBounds[i] {
		i++
	}
	d.counts[i].Add(uint64(n))
	d.sum.Add(uint64(n) * uint64(took))
}

// durationTotals are sums of durations.
type durationTotals struct {
	counts [len(durationBounds) + 1]uint64
	sum    uint64 // nanoseconds
}

func (t *durationTotals) add(d *durations) {
	for i := range d.counts {
		t.counts[i] += d.counts[i].Load()
	}
	t.sum += d.sum.Load()
}

// metric returns a histogram for one transport.
func (t *durationTotals) metric(proto string) prometheus.Metric {
	count := uint64(0)
	buckets := make(map[float64]uint64, len(durationBounds))
	for i, bound := range durationBounds {
		count += t.counts[i]
		buckets[bound.Seconds()] = count
	}
	count += t.counts[len(durationBounds)]
	return prometheus.MustNewConstHistogram(descDuration, count, time.Duration(t.sum).Seconds(), buckets, proto)
}
