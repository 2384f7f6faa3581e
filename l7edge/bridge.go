package l7edge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/meridian-gslb/meridian/l7edge/h2"
	"github.com/meridian-gslb/meridian/l7edge/h2/hpack"
)

// errReset is what reading and writing a stream returns that is over.
var errReset = errors.New("l7edge: the stream is over")

// A bridge carries a request that came over HTTP/2 with net/http, in a goroutine of its own: those whose endpoints speak HTTP/1.1. It is
// the request's body and the ResponseWriter. A write returns when the client's windows have let it pass.
type bridge struct {
	t      *passage
	leg    *leg
	stream *h2.Stream
	id     uint32
	cancel context.CancelFunc

	mu                  sync.Mutex
	changed             sync.Cond
	body                []byte        // that has come and was not read
	bodyEnd             bool          // nothing follows
	trailers            []hpack.Field // of the request
	behind              int           // bytes written that have not passed
	over                bool          // the stream was reset
	byPeer              bool          // by the client
	lateRead, lateWrite deadline

	// Of the goroutine that carries the request.
	request   *http.Request
	expects   bool // the client waits for 100
	header    http.Header
	status    int
	announced []string // names of the trailer
	length    int64    // of the response; -1: unknown
	written   int64
	last      []byte // the end of the body, if its length is known
	sent      bool   // the header
	ended     bool   // all there is has been sent
}

// A deadline makes waiting end. Its bridge's mu guards it.
type deadline struct {
	timer *time.Timer
	past  bool
}

// cross hands a request over to net/http. The passage is locked.
func (t *passage) cross(b *batch, h *h2.Header) {
	t.x.close()
	t.handlers.Add(-1)
	l := t.front
	br := &bridge{t: t, leg: l, stream: &t.in, id: t.inID, header: make(http.Header), bodyEnd: h.End, length: -1}
	br.changed.L = &br.mu
	var ctx context.Context
	ctx, br.cancel = context.WithCancel(l.base)
	br.request = br.requestOf(h, ctx)
	t.account = account{carrier: t.carrier}
	t.bridge = br
	t.deadline.Store(0)
	l.bridges.Go(br.serve)
}

// requestOf makes a request for net/http of a header.
func (br *bridge) requestOf(h *h2.Header, ctx context.Context) *http.Request {
	r := &http.Request{
		Method: h.Method.Value, Proto: protoH2, ProtoMajor: 2, Header: make(http.Header, len(h.Fields)), Host: br.t.host,
		RemoteAddr: br.leg.wire.tcp.RemoteAddr().String(), RequestURI: h.Path.Value, ContentLength: h.Length, Body: http.NoBody,
	}
	if br.leg.tls != nil {
		r.TLS = &br.leg.state
	}
	var err error
	if r.URL, err = url.ParseRequestURI(h.Path.Value); err != nil {
		r.URL = &url.URL{Path: "/"} // the edge looks at RequestURI
	}
	for _, f := range h.Fields {
		name := http.CanonicalHeaderKey(f.Name)
		switch {
		case f.Name == "expect" && strings.EqualFold(f.Value, "100-continue"):
			br.expects = true
			continue
		case f.Name == "trailer":
			for name := range strings.SplitSeq(f.Value, ",") {
				if r.Trailer == nil {
					r.Trailer = make(http.Header)
				}
				if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); trails(name) {
					r.Trailer[name] = nil
				}
			}
			continue
		case f.Name == "cookie" && len(r.Header[name]) > 0:
			r.Header[name][0] += "; " + f.Value // RFC 9113 8.2.3
			continue
		}
		r.Header[name] = append(r.Header[name], f.Value)
	}
	if !h.End {
		r.Body = br
	} else {
		r.ContentLength = 0
	}
	return r.WithContext(ctx)
}

// serve carries the request.
func (br *bridge) serve() {
	broken := true
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			panic(p)
		}
		br.end(broken)
	}()
	br.t.carrier.ServeHTTP(br, br.request)
	broken = false
}

