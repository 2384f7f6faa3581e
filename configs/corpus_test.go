package configs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpus returns the files that match, by base name.
func corpus(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(names), err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = data
	}
	return files
}

// Each file in testdata/bad begins with one line for each problem it has: "# want: LINE:COL: part of path and message", with the name
// of the file before the line if it is in a data file.
func TestBadFiles(t *testing.T) {
	files := corpus(t, "testdata/bad/*.yaml")
	if len(files) < 100 {
		t.Errorf("only %d files", len(files))
	}
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			var wants []string
			for line := range strings.Lines(string(data)) {
				want, ok := strings.CutPrefix(line, "# want: ")
				if !ok {
					break
				}
				wants = append(wants, strings.TrimSpace(want))
			}
			config, err := Load(os.DirFS("testdata/bad"), name)
			var all *Errors
			if config != nil || !errors.As(err, &all) {
				t.Fatalf("want *Errors alone, got config %v, error %v", config != nil, err)
			}
			if len(all.Problems) != len(wants) || all.Total != len(wants) || len(wants) == 0 {
				t.Errorf("%d problems, want %d:\n%v", all.Total, len(wants), err)
			}
			for i := range min(len(wants), len(all.Problems)) {
				p := all.Problems[i]
				head, rest, _ := strings.Cut(p.String(), "\n")
				if !matches(p, name, wants[i]) {
					t.Errorf("got  %s\nwant %s", head, wants[i])
				}
				text := data
				if p.File != name {
					var err error
					if text, err = os.ReadFile(filepath.Join("testdata/bad", p.File)); err != nil {
						t.Fatal(err)
					}
				}
				if p.File == "data/cookies" { // no secret is shown
					if rest != "" {
						t.Errorf("shows %q", rest)
					}
					continue
				}
				checkExcerpt(t, text, p, rest)
			}
		})
	}
}

// matches reports whether a problem is at the place and has the text of a wanted one. main is the file that was read.
func matches(p Problem, main, want string) bool {
	place, text, _ := strings.Cut(want, ": ")
	got := fmt.Sprintf("%d:%d", p.Line, p.Column)
	if p.File != main {
		got = p.File + ":" + got
	}
	head, _, _ := strings.Cut(p.String(), "\n")
	return got == place && strings.Contains(head, text)
}

// checkExcerpt checks that a problem shows its line, and its caret stands under its column.
func checkExcerpt(t *testing.T, data []byte, p Problem, shown string) {
	t.Helper()
	lines := strings.Split(string(data), "\n")
	if p.Line < 1 || p.Line > len(lines) {
		t.Fatalf("line %d of %d", p.Line, len(lines))
	}
	line := strings.ReplaceAll(lines[p.Line-1], "\t", " ")
	source, caret, _ := strings.Cut(shown, "\n")
	if want := fmt.Sprintf("%6d | %s", p.Line, line); len(line) < 100 && source != want {
		t.Errorf("shows %q, want %q", source, want)
	}
	if p.Column == 0 {
		return
	}
	at := strings.Index(caret, "^") - len("       | ")
	if want := p.Column - 1; len(line) < 100 && at != want {
		t.Errorf("caret at %d, want %d:\n%s", at, want, shown)
	}
}

// Good files have no error, and each line "# warn: …" at their top names one of their warnings.
func TestGoodFiles(t *testing.T) {
	for _, pattern := range []string{"*.yaml", "testdata/good/*.yaml"} {
		for name, data := range corpus(t, pattern) {
			t.Run(name, func(t *testing.T) {
				config, err := Load(os.DirFS(filepath.Dir(pattern)), name)
				if err != nil {
					t.Fatal(err)
				}
				var wants []string
				for line := range strings.Lines(string(data)) {
					if want, ok := strings.CutPrefix(line, "# warn: "); ok {
						wants = append(wants, strings.TrimSpace(want))
					}
				}
				if len(wants) != len(config.Warnings) {
					t.Errorf("%d warnings, want %d: %v", len(config.Warnings), len(wants), config.Warnings)
				}
				for i := range min(len(wants), len(config.Warnings)) {
					if w := config.Warnings[i]; !matches(w, name, wants[i]) {
						t.Errorf("got %v, want %s", w, wants[i])
					}
				}
				if config.Compiled == nil || config.Compiled.Plan() == nil {
					t.Error("nothing was compiled")
				}
			})
		}
	}
}

// Windows line ends and a byte order mark change nothing.
func TestLineEndsDoNotMatter(t *testing.T) {
	for name, data := range corpus(t, "testdata/bad/*.yaml") {
		_, err := Parse(name, data)
		crlf := append([]byte("\ufeff"), bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))...)
		if _, other := Parse(name, crlf); other == nil || other.Error() != err.Error() {
			t.Errorf("%s:\n%v\nwith CRLF:\n%v", name, err, other)
		}
	}
}
