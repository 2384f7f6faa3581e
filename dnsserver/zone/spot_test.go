package zone

import (
	"bytes"
	"testing"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// TestSpot: the spot of a name that is there holds a node, most often its own; other names may have one or none.
func TestSpot(t *testing.T) {
	s := bigSet(t, 2000, 3)
	own, all := 0, 0
	for _, z := range s.Zones() {
		for e := range z.Entries() {
			spots := []Spot{s.Spot(e.Name)}
			s.Fetch(spots)
			if spots[0].pos == 0 {
				t.Fatalf("%s has no spot", e.Name)
			}
			if all++; &z.nodes[spots[0].pos-1] == z.node(e.Name) {
				own++
			}
			var m Match
			if s.LookupAt(&m, spots[0], e.Name, wire.TypeA); m.Zone != z || !bytes.Equal(m.Owner, e.Name) {
				t.Fatalf("%s is looked up at the spot of %s", e.Name, m.Owner)
			}
		}
	}
	if own < all*2/3 {
		t.Errorf("only %d of %d names are at their spot", own, all)
	}
	for _, name := range []string{"elsewhere.invalid", "."} {
		spots := []Spot{s.Spot(mustName(t, name))}
		if s.Fetch(spots) != 0 || spots[0] != (Spot{}) {
			t.Errorf("%s has a spot", name)
		}
	}
}
