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
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/l7edge"
	"github.com/meridian-gslb/meridian/probes"
	"github.com/meridian-gslb/meridian/probes/quorum"
	"github.com/meridian-gslb/meridian/probes/share"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/source/consul"
	"github.com/meridian-gslb/meridian/registry/source/guard"
)

// A Config is a configuration file in which everything was checked. It does not change.
//
// What a reload does with it: Definition, Probes, Resolvers, Log, and of DNS what dnsserver.Server.Reconfigure takes, are applied; a change of
// the rest of DNS, of Edge, Admin, State or Site needs a start, and a reload that makes one is refused.
type Config struct {
	Definition registry.Definition     // what exists, as the file says it, with the implicit service "edge"
	Compiled   *registry.Compiled      // the same, ready for Registry.Apply
	DNS        *dnsserver.Config       // nil: the file has no section dns, and DNS is not served
	Resolvers  []netip.AddrPort        // who is asked for what aliases to names outside our zones stand for; none: nobody
	Edge       *l7edge.Config          // nil: the file has no section edge, and nothing is proxied
	Admin      admin.Config            // always served; loopback by default
	Probes     map[string]probes.Check // by service; one without a probe is not in it, and its endpoints stay unknown
	Prober     quorum.Prober           // who this process is among probers
	Redis      *share.Config           // nil: the file has no section redis, and this node probes alone
	State      string                  // directory for what must survive a restart; "": kept in memory only
	Site       string                  // where this process runs; "": it does not say
	Log        LogConfig
	Databases  []*GeoDatabase
	Consul     *consul.Config // nil: the file has no section consul
	Wanted     consul.Wanted  // from Consul
	Safety     guard.Rules    // for what comes from Consul
	Warnings   []Problem      // what is allowed but probably not meant, in the order of the file
	Files      Files          // the data files that were read: zones, networks, geo databases, secrets

	name, text string              // the file as it was read, for Reread
	zones      map[string]readZone // those that have a file, by name
}

// Load reads and checks a file, and the data files it names by paths from its directory; it looks at nothing else: paths of
// certificates and of the state stay as they are. The error is an *Errors if something is wrong in the files, and the file system's
// if the configuration cannot be read.
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
	dir := path.Dir(name)
	c, _, err := parseFile(name, data, setting{
		open:    fsys.Open,
		openIn:  func(dir, name string) (fs.File, error) { return fsys.Open(path.Join(dir, name)) },
		resolve: func(p string) string { return path.Join(dir, p) },
		readers: runtime.GOMAXPROCS(0),
	})
	return c, err
}

// ReadFile is Load for a file of the operating system; name is also what problems call it. Relative paths in it begin at its
// directory, and the files they name are looked at as the rooms will: certificates and keys that do not load are errors, those that
// are not valid now are warnings, and what cannot be the directory for state is an error. The Config has the paths to open.
func ReadFile(name string) (*Config, error) { return readFile(name, true) }

// readFile is ReadFile; look says whether the files that only the rooms open are looked at.
func readFile(name string, look bool) (*Config, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &openError{name, err}
	}
	defer f.Close()
	data, err := read(f, name)
	if err != nil {
		return nil, err
	}
	where := below(filepath.Dir(name))
	where.look, where.readers = look, runtime.GOMAXPROCS(0)
	c, _, err := parseFile(name, data, where)
	return c, err
}

// Reread returns a Config of ReadFile with its data files as they are now: what did not change is taken over, what did is read again.
// The text of the configuration file is that of c, whatever became of the file. The Files are those that were read, or that could
// not be, also when there is an error, which is an *Errors.
//
// It works in one goroutine, as what serves should hardly notice.
func Reread(c *Config) (*Config, Files, error) {
	where := below(filepath.Dir(c.name))
	where.readers, where.previous = 1, c
	return parseFile(c.name, []byte(c.text), where)
}

// read reads no more than it takes to know that a file is too large.
func read(f io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, yaml.MaxSize+1))
	if err != nil {
		return nil, &openError{name, err}
	}
	return data, nil
}

// Current reports whether the configuration file still has the text that c was read from.
func (c *Config) Current() bool {
	data, err := os.ReadFile(c.name)
	return err == nil && string(data) == c.text
}

// Parse checks the contents of a file and nothing else; name is what problems call it. A text that names data files is an error. It
// returns a Config, or an *Errors with everything that is wrong, never both.
func Parse(name string, data []byte) (*Config, error) {
	c, _, err := parseFile(name, data, alone())
	return c, err
}

// parseFile is Parse of a file in its setting. The Files are those that were looked at, whatever came of it.
func parseFile(name string, data []byte, where setting) (*Config, Files, error) {
	f := newFile(name, data, where)
	defer func() {
		if f.collect != nil {
			f.collect()
		}
	}()
	root, syntax := yaml.Parse(data)
	for _, e := range syntax {
		f.errors.add(f.problem(e.Pos, nil, "", e.Msg))
		f.unread[e.Pos] = true
	}
	if root != nil {
		f.decode(root)
		f.compile()
		f.look(time.Now())
	}
	f.config.Files.sort()
	if err := f.problemsFound(); err != nil {
		return nil, f.config.Files, err
	}
	f.warn()
	f.config.Warnings = f.warnings.sorted()
	f.showLines(f.config.Warnings)
	f.config.name, f.config.text = name, string(data)
	f.config.zones = make(map[string]readZone, len(f.zoneFiles))
	for _, z := range f.zoneFiles {
		f.config.zones[zoneKey(&f.zones[z.zone])] = readZone{z.path, z.rrs}
	}
	return f.config, f.config.Files, nil
}

//go:embed dev.yaml
var dev []byte

//go:embed schema.json
var schema []byte

// Dev returns the configuration of "meridian dev": everything on this machine, six demo backends in three sites.
func Dev() []byte { return append([]byte(nil), dev...) }

// Schema returns the JSON Schema (draft 2020-12) of the file, for editors.
func Schema() []byte { return append([]byte(nil), schema...) }
