package policy

import (
	"net/netip"
	"runtime"
	"testing"
	"weak"
)

// TestScratchForgets: a worker that has nothing to decide does not keep what an old Plan knows of places.
func TestScratchForgets(t *testing.T) {
	p := mustCompile(t, Spec{
		Sites:    []SiteSpec{{Name: "a"}, {Name: "b"}},
		Networks: []NetworkSpec{{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Site: "a"}, {Prefix: netip.MustParsePrefix("198.51.100.0/24"), Site: "b"}},
		Services: []ServiceSpec{{Name: "web", Endpoints: []EndpointSpec{
			{Name: "a", V4: netip.MustParseAddr("192.0.2.1"), Site: "a", Weight: 1}, {Name: "b", V4: netip.MustParseAddr("192.0.2.2"), Site: "b", Weight: 1}}}},
		Policies: []PolicySpec{{Name: "near", Stages: []StageSpec{Geo{Default: GeoTarget{Sites: []string{"a", "b"}}}}}},
	})
	id, _ := p.PolicyByName("near")
	s := new(Scratch)
	p.Decide(s, Query{Policy: id, Client: netip.MustParsePrefix("192.0.2.0/24")}, NewHealth(2))
	if len(s.views) == 0 {
		t.Fatal("the Plan has nothing to forget")
	}
	views := weak.Make(&s.views[0])
	s.Forget()
	runtime.GC()
	if views.Value() != nil {
		t.Error("the Plan's knowledge is still held")
	}
	runtime.KeepAlive(s)
}
