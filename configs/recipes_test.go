package configs

import (
	"fmt"
	"math"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// A recipe is a section of docs/recipes.md: a configuration, and what it does.
type recipe struct {
	name, config string
	files        map[string]string // data files that the configuration names
	rows         [][]string        // client, when, answer
}

// recipes reads docs/recipes.md; common goes before each recipe that does not say the same itself.
func recipes(t *testing.T) (common string, list []recipe) {
	doc, err := os.ReadFile("../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	data := regexp.MustCompile("(?s)`([a-z.-]+)`:\n\n```text\n(.*?)```")
	for i, part := range strings.Split(string(doc), "\n## ") {
		blocks := block.FindAllStringSubmatch(part, -1)
		if len(blocks) != 1 {
			t.Fatalf("section %d has %d configurations", i, len(blocks))
		}
		if i == 0 {
			common = blocks[0][1]
			continue
		}
		name, _, _ := strings.Cut(part, "\n")
		r := recipe{name: name, config: blocks[0][1], files: map[string]string{}}
		for _, m := range data.FindAllStringSubmatch(part, -1) {
			r.files[m[1]] = m[2]
		}
		for line := range strings.Lines(part) {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			if len(cells) != 3 || strings.Contains(line, "---") || strings.HasPrefix(line, "| Client") {
				continue
			}
			for j := range cells {
				cells[j] = strings.TrimSpace(cells[j])
			}
			r.rows = append(r.rows, cells)
		}
		list = append(list, r)
	}
	return common, list
}

// sectionsOf splits a configuration into its top-level sections.
func sectionsOf(text string) map[string]string {
	out, key := map[string]string{}, ""
	for line := range strings.Lines(text) {
		if word, _, ok := strings.Cut(line, ":"); ok && line[0] != ' ' && line[0] != '#' {
			key = word
		}
		out[key] += line
	}
	return out
}

// TestRecipes: every recipe loads and does what its table says.
func TestRecipes(t *testing.T) {
	common, list := recipes(t)
	if len(list) < 15 {
		t.Fatalf("%d recipes", len(list))
	}
	for _, r := range list {
		t.Run(r.name, func(t *testing.T) {
			text := r.config
			for key, section := range sectionsOf(common) {
				if sectionsOf(r.config)[key] == "" {
					text += section
				}
			}
			fsys := fstest.MapFS{"recipe.yaml": {Data: []byte(text)}}
			for name, text := range r.files {
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}
			c, err := Load(fsys, "recipe.yaml")
			if err != nil {
				t.Fatal(err)
			}
			if len(r.rows) == 0 {
				t.Fatal("the recipe has no table")
			}
			truth := registry.New(registry.Options{})
			truth.Apply(c.Compiled)
			steer := c.Definition.Zones[0].Records[0].Steer
			for _, row := range r.rows {
				if got, ok := outcome(t, truth, steer.Service, steer.Policy, row[0], row[1], row[2]); !ok {
					t.Errorf("client %s, %q: %s; the table says %s", row[0], row[1], got, row[2])
				}
			}
		})
	}
}

// outcome returns what is answered, in the form of what is wanted, and whether it is that.
func outcome(t *testing.T, truth *registry.Registry, service, pol, client, when, want string) (got string, ok bool) {
	t.Helper()
	s := truth.Snapshot()
	at := int64(1_800_000_000)
	if when != "" {
		list, err := truth.ParseSuppositions(when)
		if err != nil {
			t.Fatal(err)
		}
		s = s.Suppose(list)
	}
	addr := netip.MustParseAddr(client)
	q := policy.Query{Client: netip.PrefixFrom(addr, addr.BitLen()), Family: policy.FamilyV4, Key: policy.ClientKey(addr), Now: at}
	var found bool
	if q.Service, found = s.Plan.ServiceByName(service); !found {
		t.Fatalf("no service %q", service)
	}
	if q.Policy, found = s.Plan.PolicyByName(pol); !found {
		t.Fatalf("no policy %q", pol)
	}
	var scratch policy.Scratch
	names := func() (out []string) {
		for _, id := range s.Plan.Decide(&scratch, q, s.Health).Endpoints {
			out = append(out, strings.TrimPrefix(s.Plan.Endpoint(id).Name, service+"/"))
		}
		return out
	}
	if n, err := strconv.Atoi(want); err == nil { // how many
		got := len(names())
		return strconv.Itoa(got), got == n
	}
	if !strings.Contains(want, "%") {
		got = strings.Join(names(), ", ")
		for q.Dice = range uint64(50) { // nothing is drawn
			if again := strings.Join(names(), ", "); again != got {
				return got + " or " + again, false
			}
		}
		return got, got == want
	}
	const draws = 20_000
	first, with := map[string]int{}, map[string]int{}
	for i := range uint64(draws) {
		q.Dice = i * 0x9e3779b97f4a7c15
		for k, name := range names() {
			if with[name]++; k == 0 {
				first[name]++
			}
		}
	}
	ok = true
	var seen []string
	for part := range strings.SplitSeq(want, ", ") {
		name, share, _ := strings.Cut(part, " ")
		counts := first
		if name == "with" {
			counts = with
			name, share, _ = strings.Cut(share, " ")
		}
		percent, err := strconv.ParseFloat(strings.TrimSuffix(share, "%"), 64)
		if err != nil {
			t.Fatalf("%q is no share", part)
		}
		is := 100 * float64(counts[name]) / draws
		ok = ok && math.Abs(is-percent) < 1.5
		got += fmt.Sprintf("%s %.1f%%, ", name, is)
		seen = append(seen, name)
	}
	for name := range first {
		ok = ok && slices.Contains(seen, name)
	}
	return strings.TrimSuffix(got, ", "), ok
}
