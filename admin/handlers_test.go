package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

func TestHealthAndReadiness(t *testing.T) {
	b := newBench(t)
	if code, body := b.do(http.MethodGet, "/healthz", ""); code != http.StatusOK || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	if r := get[readiness](b, "/readyz"); !r.Ready || r.Waiting != nil {
		t.Errorf("ready: %+v", r)
	}
	b.waiting = []string{"probing: first round"}
	code, body := b.do(http.MethodGet, "/readyz", "")
	var r readiness
	if err := json.Unmarshal([]byte(body), &r); err != nil || code != http.StatusServiceUnavailable || r.Ready || len(r.Waiting) != 1 || r.Waiting[0] != b.waiting[0] {
		t.Errorf("not ready: %d %s", code, body)
	}
	if code, _ := b.do(http.MethodGet, "/healthz", ""); code != http.StatusOK {
		t.Errorf("healthz while not ready: %d; a process that waits must not be killed for it", code)
	}
}

// TestOverrides: an override is put in force, shown, replaced and ended.
func TestOverrides(t *testing.T) {
	b := newBench(t)
	code, body := b.do(http.MethodPut, "/v1/overrides/site/us-east", `{"for":"10m","reason":"switch upgrade","by":"ops"}`)
	var o OverrideStatus
	if err := json.Unmarshal([]byte(body), &o); err != nil || code != http.StatusOK {
		t.Fatalf("put: %d %s", code, body)
	}
	if o.Endpoints != 1 || o.State != policy.Drained || o.Reason != "switch upgrade" || o.By != "ops" || o.Until.Sub(o.Since) != 10*time.Minute {
		t.Errorf("put: %s", body)
	}
	if b.state("web/two") != policy.Drained || b.state("web/one") == policy.Drained {
		t.Errorf("web/one %v, web/two %v", b.state("web/one"), b.state("web/two"))
	}
	if code, body := b.do(http.MethodPut, "/v1/overrides/endpoint/web/one", `{"state":"down"}`); code != http.StatusOK {
		t.Fatalf("endpoint: %d %s", code, body)
	}
	if list := get[[]OverrideStatus](b, "/v1/overrides"); len(list) != 2 || list[0].Target.String() != "endpoint/web/one" || !list[0].Until.IsZero() {
		t.Errorf("list: %+v", list)
	}
	if code, body := b.do(http.MethodDelete, "/v1/overrides/site/us-east", ""); code != http.StatusOK || !strings.Contains(body, `"target": "site/us-east"`) {
		t.Errorf("delete: %d %q", code, body)
	}
	if b.state("web/two") == policy.Drained {
		t.Error("web/two is still drained")
	}
	b.refused(http.MethodDelete, "/v1/overrides/site/us-east", "", http.StatusNotFound, "no override of site/us-east")
}

func (b *bench) state(endpoint string) policy.State {
	b.t.Helper()
	d, ok := b.Registry.Detail(endpoint)
	if !ok {
		b.t.Fatalf("no endpoint %s", endpoint)
	}
	return d.State
}

func TestOverridesRefused(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		path, body, want string
		status           int
	}{
		{"site/us-eats", `{}`, "us-eats", 404},
		{"service/us-east", `{}`, "service/us-east", 404},
		{"endpoint/us-east", `{}`, "endpoint/SERVICE/NAME", 400},
		{"endpoint/web/three", `{}`, "web/three", 404},
		{"us-east", `{}`, "site/NAME", 400},
		{"rack/7", `{}`, "site/NAME", 400},
		{"site/", `{}`, "has no name", 400},
		{"site/us-east", `{"state":"unknown"}`, "state must be drained, down or up", 400},
		{"site/us-east", `{"state":"sideways"}`, "sideways", 400},
		{"site/us-east", `{"for":"-1m"}`, "negative", 400},
		{"site/us-east", `{"for":"soon"}`, "soon", 400},
		{"site/us-east", `{"state":"down","reason":"` + strings.Repeat("x", registry.MaxReason+1) + `"}`, "reason is longer", 400},
		{"site/us-east", `{"by":"` + strings.Repeat("x", registry.MaxBy+1) + `"}`, "by is longer", 400},
		{"site/" + strings.Repeat("x", 4000), `{}`, "longer than", 400},
	} {
		b.refused(http.MethodPut, "/v1/overrides/"+c.path, c.body, c.status, c.want)
	}
	if list := b.Registry.Overrides(); len(list) != 0 {
		t.Errorf("in force: %v", list)
	}
}

// TestRegistrations: an endpoint registers, is listed, renews its lease and leaves.
func TestRegistrations(t *testing.T) {
	b := newBench(t)
	const path = "/v1/services/web/endpoints/three"
	const body = `{"address":["192.0.2.3","2001:db8::3"],"port":8080,"site":"us-east","weight":0,"ttl":"15s","meta":{"rack":"7"}}`
	if code, got := b.do(http.MethodPut, path, body); code != http.StatusCreated {
		t.Fatalf("first: %d %s", code, got)
	}
	if code, got := b.do(http.MethodPut, path, body); code != http.StatusOK {
		t.Fatalf("again: %d %s", code, got)
	}
	reg := get[embedded.Registration](b, path)
	if reg.Name != "three" || reg.Service != "web" || len(reg.Address) != 2 || reg.Weight == nil || *reg.Weight != 0 || reg.Meta["rack"] != "7" || reg.Expires.IsZero() {
		t.Errorf("stored: %+v", reg)
	}
	if list := get[[]embedded.Registration](b, "/v1/services/web/endpoints"); len(list) != 1 {
		t.Errorf("list: %+v", list)
	}
	if list := get[[]embedded.Registration](b, "/v1/services/api/endpoints"); list == nil || len(list) != 0 {
		t.Errorf("list of nothing: %v, want an empty list, not null", list)
	}
	if code, got := b.do(http.MethodPut, path+"/heartbeat", ""); code != http.StatusOK {
		t.Errorf("heartbeat: %d %s", code, got)
	}
	if code, got := b.do(http.MethodDelete, path, ""); code != http.StatusNoContent {
		t.Errorf("delete: %d %s", code, got)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		b.refused(method, path, "", http.StatusNotFound, "not registered")
	}
	b.refused(http.MethodPut, path+"/heartbeat", "", http.StatusNotFound, "not registered")
}

