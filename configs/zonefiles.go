package configs

import (
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/dnsserver/zone/zonefile"
	"github.com/meridian-gslb/meridian/policy"
)

// A zoneFile is where a zone names its file.
type zoneFile struct {
	at   value
	zone int // position in the zones
	path string

	rrs      *zone.RRs
	err      error // the file itself cannot be read
	problems []policy.Problem
}

// A place is a line of a data file.
type place struct {
	file string
	line int
}

// A readZone is what was in the file of a zone.
type readZone struct {
	path string
	rrs  *zone.RRs
}

// readZoneFiles reads the files of all zones, as many at a time as the setting allows, and gives the zones what is in them.
func (f *file) readZoneFiles() {
	var next chan *zoneFile
	var readers sync.WaitGroup
	if f.setting.readers > 1 {
		next = make(chan *zoneFile)
		for range f.setting.readers {
			readers.Go(func() {
				for z := range next {
					f.readZoneFile(z)
				}
			})
		}
	}
	for i := range f.zoneFiles {
		if z := &f.zoneFiles[i]; next != nil {
			next <- z
		} else {
			f.readZoneFile(z)
		}
	}
	if next != nil {
		close(next)
		readers.Wait()
	}
	for i := range f.zoneFiles {
		f.takeZoneFile(&f.zoneFiles[i])
	}
}

// readZoneFile reads the file of one zone. Several may be read at a time: what is wrong is kept for takeZoneFile.
func (f *file) readZoneFile(z *zoneFile) {
	spec := &f.zones[z.zone]
	origin, err := wire.ParseName(spec.Name)
	if z.path == "" || err != nil {
		return // which is reported
	}
	if z.rrs = f.unchanged(zoneKey(spec), z.path); z.rrs != nil {
		return
	}
	main, err := f.openData(z.path)
	if err != nil {
		z.err = err
		return
	}
	defer main.Close()
	tree := &zoneTree{file: f, dir: filepath.Dir(z.path), name: filepath.Base(z.path), main: main}
	z.rrs, _, z.problems = zonefile.Parse(zonefile.Source{
		FS: tree, Name: tree.name, Dir: filepath.ToSlash(tree.dir), Origin: origin, TTL: spec.TTL, Path: spec.Path("file"),
	})
}

// takeZoneFile gives a zone the records of its file, or reports what is wrong with it.
func (f *file) takeZoneFile(z *zoneFile) {
	spec := &f.zones[z.zone]
	spec.File, spec.RRs = z.path, z.rrs
	if z.rrs != nil {
		f.takeSteers(z)
		return
	}
	if z.err != nil {
		f.cannotRead(z.at, z.path, z.err)
	}
	for _, p := range z.problems {
		f.dataProblem(p.File, p.Line, 0, z.at.path, p.Msg)
	}
	if z.err != nil || len(z.problems) > 0 {
		f.blamed[z.at.path.up.String()] = true // what the rest of the zone refers to may stand in the file
	}
}

// takeSteers notes what the names that a zone file steers refer to, and reports what does not exist.
func (f *file) takeSteers(z *zoneFile) {
	for _, s := range z.rrs.Steers() {
		if s.Policy == "" {
			s.Policy = policy.DefaultPolicy
		}
		f.uses[s.Service], f.uses["policy "+s.Policy] = true, true
		at := place{z.rrs.Files()[s.File], int(s.Line)}
		f.fileReference(z, at, "service", s.Service, f.services)
		f.fileReference(z, at, "policy", s.Policy, f.policies)
	}
}

// fileReference is reference for a word in a zone file.
func (f *file) fileReference(z *zoneFile, at place, what, word string, known names) {
	if known.has[word] {
		return
	}
	msg, suggestion := unknown(what, word, known)
	if word == edgeService && what == "service" {
		msg, suggestion = "the edges cannot be named in a zone file; write the name under records, with \"via: edge\"", ""
	}
	f.errors.add(Problem{File: at.file, Line: at.line, Path: z.at.path.String(), Message: msg, Suggestion: suggestion})
	f.misread[at] = true
}

// zoneKey returns what tells a zone from all others.
func zoneKey(z *zone.Spec) string {
	if z.View == "" {
		return z.Name
	}
	return z.View + "\x00" + z.Name
}

// unchanged returns the records of a zone, by its key, of the configuration before if all files that they came from are as they were.
func (f *file) unchanged(key, path string) *zone.RRs {
	if f.setting.previous == nil {
		return nil
	}
	was, ok := f.setting.previous.zones[key]
	if !ok || was.path != path {
		return nil
	}
	if !f.unchangedFiles(was.rrs.Files()...) {
		return nil
	}
	return was.rrs
}

// unchangedFiles reports whether data files are as they were when the configuration before was read, and notes them if so.
func (f *file) unchangedFiles(names ...string) bool {
	if f.setting.previous == nil {
		return false
	}
	var now []stamp
	for _, name := range names {
		s, ok := f.setting.previous.Files.find(name)
		if !ok || !s.same(s.now()) {
			return false
		}
		now = append(now, s)
	}
	f.note(now...)
	return true
}

// A zoneTree is what the parser of zone files sees of a file system: the zone's file, and what lies in its directory and below, which
// is all that it may include. Each file that is opened is noted.
type zoneTree struct {
	*file
	dir, name string
	main      fs.File // the zone's file; nil once it was handed out
}

// Open implements fs.FS.
func (t *zoneTree) Open(name string) (fs.File, error) {
	if main := t.main; name == t.name && main != nil {
		t.main = nil
		return main, nil
	}
	return t.openNoted(filepath.Join(t.dir, filepath.FromSlash(name)), func() (fs.File, error) { return t.setting.openIn(t.dir, name) })
}
