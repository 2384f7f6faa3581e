package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

// attacked returns a Server over a world of one service, "web", with one endpoint, "one", at the site "eu".
func attacked(t *testing.T, listen string, store registry.Store, endpoints embedded.EndpointStore) *Server {
	t.Helper()
	compiled, problems := registry.Compile(registry.Definition{Policy: policy.Spec{
		Sites: []policy.SiteSpec{{Name: "eu"}},
		Services: []policy.ServiceSpec{{Name: "web", Endpoints: []policy.EndpointSpec{
			{Name: "one", V4: netip.MustParseAddr("192.0.2.1"), Port: 80, Site: "eu", Weight: 1},
		}}},
	}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	truth := registry.New(registry.Options{Store: store})
	truth.Apply(compiled)
	local, err := embedded.New(endpoints, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Listen: listen}, Options{
		Registry: truth, Embedded: local, Metrics: prometheus.NewRegistry(),
		About:   func() About { return About{} },
		Waiting: func() []string { return nil },
		Probe:   func(string) (ProbeStatus, bool) { return ProbeStatus{}, false },
		Reload:  func(context.Context) (Reloaded, error) { return Reloaded{}, nil },
	})
}

// A pipes is a net.Listener in memory, so that a test's clock rules its connections.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8053} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// running starts the Server on pipes, with so many connections at most, and returns them and what ends it.
func running(t *testing.T, s *Server, most int) (p *pipes, stop func() error) {
	t.Helper()
	p = newPipes()
	s.listener = netutil.LimitListener(p, most)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return p, func() error { cancel(); return <-done }
}

// TestSlowHeader: a client that sends its header byte by byte loses its connection within seconds, and so does one that says nothing.
func TestSlowHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, stop := running(t, attacked(t, "", nil, nil), maxConnections)
		begun := time.Now()
		slow, silent := p.dial(), p.dial()
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(io.Discard, silent) })
		wg.Go(func() { _, _ = io.Copy(io.Discard, slow) })
		for i := range "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: aaaaaaaaaaaaaaaaaaa" {
			time.Sleep(time.Second)
			if _, err := slow.Write([]byte("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: aaaaaaaaaaaaaaaaaaa")[i : i+1]); err != nil {
				break
			}
		}
		wg.Wait() // both were closed by the server
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("a slow client was suffered for %v", took)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestSlowBody: a body that does not come ends the request, and nothing is registered.
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := attacked(t, "", nil, nil)
		p, stop := running(t, s, maxConnections)
		begun := time.Now()
		c := p.dial()
		if _, err := io.WriteString(c, "PUT /v1/services/web/endpoints/two HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
			"Content-Length: 1000\r\n\r\n{\"address\": [\"192.0.2.2\"]"); err != nil {
			t.Fatal(err)
		}
		reply, err := io.ReadAll(c)
		if err != nil || strings.Contains(string(reply), " 201 ") {
			t.Errorf("%v: %s", err, reply)
		}
		if took := time.Since(begun); took > 30*time.Second {
			t.Errorf("a body was waited for for %v", took)
		}
		if len(s.Options.Embedded.Services()) != 0 {
			t.Error("half a body was registered")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestBadClientsHoldUpNobodyForLong: half as many bad clients as there may be connections delay a good one not at all. When every
// connection is taken, the good client waits until the first bad one has used up its time, whatever it is bad at.
func TestBadClientsHoldUpNobodyForLong(t *testing.T) {
	const get = "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n"
	for _, bad := range []struct {
		name, sends string
		deaf        bool
		limit       time.Duration
	}{
		{"silent", "", false, headerTime},
		{"half a header", get, false, headerTime},
		{"idle after a request", get + "\r\n", false, idleTime},
		{"half a body", "PUT /v1/overrides/site/eu HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{", false, bodyTime},
		{"deaf", get + "\r\n", true, replyTime},
	} {
		for clients, limit := range map[int]time.Duration{64: 0, maxConnections: bad.limit} {
			t.Run(fmt.Sprintf("%d %s", clients, bad.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := attacked(t, "", nil, nil)
					p, stop := running(t, s, maxConnections)
					var wg sync.WaitGroup
					for range clients {
						c := p.dial()
						if !bad.deaf {
							wg.Go(func() { _, _ = io.Copy(io.Discard, c) })
						}
						if _, err := io.WriteString(c, bad.sends); err != nil {
							t.Fatal(err)
						}
						defer c.Close()
					}
					synctest.Wait()
					begun := time.Now()
					good := p.dial()
					if _, err := io.WriteString(good, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
						t.Fatal(err)
					}
					reply, err := io.ReadAll(good)
					if err != nil || !strings.HasSuffix(string(reply), "ok\n") {
						t.Errorf("%v: %s", err, reply)
					}
					if took := time.Since(begun); took > limit {
						t.Errorf("the good client waited %v, want at most %v", took, limit)
					}
					if err := stop(); err != nil {
						t.Error(err)
					}
					wg.Wait()
				})
			})
		}
	}
}

// TestEndWithDeafClient: a client that does not read its reply cannot keep the process from ending.
func TestEndWithDeafClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, stop := running(t, attacked(t, "", nil, nil), maxConnections)
		c := p.dial()
		if _, err := io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		begun := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("the end took %v", took)
		}
		_ = c.Close()
	})
}

// A brokenStore fails every write.
type brokenStore struct{}

var errDisk = errors.New("input/output error")

