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

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// only is a variant of one static address for some askers.
func only(addr string, when *ConditionSpec) RecordSpec {
	return RecordSpec{When: when, Static: []StaticSpec{{"A", []string{addr}}}}
}

func varied(owner string, list ...RecordSpec) RecordSpec {
	return RecordSpec{Owner: owner, Variants: list}
}

func TestPick(t *testing.T) {
	yes, no := true, false
	spec := zoneOf("example")
	spec.Records = []RecordSpec{
		varied("net", only("192.0.2.1", &ConditionSpec{Client: prefixes("10.0.0.0/8", "2001:db8::/32")}), only("192.0.2.2", &ConditionSpec{Client: prefixes("10.64.0.0/10", "198.51.100.0/24")}), only("192.0.2.3", nil)),
		varied("from", only("192.0.2.1", &ConditionSpec{Resolver: prefixes("203.0.113.0/24")}), only("192.0.2.2", nil)),
		varied("ecs", only("192.0.2.1", &ConditionSpec{Subnet: &yes}), only("192.0.2.2", &ConditionSpec{Subnet: &no})),
		varied("type", only("192.0.2.1", &ConditionSpec{Types: []string{"A", "TYPE65"}}), only("192.0.2.2", &ConditionSpec{Client: prefixes("10.0.0.0/8")})),
		varied("all", only("192.0.2.1", &ConditionSpec{Client: prefixes("10.0.0.0/8"), Resolver: prefixes("203.0.113.0/24"), Types: []string{"A"}, Subnet: &yes}), only("192.0.2.2", nil)),
		varied("every", only("192.0.2.1", &ConditionSpec{Client: prefixes("0.0.0.0/1", "128.0.0.0/1", "::/0")}), only("192.0.2.2", nil)),
		varied("six", only("192.0.2.1", &ConditionSpec{Client: prefixes("::/0")}), only("192.0.2.2", nil)),
		{Owner: "single", When: &ConditionSpec{Client: prefixes("10.0.0.0/8")}, Static: []StaticSpec{{"A", []string{"192.0.2.1"}}}},
	}
	s := compile(t, spec)
	for _, c := range []struct {
		name, client, resolver string
		rrtype                 string
		subnet                 bool
		want                   string // position, bits and whether it varies
	}{
		{"net", "10.1.2.3", "192.0.2.9", "A", true, "0 8 true"},
		{"net", "11.1.2.3", "192.0.2.9", "A", true, "2 8 true"},
		{"net", "198.51.100.7", "192.0.2.9", "A", true, "1 24 true"},
		{"net", "198.51.101.7", "192.0.2.9", "A", true, "2 24 true"},
		{"net", "2001:db8::1", "192.0.2.9", "A", true, "0 32 true"},
		{"net", "::ffff:10.1.2.3", "192.0.2.9", "A", true, "0 8 true"},
		{"net", "2001:db9::1", "192.0.2.9", "TXT", true, "2 32 true"},
		{"from", "10.1.2.3", "203.0.113.7", "A", true, "0 0 false"},
		{"from", "10.1.2.3", "::ffff:203.0.113.7", "A", true, "0 0 false"},
		{"from", "203.0.113.7", "192.0.2.9", "A", true, "1 0 false"},
		{"ecs", "10.1.2.3", "192.0.2.9", "A", true, "0 0 true"},
		{"ecs", "10.1.2.3", "192.0.2.9", "A", false, "1 0 true"},
		{"type", "10.1.2.3", "192.0.2.9", "A", true, "0 0 false"},
		{"type", "10.1.2.3", "192.0.2.9", "HTTPS", true, "0 0 false"},
		{"type", "10.1.2.3", "192.0.2.9", "AAAA", true, "1 8 true"},
		{"type", "11.1.2.3", "192.0.2.9", "AAAA", true, "-1 8 true"},
		{"all", "10.1.2.3", "203.0.113.9", "A", true, "0 8 true"},
		{"all", "10.1.2.3", "203.0.113.9", "A", false, "1 0 true"},
		{"all", "10.1.2.3", "203.0.114.9", "A", true, "1 0 false"},
		{"all", "10.1.2.3", "203.0.113.9", "AAAA", true, "1 0 false"},
		{"every", "10.1.2.3", "192.0.2.9", "A", true, "0 0 false"},
		{"six", "10.1.2.3", "192.0.2.9", "A", true, "1 0 true"},
		{"six", "2001:db8::1", "192.0.2.9", "A", true, "0 0 true"},
		{"single", "10.1.2.3", "192.0.2.9", "A", true, "0 8 true"},
		{"single", "11.1.2.3", "192.0.2.9", "A", true, "-1 8 true"},
	} {
		rrtype := dns.StringToType[c.rrtype]
		m := s.Lookup(mustName(t, c.name+".example"), rrtype)
		if m.Kind != Conditional {
			t.Fatalf("%s: %v", c.name, m.Kind)
		}
		a := Asker{Client: netip.MustParseAddr(c.client), Resolver: netip.MustParseAddr(c.resolver), Type: rrtype, Subnet: c.subnet}
		i, bits, varies := m.Variants.Pick(&a)
		if got := fmt.Sprint(i, bits, varies); got != c.want {
			t.Errorf("%s for %+v: %s, want %s", c.name, a, got, c.want)
		}
		for j := range m.Variants.Len() {
			if why := m.Variants.Why(j, &a); (why == "") != (i == j) && (i < 0 || j <= i) {
				t.Errorf("%s for %+v: variant %d: %q", c.name, a, j, why)
			}
		}
		if n := testing.AllocsPerRun(5, func() { m.Variants.Pick(&a) }); n > 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
		taken := m
		taken.Take(i, rrtype)
		switch {
		case i < 0 && (taken.Kind != NoData || taken.Set != nil):
			t.Errorf("%s: %+v", c.name, taken)
		case i >= 0 && c.rrtype == "A" && (taken.Kind != Answer || taken.Set.RData[0][3] != byte(i+1)):
			t.Errorf("%s: %+v", c.name, taken)
		}
	}
}

