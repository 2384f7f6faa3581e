package zone

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A naiveZone is a zone as RFC 1034 4.3.2 and RFC 4592 speak of it: a list of names, searched from end to end.
type naiveZone struct {
	apex string
	data map[string]map[string]bool // owner (without final dot) -> types, STEER among them
}

func (z *naiveZone) holds(name string) bool {
	return name == z.apex || strings.HasSuffix(name, "."+z.apex)
}

// exists: the name owns data or has a name below it that does.
func (z *naiveZone) exists(name string) bool {
	for owner := range z.data {
		if owner == name || strings.HasSuffix(owner, "."+name) {
			return true
		}
	}
	return false
}

func naiveZoneOf(zones []*naiveZone, name string) (best *naiveZone) {
	for _, z := range zones {
		if z.holds(name) && (best == nil || len(z.apex) > len(best.apex)) {
			best = z
		}
	}
	return best
}

// cuts says whether a name is at or below a delegation of the zone.
func (z *naiveZone) cuts(name string) bool {
	for ; name != z.apex; _, name, _ = strings.Cut(name, ".") {
		if z.data[name]["NS"] {
			return true
		}
	}
	return false
}

func naiveLookup(zones []*naiveZone, name, rrtype string) string {
	z := naiveZoneOf(zones, name)
	if z == nil {
		return "not authoritative"
	}
	if _, above, ok := strings.Cut(name, "."); ok && rrtype == "DS" && name == z.apex && naiveZoneOf(zones, above) != nil {
		z = naiveZoneOf(zones, above)
		if !z.exists(name) && !z.cuts(above) {
			return "no data in " + z.apex
		}
	}
	// From the apex down: the first delegation on the way ends the search.
	labels := strings.Split(name, ".")
	encloser := ""
	for i := len(labels) - 1; i >= 0; i-- {
		at := strings.Join(labels[i:], ".")
		if !z.holds(at) {
			continue
		}
		if !z.exists(at) {
			break
		}
		if at != z.apex && z.data[at]["NS"] && !(at == name && rrtype == "DS") {
			return "referral " + at
		}
		encloser = at
	}
	owner, suffix := name, ""
	if encloser != name {
		owner = "*." + encloser
		if !z.exists(owner) {
			return "no such name in " + z.apex
		}
		suffix = " by " + owner
	}
	types := z.data[owner]
	switch {
	case rrtype == "ANY" && len(types) > 1 || rrtype == "ANY" && len(types) == 1 && !types["STEER"]:
		return "answer" + suffix
	case types[rrtype]:
		return "answer" + suffix
	case types["CNAME"]:
		return "alias" + suffix
	case types["STEER"] && (rrtype == "A" || rrtype == "AAAA" || rrtype == "ANY"):
		return "steered" + suffix
	default:
		return "no data in " + z.apex + suffix
	}
}

// tell puts a Match in the words of naiveLookup.
func tell(m Match) string {
	suffix := ""
	if m.Wildcard {
		suffix = " by " + show(m.Owner)
	}
	switch m.Kind {
	case Referral:
		return "referral " + show(m.Cut)
	case NXDomain:
		return "no such name in " + m.Zone.Name()
	case NoData:
		return "no data in " + m.Zone.Name() + suffix
	default:
		return m.Kind.String() + suffix
	}
}

// randomZone makes a Spec and its naive twin. Labels are few, so that names meet.
func randomZone(rng *rand.Rand, apex string) (Spec, *naiveZone) {
	spec := Spec{Name: apex, NS: []string{"ns.outside.invalid."}}
	z := &naiveZone{apex: apex, data: map[string]map[string]bool{apex: {"NS": true, "SOA": true}}}
	for range rng.IntN(12) {
		owner := randomName(rng, 4)
		full := owner + "." + apex
		if z.data[full] != nil {
			continue
		}
		r := RecordSpec{Owner: owner}
		types := map[string]bool{}
		static := func(rrtype, value string) {
			r.Static = append(r.Static, StaticSpec{rrtype, []string{value}})
			types[rrtype] = true
		}
		switch kind := rng.IntN(10); {
		case kind == 0:
			static("CNAME", fmt.Sprintf("t%d.outside.invalid.", rng.IntN(9)))
		case kind <= 2 && !strings.HasPrefix(owner, "*"):
			static("NS", "ns.outside.invalid.")
			if rng.IntN(2) == 0 {
				static("DS", "1 13 2 00")
			}
			if rng.IntN(2) == 0 {
				static("A", "192.0.2.1")
			}
		default:
			if rng.IntN(2) == 0 {
				static("A", "192.0.2.1")
			} else {
				r.Steer = &SteerSpec{Service: "web"}
				types["STEER"] = true
			}
			if rng.IntN(2) == 0 {
				static("TXT", "text")
			}
		}
		spec.Records = append(spec.Records, r)
		z.data[full] = types
	}
	return spec, z
}

