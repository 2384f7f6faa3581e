package registry

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/policy"
)

func resolver(t *testing.T) *Registry {
	d := Definition{Policy: policy.Spec{
		Sites: []policy.SiteSpec{{Name: "us-east"}, {Name: "eu-west"}, {Name: "web"}},
		Services: []policy.ServiceSpec{
			{Name: "web", Endpoints: []policy.EndpointSpec{ep("us-east-1", "us-east"), ep("both", "us-east")}},
			{Name: "api", Endpoints: []policy.EndpointSpec{ep("eu-west-1", "eu-west"), ep("both", "us-east")}},
			{Name: "site", Endpoints: []policy.EndpointSpec{ep("us-east", "")}},
		},
	}}
	r := New(Options{})
	r.Apply(mustCompile(t, d))
	return r
}

func TestResolve(t *testing.T) {
	r := resolver(t)
	must(t, r.Force(drain(Target{KindSite, "closed"})))
	for name, want := range map[string]string{
		"eu-west":                  "site/eu-west",
		"site/eu-west":             "site/eu-west",
		"site/us-east":             "site/us-east", // and not endpoint us-east of service "site"
		"endpoint/site/us-east":    "endpoint/site/us-east",
		"api":                      "service/api",
		"service/web":              "service/web",
		"us-east-1":                "endpoint/web/us-east-1",
		"web/us-east-1":            "endpoint/web/us-east-1",
		"endpoint/web/us-east-1":   "endpoint/web/us-east-1",
		"api/both":                 "endpoint/api/both",
		"closed":                   "site/closed", // gone from the configuration, but overridden
		"site/closed":              "site/closed",
		"us-east":                  "site/us-east", // a whole name goes before the short name of an endpoint
		"web":                      "? site/web service/web",
		"both":                     "? endpoint/web/both endpoint/api/both",
		"us-eats":                  "~ site/us-east",
		"site/eu-wets":             "~ site/eu-west",
		"web/us-east-2":            "~ endpoint/web/us-east-1",
		"eu-west-2":                "~ endpoint/api/eu-west-1",
		"something else":           "~",
		"":                         "~",
		"endpoint/web/us-east-3":   "~ endpoint/web/us-east-1",
		strings.Repeat("x", 10000): "~",
	} {
		got, err := r.Resolve(name)
		var e *ResolveError
		switch {
		case strings.HasPrefix(want, "?"):
			if !errors.As(err, &e) || texts(e.Candidates) != strings.TrimPrefix(want, "? ") || !strings.Contains(err.Error(), "ambiguous: say ") {
				t.Errorf("%.40q: %v, %v; want %s", name, got, err, want)
			}
		case strings.HasPrefix(want, "~"):
			first, ok := strings.CutPrefix(want, "~ ")
			if !errors.As(err, &e) || len(e.Candidates) > 0 || ok && !slices.Contains(strings.Fields(texts(e.Near)), first) {
				t.Errorf("%.40q: %v, %v; want %s", name, got, err, want)
			}
			if ok != strings.Contains(err.Error(), "did you mean ") && name != "" {
				t.Errorf("%.40q: %v", name, err)
			}
			if len(err.Error()) > 500 {
				t.Errorf("%.40q: an error of %d bytes", name, len(err.Error()))
			}
		case err != nil || got.String() != want:
			t.Errorf("%q: %v, %v; want %s", name, got, err, want)
		}
	}
}

func texts(list []Target) string {
	var words []string
	for _, t := range list {
		words = append(words, t.String())
	}
	return strings.Join(words, " ")
}

func TestResolveErrorCutsTheList(t *testing.T) {
	e := &ResolveError{Name: "x", Candidates: []Target{siteEU, siteUS, service, endpoint, {KindSite, "5"}, {KindSite, "6"}, {KindSite, "7"}}}
	const want = `registry: "x" is ambiguous: say site/eu or site/us or service/web or endpoint/web/a or site/5 or one of 2 more`
	if got := e.Error(); got != want {
		t.Errorf("%s", got)
	}
}

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "a", 0}, {"a", "", 1}, {"", "ab", 2}, {"us-east", "us-eats", 2}, {"us-east", "us-west", 2}, {"web", "wbe", 2}, {"web", "wb", 1},
		{"web", "wxeb", 1}, {"abc", "xyz", 3}, {"abcdef", "", 3}, {"kitten", "sitting", 3},
	} {
		if got, back := edits(c.a, c.b, 2), edits(c.b, c.a, 2); got != c.want || back != c.want {
			t.Errorf("edits(%q, %q) = %d, back %d, want %d", c.a, c.b, got, back, c.want)
		}
	}
}
