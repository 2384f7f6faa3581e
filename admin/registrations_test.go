package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

// TestRegistrationThatDoesNotServe: what is stored and serves nobody says so, and why, in every reply about it.
func TestRegistrationThatDoesNotServe(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct{ service, body, why string }{
		{"web", `{"address":"192.0.2.3","site":"eu-west"}`, ""},
		{"web", `{"address":"192.0.2.3"}`, ""},
		{"api", `{"address":"192.0.2.3"}`, ""},
		{"wbe", `{"address":"192.0.2.3"}`, `there is no service "wbe" (did you mean web?)`},
		{"database", `{"address":"192.0.2.3"}`, `there is no service "database" (there is: web, api)`},
		{"web", `{"address":"192.0.2.3","site":"us-eats"}`, `there is no site "us-eats" (did you mean us-east?)`},
		{"web", `{"address":"192.0.2.3","site":"nosuch"}`, `there is no site "nosuch" (there is: eu-west, us-east)`},
		{"web", `{"address":"192.0.2.3","site":"web"}`, `there is no site "web" (there is: eu-west, us-east)`}, // near a service is not near a site
	} {
		path := "/v1/services/" + c.service + "/endpoints/three"
		for _, request := range []struct{ method, path, body string }{
			{http.MethodPut, path, c.body}, {http.MethodPut, path + "/heartbeat", ""}, {http.MethodGet, path, ""},
		} {
			code, body := b.do(request.method, request.path, request.body)
			var r Registered
			if err := json.Unmarshal([]byte(body), &r); err != nil || code/100 != 2 {
				t.Fatalf("%s %s: %d %s", request.method, request.path, code, body)
			}
			if r.Serving != (c.why == "") || r.Reason != c.why || r.Name != "three" {
				t.Errorf("%s %s %s: serving %v, %q, want %q", request.method, request.path, c.body, r.Serving, r.Reason, c.why)
			}
		}
		if list := get[[]Registered](b, "/v1/services/"+c.service+"/endpoints"); len(list) != 1 || list[0].Reason != c.why {
			t.Errorf("list of %s: %+v", c.service, list)
		}
	}
}

// TestRefusedByTheRegistry: what only the registry knows is shown once it has seen the registration; a new one is judged by itself.
func TestRefusedByTheRegistry(t *testing.T) {
	b := newBench(t)
	twice := policy.EndpointSpec{Name: "three", V4: netip.MustParseAddr("192.0.2.3"), Weight: 1}
	b.Registry.Publish(embedded.SourceName, registry.Catalog{Services: map[string][]policy.EndpointSpec{"web": {twice, twice}}})
	const path = "/v1/services/web/endpoints/three"
	if code, body := b.do(http.MethodPut, path, `{"address":"192.0.2.3"}`); code != http.StatusCreated || !strings.Contains(body, `"serving": true`) {
		t.Errorf("%d %s", code, body)
	}
	if r := get[Registered](b, path); r.Serving || r.Reason != "published twice" {
		t.Errorf("%+v", r)
	}
}

// TestAFullServiceRefuses: the limit of a service counts the file's endpoints too.
func TestAFullServiceRefuses(t *testing.T) {
	full := world()
	for i := range registry.MaxEndpointsPerService {
		full.Policy.Services[1].Endpoints = append(full.Policy.Services[1].Endpoints, policy.EndpointSpec{
			Name: "e" + strconv.Itoa(i), V4: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Weight: 1,
		})
	}
	compiled, problems := registry.Compile(full)
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	b := newBench(t)
	b.Registry.Apply(compiled)
	for service, serving := range map[string]bool{"web": true, "api": false} {
		_, body := b.do(http.MethodPut, "/v1/services/"+service+"/endpoints/late", `{"address":"192.0.2.3"}`)
		var r Registered
		if err := json.Unmarshal([]byte(body), &r); err != nil || r.Serving != serving || !serving && !strings.Contains(r.Reason, "10000 endpoints already") {
			t.Errorf("%s: %v %s", service, err, body)
		}
	}
}

// TestNotRegistered: the error names the endpoint and says what to do, which for one of the file is another thing.
func TestNotRegistered(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct{ method, path, want string }{
		{http.MethodDelete, "web/endpoints/one", "web/one is not registered, it is in the configuration file: remove it there, or drain it"},
		{http.MethodGet, "web/endpoints/one", "web/one is not registered, it is in the configuration file"},
		{http.MethodPut, "web/endpoints/one/heartbeat", "web/one is not registered, it is in the configuration file: it needs no heartbeat"},
		{http.MethodDelete, "web/endpoints/nobody", "web/nobody is not registered"},
		{http.MethodGet, "wbe/endpoints/nobody", "wbe/nobody is not registered"},
		{http.MethodPut, "web/endpoints/nobody/heartbeat", "web/nobody is not registered, or its lease is over: register again"},
	} {
		b.refused(c.method, "/v1/services/"+c.path, "", http.StatusNotFound, c.want)
	}
}

