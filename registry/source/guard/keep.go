package guard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meridian-gslb/meridian/registry"
)

// kept is how many Catalogs of a source stay on disk.
const kept = 5

// magic begins the first line of a saved Catalog, which goes on with the CRC-32C of the rest and its length: a file that was cut, or changed
// anywhere, is known as such.
const magic = "meridian catalog 1"

var table = crc32.MakeTable(crc32.Castagnoli)

// A keeper keeps the last Catalogs of a source in files of a directory.
type keeper struct{ dir, name string }

// files returns those there are, the newest first.
func (k keeper) files() ([]string, error) {
	entries, err := os.ReadDir(k.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), k.name+"-"); ok && strings.HasSuffix(rest, ".catalog") && len(rest) == 12+len(".catalog") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

// load returns the newest Catalog that is sound, nil if there is none, and the names of newer ones that are not.
func (k keeper) load() (c *registry.Catalog, damaged []string, err error) {
	if k.dir == "" {
		return nil, nil, nil
	}
	names, err := k.files()
	if err != nil {
		return nil, nil, fmt.Errorf("guard: %w", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(k.dir, name))
		if err == nil {
			c, err = decode(data)
		}
		if err == nil {
			return c, damaged, nil
		}
		damaged = append(damaged, fmt.Sprintf("%s (%v)", name, err))
	}
	return nil, damaged, nil
}

// save writes a Catalog beside the others and removes the oldest. The file is whole or not there, whatever happens meanwhile.
func (k keeper) save(c registry.Catalog) (err error) {
	if k.dir == "" {
		return nil
	}
	data, err := encode(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return err
	}
	names, err := k.files()
	if err != nil {
		return err
	}
	generation := 1
	if len(names) > 0 {
		fmt.Sscanf(strings.TrimPrefix(names[0], k.name+"-"), "%d", &generation)
		generation++
	}
	f, err := os.CreateTemp(k.dir, k.name+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // unless it has its name by then
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(k.dir, fmt.Sprintf("%s-%012d.catalog", k.name, generation))); err != nil {
		return err
	}
	if d, err := os.Open(k.dir); err == nil { // the name is on disk too; not every file system can say so
		d.Sync()
		d.Close()
	}
	for _, old := range names[min(len(names), kept-1):] {
		os.Remove(filepath.Join(k.dir, old)) // it is one too many, no more
	}
	return nil
}

// encode returns the form of a Catalog on disk.
func encode(c registry.Catalog) ([]byte, error) {
	c.Refused = nil // the source says so anew
	body, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return append(fmt.Appendf(nil, "%s %08x %d\n", magic, crc32.Checksum(body, table), len(body)), body...), nil
}

// decode reads what encode made.
func decode(data []byte) (*registry.Catalog, error) {
	head, body, _ := bytes.Cut(data, []byte("\n"))
	if want := fmt.Sprintf("%s %08x %d", magic, crc32.Checksum(body, table), len(body)); string(head) != want {
		return nil, errors.New("it is damaged, or of another version")
	}
	c := &registry.Catalog{}
	if err := json.Unmarshal(body, c); err != nil {
		return nil, err
	}
	return c, nil
}