func randomName(rng *rand.Rand, most int) string {
	labels := []string{"a", "b", "c", "*", "sub"}
	name := labels[rng.IntN(len(labels))]
	for range rng.IntN(most) {
		name = labels[rng.IntN(len(labels))] + "." + name
	}
	return name
}

// unreached drops steering that Compile refuses: below delegations and in zones further down.
func unreached(specs []Spec, zones []*naiveZone) {
	for i := range specs {
		kept := specs[i].Records[:0]
		for _, r := range specs[i].Records {
			full := r.Owner + "." + specs[i].Name
			if r.Steer != nil && (naiveZoneOf(zones, full) != zones[i] || !strings.HasPrefix(naiveLookup(zones, full, "A"), "steered")) {
				delete(zones[i].data, full)
				continue
			}
			kept = append(kept, r)
		}
		specs[i].Records = kept
	}
}

func TestLookupAgainstNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	kinds := map[string]int{}
	for round := range 600 {
		var specs []Spec
		var zones []*naiveZone
		for _, apex := range []string{"example", "sub.example", "a.sub.example", "test"} {
			if rng.IntN(3) > 0 {
				spec, z := randomZone(rng, apex)
				specs, zones = append(specs, spec), append(zones, z)
			}
		}
		unreached(specs, zones)
		set := compile(t, specs...)
		for range 300 {
			name := randomName(rng, 5) + []string{"", ".example", ".sub.example", ".test"}[rng.IntN(4)]
			rrtype := []string{"A", "AAAA", "TXT", "NS", "SOA", "DS", "CNAME", "ANY", "MX"}[rng.IntN(9)]
			want := naiveLookup(zones, name, rrtype)
			m := set.Lookup(mustName(t, name), dns.StringToType[rrtype])
			if got := tell(m); got != want {
				t.Fatalf("round %d: %s %s: got %q, want %q, of %+v", round, name, rrtype, got, want, specs)
			}
			kinds[m.Kind.String()]++
		}
	}
	for k := range Flatten {
		if kinds[kindNames[k]] < 100 {
			t.Errorf("only %d lookups ended in %q", kinds[kindNames[k]], kindNames[k])
		}
	}
}

// FuzzLookup asks for any valid name: it is in the zone it is said to be in, and nothing panics.
func FuzzLookup(f *testing.F) {
	rng := rand.New(rand.NewPCG(5, 6))
	spec, z := randomZone(rng, "example")
	other, z2 := randomZone(rng, "sub.example")
	specs, zones := []Spec{spec, other}, []*naiveZone{z, z2}
	unreached(specs, zones)
	set := compile(f, specs...)
	for _, s := range []string{"example", "a.sub.example", "*.b.example", ".", "x.y.z", `\000.example`, `\..example`} {
		f.Add(s, uint16(1))
	}
	f.Fuzz(func(t *testing.T, text string, rrtype uint16) {
		name, err := parseName(text)
		if err != nil {
			return
		}
		m := set.Lookup(name, rrtype)
		if m.Kind == NotAuth {
			if name.IsSubdomainOf(mustName(t, "example")) {
				t.Fatalf("%s is in no zone", name)
			}
			return
		}
		if !name.IsSubdomainOf(m.Zone.Apex()) || !m.Owner.IsSubdomainOf(m.Zone.Apex()) {
			t.Fatalf("%s is not in zone %s, or its owner %s is not", name, m.Zone.Name(), m.Owner)
		}
		typed := dns.TypeToString[rrtype]
		if typed == "" || strings.ContainsAny(name.String(), `\`) {
			return
		}
		if got, want := tell(m), naiveLookup(zones, show(name), typed); got != want {
			t.Fatalf("%s %s: got %q, want %q", name, typed, got, want)
		}
	})
}
