//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/meridian-gslb/meridian/registry/store"
)

// abandoned says whether a state directory is this user's and its store is locked by nobody. The store holds a lock on its file for as
// long as its process lives.
func abandoned(dir string, info fs.FileInfo) bool {
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Getuid() {
		return false
	}
	f, err := os.OpenFile(filepath.Join(dir, store.FileName), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if os.IsNotExist(err) {
		return true
	}
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
