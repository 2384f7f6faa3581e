//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/registry/store"
)

// TestRemoveStale: what a killed dev left is removed; what somebody uses, what is young and what is not ours stays.
func TestRemoveStale(t *testing.T) {
	temp := t.TempDir()
	make := func(name string, withState bool) *store.DB {
		t.Helper()
		dir := filepath.Join(temp, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if !withState {
			return nil
		}
		db, err := store.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	make(devDirs+"empty", false)
	if err := make(devDirs+"killed", true).Close(); err != nil {
		t.Fatal(err)
	}
	used := make(devDirs+"used", true)
	defer used.Close()
	make("another", false)
	if err := os.WriteFile(filepath.Join(temp, devDirs+"file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	if err := os.WriteFile(filepath.Join(elsewhere, "kept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(temp, devDirs+"link")); err != nil {
		t.Fatal(err)
	}
	remaining := func() []string {
		entries, err := os.ReadDir(temp)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	before := remaining()
	removeStale(temp, time.Now())
	if got := remaining(); !slices.Equal(got, before) {
		t.Errorf("young ones: %v, want %v", got, before)
	}
	removeStale(temp, time.Now().Add(time.Hour))
	want := []string{"another", devDirs + "file", devDirs + "link", devDirs + "used"}
	if got := remaining(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "kept")); err != nil {
		t.Error(err)
	}
	removeStale(filepath.Join(temp, "nowhere"), time.Now())
}
