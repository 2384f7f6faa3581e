package zone

import "testing"

// TestSpot: the spot of a name that is there holds a node, most often its own; other names may have one or none.
func TestSpot(t *testing.T) {
	s := bigSet(t, 2000, 3)
	own, all := 0, 0
	for _, z := range s.Zones() {
		for e := range z.Entries() {
			spot := s.Spot(e.Name)
			if spot.at.pos == 0 {
				t.Fatalf("%s has no spot", e.Name)
			}
			if all++; &spot.nodes[spot.at.pos-1] == z.node(e.Name) {
				own++
			}
			spot.Touch()
		}
	}
	if own < all*2/3 {
		t.Errorf("only %d of %d names are at their spot", own, all)
	}
	for _, name := range []string{"elsewhere.invalid", "."} {
		if spot := s.Spot(mustName(t, name)); spot.at.pos != 0 || spot.Touch() != 0 {
			t.Errorf("%s has a spot", name)
		}
	}
}
