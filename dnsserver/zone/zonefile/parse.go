package zonefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
)

// Parse reads a zone file. It returns its records in order, or no records and all problems it can tell, at most MaxProblems. The
// files it read, or tried to, are named in either case, the zone file first and each once, so that they can be watched.
//
// What needs more than one record to be judged, such as a CNAME beside other data, is judged by zone.Compile.
func Parse(s Source) (rrs *zone.RRs, files []string, problems []policy.Problem) {
	p := &parser{source: s, out: new(zone.RRs), left: MaxBytes}
	if err := p.include(s.Name, s.Origin, ttls{}); err != nil {
		p.problem(0, 0, err)
	}
	if len(p.problems) > 0 {
		return nil, p.files, p.problems
	}
	p.out.Clip()
	return p.out, p.files, nil
}

// A parser holds what the files of one zone share.
type parser struct {
	source    Source
	out       *zone.RRs
	files     []string // as in out
	open      []string // names in source.FS of the files being read, each included by the one before
	problems  []policy.Problem
	left      int64 // bytes that may still be read
	opened    int   // files so far
	generated int   // records of $GENERATE so far
	made      int   // bytes of their text
	signed    bool  // that DNSSEC records are not served was told
	minimum   uint32
	hasSOA    bool // minimum is known

	steers  map[string][]byte // RDATA of lines that steer, by what stands behind the owner
	values  zone.RDataParser
	rdata   []byte // of the record at hand
	rebuilt []byte
}

// ttls are the defaults of records without a TTL (RFC 2308 4, 1035 5.1).
type ttls struct {
	stated, last       uint32 // by $TTL; of the last record that had its own
	hasStated, hasLast bool
}

// A file is one file being read.
type file struct {
	*parser
	scan   *scanner
	pos    uint16 // of the file in out
	name   string // in source.FS
	origin wire.Name
	owner  []byte // of the last record; empty at first
	ttls   ttls
}

// full reports whether enough problems were found to stop.
func (p *parser) full() bool { return len(p.problems) >= MaxProblems }

// problem notes something wrong in a line of a file of the list; 0 means the file as a whole.
func (p *parser) problem(file, line int, err error) {
	if p.full() {
		return
	}
	p.problems = append(p.problems, policy.Problem{Path: p.source.Path, File: p.files[file], Line: line, Msg: err.Error()})
}

// addFile returns the position of a file in the list.
func (p *parser) addFile(name string) int {
	shown := path.Join(p.source.Dir, name)
	if i := slices.Index(p.files, shown); i >= 0 {
		return i
	}
	p.files = append(p.files, shown)
	return int(p.out.AddFile(shown))
}

// include reads a file. It returns an error if the file cannot be opened; what is wrong in it goes to the problems.
func (p *parser) include(name string, origin wire.Name, t ttls) error {
	pos := p.addFile(name)
	if p.opened++; p.opened > MaxFiles {
		return fmt.Errorf("more than %d files are included", MaxFiles)
	}
	in, err := p.source.FS.Open(name)
	if err != nil {
		return cannotOpen(err)
	}
	defer in.Close() //nolint:errcheck // nothing was written
	p.open = append(p.open, name)
	f := &file{parser: p, scan: newScanner(in, &p.left), pos: uint16(pos), name: name, origin: origin, ttls: t}
	f.read()
	p.open = p.open[:len(p.open)-1]
	return nil
}

// cannotOpen says why a file cannot be opened; which one it is, its reader knows.
func cannotOpen(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("there is no such file")
	}
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}

// read reads the entries of the file to the end.
func (f *file) read() {
	for !f.full() {
		err := f.scan.next()
		var end fatal
		switch {
		case errors.Is(err, io.EOF):
			return
		case errors.As(err, &end):
			f.problem(int(f.pos), 0, end.error)
			return
		}
		if err == nil {
			err = f.entry(&f.scan.entry)
		}
		if err != nil && !errors.Is(err, errToldBefore) {
			f.problem(int(f.pos), f.scan.entry.line, err)
		}
	}
}

