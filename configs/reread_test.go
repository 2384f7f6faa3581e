package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// A desk is a directory with a configuration of two zone files, one of which includes another, and of networks.
type desk struct {
	*testing.T
	dir string
}

func newDesk(t *testing.T) desk {
	d := desk{t, t.TempDir()}
	if err := os.MkdirAll(filepath.Join(d.dir, "zones", "parts"), 0o755); err != nil {
		t.Fatal(err)
	}
	const head = "$TTL 1h\n@ SOA ns.example.net. hostmaster 1 1h 10m 7d 10s\n@ NS ns.example.net.\n"
	d.put("zones/a", head+"www A 192.0.2.1\n$INCLUDE parts/more\n")
	d.put("zones/parts/more", "more A 192.0.2.2\n")
	d.put("zones/b", head+"www A 192.0.2.3\n")
	d.put("nets", "192.0.2.0/24 eu\n")
	d.put("meridian.yaml", "dns:\nsites: {eu: , us: }\ngeo: {networks_file: nets}\nzones:\n  a.example: {file: zones/a}\n  b.example: {file: zones/b, records: {txt: {TXT: here}}}\n")
	return d
}

// put writes a file in place of the one before, as a new one.
func (d desk) put(name, text string) {
	d.Helper()
	path := filepath.Join(d.dir, name)
	put(d.T, path+"~", []byte(text))
	if err := os.Rename(path+"~", path); err != nil {
		d.Fatal(err)
	}
}

func (d desk) read() *Config {
	d.Helper()
	c, err := ReadFile(filepath.Join(d.dir, "meridian.yaml"))
	if err != nil {
		d.Fatal(err)
	}
	return c
}

func (d desk) reread(c *Config) *Config {
	d.Helper()
	c, _, err := Reread(c)
	if err != nil {
		d.Fatal(err)
	}
	return c
}

// has reports whether a name has an address.
func has(t *testing.T, c *Config, name string) bool {
	t.Helper()
	n, err := wire.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return c.Compiled.Zones().Lookup(n, wire.TypeA).Kind == zone.Answer
}

// Each data file is noted once, and any change of any of them is seen; the configuration file is none of them.
func TestFilesChange(t *testing.T) {
	d := newDesk(t)
	c := d.read()
	if n := c.Files.Len(); n != 4 || !c.Files.Same(c.Files.Now()) {
		t.Fatalf("%d files, %v", n, c.Files)
	}
	for name, change := range map[string]func(path string) error{
		"zones/a":          func(path string) error { return os.Remove(path) },
		"zones/parts/more": func(path string) error { return os.Truncate(path, 3) },
		"nets":             func(path string) error { return os.Rename(path+"2", path) },
		"zones/b": func(path string) error {
			return os.Chtimes(path, c.Files.stamps[0].info.ModTime(), c.Files.stamps[0].info.ModTime().Add(1))
		},
	} {
		d := newDesk(t)
		c := d.read()
		d.put("nets2", "192.0.2.0/24 eu\n")
		if err := os.Chtimes(filepath.Join(d.dir, "nets2"), c.Files.stamps[0].info.ModTime(), c.Files.stamps[0].info.ModTime()); err != nil {
			t.Fatal(err)
		}
		if err := change(filepath.Join(d.dir, name)); err != nil {
			t.Fatal(err)
		}
		if now := c.Files.Now(); c.Files.Same(now) || !now.Same(c.Files.Now()) {
			t.Errorf("%s: the change is not seen", name)
		}
	}
	d.put("meridian.yaml", "")
	if !c.Files.Same(c.Files.Now()) || c.Current() {
		t.Error("the configuration file is watched, or its change is not known")
	}
}

// Reread takes what changed and keeps what did not: the very same memory.
func TestReread(t *testing.T) {
	d := newDesk(t)
	was := d.read()
	if !has(t, was, "www.a.example") || !has(t, was, "more.a.example") || !has(t, was, "www.b.example") {
		t.Fatal("the zones are not complete")
	}
	d.put("zones/parts/more", "else A 192.0.2.2\n")
	d.put("meridian.yaml", "not: read\n")
	now := d.reread(was)
	if has(t, now, "more.a.example") || !has(t, now, "else.a.example") || !has(t, now, "www.b.example") {
		t.Error("not what the files say")
	}
	if now.zones["b.example"].rrs != was.zones["b.example"].rrs || now.zones["a.example"].rrs == was.zones["a.example"].rrs {
		t.Error("a zone that changed was kept, or one that did not was read again")
	}
	if now.Compiled.Plan() != was.Compiled.Plan() {
		t.Error("the plan was compiled again")
	}
	if again := d.reread(now); !has(t, again, "else.a.example") || again.Files.Len() != 4 || again.Files.Same(was.Files) || !again.Files.Same(now.Files) {
		t.Errorf("%v", again.Files)
	}

	d.put("nets", "192.0.2.0/24 us\n")
	moved := d.reread(now)
	if n := moved.Definition.Policy.Listed; len(n) != 1 || n[0].Site != "us" || moved.Compiled.Plan() == was.Compiled.Plan() {
		t.Errorf("networks %+v", n)
	}
	if moved.zones["a.example"].rrs != now.zones["a.example"].rrs {
		t.Error("a zone that did not change was read again")
	}
}

