package l7edge

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meridian-gslb/meridian/l7edge/h2"
	"github.com/meridian-gslb/meridian/l7edge/h2/hpack"
	"github.com/meridian-gslb/meridian/l7edge/upstream"
)

// A passage takes one request of a client over HTTP/2 to an endpoint over HTTP/2, frame by frame: the exchange says where to, the windows of
// each side hold back the other. Passages are used again and again; turn tells one use from the next.
//
// Its methods are called with mu locked, by whoever has an event for it. They may lock legs and pools, never another passage.
type passage struct {
	in, out h2.Stream // the client's stream and the one to the endpoint

	mu   sync.Mutex
	turn uint64 // of attempts and uses; a ticket of another turn is void
	account
	front *leg   // of the client; nil: not in use
	inID  uint32 // of in
	back  *leg   // to the endpoint; nil: none yet
	outID uint32 // of out; 0: not open
	pool  *pool  // where a stream to the endpoint comes from

	bridge *bridge // net/http carries the request; nil: it does not

	grpc    bool          // the client speaks gRPC
	fields  []hpack.Field // of the request to the endpoint
	hasBody bool          // the client's header did not end the request
	early   []byte        // of the body, which came before there was a stream to the endpoint
	trailer []hpack.Field // the same of the trailer
	over    bool          // all of the request has come
	sent    bool          // all of it has passed to the endpoint
	held    int           // bytes of it that have come and not passed
	done    bool          // the endpoint's stream has ended
	behind  int           // bytes of the response that have come and not passed
	last    error         // of the last attempt

	moving     bool         // the response has begun: the clock is that of standing still
	deadline   atomic.Int64 // in Unix nanoseconds
	prev, next *passage     // in front.passages
}

// begin takes the header of a client's request.
func (t *passage) begin(b *batch, l *leg, id uint32, h *h2.Header) {
	t.front, t.inID = l, id
	t.hasBody, t.over = !h.End, h.End
	c := l.engine.carrier
	t.account = account{carrier: c, x: c.core.open(), start: b.now, proto: protoH2, method: h.Method.Value, host: h.Authority.Value}
	c.handlers.Add(1)
	l.used.Store(b.now.UnixNano())
	l.mu.Lock()
	l.passages.add(t)
	l.mu.Unlock()
	f := t.steps(h)
	if f == faultBridge {
		t.cross(b, h)
		return
	}
	if f != noFault {
		t.refuse(b, f)
		return
	}
	t.clock(b, t.x.rule.Timeout)
	t.attempt(b)
}

// clock starts the clock of the response's header, or that of standing still if there is no timeout.
func (t *passage) clock(b *batch, timeout time.Duration) {
	if t.moving = timeout <= 0; t.moving {
		timeout = t.cfg.StreamIdleTimeout
	}
	at := b.now.Add(timeout)
	t.deadline.Store(at.UnixNano())
	t.front.schedule(at)
}

// touch says that something moved.
func (t *passage) touch(b *batch) {
	if t.moving {
		t.deadline.Store(b.now.Add(t.cfg.StreamIdleTimeout).UnixNano())
	}
}

// attempt sends the request to the next endpoint.
func (t *passage) attempt(b *batch) {
	endpoint, f := t.x.pick()
	if f != noFault {
		if t.last != nil {
			f = connectFault(t.last)
		}
		t.refuse(b, f)
		return
	}
	t.pool = t.front.engine.pools.to(endpoint.Address)
	t.pool.begin(b, t)
}

// opened sends what has come of the body before there was a stream.
func (t *passage) opened(b *batch) {
	t.turn++
	t.sent = !t.hasBody
	early, trailer := t.early, t.trailer
	t.early, t.trailer = t.early[:0], nil
	if len(early) > 0 || t.over && t.hasBody && trailer == nil {
		t.pass(b, early, t.over && trailer == nil)
	}
	if trailer != nil {
		t.sent = t.back.Trailer(&t.out, t.outID, trailer)
	}
}

