package zone

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// in makes a Spec that of a view.
func in(view string, s Spec) Spec {
	s.View = view
	return s
}

var testViews = []ViewSpec{
	{"lab", prefixes("10.1.0.0/16", "2001:db8:1::/48")},
	{"inner", prefixes("10.0.0.0/8", "192.168.0.0/16")},
}

// viewed are zones of all views, of one, and of one instead of that of all.
func viewed() []Spec {
	return []Spec{
		zoneOf("example", "www A 192.0.2.1", "out CNAME www.other.", "sub NS ns.elsewhere.test."),
		in("inner", zoneOf("example", "www A 10.0.0.1", "only A 10.0.0.2", "out CNAME www.other.")),
		in("lab", zoneOf("sub.example", "www A 10.1.0.1")),
		zoneOf("other", "www A 192.0.2.9"),
		in("inner", zoneOf("secret", "www A 10.0.0.9")),
		in("lab", zoneOf("deep.www.other", "@ A 10.1.0.9")),
	}
}

// answerOf tells what a view has of a name and type A.
func answerOf(t testing.TB, s *Set, name string) string {
	if m := s.Lookup(mustName(t, name), wire.TypeDS); m.Kind != NotAuth && m.Zone == nil {
		t.Fatal("a match without a zone")
	}
	return look(t, s, name, "A")
}

func TestViews(t *testing.T) {
	s, problems := Compile(viewed(), testPlan(t), testViews...)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, c := range []struct {
		from, view string
		want       map[string]string
	}{
		{"192.0.2.7", "", map[string]string{
			"www.example": "answer 192.0.2.1", "only.example": "no such name", "www.sub.example": "referral sub.example.", "www.secret": "not authoritative",
			"www.other": "answer 192.0.2.9", "deep.www.other": "no such name"}},
		{"10.2.0.1", "inner", map[string]string{
			"www.example": "answer 10.0.0.1", "only.example": "answer 10.0.0.2", "www.sub.example": "no such name", "www.secret": "answer 10.0.0.9",
			"www.other": "answer 192.0.2.9", "deep.www.other": "no such name"}},
		{"::ffff:192.168.7.1", "inner", nil},
		{"10.1.0.1", "lab", map[string]string{ // the first that has it
			"www.example": "answer 192.0.2.1", "only.example": "no such name", "www.sub.example": "answer 10.1.0.1", "www.secret": "not authoritative",
			"www.other": "answer 192.0.2.9", "deep.www.other": "answer 10.1.0.9"}},
		{"2001:db8:1::1", "lab", nil},
		{"2001:db8:2::1", "", nil},
	} {
		from := netip.MustParseAddr(c.from)
		seen := s.For(from)
		if seen.ViewName() != c.view {
			t.Errorf("%s sees %q, want %q", c.from, seen.ViewName(), c.view)
		}
		if byName, ok := s.View(c.view); !ok || byName != seen {
			t.Errorf("view %q", c.view)
		}
		for name, want := range c.want {
			if got := answerOf(t, seen, name); got != want {
				t.Errorf("%s, %s: %s, want %s", c.from, name, got, want)
			}
		}
		if n := testing.AllocsPerRun(5, func() { s.For(from) }); n > 0 {
			t.Errorf("%v allocations", n)
		}
	}
	if _, ok := s.View("none"); ok || !slices.Equal(s.Views(), []string{"lab", "inner"}) || len(s.Zones()) != 6 {
		t.Errorf("views %v, %d zones", s.Views(), len(s.Zones()))
	}
	var none *Set
	if none.For(netip.Addr{}) != nil || none.ViewName() != "" || none.Views() != nil || answerOf(t, none, "a.example") != "not authoritative" {
		t.Error("a nil Set has views")
	}
	if plain := compile(t, zoneOf("example")); plain.For(netip.MustParseAddr("10.0.0.1")) != plain {
		t.Error("a Set without views has some")
	}
}

