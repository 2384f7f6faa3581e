package zone

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A naiveZone is a zone as RFC 1034 4.3.2 and RFC 4592 speak of it: a list of names, searched from end to end.
type naiveZone struct {
	apex string
	data map[string]map[string]bool // owner (without final dot) -> static types, "steer A" and its like, "alias", "whoami" and "conditional"
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

// redirects says whether a name is at or below a DNAME of the zone.
func (z *naiveZone) redirects(name string) bool {
	for ; z.holds(name); _, name, _ = strings.Cut(name, ".") {
		if z.data[name]["DNAME"] {
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
		if !z.exists(name) && !z.cuts(above) && !z.redirects(above) {
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
		if at != name && z.data[at]["DNAME"] {
			return "redirect " + at
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
	static, steered := false, false
	for t := range types {
		static = static || t == strings.ToUpper(t)
		steered = steered || strings.HasPrefix(t, "steer ")
	}
	any := rrtype == "ANY"
	switch address := rrtype == "A" || rrtype == "AAAA"; {
	case any && static, types[rrtype]:
		return "answer" + suffix
	case types["CNAME"]:
		return "alias" + suffix
	case types["conditional"]:
		return "conditional" + suffix
	case types["whoami"]:
		if any || address || rrtype == "TXT" {
			return "whoami" + suffix
		}
	case any && steered, types["steer "+rrtype], types["steer CNAME"]:
		return "steered" + suffix
	case types["alias"] && (any || address):
		return "flatten" + suffix
	}
	return "no data in " + z.apex + suffix
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
	case Redirect:
		return "redirect " + show(m.Cut)
	case NXDomain:
		return "no such name in " + m.Zone.Name()
	case NoData:
		return "no data in " + m.Zone.Name() + suffix
	default:
		return m.Kind.String() + suffix
	}
}

// randomZone makes a Spec and its naive twin. Labels are few, so that names meet. Of half the zones, what is static is in a zone file.
func randomZone(t testing.TB, rng *rand.Rand, apex string) (Spec, *naiveZone) {
	spec := Spec{Name: apex, NS: []string{"ns.outside.invalid."}}
	z := &naiveZone{apex: apex, data: map[string]map[string]bool{apex: {"NS": true, "SOA": true}}}
	var redirected []string
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
		steer := func(names ...string) {
			r.Steer = &SteerSpec{Service: "web", Types: names}
			for _, name := range names {
				types["steer "+name] = true
			}
		}
		kind := rng.IntN(16)
		wild := strings.HasPrefix(owner, "*")
		switch {
		case kind == 0:
			static("CNAME", fmt.Sprintf("t%d.outside.invalid.", rng.IntN(9)))
		case kind <= 2 && !wild:
			static("NS", "ns.outside.invalid.")
			if rng.IntN(2) == 0 {
				static("DS", "1 13 2 00")
			}
			if rng.IntN(2) == 0 {
				static("A", "192.0.2.1")
			}
		case kind <= 4 && !wild:
			static("DNAME", "target.outside.invalid.")
			redirected = append(redirected, "."+full)
			if rng.IntN(2) == 0 {
				static("A", "192.0.2.1")
			}
		case kind <= 6:
			r.Alias, types["alias"] = "host.outside.invalid.", true
		case kind == 7:
			r.Whoami, types["whoami"] = true, true
		case kind == 8:
			steer("CNAME")
		case kind <= 10:
			steer("A", "AAAA")
		case kind <= 12:
			steer("MX", "HTTPS")
			static("A", "192.0.2.1")
		default:
			static("A", "192.0.2.1")
		}
		if !types["CNAME"] && !types["steer CNAME"] && !types["whoami"] && rng.IntN(2) == 0 {
			static("TXT", "text")
		}
		if !types["NS"] && !types["DNAME"] && rng.IntN(5) == 0 {
			some := r
			some.When = &ConditionSpec{Types: []string{"A", "TXT"}}
			r = RecordSpec{Owner: owner, Variants: []RecordSpec{some, {Static: []StaticSpec{{"TXT", []string{"others"}}}}}}
			types = map[string]bool{"conditional": true}
		}
		spec.Records = append(spec.Records, r)
		z.data[full] = types
	}
	drop(&spec, z, func(_ *RecordSpec, full string) bool { // what Compile refuses: names below a DNAME
		return slices.ContainsFunc(redirected, func(end string) bool { return strings.HasSuffix(full, end) })
	})
	if rng.IntN(2) == 0 {
		toFile(t, rng, &spec)
	}
	return spec, z
}

// drop takes records out of a Spec and its twin.
func drop(spec *Spec, z *naiveZone, bad func(r *RecordSpec, full string) bool) {
	spec.Records = slices.DeleteFunc(spec.Records, func(r RecordSpec) bool {
		full := r.Owner + "." + spec.Name
		if !bad(&r, full) {
			return false
		}
		delete(z.data, full)
		return true
	})
}

// toFile moves static sets of a Spec to a zone file, in any order.
func toFile(t testing.TB, rng *rand.Rand, spec *Spec) {
	lines := []string{testSOA, "@ NS ns.outside.invalid."}
	for i := range spec.Records {
		r := &spec.Records[i]
		for _, s := range r.Static {
			lines = append(lines, r.Owner+" "+s.Type+" "+s.Values[0])
		}
		r.Static = nil
	}
	spec.Records = slices.DeleteFunc(spec.Records, func(r RecordSpec) bool { return r.Steer == nil && r.Alias == "" && !r.Whoami && r.Variants == nil })
	rng.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	spec.NS, spec.RRs = nil, rrsOf(t, spec.Name, lines...)
}

func randomName(rng *rand.Rand, most int) string {
	labels := []string{"a", "b", "c", "*", "sub"}
	name := labels[rng.IntN(len(labels))]
	for range rng.IntN(most) {
		name = labels[rng.IntN(len(labels))] + "." + name
	}
	return name
}

// unreached drops what is not static and never answered from its zone, which Compile refuses: below delegations and in zones further
// down. What is static at such a name and not in a file goes with it.
func unreached(specs []Spec, zones []*naiveZone) {
	for i := range specs {
		spec, z := &specs[i], zones[i]
		spec.Records = slices.DeleteFunc(spec.Records, func(r RecordSpec) bool {
			full := r.Owner + "." + spec.Name
			dynamic := r.Steer != nil || r.Alias != "" || r.Whoami || r.Variants != nil
			if !dynamic || naiveZoneOf(zones, full) == z && !z.cuts(full) {
				return false
			}
			for t := range z.data[full] {
				if t != strings.ToUpper(t) || spec.RRs == nil {
					delete(z.data[full], t)
				}
			}
			if len(z.data[full]) == 0 {
				delete(z.data, full)
			}
			return true
		})
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
				spec, z := randomZone(t, rng, apex)
				specs, zones = append(specs, spec), append(zones, z)
			}
		}
		unreached(specs, zones)
		set := compile(t, specs...)
		for range 300 {
			name := randomName(rng, 5) + []string{"", ".example", ".sub.example", ".test"}[rng.IntN(4)]
			rrtype := []string{"A", "AAAA", "TXT", "NS", "SOA", "DS", "CNAME", "ANY", "MX", "DNAME", "HTTPS"}[rng.IntN(11)]
			want := naiveLookup(zones, name, rrtype)
			m := set.Lookup(mustName(t, name), dns.StringToType[rrtype])
			if got := tell(m); got != want {
				t.Fatalf("round %d: %s %s: got %q, want %q, of %+v", round, name, rrtype, got, want, specs)
			}
			kinds[m.Kind.String()]++
		}
	}
	for k := range kindNames {
		if kinds[kindNames[k]] < 100 {
			t.Errorf("only %d lookups ended in %q", kinds[kindNames[k]], kindNames[k])
		}
	}
}

// FuzzLookup asks some worlds of zones for any valid name: what they say is what their naive twins say, and nothing panics.
func FuzzLookup(f *testing.F) {
	type world struct {
		set   *Set
		zones []*naiveZone
	}
	rng := rand.New(rand.NewPCG(5, 6))
	worlds := make([]world, 16)
	for i := range worlds {
		spec, z := randomZone(f, rng, "example")
		other, z2 := randomZone(f, rng, "sub.example")
		specs, zones := []Spec{spec, other}, []*naiveZone{z, z2}
		unreached(specs, zones)
		worlds[i] = world{compile(f, specs...), zones}
	}
	for i, s := range []string{"example", "a.sub.example", "*.b.example", ".", "x.y.z", `\000.example`, `\..example`} {
		f.Add(uint8(i), s, uint16(1))
	}
	f.Fuzz(func(t *testing.T, which uint8, text string, rrtype uint16) {
		w := &worlds[int(which)%len(worlds)]
		name, err := parseName(text)
		if err != nil {
			return
		}
		m := w.set.Lookup(name, rrtype)
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
		if got, want := tell(m), naiveLookup(w.zones, show(name), typed); got != want {
			t.Fatalf("%s %s: got %q, want %q", name, typed, got, want)
		}
	})
}