// TestNamesInPaths: names are escaped in paths like anything else; what is no name is refused.
func TestNamesInPaths(t *testing.T) {
	b := newBench(t)
	const body = `{"address":["192.0.2.3"]}`
	if code, got := b.do(http.MethodPut, "/v1/services/web/endpoints/%74hree", body); code != http.StatusCreated {
		t.Errorf("%%74hree: %d %s", code, got)
	}
	for _, name := range []string{"%3Cscript%3E", "a%2Fb", "%00", "%0d%0a", "%C3%A9", strings.Repeat("x", 254), "-a"} {
		b.refused(http.MethodPut, "/v1/services/web/endpoints/"+name, body, http.StatusBadRequest, "name")
	}
	if code, _ := b.do(http.MethodPut, "/v1/services/web/endpoints/../../overrides/site/us-east", body); code/100 == 2 {
		t.Error("a path that climbs is obeyed")
	}
	if list := b.Embedded.List("web"); len(list) != 1 || list[0].Name != "three" {
		t.Errorf("stored: %v", list)
	}
}

func TestResolve(t *testing.T) {
	b := newBench(t)
	for name, want := range map[string]string{
		"us-east": "site/us-east", "web": "service/web", "one": "endpoint/web/one", "web/two": "endpoint/web/two", "site/eu-west": "site/eu-west",
	} {
		if got := get[Resolved](b, "/v1/resolve?name="+name).Target.String(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	b.refused(http.MethodGet, "/v1/resolve?name=us-eats", "", http.StatusNotFound, "did you mean site/us-east?")
	b.refused(http.MethodGet, "/v1/resolve", "", http.StatusNotFound, "there is no site, service or endpoint")
}

func TestExplain(t *testing.T) {
	b := newBench(t)
	x := get[dnsserver.Explanation](b, "/v1/explain?name=www.gslb.example&type=AAAA&client=192.0.2.0/24&what_if=us-east=down")
	if x.Name != "www.gslb.example" || x.Type != "AAAA" || x.Client != "192.0.2.0/24" || x.Notes[0] != "us-east=down" {
		t.Errorf("explain: %+v", x)
	}
	b.refused(http.MethodGet, "/v1/explain", "", http.StatusBadRequest, "the name is empty")
	b.refused(http.MethodGet, "/v1/explain?name=a&cilent=192.0.2.1", "", http.StatusBadRequest, `"cilent" does not exist`)
}

// TestReload: the caller learns the outcome: the generation, or every problem with its place.
func TestReload(t *testing.T) {
	b := newBench(t)
	b.reload = func(context.Context) (Reloaded, error) { return Reloaded{File: "meridian.yaml", Generation: 7}, nil }
	code, body := b.do(http.MethodPost, "/v1/reload", "")
	var r Reloaded
	if err := json.Unmarshal([]byte(body), &r); err != nil || code != http.StatusOK || r.Generation != 7 {
		t.Errorf("reload: %d %s", code, body)
	}
	b.reload = func(context.Context) (Reloaded, error) {
		return Reloaded{}, &Error{Status: http.StatusUnprocessableEntity, Message: "refused", Problems: []Problem{{File: "meridian.yaml", Line: 3, Column: 7, Message: "no", Text: "meridian.yaml:3:7: no"}}}
	}
	code, body = b.do(http.MethodPost, "/v1/reload", "")
	var e Error
	if err := json.Unmarshal([]byte(body), &e); err != nil || code != http.StatusUnprocessableEntity || len(e.Problems) != 1 || e.Problems[0].Line != 3 {
		t.Errorf("refused: %d %s", code, body)
	}
	b.reload = func(context.Context) (Reloaded, error) { return Reloaded{}, errors.New("no disk") }
	b.refused(http.MethodPost, "/v1/reload", "", http.StatusInternalServerError, "no disk")
}

func TestZones(t *testing.T) {
	zones := get[[]ZoneStatus](newBench(t), "/v1/zones")
	if len(zones) != 1 || zones[0].Name != "gslb.example." || zones[0].Serial != 1 || zones[0].Names != 1 {
		t.Errorf("zones: %+v", zones)
	}
}

func TestDemo(t *testing.T) {
	b := newBench(t)
	if code, body := b.do(http.MethodPost, "/v1/demo/backends/us-east-1/stop", ""); code != http.StatusOK || b.demo.running["us-east-1"] {
		t.Errorf("stop: %d %s", code, body)
	}
	if list := get[[]Backend](b, "/v1/demo/backends"); len(list) != 1 || list[0].Running {
		t.Errorf("list: %+v", list)
	}
	if code, body := b.do(http.MethodPost, "/v1/demo/backends/us-east-1/start", ""); code != http.StatusOK || !b.demo.running["us-east-1"] {
		t.Errorf("start: %d %s", code, body)
	}
	b.refused(http.MethodPost, "/v1/demo/backends/nobody/stop", "", http.StatusNotFound, "nobody")
}