// A scope is exact: all clients in it are answered by the same variant, and some client in the next wider one is not; it varies exactly
// if any client is not. Variants are those of random conditions, clients those at the borders of networks.
func TestPickScopeIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	randomAddr := func() netip.Addr {
		if rng.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{byte(rng.IntN(4) * 64), byte(rng.IntN(256)), byte(rng.IntN(256)), byte(rng.IntN(256))})
		}
		var b [16]byte
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		b[0] |= 0x20 // not IPv4 in IPv6
		return netip.AddrFrom16(b)
	}
	randomNets := func() (list []netip.Prefix) {
		if rng.IntN(12) == 0 {
			list = prefixes("::/0")
		}
		if rng.IntN(12) == 0 {
			list = append(list, prefixes("0.0.0.0/0")...)
		}
		for range 1 + rng.IntN(4) {
			a := randomAddr()
			list = append(list, netip.PrefixFrom(a, 1+rng.IntN(min(40, a.BitLen()))).Masked())
		}
		return list
	}
	wide, narrow, none := 0, 0, 0
	for round := range 400 {
		spec := zoneOf("example")
		var list []RecordSpec
		for i := range 1 + rng.IntN(4) {
			w := &ConditionSpec{Client: randomNets()}
			if rng.IntN(4) == 0 {
				w.Client = nil
			}
			if rng.IntN(4) == 0 || w.Client == nil {
				w.Resolver = randomNets()
			}
			list = append(list, only(fmt.Sprintf("192.0.2.%d", i), w))
		}
		spec.Records = []RecordSpec{varied("x", list...)}
		m := compile(t, spec).Lookup(mustName(t, "x.example"), wire.TypeA)
		resolver := randomAddr()
		naive := func(client netip.Addr) int {
			in := func(nets []netip.Prefix, a netip.Addr) bool {
				return nets == nil || slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(a) })
			}
			return slices.IndexFunc(list, func(r RecordSpec) bool { return in(r.When.Client, client) && in(r.When.Resolver, resolver) })
		}
		edges := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
		for _, r := range list {
			for _, p := range r.When.Client {
				edges = append(edges, p.Addr(), p.Addr().Prev(), lastOf(p), lastOf(p).Next())
			}
		}
		edges = slices.DeleteFunc(edges, func(a netip.Addr) bool { return !a.IsValid() || a.Is4In6() })
		for range 20 {
			client := randomAddr()
			if rng.IntN(2) == 0 {
				client = edges[rng.IntN(len(edges))]
			}
			i, bits, varies := m.Variants.Pick(&Asker{Client: client, Resolver: resolver, Type: wire.TypeA, Subnet: true})
			if want := naive(client); i != want {
				t.Fatalf("round %d: %s gets %d, want %d", round, client, i, want)
			}
			scope := netip.PrefixFrom(client, int(bits)).Masked()
			some := false
			wider := scope
			if bits > 0 {
				wider = netip.PrefixFrom(client, int(bits)-1).Masked()
			}
			exact := bits == 0
			for _, a := range append(edges, scope.Addr(), lastOf(scope), wider.Addr(), lastOf(wider)) {
				differs := naive(a) != i
				if differs && scope.Contains(a) {
					t.Fatalf("round %d: %s and %s are both in %s", round, client, a, scope)
				}
				some, exact = some || differs, exact || differs && wider.Contains(a)
			}
			if some != varies || !exact {
				t.Fatalf("round %d: %s has %s, varies %v, want %v; exact %v\n%+v", round, client, scope, varies, some, exact, list)
			}
			switch {
			case !varies:
				none++
			case bits == 0:
				wide++
			default:
				narrow++
			}
		}
	}
	if wide < 50 || narrow < 50 || none < 50 {
		t.Errorf("the cases are too few: %d, %d, %d", wide, narrow, none)
	}
}

