package generations

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T) *Dir {
	t.Helper()
	return In(filepath.Join(t.TempDir(), "state"))
}

// add keeps generations with texts.
func add(t *testing.T, d *Dir, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := d.Add(Generation{Text: text, File: "/etc/m.yaml", Own: "/etc/m.yaml", How: "reload", Time: time.Unix(5, 0).UTC()}); err != nil {
			t.Fatal(err)
		}
	}
}

// kept is what is kept: numbers and texts.
func kept(t *testing.T, d *Dir) string {
	t.Helper()
	list, damaged := d.List()
	if damaged != nil {
		t.Error(damaged)
	}
	var b strings.Builder
	for _, g := range list {
		fmt.Fprintf(&b, "%d%s ", g.Number, g.Text)
	}
	return b.String()
}

// TestKeepsFive: the last five, and those that are needed; numbers are never given twice. Another Dir reads what one wrote.
func TestKeepsFive(t *testing.T) {
	d := open(t)
	if got := kept(t, d); got != "" {
		t.Error(got)
	}
	add(t, d, "a", "b", "c", "d", "e")
	if got := kept(t, d); got != "1a 2b 3c 4d 5e " {
		t.Error(got)
	}
	if _, err := d.Add(Generation{Text: "f"}, 1); err != nil {
		t.Fatal(err)
	}
	if err := d.Pin(Pin{Generation: 3, Own: "/etc/m.yaml", Instead: Sum("x"), How: "rollback"}); err != nil {
		t.Fatal(err)
	}
	add(t, d, "g", "h", "i")
	if got := kept(t, d); got != "3c 5e 6f 7g 8h 9i " {
		t.Error(got)
	}
	again := &Dir{files: d.files}
	g, err := again.Get(9)
	if want := (Generation{9, time.Unix(5, 0).UTC(), "/etc/m.yaml", "/etc/m.yaml", "reload", "i"}); err != nil || g != want {
		t.Errorf("%+v %v", g, err)
	}
	if p, err := again.Pinned(); err != nil || p.Generation != 3 || p.Instead != Sum("x") {
		t.Errorf("%+v %v", p, err)
	}
	for range 2 {
		if err := d.Unpin(); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.Pinned(); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	add(t, d, "j")
	if got := kept(t, d); got != "6f 7g 8h 9i 10j " {
		t.Error(got)
	}
	if _, err := d.Get(3); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	if info, err := os.Stat(d.files.File(10)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if names, err := filepath.Glob(filepath.Join(d.files.Dir, ".new*")); err != nil || len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}

// TestDamage: whatever byte changes, wherever a file ends, it is found out; the others are as they were, and the next older one stands in.
func TestDamage(t *testing.T) {
	d := open(t)
	add(t, d, "a", "b", "c: {d: 1}")
	if err := d.Pin(Pin{Generation: 3}); err != nil {
		t.Fatal(err)
	}
	pin := filepath.Join(d.files.Dir, pinName)
	for _, name := range []string{d.files.File(3), pin} {
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		try := func(data []byte, what string) {
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if name == pin {
				if _, err := d.Pinned(); err == nil || errors.Is(err, ErrNone) {
					t.Errorf("%s: a pin: %v", what, err)
				}
				return
			}
			if _, err := d.Get(3); err == nil || !strings.Contains(err.Error(), "generation 3") {
				t.Errorf("%s: %v", what, err)
			}
			list, damaged := d.List()
			if len(list) != 2 || len(damaged) != 1 {
				t.Errorf("%s: %d good, %v", what, len(list), damaged)
			}
			if g, damage, err := d.GetOrOlder(3); err != nil || g.Number != 2 || damage == nil {
				t.Errorf("%s: %+v %v %v", what, g, damage, err)
			}
		}
		for i := range whole {
			try(whole[:i], fmt.Sprintf("cut at %d", i))
			flipped := slices.Clone(whole)
			flipped[i] ^= 0x20
			try(flipped, fmt.Sprintf("byte %d", i))
		}
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := kept(t, d); got != "1a 2b 3c: {d: 1} " {
		t.Error(got)
	}
	if g, damage, err := d.GetOrOlder(3); err != nil || damage != nil || g.Number != 3 {
		t.Errorf("%+v %v %v", g, damage, err)
	}
	if _, _, err := d.GetOrOlder(0); err == nil {
		t.Error("there is nothing older than the first")
	}
	if data, err := os.ReadFile(d.files.File(2)); err != nil || os.WriteFile(d.files.File(1), data, 0o600) != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(1); err == nil || !strings.Contains(err.Error(), "holds generation 2") {
		t.Errorf("a file under the name of another: %v", err)
	}
}

// TestNowhere: what cannot be written is an error, and nothing is kept.
func TestNowhere(t *testing.T) {
	d := In("/dev/null/state")
	if _, err := d.Add(Generation{}); err == nil {
		t.Error("added to nowhere")
	}
	if err := d.Pin(Pin{}); err == nil {
		t.Error("pinned nowhere")
	}
	if list, damaged := d.List(); len(list) != 0 || len(damaged) != 1 {
		t.Error(list, damaged)
	}
	if _, err := d.Pinned(); err == nil || errors.Is(err, ErrNone) {
		t.Error(err)
	}
}
