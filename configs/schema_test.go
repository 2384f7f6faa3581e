package configs

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/meridian-gslb/meridian/configs/yaml"
)

// asJSON returns a tree as an editor sees it: scalars resolved by the core schema of YAML 1.2.
func asJSON(n *yaml.Node) any {
	switch n.Kind {
	case yaml.Null:
		return nil
	case yaml.Mapping:
		m := map[string]any{}
		for _, p := range n.Pairs {
			m[p.Key.Value] = asJSON(p.Value)
		}
		return m
	case yaml.Sequence:
		list := []any{}
		for _, v := range n.Items {
			list = append(list, asJSON(v))
		}
		return list
	}
	switch {
	case n.Quoted:
	case n.Value == "true" || n.Value == "false":
		return n.Value == "true"
	case numberForm.MatchString(n.Value):
		s := strings.TrimPrefix(n.Value, "+")
		if strings.HasPrefix(s, ".") {
			s = "0" + s
		}
		return json.Number(s)
	}
	return n.Value
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("meridian.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("meridian.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchemaAcceptsGoodFiles(t *testing.T) {
	s := compiledSchema(t)
	for _, pattern := range []string{"*.yaml", "testdata/good/*.yaml"} {
		for name, data := range corpus(t, pattern) {
			root, errs := yaml.Parse(data)
			if len(errs) > 0 {
				t.Fatalf("%s: %v", name, errs)
			}
			if err := s.Validate(asJSON(root)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// What an editor can know of a file's mistakes, it says: all but what refers to other places, and limits that need arithmetic.
func TestSchemaRefusesBadFiles(t *testing.T) {
	s := compiledSchema(t)
	refused, accepted := 0, []string{}
	for name, data := range corpus(t, "testdata/bad/*.yaml") {
		root, errs := yaml.Parse(data)
		if len(errs) > 0 || root == nil {
			continue
		}
		if s.Validate(asJSON(root)) != nil {
			refused++
		} else {
			accepted = append(accepted, name)
		}
	}
	for _, name := range []string{"key-unknown.yaml", "site-latitude.yaml", "endpoint-port-range.yaml", "probe-two-kinds.yaml", "policy-take-zero.yaml",
		"policy-geo-no-default.yaml", "zone-no-ns.yaml", "record-lower-case-type.yaml", "route-no-service.yaml", "dns-listen-name.yaml",
		"edge-access-log.yaml", "log-level.yaml", "later-consul.yaml", "probe-interval-text.yaml", "edge-certificate-without-key.yaml"} {
		if slices.Contains(accepted, name) {
			t.Errorf("the schema accepts %s", name)
		}
	}
	if refused < 90 {
		slices.Sort(accepted)
		t.Errorf("the schema refuses only %d files; it accepts %v", refused, accepted)
	}
}

// Every key that the decoder knows is in the schema, and the other way round; each says when it applies.
func TestSchemaKnowsTheKeys(t *testing.T) {
	var doc any
	if err := json.Unmarshal(Schema(), &doc); err != nil {
		t.Fatal(err)
	}
	found := map[section][]string{}
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if s, ok := v["x-section"].(string); ok {
				for key, p := range v["properties"].(map[string]any) {
					found[section(s)] = append(found[section(s)], key)
					p := p.(map[string]any)
					if text, _ := p["description"].(string); !strings.Contains(text, "(reload)") && !strings.Contains(text, "(start)") && p["$ref"] == nil {
						t.Errorf("%s: %s does not say when a change applies", s, key)
					}
				}
			}
			for _, child := range v {
				visit(child)
			}
		case []any:
			for _, child := range v {
				visit(child)
			}
		}
	}
	visit(doc)
	if len(found) != len(allSections()) {
		t.Errorf("%d sections in the schema, want %d", len(found), len(allSections()))
	}
	for _, s := range allSections() {
		known, listed := slices.Sorted(slices.Values(s.keys())), slices.Sorted(slices.Values(found[s]))
		if !slices.Equal(known, listed) {
			t.Errorf("section %q: the decoder knows %v, the schema %v", s, known, listed)
		}
	}
}

// Every key has its row in the reference, with form, default and when it applies, and stands in full.yaml.
func TestReferenceKnowsTheKeys(t *testing.T) {
	doc, err := os.ReadFile("../docs/CONFIG.md")
	if err != nil {
		t.Fatal(err)
	}
	full, err := os.ReadFile("full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	chapters := map[section]string{}
	for _, chapter := range strings.Split(string(doc), "\n## ")[1:] {
		title, body, _ := strings.Cut(chapter, "\n")
		name := ""
		if m := regexp.MustCompile("`(.*)`").FindStringSubmatch(title); m != nil {
			name = m[1]
		}
		chapters[section(name)] = body
	}
	for _, s := range allSections() {
		rows := 0
		for _, key := range s.keys() {
			row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(key) + "` \\| [^|]+ \\| [^|]+ \\| [^|]+ \\| (reload|start|see there) \\|$")
			if !row.MatchString(chapters[s]) {
				t.Errorf("docs/CONFIG.md, section %q: no row for %s", s, key)
			}
			if !regexp.MustCompile(`[ {]` + key + `[:\],]|(?m)^` + key + `:|- ` + key + `\b`).Match(full) {
				t.Errorf("full.yaml does not show %s of section %q", key, s)
			}
			rows++
		}
		if got := strings.Count(chapters[s], "\n| `"); got != rows {
			t.Errorf("docs/CONFIG.md, section %q: %d rows for %d keys", s, got, rows)
		}
	}
	if len(chapters) != len(allSections()) {
		t.Errorf("docs/CONFIG.md has %d chapters for %d sections", len(chapters), len(allSections()))
	}
}

// The examples of the reference are YAML that we read, and the error it shows is the one we give.
func TestReferenceExamples(t *testing.T) {
	doc, err := os.ReadFile("../docs/CONFIG.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(doc, -1)
	if len(blocks) < 10 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, b := range blocks {
		if _, errs := yaml.Parse(b[1]); len(errs) > 0 {
			t.Errorf("%v:\n%s", errs, b[1])
		}
	}
	src := strings.Repeat("#\n", 11) + "services: {web: {probe: off}}\npolicies: {close-by: [healthy]}\nzones:\n  gslb.example:\n    ns: [ns.example.net.]\n" +
		"    records:\n      ns1: {A: 192.0.2.53}\n      www: {service: web, policy: closeby}\n"
	_, got := Parse("meridian.yaml", []byte(src))
	if got == nil || !bytes.Contains(doc, []byte("```\n"+got.Error()+"\n```")) {
		t.Errorf("the reference does not show\n%v", got)
	}
	const zone = "/etc/meridian/gslb.example.zone"
	zoneText := "@ 60 SOA ns.example.net. hostmaster 1 60 60 60 60\n@ 60 NS ns.example.net.\n" + strings.Repeat("\n", 9) + "mail  A  192.0.2.256\n"
	_, got = Load(fstest.MapFS{"m.yaml": {Data: []byte("zones: {gslb.example: {file: gslb.example.zone}}\n")}, "gslb.example.zone": {Data: []byte(zoneText)}}, "m.yaml")
	if got == nil || !bytes.Contains(doc, []byte("```\n"+strings.Replace(got.Error(), "gslb.example.zone", zone, 1)+"\n```")) {
		t.Errorf("the reference does not show\n%v", got)
	}
}
