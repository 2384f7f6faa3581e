package policy

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strconv"
	"strings"
)

// DefaultMaxRadius is the radius in kilometres above which the coordinates of a PlaceSpec count as unknown: a country's middle says little of
// where its clients are.
const DefaultMaxRadius = 1000

// A PlaceSpec is what a geo database says of where clients are. The zero value says nothing.
type PlaceSpec struct {
	ASN         uint32  // number of the autonomous system; 0 = not said
	City        string  // its name; "" = not said, as below
	Subdivision string  // code of ISO 3166-2 without the country's, such as "ENG", or a name
	Country     string  // code of ISO 3166-1, two capitals
	Continent   string  // AF, AN, AS, EU, NA, OC or SA
	Located     bool    // At is said
	At          Point   // 0,0 counts as not said
	Radius      float32 // accuracy of At in kilometres; 0 = not said, and as good as any
}

// Regions returns the regions of the place, narrowest first: the autonomous system ("AS64500"), the city ("GB/ENG/London", without a
// subdivision "MC//Monaco"), the subdivision ("GB/ENG"), the country ("GB") and the continent ("EU"). The codes AF, AS, NA and SA are those
// of countries and of continents: they are written "country/NA" and "continent/NA".
func (p *PlaceSpec) Regions() []string { return append(p.asnRegions(), p.areaRegions()...) }

func (p *PlaceSpec) asnRegions() []string {
	if p.ASN == 0 {
		return nil
	}
	return []string{"AS" + strconv.FormatUint(uint64(p.ASN), 10)}
}

func (p *PlaceSpec) areaRegions() (list []string) {
	if p.Country != "" {
		if p.City != "" {
			list = append(list, p.Country+"/"+p.Subdivision+"/"+p.City)
		}
		if p.Subdivision != "" {
			list = append(list, p.Country+"/"+p.Subdivision)
		}
		list = append(list, countryRegion(p.Country))
	}
	if p.Continent != "" {
		list = append(list, continentRegion(p.Continent))
	}
	return list
}

// hasArea reports whether anything is said of where on earth the place is.
func (p *PlaceSpec) hasArea() bool { return p.Country != "" || p.Continent != "" || p.located() }

func (p *PlaceSpec) located() bool { return p.Located && p.At != Point{} }

// usable reports whether the coordinates are known, and no less accurate than a radius in km.
func (p *PlaceSpec) usable(radius float64) bool { return p.located() && float64(p.Radius) <= radius }

// check returns what is wrong with a place.
func (p *PlaceSpec) check() error {
	for _, code := range []string{p.Country, p.Continent} {
		if code != "" && !isCode(code) {
			return fmt.Errorf("%.20q is no code of a country or continent: want two capitals", code)
		}
	}
	if p.Country == "" && (p.Subdivision != "" || p.City != "") {
		return errors.New("a city or subdivision has to be in a country")
	}
	if strings.Contains(p.Subdivision, "/") {
		return fmt.Errorf("subdivision %.80q has a slash in it", p.Subdivision)
	}
	for _, name := range p.areaRegions() {
		if !IsDatabaseRegion(name) {
			return fmt.Errorf("%.80q is no name for a region", name)
		}
	}
	if p.Located && !(p.At.Lat >= -90 && p.At.Lat <= 90 && p.At.Lon >= -180 && p.At.Lon <= 180) { // so that NaN is refused
		return fmt.Errorf("coordinates %v,%v are out of range: want -90 to 90, -180 to 180", p.At.Lat, p.At.Lon)
	}
	if !(p.Radius >= 0) {
		return fmt.Errorf("a radius of %v km is out of range", p.Radius)
	}
	return nil
}

// A NetworkTable is where the clients of very many networks are, as one geo database says it: 8 bytes for each network of IPv4 and 20 for
// each of IPv6. It never changes. A TableBuilder makes one.
//
// The tables of a Spec are joined: of an address, what the first that names its country, continent or coordinates says of its area holds as
// a whole, and the ASN of the first that has it.
type NetworkTable struct {
	name   string
	v4     table4 // values are positions in places; that of the first, which says nothing, where the database has nothing
	v6     table6
	places []PlaceSpec
}

// Name returns what the table is called in a Trace.
func (t *NetworkTable) Name() string { return t.name }

// Len returns the number of ranges of addresses of which the table says the same, of IPv4 and of IPv6.
func (t *NetworkTable) Len() (v4, v6 int) { return len(t.v4.starts), len(t.v6.starts) }

// len returns the number of places, that which says nothing not counted.
func (t *NetworkTable) len() int { return len(t.places) - 1 }

// Lookup returns what the table says of an address, and the largest network around it of which it says the same. IPv4 in IPv6 form counts as IPv4.
func (t *NetworkTable) Lookup(addr netip.Addr) (PlaceSpec, netip.Prefix) {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return PlaceSpec{}, netip.Prefix{}
	}
	value, bits := t.find(addr)
	network, err := addr.Prefix(int(bits))
	if err != nil {
		return PlaceSpec{}, netip.Prefix{}
	}
	return t.places[value], network
}

// find returns the place of an address, and the length of the largest network around it that is at the same.
func (t *NetworkTable) find(addr netip.Addr) (place uint32, bits uint8) {
	if addr.Is4() {
		x := uint32(u128Of(addr).lo)
		at, place := t.v4.find(x)
		return place, t.v4.scope(x, at, nil)
	}
	x := u128Of(addr)
	at, place := t.v6.find(x)
	return place, t.v6.scope(x, at, nil)
}

