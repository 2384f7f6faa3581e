package yaml

import (
	"fmt"
	"strings"
	"testing"
)

// show writes a tree on one line: [a b] lists, {k:v} mappings, "quoted" and <plain> scalars, ~ null.
func show(n *Node) string {
	var b strings.Builder
	switch n.Kind {
	case Null:
		return "~"
	case Scalar:
		if n.Quoted {
			return fmt.Sprintf("%q", n.Value)
		}
		return "<" + n.Value + ">"
	case Sequence:
		b.WriteByte('[')
		for i, v := range n.Items {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(show(v))
		}
		b.WriteByte(']')
	case Mapping:
		b.WriteByte('{')
		for i, p := range n.Pairs {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(p.Key.Value + ":" + show(p.Value))
		}
		b.WriteByte('}')
	}
	return b.String()
}

var readable = []struct{ src, want string }{
	{"", "~"},
	{"# nothing\n\n", "~"},
	{"a", "<a>"},
	{"a: 1", "{a:<1>}"},
	{"a: 1\nb: two words # comment\n", "{a:<1> b:<two words>}"},
	{"a: x#y\n", "{a:<x#y>}"},
	{"a:\nb: ~\nc: null\n", "{a:~ b:~ c:~}"},
	{"a:\n  b:\n    c: d\n  e: f\ng: h\n", "{a:{b:{c:<d>} e:<f>} g:<h>}"},
	{"a:\n  - x\n  - y\n", "{a:[<x> <y>]}"},
	{"a:\n- x\n- y\nb: z\n", "{a:[<x> <y>] b:<z>}"},
	{"- a: 1\n  b: 2\n- c: 3\n", "[{a:<1> b:<2>} {c:<3>}]"},
	{"- - a\n  - b\n- - c\n", "[[<a> <b>] [<c>]]"},
	{"-\n  a: b\n-\n", "[{a:<b>} ~]"},
	{"a: [1, two, \"three\"]\n", "{a:[<1> <two> \"three\"]}"},
	{"a: []\nb: {}\n", "{a:[] b:{}}"},
	{"a: [x, y,]\n", "{a:[<x> <y>]}"},
	{"a: {b: c, d: {e: [f]}}\n", "{a:{b:<c> d:{e:[<f>]}}}"},
	{"a: {b: , c: d}\n", "{a:{b:~ c:<d>}}"},
	{"a: [\n  x, # first\n  y\n]\nb: c\n", "{a:[<x> <y>] b:<c>}"},
	{"a: {\n  b: c,\n  d: e,\n}\n", "{a:{b:<c> d:<e>}}"},
	{"n: {2001:db8:1::/48: eu, fd00::1: us}\n", "{n:{2001:db8:1::/48:<eu> fd00::1:<us>}}"},
	{"n:\n  2001:db8:1::/48: eu\n  ::/0: us\n", "{n:{2001:db8:1::/48:<eu> ::/0:<us>}}"},
	{"a: [\":53\", '::1']\nb: {\"::/0\": c}\n", "{a:[\":53\" \"::1\"] b:{::/0:<c>}}"},
	{"a: [2001:db8::1, fe80::]\n", "{a:[<2001:db8::1> <fe80::>]}"},
	{"a: {b, c: d}\n", "{a:{b:~ c:<d>}}"},
	{"a: [b: c]\n", "{a:[{b:<c>}]}"},
	{"? a\n: b\n", "{a:<b>}"},
	{"~: a\nnull: b\n<<: c\n", "{~:<a> null:<b> <<:<c>}"},
	{"%YAML 1.1\n---\na: b\n", "{a:<b>}"},
	{"---\n", "~"},
	{"a: 0x10\nb: 1_000\nc: yes\nd: 2001-01-01\ne: 1e3\n", "{a:<0x10> b:<1_000> c:<yes> d:<2001-01-01> e:<1e3>}"},
	{"é: ü  ö\t# x\nb: [ä,  é é ]\n", "{é:<ü  ö> b:[<ä> <é é>]}"},
	{"listen: :53\n", "{listen:<:53>}"},
	{"a: 'it''s'\n", "{a:\"it's\"}"},
	{"a: \"x\\ty\\u00e9\\x41\\\\\"\n", "{a:\"x\\tyéA\\\\\"}"},
	{"\"a b\": c\n'*': d\n\"@\" : e\n", "{a b:<c> *:<d> @:<e>}"},
	{"a: \"one\n  two\n\n  three\"\n", "{a:\"one two\\nthree\"}"},
	{"a: |\n  one\n   two\n\n  three\nb: c\n", "{a:\"one\\n two\\n\\nthree\\n\" b:<c>}"},
	{"a: |-\n  one\n  two\n", "{a:\"one\\ntwo\"}"},
	{"a: >\n  one\n  two\n\n  three\n", "{a:\"one two\\nthree\\n\"}"},
	{"a: >-\n  v=DKIM1;\n  p=abc\n", "{a:\"v=DKIM1; p=abc\"}"},
	{"a: |+\n  x\n\nb: c\n", "{a:\"x\\n\\n\" b:<c>}"},
	{"a: >\n  x\n    y\n  z\n", "{a:\"x\\n  y\\nz\\n\"}"},
	{"a: |2\n    x\n", "{a:\"  x\\n\"}"},
	{"- |\n x\n- y\n", "[\"x\\n\" <y>]"},
	{"---\na: b\n...\n", "{a:<b>}"},
	{"a: -1\nb: -x\n", "{a:<-1> b:<-x>}"},
	{"a: http://x/y?z\n", "{a:<http://x/y?z>}"},
	{"a: b:c\n", "{a:<b:c>}"},
	{"a:\tb\n", "{a:<b>}"},
	{"\"\": x\n", "{:<x>}"},
}