func TestVariantProblems(t *testing.T) {
	some := &ConditionSpec{Client: prefixes("10.0.0.0/8")}
	other := &ConditionSpec{Types: []string{"A"}}
	static := func(rrtype, value string, when *ConditionSpec) RecordSpec {
		return RecordSpec{When: when, Static: []StaticSpec{{rrtype, []string{value}}}}
	}
	many := make([]RecordSpec, MaxVariants+1)
	for i := range many {
		many[i] = only("192.0.2.1", &ConditionSpec{Client: prefixes(fmt.Sprintf("10.%d.0.0/16", i))})
	}
	for _, c := range []struct {
		record RecordSpec
		want   []string
	}{
		{varied("x", only("192.0.2.1", some), static("CNAME", "y", other), RecordSpec{Alias: "y"}), nil},
		{varied("@", only("192.0.2.1", some), RecordSpec{Steer: &SteerSpec{Service: "web"}}), nil},
		{varied("x", only("192.0.2.1", nil), only("192.0.2.2", some)), []string{"records x 1: the variant before this has no condition"}},
		{varied("x", only("192.0.2.1", some), only("192.0.2.2", some)), []string{"records x 1 when: a variant before this has the same condition"}},
		{varied("x", only("192.0.2.1", &ConditionSpec{})), []string{"records x 0 when: the condition says nothing"}},
		{varied("x", only("192.0.2.1", &ConditionSpec{Client: []netip.Prefix{}})), []string{"records x 0 when client: no network is listed"}},
		{varied("x", only("192.0.2.1", &ConditionSpec{Types: []string{"A", "WHAT", "A"}})), []string{`records x 0 when types 1: there is no record type "WHAT"`, "records x 0 when types 2: A is named twice"}},
		{varied("x", RecordSpec{When: some}), []string{`records x 0: "x" has neither records nor a service`}},
		{varied("x", only("192.0.2.256", some)), []string{`records x 0 A: "192.0.2.256" is not an IPv4`}},
		{RecordSpec{Owner: "x", When: some, Static: []StaticSpec{{"A", []string{"1.2"}}}}, []string{`records x A: "1.2" is not an IPv4`}},
		{varied("x", RecordSpec{When: some, Steer: &SteerSpec{Service: "wbe"}}), []string{`records x 0 service: there is no service "wbe"`}},
		{varied("x", static("NS", "ns.elsewhere.test.", some)), []string{"records x 0 NS: NS cannot hang on a condition"}},
		{varied("x", static("DNAME", "elsewhere.test.", some)), []string{"records x 0 DNAME: DNAME cannot hang on a condition"}},
		{varied("@", static("CNAME", "x.elsewhere.test.", some)), []string{"records @ 0 CNAME: the apex cannot be an alias"}},
		{varied("x", only("192.0.2.1", some), static("CNAME", "x", nil)), []string{"records x 1 CNAME: the alias leads into a circle through x.example"}},
		{varied("x", only("192.0.2.1", some), static("CNAME", "back", nil)), []string{"records x 1 CNAME: the alias leads into a circle", "records back CNAME: the alias leads into a circle"}},
		{varied("x", only("192.0.2.1", some), static("MX", "10 named", nil)), []string{"records x 1 MX: named.example is an alias (CNAME)"}},
		{varied("named", only("192.0.2.1", some), static("CNAME", "mail", nil)), []string{`records named: record "named" is the same name`}},
		{varied("x", many...), []string{`records x: "x" has 65 variants; at most 64 are possible`}},
		{varied("below.cut", only("192.0.2.1", some)), []string{`records below.cut: "below.cut" is below the delegation of cut.example`}},
		{varied("server", only("192.0.2.1", some)), []string{"ns 0: server.example hangs on who asks; the addresses of a name server must be static"}},
	} {
		spec := zoneOf("example", "mail A 192.0.2.5", "named CNAME mail", "y A 192.0.2.6", "cut NS ns.elsewhere.test.", "link MX 10 mail")
		if c.record.Owner == "server" {
			spec.NS = []string{"server"}
		}
		spec.Records = append(spec.Records, c.record)
		if len(c.want) == 2 && strings.Contains(c.want[1], "back") {
			spec.Records = append(spec.Records, RecordSpec{Owner: "back", Static: []StaticSpec{{"CNAME", []string{"x"}}}})
		}
		got := refuse(t, spec)
		if len(got) != len(c.want) {
			t.Errorf("%+v: %q, want %q", c.record, got, c.want)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.want[i]) {
				t.Errorf("%+v: %q, want %q", c.record, got[i], c.want[i])
			}
		}
	}
}

