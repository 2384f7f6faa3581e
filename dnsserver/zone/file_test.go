package zone

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// rrsOf packs records written as lines of a zone file, each with owner, and TTL if it is not 300. The position of a line is its number.
// Lines "owner STEER service policy types" steer the owner; the policy "-" is none. Equal lines share one way of steering.
func rrsOf(t testing.TB, origin string, lines ...string) *RRs {
	t.Helper()
	rrs := new(RRs)
	file := rrs.AddFile("zones/" + origin + ".zone")
	var parser RDataParser
	ways := map[string][]byte{}
	for i, line := range lines {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "STEER" {
			owner := mustName(t, dns.Fqdn(origin))
			if f[0] != "@" {
				owner = mustName(t, f[0]+"."+origin)
			}
			way := strings.Join(f[2:], " ")
			if ways[way] == nil {
				f = append(f, "-")
				types := strings.Fields(strings.Trim(strings.Join(f[4:], " "), "-"))
				ways[way] = rrs.AddSteer(FileSteer{SteerSpec{Service: f[2], Policy: strings.Trim(f[3], "-"), Types: types}, owner, file, uint32(i + 1)})
			}
			rrs.Append(RR{Owner: owner, Type: TypeSteered, TTL: 300, RData: ways[way], File: file, Line: uint32(i + 1)})
			continue
		}
		zp := dns.NewZoneParser(strings.NewReader(line), dns.Fqdn(origin), "")
		zp.SetDefaultTTL(300)
		rr, ok := zp.Next()
		if !ok {
			t.Fatalf("%q: %v", line, zp.Err())
		}
		h := rr.Header()
		rdata, err := parser.Parse(h.Rrtype, strings.TrimPrefix(rr.String(), h.String()), ".")
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if !rrs.Append(RR{Owner: mustName(t, h.Name), Type: h.Rrtype, TTL: h.Ttl, RData: rdata, File: file, Line: uint32(i + 1)}) {
			t.Fatalf("%q: no room", line)
		}
	}
	rrs.Clip()
	return rrs
}

const testSOA = "@ SOA ns.elsewhere.test. h.elsewhere.test. 7 3600 600 604800 30"

// fileZone makes a Spec of a zone file that has SOA, NS and some lines; those after "--" are the Spec's, as zoneOf has them.
func fileZone(t testing.TB, name string, lines ...string) Spec {
	t.Helper()
	file, own := lines, []string(nil)
	if i := slices.Index(lines, "--"); i >= 0 {
		file, own = lines[:i], lines[i+1:]
	}
	spec := zoneOf(name, own...)
	spec.NS = nil
	spec.File = name + ".zone"
	spec.RRs = rrsOf(t, name, append([]string{testSOA, "@ NS ns.elsewhere.test."}, file...)...)
	return spec
}

func TestZoneFile(t *testing.T) {
	s := compile(t, fileZone(t, "example",
		"www 60 A 192.0.2.1", "a.b.c TXT x", "www 30 A 192.0.2.2", "www 90 AAAA 2001:db8::1", "www A 192.0.2.1", "*.w CNAME www", "sub NS ns.sub", "ns.sub A 192.0.2.3",
		"@ MX 10 www", "both TXT file", "loop CNAME loop", "mx MX 10 alias", "alias CNAME www", "lame NS nowhere", "*.star NS ns.elsewhere.test.", "w*w A 192.0.2.4",
		"--", "both STEER web", "own A 192.0.2.5", "deep.er.b.c STEER api", "@ A 192.0.2.6"))
	expect(t, s,
		"www.example A = answer 192.0.2.1 | 192.0.2.2",
		"www.example AAAA = answer 2001:db8::1",
		"www.example MX = no data",
		"b.c.example A = no data",
		"x.b.c.example A = no such name",
		"deep.er.b.c.example A = steered deep.er.b.c.example",
		"er.b.c.example A = no data",
		"q.w.example A = alias www.example. by *.w.example.",
		"w.example A = no data",
		"x.sub.example A = referral sub.example.",
		"both.example TXT = answer \"file\"",
		"both.example A = steered both.example",
		"own.example A = answer 192.0.2.5",
		"example A = answer 192.0.2.6",
		"example MX = answer 10 www.example.",
		"example NS = answer ns.elsewhere.test.",
		"example SOA = answer ns.elsewhere.test. h.elsewhere.test. 7 3600 600 604800 30",
		"loop.example A = alias loop.example.",
		"lame.example A = referral lame.example.",
		"q.star.example NS = answer ns.elsewhere.test. by *.star.example.",
		"q.star.example A = no data by *.star.example.",
		"w*w.example A = answer 192.0.2.4")
	z := s.Zones()[0]
	if m := s.Lookup(mustName(t, "www.example"), wire.TypeA); m.Set.TTL != 30 {
		t.Errorf("TTL %d, want the lowest, 30 (RFC 2181 5.2)", m.Set.TTL)
	}
	if m := s.Lookup(mustName(t, "x.sub.example"), wire.TypeA); len(m.Extra) != 1 || !m.Extra[0].Required {
		t.Errorf("glue %v", m.Extra)
	}
	if m := s.Lookup(z.Apex(), wire.TypeMX); len(m.Extra) != 2 {
		t.Errorf("addresses of MX %v", m.Extra)
	}
	if z.Serial() != 7 || z.Negative().TTL != 30 || z.Len() != 15 {
		t.Errorf("serial %d, negative TTL %d, %d names", z.Serial(), z.Negative().TTL, z.Len())
	}
	entries := 0
	for e := range z.Entries() {
		if entries++; entries == 1 && e.Name.String() != "example." {
			t.Errorf("the first entry is %s", e.Name)
		}
	}
	if entries != z.Len() {
		t.Errorf("%d entries of %d", entries, z.Len())
	}
}

