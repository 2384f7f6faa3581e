package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

func TestNewClient(t *testing.T) {
	for in, want := range map[string]string{
		"": DefaultListen, ":8053": "127.0.0.1:8053", "9000": "127.0.0.1:9000", "192.0.2.1:1": "192.0.2.1:1", "[::1]:8053": "[::1]:8053",
		"http://127.0.0.1:8053/": "127.0.0.1:8053", "node1:8053": "node1:8053",
	} {
		c, err := NewClient(in)
		if err != nil || c.Address() != want {
			t.Errorf("%q: %v, %v, want %s", in, c, err, want)
		}
	}
	for _, in := range []string{"127.0.0.1:", "::1", "https://x:1", "a:b:c", "foo", "127.0.0.1:http", "127.0.0.1:0", "127.0.0.1:99999", "-1", "host:1/path", "user@host:1", "a b:1"} {
		if c, err := NewClient(in); err == nil {
			t.Errorf("%q is taken for %s", in, c.Address())
		}
	}
}

// TestClient: every method of the Client, through a real Server.
func TestClient(t *testing.T) {
	b := newBench(t)
	b.reload = func(context.Context) (Reloaded, error) { return Reloaded{Generation: 9}, nil }
	c, ctx := b.serve(), short(t)

	if s, err := c.Status(ctx); err != nil || s.Version != "v1" || len(s.Services) != 2 {
		t.Errorf("Status: %+v %v", s, err)
	}
	if x, err := c.Explain(ctx, Question{Name: "www.gslb.example", Client: "192.0.2.0/24"}); err != nil || x.Client != "192.0.2.0/24" || x.Type != "" {
		t.Errorf("Explain: %+v %v", x, err)
	}
	if r, err := c.Reload(ctx); err != nil || r.Generation != 9 {
		t.Errorf("Reload: %+v %v", r, err)
	}

	site, err := c.Resolve(ctx, "us-east")
	if err != nil {
		t.Fatal(err)
	}
	down := policy.Down
	o, err := c.Override(ctx, site, OverrideRequest{State: &down, For: embedded.Duration(time.Minute), Reason: "50% <&>"})
	if err != nil || o.State != policy.Down || o.Endpoints != 1 || o.Reason != "50% <&>" {
		t.Errorf("Override: %+v %v", o, err)
	}
	if ended, err := c.EndOverride(ctx, site); err != nil || ended.Target != site || ended.Warnings != nil {
		t.Errorf("EndOverride: %+v %v", ended, err)
	}

	stored, err := c.Register(ctx, embedded.Registration{Service: "web", Name: "three", Address: []netip.Addr{netip.MustParseAddr("192.0.2.3")}, TTL: embedded.Duration(time.Minute)}, 0.5)
	if err != nil || stored.Weight == nil || *stored.Weight != 1 || stored.Expires.IsZero() {
		t.Errorf("Register: %+v %v", stored, err)
	}
	load := 0.75
	if r, err := c.Heartbeat(ctx, "web", "three", &load); err != nil || r.Name != "three" {
		t.Errorf("Heartbeat: %+v %v", r, err)
	}
	if err := c.Deregister(ctx, "web", "three"); err != nil {
		t.Errorf("Deregister: %v", err)
	}

	if back, err := c.SwitchBackend(ctx, "us-east-1", false); err != nil || back.Running {
		t.Errorf("SwitchBackend: %+v %v", back, err)
	}
	if list, err := c.Backends(ctx); err != nil || len(list) != 1 || list[0].Running {
		t.Errorf("Backends: %+v %v", list, err)
	}
}

// TestClientErrors: what the API refuses comes back as an *Error that says whose mistake it was.
func TestClientErrors(t *testing.T) {
	b := newBench(t)
	b.reload = func(context.Context) (Reloaded, error) {
		return Reloaded{}, &Error{Status: http.StatusUnprocessableEntity, Message: "2 problems", Problems: []Problem{{Text: "a.yaml:1:2: no"}, {Text: "a.yaml:3:4: nor this"}}}
	}
	c, ctx := b.serve(), short(t)
	_, err := c.Reload(ctx)
	var e *Error
	if !errors.As(err, &e) || !e.BadInput() || err.Error() != "2 problems\na.yaml:1:2: no\na.yaml:3:4: nor this" {
		t.Errorf("Reload: %v", err)
	}
	if _, err := c.Resolve(ctx, "us-eats"); !errors.As(err, &e) || !e.BadInput() || !strings.Contains(err.Error(), "did you mean site/us-east?") {
		t.Errorf("Resolve: %v", err)
	}
	if _, err := c.EndOverride(ctx, registry.Target{Kind: registry.KindEndpoint, Name: "web/a b%2F"}); !errors.As(err, &e) || !e.BadInput() || !strings.Contains(err.Error(), "endpoint/web/a b%2F") {
		t.Errorf("EndOverride of an odd name: %v", err)
	}
	b.reload = func(context.Context) (Reloaded, error) {
		return Reloaded{}, &Error{Status: http.StatusServiceUnavailable, Message: "no disk"}
	}
	if _, err := c.Reload(ctx); !errors.As(err, &e) || e.BadInput() {
		t.Errorf("a disk that fails is not the input's fault: %v", err)
	}
}

// TestBadInput: which refusals a script should not repeat as they are.
func TestBadInput(t *testing.T) {
	for status, want := range map[int]bool{
		400: true, 404: true, 409: true, 413: true, 415: true, 422: true, 403: false, 405: false, 431: false, 500: false, 503: false, 507: false,
	} {
		if got := (&Error{Status: status}).BadInput(); got != want {
			t.Errorf("%d: %v, want %v", status, got, want)
		}
	}
}

// TestClientWithoutServer: the error says where nobody answered and what can be done.
func TestClientWithoutServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c, err := NewClient(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Status(short(t))
	if e := (*Error)(nil); err == nil || errors.As(err, &e) || !strings.Contains(err.Error(), l.Addr().String()) || !strings.Contains(err.Error(), "MERIDIAN_ADMIN") {
		t.Errorf("%v", err)
	}
}

// TestClientOfAnotherServer: what is no Meridian is said to be none, whatever it answers.
func TestClientOfAnotherServer(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"page":      func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"not found": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusNotFound) },
		"json error": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			w.Write([]byte(`{"message":"no"}`))
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		},
	} {
		srv := httptest.NewServer(h)
		c, err := NewClient(srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Status(short(t)); err == nil || !strings.Contains(err.Error(), "Meridian") {
			t.Errorf("%s: %v", name, err)
		}
		srv.Close()
	}
}
