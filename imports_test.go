package meridian_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module   = "github.com/meridian-gslb/meridian"
	maxLines = 600
	mainFile = "cmd/meridian/main.go" // the one file that may end the process
)

// A room is what a package may do.
type room struct {
	imports []string // packages of ours that its code, tests aside, may import
	others  []string // pure rooms: packages of others; elsewhere any
	pure    bool     // no I/O, clock, dice, goroutines, locks
}

// everyRoom stands for all packages in rooms but cmd.
var everyRoom = []string{"..."}

// rooms is law 1: imports run one way. A package that is not here fails the test: decide where it stands before it grows.
var rooms = map[string]room{
	"":                         {},
	"policy":                   {pure: true},
	"geodb":                    {pure: true, imports: []string{"policy"}, others: []string{"github.com/oschwald/maxminddb-golang/v2", "github.com/oschwald/maxminddb-golang/v2/mmdbdata"}},
	"geodb/geobuild":           {imports: []string{"policy"}},
	"dnsserver/wire":           {pure: true},
	"dnsserver/zone":           {pure: true, imports: []string{"policy", "dnsserver/wire"}, others: []string{"github.com/miekg/dns"}},
	"dnsserver/zone/zonefile":  {pure: true, imports: []string{"policy", "dnsserver/wire", "dnsserver/zone"}, others: []string{"bufio", "io", "io/fs", "path", "github.com/miekg/dns"}},
	"demand":                   {pure: true, others: []string{"bufio", "io"}},
	"simulate":                 {pure: true, imports: []string{"policy"}},
	"dnsserver/limit":          {},
	"l7edge/route":             {pure: true, imports: []string{"policy"}},
	"l7edge/upstream":          {imports: []string{"policy"}},
	"l7edge/h2/hpack":          {},
	"l7edge/h2":                {imports: []string{"l7edge/h2/hpack"}},
	"registry":                 {imports: []string{"policy", "dnsserver/zone", "l7edge/route"}},
	"registry/store":           {imports: []string{"registry", "policy"}},
	"registry/source/embedded": {imports: []string{"registry", "policy"}},
	"registry/source/consul":   {imports: []string{"registry", "registry/shared", "policy"}},
	"registry/shared":          {imports: []string{"registry", "policy"}},
	"registry/source/guard":    {imports: []string{"registry", "policy", "sealed"}},
	"probes/check":             {},
	"probes":                   {imports: []string{"policy", "probes/check", "probes/quorum"}},
	"probes/quorum":            {pure: true, imports: []string{"policy"}},
	"probes/share":             {imports: []string{"policy", "probes/quorum"}},
	"probes/vantage":           {imports: []string{"policy", "probes", "probes/quorum"}},
	"dnsserver":                {imports: []string{"demand", "registry", "policy", "dnsserver/limit", "dnsserver/wire", "dnsserver/zone"}},
	"dnsserver/outside":        {imports: []string{"registry", "policy", "dnsserver/wire", "dnsserver/zone"}},
	"l7edge":                   {imports: []string{"registry", "policy", "l7edge/route", "l7edge/upstream", "l7edge/h2", "l7edge/h2/hpack"}},
	"admin":                    {imports: []string{"simulate", "demand", "registry", "registry/source/embedded", "policy", "dnsserver"}},
	"forecast":                 {imports: []string{"demand", "dnsserver", "dnsserver/wire", "dnsserver/zone", "policy", "registry", "simulate"}},
	"generations":              {imports: []string{"sealed"}},
	"sealed":                   {},
	"configs/yaml":             {},
	"configs":                  {imports: everyRoom},
	"cmd/meridian":             {imports: everyRoom},
	"test/bench/dnsgen":        {},
	"test/e2e":                 {},
	"test/flood":               {},
	"test/peer":                {},
	"test/differential":        {},
	"test/growth":              {},
	"test/resolvers":           {},
	"test/compliance":          {},
}

// pureStd is what pure rooms may import of the standard library: it computes and does nothing else. Of time only what reads no clock.
var pureStd = []string{"bytes", "cmp", "encoding/binary", "encoding/hex", "errors", "fmt", "hash/crc32", "iter", "maps", "math", "math/bits",
	"net/netip", "slices", "sort", "strconv", "strings", "time", "unicode", "unicode/utf8"}

// pureTime is what pure rooms may name of package time: lengths, and what makes days and hours of a number of seconds.
var pureTime = []string{"Unix", "Date", "Location", "UTC", "Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour", "ParseDuration", "Parse", "RFC3339"}

// pureFmt is what pure rooms may name of package fmt.
var pureFmt = []string{"Append", "Appendf", "Appendln", "Errorf", "Formatter", "Sprint", "Sprintf", "Sprintln", "State", "Stringer"}

// exits are calls that end the process.
var exits = []string{"os.Exit", "syscall.Exit", "log.Fatal", "log.Fatalf", "log.Fatalln", "log.Panic", "log.Panicf", "log.Panicln"}