func TestReads(t *testing.T) {
	for _, c := range readable {
		for _, src := range []string{c.src, strings.ReplaceAll(c.src, "\n", "\r\n"), "\ufeff" + c.src} {
			n, errs := Parse([]byte(src))
			if len(errs) > 0 || n == nil {
				t.Errorf("%q: %v", src, errs)
			} else if got := show(n); got != c.want {
				t.Errorf("%q: got %s, want %s", src, got, c.want)
			}
		}
	}
}

func TestPositions(t *testing.T) {
	src := "a: 1\nbé: [x, {y: z}]\nc:\n  - d: 'e'\n  -\nf:\n"
	n, errs := Parse([]byte(src))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	flow := n.Pairs[1].Value
	list := n.Pairs[2].Value
	for what, c := range map[string]struct{ got, want Pos }{
		"key":              {n.Pairs[1].Key.Pos, Pos{2, 1}},
		"after wide runes": {flow.Pos, Pos{2, 5}},
		"in brackets":      {flow.Items[1].Pairs[0].Value.Pos, Pos{2, 13}},
		"list":             {list.Pos, Pos{4, 3}},
		"compact mapping":  {list.Items[0].Pos, Pos{4, 5}},
		"quoted":           {list.Items[0].Get("d").Pos, Pos{4, 8}},
		"empty item":       {list.Items[1].Pos, Pos{5, 3}},
		"empty value":      {n.Get("f").Pos, Pos{6, 1}},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v, want %v", what, c.got, c.want)
		}
	}
}

