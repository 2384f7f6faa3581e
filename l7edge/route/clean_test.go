package route

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestClean(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"/", "/"},
		{"/a/b", "/a/b"},
		{"/a/b/", "/a/b/"},
		{"//", "/"},
		{"///a//b///", "/a/b/"},
		{"/./a/./b/.", "/a/b/"},
		{"/a/../b", "/b"},
		{"/a/b/..", "/a/"},
		{"/a/..", "/"},
		{"/a/b/../../c", "/c"},
		{"/a//../b", "/b"}, // empty segments go first, then ".." takes a
		{"/...", "/..."},
		{"/.well-known/acme-challenge/x", "/.well-known/acme-challenge/x"},
		{"/a;v=1/b;c", "/a;v=1/b;c"},
		{"/%41%7e%2D", "/A~-"},
		{"/%2e/a", "/a"},
		{"/a/%2E%2e/b", "/b"},
		{"/a/.%2e/b", "/b"},
		{"/caf%c3%a9", "/caf%C3%A9"},
		{"/café", "/caf%C3%A9"},
		{"/group%2fproject/x", "/group%2Fproject/x"},
		{"/a%5cb", "/a%5Cb"},
		{"/%252e%252e/a", "/%252e%252e/a"}, // encoded twice: text, not a dot segment
		{"/a%20b", "/a%20b"},
		{"/a%0Ab", "/a%0Ab"},
		{"/a%2F.b", "/a%2F.b"},
		{"/pkg.Service/Method", "/pkg.Service/Method"},
		{"/a|b^c{d}", "/a%7Cb%5Ec%7Bd%7D"},
		{`/b%2fc"d`, "/b%2Fc%22d"},
		{"/a<b>[c]`", "/a%3Cb%3E%5Bc%5D%60"},
		{"/!$&'()*+,;=:@-._~", "/!$&'()*+,;=:@-._~"},
		{"/%7C%5b", "/%7C%5B"},
		{"/x..;y", "/x..;y"},
	} {
		got, ok := Clean(c.in)
		if !ok || got != c.want {
			t.Errorf("Clean(%q) = %q, %v; want %q", c.in, got, ok, c.want)
		}
	}
}

func TestCleanRefuses(t *testing.T) {
	for _, in := range []string{
		"", "*", "a", "a/b", "http://h/",
		"/..", "/../a", "/a/../..", "/a/../../b", "/%2e%2e/a", "/./..",
		"/a\\b", "/a\x00", "/a%00b", "/a b", "/a\tb", "/a\r\nX: y", "/a\x7f", "/a?b", "/a#b",
		"/%", "/%4", "/%zz", "/%%41", "/a%2",
		"/..%2Fa", "/a/..%2f..%2fb", "/a%2f..", "/a%2F.%2Fb", "/..%5ca", "/a%5C..", "/%2e%2e%2fa", "/a/%2e%2e%5cb",
		"/a/..;/b", "/a/..;x=1/b", "/a/.;/b", "/a/..%3b/b", "/a/%2e%2e;/b", "/a%2f..;x",
	} {
		if got, ok := Clean(in); ok {
			t.Errorf("Clean(%q) = %q, want it refused", in, got)
		}
	}
}

// FuzzClean holds Clean to its promises: idempotent, never above the root, nothing hidden, and equal to path.Clean where that
// is defined on the same text.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"/", "/0M[", "//a/./b/../c/", "/%2e%2e/a", "/a%2f..", "/caf\xc3\xa9", "/a/..;x", "/%zz", "/a%00", "/a\\b", "/.a/..b/c.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := Clean(in)
		if !ok {
			if got != "" {
				t.Fatalf("Clean(%q) refuses and returns %q", in, got)
			}
			return
		}
		if again, ok := Clean(got); !ok || again != got {
			t.Fatalf("Clean(%q) = %q, but Clean of that is %q, %v", in, got, again, ok)
		}
		if got[0] != '/' || strings.ContainsAny(got, "\x00 \\?#") || strings.Contains(got, "//") || strings.Contains(got, "%00") {
			t.Fatalf("Clean(%q) = %q is not clean", in, got)
		}
		text, err := url.PathUnescape(got)
		if err != nil {
			t.Fatalf("Clean(%q) = %q does not decode: %v", in, got, err)
		}
		// A reader that decodes everything and splits at both slashes still finds no dot segment.
		for _, name := range strings.FieldsFunc(text, func(r rune) bool { return r == '/' || r == '\\' }) {
			if bare, _, _ := strings.Cut(name, ";"); bare == "." || bare == ".." {
				t.Fatalf("Clean(%q) = %q hides the dot segment %q", in, got, name)
			}
		}
		for i := range len(got) {
			if c := got[i]; c != '/' && c != '%' && !pchar(c) {
				t.Fatalf("Clean(%q) = %q has %q unencoded", in, got, c)
			}
		}
		if !strings.Contains(in, "%") && strings.IndexFunc(in, func(r rune) bool { return r > 0x7f || r != '/' && !pchar(byte(r)) }) < 0 {
			want := path.Clean(in)
			if want != "/" && len(got) > 1 && got[len(got)-1] == '/' {
				want += "/"
			}
			if got != want {
				t.Fatalf("Clean(%q) = %q, path.Clean says %q", in, got, want)
			}
		}
	})
}

func TestCleanAllocates(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Clean("/pkg.Service/Method;v=1/x/") }); n != 0 {
		t.Errorf("Clean of a clean path allocates %v times", n)
	}
}

func BenchmarkClean(b *testing.B) {
	for _, p := range []string{"/pkg.Service/Method", "/a/../b%20c"} {
		b.Run(p, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Clean(p)
			}
		})
	}
}
