package wire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestParseName(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	longest := strings.Repeat(label63+".", 3) + strings.Repeat("a", 61) // 3*64 + 62 + 1 = 255
	tests := []struct{ in, want, err string }{
		{in: ".", want: "\x00"},
		{in: "example", want: "\x07example\x00"},
		{in: "Example.COM.", want: "\x07example\x03com\x00"},
		{in: "*.x", want: "\x01*\x01x\x00"},
		{in: `a\.b.c`, want: "\x03a.b\x01c\x00"},
		{in: `a\\b`, want: "\x03a\\b\x00"},
		{in: `\065\000\255`, want: "\x03a\x00\xff\x00"},
		{in: "_dmarc.x-y", want: "\x06_dmarc\x03x-y\x00"},
		{in: label63, want: "\x3f" + label63 + "\x00"},
		{in: longest, want: strings.Repeat("\x3f"+label63, 3) + "\x3d" + strings.Repeat("a", 61) + "\x00"},
		{in: "", err: "empty name"},
		{in: "..", err: "empty label"},
		{in: ".a", err: "empty label"},
		{in: "a..b", err: "empty label"},
		{in: label63 + "a", err: "label is longer"},
		{in: longest + "a", err: "name is longer"},
		{in: longest + "a.", err: "name is longer"},
		{in: `a\`, err: "bad escape"},
		{in: `a\25`, err: "bad escape"},
		{in: `a\256`, err: "bad escape"},
		{in: `a\2x6`, err: "bad escape"},
		{in: "a b", err: "printable"},
		{in: "bücher", err: "printable"},
	}
	for _, tt := range tests {
		got, err := ParseName(tt.in)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) || got != nil {
				t.Errorf("ParseName(%q) = %q, %v; want an error with %q", tt.in, got, err, tt.err)
			}
			continue
		}
		if err != nil || string(got) != tt.want {
			t.Errorf("ParseName(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestNameString(t *testing.T) {
	tests := []struct {
		in   Name
		want string
	}{
		{nil, ""},
		{Name{0}, "."},
		{Name("\x03www\x01x\x00"), "www.x."},
		{Name("\x03a.b\x00"), `a\.b.`},
		{Name("\x03\x00 \xff\x00"), `\000\032\255.`},
	}
	for _, tt := range tests {
		if got := tt.in.String(); got != tt.want {
			t.Errorf("Name(%q).String() = %q, want %q", []byte(tt.in), got, tt.want)
		}
	}
}

func TestNameRelations(t *testing.T) {
	www, x, root := mustName(t, "www.x"), mustName(t, "x"), mustName(t, ".")
	if got := www.Parent(); !bytes.Equal(got, x) {
		t.Errorf("Parent = %v", got)
	}
	if got := x.Parent(); !bytes.Equal(got, root) {
		t.Errorf("Parent = %v", got)
	}
	if got := root.Parent(); got != nil {
		t.Errorf("Parent of the root = %v", got)
	}
	for _, tt := range []struct {
		n, apex string
		want    bool
	}{
		{"www.x", "x", true},
		{"x", "x", true},
		{"x", ".", true},
		{"x", "www.x", false},
		{"wx", "x", false},
		{"www.y", "x", false},
		{`a\001x`, "x", false}, // the bytes of "x" end it, its labels do not
		{"a.b.c.d", "c.d", true},
	} {
		if got := mustName(t, tt.n).IsSubdomainOf(mustName(t, tt.apex)); got != tt.want {
			t.Errorf("%s below %s: %v", tt.n, tt.apex, got)
		}
	}
	if root.IsSubdomainOf(nil) || Name(nil).IsSubdomainOf(root) {
		t.Error("no name is below no name")
	}
	if got := [4]int{root.Labels(), x.Labels(), www.Labels(), Name(nil).Labels()}; got != [4]int{0, 1, 2, 0} {
		t.Errorf("Labels = %v", got)
	}
	if !mustName(t, "*.x").IsWildcard() || www.IsWildcard() || root.IsWildcard() || mustName(t, "*a.x").IsWildcard() {
		t.Error("IsWildcard")
	}
}

// FuzzParseName checks that what parses is a sound name, that its presentation parses to it again, and that miekg/dns reads the
// same bytes out of both texts.
func FuzzParseName(f *testing.F) {
	for _, s := range []string{".", "www.Example.com.", `a\.b.\000c`, "*.x", "a..b", `x\`, strings.Repeat("a.", 127)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			return
		}
		if len(n) > MaxName || n[len(n)-1] != 0 {
			t.Fatalf("ParseName(%q) = %q", s, []byte(n))
		}
		again, err := ParseName(n.String())
		if err != nil || !bytes.Equal(again, n) {
			t.Fatalf("%q -> %q -> %q, %v", s, n.String(), []byte(again), err)
		}
		buf := make([]byte, 300)
		end, err := dns.PackDomainName(dns.CanonicalName(n.String()), buf, 0, nil, false)
		if err != nil || !bytes.Equal(buf[:end], n) {
			t.Fatalf("miekg/dns reads %q as %q, %v; want %q", n.String(), buf[:end], err, []byte(n))
		}
	})
}

func mustName(t testing.TB, s string) Name {
	t.Helper()
	n, err := ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
