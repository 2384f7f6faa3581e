//go:build !unix

package configs

import "io/fs"

// ownerOf returns the user that a file belongs to: only Unix says so with a number.
func ownerOf(fs.FileInfo) (string, bool) { return "", false }

// sameOwner reports whether two files belong to the same user and group, as far as can be told.
func sameOwner(fs.FileInfo, fs.FileInfo) bool { return true }
