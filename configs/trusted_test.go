package configs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const small = "services: {web: {endpoints: [192.0.2.1], probe: off}}\nzones: {gslb.example: {file: z.zone, ns: [ns.example.net]}}\n"

func writeFile(t *testing.T, name, text string, mode fs.FileMode) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestReadTrusted(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "z.zone"), "www A 192.0.2.1\n", 0o600)
	name := writeFile(t, filepath.Join(dir, "m.yaml"), small, 0o640)
	c, err := ReadTrusted(name, name)
	if err != nil {
		t.Fatal(err)
	}
	if c.Name() != name || c.Text() != small || c.Files.Len() != 1 {
		t.Errorf("%s %q %d", c.Name(), c.Text(), c.Files.Len())
	}
	open := writeFile(t, filepath.Join(dir, "open.yaml"), small, 0o666)
	for path, want := range map[string]string{open: "everybody may write", dir: "not a regular file", filepath.Join(dir, "none.yaml"): ""} {
		if c, err := ReadTrusted(path, name); c != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("only the superuser can give files away")
	}
	foreign := writeFile(t, filepath.Join(dir, "foreign.yaml"), small, 0o644)
	if err := os.Chown(foreign, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTrusted(foreign, name); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
		t.Error(err)
	}
	if err := os.Chown(name, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTrusted(foreign, name); err != nil {
		t.Errorf("of the owner of the one in force: %v", err)
	}
}

// TestReadAs: the text counts, its paths begin where the file is, and what is wrong has its place.
func TestReadAs(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "z.zone"), "www A 192.0.2.1\n", 0o600)
	name := filepath.Join(dir, "gone.yaml")
	c, err := ReadAs(name, small)
	if err != nil || c.Text() != small || c.Name() != name {
		t.Fatal(err)
	}
	_, err = ReadAs(name, "dsn: {}\n")
	if all := (*Errors)(nil); !errors.As(err, &all) || all.Problems[0].File != name {
		t.Error(err)
	}
}

// TestGlance: the directory for state is found in files with all sorts of mistakes.
func TestGlance(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"state: /var/lib/m\ndns: {listen: \":53\"}\n":             "/var/lib/m",
		"dsn: {}\nstate: sub # here\n":                            filepath.Join(dir, "sub"),
		"zones: {a: {records: [\nstate: \"/var/lib/m\"\nx: : :\n": "/var/lib/m",
		"zones: {a: {records: [\n  state: /inside\n":              "",
		"state: [a]\n":   "",
		"services: {}\n": "",
		"":               "",
		"state:\n":       "",
	} {
		name := writeFile(t, filepath.Join(dir, "m.yaml"), text, 0o600)
		if got, state, err := Glance(name); err != nil || got != text || state != want {
			t.Errorf("%q: %q %v, want %q", text, state, err, want)
		}
	}
	if _, _, err := Glance(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
