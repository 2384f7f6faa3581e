// Package zonefile reads zone files: the master files of RFC 1035 5, with $TTL (RFC 2308 4), unknown types (RFC 3597 5) and BIND's
// $GENERATE. It is pure: what it reads comes from a file system that its caller hands in.
//
// Parse goes on after a mistake and tells all of a file, each with file and line. It reads every file as a stream, entry by entry,
// and keeps nothing of it but the packed records.
package zonefile

import (
	"io/fs"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// A Source says where a zone file is and what it is taken for.
type Source struct {
	// FS holds the zone file and everything it may include. Names in $INCLUDE are relative to the file they stand in and cannot
	// leave FS, so os.Root.FS of the zone file's directory confines them to it, symbolic links included.
	FS     fs.FS
	Name   string    // of the zone file in FS, with slashes
	Dir    string    // put before names of files in Files and Problems, e.g. the directory that FS stands for; may be ""
	Origin wire.Name // apex of the zone; $ORIGIN at the start
	TTL    uint32    // seconds, of records before which the file states none; 0 = the MINIMUM of the SOA, else zone.DefaultTTL
	Path   []string  // Path of the Problems
}

// Bounds of a zone file.
const (
	MaxDepth    = 8         // files that include each other
	MaxFiles    = 10_000    // that are included in all, every time counted
	MaxBytes    = 1 << 30   // of a zone file and what it includes, every time it is included
	MaxEntry    = 512 << 10 // bytes of one entry: a line, or what parentheses make one; the longest RDATA takes 256 KiB
	MaxGenerate = 1_000_000 // records that the $GENERATEs of a zone file make
	MaxMade     = 128 << 20 // bytes of text that they make: a few bytes of a file must not take gigabytes of memory
	MaxProblems = 50        // that are told; the reading stops there
)
