package zone

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/policy"
)

// refuse compiles and returns the problems as "path: message", the "zones" before each path cut off.
func refuse(t *testing.T, specs ...Spec) []string {
	t.Helper()
	set, problems := Compile(specs, testPlan(t))
	if set != nil && len(problems) > 0 {
		t.Error("a Set in spite of problems")
	}
	var out []string
	for _, p := range problems {
		if p.Path[0] != "zones" {
			t.Errorf("path %v", p.Path)
		}
		out = append(out, strings.Join(p.Path[1:], " ")+": "+p.Msg)
	}
	return out
}

func TestProblems(t *testing.T) {
	chain := func(n int) (lines []string) {
		for i := range n {
			lines = append(lines, fmt.Sprintf("c%d CNAME c%d", i, i+1))
		}
		return lines
	}
	for _, c := range []struct {
		lines []string
		want  []string // beginning of the path, a bar, part of the message
	}{
		{[]string{"@ CNAME www"}, []string{"example records @ CNAME|apex cannot be an alias"}},
		{[]string{"www CNAME a", "www A 192.0.2.1"}, []string{"example records www CNAME|stands alone"}},
		{[]string{"www CNAME a", "www STEER web"}, []string{"example records www CNAME|stands alone"}},
		{[]string{"www CNAME a", "www CNAME b"}, []string{"example records www CNAME|one CNAME, not 2"}},
		{[]string{"www STEER web", "www A 192.0.2.1", "www AAAA 2001:db8::1"},
			[]string{`example records www A|service "web" answers A and AAAA`, "example records www AAAA|static AAAA"}},
		{[]string{"www STEER wbe"}, []string{`example records www service|no service "wbe"`}},
		{[]string{"www STEER web near"}, []string{`example records www policy|no policy "near"`}},
		{[]string{"www A 192.0.2.1", "www. A 192.0.2.1"}, []string{"example records www.|outside the zone"}},
		{[]string{"www A 192.0.2.1", "WWW A 192.0.2.2"}, []string{`example records WWW|record "www" is the same name`}},
		{[]string{"www A 192.0.2.1", "www.example. A 192.0.2.2"}, []string{`example records www.example.|record "www" is the same name`}},
		{[]string{"www A 192.0.2.1", "www.example A 192.0.2.2"}, []string{`example records www.example|record "www" is the same name`}},
		{[]string{"@ A 192.0.2.1", "example. A 192.0.2.2"}, []string{`example records example.|record "@" is the same name`}},
		{[]string{"a..b A 192.0.2.1"}, []string{"example records a..b|empty label"}},
		{[]string{strings.Repeat("a", 64) + " A 192.0.2.1"}, []string{"example records a|63"}},
		{[]string{strings.Repeat("abcdefg.", 32) + "a A 192.0.2.1"}, []string{"example records a|255"}},
		{[]string{"bücher A 192.0.2.1"}, []string{"example records bücher|xn--"}},
		{[]string{"w*w A 192.0.2.1"}, []string{"example records w*w|whole label"}},
		{[]string{"www A 192.0.2.256"}, []string{`example records www A|"192.0.2.256" is not an IPv4 address`}},
		{[]string{"www A 192.0.2.1", "www A foo"}, []string{`example records www A 1|"foo" is not an IPv4 address`}},
		{[]string{"www A 192.0.2.1", "www A 192.0.2.1"}, []string{`example records www A 1|given twice`}},
		{[]string{"www A 2001:db8::1"}, []string{`example records www A|belongs under AAAA`}},
		{[]string{"www AAAA 192.0.2.1"}, []string{`example records www AAAA|belongs under A`}},
		{[]string{"www AAAA fe80::1%eth0"}, []string{`example records www AAAA|is not an IPv6 address`}},
		{[]string{"www MX mail"}, []string{`example records www MX|such as "10 mail"`}},
		{[]string{"www MX 70000 mail"}, []string{`example records www MX|such as "10 mail"`}},
		{[]string{"www SRV 1 2 mail"}, []string{`example records www SRV|priority, weight, port and name`}},
		{[]string{"www CNAME a b"}, []string{`example records www CNAME|"a b" is not a name`}},
		{[]string{"www CNAME a..b"}, []string{`example records www CNAME|empty label`}},
		{[]string{"www CAA 0 issue"}, []string{`example records www CAA|flags, tag and value`}},
		{[]string{"www TXT \"open"}, []string{`example records www TXT|quoted strings`}},
		{[]string{"www HTTPS x . alpn=h2"}, []string{`example records www HTTPS|not a value of type HTTPS`}},
		{[]string{`www A \# 3 c00002`}, []string{`example records www A|is not an IPv4 address`}},
		{[]string{"www TLSA 3 1 1 zz"}, []string{`example records www TLSA|not a value of type TLSA`}},
		{[]string{"www BOGUS x"}, []string{`example records www BOGUS|no record type "BOGUS"`}},
		{[]string{"www TYPE70000 x"}, []string{`example records www TYPE70000|no record type`}},
		{[]string{"www A 192.0.2.1", `www TYPE1 \# 4 c0000201`}, []string{`example records www TYPE1|type A is given twice`}},
		{[]string{"@ SOA a b 1 2 3 4 5"}, []string{`example records @ SOA|under soa`}},
		{[]string{"@ NS ns1"}, []string{`example records @ NS|under ns`}},
		{[]string{"@ DS 1 13 2 aa"}, []string{`example records @ DS|zone above`}},
		{[]string{"www ANY x"}, []string{`example records www ANY|not a type that records have`}},
		{[]string{"www OPT x"}, []string{`example records www OPT|not a type that records have`}},
		{[]string{"www TYPE0 x"}, []string{`example records www TYPE0|not a type that records have`}},
		{[]string{"www NSEC a A"}, []string{`example records www NSEC|signed zones`}},
		{[]string{"*.x NS ns.elsewhere.test."}, []string{`example records *.x NS|wildcard cannot be a delegation`}},
		{[]string{"sub NS ns.elsewhere.test.", "sub STEER web"}, []string{`example records sub NS|would never be answered`}},
		{[]string{"sub NS ns.elsewhere.test.", "www.sub STEER web"}, []string{`example records www.sub|below the delegation of sub.example`}},
		{[]string{"sub NS ns.sub"}, []string{`example records sub NS|glue`}},
		{[]string{"sub NS sub"}, []string{`example records sub NS|glue`}},
		{[]string{"sub NS ns.sub", "ns.sub TXT x"}, []string{`example records sub NS|glue`}},
		{[]string{"sub NS ns"}, []string{`example records sub NS|no address`}},
		{[]string{"sub NS ns", "ns STEER web"}, []string{`example records sub NS|must be static`}},
		{[]string{"sub NS ns", "ns CNAME x", "x A 192.0.2.1"}, []string{`example records sub NS|ns.example is an alias`}},
		{[]string{"@ MX 10 m", "m CNAME x", "x A 192.0.2.1"}, []string{`example records @ MX|m.example is an alias`}},
		{[]string{"_a._tcp SRV 0 0 1 x", "_a._tcp SRV 0 0 1 m", "m CNAME x", "x A 192.0.2.1"}, []string{`example records _a._tcp SRV 1|m.example is an alias`}},
		{[]string{"www CNAME www"}, []string{`example records www CNAME|circle`}},
		{[]string{"a CNAME b", "b CNAME a", "c CNAME a"}, []string{`example records a CNAME|circle`, `example records b CNAME|circle`, `example records c CNAME|circle`}},
		{[]string{"*.x CNAME y.x"}, []string{`example records *.x CNAME|circle through y.x.example`}},
		{chain(9), []string{`example records c0 CNAME|more than 8`}},
		{[]string{"www CNAME www.example.com"}, []string{`example records www CNAME|write "www.example.com." if`}},
		{[]string{"@ MX 10 mail.example.com"}, []string{`example records @ MX|means mail.example.com.example, which does not exist`}},
		{[]string{"www HTTPS 1 x.example"}, []string{`example records www HTTPS|lacks its final dot`}},
	} {
		got := refuse(t, zoneOf("example", c.lines...))
		if len(got) != len(c.want) {
			t.Errorf("%q: %d problems: %q", c.lines, len(got), got)
			continue
		}
		for i, want := range c.want {
			path, msg, _ := strings.Cut(want, "|")
			if !strings.HasPrefix(got[i], path) || !strings.Contains(got[i], msg) {
				t.Errorf("%q: got %q, want %q", c.lines, got[i], want)
			}
		}
	}
}