func TestZoneFileProblems(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  []string // line of the file or path, a bar, part of the message
	}{
		{[]string{"www CNAME a", "www A 192.0.2.1"}, []string{"3|stands alone"}},
		{[]string{"www A 192.0.2.1", "x A 192.0.2.1", "www CNAME a"}, []string{"5|stands alone"}},
		{[]string{"www CNAME a", "www CNAME b", "www CNAME a"}, []string{"5|one CNAME, not 2"}},
		{[]string{"@ CNAME a"}, []string{"3|stands alone"}},
		{[]string{"@ SOA a b 1 2 3 4 5"}, []string{"3|one SOA, not 2"}},
		{[]string{"x SOA a b 1 2 3 4 5"}, []string{"3|not of the zone"}},
		{[]string{"d DNAME a.", "d DNAME b."}, []string{"4|one DNAME, not 2"}},
		{[]string{"d DNAME a.", "d NS b."}, []string{"3|at a delegation"}},
		{[]string{"d DNAME a.", "d CNAME b."}, []string{"4|stands alone"}},
		{[]string{"d DNAME a.", "x.y.d A 192.0.2.1"}, []string{"4|x.y.d.example is below the DNAME of d.example"}},
		{[]string{"@ DNAME a.", "x A 192.0.2.1"}, []string{"4|below the DNAME of example"}},
		{[]string{"d DNAME a.", "--", "x.d STEER web"}, []string{"records x.d|below the DNAME of d.example"}},
		{[]string{"sub NS ns", "--", "ns STEER web"}, []string{"3|ns.example is steered by a service"}},
		{[]string{"www A 192.0.2.1", "--", "www A 192.0.2.2"}, []string{"records www A|the zone file has A"}},
		{[]string{"www A 192.0.2.1", "--", "www STEER web"}, []string{`records www A|service "web" answers A and AAAA`}},
		{[]string{"www CNAME a", "--", "www TXT x"}, []string{`records www|has a CNAME`}},
		{[]string{"www TXT a", "--", "www CNAME x"}, []string{`records www CNAME|stands alone`}},
		{[]string{"sub NS a.", "--", "sub STEER web"}, []string{`records sub|delegates "sub"`}},
		{[]string{"sub NS a.", "--", "x.sub STEER web"}, []string{`records x.sub|below the delegation`}},
		{[]string{"loop CNAME loop", "--", "x CNAME loop"}, []string{`records x CNAME|circle`}},
		{[]string{"big TXT x", "--"}, nil},
		{[]string{"a STEER web", "b STEER wbe", "c STEER wbe", "d STEER web close-by", "e STEER web close"}, []string{`4|there is no service "wbe"`, `7|there is no policy "close"`}},
		{[]string{"a STEER web - A NS", "b STEER web - A A", "c STEER web - CNAME A"}, []string{"3|NS cannot be steered", "4|A is named twice", "5|CNAME stands alone"}},
		{[]string{"a STEER web", "a STEER web", "b STEER web", "b STEER api"}, []string{"6|b.example is steered twice"}},
		{[]string{"a STEER web", "a A 192.0.2.1", "a TXT x"}, []string{"3|answers A and AAAA here; remove that or the static A"}},
		{[]string{"a CNAME b", "a STEER web", "c STEER web - CNAME", "c TXT x"}, []string{"4|stands alone", "5|stands alone"}},
		{[]string{"@ STEER web - CNAME", "sub NS a.", "sub STEER web", "x.sub STEER web"}, []string{"3|the apex cannot be steered by CNAME", "5|sub.example is delegated", "6|x.sub.example is below the delegation of sub.example"}},
		{[]string{"d DNAME a.", "x.d STEER web"}, []string{"4|below the DNAME"}},
		{[]string{"sub NS ns", "ns STEER web"}, []string{"3|ns.example is steered by a service"}},
		{[]string{"a STEER web", "b STEER web", "c STEER web - CNAME", "d STEER web", "e STEER web", "--", "a STEER web", "b A 192.0.2.1", "b TXT x", "c TXT x", "d CNAME a", "e NS a."},
			[]string{`records a|the zone file steers "a"`, `records b A|the zone file steers "b"`, `records c TXT|the zone file steers "c", which answers CNAME`, `records d CNAME|a static CNAME`, `records e NS|a static NS`}},
	} {
		spec := fileZone(t, "example", c.lines...)
		_, problems := Compile([]Spec{spec}, testPlan(t))
		var got []string
		for _, p := range problems {
			at := strings.Join(p.Path[2:], " ")
			if at == "file" {
				at = fmt.Sprint(p.Line)
				if p.File != "zones/example.zone" {
					t.Errorf("%q: file %q", c.lines, p.File)
				}
			}
			got = append(got, at+"|"+p.Msg)
		}
		ok := len(got) == len(c.want)
		for i := range min(len(got), len(c.want)) {
			at, msg, _ := strings.Cut(c.want[i], "|")
			ok = ok && strings.HasPrefix(got[i], at+"|") && strings.Contains(got[i], msg)
		}
		if !ok {
			t.Errorf("%q: got %q, want %q", c.lines, got, c.want)
		}
	}
}