// unreached ends an attempt whose endpoint could not be connected to. Another is tried if the rule allows it.
func (t *passage) unreached(b *batch, err error) {
	t.turn++
	t.last = err
	f := connectFault(err)
	if f == faultBroken {
		t.refuse(b, f)
		return
	}
	again := t.x.retry(err, false)
	t.x.outcome(upstream.ConnectFailed)
	if !again {
		t.refuse(b, f)
		return
	}
	t.core.retries.Add(1)
	t.attempt(b)
}

// connectFault says what it is called that an attempt got no connection.
func connectFault(err error) fault {
	var connect *upstream.ConnectError
	switch {
	case !errors.As(err, &connect):
		return faultBroken
	case connect.Refused():
		return faultRefused
	case connect.Timeout():
		return faultConnectTimeout
	}
	return faultUnreachable
}

// upload takes a piece of the request's body.
func (t *passage) upload(b *batch, p []byte, end bool) {
	t.over = end
	if t.bridge != nil {
		t.bridge.upload(p, end)
		return
	}
	t.touch(b)
	t.held += len(p)
	switch {
	case t.done:
		t.credit(b, len(p))
	case t.outID == 0:
		t.early = append(t.early, p...)
	default:
		t.pass(b, p, end)
	}
}

// pass sends a piece of the request's body on.
func (t *passage) pass(b *batch, p []byte, end bool) {
	n, ended := t.back.Data(&t.out, t.outID, p, end)
	t.sent = ended
	b.touch(t.back)
	b.full = b.full || n < len(p)
	t.credit(b, n)
}

// uploaded takes note of what of the request has passed.
func (t *passage) uploaded(b *batch, n int) {
	t.touch(b)
	t.credit(b, n)
}

// credit lets the client send as many more bytes.
func (t *passage) credit(b *batch, n int) {
	t.held -= n
	t.front.Credit(&t.in, t.inID, n)
	b.touch(t.front)
}

// requestTrailer takes the end of the request.
func (t *passage) requestTrailer(b *batch, fields []hpack.Field) {
	t.over = true
	if t.bridge != nil {
		t.bridge.trailer(fields)
		return
	}
	t.touch(b)
	kept := fields[:0]
	for _, f := range fields {
		if trails(f.Name) {
			kept = append(kept, f)
		}
	}
	switch {
	case t.done:
	case t.outID == 0:
		t.trailer = append(make([]hpack.Field, 0, len(kept)), kept...) // not nil, even if empty
	default:
		t.sent = t.back.Trailer(&t.out, t.outID, kept)
		b.touch(t.back)
	}
}

// response takes the header of the endpoint's response, or one that goes before it.
func (t *passage) response(b *batch, h *h2.Header) {
	final := h.Status >= 200
	fields := responseFields(h, b)
	if final {
		t.status = h.Status
		if !t.moving {
			t.clock(b, 0)
		}
		if t.leaving.Load() {
			t.front.leave(b)
		}
	}
	t.front.Respond(&t.in, t.inID, fields, h.End)
	b.touch(t.front)
	if h.End {
		t.done = true
		t.end(b)
	}
}

// download takes a piece of the response's body.
func (t *passage) download(b *batch, p []byte, end bool) {
	t.touch(b)
	t.behind += len(p)
	t.written += int64(len(p))
	n, ended := t.front.Data(&t.in, t.inID, p, end)
	b.touch(t.front)
	b.full = b.full || n < len(p)
	t.creditBack(b, n)
	if t.done = end; ended {
		t.end(b)
	}
}

// downloaded takes note of what of the response has passed.
func (t *passage) downloaded(b *batch, n int, end bool) {
	if t.bridge != nil {
		t.bridge.downloaded(n)
		return
	}
	t.touch(b)
	t.creditBack(b, n)
	if end {
		t.end(b)
	}
}