// A view answers as a Set of its zones alone would: random zones of random views.
func TestViewIsASetOfItsOwn(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for round := range 150 {
		var specs []Spec
		var zones []*naiveZone
		used := map[string]bool{}
		for range 6 {
			apex, view := []string{"example", "sub.example", "a.sub.example", "test"}[rng.IntN(4)], []string{"", "lab", "inner"}[rng.IntN(3)]
			if used[view+apex] {
				continue
			}
			used[view+apex] = true
			spec, z := randomZone(t, rng, apex)
			spec.View = view
			spec.Records = slices.DeleteFunc(spec.Records, func(r RecordSpec) bool { // what is refused where another zone is deeper
				gone := r.Steer != nil || r.Alias != "" || r.Whoami || r.Variants != nil
				if gone {
					for name := range z.data[r.Owner+"."+apex] {
						if name != strings.ToUpper(name) || spec.RRs == nil {
							delete(z.data[r.Owner+"."+apex], name)
						}
					}
					if len(z.data[r.Owner+"."+apex]) == 0 {
						delete(z.data, r.Owner+"."+apex)
					}
				}
				return gone
			})
			specs, zones = append(specs, spec), append(zones, z)
		}
		s, problems := Compile(specs, testPlan(t), testViews...)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for _, view := range []string{"", "lab", "inner"} {
			seen, _ := s.View(view)
			var own []*naiveZone
			for i, spec := range specs {
				if spec.View == view || spec.View == "" && !used[view+spec.Name] {
					own = append(own, zones[i])
				}
			}
			for range 100 {
				name := randomName(rng, 5) + []string{"", ".example", ".sub.example", ".test"}[rng.IntN(4)]
				rrtype := []string{"A", "TXT", "NS", "SOA", "DS", "CNAME", "ANY"}[rng.IntN(7)]
				want := naiveLookup(own, name, rrtype)
				n := mustName(t, name)
				if got := tell(seen.Lookup(n, dns.StringToType[rrtype])); got != want {
					t.Fatalf("round %d, view %q: %s %s: got %q, want %q", round, view, name, rrtype, got, want)
				}
				spots := []Spot{seen.Spot(n)}
				s.Fetch(spots) // by the whole Set
				var m Match
				if seen.LookupAt(&m, spots[0], n, dns.StringToType[rrtype]); tell(m) != want {
					t.Fatalf("round %d, view %q: %s %s at its spot: %q, want %q", round, view, name, rrtype, tell(m), want)
				}
			}
		}
	}
}

