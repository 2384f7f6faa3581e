package configs

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/simulate"
)

var update = flag.Bool("update", false, "write the pictures of the documentation")

// Each file in testdata/scenarios/bad begins with one line for each problem it has, as those in testdata/bad do. They are about world.yaml, except
// for those called config-….
func TestBadScenarios(t *testing.T) {
	files := corpus(t, "testdata/scenarios/bad/*.yaml")
	t.Chdir("testdata/scenarios/bad")
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			var wants []string
			for line := range strings.Lines(string(data)) {
				if want, ok := strings.CutPrefix(line, "# want: "); ok {
					wants = append(wants, strings.TrimRight(want, "\n"))
				}
			}
			config := "../../../world.yaml"
			if strings.HasPrefix(name, "config-") {
				config = ""
			}
			s, err := ReadScenario(name, config)
			var all *Errors
			if s != nil || !errors.As(err, &all) {
				t.Fatalf("want *Errors alone, got scenario %v, error %v", s != nil, err)
			}
			if name == "config-bad.yaml" { // the problems are those of the configuration
				if !strings.HasPrefix(err.Error(), wants[0]) {
					t.Errorf("got %v, want %s…", err, wants[0])
				}
				return
			}
			if len(all.Problems) != len(wants) || all.Total != len(wants) || len(wants) == 0 {
				t.Errorf("%d problems, want %d:\n%v", all.Total, len(wants), err)
			}
			for i := range min(len(wants), len(all.Problems)) {
				p := all.Problems[i]
				head, rest, _ := strings.Cut(p.String(), "\n")
				if !matches(p, name, wants[i]) {
					t.Errorf("got  %s\nwant %s", head, wants[i])
				}
				if text, err := os.ReadFile(p.File); err != nil {
					t.Error(err)
				} else if p.Line > 0 {
					checkExcerpt(t, text, p, rest)
				}
			}
		})
	}
}