// entry reads one entry: a directive or a record.
func (f *file) entry(e *entry) error {
	first := e.word(0)
	if e.indent || e.tokens[0].quoted || first[0] != '$' {
		return f.record(e)
	}
	switch string(bytes.ToUpper(first)) {
	case "$ORIGIN":
		return f.setOrigin(e)
	case "$TTL":
		return f.setTTL(e)
	case "$INCLUDE":
		return f.includeFrom(e)
	case "$GENERATE":
		return f.generate(e)
	}
	return fmt.Errorf("there is no directive %s; $ORIGIN, $TTL, $INCLUDE and $GENERATE are known", first)
}

// record reads a record: [owner] [TTL] [class] type RDATA, TTL and class in either order (RFC 1035 5.1).
func (f *file) record(e *entry) error {
	i := 0
	if !e.indent {
		if err := f.setOwner(e); err != nil {
			return err
		}
		i = 1
	} else if len(f.owner) == 0 {
		return errors.New("the record has no owner, and none stands before it")
	}
	var ttl uint32
	hasTTL, hasClass := false, false
	for ; ; i++ {
		if i == len(e.tokens) || e.tokens[i].quoted {
			return errors.New("the record has no type")
		}
		switch word := e.word(i); {
		case !hasTTL && len(word) > 0 && isDigit(word[0]):
			n, err := parseTTL(word)
			if err != nil {
				return err
			}
			ttl, hasTTL = n, true
			continue
		case !hasClass && isClass(word):
			if !bytes.EqualFold(word, []byte("IN")) && string(bytes.ToUpper(word)) != "CLASS1" {
				return fmt.Errorf("class %s is not served, only IN is", word)
			}
			hasClass = true
			continue
		}
		break
	}
	var rrtype uint16
	var err error
	if kind := steerKind(e.word(i)); kind != "" {
		rrtype = zone.TypeSteered
		f.rdata, err = f.steer(f.rdata[:0], kind, e, i+1)
	} else if rrtype, err = f.rrtype(e.word(i)); err == nil {
		f.rdata, err = f.appendRData(f.rdata[:0], rrtype, e, i+1)
	}
	if err != nil {
		return err
	}
	if rrtype == wire.TypeSOA && !f.hasSOA {
		f.minimum, f.hasSOA = soaMinimum(f.rdata), true
	}
	if hasTTL {
		f.ttls.last, f.ttls.hasLast = ttl, true
	} else {
		ttl = f.defaultTTL()
	}
	if rrtype == zone.TypeSteered && ttl == 0 {
		return errors.New("a steered name needs a TTL of 1 s or more")
	}
	return f.add(zone.RR{Owner: f.owner, Type: rrtype, TTL: ttl, RData: f.rdata, File: f.pos, Line: uint32(e.line)})
}

// add keeps a record.
func (f *file) add(rr zone.RR) error {
	if !rr.Owner.IsSubdomainOf(f.source.Origin) {
		return fmt.Errorf("%s is outside the zone %s", rr.Owner, f.source.Origin)
	}
	if !f.full() && len(f.problems) == 0 && !f.out.Append(rr) {
		return fatal{errors.New("the zone's records take more than 2 GiB")}
	}
	return nil
}

// setOwner reads the owner that an entry begins with.
func (f *file) setOwner(e *entry) error {
	if e.tokens[0].quoted {
		return errors.New("the owner is quoted")
	}
	name, err := appendName(f.owner[:0], e.word(0), f.origin)
	if err != nil {
		f.owner = f.owner[:0]
		return fmt.Errorf("%q is not a name: %w", e.word(0), err)
	}
	f.owner = name
	return nil
}

// defaultTTL returns the TTL of a record without one.
func (f *file) defaultTTL() uint32 {
	switch t := &f.ttls; {
	case t.hasStated:
		return t.stated
	case t.hasLast:
		return t.last
	case f.source.TTL != 0:
		return f.source.TTL
	case f.hasSOA:
		return min(f.minimum, zone.MaxTTL)
	default:
		return zone.DefaultTTL
	}
}