func (brokenStore) SaveOverride(registry.Override) error        { return errDisk }
func (brokenStore) DeleteOverride(registry.Target) error        { return errDisk }
func (brokenStore) LoadOverrides() ([]registry.Override, error) { return nil, nil }
func (brokenStore) SaveHealth([]registry.SavedHealth) error     { return errDisk }
func (brokenStore) LoadHealth() ([]registry.SavedHealth, error) { return nil, nil }
func (brokenStore) PutEndpoint(string, []byte) error            { return errDisk }
func (brokenStore) DeleteEndpoints(...string) error             { return errDisk }
func (brokenStore) LoadEndpoints() (map[string][]byte, error)   { return nil, nil }

// A fullStore has no room for anything.
type fullStore struct{ brokenStore }

var errFull = fmt.Errorf("store: %w: database reached maximum size", registry.ErrFull)

func (fullStore) SaveOverride(registry.Override) error { return errFull }
func (fullStore) PutEndpoint(string, []byte) error     { return errFull }

// TestFullStore: is told from one that fails, for it needs another cure.
func TestFullStore(t *testing.T) {
	s := attacked(t, "", fullStore{}, fullStore{})
	for path, body := range map[string]string{
		"/v1/overrides/site/eu":          `{}`,
		"/v1/services/web/endpoints/two": `{"address": ["192.0.2.2"]}`,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPut, "http://localhost"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		s.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusInsufficientStorage || !strings.Contains(w.Body.String(), "no room left") {
			t.Errorf("PUT %s: %d %s", path, w.Code, w.Body)
		}
	}
}

// TestBrokenStore: what could not be stored is not acknowledged and not in force; it is the server's fault, and reading goes on.
func TestBrokenStore(t *testing.T) {
	s := attacked(t, "", brokenStore{}, brokenStore{})
	for path, body := range map[string]string{
		"/v1/overrides/site/eu":          `{}`,
		"/v1/services/web/endpoints/two": `{"address": ["192.0.2.2"]}`,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPut, "http://localhost"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		s.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the state store failed: "+errDisk.Error()) {
			t.Errorf("PUT %s: %d %s", path, w.Code, w.Body)
		}
	}
	if o := s.Options.Registry.Overrides(); len(o) != 0 {
		t.Errorf("in force: %v", o)
	}
	if list := s.Options.Embedded.List("web"); len(list) != 0 {
		t.Errorf("registered: %v", list)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/v1/status", nil))
	if w.Code != http.StatusOK {
		t.Errorf("status: %d %s", w.Code, w.Body)
	}
}

// exchange sends bytes to a Server on a port of its own and returns the status codes of all it answers, until it closes.
func exchange(t *testing.T, s *Server, request string) (codes []int) {
	t.Helper()
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { _, _ = io.WriteString(c, request) }) // the server may close before it has read all
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return codes
		}
		codes = append(codes, resp.StatusCode)
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.Close {
			return codes
		}
	}
}

// TestBytes: requests that no library would send, over a real connection. None changes anything.
func TestBytes(t *testing.T) {
	const put = "PUT /v1/overrides/site/eu HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 64<<10, strings.Repeat(" ", 64<<10))
	for _, c := range []struct {
		name, request string
		want          int
	}{
		{"2 MiB in chunks", put + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat(chunk, 32) + "0\r\n\r\n", 413},
		{"a chunk of no size", put + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
		{"two lengths", put + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400},
		{"negative length", put + "Content-Length: -1\r\n\r\n", 400},
		{"unknown encoding", put + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		{"two hosts", "POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400},
		{"no host", "POST /v1/reload HTTP/1.1\r\n\r\n", 400},
		{"rebound", "PUT /v1/overrides/site/eu HTTP/1.1\r\nHost: evil.example:8053\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", 403},
		{"rebound by an absolute URI", "PUT http://evil.example/v1/overrides/site/eu HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", 403},
		{"a method with a method in another header", "GET /v1/overrides/site/eu HTTP/1.1\r\nHost: localhost\r\nX-HTTP-Method-Override: PUT\r\nConnection: close\r\n\r\n", 405},
		{"another origin", put + "Origin: https://evil.example\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", 403},
		{"control bytes in a header", put + "X: a\x00b\r\nContent-Length: 2\r\n\r\n{}", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := attacked(t, "127.0.0.1:0", nil, nil)
			codes := exchange(t, s, c.request)
			if len(codes) != 1 || codes[0] != c.want {
				t.Errorf("answered %v, want %d alone", codes, c.want)
			}
			if o := s.Options.Registry.Overrides(); len(o) != 0 {
				t.Errorf("in force: %v", o)
			}
		})
	}
}

// TestAllAtOnce: readers and writers of everything, at the same time, all get whole answers; the race detector watches.
func TestAllAtOnce(t *testing.T) {
	s := attacked(t, "", nil, nil)
	h := s.Handler()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			name := fmt.Sprintf("/v1/services/web/endpoints/e%d", i)
			for _, step := range []struct {
				method, path, body string
				want               int
			}{
				{http.MethodPut, name, `{"address": ["192.0.2.2"], "ttl": "1m"}`, 201},
				{http.MethodPut, "/v1/overrides/site/eu", `{"state": "down", "for": "1m"}`, 200},
				{http.MethodGet, "/v1/status", "", 200},
				{http.MethodPut, name + "/heartbeat", "", 200},
				{http.MethodGet, "/v1/services", "", 200},
				{http.MethodGet, "/v1/overrides", "", 200},
				{http.MethodGet, "/metrics", "", 200},
				{http.MethodDelete, name, "", 204},
			} {
				w := httptest.NewRecorder()
				r := httptest.NewRequest(step.method, "http://localhost"+step.path, strings.NewReader(step.body))
				r.Header.Set("Content-Type", "application/json")
				h.ServeHTTP(w, r)
				if w.Code != step.want {
					t.Errorf("%s %s: %d %s", step.method, step.path, w.Code, w.Body)
				}
			}
		})
	}
	wg.Wait()
}
