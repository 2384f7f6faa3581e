package zone

import "github.com/meridian-gslb/meridian/dnsserver/wire"

// An Outside is what resolvers last said of the addresses of names that are in none of our zones: the targets that aliases end at
// (Set.OutsideTargets). It never changes, so any number of goroutines may use it. A nil Outside knows nothing.
type Outside struct {
	names map[string]outsideSets // by wire form
}

// outsideSets is what is known of one name: of A and AAAA.
type outsideSets struct {
	a, aaaa           *wire.RRset
	knownA, knownAAAA bool
}

// An OutsideSet is what is known of one name and type.
type OutsideSet struct {
	Name wire.Name   // the target, not the end of the CNAME chain that it may begin
	Type uint16      // wire.TypeA or wire.TypeAAAA; others are ignored
	Set  *wire.RRset // nil: the name, or data of this type, does not exist. Not to be changed afterwards
}

// NewOutside returns an Outside of sets. Of two with one name and type the later counts.
func NewOutside(sets []OutsideSet) *Outside {
	o := &Outside{names: make(map[string]outsideSets, len(sets)/2)}
	for _, s := range sets {
		known := o.names[string(s.Name)]
		switch s.Type {
		case wire.TypeA:
			known.a, known.knownA = s.Set, true
		case wire.TypeAAAA:
			known.aaaa, known.knownAAAA = s.Set, true
		default:
			continue
		}
		o.names[string(s.Name)] = known
	}
	return o
}

// Find returns what is known of the addresses of a name, which is as wire.Parse and wire.ParseName make it. A type other than A and
// AAAA is never known. With known true and set nil there are no such addresses. With known false nothing is known, yet or at all:
// that is no reason to deny the name. It does not allocate.
func (o *Outside) Find(name wire.Name, rrtype uint16) (set *wire.RRset, known bool) {
	if o == nil {
		return nil, false
	}
	sets := o.names[string(name)]
	switch rrtype {
	case wire.TypeA:
		return sets.a, sets.knownA
	case wire.TypeAAAA:
		return sets.aaaa, sets.knownAAAA
	}
	return nil, false
}

// Len returns the number of names of which something is known.
func (o *Outside) Len() int {
	if o == nil {
		return 0
	}
	return len(o.names)
}
