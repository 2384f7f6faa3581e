package configs

import (
	"errors"
	"strings"
	"testing"
)

// FuzzParse: whatever the bytes, Parse returns a Config or an *Errors, never both; each problem has a place inside the file and a
// message.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"*.yaml", "testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		for _, data := range corpus(f, pattern) {
			f.Add(data)
		}
	}
	for _, src := range []string{
		"a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", strings.Repeat("[", 1000), strings.Repeat("- ", 1000), strings.Repeat("{a: ", 500),
		"zones:\n  .: {ns: a}\n", "services: {a: {endpoints: [[[]]]}}\n", "policies: {p: [geo: {default: {}}]}\n", "routes: [[], ~, {}]\n",
		"geo: {networks: {::/0: ~}}\n", "edge: {https: [~]}\n", "sites: {? : }\n",
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := Parse("f", data)
		if (config == nil) == (err == nil) {
			t.Fatalf("config %v, error %v", config != nil, err)
		}
		if err == nil {
			if config.Compiled == nil || config.Admin.Listen == "" {
				t.Fatal("a Config that cannot be applied")
			}
			return
		}
		var all *Errors
		if !errors.As(err, &all) || all.Total < len(all.Problems) || len(all.Problems) == 0 {
			t.Fatalf("error %T: %v", err, err)
		}
		lines := strings.Count(string(data), "\n") + 1
		last := 0
		for _, p := range all.Problems {
			if p.Line < last || p.Line < 1 || p.Line > lines || p.Column < 1 || p.Message == "" {
				t.Fatalf("problem at %d:%d of %d lines: %q", p.Line, p.Column, lines, p.Message)
			}
			last = p.Line
			if strings.Count(p.String(), "\n") > 2 {
				t.Fatalf("more than three lines: %q", p.String())
			}
		}
	})
}
