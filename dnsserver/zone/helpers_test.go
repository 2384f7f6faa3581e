package zone

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
)

// testPlan has the services web (id 0) and api (1) and the policies close-by (0), blind and default.
func testPlan(t testing.TB) *policy.Plan {
	t.Helper()
	plan, problems := policy.Compile(policy.Spec{
		Services: []policy.ServiceSpec{{Name: "web"}, {Name: "api"}},
		Policies: []policy.PolicySpec{
			{Name: "close-by", Stages: []policy.StageSpec{policy.Healthy{}, policy.Weighted{}}},
			{Name: "blind", Stages: []policy.StageSpec{policy.Weighted{}}},
		},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return plan
}

func compile(t testing.TB, specs ...Spec) *Set {
	t.Helper()
	set, problems := Compile(specs, testPlan(t))
	if len(problems) > 0 {
		t.Fatalf("%d problems: %v", len(problems), problems)
	}
	return set
}

// zoneOf makes a Spec of lines "owner TYPE value"; several lines of one owner and type make one set. Type STEER takes a service and
// a policy. The name server is outside, so that the zone holds nothing but the lines.
func zoneOf(name string, lines ...string) Spec {
	spec := Spec{Name: name, NS: []string{"ns.elsewhere.test."}}
	at := map[string]int{}
	for _, line := range lines {
		f := strings.Fields(line)
		owner, rrtype, value := f[0], f[1], strings.Join(f[2:], " ")
		i, ok := at[owner]
		if !ok {
			i = len(spec.Records)
			at[owner] = i
			spec.Records = append(spec.Records, RecordSpec{Owner: owner})
		}
		r := &spec.Records[i]
		if rrtype == "STEER" {
			r.Steer = &SteerSpec{Service: f[2], Policy: strings.Join(f[3:], "")}
			continue
		}
		j := 0
		for j < len(r.Static) && r.Static[j].Type != rrtype {
			j++
		}
		if j == len(r.Static) {
			r.Static = append(r.Static, StaticSpec{Type: rrtype})
		}
		r.Static[j].Values = append(r.Static[j].Values, value)
	}
	return spec
}

func mustName(t testing.TB, s string) wire.Name {
	t.Helper()
	n, err := wire.ParseName(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return n
}

// look looks a name up and tells the outcome in words: "answer 192.0.2.1", "alias x.example.", "steered www.example",
// "no data", "no such name", "referral sub.example.", each with "by *.x" if a wildcard answered.
func look(t testing.TB, s *Set, name, rrtype string) string {
	t.Helper()
	m := s.Lookup(mustName(t, name), dns.StringToType[rrtype])
	out := m.Kind.String()
	switch m.Kind {
	case Answer:
		out += " " + strings.Join(values(t, m.Set), " | ")
	case Alias:
		out = "alias " + strings.Join(values(t, m.Set), " | ")
	case Steered:
		out += " " + m.Steer.Record
	case Referral, Redirect:
		out += " " + m.Cut.String()
	case Flatten:
		out += " " + m.Target.String()
	}
	if m.Wildcard {
		out += " by " + m.Owner.String()
	}
	if (m.Zone == nil) != (m.Kind == NotAuth) {
		t.Errorf("%s %s: zone %v with kind %v", name, rrtype, m.Zone, m.Kind)
	}
	return out
}

// values returns the RDATA of a set in presentation form, as miekg/dns reads it.
func values(t testing.TB, set *wire.RRset) []string {
	t.Helper()
	var out []string
	for _, rdata := range set.RData {
		msg := append([]byte{0, byte(set.Type >> 8), byte(set.Type), 0, 1, 0, 0, 0, 0, byte(len(rdata) >> 8), byte(len(rdata))}, rdata...)
		rr, end, err := dns.UnpackRR(msg, 0)
		if err != nil || end != len(msg) {
			t.Fatalf("type %d: %x: %v", set.Type, rdata, err)
		}
		out = append(out, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return out
}

// expect holds a table of "name TYPE = outcome" lines against a Set.
func expect(t *testing.T, s *Set, lines ...string) {
	t.Helper()
	for _, line := range lines {
		question, want, _ := strings.Cut(line, " = ")
		f := strings.Fields(question)
		if got := look(t, s, f[0], f[1]); got != want {
			t.Errorf("%s %s: got %q, want %q", f[0], f[1], got, want)
		}
	}
}
