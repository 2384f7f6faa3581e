package upstream

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/meridian-gslb/meridian/policy"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestNamesOutlivePlans(t *testing.T) {
	set := NewSet()
	one := func(eps ...policy.EndpointSpec) *policy.Plan {
		return compile(t, policy.Spec{Services: []policy.ServiceSpec{{Name: "s", Endpoints: eps}}})
	}
	a := policy.EndpointSpec{Name: "a", V4: addr("192.0.2.1"), Port: 80, Weight: 1}
	b := policy.EndpointSpec{Name: "b", V4: addr("192.0.2.2"), Port: 80, Weight: 1}
	first := one(a, b)
	v1 := set.View(first, 1)
	if set.View(first, 2) != v1 {
		t.Error("the same Plan got another View")
	}
	find := func(v *View, name string) *Member {
		t.Helper()
		id, ok := v.plan.EndpointByName(name)
		if !ok {
			t.Fatalf("no %s", name)
		}
		return v.Member(id)
	}
	find(v1, "s/b").Begin()
	find(v1, "s/b").End(Failed)

	moved := b
	moved.V4, moved.Weight = addr("192.0.2.9"), 3
	second := one(policy.EndpointSpec{Name: "0new", V4: addr("192.0.2.3"), Port: 80, Weight: 1}, moved)
	v2 := set.View(second, 3)
	if got := find(v2, "s/b"); got.Endpoint != find(v1, "s/b").Endpoint || got.Weight != 3 || got.Address.V4 != moved.V4 {
		t.Errorf("b in the second plan: %+v", got)
	}
	for _, c := range []struct {
		a    string
		want bool
	}{{"192.0.2.1:80", false}, {"192.0.2.2:80", false}, {"192.0.2.3:80", true}, {"192.0.2.9:80", true}} {
		ap := netip.MustParseAddrPort(c.a)
		if got := v2.Has(Address{V4: ap.Addr(), Port: ap.Port()}); got != c.want {
			t.Errorf("has %s: %v", c.a, got)
		}
	}

	// A request that began before the reload still finds its way, and does not bring the old Plan back.
	late := set.View(first, 2)
	if find(late, "s/b").Endpoint != find(v2, "s/b").Endpoint {
		t.Error("the late View has another b")
	}
	if set.View(second, 3) != v2 {
		t.Error("the late View became current")
	}
	stats := set.Stats()
	if len(stats) != 2 || stats[0].Name != "s/0new" || stats[1].Name != "s/b" || stats[1].Failures != 1 {
		t.Errorf("stats %+v", stats)
	}
}

func TestViewConcurrently(t *testing.T) {
	set := NewSet()
	plans := []*policy.Plan{weights(t, 1), weights(t, 1, 1), weights(t, 1, 1, 1)}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 300 {
				p := plans[i/100]
				v := set.View(p, uint64(i/100))
				if v.plan != p || len(v.members) != i/100+1 {
					t.Errorf("View of another Plan")
				}
				m := v.Member(0)
				m.Begin()
				m.End(Answered)
			}
		})
	}
	wg.Wait()
	if got := set.View(plans[2], 2).Member(0).Stats(); got.Requests != 1200 || got.InFlight != 0 {
		t.Errorf("requests were lost between Plans: %+v", got)
	}
}

func TestOutcomes(t *testing.T) {
	e := &Endpoint{name: "s/a"}
	for _, o := range []Outcome{Answered, ServerError, ServerError, Failed, ConnectFailed, Abandoned} {
		e.Begin()
		e.End(o)
	}
	e.Begin()
	want := Stats{Name: "s/a", InFlight: 1, Requests: 7, ServerErrors: 2, Failures: 1, ConnectFailures: 1}
	if got := e.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}
