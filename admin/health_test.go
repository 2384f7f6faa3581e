package admin

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// TestHealth: one short line for every endpoint, with what is forced and what checks say beside each other.
func TestHealth(t *testing.T) {
	b := newBench(t)
	b.report(policy.Up, policy.Down)
	b.probes = map[string]ProbeStatus{"web/two": {Error: "connection refused"}}
	if err := b.Registry.Force(registry.Override{Target: registry.Target{Kind: registry.KindSite, Name: "us-east"}, State: policy.Drained}); err != nil {
		t.Fatal(err)
	}
	all := get[[]Health](b, "/v1/health")
	if len(all) != 2 {
		t.Fatalf("%+v", all)
	}
	one, two := all[0], all[1]
	if one.Since.IsZero() || two.Since.IsZero() {
		t.Errorf("since: %v, %v", one.Since, two.Since)
	}
	one.Since, two.Since = time.Time{}, time.Time{}
	if want := (Health{Endpoint: "web/one", Site: "eu-west", State: policy.Up, Probed: policy.Up}); !reflect.DeepEqual(one, want) {
		t.Errorf("%+v, want %+v", one, want)
	}
	if want := (Health{Endpoint: "web/two", Site: "us-east", State: policy.Drained, Forced: true, Probed: policy.Down, Error: "connection refused"}); !reflect.DeepEqual(two, want) {
		t.Errorf("%+v, want %+v", two, want)
	}
	for query, want := range map[string]string{
		"":                           "web/one web/two",
		"?state=drained":             "web/two",
		"?state=up":                  "web/one",
		"?state=unknown":             "",
		"?service=web":               "web/one web/two",
		"?service=api":               "",
		"?service=web&state=drained": "web/two",
	} {
		var names []string
		for _, h := range get[[]Health](b, "/v1/health"+query) {
			names = append(names, h.Endpoint)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if _, body := b.do(http.MethodGet, "/v1/health?service=api", ""); body != "[]\n" {
		t.Errorf("nothing is %q, want an empty list", body)
	}
	b.refused(http.MethodGet, "/v1/health?state=passing", "", http.StatusBadRequest, `"passing" does not exist; unknown, up, down and drained do`)
	b.refused(http.MethodGet, "/v1/health?service=wbe", "", http.StatusNotFound, `no service "wbe"`)
	b.refused(http.MethodGet, "/v1/health?sate=up", "", http.StatusBadRequest, `"sate" does not exist; what does: service, state`)
	b.refused(http.MethodGet, "/v1/health?state=%zz", "", http.StatusBadRequest, "cannot be read")
	b.refused(http.MethodGet, "/v1/resolve?nmae=web", "", http.StatusBadRequest, `"nmae" does not exist`)
}
