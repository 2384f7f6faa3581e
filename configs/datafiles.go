package configs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// errNoFiles is why a text without a place in a file system cannot name data files.
var errNoFiles = errors.New("a configuration that is not a file cannot name other files")

// A setting is where a configuration stands: what the names of files in it mean.
type setting struct {
	open     func(path string) (fs.File, error)
	openIn   func(dir, name string) (fs.File, error) // the same, of what is in a directory or below it, wherever links lead
	resolve  func(path string) string                // relative paths of data files begin at the directory of the file
	native   bool                                    // it is a file of the operating system; other paths in it begin at its directory too
	look     bool                                    // at certificates and the directory for state
	readers  int                                     // how many data files are read at a time
	previous *Config                                 // what data files that did not change since need not be read again for; nil: none
}

// alone is the setting of a text.
func alone() setting {
	return setting{
		open:    func(string) (fs.File, error) { return nil, errNoFiles },
		openIn:  func(string, string) (fs.File, error) { return nil, errNoFiles },
		resolve: func(path string) string { return path },
		readers: 1,
	}
}

// opened is how data files are opened: a FIFO that nobody writes to must not hold up whoever reads.
const opened = os.O_RDONLY | syscall.O_NONBLOCK

// below is the setting of a file of the operating system.
func below(dir string) setting {
	return setting{
		open: func(path string) (fs.File, error) { return os.OpenFile(path, opened, 0) },
		openIn: func(dir, name string) (fs.File, error) {
			root, err := os.OpenRoot(dir)
			if err != nil {
				return nil, err
			}
			defer root.Close()
			return root.OpenFile(name, opened, 0)
		},
		resolve: func(path string) string {
			switch {
			case path == "":
				return ""
			case filepath.IsAbs(path):
				return filepath.Clean(path)
			}
			return filepath.Join(dir, path)
		},
		native: true,
	}
}

// Files are data files that a configuration names, directly or through another, as they were when they were read. The value does not
// change and costs nothing to copy.
type Files struct{ stamps []stamp } // in the order of their paths, each once

// A stamp is what tells that a file changed: another file under the name, another size, another time of change, others who may read it.
type stamp struct {
	path string
	info fs.FileInfo // nil: there was nothing to read
}

// Len returns the number of files.
func (f Files) Len() int { return len(f.stamps) }

// Now returns the same files as they are now.
func (f Files) Now() Files {
	now := make([]stamp, len(f.stamps))
	for i, s := range f.stamps {
		now[i] = s.now()
	}
	return Files{now}
}

// find returns the stamp of a file.
func (f Files) find(path string) (stamp, bool) {
	i, ok := slices.BinarySearchFunc(f.stamps, path, func(s stamp, path string) int { return strings.Compare(s.path, path) })
	if !ok {
		return stamp{}, false
	}
	return f.stamps[i], true
}

// sort puts the files in the order of their names, and keeps each once: as it was when it was first read.
func (f *Files) sort() {
	slices.SortStableFunc(f.stamps, func(a, b stamp) int { return strings.Compare(a.path, b.path) })
	f.stamps = slices.CompactFunc(f.stamps, func(a, b stamp) bool { return a.path == b.path })
}

// now returns the stamp of the file as it is now.
func (s stamp) now() stamp {
	info, err := os.Stat(s.path)
	if err != nil {
		info = nil
	}
	return stamp{s.path, info}
}

// Same reports whether both are the same files, unchanged. Contents are not compared.
func (f Files) Same(other Files) bool { return slices.EqualFunc(f.stamps, other.stamps, stamp.same) }

func (s stamp) same(t stamp) bool {
	switch {
	case s.path != t.path || (s.info == nil) != (t.info == nil):
		return false
	case s.info == nil:
		return true
	}
	return s.info.Size() == t.info.Size() && s.info.ModTime().Equal(t.info.ModTime()) && s.info.Mode() == t.info.Mode() && sameOwner(s.info, t.info) &&
		os.SameFile(s.info, t.info)
}

// openData opens a data file and notes it.
func (f *file) openData(path string) (fs.File, error) {
	return f.openNoted(path, func() (fs.File, error) { return f.setting.open(path) })
}

// openNoted notes a data file that open opens. The stamp is taken before anything is read, so that a change meanwhile is seen as one;
// of a file that cannot be opened it is the one that a look from outside finds, as the next look will.
func (f *file) openNoted(path string, open func() (fs.File, error)) (fs.File, error) {
	before := stamp{path: path}
	if f.setting.native {
		before = before.now()
	}
	r, err := open()
	if err != nil {
		f.note(before)
		return nil, err
	}
	info, err := r.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = errors.New("is a directory")
	case !info.Mode().IsRegular():
		err = errors.New("is not a regular file")
	}
	if err != nil {
		f.note(before)
		r.Close()
		return nil, err
	}
	f.note(stamp{path, info})
	return r, nil
}

