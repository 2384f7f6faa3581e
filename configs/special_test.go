//go:build unix

package configs

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What is no regular file is refused, and does not hold anybody up: opening a FIFO that nobody writes to would wait for ever.
func TestSpecialFiles(t *testing.T) {
	d := newDesk(t)
	c := d.read()
	for name, want := range map[string]string{"zones/a": "zones/a", "zones/parts/more": "parts/more", "nets": "nets"} {
		path := filepath.Join(d.dir, name)
		if err := os.Rename(path, path+".was"); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(path, 0o644); err != nil {
			t.Skip(err)
		}
		done := make(chan error, 1)
		go func() {
			_, _, err := Reread(c)
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "not a regular file") {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s: reading waits for a writer", name)
		}
		if err := os.Rename(path+".was", path); err != nil {
			t.Fatal(err)
		}
	}
}

// What was refused is not read again before it changes, though a look at it from outside may succeed; a change of who may read it is one.
func TestRefusedIsNotRetried(t *testing.T) {
	d := newDesk(t)
	c := d.read()
	d.put("outside", "leak A 192.0.2.66\n")
	more := filepath.Join(d.dir, "zones/parts/more")
	if err := os.Remove(more); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../outside", more); err != nil {
		t.Fatal(err)
	}
	_, files, err := Reread(c)
	if err == nil {
		t.Fatal("a link out of the directory is followed")
	}
	if !files.Same(files.Now()) {
		t.Error("the refused file would be read again at every look")
	}
	if err := os.Chmod(filepath.Join(d.dir, "zones/b"), 0o600); err != nil {
		t.Fatal(err)
	}
	if files.Same(files.Now()) {
		t.Error("that other users may read a file, or may not any more, is not seen")
	}
}
