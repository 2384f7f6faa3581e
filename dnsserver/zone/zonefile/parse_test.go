package zonefile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
)

// files makes a file system of pairs of name and text.
func files(pairs ...string) fs.FS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

func name(t testing.TB, s string) wire.Name {
	t.Helper()
	n, err := wire.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func parse(t testing.TB, fsys fs.FS) (*zone.RRs, []string, []policy.Problem) {
	t.Helper()
	return Parse(Source{FS: fsys, Name: "z", Dir: "zones", Origin: name(t, "example.org"), Path: []string{"zones", "example.org"}})
}

// show returns a record as a line of a zone file.
func show(t testing.TB, rr zone.RR) string {
	t.Helper()
	if rr.Type == zone.TypeSteered {
		return fmt.Sprintf("%s %d IN steered %d", rr.Owner, rr.TTL, binary.LittleEndian.Uint32(rr.RData))
	}
	msg := append(bytes.Clone(rr.Owner), byte(rr.Type>>8), byte(rr.Type), 0, 1, byte(rr.TTL>>24), byte(rr.TTL>>16), byte(rr.TTL>>8), byte(rr.TTL),
		byte(len(rr.RData)>>8), byte(len(rr.RData)))
	m, end, err := dns.UnpackRR(append(msg, rr.RData...), 0)
	if err != nil || end != len(msg)+len(rr.RData) {
		t.Fatalf("%s %d %x: %v", rr.Owner, rr.Type, rr.RData, err)
	}
	return strings.NewReplacer("\t", " ", "CLASS1", "IN").Replace(m.String())
}

func lines(t testing.TB, rrs *zone.RRs) []string {
	t.Helper()
	var out []string
	for rr := range rrs.All() {
		out = append(out, show(t, rr))
	}
	return out
}

func TestEntries(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"\n\n ; comment\n\t\n", nil},
		{"www 60 IN A 192.0.2.1", []string{"www.example.org. 60 IN A 192.0.2.1"}},
		{"www IN 60 A 192.0.2.1\r\n", []string{"www.example.org. 60 IN A 192.0.2.1"}},
		{"WWW a 192.0.2.1", []string{"www.example.org. 300 IN A 192.0.2.1"}},
		{"@ A 192.0.2.1\n  A 192.0.2.2\n\tAAAA ::1", []string{"example.org. 300 IN A 192.0.2.1", "example.org. 300 IN A 192.0.2.2", "example.org. 300 IN AAAA ::1"}},
		{"in in mx 10 in", []string{"in.example.org. 300 IN MX 10 in.example.org."}},
		{"a a 192.0.2.1\nmx mx 0 mx\n60 60 a 192.0.2.1", []string{"a.example.org. 300 IN A 192.0.2.1", "mx.example.org. 300 IN MX 0 mx.example.org.",
			"60.example.org. 60 IN A 192.0.2.1"}},
		{"@ SOA ns host ( 1 ; serial\n 1h ; refresh\n\n 10m 1w\n 1m30s ) ; end\nx A 192.0.2.1",
			[]string{"example.org. 90 IN SOA ns.example.org. host.example.org. 1 3600 600 604800 90", "x.example.org. 90 IN A 192.0.2.1"}},
		{"$TTL 1d\na A 192.0.2.1\n$TTL 1w1d1h1m1s\nb A 192.0.2.1\nc 5 A 192.0.2.1\nd A 192.0.2.1",
			[]string{"a.example.org. 86400 IN A 192.0.2.1", "b.example.org. 694861 IN A 192.0.2.1", "c.example.org. 5 IN A 192.0.2.1", "d.example.org. 694861 IN A 192.0.2.1"}},
		{"a 7 A 192.0.2.1\nb A 192.0.2.1\n$TTL 9\nc A 192.0.2.1", // RFC 1035: the last TTL stated; RFC 2308: once there is $TTL, that
			[]string{"a.example.org. 7 IN A 192.0.2.1", "b.example.org. 7 IN A 192.0.2.1", "c.example.org. 9 IN A 192.0.2.1"}},
		{"$ORIGIN sub\na A 192.0.2.1\n$ORIGIN deep\n@ A 192.0.2.2\n$origin example.org.\nx CNAME a.sub",
			[]string{"a.sub.example.org. 300 IN A 192.0.2.1", "deep.sub.example.org. 300 IN A 192.0.2.2", "x.example.org. 300 IN CNAME a.sub.example.org."}},
		{`t TXT a "b c" "" "d;e(f" g\"h \104i` + "\n", []string{`t.example.org. 300 IN TXT "a" "b c" "" "d;e(f" "g\"h" "hi"`}},
		{`a\.b A 192.0.2.1` + "\n" + `\097\;\( A 192.0.2.1`, []string{`a\.b.example.org. 300 IN A 192.0.2.1`, `a\;\(.example.org. 300 IN A 192.0.2.1`}},
		{`x TYPE65280 \# 4 c000 0201` + "\n" + `x TYPE1 \# 4 c0000202` + "\nx A \\# 4 (c0\n000203)\nx TYPE731 \\# 0", []string{`x.example.org. 300 IN TYPE65280 \# 4 c0000201`,
			"x.example.org. 300 IN A 192.0.2.2", "x.example.org. 300 IN A 192.0.2.3", `x.example.org. 300 IN TYPE731 \# 0 `}},
		{"x CLASS1 A 192.0.2.1", []string{"x.example.org. 300 IN A 192.0.2.1"}},
		{"s SRV 1 2 3 Host\nd DNAME x.\np PTR @\n@ NS ns.Other.TEST.", []string{"s.example.org. 300 IN SRV 1 2 3 host.example.org.", "d.example.org. 300 IN DNAME x.",
			"p.example.org. 300 IN PTR example.org.", "example.org. 300 IN NS ns.other.test."}},
		{`h HTTPS 1 . alpn="h2,h3" ipv4hint=192.0.2.1 port=8443` + "\ns SVCB 0 svc", []string{`h.example.org. 300 IN HTTPS 1 . alpn="h2,h3" port="8443" ipv4hint="192.0.2.1"`,
			"s.example.org. 300 IN SVCB 0 svc.example.org."}},
		{`c CAA 0 issue "ca.test; x=y"` + "\nl LOC 52 22 23.000 N 4 53 32.000 E -2.00m\nn NAPTR 100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" .", []string{
			`c.example.org. 300 IN CAA 0 issue "ca.test; x=y"`, "l.example.org. 300 IN LOC 52 22 23.000 N 04 53 32.000 E -2m 1m 10000m 10m",
			`n.example.org. 300 IN NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:a@b!" .`}},
		{"*.w A 192.0.2.1\nw*w A 192.0.2.1", []string{"*.w.example.org. 300 IN A 192.0.2.1", "w*w.example.org. 300 IN A 192.0.2.1"}},
		{"d DS 12345 13 2 (" + strings.Repeat("ab", 16) + "\n" + strings.Repeat("cd", 16) + ")", []string{"d.example.org. 300 IN DS 12345 13 2 " + strings.Repeat("AB", 16) + strings.Repeat("CD", 16)}},
		{"$GENERATE 1-3 h$ A 192.0.2.$", []string{"h1.example.org. 300 IN A 192.0.2.1", "h2.example.org. 300 IN A 192.0.2.2", "h3.example.org. 300 IN A 192.0.2.3"}},
		{"$GENERATE 0-4/2 h${10,4} 60 IN CNAME x${-0,2,X}", []string{"h0010.example.org. 60 IN CNAME x00.example.org.", "h0012.example.org. 60 IN CNAME x02.example.org.",
			"h0014.example.org. 60 IN CNAME x04.example.org."}},
		{`$GENERATE 18-18 ${0,0,n}.x$$\$ PTR ${0,5,n}.${0,7,N}.${1,0,o}`, []string{`2.1.x$$.example.org. 300 IN PTR 2.1.0.2.1.0.0.23.example.org.`}},
		{`$GENERATE 1-1 m$ MX "$ mail$"` + "\n" + `$GENERATE 1-1 t$ TXT "no $"` + "\n" + `$GENERATE 1-1 c$ CAA 0 issue "no $"`,
			[]string{"m1.example.org. 300 IN MX 1 mail1.example.org.", `t1.example.org. 300 IN TXT "no" "1"`, `c1.example.org. 300 IN CAA 0 issue "no 1"`}},
	} {
		rrs, read, problems := parse(t, files("z", c.text))
		if len(problems) > 0 || !slices.Equal(read, []string{"zones/z"}) {
			t.Errorf("%q: %v, files %v", c.text, problems, read)
			continue
		}
		if got := lines(t, rrs); !slices.Equal(got, c.want) {
			t.Errorf("%q:\ngot  %q\nwant %q", c.text, got, c.want)
		}
		if rrs.Len() != len(c.want) {
			t.Errorf("%q: %d records", c.text, rrs.Len())
		}
	}
}

