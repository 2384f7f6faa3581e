package l7edge

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-gslb/meridian/l7edge/route"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is the Snapshot that an edge under test sees. Tests put new ones in.
type world struct {
	t   testing.TB
	now atomic.Pointer[registry.Snapshot]
}

func newWorld(t testing.TB, spec policy.Spec, routes ...route.Spec) *world {
	w := &world{t: t}
	w.set(spec, routes...)
	return w
}

// set compiles a new truth and makes it the current one.
func (w *world) set(spec policy.Spec, routes ...route.Spec) {
	w.t.Helper()
	plan, problems := policy.Compile(spec)
	if len(problems) > 0 {
		w.t.Fatal(problems)
	}
	table, problems := route.Compile(routes, plan)
	if len(problems) > 0 {
		w.t.Fatal(problems)
	}
	s := &registry.Snapshot{Gen: 1, World: registry.World{Plan: plan, Routes: table}, Health: policy.NewHealth(plan.NumEndpoints())}
	if old := w.now.Load(); old != nil {
		s.Gen = old.Gen + 1
	}
	w.now.Store(s)
}

// health gives an endpoint a state.
func (w *world) health(name string, state policy.State) {
	w.t.Helper()
	s := *w.now.Load()
	id, ok := s.Plan.EndpointByName(name)
	if !ok {
		w.t.Fatalf("no endpoint %s", name)
	}
	s.Gen++
	s.Health = s.Health.With(id, policy.Verdict{State: state})
	w.now.Store(&s)
}

// service makes a Spec of one service "web" whose endpoints b0, b1 … listen at the given addresses, each of weight 1.
func service(at ...string) policy.Spec {
	svc := policy.ServiceSpec{Name: "web"}
	for i, a := range at {
		ap := netip.MustParseAddrPort(strings.TrimPrefix(a, "http://"))
		svc.Endpoints = append(svc.Endpoints, policy.EndpointSpec{Name: fmt.Sprintf("b%d", i), V4: ap.Addr(), Port: ap.Port(), Weight: 1})
	}
	return policy.Spec{Services: []policy.ServiceSpec{svc}}
}

// all routes every request to the service "web".
func all() route.Spec { return route.Spec{Service: "web", Retries: -1} }

// backend starts a server and returns its address.
func backend(t testing.TB, f http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// says answers every request with a word.
func says(word string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, word) }
}

// nowhere returns an address where nothing listens, nor will while the test runs: a connection has it.
func nowhere(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); l.Close() })
	return c.LocalAddr().String()
}

// An edge is a running Server under test.
type edge struct {
	*Server
	t           testing.TB
	https, http string // host:port
	ran         chan error
	quit        context.CancelFunc
}

// start runs an edge with one listener of each kind on a free port. It is stopped when the test ends.
func start(t testing.TB, w *world, change func(*Config)) *edge {
	t.Helper()
	cfg := Config{
		HTTPS: []string{"127.0.0.1:0"}, HTTP: []string{"127.0.0.1:0"}, SelfSigned: []string{"edge.test", "127.0.0.1"},
		LameDuck: -1, DrainTimeout: 5 * time.Second,
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, w.now.Load, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	https, plain := s.Addrs()
	ctx, quit := context.WithCancel(context.Background())
	e := &edge{Server: s, t: t, ran: make(chan error, 1), quit: quit}
	if len(https) > 0 {
		e.https = https[0].String()
	}
	if len(plain) > 0 {
		e.http = plain[0].String()
	}
	go func() { e.ran <- s.Run(ctx) }()
	t.Cleanup(e.stop)
	return e
}

// stop drains the edge and waits for it.
func (e *edge) stop() {
	e.t.Helper()
	e.quit()
	if err := <-e.ran; err != nil {
		e.t.Errorf("run: %v", err)
	}
	e.ran <- nil // for the next stop
}

// client returns a client that trusts any certificate and, if h2, speaks HTTP/2 over TLS. Its connections end with the test.
func client(t testing.TB, h2 bool) *http.Client {
	t.Helper()
	p := new(http.Protocols)
	p.SetHTTP1(!h2)
	p.SetHTTP2(h2)
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: p, MaxIdleConnsPerHost: 100}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get fetches a URL and returns the response and its body.
func get(t testing.TB, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	return resp, read(t, resp)
}

func read(t testing.TB, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// raw sends bytes over a new TCP connection and returns all that comes back until the edge closes it.
func raw(t testing.TB, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, request)
	b, _ := io.ReadAll(c) // a reset after the response is as good as a FIN
	return string(b)
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