// A file is one Go source file of the module.
type file struct {
	path string // slash-separated, from the root of the module
	text []byte
	tree *ast.File
	set  *token.FileSet
}

func (f *file) dir() string  { return strings.TrimPrefix(path.Dir("/"+f.path), "/") }
func (f *file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

func (f *file) at(n ast.Node) string { return f.set.Position(n.Pos()).String() }

func parse(name string, text []byte) (*file, error) {
	f := &file{path: name, text: text, set: token.NewFileSet()}
	var err error
	f.tree, err = parser.ParseFile(f.set, name, text, parser.SkipObjectResolution)
	return f, err
}

// sources reads all Go files of the module. It reads them itself so that the test cache knows they matter.
func sources(t *testing.T) []*file {
	t.Helper()
	root := os.DirFS(".")
	var files []*file
	err := fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if e.IsDir() && name != "." && (base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_') {
			return fs.SkipDir
		}
		if e.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone between listing and reading
		}
		if err != nil {
			return err
		}
		f, err := parse(name, text)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("found only %d files: the test looks in the wrong place", len(files))
	}
	return files
}

func TestLaws(t *testing.T) {
	for _, f := range sources(t) {
		for _, violation := range check(f) {
			t.Error(violation)
		}
	}
}

// TestRoomsExist keeps the table free of packages that are gone, and of circles.
func TestRoomsExist(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range sources(t) {
		seen[f.dir()] = true
	}
	for name, r := range rooms {
		if !seen[name] {
			t.Errorf("the table has package %q, which does not exist", name)
		}
		for _, target := range r.imports {
			if _, ok := rooms[target]; !ok && target != "..." {
				t.Errorf("%s may import %q, which is not in the table", name, target)
			}
			if r.pure && !rooms[target].pure {
				t.Errorf("%s is pure and may import %s, which is not", name, target)
			}
		}
	}
	var visit func(name string, above []string)
	visit = func(name string, above []string) {
		if slices.Contains(above, name) {
			t.Fatalf("the table has a circle: %v", append(above, name))
		}
		for _, target := range rooms[name].imports {
			if target != "..." {
				visit(target, append(slices.Clone(above), name))
			}
		}
	}
	for name := range rooms {
		visit(name, nil)
	}
}

// check returns everything in a file that the laws forbid.
func check(f *file) []string {
	r, known := rooms[f.dir()]
	if !known {
		return []string{fmt.Sprintf("%s: package %q is not in the table of rooms", f.path, f.dir())}
	}
	var out []string
	bad := func(n ast.Node, format string, args ...any) {
		out = append(out, f.at(n)+": "+fmt.Sprintf(format, args...))
	}
	if n := strings.Count(string(f.text), "\n"); n > maxLines {
		out = append(out, fmt.Sprintf("%s: %d lines; %d is the end: split by idea", f.path, n, maxLines))
	}
	std := map[string]string{} // local name -> standard library path
	for _, spec := range f.tree.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			bad(spec, "%v", err)
			continue
		}
		name := path.Base(target)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		std[name] = target
		if name == "_" && target != "embed" {
			bad(spec, "blank import of %s: nothing registers by being imported", target)
		}
		if f.isTest() {
			continue
		}
		if why := forbidden(f.dir(), r, target); why != "" {
			bad(spec, "%s", why)
		}
		if r.pure && target == "time" && spec.Name != nil {
			bad(spec, "a pure room imports time under its own name, so that its uses are plain to see")
		}
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.Name == "init" && n.Recv == nil {
				bad(n, "func init: nothing happens by being imported")
			}
		case *ast.GoStmt:
			if r.pure && !f.isTest() {
				bad(n, "a pure room starts no goroutine")
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && std[x.Name] != "" && !f.isTest() {
				use := std[x.Name] + "." + n.Sel.Name
				if why := misuse(f.path, r, use); why != "" {
					bad(n, "%s", why)
				}
			}
		case *ast.CallExpr:
			if x, ok := n.Fun.(*ast.Ident); ok && (x.Name == "print" || x.Name == "println") && !f.isTest() {
				bad(n, "%s writes to standard error", x.Name)
			}
		}
		return true
	})
	return out
}

// forbidden says why a package may not import target, or nothing.
func forbidden(dir string, r room, target string) string {
	ours, isOurs := strings.CutPrefix(target, module+"/")
	switch {
	case isOurs && strings.HasPrefix(ours, "cmd/"):
		return "nothing imports " + ours
	case isOurs && slices.Contains(r.imports, "..."):
		return ""
	case isOurs && !slices.Contains(r.imports, ours):
		return fmt.Sprintf("package %s may not import %s: imports run one way", dir, ours)
	case isOurs || !r.pure || slices.Contains(r.others, target) || slices.Contains(pureStd, target):
		return ""
	default:
		return fmt.Sprintf("package %s is pure and may not import %s", dir, target)
	}
}