// creditBack lets the endpoint send as many more bytes, unless the edge has answered itself.
func (t *passage) creditBack(b *batch, n int) {
	if t.back == nil {
		return
	}
	n = min(n, t.behind) // less, if it was an answer of the edge's own
	t.behind -= n
	t.back.Credit(&t.out, t.outID, n)
	b.touch(t.back)
}

// responseTrailer takes the end of the response.
func (t *passage) responseTrailer(b *batch, fields []hpack.Field) {
	t.touch(b)
	kept := fields[:0]
	for _, f := range fields {
		if trailsResponse(f.Name) {
			kept = append(kept, f)
		}
	}
	ended := t.front.Trailer(&t.in, t.inID, kept)
	b.touch(t.front)
	if t.done = true; ended {
		t.end(b)
	}
}

// clientReset ends the passage because the client's stream is over.
func (t *passage) clientReset(b *batch, why h2.Cause) {
	if t.bridge != nil {
		t.bridge.reset(why)
		return
	}
	switch {
	case t.fault != noFault:
	case why == h2.Malformed:
		t.fault = faultBadBody
	default:
		t.fault = faultClientGone
	}
	if t.status == 0 {
		t.status = t.fault.info().status
	}
	t.end(b)
}

// maxAgain is how often a request is sent again that its endpoint did not act on.
const maxAgain = 7

// endpointReset takes it that the endpoint's stream is over before its response was.
func (t *passage) endpointReset(b *batch, code h2.ErrCode, why h2.Cause) {
	t.turn++
	refused := why == h2.Unprocessed || why == h2.ByPeer && code == h2.RefusedStream
	switch {
	case t.done: // only the rest of the request is not wanted
		t.drop(b)
		return
	case refused && !t.hasBody && t.status == 0 && t.x.repeats < maxAgain:
		t.back, t.outID = nil, 0
		t.x.repeat()
		t.core.retries.Add(1)
		t.pool.begin(b, t)
		return
	case why != h2.ByPeer:
		code = h2.InternalError
	}
	t.done = true
	t.fail(b, faultBroken, code)
}

// drop gives up what is left of the request.
func (t *passage) drop(b *batch) {
	t.credit(b, t.held)
	t.early, t.trailer = t.early[:0], nil
}

// refuse answers with a fault, or ends the response that has begun.
func (t *passage) refuse(b *batch, f fault) { t.fail(b, f, h2.InternalError) }

// fail answers with a fault, or ends the response that has begun with a code.
func (t *passage) fail(b *batch, f fault, code h2.ErrCode) {
	t.fault = f
	b.touch(t.front)
	if !t.done && t.outID != 0 {
		t.back.Reset(&t.out, t.outID, h2.Cancel)
		b.touch(t.back)
		t.done = true
	}
	if t.status != 0 {
		t.front.Reset(&t.in, t.inID, code)
		t.end(b)
		return
	}
	if t.leaving.Load() {
		t.front.leave(b)
	}
	if t.answer(f) {
		t.end(b)
	}
}

// answer sends the edge's own response, and returns whether it has passed. A gRPC client gets a status it understands, in a header without
// a body ("trailers only").
func (t *passage) answer(f fault) (ended bool) {
	info := f.info()
	t.status = info.status
	fields := make([]hpack.Field, 0, 8)
	add := func(name, value string) { fields = append(fields, hpack.Field{Name: name, Value: value}) }
	if t.grpc {
		t.status = http.StatusOK
	}
	add(":status", strconv.Itoa(t.status))
	fields = append(fields, dateField(t.start))
	if info.proxy != "" {
		add("proxy-status", pseudonym+"; error="+info.proxy)
	}
	if t.grpc {
		add("content-type", "application/grpc")
		add("grpc-status", strconv.Itoa(info.grpc))
		add("grpc-message", info.text)
		t.front.Respond(&t.in, t.inID, fields, true)
		return true
	}
	body := info.text + "\n"
	add("content-type", "text/plain; charset=utf-8")
	add("x-content-type-options", "nosniff")
	add("cache-control", "no-store")
	add("content-length", strconv.Itoa(len(body)))
	if info.status == http.StatusServiceUnavailable {
		add("retry-after", "1")
	}
	if t.method == http.MethodHead {
		t.front.Respond(&t.in, t.inID, fields, true)
		return true
	}
	t.front.Respond(&t.in, t.inID, fields, false)
	t.written = int64(len(body))
	_, ended = t.front.Data(&t.in, t.inID, []byte(body), true)
	return ended
}

