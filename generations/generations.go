// Package generations keeps the last configurations that were in force on disk, so that each can come back: also while no process runs, and
// when the configuration file itself is broken.
//
// Each is a sealed file of its own in the directory "generations" of the state directory. A pin beside them says which one serves in the place of the
// configuration file, for as long as that has the text that it had then. Data files (zones, networks, geo databases) are not kept: they have a life
// of their own.
package generations

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/meridian-gslb/meridian/sealed"
)

// Kept is how many generations are kept, and those that are pinned or in force beside them.
const Kept = 5

// The names of files.
const (
	dirName = "generations"
	suffix  = ".generation"
	pinName = "pin"
	kind    = "meridian generation 1"
)

// A Generation is one configuration that was in force. Its text may hold secrets.
type Generation struct {
	Number uint64    `json:"generation"`
	Time   time.Time `json:"time"` // when it came in force first
	File   string    `json:"file"` // absolute path that the text was read from: relative paths in it begin there
	Own    string    `json:"own"`  // absolute path of the configuration file of the process
	How    string    `json:"how"`  // "start", "reload" or "apply"
	Text   string    `json:"text"`
}

// A Pin says that a generation serves in the place of a configuration file.
type Pin struct {
	Generation uint64    `json:"generation"`
	Own        string    `json:"own"`     // the file
	Instead    string    `json:"instead"` // Sum of its text: when it has another, the Pin holds no more
	Time       time.Time `json:"time"`
	How        string    `json:"how"` // "rollback" or "apply"
}

// Sum returns a checksum of a text by which a Pin knows it.
func Sum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// A Dir is the generations of one state directory. Its methods may be called concurrently, but by one process at a time.
type Dir struct {
	files sealed.Series
	mu    sync.Mutex
}

// In returns the generations in a state directory. Neither of both need exist: the first write makes them.
func In(state string) *Dir {
	return &Dir{files: sealed.Series{Dir: filepath.Join(state, dirName), Suffix: suffix}}
}

// ErrNone says that there is no such generation, or no Pin.
var ErrNone = errors.New("there is none")

// List returns what is kept, the oldest first, and what is wrong with each file that cannot be read.
func (d *Dir) List() (list []Generation, damaged []error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.list()
}

func (d *Dir) list() (list []Generation, damaged []error) {
	numbers, err := d.numbers()
	if err != nil {
		return nil, []error{err}
	}
	for _, n := range numbers {
		g, err := d.read(n)
		if err != nil {
			damaged = append(damaged, err)
			continue
		}
		list = append(list, g)
	}
	return list, damaged
}

// numbers returns the numbers of all files, in order.
func (d *Dir) numbers() ([]uint64, error) {
	numbers, err := d.files.Numbers()
	if err != nil {
		return nil, fmt.Errorf("generations: %w", err)
	}
	return numbers, nil
}

// Get returns one generation. The error is an ErrNone if it is not kept.
func (d *Dir) Get(n uint64) (Generation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.read(n)
}

// GetOrOlder is Get, or if that one is damaged or gone, the next older one that can be read, and what is wrong with those before it.
func (d *Dir) GetOrOlder(n uint64) (g Generation, damaged error, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g, err = d.read(n); err == nil {
		return g, nil, nil
	}
	list, more := d.list()
	for _, x := range slices.Backward(list) {
		if x.Number < n {
			return x, err, nil
		}
	}
	return g, nil, errors.Join(append([]error{err}, more...)...)
}

func (d *Dir) read(n uint64) (g Generation, err error) {
	if err := read(d.files.File(n), &g); err != nil {
		return g, fmt.Errorf("generations: generation %d: %w", n, err)
	}
	if g.Number != n {
		return g, fmt.Errorf("generations: %s holds generation %d", d.files.File(n), g.Number)
	}
	return g, nil
}

// Add keeps a generation, and returns it with its number: one more than any before. Of the others it keeps the last, so that there are Kept
// of them, and those whose numbers are needed.
func (d *Dir) Add(g Generation, needed ...uint64) (Generation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	numbers, err := d.numbers()
	if err != nil {
		return g, err
	}
	g.Number = 1
	if len(numbers) > 0 {
		g.Number = numbers[len(numbers)-1] + 1
	}
	if err := write(d.files.File(g.Number), &g); err != nil {
		return g, err
	}
	if p, err := d.pinned(); err == nil {
		needed = append(needed, p.Generation)
	}
	var errs []error
	for _, n := range numbers[:max(0, len(numbers)+1-Kept)] {
		if !slices.Contains(needed, n) {
			errs = append(errs, os.Remove(d.files.File(n)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return g, fmt.Errorf("generations: %w", err)
	}
	return g, nil
}

// Pinned returns the Pin. The error is an ErrNone if there is none.
func (d *Dir) Pinned() (Pin, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pinned()
}

func (d *Dir) pinned() (p Pin, err error) {
	if err := read(filepath.Join(d.files.Dir, pinName), &p); err != nil {
		return Pin{}, fmt.Errorf("generations: pin: %w", err)
	}
	return p, nil
}

// Pin makes a generation serve in the place of a file.
func (d *Dir) Pin(p Pin) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return write(filepath.Join(d.files.Dir, pinName), &p)
}

// Unpin takes the Pin away, if there is one.
func (d *Dir) Unpin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := os.Remove(filepath.Join(d.files.Dir, pinName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("generations: %w", err)
	}
	if err := sealed.Sync(d.files.Dir); err != nil {
		return fmt.Errorf("generations: %w", err)
	}
	return nil
}

// read reads a file that write wrote.
func read(name string, v any) error {
	body, err := sealed.Read(name, kind)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrNone
	case err != nil:
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// write writes a file, all of it or nothing.
func write(name string, v any) error {
	body, err := json.MarshalIndent(v, "", " ")
	if err == nil {
		err = sealed.Write(name, kind, body)
	}
	if err != nil {
		return fmt.Errorf("generations: %w", err)
	}
	return nil
}
