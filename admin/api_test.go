package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/policy"
)

// TestUnknownPathsAndMethods: both are said in JSON, and what would be possible is named.
func TestUnknownPathsAndMethods(t *testing.T) {
	b := newBench(t)
	b.refused(http.MethodGet, "/v1/nothing", "", http.StatusNotFound, "no such path: /v1/nothing")
	b.refused(http.MethodGet, "/", "", http.StatusNotFound, "no such path")
	w := b.record(http.MethodGet, "/v1/reload", "")
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" || !strings.Contains(w.Body.String(), "GET is not possible here; what is: POST") {
		t.Errorf("GET /v1/reload: %d, Allow %q: %s", w.Code, w.Header().Get("Allow"), w.Body)
	}
}

// TestGetChangesNothing: every path that changes something refuses GET and HEAD, and the world stays as it was.
func TestGetChangesNothing(t *testing.T) {
	b := newBench(t)
	before := b.Registry.Snapshot()
	for _, path := range []string{
		"/v1/reload", "/v1/overrides/site/us-east", "/v1/services/web/endpoints/three/heartbeat",
		"/v1/demo/backends/us-east-1/stop", "/v1/demo/backends/us-east-1/start",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if code, body := b.do(method, path, ""); code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d %s", method, path, code, body)
			}
		}
	}
	if b.Registry.Snapshot() != before || len(b.Registry.Overrides()) != 0 || !b.demo.running["us-east-1"] {
		t.Error("something changed")
	}
}

// TestBodies: what is not exactly what is expected is refused, and nothing is stored.
func TestBodies(t *testing.T) {
	b := newBench(t)
	const path = "/v1/services/web/endpoints/three"
	for _, c := range []struct {
		name, body, want string
		status           int
	}{
		{"empty", "", "the body is empty", 400},
		{"blank", " \n", "the body is empty", 400},
		{"no JSON", "address=1.2.3.4", "not what is expected", 400},
		{"cut off", `{"address": ["192.0.2.3"`, "not what is expected", 400},
		{"a list", `[]`, "not what is expected", 400},
		{"unknown field", `{"address": ["192.0.2.3"], "wieght": 3}`, `unknown field "wieght"`, 400},
		{"wrong type", `{"address": ["192.0.2.3"], "port": "http"}`, "port", 400},
		{"port out of range", `{"address": ["192.0.2.3"], "port": 65536}`, "port", 400},
		{"no address", `{"address": ["web.example"]}`, "web.example", 400},
		{"negative weight", `{"address": ["192.0.2.3"], "weight": -1}`, "weight", 400},
		{"huge weight", `{"address": ["192.0.2.3"], "weight": 1e309}`, "weight", 400},
		{"weight above the limit", `{"address": ["192.0.2.3"], "weight": 1048577}`, "weight", 400},
		{"two values", `{"address": ["192.0.2.3"]} {}`, "goes on behind", 400},
		{"bracket behind", `{"address": ["192.0.2.3"]}]`, "goes on behind", 400},
		{"another service", `{"service": "api", "address": ["192.0.2.3"]}`, "the body is about", 400},
		{"another name", `{"name": "four", "address": ["192.0.2.3"]}`, "the body is about", 400},
		{"no address at all", `{}`, "address", 400},
		{"loopback", `{"address": ["127.0.0.1"]}`, "127.0.0.1", 400},
		{"metadata service", `{"address": ["169.254.169.254"]}`, "169.254.169.254", 400},
		{"2 MiB", `{"address": ["192.0.2.3"], "site": "` + strings.Repeat("x", 2<<20) + `"}`, "larger than 1048576 bytes", 413},
		{"deep nesting", strings.Repeat(`{"meta":`, 20000), "not what is expected", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			b.refused(http.MethodPut, path, c.body, c.status, c.want)
		})
	}
	if list := b.Embedded.List("web"); len(list) != 0 {
		t.Errorf("stored: %v", list)
	}
}

// TestPanicIsOneFailedRequest: it is answered, counted, and the server goes on.
func TestPanicIsOneFailedRequest(t *testing.T) {
	b := newBench(t)
	b.Options.About = func() About { panic("broken") }
	b.refused(http.MethodGet, "/v1/status", "", http.StatusInternalServerError, "internal error")
	if got := counted(t, b.panics); got != 1 {
		t.Errorf("panics counted: %v", got)
	}
	if code, _ := b.do(http.MethodGet, "/healthz", ""); code != http.StatusOK {
		t.Errorf("healthz after a panic: %d", code)
	}
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("http.ErrAbortHandler does not pass: %v", p)
		}
	}()
	b.Options.About = func() About { panic(http.ErrAbortHandler) }
	b.do(http.MethodGet, "/v1/status", "")
}

// TestWithoutDemoAndEmbedded: what the process does not have has no path.
func TestWithoutDemoAndEmbedded(t *testing.T) {
	b := newBench(t)
	b.Options.Demo, b.Options.Embedded, b.Options.Traffic = nil, nil, nil
	b.refused(http.MethodGet, "/v1/demo/backends", "", http.StatusNotFound, "no such path")
	b.refused(http.MethodPost, "/v1/demo/backends/us-east-1/stop", "", http.StatusNotFound, "no such path")
	b.refused(http.MethodPut, "/v1/services/web/endpoints/three", `{}`, http.StatusNotFound, "no such path")
	if s := get[Status](b, "/v1/status"); len(s.Services) != 2 || s.Services[0].Endpoints[0].Traffic != nil {
		t.Errorf("status: %+v", s)
	}
}

// FuzzOverrideBody: no body makes the API fail, and what it accepts is an override of the target in the path.
func FuzzOverrideBody(f *testing.F) {
	for _, s := range []string{``, `{}`, `{"state":"down","for":"10m","reason":"x","by":"y"}`, `{"state":"unknown"}`, `{"for":"-1s"}`,
		`{"for":"2540400h"}`, `{"state":7}`, `null`, `{"for":"9999999h"}`, "{\"reason\":\"\x00\x1b[31m\"}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		b := newBench(t)
		code, got := b.do(http.MethodPut, "/v1/overrides/site/us-east", body)
		switch code {
		case http.StatusOK:
			var o OverrideStatus
			if err := json.Unmarshal([]byte(got), &o); err != nil || o.Target.String() != "site/us-east" || o.Endpoints != 1 || o.State == policy.Unknown {
				t.Errorf("accepted as %s (%v)", got, err)
			}
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			if len(b.Registry.Overrides()) != 0 {
				t.Errorf("refused with %s, but in force", got)
			}
		default:
			t.Errorf("%d %s", code, got)
		}
	})
}