var refused = []struct {
	src, want string // want: every error as "line:col: part of the message", separated by |
}{
	// Not YAML: the first mistake only.
	{"a: b: c\n", "1:5: text that contains \": \" needs quotes"},
	{"a: 'x: y': c: d\n", "1:10: text that contains \": \" needs quotes"},
	{"a: 1\n  b: 2\nc: [\n", "2:3: indented alike"},
	{"a: 1\n  b: {c: d}\n", "2:3: indented alike"},
	{"x: y\na:b\n", "2:2: space is missing"},
	{"a: 1\nb\nc: d\n", "2:1: \"key: value\" is expected"},
	{"a: 1\nb\n\n# end\n", "2:1: \"key: value\" is expected"},
	{"# x\n\na:\n    b: 1\n  c: 2\nd: {x\n", "5:3: this line does not go on as those above"},
	{"# x\na: 1\nb: 2\n# x\nc: \"x\" y\n\n# x\nd: 1\n", "5:1: did not find expected key"},
	{"# x\na: 1\nb: \"x\" y\n# x\n# x\n", "3:1: did not find expected key"},
	{"# x\na: 1\nb: [c]]\nd: e\nf: g\n", "3:1: did not find expected key"},
	{"# x\na: 1\n- b\nc: d\n", "3:1: did not find expected key"},
	{"a:\n- b\n- c\nd: e\n: f\n", "5:1: did not find expected key"},
	{": a\n", "1:1: did not find expected key"},
	{"\n- a\n- b\nc: d\n- e\n", "4:1: items of a list are indented alike"},
	{"  a: 1\nb: 2\nc: 3\n", "2:1: document above this line is complete"},
	{"a: [x\nb: c\nd: 'e\n", "1:4: \"[\" is never closed, or a comma or quotes are missing behind it; this shows by line 3"},
	{"\na: {b: [x, {c: d}, 'y[', e\n", "2:8: \"[\" is never closed"},
	{"\na: {b: [x, {c: d}, 'y{', e]\n", "2:4: \"{\" is never closed"},
	{"a: [b c: d, e\n", "1:4: \"[\" is never closed"},
	{"a: [b}\n", "1:4: did not find expected ',' or ']'"},
	{"a: {b: c d: e}\n", "1:4: a comma or quotes are missing"},
	{"a: [\n  b,\n  c: d\n  e: f\n]\n", "1:4: behind it; this shows by line 5"},
	{"a: [b, , c]\n", "1:8: a value is missing here"},
	{"a: {, b: c}\n", "1:5: a value is missing here"},
	{"a: [::1]:53\n", "1:5: begins with a colon"},
	{"a: {b: :53}\n", "1:8: begins with a colon"},
	{"a: [- b]\n", "1:4: did not find expected node content"},
	{"a: [|]\n", "1:5: cannot start any token"},
	{"a: b\nc: \"x\nd: e\nf: g: h\n", "2:4: the quotes that open here are never closed"},
	{"a: {b: 'it''s', c: 'x}\n", "1:20: the quotes that open here are never closed"},
	{"a: \"x\n---\n", "1:4: the quotes that open here are not closed"},
	{"*.x: y\n@: z\n", "1:1: begins with *"},
	{"a: # @\n  é: {@: z}\n", "2:7: begins with @"},
	{"a: - b\n", "1:4: a list begins on a line of its own"},
	{"a:\n  \tb: c\n", "2:3: not tabs"},
	{"a: \"\\\\ \\q\"\n", "1:8: begins an escape"},
	{"a: \"\\u12\"\n", "1:5: \\u 4"},
	{"a: |x\n  b\n", "1:4: only -, + and one digit"},
	{"a: | b\n", "1:4: begins on the next line"},
	{"%YAML 1.2\n---\na: b\n", "1:1: remove the line"},
	{"a: b\n---\nc: [\n", "3:4: a bracket is never closed"},
	{"# *x 'y\na: '*x'\nb: [c*x, *x-y, *x , d] # *x\n", "3:10: aliases are not"},
	// YAML that is not read: all at once.
	{"a: *b\n", "1:4: aliases are not"},
	{"a: &b c\nd: [*b, é, *b]\n", "1:4: anchors and|2:5: anchors and|2:12: anchors and"},
	{"a: &b\n  c: d\ne: !!str g\nf: ! h\ni: !x {j: k}\n", "1:4: anchors and|3:4: tags are|4:4: tags are|5:4: tags are"},
	{"a: b\n  c d\né: [ü\n  x, y]\nf: g\n", "1:4: goes on in the next|3:5: goes on in the next"},
	{"a\nb\n", "1:1: goes on in the next"},
	{"- a\n  - b\n", "1:3: goes on in the next"},
	{"? a\n  b\n: c\n", "1:3: goes on in the next"},
	{"? [a]\n: b\n? {c: d}\n: e\n", "1:3: a single word, not a list or mapping|3:3: a single word, not"},
	{"a: !e!x b\n", "1:4: tags are"},
	{"a: [[b,\n", "1:5: a bracket is never closed"},
	{"? \n: c\n", "1:1: a key is missing before the colon"},
	{"a: {[b]: c}\n", "1:5: a single word, not a list"},
	{"a: [:53]\n", "1:5: begins with a colon"},
	{"a: b\n---\nc: d\n", "2:1: second document"},
	{"a: b\n...\nc: d\n", "3:1: document above this line is complete"},
	{"---\n---\n", "2:1: second document"},
	// A space that is missing behind a colon is told where it is missing, and not at the line below it.
	{"a:\n  b:\"c\"\n  d: e\n", "2:4: space is missing"},
	{"a:\n  # why\n  b:c\n\n  d: e\n", "3:4: space is missing"},
	{"a:\n  b:c\n  d:e\n  f: g\n", "2:4: space is missing"},
	{"a:\n  - b:c\n    d: e\n", "2:6: space is missing"},
	{"x: y\n\na:b\nz: 1\n", "3:2: space is missing"},
	{"x: y\nb: http://x\n  z: 1\n", "3:3: one \"key: value\""},
	{"a:\n  - 1:2\n    d: e\n", "3:5: one \"key: value\""},
	// Not text, or too much.
	{"a: \x01\n", "1:4: control character"},
	{"a: é\ufffe\n", "1:5: control character"},
	{"a: \xff\n", "1:4: not UTF-8"},
	{"a: b\rc: d\n", "1:5: carriage return"},
	{"a: b\r", "1:5: carriage return"},
	{"a:\n b\u2028c\u0085d\n", "2:3: line separator"},
	{strings.Repeat("[", 65) + strings.Repeat("]", 65), "1:65: nested deeper"},
	{"a: " + strings.Repeat("[", 64) + strings.Repeat("]", 64), "1:67: nested deeper"},
	{strings.Repeat("- ", 100), "1:129: nested deeper"},
	{"\n" + strings.Repeat("[", 20000), "2:1: nested deeper"},
	{strings.Repeat(" ", MaxSize+1), "1:1: larger than 4 MiB"},
}

