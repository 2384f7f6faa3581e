package l7edge

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meridian-gslb/meridian/l7edge/route"
	"github.com/meridian-gslb/meridian/l7edge/upstream"
)

// links are the connections to endpoints, one pool for each address and protocol. A pool of its own lets an address that is no
// longer used be closed without touching the others, and keeps endpoints from waiting on one lock.
type links struct {
	connectTimeout time.Duration
	maxIdle        int
	byKey          sync.Map // linkKey -> *link
}

type linkKey struct {
	address  upstream.Address
	protocol route.Protocol
}

// A link is the connections to one address, on all of which one protocol is spoken.
type link struct {
	host      string // "address:port", for the URL
	transport *http.Transport
	open      atomic.Int64 // connections, those being made too
}

func newLinks(cfg Config) *links {
	return &links{connectTimeout: cfg.ConnectTimeout, maxIdle: cfg.MaxIdleConnections}
}

// idleUpstream is how long an unused connection to an endpoint is kept: less than the 60 or 75 seconds after which common servers
// close it, because a request that meets the closing on its way is lost.
const idleUpstream = 50 * time.Second

// maxResponseHeader bounds the header of an endpoint's response, in bytes.
const maxResponseHeader = 256 << 10

// streamWindow is how much of an HTTP/2 response an endpoint may send ahead of a client that does not read, in bytes.
const streamWindow = 256 << 10

// to returns the link to an address for a protocol.
func (l *links) to(a upstream.Address, p route.Protocol) *link {
	key := linkKey{a, p}
	if v, ok := l.byKey.Load(key); ok {
		return v.(*link)
	}
	v, _ := l.byKey.LoadOrStore(key, l.open(key))
	return v.(*link)
}

// open returns a new link, without connections yet.
func (l *links) open(key linkKey) *link {
	fresh := &link{host: key.address.String()}
	fresh.transport = &http.Transport{
		Proxy:                  nil, // never that of the environment
		DisableCompression:     true,
		Protocols:              new(http.Protocols),
		MaxIdleConnsPerHost:    l.maxIdle,
		IdleConnTimeout:        idleUpstream,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			noteDial(ctx)
			fresh.open.Add(1)
			c, err := upstream.Dial(ctx, key.address, l.connectTimeout)
			if err != nil {
				fresh.open.Add(-1)
				return nil, err
			}
			made := &counted{TCPConn: c, closed: sync.OnceFunc(func() { fresh.open.Add(-1) })}
			if key.protocol == route.H2C {
				made.frames = new(frameWatch)
			}
			return made, nil
		},
	}
	switch key.protocol {
	case route.H2C:
		fresh.transport.Protocols.SetUnencryptedHTTP2(true)
		fresh.transport.HTTP2 = &http.HTTP2Config{
			MaxReceiveBufferPerStream: streamWindow,
			WriteByteTimeout:          30 * time.Second,
			// and no PINGs in the silence of a long stream: gRPC servers hang up on them
		}
	default:
		fresh.transport.Protocols.SetHTTP1(true)
	}
	return fresh
}

// A counted connection says when it is closed, and whether anything was sent over it.
type counted struct {
	*net.TCPConn
	closed func()
	sent   atomic.Bool // since it was last set to false
	frames *frameWatch // nil: HTTP/1.1
}

// Read implements net.Conn.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if c.frames != nil {
		c.frames.read(p[:n])
	}
	return n, err
}

// Write implements net.Conn.
func (c *counted) Write(p []byte) (int, error) {
	before := c.sent.Swap(true)
	n, err := c.TCPConn.Write(p)
	if n == 0 && err != nil {
		c.sent.Store(before) // the system took nothing
	}
	return n, err
}

// ReadFrom implements io.ReaderFrom.
func (c *counted) ReadFrom(r io.Reader) (int64, error) {
	c.sent.Store(true)
	return c.TCPConn.ReadFrom(r)
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.closed()
	return c.TCPConn.Close()
}

// sweep closes idle connections to addresses that the current Plan does not have. Those in use are closed by a later sweep, when
// their last request has ended.
func (l *links) sweep(current *upstream.View) {
	l.byKey.Range(func(k, v any) bool {
		if current.Has(k.(linkKey).address) {
			return true
		}
		old := v.(*link)
		old.transport.CloseIdleConnections()
		if old.open.Load() == 0 {
			l.byKey.Delete(k)
		}
		return true
	})
}

// close closes all idle connections.
func (l *links) close() {
	l.byKey.Range(func(k, v any) bool {
		l.byKey.Delete(k)
		v.(*link).transport.CloseIdleConnections()
		return true
	})
}