func TestInclude(t *testing.T) {
	rrs, read, problems := parse(t, files(
		"z", "$TTL 10\na A 192.0.2.1\n$INCLUDE sub/one\n  A 192.0.2.2\nb A 192.0.2.3\n$INCLUDE sub/one other\n$INCLUDE \"with blank\"\n",
		"sub/one", "$TTL 20\nc A 192.0.2.4\n$ORIGIN x\n$INCLUDE two sub\n$INCLUDE ../three",
		"sub/two", "d A 192.0.2.5",
		"three", "e A 192.0.2.6",
		"with blank", "f A 192.0.2.7"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := []string{"a.example.org. 10 IN A 192.0.2.1",
		"c.example.org. 20 IN A 192.0.2.4", "d.sub.x.example.org. 20 IN A 192.0.2.5", "e.x.example.org. 20 IN A 192.0.2.6",
		"a.example.org. 10 IN A 192.0.2.2", "b.example.org. 10 IN A 192.0.2.3",
		"c.other.example.org. 20 IN A 192.0.2.4", "d.sub.x.other.example.org. 20 IN A 192.0.2.5", "e.x.other.example.org. 20 IN A 192.0.2.6",
		"f.example.org. 10 IN A 192.0.2.7"}
	if got := lines(t, rrs); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if want := []string{"zones/z", "zones/sub/one", "zones/sub/two", "zones/three", "zones/with blank"}; !slices.Equal(read, want) || !slices.Equal(rrs.Files(), want) {
		t.Errorf("files %q and %q", read, rrs.Files())
	}
	for rr := range rrs.All() {
		if rr.Owner.String() == "d.sub.x.example.org." && (rr.Line != 1 || rrs.Files()[rr.File] != "zones/sub/two") {
			t.Errorf("%s is in line %d of %s", rr.Owner, rr.Line, rrs.Files()[rr.File])
		}
	}
}

// Lines that steer say by what, and many share one way; what stands in the file otherwise is as ever.
func TestSteered(t *testing.T) {
	rrs, _, problems := parse(t, files("z", "$TTL 1h\nwww 30 DYNA web!close-by\n    TXT x\nv dyna web!close-by\n@ IN 20 DYNA web HTTPS a\nx DYNC h.osts_1-x ; comment\n"+
		"$GENERATE 1-2 n$ 5 IN DYNA web!close-by\n$ORIGIN sub\n$INCLUDE y", "y", "y DYNA (\n web!close-by\n )\ndyna A 192.0.2.1\nz DYNA s$"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := []string{"www.example.org. 30 IN steered 0", `www.example.org. 3600 IN TXT "x"`, "v.example.org. 3600 IN steered 0", "example.org. 20 IN steered 1", "x.example.org. 3600 IN steered 2",
		"n1.example.org. 5 IN steered 0", "n2.example.org. 5 IN steered 0", "y.sub.example.org. 3600 IN steered 0", "dyna.sub.example.org. 3600 IN A 192.0.2.1", "z.sub.example.org. 3600 IN steered 3"}
	if got := lines(t, rrs); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	var ways []string
	for _, s := range rrs.Steers() {
		ways = append(ways, fmt.Sprintf("%s:%d %s%s %s %v", rrs.Files()[s.File], s.Line, s.Owner, s.Service, s.Policy, s.Types))
	}
	if want := []string{"zones/z:2 www.example.org.web close-by []", "zones/z:5 example.org.web  [HTTPS A]", "zones/z:6 x.example.org.h.osts_1-x  [CNAME]",
		"zones/y:5 z.sub.example.org.s$  []"}; !slices.Equal(ways, want) {
		t.Errorf("got %q", ways)
	}
	if new(zone.RRs).Steers() != nil || (*zone.RRs)(nil).Steers() != nil {
		t.Error("nothing steers")
	}
}

func TestProblems(t *testing.T) {
	deep := []string{"z", "$INCLUDE f0"}
	for i := range 10 {
		deep = append(deep, fmt.Sprintf("f%d", i), fmt.Sprintf("$INCLUDE f%d", i+1))
	}
	for _, c := range []struct {
		files []string
		want  []string // file:line, a blank, part of the message
	}{
		{[]string{"y", ""}, []string{"z:0 there is no such file"}},
		{[]string{"z", "a A 192.0.2.1\nb A 192.0.2.300\nc MX mail\nd A 192.0.2.1\ne BOGUS x"}, []string{`z:2 "192.0.2.300" is not an IPv4 address`, `z:3 "mail" is not a value of type MX, which is a preference and a name`, `z:5 no record type "BOGUS"`}},
		{[]string{"z", "a A ::1\na AAAA 192.0.2.1\na A\na AAAA \"::1\""}, []string{"z:1 not an IPv4 address", "z:2 not an IPv6 address", "z:3 not a value of type A", "z:4 not a value of type AAAA"}},
		{[]string{"z", "a TXT ( \"x\" \n y\n)\nb A x\n"}, []string{"z:4 not an IPv4 address"}},
		{[]string{"z", "a A ( x\n y\n)\nb A (192.0.2.1"}, []string{"z:1 not a value", `z:4 never closed`}},
		{[]string{"z", "a TXT ( \"x\nq ; )\n) b A x\nc A )\nd TXT x\\"}, []string{"z:1 quoted string", `z:4 closes nothing`, `z:5 lone \`}},
		{[]string{"z", "a.b..c A 192.0.2.1\n" + strings.Repeat("a", 64) + " A 192.0.2.1\n" + strings.Repeat("abcdefg.", 31) + " A 192.0.2.1\n\\256 A 192.0.2.1\nbücher A 192.0.2.1\n\"q\" A 192.0.2.1"},
			[]string{"z:1 empty label", "z:2 63", "z:3 outside the zone", "z:4 bad escape", "z:5 xn--", "z:6 quoted"}},
		{[]string{"z", strings.Repeat("abcdefg.", 31) + "a A 192.0.2.1"}, []string{"z:1 255"}},
		{[]string{"z", " A 192.0.2.1\na..b A 192.0.2.1\n  A 192.0.2.1"}, []string{"z:1 no owner", "z:2 empty label", "z:3 no owner"}},
		{[]string{"z", "a\na 60\na IN 60\na \"A\" x"}, []string{"z:1 no type", "z:2 no type", "z:3 no type", "z:4 no type"}},
		{[]string{"z", "a CH A 192.0.2.1\nb CLASS3 A 192.0.2.1\nc HS TXT x"}, []string{"z:1 class CH", "z:2 class CLASS3", "z:3 class HS"}},
		{[]string{"z", "www.example.com. A 192.0.2.1\n$ORIGIN com.\nx A 192.0.2.1"}, []string{"z:1 www.example.com. is outside the zone example.org.", "z:3 outside"}},
		{[]string{"z", "a 2147483648 A 192.0.2.1\na 99999999999w A 192.0.2.1\na 1x A 192.0.2.1\n$TTL\n$TTL x\n$TTL 1h1"}, []string{"z:1 more than a TTL", "z:2 not a time", "z:3 not a time", "z:4 one number", "z:5 not a time"}},
		{[]string{"z", "$ORIGIN\n$ORIGIN a b\n$ORIGIN a..b\n$FOO x"}, []string{"z:1 one name", "z:2 one name", "z:3 empty label", "z:4 no directive $FOO"}},
		{[]string{"z", "a RRSIG A x\nb NSEC c A\nc OPT x\nd TYPE0 \\# 0\ne ANY x\nf TYPE70000 x"}, []string{"z:1 signed", "z:3 not a type", "z:4 not a type", "z:5 not a type", "z:6 no record type"}},
		{[]string{"z", "a TYPE1 \\# 3 c00002\na TYPE731 x\na CAA 0 issue\na HTTPS x\na TLSA 3 1 1 zz\na CAA\na MX 70000 x\na SRV 0 0 \"1\" x\na NS a b\na NS \"x\"\na CNAME a..b"},
			[]string{"z:1 type A", "z:2 TYPE731", "z:3 CAA", "z:4 HTTPS", "z:5 TLSA", "z:6 no value", "z:7 MX", "z:8 SRV", "z:9 one name", "z:10 quoted", "z:11 empty label"}},
		{[]string{"z", "a TXT\na TXT " + strings.Repeat("x", 256) + "\na TXT \\999"}, []string{"z:1 TXT", "z:2 255", "z:3 escape"}},
		{[]string{"z", "@ SOA a b x 1 1 1 1\n@ SOA a b 1 1 1 1 x\n@ SOA a b 1\n@ SOA a..b b 1 1 1 1 1"}, []string{"z:1 serial", "z:2 not a time", "z:3 SOA", "z:4 empty label"}},
		{[]string{"z", "$INCLUDE y\n$INCLUDE /etc/passwd\n$INCLUDE ../x\n$INCLUDE\n$INCLUDE \"\"\n$INCLUDE z a..b"}, []string{"z:1 $INCLUDE of y: there is no such file", "z:2 directory of the zone file", "z:3 directory of the zone file", "z:4 takes", "z:5 without a name", "z:6 empty label"}},
		{[]string{"z", "$INCLUDE y", "y", "a A x\n$INCLUDE z"}, []string{"y:1 not an IPv4 address", "y:2 circle"}},
		{deep, []string{"f6:1 more than 8"}},
		{[]string{"z", "$GENERATE 1-2 a A\n$GENERATE 2-1 a A x\n$GENERATE 1 a A x\n$GENERATE 1-2/0 a A x\n$GENERATE 1-9 a$ A 192.0.2.300"}, []string{"z:1 takes a range", "z:2 not a range", "z:3 not a range", "z:4 not a range", "z:5 for 1: "}},
		{[]string{"z", "$GENERATE 1-1 ${0,0,q} A x\n$GENERATE 1-1 ${0 A x\n$GENERATE 1-1 ${-5} A x\n$GENERATE 1-1 ${x} A x\n$GENERATE 1-1 ${0,999} A x\n$GENERATE 1-1 ${0,1,d,e} A x"},
			[]string{"z:1 of the form", "z:2 not closed", "z:3 negative", "z:4 of the form", "z:5 of the form", "z:6 of the form"}},
		{[]string{"z", "a DYNA\na DYNA \"web\"\na DYNA !x\na DYNA web!\na DYNC web A\na 0 DYNA web\n$TTL 0\na DYNA web\na CH DYNA web\nb.c..d DYNA web\nx.other. 5 DYNA web"},
			[]string{"z:1 takes service!policy", "z:2 quoted", "z:3 of the form service!policy", "z:4 of the form", "z:5 write DYNA", "z:6 TTL of 1 s", "z:8 TTL of 1 s", "z:9 class CH",
				"z:10 empty label", "z:11 outside"}},
		{[]string{"z", "$GENERATE 0-2147483647 a$ A 192.0.2.1"}, []string{"z:1 more than 1000000"}},
		{[]string{"z", "a TXT " + strings.Repeat("x ", MaxEntry/2)}, []string{"z:0 longer than"}},
		{[]string{"z", "a TXT (" + strings.Repeat("xy\n", MaxEntry/2)}, []string{"z:0 longer than"}},
	} {
		rrs, _, problems := parse(t, files(c.files...))
		if rrs != nil && len(problems) > 0 {
			t.Errorf("%q: records in spite of problems", c.files)
		}
		var got []string
		for _, p := range problems {
			got = append(got, fmt.Sprintf("%s:%d %s", strings.TrimPrefix(p.File, "zones/"), p.Line, p.Msg))
			if !slices.Equal(p.Path, []string{"zones", "example.org"}) || !strings.HasPrefix(p.File, "zones/") {
				t.Errorf("path %v, file %s", p.Path, p.File)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%.300q: got %q, want %q", c.files, got, c.want)
			continue
		}
		for i, want := range c.want {
			at, msg, _ := strings.Cut(want, " ")
			if !strings.HasPrefix(got[i], at+" ") || !strings.Contains(got[i], msg) {
				t.Errorf("%.300q: got %q, want %q", c.files, got[i], want)
			}
		}
	}
}

func TestProblemsAreBounded(t *testing.T) {
	if _, _, problems := parse(t, files("z", strings.Repeat("a A x\n", 1000))); len(problems) != MaxProblems {
		t.Errorf("%d problems", len(problems))
	}
}

// TestGenerateIsBounded: a short line that makes very much is refused where it stands, before it takes the memory.
func TestGenerateIsBounded(t *testing.T) {
	long := strings.Repeat(" "+strings.Repeat("x", 250), 7)
	rrs, _, problems := parse(t, files("z", "$TTL 1h\n$GENERATE 1-1000000 n$ TXT"+long+"\n"))
	if rrs != nil || len(problems) != 1 || problems[0].Line != 2 || !strings.Contains(problems[0].Msg, "more than 128 MiB") {
		t.Errorf("%v", problems)
	}
}