func TestRefuses(t *testing.T) {
	for _, c := range refused {
		_, errs := Parse([]byte(c.src))
		wants := strings.Split(c.want, "|")
		if len(errs) != len(wants) {
			t.Errorf("%.40q: got %v, want %d errors", c.src, errs, len(wants))
			continue
		}
		for i, w := range wants {
			pos, msg, _ := strings.Cut(w, ": ")
			if errs[i].Pos.String() != pos || !strings.Contains(errs[i].Msg, msg) {
				t.Errorf("%.40q: got %q, want %q", c.src, errs[i], w)
			}
		}
	}
}

// The largest document there may be.
func TestLimits(t *testing.T) {
	for _, src := range []string{
		strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth),
		strings.Repeat("- ", MaxDepth) + "a",
		"a: '" + strings.Repeat("x", MaxSize-5) + "'",
	} {
		if n, errs := Parse([]byte(src)); n == nil || len(errs) > 0 {
			t.Errorf("%.20q: %v", src, errs)
		}
	}
	n, errs := Parse([]byte(strings.Repeat("- *a\n- &a b\n", MaxErrors)[5:]))
	if n == nil || len(n.Items) != 2*MaxErrors-1 || len(errs) != MaxErrors {
		t.Errorf("%d errors", len(errs))
	}
}

