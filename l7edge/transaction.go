package l7edge

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/meridian-gslb/meridian/l7edge/upstream"
)

// Causes for which the context of a request ends early.
var (
	errTimeout    = errors.New("l7edge: no response in time")
	errSlowClient = errors.New("l7edge: the request did not arrive in time")
	errIdle       = errors.New("l7edge: nothing moved for too long")
	errDrained    = errors.New("l7edge: shutting down")
)

// A transaction is an exchange carried by net/http. It is the ResponseWriter that the reverse proxy writes to, so it sees what the
// client gets, and the clock of the request.
type transaction struct {
	account
	rw     http.ResponseWriter
	rc     *http.ResponseController
	in     *http.Request
	cancel context.CancelCauseFunc

	dog   watchdog
	phase atomic.Int32 // the phase constants

	trailer     http.Header // of the request to the endpoint; it gets its values when the body has been read. nil: none
	bodyTouched atomic.Bool // something of the request's body has been read
	bodyWaiting atomic.Bool // a read of the request's body is going on
	bodyEnded   atomic.Bool // all of the request's body has been read
	bodyBroken  atomic.Bool // reading the request's body failed

	dialled atomic.Bool // a connection was tried to be made for the attempt that is going on
	unfit   bool        // no attempt got as far as to want a connection
	last    bool        // the client's connection must end with the response; HTTP/1 only

	length   int64 // declared length of the response, or -1
	complete bool  // the response was passed on to its end
}

// Phases of a transaction, each with its own clock.
const (
	phaseHeader int32 = iota // waiting for the endpoint's response header
	phaseStream              // bytes move
)

// arm starts the clock of the first phase. A request without a timeout is only watched for standing still.
func (t *transaction) arm(timeout time.Duration) {
	if timeout <= 0 {
		t.phase.Store(phaseStream)
		timeout = t.cfg.StreamIdleTimeout
	}
	t.dog.watch(timeout)
}

// streaming starts the clock of the second phase.
func (t *transaction) streaming() {
	if t.phase.Swap(phaseStream) == phaseHeader {
		t.dog.watch(t.cfg.StreamIdleTimeout)
	}
}

// expired ends a transaction whose clock ran out. Deadlines on the client's connection wake whoever waits for the client.
func (t *transaction) expired() {
	past := time.Unix(1, 0)
	switch {
	case t.phase.Load() == phaseStream:
		t.cancel(errIdle)
		_ = t.rc.SetReadDeadline(past) // an error means the connection is gone, which is as good
		_ = t.rc.SetWriteDeadline(past)
	case t.bodyWaiting.Load():
		t.cancel(errSlowClient)
		_ = t.rc.SetReadDeadline(past)
	default:
		t.cancel(errTimeout)
	}
}

// Header implements http.ResponseWriter.
func (t *transaction) Header() http.Header { return t.rw.Header() }

// WriteHeader implements http.ResponseWriter.
func (t *transaction) WriteHeader(status int) {
	if status >= 200 && t.status == 0 {
		t.status = status
		t.length = -1
		h := t.rw.Header()
		if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil {
			t.length = n
		}
		if _, ok := h["Content-Type"]; !ok {
			h["Content-Type"] = nil // else net/http guesses one, which is not an intermediary's to say
		}
		if t.last || t.leaving.Load() {
			h.Set("Connection", "close") // net/http makes a GOAWAY of it for HTTP/2
		}
		t.streaming()
	}
	t.rw.WriteHeader(status)
}

// Write implements http.ResponseWriter. What is not the end of the response is flushed at once: nobody knows when the next byte comes.
func (t *transaction) Write(p []byte) (int, error) {
	t.dog.touch()
	n, err := t.rw.Write(p)
	t.written += int64(n)
	t.dog.touch()
	if err == nil && t.length >= 0 && t.written < t.length {
		err = t.rc.Flush()
	}
	return n, err
}

// Unwrap lets http.ResponseController find what the transaction does not implement.
func (t *transaction) Unwrap() http.ResponseWriter { return t.rw }

