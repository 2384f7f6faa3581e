// Package sealed keeps data in files that are whole, or known to be damaged: each has a checksum, and is written under another name, made durable and
// then renamed into place, so that a crash at any moment leaves either all of it or what there was before.
package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrDamaged says that a file is not as Write left it, or was written as something else.
var ErrDamaged = errors.New("is damaged, or of another version")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// newName is what files are called until they are whole.
const newName = ".new-*"

// head returns the first line of a file: what it is, and the CRC-32C and the length of what follows, in bytes.
func head(kind string, body []byte) string {
	return fmt.Sprintf("%s %08x %d\n", kind, crc32.Checksum(body, castagnoli), len(body))
}

// Write writes a file of a kind, such as "meridian catalog 1", for the owner alone, all of it or nothing, and makes its directory if need be.
func Write(name, kind string, body []byte) (err error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, newName)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.WriteString(head(kind, body))
	if err == nil {
		_, err = f.Write(body)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return err
	}
	return Sync(dir)
}

// Read returns the body of a file of a kind. The error is an fs.ErrNotExist if there is no such file, and an ErrDamaged if it is not as Write left it.
func Read(name, kind string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	end := bytes.IndexByte(data, '\n') + 1
	if body := data[end:]; end > 0 && string(data[:end]) == head(kind, body) {
		return body, nil
	}
	return nil, fmt.Errorf("%s %w", filepath.Base(name), ErrDamaged)
}

// Sync makes durable which names a directory has.
func Sync(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// A Series is files of one directory that are numbered, from 1: Dir/Prefix0000000001Suffix and so on.
type Series struct{ Dir, Prefix, Suffix string }

// File returns the path of one.
func (s Series) File(n uint64) string {
	return filepath.Join(s.Dir, fmt.Sprintf("%s%010d%s", s.Prefix, n, s.Suffix))
}

// Numbers returns those there are, in order. A directory that does not exist has none.
func (s Series) Numbers() (numbers []uint64, err error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		text := strings.TrimSuffix(strings.TrimPrefix(e.Name(), s.Prefix), s.Suffix)
		if n, err := strconv.ParseUint(text, 10, 64); err == nil && s.File(n) == filepath.Join(s.Dir, e.Name()) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}
