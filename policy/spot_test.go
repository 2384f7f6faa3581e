package policy

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestSpot: the ranges that a Spot touches hold the client's, whatever its address, the first and the last of the family among them; and
// there is nothing to touch where there are few networks.
func TestSpot(t *testing.T) {
	spec := Spec{
		Sites:    []SiteSpec{{Name: "a"}, {Name: "b"}},
		Services: []ServiceSpec{{Name: "s", Endpoints: []EndpointSpec{{Name: "e", V4: netip.MustParseAddr("192.0.2.1"), Site: "a"}}}},
		Policies: []PolicySpec{{Name: "p", Stages: []StageSpec{Geo{Default: GeoTarget{Sites: []string{"a", "b"}}}}}},
	}
	few := []Spot{SpotOf(0, 1, netip.MustParsePrefix("255.255.3.0/24"))}
	if plan := mustCompile(t, spec); plan.Fetch(few) != 0 || few[0].to != 0 {
		t.Error("a Spot without networks")
	}
	for i := range 2 * indexFrom {
		spec.Networks = append(spec.Networks, NetworkSpec{Prefix: netip.MustParsePrefix(fmt.Sprintf("255.%d.%d.0/24", 255-i/256, i%256)), Site: []string{"a", "b"}[i%2]})
	}
	plan := mustCompile(t, spec)
	by, _ := plan.PolicyByName("p")
	table := &plan.stages[0].atlas.v4
	for _, addr := range []string{"0.0.0.0", "1.2.3.4", "255.254.3.4", "255.255.0.0", "255.255.255.255"} {
		p := netip.MustParsePrefix(addr + "/32")
		spots := []Spot{SpotOf(0, by, p)}
		plan.Fetch(spots)
		s := spots[0]
		a := p.Addr().As4()
		found, _ := table.find(uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3]))
		at := uint32(found)
		if at < s.from || at > s.to {
			t.Errorf("%s: in range %d, the Spot is %d to %d", addr, at, s.from, s.to)
		}
	}
	if SpotOf(0, by, netip.MustParsePrefix("2001:db8::/32")) != (Spot{}) {
		t.Error("a Spot of IPv6")
	}
}
