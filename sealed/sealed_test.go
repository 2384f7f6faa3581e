package sealed

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestDamage: a file is what was written, or known not to be, wherever it is cut or changed.
func TestDamage(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a", "b", "file")
	if _, err := Read(name, "kind 1"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, body := range []string{"", "text\nand more\n"} {
		if err := Write(name, "kind 1", []byte(body)); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(name, "kind 1"); err != nil || string(got) != body {
			t.Fatalf("%q, %v", got, err)
		}
		if _, err := Read(name, "kind 2"); !errors.Is(err, ErrDamaged) {
			t.Errorf("of another kind: %v", err)
		}
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range whole {
			flipped := slices.Clone(whole)
			flipped[i] ^= 0x10
			for what, data := range map[string][]byte{"cut": whole[:i], "changed": flipped, "longer": append(slices.Clone(whole), byte(i))} {
				if err := os.WriteFile(name, data, 0o600); err != nil {
					t.Fatal(err)
				}
				if got, err := Read(name, "kind 1"); !errors.Is(err, ErrDamaged) {
					t.Fatalf("%s at %d: %q, %v", what, i, got, err)
				}
			}
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(name), ".new*")); err != nil || left != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestWriteFails: what there was stays, and nothing lies about.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(name, "x"), 0o700); err != nil { // a directory cannot be replaced
		t.Fatal(err)
	}
	if err := Write(name, "kind 1", []byte("a")); err == nil {
		t.Error("a directory was replaced")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestNumbers(t *testing.T) {
	s := Series{filepath.Join(t.TempDir(), "s"), "a-", ".x"}
	if got, err := s.Numbers(); err != nil || got != nil {
		t.Error(got, err)
	}
	for _, n := range []uint64{12, 3, 12345678901} {
		if err := Write(s.File(n), "k", nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range []string{"a-3.x", "a-0000000004.y", "b-0000000004.x", "a--000000004.x", "0000000004"} {
		if err := os.WriteFile(filepath.Join(s.Dir, other), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Numbers(); err != nil || !slices.Equal(got, []uint64{3, 12, 12345678901}) {
		t.Error(got, err)
	}
}
