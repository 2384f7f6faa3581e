package dnsserver

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// snapshotOf returns a snapshot of the test's policies and other zones.
func snapshotOf(t testing.TB, specs ...zone.Spec) *registry.Snapshot {
	t.Helper()
	plan, problems := policy.Compile(testPolicySpec())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	zones, problems := zone.Compile(specs, plan)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return &registry.Snapshot{World: registry.World{Plan: plan, Zones: zones}, Health: policy.NewHealth(plan.NumEndpoints())}
}

// manyRecords is a zone of n steered records.
func manyRecords(n int) zone.Spec {
	spec := zone.Spec{Name: "gslb.example", NS: []string{"ns.elsewhere.test."}}
	for i := range n {
		spec.Records = append(spec.Records, zone.RecordSpec{Owner: fmt.Sprintf("name-%d", i), Steer: &zone.SteerSpec{Service: "web", Policy: "near"}})
	}
	return spec
}

// TestSeriesAreBounded: of many records the first maxSeries are counted by name, by all workers alike, and the others together.
func TestSeriesAreBounded(t *testing.T) {
	const names, extra = maxSeries + 500, 500
	snap := snapshotOf(t, manyRecords(names))
	all := newSeries()
	var workers []*Answerer
	for range 2 {
		a := testAnswerer(snap, UDP)
		a.counters.series = all
		workers = append(workers, a)
	}
	for i := range names {
		answer(t, workers[i&1], query(fmt.Sprintf("name-%d.gslb.example", i), dns.TypeA))
	}
	for i := range names { // each of them by the other worker
		answer(t, workers[1-i&1], query(fmt.Sprintf("name-%d.gslb.example", i), dns.TypeA))
	}
	got := totals{requests: map[requestKey]uint64{}, responses: map[responseKey]uint64{}, answers: map[answerKey]uint64{}}
	for _, a := range workers {
		got.add(a.counters)
		if n := len(a.counters.records); n > maxSeries+1 || len(a.counters.recordOf) > maxSeries {
			t.Errorf("counters of %d records, %d at hand", n, len(a.counters.recordOf))
		}
	}
	for k, n := range got.answers {
		switch {
		case k.record == others && n != 2*extra:
			t.Errorf("%d answers for the others, want %d", n, 2*extra)
		case k.record != others && n != 2:
			t.Errorf("%v: %d answers, want 2", k, n)
		}
	}
	if len(got.answers) != maxSeries+1 {
		t.Errorf("%d series, want %d", len(got.answers), maxSeries+1)
	}
}

// TestManyZones: of many zones the first maxSeries are counted by name, and the others together.
func TestManyZones(t *testing.T) {
	var specs []zone.Spec
	for i := range maxSeries + 10 {
		specs = append(specs, zone.Spec{Name: fmt.Sprintf("zone-%d.example", i), NS: []string{"ns.elsewhere.test."}})
	}
	a := testAnswerer(snapshotOf(t, specs...), UDP)
	for i := range specs {
		answer(t, a, query(specs[i].Name, dns.TypeSOA))
	}
	got := sum(a)
	if n := got.requests[requestKey{"udp", "ipv4", "SOA", others}]; n != 10 || len(got.requests) != maxSeries+1 {
		t.Errorf("%d series, %d queries for the others", len(got.requests), n)
	}
}

// TestNumbersEndWithTheirNames: after a reload, zones and records that are no more have no numbers, nor do those that come later
// lack room; the others count on.
func TestNumbersEndWithTheirNames(t *testing.T) {
	other := zone.Spec{Name: "other.example", NS: []string{"ns.elsewhere.test."}}
	wild := manyRecords(2)
	wild.Records[1].Owner = "*.wild"
	reloaded := snapshotOf(t, wild)
	a := testAnswerer(snapshotOf(t, manyRecords(maxSeries+1), other), UDP)
	for i := range maxSeries + 1 {
		answer(t, a, query(fmt.Sprintf("name-%d.gslb.example", i), dns.TypeA))
	}
	answer(t, a, query("other.example", dns.TypeSOA))
	answer(t, a, query("elsewhere.test", dns.TypeSOA))
	if n := len(sum(a).answers); n != maxSeries+1 {
		t.Fatalf("%d series", n)
	}

	a.Snapshot = func() *registry.Snapshot { return reloaded }
	answer(t, a, query("x.wild.gslb.example", dns.TypeA))
	got := sum(a)
	for key, want := range map[answerKey]uint64{
		{owned{name: "name-0.gslb.example"}, "eu", "geo"}: 1, {owned{name: "*.wild.gslb.example"}, "eu", "geo"}: 1, {owned{name: "name-1.gslb.example"}, "eu", "geo"}: 0,
	} {
		if n := got.answers[key]; n != want {
			t.Errorf("%v: %d, want %d", key, n, want)
		}
	}
	for key, want := range map[requestKey]uint64{
		{"udp", "ipv4", "A", owned{name: "gslb.example"}}: maxSeries + 2, {"udp", "ipv4", "SOA", owned{name: "other.example"}}: 0, {"udp", "ipv4", "SOA", owned{}}: 1,
	} {
		if n := got.requests[key]; n != want {
			t.Errorf("%v: %d, want %d", key, n, want)
		}
	}
	a.Snapshot = func() *registry.Snapshot { return snapshotOf(t, wild) } // the same again: wildcards are found by their own name
	a.renew()
	if n := sum(a).answers[answerKey{owned{name: "*.wild.gslb.example"}, "eu", "geo"}]; n != 1 {
		t.Errorf("the wildcard's numbers are gone: %v", sum(a).answers)
	}
}

// TestOldSnapshotsGo: a worker without work does not keep the snapshot of its last query.
func TestOldSnapshotsGo(t *testing.T) {
	var current atomic.Pointer[registry.Snapshot]
	current.Store(snapshotOf(t, manyRecords(10)))
	old := weak.Make(current.Load().Zones)
	s := New(Config{Listen: []string{"127.0.0.1:0"}, Workers: 2}, current.Load, slog.New(slog.DiscardHandler))
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { cancel(); <-done }()
	for _, network := range []string{"udp", "tcp", "tcp", "tcp"} {
		c := &dns.Client{Net: network, Timeout: 5 * time.Second}
		if _, _, err := c.Exchange(query("name-1.gslb.example", dns.TypeA), s.Addrs()[0].String()); err != nil {
			t.Fatal(err)
		}
	}
	current.Store(snapshotOf(t, manyRecords(10)))
	for range 100 {
		if runtime.GC(); old.Value() == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("after five seconds, somebody still holds the old zones")
}

// BenchmarkReload is what the first batch after a reload waits for: 1,000 zones and as many series of records as there can be.
func BenchmarkReload(b *testing.B) {
	specs := []zone.Spec{manyRecords(2 * maxSeries)}
	for i := range 999 {
		specs = append(specs, zone.Spec{Name: fmt.Sprintf("zone-%d.example", i), NS: []string{"ns.elsewhere.test."}})
	}
	snapshots := []*registry.Snapshot{snapshotOf(b, specs...), snapshotOf(b, specs...)}
	a := testAnswerer(snapshots[0], UDP)
	for i := range 2 * maxSeries {
		answer(b, a, query(fmt.Sprintf("name-%d.gslb.example", i), dns.TypeA))
	}
	for i := range specs {
		answer(b, a, query(specs[i].Name, dns.TypeSOA))
	}
	i := 0
	a.Snapshot = func() *registry.Snapshot { i++; return snapshots[i&1] }
	for b.Loop() {
		a.begin()
		a.end()
	}
}
