//go:build unix

package yaml

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostile returns inputs of about size bytes, by name.
func hostile(size int) map[string]string {
	fill := func(s string) string { return strings.Repeat(s, (size-64)/len(s)) }
	return map[string]string{
		"open brackets": fill("["), "open braces": fill("{"), "dashes": fill("- "), "items": fill("- a\n"), "empty keys": fill("a:\n"),
		"aliases": "a: &a b\n" + fill("b: *a\n"), "anchors": fill("&a "), "anchored": fill("- &a b\n"), "tags": fill("!a "),
		"unknown alias": fill("# *z\n") + "a: *z", "bomb": "a: &a [x]\n" + fill("b: &a [*a, *a, *a, *a, *a]\n"),
		"quotes": fill("'"), "double": fill("\""), "quoted lines": "\"" + fill("x\n"), "quoted line": "\"" + fill("x"),
		"escapes": "\"" + fill("\\x41") + "\"", "bad escape": "\"" + fill("\\x41") + "\\q", "open quotes": fill("'x' ") + "'",
		"literal": "a: |\n" + fill("  x\n"), "folded": "a: >\n" + fill("  x\n"), "blank literal": "a: >\n" + fill("\n"), "blocks": fill("a: |\n"),
		"plain lines": "a: " + fill("b\n  "), "each over two lines": fill("- a\n  b\n"), "long word": "a: " + fill("1"), "long key": fill("a") + ": b",
		"lines": fill("\n"), "spaces": fill(" "), "tabs": fill("\t"), "tab lines": fill("\ta\n"), "markers": fill("---\n"),
		"comments": fill("#\n"), "comments of keys": fill("a: b # x\n# y\n"), "comments of items": fill("- a\n  # x\n"), "comments in a list": "[" + fill("a, # x\n") + "]",
		"comments behind lists": fill("a:\n  b:\n    - c\n    # x\n\n# y\n"), "comment lines": "a:\n" + fill("  # a\n\n") + "b",
		"pairs": "{" + fill("a: b,") + "}", "list": "[" + fill("a,") + "]", "long line": "{" + fill("é: é,") + "}", "colons": fill("a: "), "commas": fill(","),
		"questions": fill("? "), "open each line": fill("a: [\n"), "quote each line": fill("a: \"\n"),
		"deep lists": "[" + fill(strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+",\n") + "]", "deep keys": "[" + fill(strings.Repeat("{a: ", 1000)+strings.Repeat("}", 1000)+",\n"),
		"stairs": fill("a:\n b:\n  c:\n   d: e\n"), "deeper": fill("a: b\n c: d\n"),
		"late mistake": "# x\n" + fill("a: b\n") + "- c\n", "mistake in many lines": "# x\n" + fill("a: b\n") + "'x' y\n" + strings.Repeat(" z\n", 99), "mistake in a list": "# x\n" + fill("- a\n") + "b: c",
	}
}

// Whatever the input, work grows with its size only: four times as much text takes about four times the work, not sixteen times.
func TestWorkIsLinear(t *testing.T) {
	small, large := hostile(8<<10), hostile(32<<10)
	work := func(name, src string) time.Duration {
		start := processorTime(t)
		n, errs := Parse([]byte(src))
		if n == nil && len(errs) == 0 || len(errs) > MaxErrors {
			t.Errorf("%s: %d errors", name, len(errs))
		}
		return processorTime(t) - start
	}
	for name := range small {
		var a, b time.Duration
		linear := false
		for range 5 { // what else the process does, such as collecting garbage, may fall on one side once
			a, b = work(name, small[name]), work(name, large[name])
			if linear = b <= 8*a+30*time.Millisecond; linear {
				break
			}
		}
		if !linear {
			t.Errorf("%s: four times the text takes %v after %v of the processor", name, b, a)
		}
	}
}

// processorTime returns what this process has used of the processors, which hardly depends on what else the machine does.
func processorTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
