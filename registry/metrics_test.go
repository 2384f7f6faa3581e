package registry

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-gslb/meridian/policy"
)

// gather returns all metrics of a Registry, "name{label=value,…}" -> value.
func gather(t *testing.T, r *Registry) map[string]float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	must(t, reg.Register(r.Collector()))
	families, err := reg.Gather()
	must(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return got
}

func TestMetrics(t *testing.T) {
	r := applied(t, Options{})
	heavy := ep("x", "")
	heavy.Weight = 7
	r.Publish("embedded", catalog("api", heavy, ep("bad", "nowhere")))
	r.Report("web/a", up)
	r.Report("web/a", down)
	r.Report("web/a", up)
	must(t, r.Force(drain(siteUS)))
	must(t, r.Force(drain(service)))
	must(t, r.Unforce(service))
	want := map[string]float64{
		"meridian_snapshot_generation":     8,
		"meridian_state_save_errors_total": 0,
		"meridian_endpoints_refused":       1,

		"meridian_endpoint_up{endpoint=web/a,service=web,site=eu}":     1,
		"meridian_endpoint_up{endpoint=web/b,service=web,site=us}":     0,
		"meridian_endpoint_up{endpoint=api/x,service=api,site=}":       1,
		"meridian_endpoint_weight{endpoint=web/a,service=web,site=eu}": 1,
		"meridian_endpoint_weight{endpoint=web/b,service=web,site=us}": 1,
		"meridian_endpoint_weight{endpoint=api/x,service=api,site=}":   7,

		"meridian_health_transitions_total{endpoint=web/a,to=up}":      3,
		"meridian_health_transitions_total{endpoint=web/a,to=down}":    1,
		"meridian_health_transitions_total{endpoint=web/a,to=drained}": 1,
		"meridian_health_transitions_total{endpoint=web/b,to=drained}": 1,

		"meridian_override_active{kind=site}":     1,
		"meridian_override_active{kind=service}":  0,
		"meridian_override_active{kind=endpoint}": 0,
	}
	got := gather(t, r)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[name]; !ok || v != want[name] {
			t.Errorf("%s = %v (there: %v), want %v", name, v, ok, want[name])
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("more than expected: %v", got)
	}
	if r.Snapshot().Health.Of(0).State != policy.Up {
		t.Error("gathering has changed something")
	}
}