// misuse says why a file may not name something of the standard library, or nothing.
func misuse(file string, r room, use string) string {
	pkg, name, _ := strings.Cut(use, ".")
	switch {
	case slices.Contains(exits, use) && file != mainFile:
		return use + " outside main: return the error"
	case r.pure && pkg == "time" && !slices.Contains(pureTime, name):
		return use + " in a pure room: time is an argument"
	case r.pure && pkg == "fmt" && !slices.Contains(pureFmt, name):
		return use + " in a pure room: it may write or read"
	}
	return ""
}

// TestLawsBite shows that every law is seen to be broken when it is.
func TestLawsBite(t *testing.T) {
	const ours = module + "/"
	for _, c := range []struct{ path, text, want string }{
		{"policy/a.go", "import \"net/netip\"\nvar _ netip.Addr", ""},
		{"policy/a.go", "import \"time\"\nconst d time.Duration = 2 * time.Second", ""},
		{"policy/a.go", "import \"time\"\nvar t = time.Now()", "time.Now in a pure room"},
		{"policy/a.go", "import \"time\"\nvar t time.Time", "time.Time in a pure room"},
		{"policy/a.go", "import . \"time\"\nvar t = Now()", "under its own name"},
		{"policy/a.go", "import \"os\"", "may not import os"},
		{"policy/a.go", "import \"net\"", "may not import net"},
		{"policy/a.go", "import \"math/rand/v2\"", "may not import math/rand/v2"},
		{"policy/a.go", "import \"sync\"", "may not import sync"},
		{"policy/a.go", "import \"sync/atomic\"", "may not import sync/atomic"},
		{"policy/a.go", "import \"context\"", "may not import context"},
		{"policy/a.go", "import \"io/fs\"", "may not import io/fs"},
		{"policy/a.go", "import \"unsafe\"", "may not import unsafe"},
		{"policy/a.go", "import \"C\"", "may not import C"},
		{"policy/a.go", "import \"github.com/miekg/dns\"", "may not import github.com/miekg/dns"},
		{"dnsserver/zone/a.go", "import \"github.com/miekg/dns\"", ""},
		{"policy/a.go", "import \"" + ours + "registry\"", "imports run one way"},
		{"policy/a_test.go", "import \"os\"\nfunc f() { go f(); os.Exit(1) }", ""},
		{"policy/a.go", "func f() { go f() }", "starts no goroutine"},
		{"policy/a.go", "func f() { println(1) }", "standard error"},
		{"policy/a.go", "import \"fmt\"\nfunc f() { fmt.Println(1) }", "may write or read"},
		{"policy/a.go", "import \"fmt\"\nfunc f() { fmt.Sscanf(\"\", \"\") }", "may write or read"},
		{"policy/a.go", "import \"fmt\"\nvar s = fmt.Sprintf(\"\")", ""},
		{"registry/a.go", "func f() { go f() }", ""},
		{"registry/a.go", "import \"" + ours + "configs\"", "imports run one way"},
		{"l7edge/a.go", "import \"" + ours + "dnsserver\"", "imports run one way"},
		{"dnsserver/a.go", "import \"" + ours + "registry\"", ""},
		{"configs/a.go", "import \"" + ours + "probes\"", ""},
		{"configs/a.go", "import \"" + ours + "cmd/meridian\"", "nothing imports"},
		{"configs/a.go", "import _ \"embed\"", ""},
		{"configs/a.go", "import _ \"net/http/pprof\"", "blank import"},
		{"registry/a_test.go", "import _ \"net/http/pprof\"", "blank import"},
		{"registry/a.go", "func init() {}", "func init"},
		{"registry/a_test.go", "func init() {}", "func init"},
		{"registry/a.go", "type t int\nfunc (t) init() {}", ""},
		{"registry/a.go", "import \"os\"\nfunc f() { os.Exit(1) }", "os.Exit outside main"},
		{"registry/a.go", "import l \"log\"\nfunc f() { l.Fatal(1) }", "log.Fatal outside main"},
		{"cmd/meridian/serve.go", "import \"os\"\nfunc f() { os.Exit(1) }", "os.Exit outside main"},
		{mainFile, "import \"os\"\nfunc f() { os.Exit(1) }", ""},
		{"util/a.go", "", "not in the table"},
		{"registry/a.go", strings.Repeat("//\n", maxLines), "601 lines"},
		{"registry/a_test.go", strings.Repeat("//\n", maxLines), "601 lines"},
		{"registry/a.go", strings.Repeat("//\n", maxLines-1), ""},
	} {
		f, err := parse(c.path, []byte("package p\n"+c.text))
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		got := strings.Join(check(f), "\n")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %.60q: got %q, want %q", c.path, c.text, got, c.want)
		}
	}
}
