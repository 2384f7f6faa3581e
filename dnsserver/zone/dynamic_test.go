package zone

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

func TestDNAME(t *testing.T) {
	s := compile(t, zoneOf("example", "old DNAME new", "old A 192.0.2.1", "old MX 0 .", "a.new A 192.0.2.2", "out DNAME elsewhere.test.", "deep.er DNAME new", "*.wild A 192.0.2.3",
		"x.wild DNAME new", "sub NS ns.elsewhere.test."), zoneOf("whole.test", "@ DNAME example.", "@ A 192.0.2.4"), zoneOf("child.old.example", "www A 192.0.2.5"))
	expect(t, s,
		"old.example A = answer 192.0.2.1", // the owner itself is not redirected (RFC 6672 2.3)
		"old.example DNAME = answer new.example.",
		"old.example AAAA = no data",
		"a.old.example A = redirect old.example.",
		"a.b.old.example DNAME = redirect old.example.",
		"a.old.example ANY = redirect old.example.",
		"a.out.example A = redirect out.example.",
		"er.example A = no data",
		"a.deep.er.example A = redirect deep.er.example.",
		"y.wild.example A = answer 192.0.2.3 by *.wild.example.",
		"q.x.wild.example A = redirect x.wild.example.", // before any wildcard
		"q.y.wild.example A = answer 192.0.2.3 by *.wild.example.",
		"www.whole.test TXT = redirect whole.test.",
		"whole.test SOA = answer ns.elsewhere.test. hostmaster.whole.test. 1 3600 600 604800 10",
		"www.child.old.example A = answer 192.0.2.5",   // the longest zone has the name
		"child.old.example DS = redirect old.example.") // as of any name there: the zone above knows no other
	m := s.Lookup(mustName(t, "a.b.old.example"), wire.TypeA)
	if got := Substitute(nil, mustName(t, "a.b.old.example"), m.Cut, m.Set.RData[0]); got.String() != "a.b.new.example." {
		t.Errorf("a.b.old becomes %s", got)
	}
	long := mustName(t, strings.Repeat("abcdefg.", 29)+"x.old.example")
	if got := Substitute(nil, long, m.Cut, mustName(t, "a-target-that-is-longer.example")); got != nil {
		t.Errorf("%s has %d bytes", got, len(got))
	}
}

func TestAlias(t *testing.T) {
	alias := func(owner, target string, lines ...string) RecordSpec {
		r := RecordSpec{Owner: owner, Alias: target}
		if len(lines) > 0 {
			r.Static = zoneOf("x", lines...).Records[0].Static
		}
		return r
	}
	spec := zoneOf("example", "www STEER web", "cname CNAME target.elsewhere.test.", "sub NS ns.elsewhere.test.", "old DNAME elsewhere.test.", "host A 192.0.2.1")
	spec.Records = append(spec.Records, alias("@", "www", "@ MX 10 host"), alias("out", "target.elsewhere.test."), alias("through", "cname"), alias("*.any", "Host"),
		alias("cut", "x.sub"), alias("redirected", "b.old"), alias("chain", "out"), alias("dangling", "nothing"), alias("again", "other.elsewhere.test."))
	s := compile(t, spec)
	expect(t, s,
		"example A = flatten www.example.",
		"example AAAA = flatten www.example.",
		"example ANY = answer ns.elsewhere.test.",
		"example MX = answer 10 host.example.",
		"example TXT = no data",
		"out.example A = flatten target.elsewhere.test.",
		"out.example ANY = flatten target.elsewhere.test.",
		"out.example HTTPS = no data",
		"x.out.example A = no such name",
		"q.any.example A = flatten host.example. by *.any.example.",
		"any.example A = no data")
	var got []string
	for _, name := range s.OutsideTargets(nil) {
		got = append(got, name.String())
	}
	if want := []string{"target.elsewhere.test.", "x.sub.example.", "b.elsewhere.test.", "other.elsewhere.test."}; !slices.Equal(got, want) {
		t.Errorf("outside: %q, want %q", got, want)
	}
	for e := range s.Zones()[0].Entries() {
		if (e.Target != nil) != (len(e.Name) > 0 && s.Lookup(e.Name, wire.TypeA).Kind == Flatten) {
			t.Errorf("entry %s: target %s", e.Name, e.Target)
		}
	}
}