// writeScenario writes a scenario about world.yaml and reads it.
func writeScenario(t *testing.T, text string) *Scenario {
	t.Helper()
	name := filepath.Join(t.TempDir(), "scenario.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := ReadScenario(name, "world.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScenarioDefaults(t *testing.T) {
	s := writeScenario(t, "service: web\n")
	want := simulate.Scenario{Service: "web", Policy: policy.DefaultPolicy, Duration: time.Hour, Step: time.Minute, Seed: 1}
	if !reflect.DeepEqual(s.Scenario, want) {
		t.Errorf("got %+v, want %+v", s.Scenario, want)
	}
	if len(s.Clients) != 10_000 || math.Abs(simulate.Queries(s.Clients)-10_000) > 1e-6 {
		t.Errorf("%d clients with %v queries", len(s.Clients), simulate.Queries(s.Clients))
	}
	for duration, step := range map[string]time.Duration{"10s": time.Second, "90s": time.Second, "10m": 10 * time.Second, "24h": 24 * time.Minute, "100m": 100 * time.Second} {
		if got := writeScenario(t, "service: web\nduration: "+duration+"\n").Step; got != step {
			t.Errorf("%s: a step of %v, want %v", duration, got, step)
		}
	}
}

func TestScenarioWhole(t *testing.T) {
	s := writeScenario(t, `title: All keys
config: nobody-looks.yaml
service: web
policy: nearest
family: v4
duration: 1h
step: 30s
start: 2026-03-02T09:00:00+01:00
seed: 7
spread: true
clients: {number: 10, queries: 50, zipf: 1, shares: {europe: 1}}
capacity: {eu-west: 100.5}
events:
  - {at: 10m, site: eu-west, state: drained}
  - {at: 600, endpoint: web/eu-1, state: down}
  - {at: 59m30s, endpoint: eu-2, weight: 0}
`)
	want := simulate.Scenario{
		Title: "All keys", Service: "web", Policy: "nearest", Family: policy.FamilyV4, Duration: time.Hour, Step: 30 * time.Second,
		Start: 1772438400, Seed: 7, Spread: true, Capacity: []simulate.Capacity{{Site: "eu-west", Queries: 100.5}},
		Events: []simulate.Event{
			{At: 10 * time.Minute, Site: "eu-west", State: policy.Drained},
			{At: 10 * time.Minute, Endpoint: "eu-1", State: policy.Down},
			{At: 59*time.Minute + 30*time.Second, Endpoint: "eu-2"},
		},
	}
	if !reflect.DeepEqual(s.Scenario, want) {
		t.Errorf("got  %+v\nwant %+v", s.Scenario, want)
	}
	if len(s.Clients) != 10 || s.Clients[0].Queries <= s.Clients[9].Queries {
		t.Errorf("clients %v", s.Clients)
	}
	if _, err := simulate.Run(s.World, s.Scenario, s.Clients); err != nil {
		t.Error(err)
	}
}

// TestShares: clients are where the shares say.
func TestShares(t *testing.T) {
	for shares, want := range map[string]string{
		"{europe: 60, asia: 40}":              "europe:60 asia:40",
		"{177.0.0.0/8: 25, elsewhere: 75}":    "177:25 elsewhere:75",
		"{177.5.0.0/16: 1, europe: 1}":        "177:50 europe:50",
		"{america: 1, elsewhere: 1, asia: 2}": "america:25 elsewhere:25 asia:50",
	} {
		s := writeScenario(t, "service: web\nclients: {number: 2000, queries: 100, shares: "+strings.TrimSuffix(shares, "}")+"}}\n")
		first := map[string][]byte{"europe": {80, 84, 90}, "america": {68, 76, 177}, "asia": {117, 126, 175}, "177": {177}}
		got := map[string]float64{}
		for _, c := range s.Clients {
			where := "elsewhere"
			for _, name := range []string{"europe", "america", "asia"} {
				if c.Prefix.Addr().Is6() && (name == "europe") == (c.Prefix.Addr().As16()[0] == 0x2a) && name != "asia" || c.Prefix.Addr().Is4() && bytes.IndexByte(first[name], c.Prefix.Addr().As4()[0]) >= 0 {
					where = name
				}
			}
			if c.Prefix.Addr().Is4() && c.Prefix.Addr().As4()[0] == 177 && strings.Contains(shares, "177") {
				where = "177"
			}
			got[where] += c.Queries
		}
		for _, w := range strings.Fields(want) {
			name, number, _ := strings.Cut(w, ":")
			if text := fmt.Sprintf("%.0f", got[name]); text != number {
				t.Errorf("%s: %s has %s of 100, want %s", shares, name, text, number)
			}
		}
	}
}

// TestSharesBySite: the networks of a site, and of its region, are those that are at it.
func TestSharesBySite(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"m.yaml": "sites: {eu: {at: [1, 2], region: europe}, us: {at: [3, 4]}}\ngeo: {networks: {80.0.0.0/8: eu, 68.0.0.0/8: us, 90.0.0.0/8: {region: europe}}}\n" +
			"services: {web: {endpoints: [{address: 192.0.2.1, site: eu}], probe: off}}\n",
		"site.yaml":   "config: m.yaml\nservice: web\nclients: {number: 10, shares: {eu: 1}}\n",
		"region.yaml": "config: m.yaml\nservice: web\nclients: {number: 100, shares: {europe: 1}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]int{"site.yaml": 1, "region.yaml": 2} {
		s, err := ReadScenario(filepath.Join(dir, name), "")
		if err != nil {
			t.Fatal(err)
		}
		seen := map[netip.Prefix]bool{}
		for _, c := range s.Clients {
			p, _ := c.Prefix.Addr().Prefix(8)
			seen[p] = true
		}
		if len(seen) != want || !seen[netip.MustParsePrefix("80.0.0.0/8")] {
			t.Errorf("%s: clients in %v", name, seen)
		}
	}
}

// TestNoNetworks: a configuration that says nothing of where clients are has them anywhere.
func TestNoNetworks(t *testing.T) {
	s, err := parseScenario("s.yaml", []byte("service: shop\nclients: {number: 500}\n"), "minimal-for-test.yaml", alone())
	if s != nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a configuration that is not there: %v", err)
	}
	name := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(name, []byte("services: {web: {endpoints: [192.0.2.1], probe: off}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = parseScenario("s.yaml", []byte("service: web\nclients: {number: 500}\n"), name, alone()); err != nil {
		t.Fatal(err)
	}
	seen := map[byte]bool{}
	for _, c := range s.Clients {
		seen[c.Prefix.Addr().As4()[0]] = true
	}
	if len(seen) < 150 {
		t.Errorf("clients in %d /8", len(seen))
	}
}

// TestServiceWithoutEndpoints: a service of registrations alone has nothing to simulate, and nothing more is said.
func TestServiceWithoutEndpoints(t *testing.T) {
	name := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(name, []byte("services: {web: {probe: off}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := parseScenario("s.yaml", []byte("service: web\nfamily: v4\nevents: [{at: 1m, endpoint: a, state: down}]\n"), name, alone())
	if all := (*Errors)(nil); !errors.As(err, &all) || all.Total != 1 || !strings.Contains(err.Error(), `s.yaml:1:10: service: service "web" has no endpoint`) {
		t.Error(err)
	}
}

func TestClientsFile(t *testing.T) {
	for text, total := range map[string]float64{"": 100, ", queries: 5000": 5000} {
		s, err := parseScenario("testdata/scenarios/s.yaml", []byte("service: web\nclients: {file: good.csv"+text+"}\n"), "world.yaml", below("testdata/scenarios"))
		if err != nil {
			t.Fatal(err)
		}
		want := []simulate.Client{{Prefix: netip.MustParsePrefix("80.1.2.0/24"), Queries: 0.7 * total},
			{Prefix: netip.MustParsePrefix("2a00:1:2:300::/56"), Queries: 0.205 * total}, {Prefix: netip.MustParsePrefix("68.1.2.3/32"), Queries: 0.095 * total}}
		for i, c := range s.Clients {
			if c.Prefix != want[i].Prefix || math.Abs(c.Queries-want[i].Queries) > 1e-9*total || len(s.Clients) != 3 {
				t.Errorf("client %d is %v, want %v", i, c, want[i])
			}
		}
	}
}

// TestScenarioUnreadable: files that are not there are errors of the file system.
func TestScenarioUnreadable(t *testing.T) {
	if _, err := ReadScenario("nowhere.yaml", ""); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := ReadScenario("scenarios/canary.yaml", "nowhere.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// The examples run, and the pictures that the documentation shows of them are what comes out.
func TestScenarioExamples(t *testing.T) {
	doc, err := os.ReadFile("../docs/simulate.md")
	if err != nil {
		t.Fatal(err)
	}
	for base := range corpus(t, "scenarios/*.yaml") {
		name := strings.TrimSuffix(base, ".yaml")
		s, err := ReadScenario("scenarios/"+base, "")
		if err != nil {
			t.Error(err)
			continue
		}
		series, err := simulate.Run(s.World, s.Scenario, s.Clients)
		if err != nil {
			t.Errorf("%s: %v", base, err)
			continue
		}
		picture := "../docs/img/" + name + ".svg"
		got := simulate.Chart(series, series.By())
		if *update {
			if err := os.WriteFile(picture, got, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(picture); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what comes of %s (%v); look at the difference, and if it is meant: go test ./configs -run Scenario -update", picture, base, err)
		}
		if text, err := os.ReadFile("scenarios/" + base); err != nil || name == "site-fails" && !bytes.Contains(doc, text[bytes.Index(text, []byte("title:")):]) {
			t.Errorf("docs/simulate.md does not show %s as it is (%v)", base, err)
		}
		if !bytes.Contains(doc, []byte("](img/"+name+".svg)")) || !bytes.Contains(doc, []byte("configs/scenarios/"+base)) {
			t.Errorf("docs/simulate.md does not show %s", name)
		}
	}
}

// Every key has its row in docs/simulate.md, and no row is of a key that is not there; the examples are YAML.
func TestScenarioReference(t *testing.T) {
	doc, err := os.ReadFile("../docs/simulate.md")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, s := range scenarioSections() {
		for _, key := range s.keys() {
			total++
			if !regexp.MustCompile("(?m)^\\| `" + key + "` \\| [^|]+ \\| [^|]+ \\| [^|]+ \\|$").Match(doc) {
				t.Errorf("docs/simulate.md has no row for %s of %s", key, s)
			}
		}
		for word, key := range s.synonyms() {
			if !strings.Contains(strings.Join(s.keys(), " "), key) || strings.Contains(" "+strings.Join(s.keys(), " ")+" ", " "+word+" ") {
				t.Errorf("%s: %s stands for %s", s, word, key)
			}
		}
	}
	if rows := bytes.Count(doc, []byte("\n| `")); rows != total {
		t.Errorf("docs/simulate.md has %d rows for %d keys", rows, total)
	}
	for _, b := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(doc, -1) {
		if _, errs := yaml.Parse(b[1]); len(errs) > 0 {
			t.Errorf("%v:\n%s", errs, b[1])
		}
	}
}

// FuzzScenario: whatever stands in a file, it is refused with a place, or it runs.
func FuzzScenario(f *testing.F) {
	for _, pattern := range []string{"scenarios/*.yaml", "testdata/scenarios/bad/*.yaml"} {
		for _, data := range corpus(f, pattern) {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseScenario("s.yaml", data, "world.yaml", alone())
		if err != nil {
			if all := (*Errors)(nil); s != nil || !errors.As(err, &all) || len(all.Problems) == 0 {
				t.Fatalf("%v, %v", s, err)
			}
			return
		}
		if s.Steps()*len(s.Clients) > 100_000 {
			return
		}
		if _, err := simulate.Run(s.World, s.Scenario, s.Clients); err != nil {
			t.Fatalf("checked, but %v:\n%s", err, data)
		}
	})
}