// expire ends a passage whose clock has run out.
func (t *passage) expire(b *batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.front == nil || t.bridge != nil || t.deadline.Load() > b.now.UnixNano() {
		return
	}
	switch {
	case t.moving:
		t.fail(b, faultIdle, h2.Cancel)
	case t.hasBody && !t.over && t.held == 0 && t.outID != 0:
		t.fail(b, faultSlowClient, h2.Cancel)
	default:
		t.fail(b, faultTimeout, h2.Cancel)
	}
}

// give gives a passage up.
func (t *passage) give(b *batch, f fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.front != nil && t.bridge == nil {
		t.fail(b, f, h2.Cancel)
	}
}

// end ends the passage: the response has passed, or never will. What is left of either stream is reset.
func (t *passage) end(b *batch) {
	if t.outID != 0 {
		code := h2.Cancel
		if t.done && t.fault == noFault {
			code = h2.NoError
		}
		t.back.Reset(&t.out, t.outID, code)
		t.creditBack(b, t.behind)
		t.back.used.Store(b.now.UnixNano())
	}
	t.front.Reset(&t.in, t.inID, h2.NoError)
	t.credit(b, t.held)
	t.close(b.now)
	t.handlers.Add(-1)
	t.free()
}

// free makes the passage ready for another use.
func (t *passage) free() {
	l := t.front
	l.used.Store(time.Now().UnixNano())
	l.mu.Lock()
	l.passages.remove(t)
	l.mu.Unlock()
	t.turn++
	t.account = account{}
	t.front, t.inID, t.back, t.outID, t.pool, t.bridge, t.last = nil, 0, nil, 0, nil, nil, nil
	t.trailer, t.grpc, t.hasBody, t.over, t.sent, t.done, t.moving, t.held, t.behind = nil, false, false, false, false, false, false, 0, 0
	if cap(t.early) > maxKept {
		t.early = nil
	}
	t.early = t.early[:0]
	clear(t.fields)
	t.fields = t.fields[:0]
	l.engine.free.Put(t)
}

// maxKept is what of the memory for an early body is kept, in bytes.
const maxKept = 4 << 10

// passages is a list of passages that belong to a front.
type passages struct{ first *passage }

func (p *passages) add(t *passage) {
	t.prev, t.next = nil, p.first
	if p.first != nil {
		p.first.prev = t
	}
	p.first = t
}

func (p *passages) remove(t *passage) {
	if t.prev == nil {
		p.first = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.prev, t.next = nil, nil
}

// all returns all passages.
func (p *passages) all() (out []*passage) {
	for t := p.first; t != nil; t = t.next {
		out = append(out, t)
	}
	return out
}

// late returns those whose clock has run out.
func (p *passages) late(now time.Time) (out []*passage) {
	for t := p.first; t != nil; t = t.next {
		if at := t.deadline.Load(); at != 0 && at <= now.UnixNano() {
			out = append(out, t)
		}
	}
	return out
}

// soonest returns when the next clock runs out, or the zero time.
func (p *passages) soonest() time.Time {
	var at int64
	for t := p.first; t != nil; t = t.next {
		if d := t.deadline.Load(); d != 0 && (at == 0 || d < at) {
			at = d
		}
	}
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(0, at)
}