func TestWhoami(t *testing.T) {
	spec := zoneOf("example", "who STEER web", "mx MX 0 .")
	spec.Records[0].Whoami, spec.Records[1].Whoami = true, true
	spec.Records = append(spec.Records, RecordSpec{Owner: "*.me", Whoami: true})
	s := compile(t, spec)
	expect(t, s,
		"who.example TXT = whoami", "who.example A = whoami", "who.example AAAA = whoami", "who.example ANY = whoami", "who.example MX = no data",
		"mx.example MX = answer 0 .", "mx.example TXT = whoami", "q.me.example TXT = whoami by *.me.example.")
	if m := s.Lookup(mustName(t, "who.example"), wire.TypeTXT); m.Steer == nil || m.Steer.Record != "who.example" {
		t.Errorf("steer %+v", m.Steer)
	}
	if m := s.Lookup(mustName(t, "mx.example"), wire.TypeTXT); m.Steer != nil {
		t.Errorf("steer %+v", m.Steer)
	}
}

// steering adds to a Spec a record whose types a service answers.
func steering(spec *Spec, owner string, types ...string) *RecordSpec {
	for i := range spec.Records {
		if spec.Records[i].Owner == owner {
			spec.Records[i].Steer = &SteerSpec{Service: "web", Types: types}
			return &spec.Records[i]
		}
	}
	spec.Records = append(spec.Records, RecordSpec{Owner: owner, Steer: &SteerSpec{Service: "web", Types: types}})
	return &spec.Records[len(spec.Records)-1]
}

func TestSteeredTypes(t *testing.T) {
	spec := zoneOf("example", "mixed TXT text", "mixed A 192.0.2.1", "apex A 192.0.2.1")
	steering(&spec, "all", "A", "aaaa", "SRV", "HTTPS", "SVCB", "TXT", "MX")
	steering(&spec, "mixed", "HTTPS", "MX")
	steering(&spec, "cname", "CNAME")
	steering(&spec, "*.w", "TYPE64")
	s := compile(t, spec)
	for _, typed := range []string{"A", "AAAA", "SRV", "HTTPS", "SVCB", "TXT", "MX", "ANY"} {
		expect(t, s, "all.example "+typed+" = steered all.example", "cname.example "+typed+" = steered cname.example")
	}
	expect(t, s,
		"all.example CNAME = no data",
		"all.example CAA = no data",
		"mixed.example A = answer 192.0.2.1",
		"mixed.example TXT = answer \"text\"",
		"mixed.example HTTPS = steered mixed.example",
		"mixed.example ANY = answer 192.0.2.1",
		"mixed.example AAAA = no data",
		"cname.example CNAME = steered cname.example", // as a CNAME stands for every type
		"cname.example CAA = steered cname.example",
		"q.w.example SVCB = steered *.w.example by *.w.example.",
		"q.w.example HTTPS = no data by *.w.example.")
}

func TestTypeSet(t *testing.T) {
	for i, rrtype := range steerable {
		s := TypeSetOf(rrtype, wire.TypeNS)
		if s != 1<<i || !s.Has(rrtype) || s.Has(wire.TypeNS) || s.Has(wire.TypeANY) || s.String() != dns.TypeToString[rrtype] {
			t.Errorf("%s: %08b %s", dns.TypeToString[rrtype], s, s)
		}
	}
	if got := TypeSetOf(steerable[:]...).String(); got != "A, AAAA, CNAME, SRV, HTTPS, SVCB, TXT and MX" {
		t.Error(got)
	}
	if got := TypeSetOf(wire.TypeMX, wire.TypeNS, wire.TypeAAAA).List(); !slices.Equal(got, []uint16{wire.TypeAAAA, wire.TypeMX}) {
		t.Error(got)
	}
	if TypeSet(0).String() != "" {
		t.Error("nothing has a name")
	}
}