func TestZoneProblems(t *testing.T) {
	for _, c := range []struct {
		change func(*Spec)
		want   string
	}{
		{func(s *Spec) { s.NS = nil }, "example ns: a zone needs at least one name server"},
		{func(s *Spec) { s.NS = []string{"a..b"} }, `example ns 0: "a..b" is not a name`},
		{func(s *Spec) { s.NS = []string{"a.b.c", "a.b.c."} }, `example ns 1: "a.b.c." is named twice`},
		{func(s *Spec) { s.NS = []string{"x.y", "ns1"} }, "example ns 1: ns1.example is in zone example, which has no address"},
		{func(s *Spec) {
			s.NS = []string{"ns1"}
			s.Records = []RecordSpec{{Owner: "ns1", Steer: &SteerSpec{Service: "web"}}}
		}, "example ns 0: ns1.example is steered"},
		{func(s *Spec) { s.SOA.MName = "a b" }, `example soa mname: "a b" is not a name`},
		{func(s *Spec) { s.SOA.RName = "@example" }, `example soa rname: "@example" is neither`},
		{func(s *Spec) { s.SOA.RName = "user@" }, `example soa rname: "user@" is neither`},
		{func(s *Spec) { s.SOA.Expire = 1 << 31 }, "example soa expire: 2147483648 s is more"},
		{func(s *Spec) { s.TTL = 1 << 31 }, "example ttl: 2147483648 s is more"},
		{func(s *Spec) { s.Name = "exa mple" }, `exa mple: "exa mple" is not the name of a zone`},
		{func(s *Spec) { s.Name = "" }, `: "" is not the name of a zone`},
		{func(s *Spec) { s.Name = "*.example" }, `*.example: "*.example" is not the name of a zone: a zone cannot begin at a wildcard`},
		{func(s *Spec) {
			s.Records = []RecordSpec{{Owner: "www", TTL: 1 << 31, Static: []StaticSpec{{"A", []string{"192.0.2.1"}}}}}
		}, "example records www ttl: "},
		{func(s *Spec) { s.Records = []RecordSpec{{Owner: "www"}} }, `example records www: "www" has neither records nor a service`},
		{func(s *Spec) { s.Records = []RecordSpec{{Owner: ""}} }, `example records : "" is not a name`},
		{func(s *Spec) { s.Records = []RecordSpec{{Owner: "w", Static: []StaticSpec{{Type: "A"}}}} }, "example records w A: A has no value"},
		{func(s *Spec) { s.Records = []RecordSpec{{Owner: "w", Steer: &SteerSpec{}}} }, "example records w service: a steered name needs a service"},
		{func(s *Spec) {
			s.Records = []RecordSpec{{Owner: "w", Static: []StaticSpec{{"A", []string{"192.0.2.1"}}, {"a", []string{"192.0.2.2"}}}}}
		}, "example records w a: type A is given twice"},
		{func(s *Spec) {
			s.Records = []RecordSpec{{Owner: "w", Static: []StaticSpec{{"TXT", []string{strings.Repeat("x", maxValue+1)}}}}}
		}, "example records w TXT: the value is 65536 bytes long"},
		{func(s *Spec) {
			s.Records = []RecordSpec{{Owner: "w", Static: []StaticSpec{{"TXT", []string{strings.Repeat("x", 64000)}}}}}
		}, "example records w TXT: the set takes 64263 bytes"},
		{func(s *Spec) {
			s.Records = []RecordSpec{{Owner: "w", Static: []StaticSpec{{"MX", []string{"10 x\n$INCLUDE /etc/passwd"}}}}}
		}, "example records w MX: \"10 x\\n$INCLUDE /etc/passwd\" has a control character"},
	} {
		spec := zoneOf("example")
		c.change(&spec)
		got := refuse(t, spec)
		if len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestProblemsBetweenZones(t *testing.T) {
	got := refuse(t,
		zoneOf("example", "www.sub STEER web", "a CNAME a.quux.", "m MX 10 a.quux.", "sub NS ns.sub.example."),
		zoneOf("quux.", "a CNAME a.example."),
		zoneOf("Sub.Example", "www STEER web"),
		zoneOf("sub.example."))
	want := []string{
		`sub.example.: zone "Sub.Example" is the same zone`,
		`example records www.sub: "www.sub" belongs to zone sub.example, so it would never be answered from here; write it there`,
		"example records a CNAME: the alias leads into a circle through a.quux",
		"example records m MX: a.quux is an alias (CNAME); MX needs the name it stands for (RFC 2181 10.3)",
		"example records sub NS: ns.sub.example is in zone sub.example, which has no address for it; add an A or AAAA record",
		"quux. records a CNAME: the alias leads into a circle through a.example",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestAllowed(t *testing.T) {
	compile(t, zoneOf("example", "c0 CNAME c1", "c1 CNAME c2", "c2 CNAME c3", "c3 CNAME c4", "c4 CNAME c5", "c5 CNAME c6", "c6 CNAME c7", "c7 CNAME end",
		"end STEER web", "dangling CNAME nowhere", "mail MX 0 .", "mx MX 10 end", "ptr PTR end.example", "a.b A 192.0.2.1", "x CNAME a.b",
		"sub NS ns.other", "other NS ns.other", "ns.other A 192.0.2.2", "t TXT", "v6ns NS n6", "n6 AAAA 2001:db8::1", "self CNAME www.example.com."))
}

func TestWithoutPlan(t *testing.T) {
	spec := zoneOf("example", "www STEER nobody nothing", "x A y")
	set, problems := Compile([]Spec{spec}, nil)
	if set != nil || len(problems) != 1 || problems[0].Path[4] != "A" {
		t.Errorf("got %v", problems)
	}
	spec.Records = spec.Records[:1]
	if set, problems = Compile([]Spec{spec}, nil); set == nil || len(problems) > 0 {
		t.Errorf("got %v", problems)
	}
}

// Ids must hold for Plans whose services stand in the same order, whatever their endpoints.
func TestSteerIDs(t *testing.T) {
	plan, problems := policy.Compile(policy.Spec{Services: []policy.ServiceSpec{{Name: "a"}, {Name: "b"}, {Name: "c"}}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	set, problems := Compile([]Spec{zoneOf("example", "c STEER c", "a STEER a default")}, plan)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	usual, _ := plan.PolicyByName(policy.DefaultPolicy)
	for name, id := range map[string]policy.ServiceID{"a.example": 0, "c.example": 2} {
		if m := set.Lookup(mustName(t, name), 1); m.Steer.Service != id || m.Steer.Policy != usual {
			t.Errorf("%s: %+v", name, m.Steer)
		}
	}
}
