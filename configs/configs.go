// Package configs turns a configuration file into what each room is given. It alone knows every room; no room knows it.
//
// A file is read in one go: syntax (package yaml), then the sections (one decoder each, beside the room's own type), then the
// rooms' own checks. Either everything that is wrong comes back at once, each problem with its place in the file, or a finished
// Config whose application cannot fail. Only a file that is not YAML yields no more than the first mistake of its syntax.
package configs

import (
	_ "embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/l7edge"
	"github.com/meridian-gslb/meridian/probes"
	"github.com/meridian-gslb/meridian/registry"
)

// A Config is a configuration file in which everything was checked. It does not change.
//
// What a reload does with it: Definition, Probes and Log are applied; a change of DNS, Edge, Admin, State or Site needs a start, and
// a reload that makes one is refused.
type Config struct {
	Definition registry.Definition     // what exists, as the file says it, with the implicit service "edge"
	Compiled   *registry.Compiled      // the same, ready for Registry.Apply
	DNS        *dnsserver.Config       // nil: the file has no section dns, and DNS is not served
	Edge       *l7edge.Config          // nil: the file has no section edge, and nothing is proxied
	Admin      admin.Config            // always served; loopback by default
	Probes     map[string]probes.Check // by service; one without a probe is not in it, and its endpoints stay unknown
	State      string                  // directory for what must survive a restart; "": kept in memory only
	Site       string                  // where this process runs; "": it does not say
	Log        LogConfig
	Warnings   []Problem // what is allowed but probably not meant, in the order of the file
}

// Load reads and checks a file, and looks at no other: paths in it stay as they are. The error is an *Errors if something is wrong in
// the file, and the file system's if it cannot be read.
func Load(fsys fs.FS, name string) (*Config, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("configs: %w", err)
	}
	defer f.Close()
	data, err := read(f, name)
	if err != nil {
		return nil, err
	}
	return Parse(name, data)
}

// ReadFile is Load for a file of the operating system; path is also what problems call it. Relative paths in it begin at its
// directory, and the files they name are looked at as the rooms will: certificates and keys that do not load are errors, those that
// are not valid now are warnings, and what cannot be the directory for state is an error. The Config has the paths to open.
func ReadFile(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configs: %w", err)
	}
	defer f.Close()
	data, err := read(f, path)
	if err != nil {
		return nil, err
	}
	return parseFile(path, data, func(f *file) { f.look(filepath.Dir(path), time.Now()) })
}

// read reads no more than it takes to know that a file is too large.
func read(f io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, yaml.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("configs: read %s: %w", name, err)
	}
	return data, nil
}

// Parse checks the contents of a file and nothing else; name is what problems call it. It returns a Config, or an *Errors with
// everything that is wrong, never both.
func Parse(name string, data []byte) (*Config, error) { return parseFile(name, data, func(*file) {}) }

// parseFile is Parse, and what look adds to it when all is decoded.
func parseFile(name string, data []byte, look func(*file)) (*Config, error) {
	f := newFile(name, data)
	root, syntax := yaml.Parse(data)
	for _, e := range syntax {
		f.errors.add(f.problem(e.Pos, nil, "", e.Msg))
		f.unread[e.Pos] = true
	}
	if root != nil {
		f.decode(root)
		f.compile()
		look(f)
	}
	if err := newErrors(&f.errors); err != nil {
		return nil, err
	}
	f.warn()
	f.config.Warnings = f.warnings.sorted()
	return f.config, nil
}

//go:embed dev.yaml
var dev []byte

//go:embed schema.json
var schema []byte

// Dev returns the configuration of "meridian dev": everything on this machine, six demo backends in three sites.
func Dev() []byte { return append([]byte(nil), dev...) }

// Schema returns the JSON Schema (draft 2020-12) of the file, for editors.
func Schema() []byte { return append([]byte(nil), schema...) }
