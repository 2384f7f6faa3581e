package l7edge

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/meridian-gslb/meridian/l7edge/h2"
)

// An engine is what speaks HTTP/2 to clients, and on the way from them to endpoints: legs with streams that are structs. A passage takes a
// stream from a front to a back if the rule says so; any other is carried by net/http, in a goroutine (see bridge).
type engine struct {
	carrier *carrier
	budget  h2.Budget
	pools   pools
	free    sync.Pool // of *passage

	wg     sync.WaitGroup  // goroutines of backs, and those that wait for sockets
	ctx    context.Context // ends what dials
	cancel context.CancelFunc

	mu     sync.Mutex
	fronts map[*leg]struct{}
}

// Limits of what waits for a peer that does not read, in bytes.
const (
	frontWindow     = 64 << 10  // of a request, ahead of its endpoint
	frontConnWindow = 1 << 20   // of all requests of a client's connection
	backConnWindow  = 4 << 20   // of all responses of a connection to an endpoint
	maxHeld         = 4 << 20   // of a connection, before its window closes
	maxHeldAll      = 512 << 20 // of the process
)

func newEngine(c *carrier) *engine {
	e := &engine{carrier: c, budget: h2.Budget{Limit: maxHeldAll}, fronts: make(map[*leg]struct{})}
	e.free.New = func() any {
		t := &passage{}
		t.in.Owner, t.out.Owner = t, t
		return t
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.pools.engine = e
	return e
}

// frontConfig is what clients' connections are told.
func (e *engine) frontConfig() h2.Config {
	cfg := e.carrier.cfg
	return h2.Config{
		Patience: cfg.ReadHeaderTimeout, Silence: silence, MaxStreams: cfg.MaxStreams, StreamWindow: frontWindow, ConnWindow: frontConnWindow,
		MaxHeld: maxHeld, MaxHeaderBytes: cfg.MaxHeaderBytes, Budget: &e.budget,
	}
}

// backConfig is what connections to endpoints are told. They are sent no PINGs in the silence of a long stream: gRPC servers hang up on them.
func (e *engine) backConfig() h2.Config {
	return h2.Config{
		Client: true, MaxStreams: maxBackStreams, StreamWindow: streamWindow, ConnWindow: backConnWindow, MaxHeld: maxHeld,
		MaxHeaderBytes: maxResponseHeader, Budget: &e.budget,
	}
}

// silence is how long a client with open streams may say nothing before it is asked whether it is there.
const silence = 30 * time.Second

// maxBackStreams is how many streams a connection to an endpoint carries at most, whatever the endpoint allows.
const maxBackStreams = 250

// serveTLS serves a connection whose handshake has chosen "h2". It is called by net/http, which closes the connection afterwards.
func (e *engine) serveTLS(_ *http.Server, c *tls.Conn, h http.Handler) {
	if g, ok := c.NetConn().(*guest); ok {
		e.serve(g, c, h)
	}
}

// serveClear serves a connection without TLS whose first bytes were the preface of HTTP/2, which have been read. It is called by net/http,
// which wraps the connection in one of TLS that is none.
func (e *engine) serveClear(_ *http.Server, c *tls.Conn, h http.Handler) {
	inner, ok := c.NetConn().(interface{ UnencryptedNetConn() net.Conn })
	if !ok {
		return
	}
	if g, ok := inner.UnencryptedNetConn().(*guest); ok {
		e.serve(g, nil, h)
	}
}

// serve serves a client's connection until it ends.
func (e *engine) serve(g *guest, c *tls.Conn, h http.Handler) {
	g.arrive()
	tcp, ok := g.Conn.(*net.TCPConn)
	if !ok {
		return
	}
	cfg := e.frontConfig()
	cfg.SawPreface = c == nil
	l, err := e.newLeg(tcp, cfg)
	if err != nil {
		return // the connection is gone
	}
	l.tls, l.client = c, addressOf(tcp.RemoteAddr().String())
	l.from = l.client.String()
	if c != nil {
		g.wire = l.wire
		l.state = c.ConnectionState()
	}
	l.base = h.(interface{ BaseContext() context.Context }).BaseContext()
	e.mu.Lock()
	e.fronts[l] = struct{}{}
	e.mu.Unlock()
	if e.carrier.draining.Load() {
		l.leave(&l.batch)
	}
	l.serve()
	e.mu.Lock()
	delete(e.fronts, l)
	e.mu.Unlock()
	l.bridges.Wait()
}

// all returns the clients' connections of now.
func (e *engine) all() []*leg {
	e.mu.Lock()
	defer e.mu.Unlock()
	legs := make([]*leg, 0, len(e.fronts))
	for l := range e.fronts {
		legs = append(legs, l)
	}
	return legs
}

// shutdown tells all clients to open no more streams.
func (e *engine) shutdown() {
	e.carrier.draining.Store(true)
	b := batch{now: time.Now()}
	for _, l := range e.all() {
		l.leave(&b)
	}
	b.flush()
}

// abort gives up all passages.
func (e *engine) abort() {
	b := batch{now: time.Now()}
	for _, l := range e.all() {
		l.mu.Lock()
		left := l.passages.all()
		l.mu.Unlock()
		for _, t := range left {
			t.give(&b, faultDrained)
		}
	}
	b.flush()
}

// close ends the connections to endpoints and waits for all goroutines.
func (e *engine) close() {
	e.cancel()
	e.pools.close()
	e.wg.Wait()
}