func TestDynamicProblems(t *testing.T) {
	alias := func(owner, target string) func(*Spec) {
		return func(s *Spec) {
			for i := range s.Records {
				if s.Records[i].Owner == owner {
					s.Records[i].Alias = target
					return
				}
			}
			s.Records = append(s.Records, RecordSpec{Owner: owner, Alias: target})
		}
	}
	steer := func(owner string, types ...string) func(*Spec) {
		return func(s *Spec) { steering(s, owner, types...) }
	}
	whoami := func(owner string) func(*Spec) {
		return func(s *Spec) {
			for i := range s.Records {
				if s.Records[i].Owner == owner {
					s.Records[i].Whoami = true
					return
				}
			}
			s.Records = append(s.Records, RecordSpec{Owner: owner, Whoami: true})
		}
	}
	chain := []string{"c0 DNAME c1", "c1 DNAME c2", "c2 DNAME c3", "c3 DNAME c4", "c4 DNAME c5", "c5 DNAME c6", "c6 DNAME c7", "c7 DNAME c8", "c8 DNAME c9"}
	for _, c := range []struct {
		lines   []string
		changes []func(*Spec)
		want    []string
	}{
		{nil, []func(*Spec){alias("a", "b c")}, []string{`records a alias|"b c" is not a name`}},
		{nil, []func(*Spec){alias("a", ".")}, []string{`records a alias|no name that has addresses`}},
		{nil, []func(*Spec){alias("a", "*.x")}, []string{`records a alias|no name that has addresses`}},
		{nil, []func(*Spec){alias("a", "a")}, []string{`records a alias|circle through a.example`}},
		{[]string{"c CNAME a"}, []func(*Spec){alias("a", "c")}, []string{`records c CNAME|circle`, `records a alias|circle`}},
		{[]string{"d DNAME e", "c CNAME x.d"}, []func(*Spec){alias("x.e", "c")}, []string{`records c CNAME|circle`, `records x.e alias|circle`}},
		{nil, []func(*Spec){alias("a", "www.example.com")}, []string{`records a alias|write "www.example.com." if`}},
		{[]string{"a A 192.0.2.1"}, []func(*Spec){alias("a", "b.")}, []string{`records a A|the alias answers A and AAAA here`}},
		{[]string{"a CNAME x."}, []func(*Spec){alias("a", "b.")}, []string{`records a CNAME|stands alone`}},
		{nil, []func(*Spec){steer("a"), alias("a", "b.")}, []string{`records a alias|beside a service`}},
		{nil, []func(*Spec){whoami("a"), alias("a", "b.")}, []string{`records a alias|beside a service or whoami`}},
		{[]string{"a TXT x"}, []func(*Spec){whoami("a")}, []string{`records a TXT|whoami answers A, AAAA and TXT here`}},
		{[]string{"a NS x."}, []func(*Spec){whoami("a")}, []string{`records a NS|nothing else`}},
		{[]string{"a NS x."}, []func(*Spec){alias("b.a", "x.")}, []string{`records b.a|below the delegation`}},
		{[]string{"sub NS a", "sub NS b", "sub NS c"}, []func(*Spec){alias("a", "x."), whoami("b"), steer("c", "A")},
			[]string{"records sub NS 0|addresses of an alias", "records sub NS 1|tells of the client", "records sub NS 2|is steered"}},
		{[]string{"sub NS a.d", "d DNAME x.", "@ MX 0 a.d"}, nil, []string{"records @ MX|is an alias", "records sub NS|is an alias"}},
		{nil, []func(*Spec){steer("a", "A", "A")}, []string{`records a types|A is named twice`}},
		{nil, []func(*Spec){steer("a", "NS")}, []string{`records a types|NS cannot be steered`}},
		{nil, []func(*Spec){steer("a", "BOGUS")}, []string{`records a types|no record type "BOGUS"`}},
		{nil, []func(*Spec){steer("a", "CNAME", "A")}, []string{`records a types|CNAME stands alone`}},
		{nil, []func(*Spec){steer("@", "CNAME")}, []string{`records @ types|apex`}},
		{[]string{"a TXT x"}, []func(*Spec){steer("a", "CNAME")}, []string{`records a types|steered CNAME stands alone`}},
		{[]string{"a CNAME x."}, []func(*Spec){steer("a", "TXT")}, []string{`records a CNAME|stands alone`}},
		{[]string{"a TXT x", "a A 192.0.2.1"}, []func(*Spec){steer("a", "TXT", "MX")}, []string{`records a TXT|service "web" answers TXT and MX here`}},
		{[]string{"a DNAME b", "x.a A 192.0.2.1"}, nil, []string{`records x.a|below the DNAME of a.example`}},
		{[]string{"a DNAME b"}, []func(*Spec){steer("x.y.a")}, []string{`records x.y.a|below the DNAME of a.example`}},
		{[]string{"a DNAME b", "a NS x."}, nil, []string{`records a NS|at a delegation`}},
		{[]string{"a DNAME b", "a CNAME x."}, nil, []string{`records a CNAME|stands alone`}},
		{[]string{"a DNAME b", "a DNAME c"}, nil, []string{`records a DNAME|one DNAME, not 2`}},
		{[]string{"*.a DNAME b"}, nil, []string{`records *.a DNAME|wildcard`}},
		{[]string{"a DNAME x.a"}, nil, []string{`records a DNAME|back below a.example`}},
		{[]string{"a DNAME a"}, nil, []string{`records a DNAME|back below a.example`}},
		{[]string{"a DNAME b", "b DNAME c.a"}, nil, []string{`records a DNAME|back below`, `records b DNAME|back below`}},
		{chain, nil, []string{`records c0 DNAME|more than 8`}},
		{[]string{"@ DNAME x.", "a A 192.0.2.1"}, nil, []string{`records a|below the DNAME of example`}},
	} {
		spec := zoneOf("example", c.lines...)
		for _, change := range c.changes {
			change(&spec)
		}
		got := refuse(t, spec)
		ok := len(got) == len(c.want)
		for i := range min(len(got), len(c.want)) {
			path, msg, _ := strings.Cut(c.want[i], "|")
			ok = ok && strings.HasPrefix(got[i], "example "+path+": ") && strings.Contains(got[i], msg)
		}
		if !ok {
			t.Errorf("%q: got %q, want %q", c.lines, got, c.want)
		}
	}
}

