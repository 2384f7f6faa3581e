package dnsserver

import (
	"runtime"
	"testing"
	"weak"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// TestBusyWorkerKeepsNothing: after a reload, the next batch lets go of all that answers of earlier ones pointed to: names, records,
// steering, and what policies know of places. A long answer before it leaves more behind than short ones after it would wash away.
func TestBusyWorkerKeepsNothing(t *testing.T) {
	keepsNothing(t, func(a *Answerer) { answer(t, a, query("nowhere.test", dns.TypeA)) })
}

// TestIdleWorkerKeepsNothing: so does a worker that nobody asks any more.
func TestIdleWorkerKeepsNothing(t *testing.T) { keepsNothing(t, (*Answerer).renew) }

// keepsNothing sees that an Answerer lets go of an old snapshot when next is called, after the new one came.
func keepsNothing(t *testing.T, next func(*Answerer)) {
	t.Helper()
	world := func() *registry.Snapshot {
		return hostsSnapshot(t,
			zoneOf("b.example", static("one", "CNAME", "two"), static("two", "CNAME", "three"), static("three", "CNAME", "steered"), static("us", "A", "192.0.2.1|192.0.2.2"),
				static("mx", "MX", "1 a.b.c.d.|2 b.c.d.e.|3 c.d.e.f."), steeredBy("steered", "CNAME"), zone.RecordSpec{Owner: "@", Alias: "us"}))
	}
	current := world()
	a := testAnswerer(current, UDP)
	a.Snapshot = func() *registry.Snapshot { return current }
	for _, qname := range []string{"b.example", "mx.b.example", "one.b.example"} {
		for _, qtype := range []uint16{dns.TypeMX, dns.TypeA} {
			answer(t, a, query(qname, qtype, subnet("198.51.100.0/24")))
		}
	}

	var names []weak.Pointer[byte]
	var steers []weak.Pointer[zone.Steer]
	for e := range current.Zones.Zones()[0].Entries() {
		names = append(names, weak.Make(&e.Name[0]))
		if e.Steer != nil {
			steers = append(steers, weak.Make(e.Steer))
		}
		for _, set := range e.Sets {
			for _, rdata := range set.RData {
				names = append(names, weak.Make(&rdata[0]))
			}
		}
	}
	plan := weak.Make(current.Plan)
	endpoint := weak.Make(current.Plan.Endpoint(policy.EndpointID(0)))
	current = world()
	next(a)
	runtime.GC()
	for i, n := range names {
		if n.Value() != nil {
			t.Fatalf("name or record %d of %d is still held", i, len(names))
		}
	}
	for _, s := range steers {
		if s.Value() != nil {
			t.Error("steering is still held")
		}
	}
	if plan.Value() != nil || endpoint.Value() != nil {
		t.Error("the plan is still held")
	}
	runtime.KeepAlive(a)
}