// What a zone file steers is steered as by the Spec, and its decisions are those of the Plan.
func TestSteeredByFile(t *testing.T) {
	spec := fileZone(t, "example", "@ STEER api", "www STEER web close-by A AAAA TXT", "www MX 10 mail", "*.w STEER web - CNAME", "a.b.c STEER api", "ns A 192.0.2.1", "same STEER api", "same STEER api",
		"--", "www CAA 0 issue \"x\"", "own STEER web")
	s := compile(t, spec)
	expect(t, s,
		"example A = steered example",
		"www.example TXT = steered www.example",
		"www.example MX = answer 10 mail.example.",
		"www.example CAA = answer 0 issue \"x\"",
		"www.example SRV = no data",
		"b.c.example A = no data",
		"a.b.c.example AAAA = steered a.b.c.example",
		"x.w.example MX = steered *.w.example by *.w.example.",
		"same.example A = steered same.example",
		"own.example A = steered own.example")
	plan := testPlan(t)
	for name, want := range map[string]struct {
		service, policy string
		types           TypeSet
	}{
		"example": {"api", "default", addressTypes}, "x.w.example": {"web", "default", TypeSetOf(wire.TypeCNAME)},
		"www.example": {"web", "close-by", TypeSetOf(wire.TypeA, wire.TypeAAAA, wire.TypeTXT)},
	} {
		service, _ := plan.ServiceByName(want.service)
		by, _ := plan.PolicyByName(want.policy)
		m := s.Lookup(mustName(t, name), wire.TypeA)
		if st := m.Steer; st == nil || st.Service != service || st.Policy != by || st.Types != want.types || st.TTL != 300 || st.Tag != uint16(hashName(m.Owner)) {
			t.Errorf("%s: %+v", name, st)
		}
	}
	names := 0
	for e := range s.Zones()[0].Entries() {
		if names++; e.Steer != nil && mustName(t, e.Steer.Record).String() != e.Name.String() {
			t.Errorf("%s is counted as %s", e.Name, e.Steer.Record)
		}
	}
	if names != s.Zones()[0].Len() || names != 7 {
		t.Errorf("%d names of %d", names, s.Zones()[0].Len())
	}
	child := fileZone(t, "c.example", "x A 192.0.2.1")
	_, problems := Compile([]Spec{spec, child}, plan)
	if len(problems) != 1 || problems[0].Line != 7 || !strings.Contains(problems[0].Msg, "a.b.c.example belongs to zone c.example") {
		t.Errorf("%v", problems)
	}
	if _, problems = Recompile(s, []Spec{spec, child}, []bool{true, false}, plan); len(problems) != 1 || problems[0].Line != 7 {
		t.Errorf("of a zone that is taken over: %v", problems)
	}
}