// note notes data files. It may be called from several goroutines at a time.
func (f *file) note(stamps ...stamp) {
	f.noting.Lock()
	defer f.noting.Unlock()
	f.config.Files.stamps = append(f.config.Files.stamps, stamps...)
}

// readData reads a data file of at most limit bytes whole.
func (f *file) readData(path string, limit int64) (string, error) {
	var text strings.Builder
	err := f.copyData(&text, path, limit)
	return text.String(), err
}

// readBytes is readData for what is no text.
func (f *file) readBytes(path string, limit int64) ([]byte, error) {
	var data bytes.Buffer
	err := f.copyData(&data, path, limit)
	return data.Bytes(), err
}

// copyData copies a data file of at most limit bytes to memory.
func (f *file) copyData(to interface {
	io.Writer
	Grow(n int)
	Len() int
}, path string, limit int64) error {
	r, err := f.openData(path)
	if err != nil {
		return err
	}
	defer r.Close()
	if info, err := r.Stat(); err == nil {
		to.Grow(int(min(info.Size()+bytes.MinRead, limit)))
	}
	if _, err := io.Copy(to, io.LimitReader(r, limit+1)); err != nil {
		return err
	}
	if int64(to.Len()) > limit {
		return fmt.Errorf("has more than %d MiB", limit>>20)
	}
	return nil
}

// An openError is a configuration file that cannot be read.
type openError struct {
	name string
	err  error
}

func (e *openError) Error() string { return "configs: " + cannotOpen(e.name, e.err) }
func (e *openError) Unwrap() error { return e.err }

// cannotRead reports that a data file that v names cannot be read.
func (f *file) cannotRead(v value, path string, err error) {
	f.errorf(v, "%s", unreadable(v.Value, path, err))
}

// unreadable says why a file cannot be read. written is how the configuration names it.
func unreadable(written, path string, err error) string {
	said := cannotOpen(path, err)
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNoFiles) && !filepath.IsAbs(written) {
		said += " (a relative path begins at the directory of this file)"
	}
	return said
}

// cannotOpen says why a file cannot be read.
func cannotOpen(path string, err error) string {
	var pathErr *fs.PathError
	switch {
	case errors.Is(err, errNoFiles):
		return err.Error()
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("there is no file %q", path)
	case errors.Is(err, fs.ErrPermission):
		return denied(path, processUser())
	case errors.As(err, &pathErr):
		return fmt.Sprintf("%q: %v", path, pathErr.Err)
	}
	return fmt.Sprintf("%q %v", path, err)
}

// dataProblem reports something wrong in a data file; path is the key that names the file. Column 0 is the line as a whole. The line
// itself is looked up when it is clear that the problem is shown.
func (f *file) dataProblem(file string, line, column int, path *step, msg string) {
	f.errors.add(Problem{File: file, Line: line, Column: column, Path: path.String(), Message: msg})
}

// showLines fills in the lines of data files that problems are on. Secrets are not shown.
func (f *file) showLines(problems []Problem) {
	wanted := map[string]map[int]bool{}
	for _, p := range problems {
		if p.File != f.file && p.Line > 0 && !f.hidden[p.File] {
			if wanted[p.File] == nil {
				wanted[p.File] = map[int]bool{}
			}
			wanted[p.File][p.Line] = true
		}
	}
	for name, lines := range wanted {
		found := f.linesOf(name, lines)
		for i, p := range problems {
			if text, ok := found[p.Line]; ok && p.File == name {
				problems[i].Source, problems[i].caret = excerpt(text, p.Column)
			}
		}
	}
}

// linesOf returns some lines of a file; those that are not there any more are left out.
func (f *file) linesOf(name string, wanted map[int]bool) map[int]string {
	r, err := f.setting.open(name)
	if err != nil {
		return nil
	}
	defer r.Close()
	found := map[int]string{}
	eachLine(r, func(number int, line []byte) bool {
		if wanted[number] {
			found[number] = strings.ToValidUTF8(string(line), "\ufffd")
		}
		return len(found) < len(wanted)
	})
	return found
}

// eachLine calls f with each line of a text and its number until f has enough. Lines are cut off where they are very long.
func eachLine(r io.Reader, f func(number int, line []byte) bool) {
	const longest = 4096
	in := bufio.NewReaderSize(r, longest)
	for number := 1; ; number++ {
		line, more, err := in.ReadLine()
		if err != nil || !f(number, line) {
			return
		}
		for more && err == nil {
			_, more, err = in.ReadLine()
		}
	}
}
