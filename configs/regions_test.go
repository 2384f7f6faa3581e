package configs

import (
	"slices"
	"strings"
	"testing"
)

// Places are in one region or in several, and rules may be for any of them, however it is written.
func TestRegionsOfPlaces(t *testing.T) {
	const text = `
sites: {eu: {region: [here, GB/ENG/Milton Keynes, GB/ENG, GB, EU]}, us: {region: america}}
geo: {networks: {192.0.2.0/24: {region: AS64500}, 198.51.100.0/24: {region: [there, "continent/AS"]}}}
policies:
  p: [geo: {GB/ENG/Milton Keynes: eu, GB/ENG: eu, country/GB: eu, AS64500: us, "continent/AS": us, there: us, 2001:db8::/32: us, default: eu}]
`
	c, err := Parse("m.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	spec := c.Definition.Policy
	if s := spec.Sites[0]; s.Region != "here" || !slices.Equal(s.Within, []string{"GB/ENG/Milton Keynes", "GB/ENG", "GB", "EU"}) {
		t.Errorf("%+v", s)
	}
	if s := spec.Sites[1]; s.Region != "america" || len(s.Within) > 0 {
		t.Errorf("%+v", s)
	}
	if n := spec.Networks[1]; n.Region != "there" || !slices.Equal(n.Within, []string{"continent/AS"}) {
		t.Errorf("%+v", n)
	}
}

func TestRegionsRefused(t *testing.T) {
	for region, want := range map[string]string{
		"[]":           "a region, or a list of regions, narrowest first, is expected here",
		"[a, a]":       `region "a" is listed twice`,
		"[a, default]": `a region cannot be called "default"`,
		"[a, b/c]":     `"b/c" is not a name`,
		"GB/":          `"GB/" is not a name`,
		"{a: b}":       "is expected here",
	} {
		_, err := Parse("m.yaml", []byte("sites: {eu: {region: "+region+"}}\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", region, err, want)
		}
	}
}
