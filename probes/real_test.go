package probes

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// A wire is a Sink whose reports a test waits for.
type wire chan report

func (w wire) Observe(endpoint string, o Observation) { w <- report{time.Now(), endpoint, o.Verdict} }

// await returns when endpoint is first reported to be in state.
func (w wire) await(t *testing.T, endpoint string, s policy.State) time.Time {
	t.Helper()
	for {
		select {
		case r := <-w:
			if r.endpoint == endpoint && r.verdict.State == s {
				return r.at
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s is not reported %d", endpoint, s)
		}
	}
}

// TestRealServers has servers on real sockets stop, and come back on the same port.
func TestRealServers(t *testing.T) {
	healthz := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })
	plain, secure := httptest.NewServer(healthz), httptest.NewUnstartedServer(healthz)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // one target does not trust it
	secure.StartTLS()
	defer plain.Close()
	defer secure.Close()
	pace := Check{Interval: 100 * time.Millisecond, Timeout: 100 * time.Millisecond, AllowLoopback: true}
	target := func(name string, kind Kind, s *httptest.Server) Target {
		addr := s.Listener.Addr().(*net.TCPAddr).AddrPort()
		c := pace
		c.Kind, c.Insecure = kind, kind == HTTPS
		return Target{Endpoint: name, Addr: addr.Addr(), Port: addr.Port(), Check: c}
	}
	verified := target("web/verified", HTTPS, secure)
	verified.Check.Insecure = false

	reports := make(wire, 10_000)
	p := New(Options{Sink: reports})
	p.Update([]Target{target("web/http", HTTP, plain), target("web/tcp", TCP, plain), target("web/https", HTTPS, secure), verified})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()

	<-p.FirstRound()
	for _, s := range p.Status() {
		want, text := policy.Up, ""
		if s.Endpoint == verified.Endpoint {
			want, text = policy.Down, "tls: x509: certificate signed by unknown authority"
		}
		if s.Verdict.State != want || s.Err != text {
			t.Errorf("%s is %d after the first round, error %q, want %q", s.Endpoint, s.Verdict.State, s.Err, text)
		}
	}

	plain.Close()
	reports.await(t, "web/http", policy.Down)
	reports.await(t, "web/tcp", policy.Down)
	for _, name := range []string{"web/http", "web/tcp"} {
		if s, _ := p.StatusOf(name); s.Err != "connect: connection refused" {
			t.Errorf("%s: error %q", name, s.Err)
		}
	}
	if s, _ := p.StatusOf("web/https"); s.Verdict.State != policy.Up {
		t.Errorf("the server that goes on is down: %+v", s)
	}

	again, err := net.Listen("tcp", plain.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	back := &httptest.Server{Listener: again, Config: &http.Server{Handler: healthz}}
	back.Start()
	defer back.Close()
	reports.await(t, "web/http", policy.Up)
}

// serveHTTP returns the address of a server that answers "ok".
func serveHTTP(tb testing.TB) netip.AddrPort {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") }))
	tb.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).AddrPort()
}
