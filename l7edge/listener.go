package l7edge

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// A door is where clients come in: it bounds the connections of all listeners together, knows which have not asked for anything yet,
// and closes without turning away who is already on the doorstep.
type door struct {
	limit   int64
	open    atomic.Int64 // connections
	fresh   atomic.Int64 // of those, such that no request has come on yet
	closing atomic.Bool
	turned  func() // called for each connection that is one too many
}

// guard returns a listener whose connections count against the limit until they are closed. Those above it are closed at once: the
// client learns it right away, and a queue would only make it wait.
func (d *door) guard(l net.Listener) *guarded { return &guarded{Listener: l, door: d} }

// A guarded listener belongs to a door.
type guarded struct {
	net.Listener
	door    *door
	waiting []net.Conn // found in the queue when the door closed
}

// close makes Accept return the connections that wait in the system's queue, and then net.ErrClosed. door.closing is set before.
func (g *guarded) close() {
	if l, ok := g.Listener.(*net.TCPListener); !ok || l.SetDeadline(time.Unix(1, 0)) != nil { // wakes Accept
		g.Listener.Close()
	}
}

// Accept implements net.Listener.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.next()
		if err != nil {
			return nil, err
		}
		if g.door.open.Add(1) <= g.door.limit {
			g.door.fresh.Add(1)
			return &guest{Conn: c, door: g.door}, nil
		}
		g.door.open.Add(-1)
		g.door.turned()
		c.Close()
	}
}

// next returns the next connection, whatever the limit.
func (g *guarded) next() (net.Conn, error) {
	if len(g.waiting) == 0 {
		c, err := g.Listener.Accept()
		if err == nil || !g.door.closing.Load() {
			return c, err
		}
		if l, ok := g.Listener.(*net.TCPListener); ok && !errors.Is(err, net.ErrClosed) {
			g.waiting = sweep(l)
		}
		if len(g.waiting) == 0 {
			return nil, net.ErrClosed
		}
	}
	c := g.waiting[0]
	g.waiting = g.waiting[1:]
	return c, nil
}

// A guest is a client's connection.
type guest struct {
	net.Conn
	door    *door
	arrived atomic.Bool
	left    atomic.Bool
	wire    *wire // that TLS reads from and writes to, once HTTP/2 is spoken; nil: Conn
}

// Read implements net.Conn.
func (c *guest) Read(p []byte) (int, error) {
	if c.wire != nil {
		return c.wire.Read(p)
	}
	return c.Conn.Read(p)
}

// Write implements net.Conn.
func (c *guest) Write(p []byte) (int, error) {
	if c.wire != nil {
		return c.wire.Write(p)
	}
	return c.Conn.Write(p)
}

// arrive notes that a request has come on the connection, or that it is one that net/http closes with care.
func (c *guest) arrive() {
	if !c.arrived.Load() && !c.arrived.Swap(true) {
		c.door.fresh.Add(-1)
	}
}

// Close implements net.Conn.
func (c *guest) Close() error {
	if !c.left.Swap(true) {
		c.arrive()
		c.door.open.Add(-1)
	}
	return c.Conn.Close()
}

// CloseWrite sends a FIN, for tunnels and for net/http, which lingers so that a response is not lost to a reset.
func (c *guest) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// guestKey is the key of the *guest in the context of a request.
type guestKey struct{}

// connContext implements http.Server.ConnContext.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return context.WithValue(ctx, guestKey{}, c)
}