// Hijack hands the client's connection over for a tunnel.
func (t *transaction) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, brw, err := t.rc.Hijack()
	if err != nil {
		return nil, nil, err
	}
	t.hijacked = true
	t.status = http.StatusSwitchingProtocols
	t.streaming()
	t.tunnels.Add(1)
	return &tunnel{Conn: conn, t: t, early: brw.Reader}, brw, nil
}

// A tunnel is a client's connection after an upgrade.
type tunnel struct {
	net.Conn
	t     *transaction
	early *bufio.Reader // what came with the request, or nil
}

// Read implements net.Conn.
func (c *tunnel) Read(p []byte) (int, error) {
	if c.early != nil {
		if n := c.early.Buffered(); n > 0 {
			return c.early.Read(p[:min(n, len(p))])
		}
		c.early = nil
	}
	n, err := c.Conn.Read(p)
	c.t.dog.touch()
	return n, err
}

// Write implements net.Conn.
func (c *tunnel) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.t.dog.touch()
	return n, err
}

// CloseWrite tells the client that nothing more comes.
func (c *tunnel) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// A clientBody is the body of the client's request, watched.
type clientBody struct {
	io.ReadCloser
	t *transaction
}

// Read implements io.Reader.
func (b *clientBody) Read(p []byte) (int, error) {
	t := b.t
	t.bodyTouched.Store(true)
	t.bodyWaiting.Store(true)
	n, err := b.ReadCloser.Read(p)
	t.bodyWaiting.Store(false)
	t.dog.touch()
	switch {
	case err == io.EOF:
		fillTrailer(t.trailer, t.in)
		t.bodyEnded.Store(true)
	case err != nil:
		t.bodyBroken.Store(true)
	}
	return n, err
}

// blame finds out why passing on a request failed with err.
func (t *transaction) blame(err error) fault {
	switch context.Cause(t.in.Context()) {
	case nil:
	case errTimeout:
		return faultTimeout
	case errSlowClient:
		return faultSlowClient
	case errIdle:
		return faultIdle
	case errDrained:
		return faultDrained
	case errRepeated:
		return faultBroken
	default:
		return faultClientGone
	}
	var connect *upstream.ConnectError
	switch {
	case errors.As(err, &connect):
		switch {
		case connect.Refused():
			return faultRefused
		case connect.Timeout():
			return faultConnectTimeout
		}
		return faultUnreachable
	case errors.Is(err, errNoEndpoint):
		return faultNoEndpoint
	case errors.Is(err, errUpgrade):
		return faultUpgrade
	case t.bodyBroken.Load():
		return faultBadBody
	case t.unfit:
		return faultUnfit
	}
	return faultBroken
}

// refuse answers with a fault, if the response has not begun. A gRPC client gets a status it understands, in a header without a body
// ("trailers only").
func (t *transaction) refuse(f fault) {
	t.fault = f
	if t.hijacked || t.status != 0 {
		return
	}
	info := f.info()
	if f == faultClientGone {
		t.status = info.status
		return
	}
	h := t.Header()
	clear(h)
	if info.proxy != "" {
		h.Set("Proxy-Status", pseudonym+"; error="+info.proxy)
	}
	switch f {
	case faultSlowClient, faultBadBody, faultBadLength, faultPanic:
		t.last = t.in.ProtoMajor == 1 // what is left of the request would be taken for the next; over HTTP/2 only the stream ends
	}
	if t.in.ProtoMajor == 2 && strings.HasPrefix(t.in.Header.Get("Content-Type"), "application/grpc") {
		h.Set("Content-Type", "application/grpc")
		h.Set("Grpc-Status", strconv.Itoa(info.grpc))
		h.Set("Grpc-Message", info.text)
		t.WriteHeader(http.StatusOK)
		return
	}
	body := info.text + "\n"
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if info.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	t.WriteHeader(info.status)
	_, _ = io.WriteString(t, body) // a client that has gone does not read it
}
