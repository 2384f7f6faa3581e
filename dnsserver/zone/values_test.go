package zone

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// testDraft is a draft of zone "example" for parsing values alone.
func testDraft(t testing.TB) *draft {
	return &draft{compiler: &compiler{}, spec: &Spec{Name: "example"}, apex: mustName(t, "example"), origin: "example."}
}

func TestTXT(t *testing.T) {
	long := strings.Repeat("0123456789", 60)
	for _, c := range []struct {
		in   string
		want []string
	}{
		{`v=spf1 include:_spf.example.net -all`, []string{"v=spf1 include:_spf.example.net -all"}},
		{`v=DKIM1; k=rsa; p=MIGf`, []string{"v=DKIM1; k=rsa; p=MIGf"}},
		{`a "quoted" word`, []string{`a "quoted" word`}},
		{`back\slash`, []string{`back\slash`}},
		{``, []string{""}},
		{"grüße\n", []string{"grüße\n"}},
		{long, []string{long[:255], long[255:510], long[510:]}},
		{long[:255], []string{long[:255]}},
		{`"first" "second"`, []string{"first", "second"}},
		{`"one"`, []string{"one"}},
		{`"semi;colon \"quote\" \195\188"`, []string{`semi;colon "quote" ü`}},
		{`""`, []string{""}},
		{`\# 3 02 6162`, []string{"ab"}},
	} {
		got, err := testDraft(t).values.value(testDraft(t), wire.TypeTXT, c.in)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		var want []byte
		for _, s := range c.want {
			want = append(append(want, byte(len(s))), s...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", c.in, got, want)
		}
	}
}

// Values as a zone file would have them must come out as miekg/dns packs them.
func TestValuesAgainstMiekg(t *testing.T) {
	for _, line := range []string{
		"A 192.0.2.1", "AAAA 2001:db8::1", "AAAA ::ffff:192.0.2.1", "NS ns1", "NS ns1.other.test.", "CNAME a.b.c", `CNAME a\.b.c`, `CNAME a\032b`,
		"PTR host", "MX 10 mail", "MX 0 .", "MX 65535 mail.other.test.", "SRV 0 5 443 node1", "SRV 1 2 3 .", "TXT \"a\" \"b c\" \"\"",
		`CAA 0 issue "letsencrypt.org"`, "CAA 128 iodef mailto:a@b.example.net", "TLSA 3 1 1 " + strings.Repeat("ab", 32), "SSHFP 4 2 " + strings.Repeat("cd", 32),
		`NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@x.test!" .`, "HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.1", "SVCB 0 other.test.", "LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
		"DS 12345 13 2 " + strings.Repeat("ab", 32), `URI 10 1 "https://x.test/"`, `HINFO "cpu" "os"`, "AFSDB 1 db.test.", "RP a.test. b.test.",
		`TYPE65280 \# 4 c0000201`, `TYPE1 \# 4 c0000201`, `A \# 4 c0000201`, `TYPE5 \# 3 016100`, `TYPE65280 \# 0`, "EUI48 00-00-5e-00-53-2a", "CDS 0 0 0 00", "DNSKEY 257 3 13 " + strings.Repeat("ABCD", 16),
	} {
		f := strings.SplitN(line, " ", 2)
		rrtype, err := staticType(f[0], false)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		got, err := testDraft(t).values.value(testDraft(t), rrtype, f[1])
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		rr, err := dns.NewRR("$ORIGIN example.\nx 0 IN " + line)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1000)
		end, err := dns.PackRR(rr, buf, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		if want := buf[21:end]; !bytes.Equal(got, want) { // x.example. and ten bytes
			t.Errorf("%s: got %x, want %x", line, got, want)
		}
	}
}

func TestTargetsAreLowerCase(t *testing.T) {
	s := compile(t, zoneOf("Example", "a CNAME WWW", "@ MX 10 Mail", "s SRV 0 0 1 WWW.Example", "p PTR WWW.EXAMPLE.", "www A 192.0.2.1", "MAIL A 192.0.2.2", `t TYPE5 \# 5 0357577700`))
	expect(t, s,
		"a.example A = alias www.example.",
		"example MX = answer 10 mail.example.",
		"s.example SRV = answer 0 0 1 www.example.",
		"p.example PTR = answer www.example.",
		"t.example A = alias www.")
}

func TestNamesOfTheSpec(t *testing.T) {
	d := testDraft(t)
	d.apex, d.origin = mustName(t, "gslb.example"), "gslb.example."
	for _, c := range []struct {
		in             string
		record, server string
	}{
		{"@", "gslb.example.", "gslb.example."},
		{"www", "www.gslb.example.", "www.gslb.example."},
		{"www.", "www.", "www."},
		{"a.b", "a.b.gslb.example.", "a.b."},
		{"www.gslb.example", "www.gslb.example.", "www.gslb.example."},
		{"www.GSLB.example", "www.GSLB.example.", "www.GSLB.example."},
		{"gslb.example", "gslb.example.", "gslb.example."},
		{"xgslb.example", "xgslb.example.gslb.example.", "xgslb.example."},
		{`x\.gslb.example`, `x\.gslb.example.gslb.example.`, `x\.gslb.example.`},
		{`x\.`, `x\..gslb.example.`, `x\..`},
		{`x\\.`, `x\\.`, `x\\.`},
		{".gslb.example", ".gslb.example.", ".gslb.example."},
	} {
		if got := d.absolute(c.in, false); got != c.record {
			t.Errorf("record %q: %q, want %q", c.in, got, c.record)
		}
		if got := d.absolute(c.in, true); got != c.server {
			t.Errorf("server %q: %q, want %q", c.in, got, c.server)
		}
	}
}

// FuzzValue: no value panics the parser, and what it accepts is RDATA that miekg/dns reads and that packs to the same bytes.
func FuzzValue(f *testing.F) {
	for _, s := range []string{"1 192.0.2.1", "28 ::1", "15 10 mail", "33 0 0 1 x.example", `16 "a" b`, "257 0 issue \"x\"", "65 1 . alpn=h2", `65280 \# 2 ab cd`, "15 ( 10 mail )", "6 x", "2 $GENERATE 1-2 a$"} {
		rrtype, value, _ := strings.Cut(s, " ")
		f.Add(rrtype, value)
	}
	d := testDraft(f)
	f.Fuzz(func(t *testing.T, typeText, value string) {
		rrtype, err := staticType("TYPE"+typeText, false)
		if err != nil || len(value) > 2000 {
			return
		}
		rdata, err := d.values.value(d, rrtype, value)
		if err != nil {
			return
		}
		msg := append([]byte{0, byte(rrtype >> 8), byte(rrtype), 0, 1, 0, 0, 0, 0, byte(len(rdata) >> 8), byte(len(rdata))}, rdata...)
		rr, end, err := dns.UnpackRR(msg, 0)
		if err != nil || end != len(msg) {
			t.Fatalf("TYPE%d %q gives %x, which does not parse: %v", rrtype, value, rdata, err)
		}
		buf := make([]byte, len(msg)+300)
		if end, err := dns.PackRR(rr, buf, 0, nil, false); err != nil || !bytes.Equal(buf[:end], msg) {
			t.Fatalf("TYPE%d %q gives %x, which packs again as %x, %v", rrtype, value, msg, buf[:end], err)
		}
		if name := target(rrtype, rdata); name != nil {
			if back, err := wire.ParseName(name.String()); err != nil || !bytes.Equal(back, name) {
				t.Fatalf("TYPE%d %q has the target %x: %v", rrtype, value, []byte(name), err)
			}
		}
	})
}