func TestZoneFileAuthority(t *testing.T) {
	base := func() Spec { return Spec{Name: "example", File: "f"} }
	for _, c := range []struct {
		lines  []string
		change func(*Spec)
		want   string
	}{
		{[]string{testSOA, "@ NS a."}, func(*Spec) {}, ""},
		{[]string{"@ NS a."}, func(*Spec) {}, "zones example file: the zone file has no SOA for example"},
		{[]string{testSOA}, func(*Spec) {}, "zones example ns: a zone needs at least one name server"},
		{nil, func(*Spec) {}, "zones example ns: a zone needs at least one name server; zones example file: the zone file has no SOA for example"},
		{[]string{"www A 192.0.2.1"}, func(s *Spec) { s.NS = []string{"a.b."} }, ""},
		{[]string{testSOA}, func(s *Spec) { s.NS = []string{"a.b."} }, ""},
		{[]string{testSOA, "@ NS a."}, func(s *Spec) { s.NS = []string{"a.b."} }, "zones example ns: the name servers are in the zone file too"},
		{[]string{testSOA, "@ NS a."}, func(s *Spec) { s.SOA.Serial = 5 }, "zones example soa: the SOA is in the zone file too"},
		{[]string{"@ NS a."}, func(s *Spec) { s.SOA.Serial = 5 }, ""},
	} {
		spec := base()
		spec.RRs = rrsOf(t, "example", c.lines...)
		c.change(&spec)
		set, problems := Compile([]Spec{spec}, nil)
		var got []string
		for _, p := range problems {
			got = append(got, strings.Join(p.Path, " ")+": "+p.Msg)
		}
		if text := strings.Join(got, "; "); !strings.HasPrefix(text, c.want) || (text == "") != (c.want == "") || (set == nil) != (c.want != "") {
			t.Errorf("%q: got %q, want %q", c.lines, text, c.want)
		}
	}
}

func TestRecordsOutside(t *testing.T) {
	spec := fileZone(t, "example")
	spec.RRs = rrsOf(t, "example", testSOA, "@ NS a.", "www.other. A 192.0.2.1", "example.org. A 192.0.2.1", "x A 192.0.2.1")
	_, problems := Compile([]Spec{spec}, nil)
	if len(problems) != 2 || problems[0].Line != 3 || problems[1].Line != 4 || !strings.Contains(problems[1].Msg, "example.org is outside") {
		t.Errorf("%v", problems)
	}
}

// A file of a thousand mistakes is not told a thousand times.
func TestFaultsAreBounded(t *testing.T) {
	lines := []string{testSOA, "@ NS a."}
	for i := range 200 {
		lines = append(lines, fmt.Sprintf("c%d CNAME a", i), fmt.Sprintf("c%d TXT a", i))
	}
	spec := fileZone(t, "example")
	spec.RRs = rrsOf(t, "example", lines...)
	if _, problems := Compile([]Spec{spec}, nil); len(problems) != maxFaults {
		t.Errorf("%d problems", len(problems))
	}
}

// Many values, in any order, of which some are the same.
func TestLargeSetsOfFiles(t *testing.T) {
	lines := []string{testSOA, "@ NS a."}
	for i := range 300 {
		lines = append(lines, fmt.Sprintf("big %d A 192.0.2.%d", 100+i, i%200), fmt.Sprintf("x%d A 192.0.2.1", i))
	}
	spec := fileZone(t, "example")
	spec.RRs = rrsOf(t, "example", lines...)
	s := compile(t, spec)
	if m := s.Lookup(mustName(t, "big.example"), wire.TypeA); len(m.Set.RData) != 200 || m.Set.TTL != 100 {
		t.Errorf("%d values, TTL %d", len(m.Set.RData), m.Set.TTL)
	}
	big := append(slices.Clone(lines), "t TXT "+strings.Repeat(strings.Repeat("x", 250)+" ", 255))
	for i := range 4 {
		big = append(big, fmt.Sprintf("t TXT %d %s", i, strings.Repeat("x", 250)))
	}
	spec.RRs = rrsOf(t, "example", big...)
	if _, problems := Compile([]Spec{spec}, nil); len(problems) != 1 || !strings.Contains(problems[0].Msg, "bytes; 64000 is the most") {
		t.Errorf("%v", problems)
	}
}

func TestRRs(t *testing.T) {
	var none *RRs
	if none.Len() != 0 || none.Files() != nil {
		t.Error("nil RRs have something")
	}
	for range none.All() {
		t.Error("nil RRs have a record")
	}
	rrs := rrsOf(t, "example", "a 5 A 192.0.2.1", "a TXT x", "b A 192.0.2.2", "a A 192.0.2.3")
	var got []string
	for rr := range rrs.All() {
		got = append(got, fmt.Sprintf("%s %d %d %x %d %d", rr.Owner, rr.TTL, rr.Type, rr.RData, rr.File, rr.Line))
	}
	want := []string{"a.example. 5 1 c0000201 0 1", "a.example. 300 16 0178 0 2", "b.example. 300 1 c0000202 0 3", "a.example. 300 1 c0000203 0 4"}
	if !slices.Equal(got, want) || rrs.Len() != 4 {
		t.Errorf("got %q", got)
	}
	for range rrs.All() {
		break
	}
	if new(RRs).Append(RR{Owner: wire.Name{0}, RData: make([]byte, 1<<16)}) {
		t.Error("RDATA of 65536 bytes")
	}
}
