package configs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// errNoFiles is why a text without a place in a file system cannot name data files.
var errNoFiles = errors.New("a configuration that is not a file cannot name other files")

// A setting is where a configuration stands: what the names of files in it mean.
type setting struct {
	open     func(path string) (fs.File, error)
	resolve  func(path string) string // relative paths of data files begin at the directory of the file
	native   bool                     // it is a file of the operating system; other paths in it begin at its directory too
	look     bool                     // at certificates and the directory for state
	readers  int                      // how many data files are read at a time
	previous *Config                  // what data files that did not change since need not be read again for; nil: none
}

// alone is the setting of a text.
func alone() setting {
	return setting{
		open:    func(string) (fs.File, error) { return nil, errNoFiles },
		resolve: func(path string) string { return path },
		readers: 1,
	}
}

// below is the setting of a file of the operating system.
func below(dir string) setting {
	return setting{
		open: func(path string) (fs.File, error) { return os.Open(path) },
		resolve: func(path string) string {
			if path == "" || filepath.IsAbs(path) {
				return path
			}
			return filepath.Join(dir, path)
		},
		native: true,
	}
}

// Files are data files that a configuration names, directly or through another, as they were when they were read. The value does not
// change and costs nothing to copy.
type Files struct{ stamps []stamp }

// A stamp is what tells that a file changed: another file under the name, another size, another time of change.
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
		info, err := os.Stat(s.path)
		if err != nil {
			info = nil
		}
		now[i] = stamp{s.path, info}
	}
	return Files{now}
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
	return s.info.Size() == t.info.Size() && s.info.ModTime().Equal(t.info.ModTime()) && os.SameFile(s.info, t.info)
}

// openData opens a data file and notes it. The stamp is taken before anything is read, so that a change meanwhile is seen as one.
func (f *file) openData(path string) (fs.File, error) {
	r, err := f.setting.open(path)
	var info fs.FileInfo
	if err == nil {
		if info, err = r.Stat(); err == nil && info.IsDir() {
			err = errors.New("is a directory")
		}
		if err != nil {
			r.Close()
		}
	}
	f.noting.Lock()
	f.config.Files.stamps = append(f.config.Files.stamps, stamp{path, info})
	f.noting.Unlock()
	if err != nil {
		return nil, err
	}
	return r, nil
}

// readData reads a data file of at most limit bytes whole.
func (f *file) readData(path string, limit int64) (string, error) {
	r, err := f.openData(path)
	if err != nil {
		return "", err
	}
	defer r.Close()
	var text strings.Builder
	if info, err := r.Stat(); err == nil {
		text.Grow(int(min(info.Size(), limit)))
	}
	if _, err := io.Copy(&text, io.LimitReader(r, limit+1)); err != nil {
		return "", err
	}
	if int64(text.Len()) > limit {
		return "", fmt.Errorf("has more than %d MiB", limit>>20)
	}
	return text.String(), nil
}

// cannotRead reports that a data file that v names cannot be read.
func (f *file) cannotRead(v value, path string, err error) {
	f.errorf(v, "%s", unreadable(v.Value, path, err))
}

// unreadable says why a file cannot be read. written is how the configuration names it.
func unreadable(written, path string, err error) string {
	var pathErr *fs.PathError
	switch {
	case errors.Is(err, errNoFiles):
		return err.Error()
	case errors.Is(err, fs.ErrNotExist):
		hint := ""
		if !filepath.IsAbs(written) {
			hint = " (a relative path begins at the directory of this file)"
		}
		return fmt.Sprintf("there is no file %q%s", path, hint)
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

// showLines fills in the lines of data files that problems are on.
func (f *file) showLines(problems []Problem) {
	wanted := map[string]map[int]bool{}
	for _, p := range problems {
		if p.File != f.file && p.Line > 0 {
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