// A document has at most so many nodes, collections counted.
func TestTooManyNodes(t *testing.T) {
	const most = 50
	for _, c := range []struct{ src, item, end string }{{"[", "a,", "]"}, {"", "- a\n", ""}, {"", "- [a]\n", ""}, {"", "a: b\n", ""}} {
		n, errs := parse([]byte(c.src+strings.Repeat(c.item, most/2-1)+c.end), most)
		if n == nil || len(errs) > 0 {
			t.Errorf("%q: %v", c.item, errs)
		}
		n, errs = parse([]byte(c.src+strings.Repeat(c.item, most)+c.end), most)
		if n != nil || len(errs) != 1 || !strings.Contains(errs[0].Msg, "more than a million values") {
			t.Errorf("%q: got %v, %v", c.item, n, errs)
		}
	}
	if n, errs := parse([]byte("["+strings.Repeat("a,", most-1)+"]"), most); n == nil || len(errs) > 0 {
		t.Errorf("as many as there may be: %v", errs)
	}
	if _, errs := parse([]byte("["+strings.Repeat("a,", most)+"]"), most); len(errs) != 1 || errs[0].Pos != (Pos{1, 2 * most}) {
		t.Errorf("one more: %v", errs)
	}
}

// An error of a single value leaves the tree.
func TestSoftErrorsKeepTheTree(t *testing.T) {
	n, errs := Parse([]byte("a: &x b\nc: *x\n*x : !y d\n[]: e\nf: g\n h\n"))
	if len(errs) != 6 || n == nil {
		t.Fatalf("errors %v, tree %v", errs, n)
	}
	if got, want := show(n), `{a:<b> c:<*x> *x:<d> :<e> f:<g h>}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n, _ := Parse([]byte("a: [\n")); n != nil {
		t.Error("a broken structure has a tree")
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range readable {
		f.Add(c.src)
	}
	for _, c := range refused {
		if len(c.src) < 1000 {
			f.Add(c.src)
		}
	}
	f.Add("a: &x\n  - *x\n")
	f.Add("a: >\n\n  b\n   c\n\n d\n")
	f.Fuzz(func(t *testing.T, src string) {
		n, errs := Parse([]byte(src))
		if n == nil && len(errs) == 0 {
			t.Fatal("neither a tree nor an error")
		}
		lines := strings.Split(strings.TrimPrefix(src, "\ufeff"), "\n")
		for _, e := range errs {
			if e.Pos.Line < 1 || e.Pos.Line > len(lines) || e.Pos.Col < 1 || e.Msg == "" {
				t.Fatalf("error at %v of %d lines: %s", e.Pos, len(lines), e.Msg)
			}
		}
		if n != nil {
			checkTree(t, n, lines, len(errs) == 0)
		}
	})
}

// checkTree checks that every node has a place in the file; in a file without errors, text without quotes stands there.
func checkTree(t *testing.T, n *Node, lines []string, clean bool) {
	if n == nil || n.Pos.Line < 1 || n.Pos.Line > len(lines) || n.Pos.Col < 1 {
		t.Fatalf("node %+v of %d lines", n, len(lines))
	}
	if n.Kind == Scalar && !n.Quoted && clean {
		if line := []rune(lines[n.Pos.Line-1]); n.Pos.Col > len(line) || !strings.HasPrefix(string(line[n.Pos.Col-1:]), n.Value) {
			t.Fatalf("%q does not stand at %v", n.Value, n.Pos)
		}
	}
	for _, p := range n.Pairs {
		if p.Key.Kind != Scalar {
			t.Fatalf("key %+v", p.Key)
		}
		checkTree(t, p.Key, lines, clean)
		checkTree(t, p.Value, lines, clean)
	}
	for _, v := range n.Items {
		checkTree(t, v, lines, clean)
	}
}
