package e2e

import (
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
)

// A backend is an HTTP server at an address of its own that names itself and counts.
type backend struct {
	name   string
	addr   string
	server *http.Server
	served atomic.Int64
	slow   chan struct{} // a request to /slow is answered when this is closed
}

// startBackend listens on ip:port; a request to /healthz is not counted.
func startBackend(t *testing.T, name, ip string, port int) *backend {
	t.Helper()
	b := &backend{name: name, addr: fmt.Sprintf("%s:%d", ip, port), slow: make(chan struct{})}
	b.start(t)
	t.Cleanup(b.stop)
	return b
}

func (b *backend) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	b.server = &http.Server{Handler: b}
	go b.server.Serve(l)
}

func (b *backend) stop() { b.server.Close() }

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/healthz" {
		b.served.Add(1)
	}
	if r.URL.Path == "/slow" {
		<-b.slow
	}
	fmt.Fprintln(w, b.name)
}
