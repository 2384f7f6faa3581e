//go:build !linux

package configs

import (
	"os"
	"testing"
)

// unprivileged runs f, which needs a user who may not read everything.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() == 0 {
		t.Fatal("this test cannot run as root")
	}
	f()
}
