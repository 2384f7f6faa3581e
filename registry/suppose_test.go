package registry

import (
	"testing"

	"github.com/meridian-gslb/meridian/policy"
)

// TestSuppose: what is supposed counts in the copy alone, the later of two counts, and everything else stays as it is.
func TestSuppose(t *testing.T) {
	r := applied(t, Options{})
	if !r.Report("web/b", policy.Verdict{State: policy.Up, TTL: 7}) {
		t.Fatal("the endpoint is not there")
	}
	was := r.Snapshot()
	for _, tt := range []struct {
		list string
		a, b policy.Verdict
	}{
		{"eu=down", policy.Verdict{State: policy.Down, Forced: true}, policy.Verdict{State: policy.Up, TTL: 7}},
		{"service/web=drained", policy.Verdict{State: policy.Drained, Forced: true}, policy.Verdict{State: policy.Drained, Forced: true}},
		{"service/web=down, web/a=up", policy.Verdict{State: policy.Up, Forced: true}, policy.Verdict{State: policy.Down, Forced: true}},
	} {
		list, err := r.ParseSuppositions(tt.list)
		if err != nil {
			t.Errorf("%s: %v", tt.list, err)
			continue
		}
		s := was.Suppose(list)
		for name, want := range map[string]policy.Verdict{"web/a": tt.a, "web/b": tt.b} {
			id, _ := s.Plan.EndpointByName(name)
			if got := s.Health.Of(id); got != want {
				t.Errorf("%s: %s is %+v, want %+v", tt.list, name, got, want)
			}
		}
		if id, _ := was.Plan.EndpointByName("web/a"); was.Health.Of(id).Forced || s == was {
			t.Errorf("%s: the snapshot itself has changed", tt.list)
		}
	}
	if was.Suppose(nil) != was {
		t.Error("nothing supposed, and another snapshot")
	}
	for _, bad := range []string{"", "eu", "eu=", "eu=off", "nowhere=down", "eu=down,"} {
		if _, err := r.ParseSuppositions(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
