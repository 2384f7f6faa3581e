package main

import (
	"os"
	"path/filepath"
	"time"
)

// devDirs is how `meridian dev` names its temporary directories.
const devDirs = "meridian-dev-"

// removeStale removes temporary directories that an earlier dev left behind because it was killed: those of this user whose state
// nobody has open. Young ones are left alone, as their process may not have opened its state yet. What cannot be removed stays.
func removeStale(temp string, now time.Time) {
	const young = time.Minute
	dirs, err := filepath.Glob(filepath.Join(temp, devDirs+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err == nil && info.IsDir() && now.Sub(info.ModTime()) > young && abandoned(dir, info) {
			os.RemoveAll(dir)
		}
	}
}
