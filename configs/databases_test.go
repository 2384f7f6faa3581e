package configs

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/meridian-gslb/meridian/geodb/geobuild"
	"github.com/meridian-gslb/meridian/policy"
)

// mmdb returns a geo database of rows "network,country,city,lat,lon,radius,asn".
func mmdb(t testing.TB, built time.Time, rows ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	csv := "network,country,city,lat,lon,radius,asn\n" + strings.Join(rows, "\n") + "\n"
	if _, err := geobuild.Build(&b, strings.NewReader(csv), "rows", built); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const geoMain = `
sites: {eu: {at: [53.35, -6.26]}, us: {at: [39.04, -77.49]}}
services: {web: {endpoints: [{address: 192.0.2.1, site: eu}, {address: 192.0.2.2, site: us}]}}
policies: {near: [geo: {GB/ /London: us, AS64500: us, country/IN: us, default: nearest}]}
`

// answer returns the site that the policy of geoMain puts first for a client.
func answer(t testing.TB, c *Config, client string) string {
	t.Helper()
	p := c.Compiled.Plan()
	id, _ := p.PolicyByName("near")
	a := netip.MustParseAddr(client)
	d := p.Decide(new(policy.Scratch), policy.Query{Policy: id, Client: netip.PrefixFrom(a, a.BitLen())}, policy.Health{})
	return p.SiteName(p.Endpoint(d.Endpoints[0]).Site)
}

func TestDatabases(t *testing.T) {
	now := time.Now()
	files := fstest.MapFS{
		"etc/geo/city.mmdb": {Data: mmdb(t, now, "10.0.0.0/8,GB,London,51.5,-0.1,20,", "11.0.0.0/8,US,,39,-77,300,", "12.0.0.0/8,IN,,,,,")},
		"etc/geo/asn.mmdb":  {Data: mmdb(t, now, "13.0.0.0/8,,,,,,AS64500")},
	}
	load := func(geo string) *Config {
		t.Helper()
		files["etc/m.yaml"] = &fstest.MapFile{Data: []byte(strings.Replace(geoMain, "GB/ /London", "GB//London", 1) + "geo: " + geo + "\n")}
		c, err := Load(files, "etc/m.yaml")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := load("{databases: [geo/city.mmdb, geo/asn.mmdb], networks: {10.1.0.0/16: eu}}")
	for client, want := range map[string]string{"10.0.0.1": "us", "10.1.0.1": "eu", "11.0.0.1": "us", "12.0.0.1": "us", "13.0.0.1": "us", "14.0.0.1": "eu"} {
		if got := answer(t, c, client); got != want {
			t.Errorf("%s: %s, want %s", client, got, want)
		}
	}
	if len(c.Databases) != 2 || c.Databases[0].File != "etc/geo/city.mmdb" || c.Databases[0].Type != "Meridian-City" || c.Databases[0].Built.Unix() != now.Unix() {
		t.Errorf("%+v", c.Databases)
	}
	for _, w := range c.Warnings {
		if strings.Contains(w.Path, "geo") {
			t.Errorf("warning %v", w)
		}
	}
	c = load("{database: geo/city.mmdb, max_radius: 299.5 km}")
	if got := answer(t, c, "11.0.0.1"); got != "eu" || c.Definition.Policy.MaxRadius != 299.5 {
		t.Errorf("inaccurate coordinates: %s, %v", got, c.Definition.Policy.MaxRadius)
	}
}

// A database that ages is warned of, as is a rule for a region that nobody is in.
func TestDatabaseWarnings(t *testing.T) {
	for days, want := range map[int]string{13: "", 15: "the geo database is 15 days old", 31: "the geo database is 31 days old"} {
		old := time.Now().Add(-time.Duration(days)*24*time.Hour - time.Minute)
		files := fstest.MapFS{
			"m.yaml": {Data: []byte(strings.Replace(geoMain, "GB/ /London", "GB//Leeds", 1) + "geo: {database: db}\n")},
			"db":     {Data: mmdb(t, old, "10.0.0.0/8,GB,London,51.5,-0.1,20,", "12.0.0.0/8,IN,,,,,")},
		}
		c, err := Load(files, "m.yaml")
		if err != nil {
			t.Fatal(err)
		}
		aged, unknown := "", 0
		for _, w := range c.Warnings {
			if w.Path == "geo.database" {
				aged = w.Message
				if w.Line != 5 {
					t.Errorf("line %d", w.Line)
				}
			}
			if strings.Contains(w.Message, "the rule is for nobody") {
				unknown++
			}
		}
		if !strings.HasPrefix(aged, want) || (aged == "") != (want == "") || unknown != 2 { // Leeds and AS64500
			t.Errorf("%d days: %q, %d rules\n%v", days, aged, unknown, c.Warnings)
		}
	}
}

// A rule for a code of two meanings has to say which.
func TestAmbiguousRegion(t *testing.T) {
	files := fstest.MapFS{
		"m.yaml": {Data: []byte("sites: {eu: }\npolicies: {p: [geo: {NA: eu, default: eu}]}\ngeo: {database: db}\n")},
		"db":     {Data: mmdb(t, time.Now(), "10.0.0.0/8,NA,,,,,")},
	}
	_, err := Load(files, "m.yaml")
	if err == nil || !strings.Contains(err.Error(), `m.yaml:2:26: policies.p[0].geo.NA: "NA" is North America and Namibia: write continent/NA or country/NA`) {
		t.Errorf("%v", err)
	}
}

// What is wrong with a database names it.
func TestDamagedDatabase(t *testing.T) {
	whole := mmdb(t, time.Now(), "10.0.0.0/8,GB,London,51.5,-0.1,20,")
	for name, data := range map[string][]byte{"cut off": whole[:len(whole)-200], "html": []byte("<html>\n"), "empty": {}, "half": whole[:len(whole)/3]} {
		_, err := Load(fstest.MapFS{"m.yaml": {Data: []byte("geo: {database: geo/db}\n")}, "geo/db": {Data: data}}, "m.yaml")
		var all *Errors
		if !errors.As(err, &all) || all.Total != 1 || all.Problems[0].Line != 1 || !strings.HasPrefix(all.Problems[0].Message, `"geo/db": `) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Databases are read again when they change, and only then; a damaged one changes nothing.
func TestRereadDatabases(t *testing.T) {
	d := newDesk(t)
	now := time.Now()
	d.put("a.mmdb", string(mmdb(t, now, "10.0.0.0/8,GB,,53,-6,20,")))
	d.put("b.mmdb", string(mmdb(t, now, "10.0.0.0/8,,,,,,AS64500")))
	d.put("meridian.yaml", strings.Replace(geoMain, "GB/ /London", "GB//London", 1)+"geo: {databases: [a.mmdb, b.mmdb], networks_file: nets}\n")
	was := d.read()
	if got := answer(t, was, "10.0.0.1"); got != "us" {
		t.Errorf("at first %s", got)
	}
	same := d.reread(was)
	if same.Databases[0] != was.Databases[0] || same.Compiled.Plan() != was.Compiled.Plan() {
		t.Error("what did not change was read again")
	}
	d.put("b.mmdb", string(mmdb(t, now, "10.0.0.0/8,,,,,,AS64501")))
	moved := d.reread(was)
	if moved.Databases[0] != was.Databases[0] || moved.Databases[1] == was.Databases[1] {
		t.Error("not what changed was read again")
	}
	if got := answer(t, moved, "10.0.0.1"); got != "eu" {
		t.Errorf("then %s", got)
	}
	if got := answer(t, was, "10.0.0.1"); got != "us" {
		t.Errorf("what was in force became %s", got)
	}
	d.put("a.mmdb", "cut off")
	_, files, err := Reread(moved)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("geo.databases[0]: %q: this is no MaxMind database", filepath.Join(d.dir, "a.mmdb"))) {
		t.Errorf("%v", err)
	}
	if !files.Now().Same(files) {
		t.Error("the damaged file is tried again without a change")
	}
	if err := os.Remove(filepath.Join(d.dir, "a.mmdb")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Reread(moved); err == nil || !strings.Contains(err.Error(), "there is no file") {
		t.Errorf("%v", err)
	}
	d.put("a.mmdb", string(mmdb(t, now, "10.0.0.0/8,US,,39,-77,20,")))
	if got := answer(t, d.reread(moved), "10.0.0.1"); got != "us" {
		t.Errorf("at last %s", got)
	}
	if s := fmt.Sprint(moved.Databases[0]); !strings.Contains(s, "a.mmdb (Meridian-City, built "+now.UTC().Format(time.DateOnly)) {
		t.Error(s)
	}
}