func TestViewProblems(t *testing.T) {
	for _, c := range []struct {
		specs []Spec
		views []ViewSpec
		want  []string
	}{
		{[]Spec{zoneOf("example"), in("a", zoneOf("example"))}, []ViewSpec{{"a", prefixes("10.0.0.0/8")}}, nil},
		{[]Spec{in("a", zoneOf("example")), in("a", zoneOf("Example."))}, []ViewSpec{{"a", prefixes("10.0.0.0/8")}}, []string{`views a zones Example.: zone "example" is the same zone`}},
		{[]Spec{in("b", zoneOf("example"))}, []ViewSpec{{"a", prefixes("10.0.0.0/8")}}, []string{`views b zones example: there is no view "b"`}},
		{nil, []ViewSpec{{"a", nil}}, []string{"views a networks: no network is listed, so nobody would see the view"}},
		{nil, []ViewSpec{{"a", prefixes("10.0.0.0/8")}, {"a", prefixes("11.0.0.0/8")}}, []string{`views a: view "a" is declared twice`}},
		{nil, []ViewSpec{{"", prefixes("10.0.0.0/8")}}, []string{"views : a view needs a name"}},
		{nil, []ViewSpec{{"a", prefixes("10.0.0.0/9")}, {"b", prefixes("10.128.0.0/9")}, {"c", prefixes("10.0.0.0/8")}}, []string{"views c networks: views before this have all of these networks"}},
		{nil, []ViewSpec{{"a", prefixes("10.0.0.0/9")}, {"b", prefixes("10.0.0.0/8")}}, nil},
		{[]Spec{in("a", zoneOf("example", "www STEER wbe"))}, []ViewSpec{{"a", prefixes("10.0.0.0/8")}}, []string{`views a zones example records www service: there is no service "wbe"`}},
		// A circle in one view alone, through a zone that all share; and in no view that has another zone in its place.
		{[]Spec{zoneOf("example", "www CNAME www.other."), in("a", zoneOf("other", "www CNAME www.example."))}, []ViewSpec{{"a", prefixes("10.0.0.0/8")}},
			[]string{"zones example records www CNAME: the alias leads into a circle through www.other; so it is in view a", "views a zones other records www CNAME: the alias leads into a circle"}},
		{[]Spec{zoneOf("example", "www CNAME www.other."), in("a", zoneOf("example", "www A 10.0.0.1")), in("a", zoneOf("other", "www CNAME www.example."))}, []ViewSpec{{"a", prefixes("10.0.0.0/8")}}, nil},
		// What a view has instead of a part of a zone is no mistake of the zone.
		{[]Spec{zoneOf("example", "www.sub STEER web", "www CNAME www.sub", "mx MX 10 www.sub"), in("a", zoneOf("sub.example"))}, []ViewSpec{{"a", prefixes("10.0.0.0/8")}}, nil},
		{[]Spec{zoneOf("example", "www.sub STEER web"), zoneOf("sub.example")}, nil, []string{"zones example records www.sub: \"www.sub\" belongs to zone sub.example"}},
		{[]Spec{zoneOf("example", "www CNAME www")}, []ViewSpec{{"a", prefixes("10.0.0.0/8")}}, []string{"zones example records www CNAME: the alias leads into a circle through www.example"}}, // once
	} {
		_, problems := Compile(c.specs, testPlan(t), c.views...)
		var got []string
		for _, p := range problems {
			got = append(got, strings.Join(p.Path, " ")+": "+p.Msg)
		}
		if len(got) != len(c.want) {
			t.Errorf("%q, want %q", got, c.want)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.want[i]) || strings.HasSuffix(c.want[i], "www.example") && strings.Contains(got[i], "; so it is") {
				t.Errorf("%q, want %q", got[i], c.want[i])
			}
		}
	}
}

// What aliases of any view need is asked for, each name once; and zones are taken over as those of their views.
func TestViewsLater(t *testing.T) {
	specs := []Spec{zoneOf("example"), in("lab", zoneOf("example")), in("inner", zoneOf("other"))}
	specs[0].Records = []RecordSpec{{Owner: "a", Alias: "cdn.test."}, {Owner: "o", Alias: "www.other."}}
	specs[1].Records = []RecordSpec{{Owner: "a", Alias: "lab.test."}, {Owner: "b", Alias: "cdn.test."}}
	specs[2].Records = []RecordSpec{{Owner: "www", Static: []StaticSpec{{"A", []string{"10.0.0.1"}}}}}
	s, problems := Compile(specs, testPlan(t), testViews...)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var names []string
	for _, n := range s.OutsideTargets(nil) {
		names = append(names, show(n))
	}
	if got := fmt.Sprint(names); got != "[cdn.test www.other lab.test]" {
		t.Error(got)
	}
	specs[1].Records[0].Alias = "new.test."
	again, problems := Recompile(s, specs, []bool{true, false, true}, testPlan(t))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for i, z := range again.Zones() {
		if same := z == s.Zones()[i]; same != (i != 1) || z.View() != specs[i].View {
			t.Errorf("zone %d is the same: %v; view %q", i, same, z.View())
		}
	}
	lab, _ := again.View("lab")
	if m := lab.Lookup(mustName(t, "a.example"), wire.TypeA); m.Kind != Flatten || show(m.Target) != "new.test" {
		t.Errorf("%v", m.Kind)
	}
}