// Beside a zone file: its types stand beside variants that have others, and clash as they would with a record.
func TestVariantsBesideFile(t *testing.T) {
	file := func(lines ...string) Spec {
		spec := zoneOf("example")
		spec.NS, spec.RRs = nil, rrsOf(t, "example", append([]string{testSOA, "@ NS ns.outside.invalid."}, lines...)...)
		return spec
	}
	variants := varied("x", only("192.0.2.1", &ConditionSpec{Types: []string{"A"}}), RecordSpec{Alias: "y"})
	spec := file("x TXT text", "y A 192.0.2.9")
	spec.Records = []RecordSpec{variants}
	s := compile(t, spec)
	if got := look(t, s, "x.example", "TXT"); got != "answer \"text\"" {
		t.Error(got)
	}
	if m := s.Lookup(mustName(t, "x.example"), wire.TypeA); m.Kind != Conditional {
		t.Error(m.Kind)
	}
	if z := s.Zones()[0]; z.Len() != 3 {
		t.Errorf("%d names", z.Len())
	}
	for line, want := range map[string]string{
		"x A 192.0.2.7":              "the zone file has A at \"x\" too",
		"x CNAME y":                  "the zone file has a CNAME at \"x\"",
		"x NS ns.elsewhere.invalid.": "the zone file delegates \"x\" to other servers",
		"x STEER web -":              "the zone file steers \"x\"",
		"x STEER web - TXT":          "the zone file steers \"x\"",
	} {
		for _, variants := range []RecordSpec{variants, varied("x", only("192.0.2.1", &ConditionSpec{Types: []string{"A"}}), only("192.0.2.2", nil))} {
			spec := file(line, "y A 192.0.2.9")
			spec.Records = []RecordSpec{variants}
			if got := refuse(t, spec); len(got) == 0 || !strings.Contains(strings.Join(got, "\n"), want) {
				t.Errorf("%s: %q, want %q", line, got, want)
			}
		}
	}
}

// OutsideTargets has what any variant leads to, and fallbacks, and the check of chains ends however many ways there are.
func TestVariantsWalk(t *testing.T) {
	spec := zoneOf("example")
	const n = 7
	for i := range n { // n^n ways
		var list []RecordSpec
		for j := range 32 {
			list = append(list, RecordSpec{When: &ConditionSpec{Client: prefixes(fmt.Sprintf("10.%d.0.0/16", j))}, Static: []StaticSpec{{"CNAME", []string{fmt.Sprint("n", i+1)}}}})
		}
		spec.Records = append(spec.Records, varied(fmt.Sprint("n", i), list...))
	}
	spec.Records = append(spec.Records, varied(fmt.Sprint("n", n), RecordSpec{When: &ConditionSpec{Types: []string{"A"}}, Alias: "one.test."}, RecordSpec{Alias: "two.test."}))
	var names []string
	for _, name := range compile(t, spec).OutsideTargets(testPlan(t)) {
		names = append(names, show(name))
	}
	if got := strings.Join(names, " "); got != "one.test two.test" {
		t.Error(got)
	}
	spec.Records = append(spec.Records, RecordSpec{Owner: "first", Static: []StaticSpec{{"CNAME", []string{"n0"}}}})
	if got := refuse(t, spec); len(got) != 1 || !strings.Contains(got[0], "records first CNAME: the alias leads through more than 8") {
		t.Errorf("%q", got)
	}
}