// All yields ranges of addresses with what the table says of them, those of IPv4 first, in order; ranges of which it says nothing are left out.
func (t *NetworkTable) All() iter.Seq2[Range, *PlaceSpec] {
	return func(yield func(Range, *PlaceSpec) bool) {
		for family, list := range [2]ranges{&t.v4, &t.v6} {
			for i := range list.len() {
				r := Range{v4: family == 0, first: list.start(i), last: lastOfFamily(family)}
				if i+1 < list.len() {
					r.last = list.start(i + 1).prev()
				}
				if v := list.value(i); v != 0 && !yield(r, &t.places[v]) {
					return
				}
			}
		}
	}
}

// Compare calls f for ranges of addresses of which both tables say the same throughout, those of IPv4 first, in order. What neither says anything of is left
// out.
func Compare(a, b *NetworkTable, f func(r Range, a, b *PlaceSpec)) {
	for family, lists := range [2][2]ranges{{&a.v4, &b.v4}, {&a.v6, &b.v6}} {
		var from u128
		var was [2]uint32
		tell := func(last u128) {
			if was != [2]uint32{} {
				f(Range{family == 0, from, last}, &a.places[was[0]], &b.places[was[1]])
			}
		}
		overlay(lists[0], lists[1], func(start u128, va, vb uint32) {
			if start != (u128{}) {
				tell(start.prev())
			}
			from, was = start, [2]uint32{va, vb}
		})
		tell(lastOfFamily(family))
	}
}

// Places yields every place of the table once.
func (t *NetworkTable) Places() iter.Seq[*PlaceSpec] {
	return func(yield func(*PlaceSpec) bool) {
		for i := range t.places[1:] {
			if !yield(&t.places[i+1]) {
				return
			}
		}
	}
}

// A Range is addresses of one family that follow one another.
type Range struct {
	v4          bool
	first, last u128
}

// First returns the first address.
func (r Range) First() netip.Addr { return r.first.addr(r.v4) }

// Last returns the last address.
func (r Range) Last() netip.Addr { return r.last.addr(r.v4) }

// CountV4 returns the number of IPv4 addresses in the range.
func (r Range) CountV4() uint64 {
	if !r.v4 {
		return 0
	}
	return r.last.lo - r.first.lo + 1
}

// String returns a range as a network if it is one, else its first and last address.
func (r Range) String() string {
	first, last := r.First(), r.Last()
	bits := r.first.common(r.last)
	if r.v4 {
		bits -= 96
	}
	bits = min(bits, first.BitLen())
	if p := netip.PrefixFrom(first, bits); p.Masked() == p {
		if in := intervalOf(p, 0); in.end(lastOfFamily(familyIndex(p))) == r.last {
			return p.String()
		}
	}
	return first.String() + " - " + last.String()
}

// A TableBuilder makes a NetworkTable. Its networks come in the order of their addresses, those of a family one after the other, and do not overlap.
type TableBuilder struct {
	t    NetworkTable
	ids  map[PlaceSpec]uint32
	next [2]u128 // where the next network of the family can begin
	full [2]bool // nowhere
}

// NewTable returns a builder of a table of this name.
func NewTable(name string) *TableBuilder {
	b := &TableBuilder{t: NetworkTable{name: name, places: []PlaceSpec{{}}}, ids: map[PlaceSpec]uint32{{}: 0}}
	b.t.v4.add(u128{}, 0)
	b.t.v6.add(u128{}, 0)
	return b
}

// Place returns the number of a place, for Add, or what is wrong with it.
func (b *TableBuilder) Place(p PlaceSpec) (uint32, error) {
	if id, ok := b.ids[p]; ok {
		return id, nil
	}
	if err := p.check(); err != nil {
		return 0, err
	}
	id := uint32(len(b.t.places))
	b.t.places = append(b.t.places, p)
	b.ids[p] = id
	return id, nil
}

// Add adds a network at a place that Place returned. Networks that begin at the same place and touch become one range.
func (b *TableBuilder) Add(network netip.Prefix, place uint32) error {
	if !isNetwork(network) {
		return fmt.Errorf("%v is no network", network)
	}
	f := familyIndex(network)
	last := lastOfFamily(f)
	in := intervalOf(network, int(place))
	if b.full[f] || in.start.less(b.next[f]) {
		return fmt.Errorf("network %v is out of order, or overlaps the one before", network)
	}
	add := b.t.v6.add
	set := b.t.v6.set
	if f == 0 {
		add, set = b.t.v4.add, b.t.v4.set
	}
	if in.start == b.next[f] {
		set(in.start, place) // where it was taken that nothing would follow
	} else {
		add(in.start, place)
	}
	end := in.end(last)
	if end == last {
		b.full[f] = true
		return nil
	}
	b.next[f] = end.next()
	add(b.next[f], 0)
	return nil
}

// Table returns the table. The builder is of no use afterwards.
func (b *TableBuilder) Table() *NetworkTable {
	b.t.v4.seal()
	b.t.v6.seal()
	b.ids = nil
	return &b.t
}

func lastOfFamily(index int) u128 {
	if index == 0 {
		return lastV4
	}
	return lastV6
}
