package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/meridian-gslb/meridian/admin"
)

// A demo is the set of backends that `meridian dev` starts: real HTTP servers at addresses of their own.
type demo struct {
	backends []*demoBackend // in the order of the configuration; does not change
}

// A demoBackend answers every request with its name. While it is stopped its port is closed, as if the machine were off.
type demoBackend struct {
	name, site string
	addr       netip.AddrPort
	served     atomic.Uint64 // requests, health checks not counted

	mu     sync.Mutex
	server *http.Server // nil: stopped
	ended  chan struct{}
}

// start opens the backend's port. Starting one that runs does nothing.
func (b *demoBackend) start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		return nil
	}
	l, err := net.Listen("tcp", b.addr.String())
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return fmt.Errorf("demo backend %s: %w; on macOS, add the address by: sudo ifconfig lo0 alias %s up", b.name, err, b.addr.Addr())
	}
	if err != nil {
		return fmt.Errorf("demo backend %s: %w; --backend-port chooses another port", b.name, err)
	}
	server := &http.Server{Handler: b, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Serve(l) // ends with http.ErrServerClosed, by stop
	}()
	b.server, b.ended = server, ended
	return nil
}

// stop closes the port and every connection, at once.
func (b *demoBackend) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server == nil {
		return
	}
	b.server.Close()
	<-b.ended
	b.server = nil
}

func (b *demoBackend) state() admin.Backend {
	b.mu.Lock()
	defer b.mu.Unlock()
	return admin.Backend{Name: b.name, Address: b.addr.String(), Running: b.server != nil, Requests: b.served.Load()}
}

// ServeHTTP answers with the backend's name and what it sees of the request.
func (b *demoBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		fmt.Fprintln(w, "ok")
		return
	}
	b.served.Add(1)
	w.Header().Set("X-Backend", b.name)
	fmt.Fprintf(w, "%s (%s) served %s %s\n", b.name, b.site, r.Method, r.URL.Path)
}

// start starts all backends, or none.
func (d *demo) start() error {
	for _, b := range d.backends {
		if err := b.start(); err != nil {
			d.stop()
			return err
		}
	}
	return nil
}

func (d *demo) stop() {
	for _, b := range d.backends {
		b.stop()
	}
}

// Backends implements admin.Demo.
func (d *demo) Backends() []admin.Backend {
	list := make([]admin.Backend, 0, len(d.backends))
	for _, b := range d.backends {
		list = append(list, b.state())
	}
	return list
}

// Switch implements admin.Demo.
func (d *demo) Switch(name string, run bool) (admin.Backend, error) {
	i := slices.IndexFunc(d.backends, func(b *demoBackend) bool { return b.name == name })
	if i < 0 {
		return admin.Backend{}, &admin.Error{
			Status: http.StatusNotFound, Message: fmt.Sprintf("no demo backend is named %q; see: meridian demo list", name),
		}
	}
	b := d.backends[i]
	if run {
		if err := b.start(); err != nil {
			return admin.Backend{}, err
		}
	} else {
		b.stop()
	}
	return b.state(), nil
}
