package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A bench is a Server with a small world behind it: service web with one endpoint in each of two sites, service api without any.
type bench struct {
	*Server
	t       *testing.T
	waiting []string
	reload  func(context.Context) (Reloaded, error)
	probes  map[string]ProbeStatus
	about   About
	demo    *fakeDemo
	changes []Change // that were planned or applied
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, demo: &fakeDemo{running: map[string]bool{"us-east-1": true}}}
	b.about = About{Version: "v1", Site: "eu-west", Config: ConfigStatus{File: "meridian.yaml"}}
	truth := registry.New(registry.Options{AllowLoopback: true})
	compiled, problems := registry.Compile(world())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	truth.Apply(compiled)
	source, err := embedded.New(nil, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.Server = New(Config{Listen: "127.0.0.1:0"}, Options{
		Registry: truth, Embedded: source, Metrics: prometheus.NewRegistry(), Demo: b.demo,
		About:   func() About { return b.about },
		Waiting: func() []string { return b.waiting },
		Reload:  func(ctx context.Context) (Reloaded, error) { return b.reload(ctx) },
		Plan: func(_ context.Context, c Change) (Plan, error) {
			b.changes = append(b.changes, c)
			return Plan{File: c.File, Limit: c.Limit()}, nil
		},
		Apply: func(_ context.Context, c Change) (Applied, error) {
			b.changes = append(b.changes, c)
			a := Applied{Plan: Plan{File: c.File}, Applied: c.Force, Snapshot: 3}
			if !c.Force {
				return a, &Error{Status: http.StatusConflict, Message: "not applied", Applied: &a}
			}
			return a, nil
		},
		Generations: func() ([]Generation, error) {
			return []Generation{{Generation: 2, InForce: true}, {Generation: 1}}, nil
		},
		Rollback: func(_ context.Context, to uint64) (RolledBack, error) {
			if to == 9 {
				return RolledBack{}, notFound("generation 9 is not kept")
			}
			return RolledBack{Generation: to, From: 2}, nil
		},
		Probe:   func(name string) (ProbeStatus, bool) { p, ok := b.probes[name]; return p, ok },
		Traffic: func() map[string]Traffic { return map[string]Traffic{"web/one": {Requests: 7}} },
		Confirm: func(source string) (Confirmed, error) { return Confirmed{source, "all of it"}, nil },
		Explain: func(q Question) (dnsserver.Explanation, error) {
			if q.Name == "" {
				return dnsserver.Explanation{}, errors.New("wire: the name is empty")
			}
			return dnsserver.Explanation{Name: q.Name, Type: q.Type, Client: q.Client, Notes: []string{q.WhatIf}, Answers: []string{}}, nil
		},
	})
	return b
}

func world() registry.Definition {
	return registry.Definition{
		Policy: policy.Spec{
			Sites: []policy.SiteSpec{{Name: "eu-west"}, {Name: "us-east"}},
			Services: []policy.ServiceSpec{
				{Name: "web", Endpoints: []policy.EndpointSpec{
					{Name: "one", V4: netip.MustParseAddr("192.0.2.1"), Port: 80, Site: "eu-west", Weight: 1},
					{Name: "two", V4: netip.MustParseAddr("192.0.2.2"), Port: 80, Site: "us-east", Weight: 1},
				}},
				{Name: "api"},
			},
		},
		Zones: []zone.Spec{{Name: "gslb.example", NS: []string{"ns1.example.net."}}},
	}
}

// report makes probes say of web/one and web/two what they are.
func (b *bench) report(one, two policy.State) {
	b.Registry.Report("web/one", policy.Verdict{State: one})
	b.Registry.Report("web/two", policy.Verdict{State: two})
}

// A fakeDemo is one backend.
type fakeDemo struct{ running map[string]bool }

func (d *fakeDemo) Backends() []Backend {
	var out []Backend
	for name, running := range d.running {
		out = append(out, Backend{Name: name, Running: running})
	}
	return out
}

func (d *fakeDemo) Switch(name string, run bool) (Backend, error) {
	if _, ok := d.running[name]; !ok {
		return Backend{}, &Error{Status: http.StatusNotFound, Message: "there is no backend " + name}
	}
	d.running[name] = run
	return Backend{Name: name, Running: run}, nil
}

// do sends one request to the handler and returns the status and the body.
func (b *bench) do(method, path, body string, change ...func(*http.Request)) (int, string) {
	b.t.Helper()
	w := b.record(method, path, body, change...)
	return w.Code, w.Body.String()
}

func (b *bench) record(method, path, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:8053"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, r)
	return w
}

// get decodes the body of a GET that has to succeed.
func get[T any](b *bench, path string) T {
	b.t.Helper()
	var v T
	code, body := b.do(http.MethodGet, path, "")
	if code != http.StatusOK {
		b.t.Fatalf("GET %s: %d %s", path, code, body)
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		b.t.Fatalf("GET %s: %v\n%s", path, err, body)
	}
	return v
}

// refused asserts that a request is refused with a status and an error in JSON that holds a text.
func (b *bench) refused(method, path, body string, status int, want string, change ...func(*http.Request)) {
	b.t.Helper()
	code, got := b.do(method, path, body, change...)
	var e Error
	if err := json.Unmarshal([]byte(got), &e); err != nil {
		b.t.Errorf("%s %s: not an error in JSON: %s", method, path, got)
	}
	if code != status || !strings.Contains(e.Message, want) {
		b.t.Errorf("%s %s: %d %q, want %d and %q", method, path, code, e.Message, status, want)
	}
}

// serve runs the Server on a port of its own until the test ends, and returns a Client of it.
func (b *bench) serve() *Client {
	b.t.Helper()
	if err := b.Listen(); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Run: %v", err)
		}
	})
	c, err := NewClient(b.Addr())
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}
