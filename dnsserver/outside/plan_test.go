package outside

import (
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// A still is a World that changes only by the hand of the test.
type still struct{ snapshot registry.Snapshot }

func (s *still) Snapshot() *registry.Snapshot         { return &s.snapshot }
func (s *still) Subscribe() (<-chan struct{}, func()) { return nil, func() {} }
func (s *still) SetOutside(o *zone.Outside)           { s.snapshot.Outside = o }

// TestHostsOfServices: hosts that a service chooses among at the end of an alias are asked for, and no longer when they are gone, while
// the zones stay as they are.
func TestHostsOfServices(t *testing.T) {
	plan := func(hosts ...string) *policy.Plan {
		web := policy.ServiceSpec{Name: "web"}
		for _, h := range hosts {
			web.Endpoints = append(web.Endpoints, policy.EndpointSpec{Name: h, Host: h + ".cdn.test", Weight: 1})
		}
		p, problems := policy.Compile(policy.Spec{Services: []policy.ServiceSpec{web}})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return p
	}
	w := &still{}
	w.snapshot.Plan = plan("a")
	zones, problems := zone.Compile([]zone.Spec{{Name: "gslb.example", NS: []string{"ns.elsewhere.test."}, Records: []zone.RecordSpec{
		{Owner: "@", Alias: "cdn"}, {Owner: "cdn", Steer: &zone.SteerSpec{Service: "web", Types: []string{"CNAME"}}},
	}}}, w.snapshot.Plan)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	w.snapshot.Zones = zones
	r := New(Config{}, w, nil)
	for _, hosts := range [][]string{{"a"}, {"a", "b"}, {"c"}, {}} {
		w.snapshot.Plan = plan(hosts...)
		r.mu.Lock()
		r.follow(time.Now())
		if len(r.lookups) != 2*len(hosts) {
			t.Errorf("%v: %d lookups", hosts, len(r.lookups))
		}
		for _, h := range hosts {
			if r.lookups[key{"\x01" + h + "\x03cdn\x04test\x00", wire.TypeAAAA}] == nil {
				t.Errorf("%v: %s is not asked for", hosts, h)
			}
		}
		r.mu.Unlock()
	}
}