// TestUnknownTargetListsWhatThereIs: a name that is near nothing is answered with what could be said instead.
func TestUnknownTargetListsWhatThereIs(t *testing.T) {
	b := newBench(t)
	const want = `there is no site, service or endpoint "elsewhere"; sites: eu-west, us-east; services: web, api`
	b.refused(http.MethodGet, "/v1/resolve?name=elsewhere", "", http.StatusNotFound, want)
	b.refused(http.MethodPut, "/v1/overrides/site/elsewhere", "{}", http.StatusNotFound, "; sites: eu-west, us-east; services: web, api")
	if got := few([]string{"a", "b", "c", "d", "e", "f", "g"}); got != "a, b, c, d, e and 2 more" {
		t.Error(got)
	}
	empty, problems := registry.Compile(registry.Definition{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b.Registry.Apply(empty)
	b.refused(http.MethodGet, "/v1/resolve?name=elsewhere", "", http.StatusNotFound, `endpoint "elsewhere"`)
	if _, body := b.do(http.MethodPut, "/v1/services/web/endpoints/three", `{"address":"192.0.2.3"}`); !strings.Contains(body, `"there is no service \"web\""`) {
		t.Errorf("%s", body)
	}
}

// TestOverrideWarnsOfFailOpen: a drain that leaves a service nothing usable does not stop its traffic, and says so.
func TestOverrideWarnsOfFailOpen(t *testing.T) {
	allDrained := "service web has nothing but drained endpoints now (2): it fails open, all count as up, and traffic goes on"
	for _, c := range []struct {
		name         string
		one, two     policy.State
		target, body string
		want         string // "" = no warning
	}{
		{"a whole service", policy.Up, policy.Up, "service/web", `{}`, allDrained},
		{"one of two", policy.Up, policy.Up, "endpoint/web/one", `{}`, ""},
		{"a site", policy.Up, policy.Up, "site/us-east", `{}`, ""},
		{"the last that works", policy.Up, policy.Down, "endpoint/web/one", `{}`, "service web has no usable endpoint now: it fails open, what is down but not drained (1) counts as up"},
		{"a site, the other down", policy.Up, policy.Down, "site/eu-west", `{}`, "what is down but not drained (1) counts as up"},
		{"all forced down", policy.Up, policy.Up, "service/web", `{"state":"down"}`, "service web has no usable endpoint now (2 down): it fails open, all count as up"},
		{"forced up", policy.Down, policy.Down, "endpoint/web/one", `{"state":"up"}`, ""},
		{"another service fails open", policy.Down, policy.Down, "service/api", `{}`, ""},
	} {
		b := newBench(t)
		b.report(c.one, c.two)
		code, body := b.do(http.MethodPut, "/v1/overrides/"+c.target, c.body)
		var o OverrideStatus
		if err := json.Unmarshal([]byte(body), &o); err != nil || code != http.StatusOK {
			t.Fatalf("%s: %d %s", c.name, code, body)
		}
		if got := strings.Join(o.Warnings, "; "); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if list := get[[]OverrideStatus](b, "/v1/overrides"); len(list) != 1 || list[0].Warnings != nil {
			t.Errorf("%s: listed %+v", c.name, list)
		}
	}
}

// TestOverridesSayWhatElseIsInForce: who ends or sets one override learns which others decide about its endpoints.
func TestOverridesSayWhatElseIsInForce(t *testing.T) {
	b := newBench(t)
	b.report(policy.Up, policy.Up)
	said := func(method, target, body string) string {
		t.Helper()
		code, got := b.do(method, "/v1/overrides/"+target, body)
		var o struct{ Warnings []string }
		if err := json.Unmarshal([]byte(got), &o); err != nil || code != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, target, code, got)
		}
		return strings.Join(o.Warnings, "; ")
	}
	for _, c := range []struct{ method, target, body, want string }{
		{http.MethodPut, "site/eu-west", `{"by": "kim", "reason": "switch"}`, ""},
		{http.MethodPut, "endpoint/web/one", `{"state": "up"}`, "site/eu-west is still drained (kim: switch), and so is web/one; undrain site/eu-west to end that"},
		{http.MethodPut, "endpoint/web/one", `{}`, ""}, // as the site says
		{http.MethodDelete, "endpoint/web/one", "", "site/eu-west is still drained (kim: switch), and so is web/one; undrain site/eu-west to end that"},
		{http.MethodPut, "endpoint/web/two", `{"state": "down", "by": "kim"}`, "service web has no usable endpoint now: it fails open, what is down but not drained (1) counts as up"},
		{http.MethodPut, "service/web", `{"state": "up"}`, "site/eu-west is still drained (kim: switch), and so is web/one; undrain site/eu-west to end that; " +
			"endpoint/web/two is still down (kim), and so is web/two; undrain endpoint/web/two to end that"},
		{http.MethodDelete, "site/eu-west", "", "service/web is still up, and so is web/one; undrain service/web to end that"},
		{http.MethodDelete, "endpoint/web/two", "", "service/web is still up, and so is web/two; undrain service/web to end that"},
		{http.MethodPut, "site/us-east", `{"reason": "test"}`, ""},
		{http.MethodDelete, "service/web", "", "site/us-east is still drained (test), and so is web/two; undrain site/us-east to end that"},
		{http.MethodDelete, "site/us-east", "", ""},
	} {
		if got := said(c.method, c.target, c.body); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.method, c.target, got, c.want)
		}
	}
}

