package configs

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestNearest(t *testing.T) {
	words := []string{"endpoints", "probe", "region", "sites", "at", "TXT"}
	for word, want := range map[string]string{"endpoint": "endpoints", "endpionts": "endpoints", "porbe": "probe", "Region": "region", "si": "", "txt": "TXT", "ta": "at",
		"zebra": "", "": "", strings.Repeat("a", 100): "", "enpoinst": "endpoints"} {
		if got := nearest(word, words); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "ab", 1}, {"abc", "xabc", 1}, {"abc", "axc", 1}, {"kitten", "sitting", 3},
		{strings.Repeat("a", 64), strings.Repeat("b", 64), 64}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
		if distance(c.a, c.b) != distance(c.b, c.a) {
			t.Errorf("distance(%q, %q) is not symmetric", c.a, c.b)
		}
	}
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("0123456789", 50)
	for _, c := range []struct {
		line  string
		col   int
		text  string
		caret int
	}{
		{"site: x", 7, "site: x", 6},
		{"site: x  \r", 7, "site: x", 6},
		{"\tsite: x", 2, " site: x", 1},
		{"é: x", 4, "é: x", 3},
		{"short", 50, "short", 5},
		{"", 1, "", 0},
		{long, 1, long[:110] + "…", 0},
		{long, 500, "…" + long[390:], 110},
		{long, 251, "…" + long[195:305] + "…", 56},
	} {
		text, caret := excerpt(c.line, c.col)
		if text != c.text || caret != c.caret {
			t.Errorf("excerpt(%.20q…, %d) = %q, %d; want %q, %d", c.line, c.col, text, caret, c.text, c.caret)
		}
		if !utf8.ValidString(text) {
			t.Errorf("%q is not UTF-8", text)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{"5": 5 * time.Second, "0.5": 500 * time.Millisecond, "1m30s": 90 * time.Second, "500ms": 500 * time.Millisecond, "1e1": 10 * time.Second, "-1": -time.Second} {
		if got, ok := parseDuration(s); !ok || got != want {
			t.Errorf("parseDuration(%q) = %v, %v; want %v", s, got, ok, want)
		}
	}
	for _, s := range []string{"", "5x", "five", "1d", "0x5", "1_0", "NaN", "Inf", "1e999"} {
		if got, ok := parseDuration(s); ok {
			t.Errorf("parseDuration(%q) = %v", s, got)
		}
	}
	for d, want := range map[time.Duration]string{time.Hour: "1h", time.Minute: "1m", 90 * time.Second: "1m30s", 0: "0s", 100 * time.Millisecond: "100ms"} {
		if got := showDuration(d); got != want {
			t.Errorf("showDuration(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestParsePrefix(t *testing.T) {
	for s, want := range map[string]string{"192.0.2.0/24": "", "::/0": "", "192.0.2.1/24": "192.0.2.0/24", "192.0.2.1": "192.0.2.1/32", "2001:db8::1": "2001:db8::1/128", "x/8": "not a network",
		"192.0.2.0/33": "not a network", "::ffff:1.2.3.4/128": "IPv4 written as IPv6"} {
		p, wrong := parsePrefix(s)
		if (wrong == "") != (want == "") || !strings.Contains(wrong, want) {
			t.Errorf("parsePrefix(%q) = %v, %q; want %q", s, p, wrong, want)
		}
	}
}

func TestSplitListen(t *testing.T) {
	for s, ok := range map[string]bool{":53": true, "127.0.0.1:53": true, "[::1]:53": true, ":0": true, "::1:53": false, "53": false, "host:53": false, ":": false, ":65536": false, "": false, ":-1": false} {
		if _, got := splitListen(s); got != ok {
			t.Errorf("splitListen(%q) is %v", s, got)
		}
	}
}

func TestPathOfStep(t *testing.T) {
	var root *step
	s := &step{&step{&step{&step{root, "zones", false}, "gslb.example", false}, "ns", false}, "0", true}
	if got, want := s.String(), `zones["gslb.example"].ns[0]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := root.String(); got != "" {
		t.Errorf("the root is %q", got)
	}
	if got, want := (&step{root, "", false}).String(), `[""]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// No key is known twice, and no synonym or later word is a key.
func TestKeysAreDistinct(t *testing.T) {
	for _, s := range allSections() {
		seen := map[string]bool{}
		for _, k := range s.keys() {
			if seen[k] {
				t.Errorf("section %q: %s twice", s, k)
			}
			seen[k] = true
			if s.later(k) != "" {
				t.Errorf("section %q: %s is of a later version and known", s, k)
			}
		}
		for word, key := range s.synonyms() {
			if seen[word] || !seen[key] {
				t.Errorf("section %q: synonym %s for %s", s, word, key)
			}
		}
		if len(seen) == 0 {
			t.Errorf("section %q has no keys", s)
		}
	}
}

// Names of a zone are made whole in one way: a name that ends in the zone's is whole already.
func TestHostOf(t *testing.T) {
	for _, c := range []struct{ name, zone, want string }{
		{"www", "gslb.example", "www.gslb.example"}, {"WWW", "GSLB.example.", "www.gslb.example"}, {"@", "gslb.example.", "gslb.example"},
		{"www.gslb.example", "gslb.example", "www.gslb.example"}, {"www.GSLB.example", "gslb.example.", "www.gslb.example"},
		{"gslb.example", "gslb.example", "gslb.example"}, {"xgslb.example", "gslb.example", "xgslb.example.gslb.example"},
		{"www.example.net.", "gslb.example", "www.example.net"}, {"gslb.example.gslb", "gslb.example", "gslb.example.gslb.gslb.example"},
		{"e", "gslb.example", "e.gslb.example"},
	} {
		if got := hostOf(c.name, c.zone); got != c.want {
			t.Errorf("%s in %s: got %s, want %s", c.name, c.zone, got, c.want)
		}
	}
}

// Only this machine reaches a loopback address.
func TestAdminWarning(t *testing.T) {
	for listen, warned := range map[string]bool{"127.0.0.1:1": false, "127.9.9.9:1": false, "'[::1]:1'": false, "'[::ffff:127.0.0.1]:1'": false,
		"':1'": true, "0.0.0.0:1": true, "'[::]:1'": true, "192.0.2.1:1": true} {
		c := parse(t, "dns:\nzones: {a.example: {ns: ns.example.net.}}\nadmin: {listen: "+listen+"}\n")
		if got := len(c.Warnings) == 1 && c.Warnings[0].Path == "admin.listen"; got != warned || len(c.Warnings) > 1 {
			t.Errorf("%s: %v", listen, c.Warnings)
		}
	}
}
