package dnsserver

import (
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// sum returns what one Answerer counted.
func sum(a *Answerer) totals {
	t := totals{requests: map[requestKey]uint64{}, responses: map[[2]string]uint64{}, answers: map[answerKey]uint64{}}
	t.add(a.counters)
	return t
}

// TestCountersOutliveSnapshots: numbers belong to names, whatever ids the sites and records have in the next snapshot.
func TestCountersOutliveSnapshots(t *testing.T) {
	first, second := testSnapshot(t, nil), testSnapshot(t, nil)
	spec := testPolicySpec()
	spec.Sites[0], spec.Sites[1] = spec.Sites[1], spec.Sites[0]
	swapped, problems := policy.Compile(spec)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	third := &registry.Snapshot{World: registry.World{Plan: swapped, Zones: second.Zones}, Health: policy.NewHealth(swapped.NumEndpoints())}

	a := testAnswerer(first, UDP)
	for i, s := range []*registry.Snapshot{first, first, second, third, first} {
		a.Snapshot = func() *registry.Snapshot { return s }
		answer(t, a, query("www.gslb.example", dns.TypeA, subnet("192.0.2.0/24")))
		answer(t, a, query("www.gslb.example", dns.TypeA, subnet("198.51.100.0/24")))
		answer(t, a, query("nx.elsewhere.test", dns.TypeA))
		got := sum(a)
		for _, site := range []string{"eu", "us"} {
			if n := got.answers[answerKey{"www.gslb.example", site, "geo"}]; n != uint64(i+1) {
				t.Errorf("after %d: %d answers of %s: %v", i+1, n, site, got.answers)
			}
		}
		if n := got.requests[requestKey{"udp", "ipv4", "A", "gslb.example"}]; n != uint64(2*i+2) {
			t.Errorf("after %d: requests %v", i+1, got.requests)
		}
		if n := got.responses[[2]string{"REFUSED", ""}]; n != uint64(i+1) {
			t.Errorf("after %d: responses %v", i+1, got.responses)
		}
	}
	met := 0
	for _, zc := range a.counters.zoneAt {
		if zc != nil {
			met++
		}
	}
	if n := len(a.counters.zoneAt); n != len(first.Zones.Zones()) || met != 1 || a.counters.nowhere == nil {
		t.Errorf("counters of %d zones of %d are at hand, those of earlier snapshots among them", met, n)
	}
}

// TestLabels: every code we answer with and every type has a label of its own.
func TestLabels(t *testing.T) {
	for i, r := range rcodeLabels {
		if rcodeLabel(r) != i || r.String() == "OTHER" {
			t.Errorf("code %d: label %d %s", r, rcodeLabel(r), r)
		}
	}
	if s := wire.RCode(9).String(); s != "OTHER" {
		t.Error(s)
	}
	for i, name := range typeLabels[1:] {
		if got := typeLabel(dns.StringToType[name]); got != i+1 {
			t.Errorf("%s: label %d", name, got)
		}
	}
	if typeLabel(65280) != 0 || typeLabel(0) != 0 {
		t.Error("unknown types are not other")
	}
	if UDP.String() != "udp" || TCP.String() != "tcp" || Transport(7).String() != "7" {
		t.Error("transports")
	}
}