// TestClientOverrides: what is in force, through a real Server.
func TestClientOverrides(t *testing.T) {
	b := newBench(t)
	c, ctx := b.serve(), context.Background()
	if list, err := c.Overrides(ctx); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
	site := registry.Target{Kind: registry.KindSite, Name: "us-east"}
	if _, err := c.Override(ctx, site, OverrideRequest{}); err != nil {
		t.Fatal(err)
	}
	if list, err := c.Overrides(ctx); err != nil || len(list) != 1 || list[0].Target != site {
		t.Errorf("%v %v", list, err)
	}
}

// TestLoad: an endpoint says how much it has to do when it registers and with heartbeats; it is shown, and counts at once.
func TestLoad(t *testing.T) {
	b := newBench(t)
	const path = "/v1/services/web/endpoints/three"
	spec := policy.EndpointSpec{Name: "three", V4: netip.MustParseAddr("192.0.2.3"), Weight: 1}
	b.Registry.Publish(embedded.SourceName, registry.Catalog{Services: map[string][]policy.EndpointSpec{"web": {spec}}})
	for _, tt := range []struct {
		path, body string
		want       float64
	}{
		{path, `{"address":"192.0.2.3","ttl":"15s","load":0.25}`, 0.25},
		{path + "/heartbeat", `{"load":0.7}`, 0.7},
		{path + "/heartbeat", "", 0.7},
		{path + "/heartbeat", `{}`, 0.7},
		{path + "/heartbeat", `{"load":2.5}`, 2.5},
		{path + "/heartbeat", `{"load":0}`, 0},
		{path, `{"address":"192.0.2.3","ttl":"15s","load":1}`, 1},
		{path, `{"address":"192.0.2.3","ttl":"15s"}`, 0},
	} {
		code, body := b.do(http.MethodPut, tt.path, tt.body)
		var r Registered
		if err := json.Unmarshal([]byte(body), &r); err != nil || code/100 != 2 || r.Load != tt.want {
			t.Errorf("%s %s: %d %s, want a load of %v", tt.path, tt.body, code, body, tt.want)
		}
		if shown := get[Registered](b, path); shown.Load != tt.want {
			t.Errorf("%s %s: shown with %v", tt.path, tt.body, shown.Load)
		}
		s := b.Registry.Snapshot()
		if id, ok := s.Plan.EndpointByName("web/three"); !ok || s.Health.Of(id).Load != policy.LoadOf(tt.want) {
			t.Errorf("%s %s: the registry has %d", tt.path, tt.body, s.Health.Of(id).Load)
		}
	}
	for _, bad := range []string{`{"load":-1}`, `{"load":61}`} {
		b.refused(http.MethodPut, path+"/heartbeat", bad, http.StatusBadRequest, "out of range: want 0 to 60")
	}
	b.refused(http.MethodPut, path+"/heartbeat", `{"load":"much"}`, http.StatusBadRequest, "load: a number is expected, not a string")
	b.refused(http.MethodPut, path, `{"address":"192.0.2.3","load":-0.1}`, http.StatusBadRequest, "out of range")
	b.refused(http.MethodPut, path+"/heartbeat", `{"lod":1}`, http.StatusBadRequest, "lod")
}