// All or nothing: one bad file refuses the good ones that changed with it; what was looked at is known, so that its next change is.
func TestRereadOfMistakes(t *testing.T) {
	d := newDesk(t)
	was := d.read()
	d.put("zones/a", "www A 192.0.2.9\n")
	d.put("zones/b", "www A 192.0.2.999\n$INCLUDE none\n")
	if err := os.Remove(filepath.Join(d.dir, "nets")); err != nil {
		t.Fatal(err)
	}
	c, files, err := Reread(was)
	if c != nil || err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"meridian.yaml:3:22: geo.networks_file: there is no file", "zones/b:1: ", "\n     1 | www A 192.0.2.999", "zones/b:2: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	if !files.Same(files.Now()) || files.Same(was.Files) {
		t.Errorf("%v", files)
	}
	d.put("zones/none", "x A 192.0.2.4\n")
	if files.Same(files.Now()) {
		t.Error("that a missing include appeared is not seen")
	}
	if !has(t, was, "more.a.example") {
		t.Error("what was in force changed")
	}
}

// Includes stay below the directory of their zone file, whatever links say; the zone file itself may lie anywhere.
func TestIncludesStayBelow(t *testing.T) {
	d := newDesk(t)
	d.put("outside", "leak A 192.0.2.66\n")
	for link, to := range map[string]string{"zones/parts/out": "../../outside", "zones/parts/in": "more", "link": "zones/b"} {
		if err := os.Symlink(to, filepath.Join(d.dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(d.dir, "zones/b"))
	if err != nil {
		t.Fatal(err)
	}
	d.put("zones/a", string(text)+"$INCLUDE parts/in\n")
	d.put("meridian.yaml", "dns:\nzones:\n  a.example: {file: zones/a}\n  b.example: {file: link}\n")
	c := d.read()
	if !has(t, c, "more.a.example") || !has(t, c, "www.b.example") {
		t.Error("a link to what lies below, or to a zone file, does not work")
	}
	d.put("zones/a", string(text)+"$INCLUDE parts/out\n")
	if _, _, err := Reread(c); err == nil || !strings.Contains(err.Error(), "parts/out") {
		t.Errorf("a link out of the directory: %v", err)
	}
}

// Zone files are served with CNAMEs and DNAMEs that come to no end, as elsewhere, but every way of reading them says so, with the
// line, also of a zone that was taken over because of what another zone now has.
func TestCirclesAreWarnedOf(t *testing.T) {
	d := newDesk(t)
	const head = "$TTL 1h\n@ SOA ns.example.net. hostmaster 1 1h 10m 7d 10s\n@ NS ns.example.net.\n"
	d.put("zones/a", head+"x CNAME y\ny CNAME x\nfar CNAME www.b.example.\nd DNAME e\ne DNAME d\ngood CNAME z\nz A 192.0.2.1\n")
	check := func(c *Config, want ...string) {
		t.Helper()
		var got []string
		for _, w := range c.Warnings {
			if strings.Contains(w.Message, "lead") {
				got = append(got, w.String())
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d warnings: %q", len(got), got)
		}
		for i := range min(len(got), len(want)) {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%q, want %q", got[i], want[i])
			}
		}
	}
	c := d.read()
	check(c, "zones/a:4: ", "zones/a:5: ", "zones/a:7: ", "zones/a:8: ")
	d.put("zones/b", head+"www CNAME far.a.example.\n")
	check(d.reread(c), "zones/a:4: ", "zones/a:5: ", "zones/a:6: ", "zones/a:7: ", "zones/a:8: ", "zones/b:4: ")
}

// Names that zone files steer refer to services and policies as those under records do, and follow their file.
func TestSteeredZoneFiles(t *testing.T) {
	d := newDesk(t)
	const head = "$TTL 1h\n@ SOA ns.example.net. hostmaster 1 1h 10m 7d 10s\n@ NS ns.example.net.\n"
	d.put("zones/clean", head+"@ MX 10 www\n")
	d.put("zones/a", "$INCLUDE clean\nwww 20 DYNA web!close-by\n")
	d.put("meridian.yaml", "dns:\nservices: {web: {probe: off, endpoints: [192.0.2.1]}, api: {probe: off, endpoints: [192.0.2.2]}}\n"+
		"policies: {close-by: [weighted]}\nzones: {a.example: {file: zones/a}}\n")
	steered := func(c *Config, name string) *zone.Steer {
		t.Helper()
		n, err := wire.ParseName(name)
		if err != nil {
			t.Fatal(err)
		}
		return c.Compiled.Zones().Lookup(n, wire.TypeA).Steer
	}
	was := d.read()
	if s := steered(was, "www.a.example"); s == nil || s.TTL != 20 {
		t.Fatalf("%+v", s)
	}
	if len(was.Warnings) != 1 || !strings.Contains(was.Warnings[0].String(), "services.api: no record") {
		t.Errorf("a service or policy that a zone file uses counts as unused: %v", was.Warnings)
	}
	d.put("zones/a", "$INCLUDE clean\nwww 20 DYNA web\nx DYNA appi\n")
	if c, _, err := Reread(was); c != nil || err == nil || !strings.Contains(err.Error(), "zones/a:3: zones[\"a.example\"].file: unknown service \"appi\" (did you mean \"api\"?)") {
		t.Errorf("got %v", err)
	}
	d.put("zones/a", "$INCLUDE clean\nwww 20 DYNA web\nx DYNA api\n")
	now := d.reread(was)
	if s := steered(now, "x.a.example"); s == nil || s.Service != 1 || len(now.Warnings) != 1 || !strings.Contains(now.Warnings[0].String(), "policies.close-by") {
		t.Errorf("%+v, %v", s, now.Warnings)
	}
	if now.Compiled.Plan() != was.Compiled.Plan() {
		t.Error("the plan was compiled again")
	}
	d.put("zones/unrelated", "")
	if again := d.reread(now); steered(again, "x.a.example") == nil || len(again.Warnings) != 1 {
		t.Errorf("taken over: %v", again.Warnings)
	}
}
