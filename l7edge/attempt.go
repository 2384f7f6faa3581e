package l7edge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/meridian-gslb/meridian/l7edge/route"
	"github.com/meridian-gslb/meridian/l7edge/upstream"
)

// Errors of a round trip that no endpoint made.
var (
	errNoEndpoint = errors.New("l7edge: no endpoint")
	errUpgrade    = errors.New("l7edge: the endpoint switched to another protocol than asked")
	errStatus     = errors.New("l7edge: the endpoint answered with a status below 100")
)

// errRepeated ends a round trip that http.Transport would repeat although the endpoint may have acted on the request.
var errRepeated = errors.New("l7edge: the endpoint may have got the request already")

// maxRepeats is how often a request that met a closed connection is sent to its endpoint again. Each time the endpoint has got
// nothing, and each time another connection is gone, so more than one is rare.
const maxRepeats = 3

// A roundTripper sends a request to an endpoint of its exchange, and to another if the first could not be connected to.
type roundTripper struct{}

// RoundTrip implements http.RoundTripper.
func (roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	t := transactionOf(r)
	s := newSending(t, r)
	var last error
	for {
		endpoint, f := t.x.pick()
		if f != noFault {
			if last != nil {
				return nil, last
			}
			return nil, errNoEndpoint
		}
		resp, err := s.to(t.links.to(endpoint.Address, t.x.rule.Protocol))
		if err == nil {
			return resp, nil
		}
		last = err
		if r.Context().Err() != nil || !t.x.retry(err, t.bodyTouched.Load()) {
			return nil, err
		}
		t.x.outcome(upstream.ConnectFailed)
		t.core.retries.Add(1)
	}
}

// A sending takes care that one request to http.Transport is one request to an endpoint. Left alone, the Transport repeats requests
// that it thinks may be repeated: over HTTP/1.1 a GET once for each idle connection that breaks under it, and over HTTP/2 whatever has
// no body, several times.
//
// Over HTTP/1.1 it is kept from that by a body, which it cannot rewind; a connection that broke before it took a byte is replaced here.
// Over HTTP/2 a repetition is watched as it begins: it is let pass if the endpoint has said that it did not act on the request
// (RFC 9113 8.7), of which there are at most seven, further and further apart, and ended if not.
type sending struct {
	t *transaction
	r *http.Request

	conn   *counted    // that the request was last given; nil: none
	reused bool        // the connection has carried requests before
	resets uint64      // of conn, when the request was given it
	wrote  atomic.Bool // HTTP/2: the header was sent over conn
}

// newSending prepares the request to an endpoint.
func newSending(t *transaction, r *http.Request) *sending {
	s := &sending{t: t}
	trace := &httptrace.ClientTrace{GotConn: s.gotConn}
	if t.x.rule.Protocol == route.H2C {
		trace.GotConn = s.gotStream
		trace.WroteHeaders = func() { s.wrote.Store(true) }
	}
	s.r = r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
	switch {
	case r.Body != nil:
		s.r.Body = keptBody{r.Body}
	case t.x.rule.Protocol == route.H2C:
	case r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions:
		s.r.Body = emptyBody{}
		s.r.TransferEncoding = []string{"identity"} // no Transfer-Encoding and no Content-Length is sent
		delete(s.r.Header, "Expect")                // there is nothing to wait for
	default:
		// Without a body of length 0 net/http would not send the length that servers want to see. It repeats these only if they have
		// one of two fields, and looks for them under this spelling alone.
		for canonical, spelt := range map[string]string{"Idempotency-Key": "idempotency-key", "X-Idempotency-Key": "x-idempotency-key"} {
			if v, ok := s.r.Header[canonical]; ok {
				delete(s.r.Header, canonical)
				s.r.Header[spelt] = v
			}
		}
	}
	return s
}

// to sends the request over a connection of a link, and over another if the first was closed before it took any of the request.
func (s *sending) to(l *link) (*http.Response, error) {
	s.r.URL.Host = l.host
	for repeats := 0; ; repeats++ {
		s.conn = nil
		s.t.dialled.Store(false)
		resp, err := l.transport.RoundTrip(s.r)
		if err == nil {
			return resp, nil
		}
		if s.conn == nil && !s.t.dialled.Load() {
			s.t.unfit = true
		}
		if repeats == maxRepeats || !s.untouched() || s.r.Context().Err() != nil {
			return nil, err
		}
		s.t.repeat()
	}
}

// untouched reports whether the request was given a connection of HTTP/1.1 that was closed before it took a byte of it.
func (s *sending) untouched() bool {
	return s.conn != nil && s.reused && !s.conn.sent.Load() && s.t.x.rule.Protocol != route.H2C && !s.t.bodyTouched.Load()
}

// gotConn implements httptrace.ClientTrace.GotConn for HTTP/1.1.
func (s *sending) gotConn(got httptrace.GotConnInfo) {
	s.conn, _ = got.Conn.(*counted)
	s.reused = got.Reused
	if s.conn != nil {
		s.conn.sent.Store(false)
	}
}

// gotStream implements httptrace.ClientTrace.GotConn for HTTP/2. The Transport does not send a request whose context has ended.
func (s *sending) gotStream(got httptrace.GotConnInfo) {
	if s.wrote.Swap(false) {
		if s.conn == nil || s.conn.frames.resets.Load() != s.resets {
			s.t.cancel(errRepeated)
			return
		}
		s.t.repeat()
	}
	if s.conn, _ = got.Conn.(*counted); s.conn != nil {
		s.resets = s.conn.frames.resets.Load()
	}
}

// repeat counts another attempt on the same endpoint.
func (t *transaction) repeat() {
	t.x.repeat()
	t.core.retries.Add(1)
}

// An emptyBody is the body of a request without one.
type emptyBody struct{}

// Read implements io.Reader.
func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }

// Close implements io.Closer.
func (emptyBody) Close() error { return nil }

// A keptBody is a request's body that an attempt cannot close, so that another can follow. The reverse proxy closes it.
type keptBody struct{ io.Reader }

// Close does nothing.
func (keptBody) Close() error { return nil }

// noteDial tells the transaction for which a connection is made, if there is one, that it is.
func noteDial(ctx context.Context) {
	if t, ok := ctx.Value(transactionKey{}).(*transaction); ok {
		t.dialled.Store(true)
	}
}