func TestAllows(t *testing.T) {
	prefixes := func(list ...string) (out []netip.Prefix) {
		out = []netip.Prefix{}
		for _, s := range list {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	for _, c := range []struct {
		allow   []netip.Prefix
		yes, no string
	}{
		{nil, "192.0.2.1 ::1 0.0.0.0", ""},
		{prefixes(), "", "192.0.2.1 ::1"},
		{prefixes("192.0.2.0/24"), "192.0.2.0 192.0.2.255 ::ffff:192.0.2.7", "192.0.1.255 192.0.3.0 ::1 ::c000:0201 255.255.255.255"},
		{prefixes("10.0.0.0/8", "10.1.0.0/16", "192.0.2.128/25", "192.0.2.0/25", "2001:db8::/32", "fe80::/10"), "10.0.0.0 10.1.2.3 10.255.255.255 192.0.2.127 192.0.2.128 2001:db8:ffff:: fe80::1%eth0",
			"9.255.255.255 11.0.0.0 192.0.3.0 2001:db7:ffff:: 2001:db9:: 172.16.0.1"},
		{prefixes("0.0.0.0/0"), "0.0.0.0 255.255.255.255", ":: ffff::"},
		{prefixes("::/0"), ":: ffff::", "0.0.0.0 ::ffff:192.0.2.1"},
		{prefixes("::ffff:192.0.2.0/120"), "192.0.2.1", "192.0.3.1 ::ffff:192.0.3.1"},
	} {
		spec := zoneOf("example")
		spec.Allow = c.allow
		z := compile(t, spec).Zones()[0]
		for _, s := range strings.Fields(c.yes) {
			if !z.Allows(netip.MustParseAddr(s)) {
				t.Errorf("%v does not allow %s", c.allow, s)
			}
		}
		for _, s := range strings.Fields(c.no) {
			if z.Allows(netip.MustParseAddr(s)) {
				t.Errorf("%v allows %s", c.allow, s)
			}
		}
		addr := netip.MustParseAddr("192.0.2.1")
		if n := testing.AllocsPerRun(10, func() { z.Allows(addr) }); n != 0 {
			t.Errorf("Allows allocates %v times", n)
		}
	}
}

func TestCheckHost(t *testing.T) {
	for _, s := range []string{"a", "www.example.com", "www.example.com.", "_x.y", "xn--bcher-kva.example"} {
		if err := CheckHost(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", ".", "*.x", "a..b", "a b", "bücher.example", strings.Repeat("a", 64)} {
		if CheckHost(s) == nil {
			t.Errorf("%q is a host", s)
		}
	}
}

func TestLookupAllocatesForNoKind(t *testing.T) {
	spec := zoneOf("example", "old DNAME new", "c CNAME old", "sub NS ns.sub", "ns.sub A 192.0.2.1", "s STEER web")
	spec.Records = append(spec.Records, RecordSpec{Owner: "a", Alias: "s"}, RecordSpec{Owner: "*.who", Whoami: true},
		RecordSpec{Owner: "some", Whoami: true, When: &ConditionSpec{Types: []string{"A"}}})
	s := compile(t, spec)
	seen := map[Kind]bool{}
	for _, text := range []string{"x.y.old.example", "c.example", "x.sub.example", "s.example", "a.example", "some.example", "q.who.example", "example", "who.example", "no.example", "test"} {
		name := mustName(t, text)
		rrtype := wire.TypeA
		if text == "example" {
			rrtype = wire.TypeSOA
		}
		seen[s.Lookup(name, rrtype).Kind] = true
		if n := testing.AllocsPerRun(10, func() { s.Lookup(name, rrtype) }); n != 0 {
			t.Errorf("%s: Lookup allocates %v times", text, n)
		}
	}
	if len(seen) != len(kindNames) {
		t.Errorf("%d kinds of %d", len(seen), len(kindNames))
	}
}
