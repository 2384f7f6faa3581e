package configs

import (
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/geodb"
)

// maxDatabase bounds a geo database: three times the largest that are sold.
const maxDatabase = 2 << 30

// When a geo database is old. Addresses change hands: in a month, some hundredth of them.
const (
	OldDatabase      = 14 * 24 * time.Hour // worth a warning
	OutdatedDatabase = 30 * 24 * time.Hour // something is wrong with how it is kept up to date
)

// A GeoDatabase is a geo database that a configuration names. It does not change.
type GeoDatabase struct {
	File  string
	Built time.Time
	*geodb.Database

	at  yaml.Pos // where it is named
	key *step
}

// A ruledRegion is a region in the manner of geo databases that a rule is for.
type ruledRegion struct {
	region string // its one name
	at     yaml.Pos
	path   *step
}

// Age returns how old the database is.
func (g *GeoDatabase) Age(now time.Time) time.Duration { return now.Sub(g.Built) }

// String says what the database is and of when.
func (g *GeoDatabase) String() string {
	return fmt.Sprintf("%s (%s, built %s)", g.File, clip(g.Type), g.Built.UTC().Format(time.DateOnly))
}

// decodeDatabases reads "geo.databases": a file or a list of files, those first that go before others.
func (f *file) decodeDatabases(v value) {
	if v.Kind == yaml.Null || v.Kind == yaml.Sequence && len(v.Items) == 0 {
		f.errorf(v, "a geo database, or a list of them, is expected here, such as /var/lib/GeoIP/GeoLite2-City.mmdb")
	}
	for _, v := range v.elements() {
		if v.Kind != yaml.Null {
			f.decodeDatabase(v)
		}
	}
}

// decodeDatabase reads one file.
func (f *file) decodeDatabase(v value) {
	path := f.filePath(v)
	if path == "" {
		return
	}
	path = f.setting.resolve(path)
	if slices.ContainsFunc(f.config.Databases, func(g *GeoDatabase) bool { return g.File == path }) {
		f.errorf(v, "%q is listed twice", path)
		return
	}
	db := f.unchangedDatabase(path)
	if db == nil {
		f.newNetworks = true
		db = f.readDatabase(v, path)
	}
	if db == nil {
		return
	}
	f.config.Databases = append(f.config.Databases, db)
	f.spec.Tables = append(f.spec.Tables, db.Table)
}

// unchangedDatabase returns a database as it was read before, if its file did not change since.
func (f *file) unchangedDatabase(path string) *GeoDatabase {
	if !f.unchangedFiles(path) {
		return nil
	}
	for _, g := range f.setting.previous.Databases {
		if g.File == path {
			return g
		}
	}
	return nil
}

// readDatabase reads a database, or reports what is wrong with it.
func (f *file) readDatabase(v value, path string) *GeoDatabase {
	f.saveMemory()
	data, err := f.readBytes(path, maxDatabase)
	if err != nil {
		f.cannotRead(v, path, err)
		return nil
	}
	db, err := geodb.Read(filepath.Base(path), data)
	if err != nil {
		f.errorf(v, "%q: %s", path, strings.TrimPrefix(err.Error(), "geodb: "))
		return nil
	}
	return &GeoDatabase{File: path, Built: time.Unix(db.Built, 0), Database: db, at: v.at, key: v.path}
}

// saveMemory lets garbage be collected early until the configuration is compiled: from a database of a hundred megabytes several hundred of them
// come and go within seconds, and without it they would be twice as many.
func (f *file) saveMemory() {
	if f.collect == nil {
		was := debug.SetGCPercent(25)
		f.collect = func() { debug.SetGCPercent(was) }
	}
}

// maxRadius reads "geo.max_radius": kilometres, as 1000km or a number.
func (f *file) maxRadius(v value) float64 {
	if !f.scalar(v, "a distance such as 1000km") {
		return 0
	}
	number := strings.TrimSpace(strings.TrimSuffix(v.Value, "km"))
	if !numberForm.MatchString(number) {
		f.errorf(v, "a distance in kilometres, such as 1000km, is expected here, not %s", quote(v))
		return 0
	}
	plain := *v.Node
	plain.Value, plain.Quoted = number, false
	v.Node = &plain
	km, ok := f.number(v, 0, 20_015) // half way round
	if ok && km == 0 {
		f.errorf(v, "with 0 no coordinates would be good enough; it is more than 0km and at most 20015km")
	}
	return km
}

// warnDatabases warns of databases that are old, and of rules for regions that nobody is in.
func (f *file) warnDatabases(now time.Time) {
	for _, g := range f.config.Databases {
		if age := g.Age(now); age >= OldDatabase {
			f.warnf(g.at, g.key, "the geo database is %d days old: put a new one in its place; it is read as soon as it changes", age/(24*time.Hour))
		}
	}
	if len(f.config.Databases) == 0 {
		return
	}
	nobody := map[string]bool{} // regions that rules are for and nobody was found in
	for _, r := range f.ruled {
		if !f.regions.has[r.region] {
			nobody[r.region] = true
		}
	}
	for _, t := range f.spec.Tables {
		for p := range t.Places() {
			if len(nobody) == 0 {
				return
			}
			for _, name := range p.Regions() {
				delete(nobody, name)
			}
		}
	}
	for _, r := range f.ruled {
		if nobody[r.region] {
			f.warnf(r.at, r.path, "no geo database has the region: the rule is for nobody")
		}
	}
}
