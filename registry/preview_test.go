package registry

import (
	"reflect"
	"testing"

	"github.com/meridian-gslb/meridian/policy"
)

// TestPreview: what is foretold is what comes, and to look changes nothing.
func TestPreview(t *testing.T) {
	next := definition()
	next.Policy.Services[0].Endpoints = append(next.Policy.Services[0].Endpoints, ep("c", "eu"), ep("d", "us"))
	next.Policy.Services = append(next.Policy.Services, policy.ServiceSpec{Name: "shop", Endpoints: []policy.EndpointSpec{ep("x", "eu")}})
	next.Probed = []string{"shop"}
	same := definition()
	for name, d := range map[string]Definition{"more": next, "same": same, "nothing": {}} {
		r := applied(t, Options{})
		r.Publish("test", catalog("web", ep("p", "us")))
		r.Publish("other", catalog("shop", ep("y", "eu")))
		r.Report("web/a", policy.Verdict{State: policy.Down, TTL: 7})
		r.Report("web/p", policy.Verdict{State: policy.Up, TTL: 9})
		must(t, r.Force(drain(siteUS)))
		before, details := r.Snapshot(), r.Details()
		c := mustCompile(t, d)
		p := r.Preview(c)
		if r.Snapshot() != before || p.Gen != before.Gen || !reflect.DeepEqual(r.Details(), details) {
			t.Errorf("%s: to look has changed something", name)
		}
		s := r.Apply(c)
		if p.Zones != s.Zones || p.Routes != s.Routes || !reflect.DeepEqual(names(p.Plan), names(s.Plan)) || p.Health.Len() != s.Health.Len() {
			t.Errorf("%s: foretold %v, came %v", name, names(p.Plan), names(s.Plan))
		}
		for id := range policy.EndpointID(s.Plan.NumEndpoints()) {
			if p.Health.Of(id) != s.Health.Of(id) {
				t.Errorf("%s: %s foretold as %+v, is %+v", name, s.Plan.Endpoint(id).Name, p.Health.Of(id), s.Health.Of(id))
			}
		}
		if again := r.Preview(c); again.Plan != s.Plan {
			t.Errorf("%s: of what is in force there is another plan", name)
		}
	}
}
