package zone

import (
	"bytes"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// The zone of RFC 4592 2.2.1, and the answers that 2.2.1 and 3.3 demand.
func TestRFC4592(t *testing.T) {
	s := compile(t, zoneOf("example",
		"* TXT \"this is a wildcard\"",
		"* MX 10 host1.example.",
		"sub.* TXT \"this is not a wildcard\"",
		"host1 A 192.0.2.1",
		"_ssh._tcp.host1 SRV 0 0 22 host1.example.",
		"_ssh._tcp.host2 SRV 0 0 22 host1.example.",
		"subdel NS ns.example.com.",
		"subdel NS ns.example.net."))
	expect(t, s,
		"host3.example. MX = answer 10 host1.example. by *.example.",
		"host3.example. A = no data by *.example.",
		"foo.bar.example. TXT = answer \"this is a wildcard\" by *.example.",
		"host1.example. MX = no data",
		"sub.*.example. MX = no data",
		"_telnet._tcp.host1.example. SRV = no such name",
		"host.subdel.example. A = referral subdel.example.",
		"ghost.*.example. MX = no such name",
		"*.example. MX = answer 10 host1.example.",
		"*.example. A = no data",
		"_tcp.host1.example. SRV = no data",
		"host2.example. A = no data",
		"x.host2.example. MX = no such name",
		"*.host1.example. MX = no such name",
		"subdel.example. NS = referral subdel.example.",
		"subdel.example. DS = no data")
}

func TestEmptyNonTerminals(t *testing.T) {
	s := compile(t, zoneOf("example", "a.b.c A 192.0.2.1", "* A 192.0.2.9", "x.*.w A 192.0.2.2", "*.deep A 192.0.2.3", "*.deep TXT \"t\"", "e.e.deep A 192.0.2.4"))
	expect(t, s,
		"b.c.example A = no data",
		"c.example TXT = no data",
		"example A = no data",
		"z.c.example A = no such name", // the empty c.example blocks the wildcard above it
		"z.b.c.example A = no such name",
		"z.a.b.c.example A = no such name",
		"d.example A = answer 192.0.2.9 by *.example.",
		"w.example A = no data",
		"*.w.example A = no data",
		"q.w.example A = no data by *.w.example.", // *.w exists, empty: the wildcard answers that there is nothing
		"r.q.w.example A = no data by *.w.example.",
		"q.*.w.example A = no such name",
		"x.*.w.example A = answer 192.0.2.2",
		"q.deep.example A = answer 192.0.2.3 by *.deep.example.",
		"q.q.deep.example TXT = answer \"t\" by *.deep.example.",
		"e.deep.example A = no data",
		"f.e.deep.example A = no such name",
		"deep.example A = no data")
}

func TestKinds(t *testing.T) {
	s := compile(t,
		zoneOf("example", "www STEER web close-by", "www TXT \"x\"", "@ STEER api", "@ MX 10 mail", "mail A 192.0.2.7", "mail AAAA 2001:db8::7",
			"alias CNAME www", "out CNAME www.elsewhere.test.", "*.any STEER web", "*.other CNAME www", "both A 192.0.2.1", "both A 192.0.2.2"),
		zoneOf("sub.example.", "www A 192.0.2.3"))
	expect(t, s,
		"www.example A = steered www.example",
		"www.example AAAA = steered www.example",
		"www.example TXT = answer \"x\"",
		"www.example MX = no data",
		"www.example ANY = answer \"x\"",
		"x.www.example A = no such name",
		"example A = steered example",
		"example MX = answer 10 mail.example.",
		"example SOA = answer ns.elsewhere.test. hostmaster.example. 1 3600 600 604800 10",
		"example NS = answer ns.elsewhere.test.",
		"example DS = no data",
		"alias.example A = alias www.example.",
		"alias.example MX = alias www.example.",
		"alias.example CNAME = answer www.example.",
		"alias.example ANY = answer www.example.",
		"out.example AAAA = alias www.elsewhere.test.",
		"q.any.example A = steered *.any.example by *.any.example.",
		"q.any.example ANY = steered *.any.example by *.any.example.",
		"q.any.example MX = no data by *.any.example.",
		"any.example A = no data",
		"q.other.example AAAA = alias www.example. by *.other.example.",
		"both.example A = answer 192.0.2.1 | 192.0.2.2",
		"nothing.example A = no such name",
		"elsewhere.test A = not authoritative",
		"test A = not authoritative",
		". A = not authoritative",
		"badexample A = not authoritative",
		"www.sub.example A = answer 192.0.2.3",
		"x.sub.example A = no such name",
		"sub.example SOA = answer ns.elsewhere.test. hostmaster.sub.example. 1 3600 600 604800 10",
		"sub.example DS = no data", // asked of example, which does not delegate sub; it exists all the same
	)
	m := s.Lookup(mustName(t, "www.example"), wire.TypeA)
	plan := testPlan(t)
	web, _ := plan.ServiceByName("web")
	near, _ := plan.PolicyByName("close-by")
	if want := (Steer{Service: web, Policy: near, TTL: 300, Types: addressTypes, Tag: m.Steer.Tag, Record: "www.example"}); *m.Steer != want {
		t.Errorf("got %+v, want %+v", *m.Steer, want)
	}
	m = s.Lookup(mustName(t, "example"), wire.TypeMX)
	if len(m.Extra) != 2 || m.Extra[0].Name.String() != "mail.example." || m.Extra[0].Set.Type != wire.TypeA || m.Extra[1].Set.Type != wire.TypeAAAA || m.Extra[0].Required {
		t.Errorf("extra of MX: %v", m.Extra)
	}
}

func TestDelegation(t *testing.T) {
	s := compile(t,
		zoneOf("example",
			"sub NS ns.sub", "sub NS ns2.other.sub2", "sub NS ns.elsewhere.test.", "sub DS 12345 13 2 "+strings.Repeat("ab", 32),
			"ns.sub A 192.0.2.1", "ns.sub AAAA 2001:db8::1", "www.sub A 192.0.2.2", "www.sub TXT \"occluded\"", "sub A 192.0.2.3",
			"*.sub A 192.0.2.4", "deeper.sub NS ns.sub", "ns2.other.sub2 A 192.0.2.5", "own NS own", "own A 192.0.2.6",
			"child NS ns.child", "ns.child A 192.0.2.7"),
		zoneOf("child.example", "ns A 192.0.2.7", "www A 192.0.2.8"))
	expect(t, s,
		"sub.example NS = referral sub.example.",
		"sub.example A = referral sub.example.",
		"sub.example ANY = referral sub.example.",
		"sub.example SOA = referral sub.example.",
		"sub.example DS = answer 12345 13 2 "+strings.Repeat("AB", 32),
		"ns.sub.example A = referral sub.example.", // glue is not authoritative
		"www.sub.example A = referral sub.example.",
		"www.sub.example TXT = referral sub.example.",
		"nothing.sub.example A = referral sub.example.",
		"x.deeper.sub.example A = referral sub.example.", // the topmost cut
		"deeper.sub.example DS = referral sub.example.",
		"own.example A = referral own.example.",
		"own.example DS = no data",
		"child.example DS = no data", // at the parent's side
		"child.example NS = answer ns.elsewhere.test.",
		"www.child.example A = answer 192.0.2.8",
		"www.child.example DS = no data",
		"x.child.example A = no such name")
	m := s.Lookup(mustName(t, "a.b.sub.example"), wire.TypeA)
	var got []string
	for _, a := range m.Extra {
		mark := ""
		if a.Required {
			mark = "!"
		}
		got = append(got, mark+a.Name.String()+"="+strings.Join(values(t, a.Set), ","))
	}
	want := "!ns.sub.example.=192.0.2.1 !ns.sub.example.=2001:db8::1 ns2.other.sub2.example.=192.0.2.5"
	if strings.Join(got, " ") != want {
		t.Errorf("glue %v, want %s", got, want)
	}
	if len(m.Set.RData) != 3 || m.Owner.String() != "sub.example." {
		t.Errorf("referral %+v", m)
	}
	if m := s.Lookup(mustName(t, "child.example"), wire.TypeDS); m.Zone.Name() != "example" {
		t.Errorf("DS of child.example comes from %s", m.Zone.Name())
	}
	if m := s.Lookup(mustName(t, "own.example"), wire.TypeA); len(m.Extra) != 1 || !m.Extra[0].Required {
		t.Errorf("referral to own: %+v", m)
	}
}

func TestZone(t *testing.T) {
	spec := zoneOf("Example.Org", "www A 192.0.2.1", "a.b TXT \"x\"", "w STEER web")
	spec.TTL = 120
	spec.SOA = SOASpec{RName: "first.last@example.net", MName: "primary", Serial: 7, Minimum: 30}
	spec.NS = []string{"ns1", "ns1.example.net", "ns2.example.org"}
	spec.Records = append(spec.Records,
		RecordSpec{Owner: "ns1", Static: []StaticSpec{{"A", []string{"192.0.2.53"}}}},
		RecordSpec{Owner: "ns2", TTL: 60, Static: []StaticSpec{{"AAAA", []string{"2001:db8::53"}}}})
	s := compile(t, spec)
	z := s.Zones()[0]
	if z.Name() != "example.org" || z.Apex().String() != "example.org." || z.Serial() != 7 || z.Len() != 6 {
		t.Errorf("zone %s, apex %s, serial %d, %d names", z.Name(), z.Apex(), z.Serial(), z.Len())
	}
	if got := values(t, z.SOA())[0]; got != `primary.example.org. first\.last.example.net. 7 3600 600 604800 30` {
		t.Errorf("SOA %s", got)
	}
	if z.SOA().TTL != 120 || z.Negative().TTL != 30 || !bytes.Equal(z.Negative().RData[0], z.SOA().RData[0]) {
		t.Errorf("SOA TTL %d, negative %d", z.SOA().TTL, z.Negative().TTL)
	}
	if got := strings.Join(values(t, z.NS()), " "); got != "ns1.example.org. ns1.example.net. ns2.example.org." {
		t.Errorf("NS %s", got)
	}
	if m := s.Lookup(z.Apex(), wire.TypeNS); len(m.Extra) != 2 || m.Extra[1].Set.TTL != 60 || m.Extra[0].Required {
		t.Errorf("addresses of the name servers: %v", m.Extra)
	}
	var names []string
	for e := range z.Entries() {
		names = append(names, strings.TrimSuffix(e.Name.String(), ".example.org."))
		if (e.Steer != nil) != (len(e.Sets) == 0) {
			t.Errorf("entry %s: %v, %v", e.Name, e.Sets, e.Steer)
		}
	}
	if got := strings.Join(names, " "); got != "example.org. www a.b w ns1 ns2" {
		t.Errorf("entries %s", got)
	}
	for range z.Entries() {
		break
	}
	if s.Zone(mustName(t, "x.www.example.org")) != z || s.Zone(mustName(t, "org")) != nil {
		t.Error("Zone finds the wrong zone")
	}
}

// RFC 2308 3: the SOA of a negative answer lives as long as the shorter of its TTL and its MINIMUM.
func TestNegativeTTL(t *testing.T) {
	for _, c := range []struct{ ttl, minimum, want uint32 }{{0, 0, 10}, {5, 0, 5}, {5, 100, 5}, {300, 100, 100}, {60, 60, 60}} {
		spec := zoneOf("example")
		spec.TTL, spec.SOA.Minimum = c.ttl, c.minimum
		if got := compile(t, spec).Zones()[0].Negative().TTL; got != c.want {
			t.Errorf("TTL %d, minimum %d: negative TTL %d, want %d", c.ttl, c.minimum, got, c.want)
		}
	}
}

func TestRootZone(t *testing.T) {
	s := compile(t, zoneOf(".", "example A 192.0.2.1", "test NS ns.test", "ns.test A 192.0.2.2", "@ TXT \"root\""), zoneOf("sub.example", "www A 192.0.2.3"))
	expect(t, s,
		"example A = answer 192.0.2.1",
		". TXT = answer \"root\"",
		". DS = no data",
		"x.test A = referral test.",
		"x.y.z A = no such name",
		"www.sub.example A = answer 192.0.2.3",
		"sub.example DS = no data")
	if name := s.Zones()[0].Name(); name != "." {
		t.Errorf("the root is called %q", name)
	}
}

func TestNilSet(t *testing.T) {
	var s *Set
	if m := s.Lookup(mustName(t, "example"), wire.TypeA); m.Kind != NotAuth || s.Zones() != nil {
		t.Errorf("a nil Set answers %+v", m)
	}
	if m := compile(t).Lookup(mustName(t, "example"), wire.TypeA); m.Kind != NotAuth {
		t.Errorf("an empty Set answers %+v", m)
	}
	if m := compile(t, zoneOf("example")).Lookup(nil, wire.TypeA); m.Kind != NotAuth {
		t.Errorf("no name: %+v", m)
	}
	if Kind(200).String() != "unknown" {
		t.Error("Kind(200)")
	}
}

func TestLabelsUpTo127(t *testing.T) {
	long := strings.Repeat("a.", 123) + "example" // 124 labels, 255 bytes
	deep := zoneOf(long, "@ A 192.0.2.2")
	deep.SOA.RName = "h.elsewhere.test."
	s := compile(t, zoneOf("example", "* A 192.0.2.1"), deep)
	expect(t, s,
		strings.Repeat("b.", 122)+"example A = answer 192.0.2.1 by *.example.",
		long+" A = answer 192.0.2.2",
		long[2:]+" A = answer 192.0.2.1 by *.example.")
}