// end ends the stream and frees the passage.
func (br *bridge) end(broken bool) {
	var b batch
	if !broken {
		br.finish()
	} else {
		br.leg.Reset(br.stream, br.id, h2.InternalError)
	}
	br.cancel()
	br.mu.Lock()
	br.over = true
	left := len(br.body)
	br.body = nil
	byPeer := br.byPeer
	for _, d := range []*deadline{&br.lateRead, &br.lateWrite} {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
	br.mu.Unlock()
	br.leg.Credit(br.stream, br.id, left)
	br.leg.Reset(br.stream, br.id, h2.NoError)
	if byPeer {
		br.leg.LetGo()
	}
	b.touch(br.leg)
	br.t.mu.Lock()
	br.t.free()
	br.t.mu.Unlock()
	b.flush()
}

// upload takes a piece of the request's body. The passage is locked.
func (br *bridge) upload(p []byte, end bool) {
	br.mu.Lock()
	defer br.mu.Unlock()
	br.body = append(br.body, p...)
	br.bodyEnd = end
	br.changed.Broadcast()
}

// trailer takes the end of the request. The passage is locked.
func (br *bridge) trailer(fields []hpack.Field) {
	br.mu.Lock()
	defer br.mu.Unlock()
	br.trailers = append(br.trailers, fields...)
	br.bodyEnd = true
	br.changed.Broadcast()
}

// downloaded takes note of what has passed. The passage is locked.
func (br *bridge) downloaded(n int) {
	br.mu.Lock()
	defer br.mu.Unlock()
	br.behind -= n
	br.changed.Broadcast()
}

// reset takes it that the stream is over. The passage is locked.
func (br *bridge) reset(why h2.Cause) {
	br.mu.Lock()
	br.over = true
	br.byPeer = why == h2.ByPeer
	br.changed.Broadcast()
	br.mu.Unlock()
	br.cancel()
}

// flush writes what the leg has to send.
func (br *bridge) flush() {
	var b batch
	br.leg.write(&b)
	b.flush()
}

// Read implements io.Reader for the request's body.
func (br *bridge) Read(p []byte) (int, error) {
	if br.expects {
		br.expects = false
		br.leg.Respond(br.stream, br.id, []hpack.Field{{Name: ":status", Value: "100"}}, false)
		br.flush()
	}
	br.mu.Lock()
	for len(br.body) == 0 && !br.bodyEnd && !br.over && !br.lateRead.past {
		br.changed.Wait()
	}
	n := copy(p, br.body)
	br.body = br.body[n:]
	var err error
	switch {
	case n > 0 || len(p) == 0:
	case br.lateRead.past:
		err = os.ErrDeadlineExceeded
	case br.over:
		err = errReset
	default:
		err = io.EOF
		for _, f := range br.trailers {
			if name := http.CanonicalHeaderKey(f.Name); hasKey(br.request.Trailer, name) {
				br.request.Trailer[name] = append(br.request.Trailer[name], f.Value)
			}
		}
		br.trailers = nil
	}
	br.mu.Unlock()
	if n > 0 {
		br.leg.Credit(br.stream, br.id, n)
		br.flush()
	}
	return n, err
}

func hasKey(h http.Header, name string) bool {
	_, ok := h[name]
	return ok
}

// Close implements io.Closer for the request's body.
func (br *bridge) Close() error { return nil }

// Header implements http.ResponseWriter.
func (br *bridge) Header() http.Header { return br.header }

// WriteHeader implements http.ResponseWriter.
func (br *bridge) WriteHeader(status int) {
	switch {
	case br.status != 0:
	case status < 200:
		br.leg.Respond(br.stream, br.id, br.fields(status), false)
		br.flush()
	default:
		br.status = status
	}
}

// respond sends the header, if it has not been sent.
func (br *bridge) respond(end bool) {
	if br.sent {
		return
	}
	br.WriteHeader(http.StatusOK) // if nobody has set another
	br.sent = true
	for _, line := range br.header["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			br.announced = append(br.announced, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	fields := br.fields(br.status)
	for _, f := range fields {
		if f.Name == "content-length" && br.request.Method != http.MethodHead {
			if n, err := strconv.ParseInt(f.Value, 10, 64); err == nil {
				br.length = n
			}
		}
	}
	br.leg.Respond(br.stream, br.id, fields, end)
	br.ended = end
}

// fields makes the header of a response of what net/http has.
func (br *bridge) fields(status int) []hpack.Field {
	out := make([]hpack.Field, 1, len(br.header)+2)
	out[0] = hpack.Field{Name: ":status", Value: strconv.Itoa(status)}
	dated := status < 200
	for name, values := range br.header {
		switch name {
		case "Connection":
			if strings.EqualFold(br.header.Get(name), "close") && status >= 200 {
				b := batch{now: time.Now()}
				br.leg.leave(&b)
				b.flush()
			}
			continue
		case "Transfer-Encoding", "Proxy-Connection", "Keep-Alive", "Upgrade":
			continue
		case "Content-Length":
			if status < 200 {
				continue
			}
		case "Date":
			dated = true
		}
		if strings.HasPrefix(name, http.TrailerPrefix) {
			continue
		}
		out = appendValues(out, name, values)
	}
	if !dated {
		out = append(out, dateField(time.Now()))
	}
	return out
}

// appendValues appends the fields of one name.
func appendValues(out []hpack.Field, name string, values []string) []hpack.Field {
	name = strings.ToLower(name)
	for _, v := range values {
		f := hpack.Field{Name: name, Value: v}
		if name == "set-cookie" || name == "content-length" || name == "etag" {
			f.Mode = hpack.NoIndex
		}
		out = append(out, f)
	}
	return out
}

// Write implements http.ResponseWriter.
func (br *bridge) Write(p []byte) (int, error) {
	br.respond(false)
	if br.request.Method == http.MethodHead {
		return len(p), nil
	}
	if len(p) == 0 {
		return 0, nil
	}
	if br.written += int64(len(p)); br.written == br.length && len(br.announced) == 0 {
		br.last = append(br.last, p...) // goes with the end
		return len(p), nil
	}
	return br.send(p, false)
}

// send sends a piece of body and waits until it has passed.
func (br *bridge) send(p []byte, end bool) (int, error) {
	br.mu.Lock()
	passed, _ := br.leg.Data(br.stream, br.id, p, end)
	br.behind += len(p) - passed
	br.mu.Unlock()
	br.flush()
	br.mu.Lock()
	defer br.mu.Unlock()
	for br.behind > 0 && !br.over && !br.lateWrite.past {
		br.changed.Wait()
	}
	switch {
	case br.behind > 0 && br.lateWrite.past:
		return 0, os.ErrDeadlineExceeded
	case br.over:
		return 0, errReset
	}
	return len(p), nil
}

// FlushError implements what http.ResponseController flushes with.
func (br *bridge) FlushError() error {
	br.respond(false)
	br.flush()
	return nil
}

// finish ends the response.
func (br *bridge) finish() {
	var trailer []hpack.Field
	for name, values := range br.header {
		if rest, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			trailer = appendValues(trailer, rest, values)
		}
	}
	if !br.sent && len(trailer) == 0 {
		br.respond(true)
		return
	}
	br.respond(false)
	for _, name := range br.announced {
		trailer = appendValues(trailer, name, br.header[name])
	}
	switch {
	case br.ended:
	case len(br.last) > 0 && len(trailer) == 0:
		_, _ = br.send(br.last, true) // a client that has gone does not read it
	default:
		br.leg.Trailer(br.stream, br.id, trailer)
	}
}

// SetReadDeadline implements what http.ResponseController ends the reading of a body with.
func (br *bridge) SetReadDeadline(at time.Time) error { return br.limit(&br.lateRead, at) }

// SetWriteDeadline implements what http.ResponseController ends the writing of a body with.
func (br *bridge) SetWriteDeadline(at time.Time) error { return br.limit(&br.lateWrite, at) }

func (br *bridge) limit(d *deadline, at time.Time) error {
	br.mu.Lock()
	defer br.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.past = false
	if at.IsZero() {
		return nil
	}
	pass := func() {
		d.past = true
		br.changed.Broadcast()
	}
	if wait := time.Until(at); wait > 0 {
		d.timer = time.AfterFunc(wait, func() {
			br.mu.Lock()
			defer br.mu.Unlock()
			pass()
		})
		return nil
	}
	pass()
	return nil
}
