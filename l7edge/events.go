package l7edge

import (
	"github.com/meridian-gslb/meridian/l7edge/h2"
	"github.com/meridian-gslb/meridian/l7edge/h2/hpack"
)

// events are the events of a leg, taken by a goroutine with its batch. They find the passage that a stream belongs to, lock it, see whether
// it still has that stream, and let it act; what has been touched is written later, when no passage is locked.
type events struct {
	leg *leg
	b   *batch
}

// owner locks the passage of a stream and returns it, or nil if the stream is none of it any more.
func (e *events) owner(s *h2.Stream, id uint32) *passage {
	t := s.Owner.(*passage)
	t.mu.Lock()
	if e.leg.pool == nil && t.front == e.leg && t.inID == id || e.leg.pool != nil && t.back == e.leg && t.outID == id {
		return t
	}
	t.mu.Unlock()
	return nil
}

// after does what had to wait until the passage was unlocked.
func (e *events) after() {
	if e.b.full {
		e.b.flush()
	}
	if p := e.leg.pool; p != nil && p.queued.Load() > 0 {
		p.refill(e.b)
	}
}

// Accept implements h2.Handler.
func (e *events) Accept() *h2.Stream {
	return &e.leg.engine.free.Get().(*passage).in
}

// Header implements h2.Handler.
func (e *events) Header(s *h2.Stream, id uint32, h *h2.Header) {
	if e.leg.pool == nil {
		t := s.Owner.(*passage)
		t.mu.Lock()
		t.begin(e.b, e.leg, id, h)
		t.mu.Unlock()
	} else if t := e.owner(s, id); t != nil {
		t.response(e.b, h)
		t.mu.Unlock()
	}
	e.after()
}

// Data implements h2.Handler.
func (e *events) Data(s *h2.Stream, id uint32, p []byte, end bool) {
	t := e.owner(s, id)
	switch {
	case t == nil:
		e.leg.Credit(nil, 0, len(p))
		e.b.touch(e.leg)
		return
	case e.leg.pool == nil:
		t.upload(e.b, p, end)
	default:
		t.download(e.b, p, end)
	}
	t.mu.Unlock()
	e.after()
}

// Trailer implements h2.Handler.
func (e *events) Trailer(s *h2.Stream, id uint32, fields []hpack.Field) {
	t := e.owner(s, id)
	switch {
	case t == nil:
		return
	case e.leg.pool == nil:
		t.requestTrailer(e.b, fields)
	default:
		t.responseTrailer(e.b, fields)
	}
	t.mu.Unlock()
	e.after()
}

// Reset implements h2.Handler.
func (e *events) Reset(s *h2.Stream, id uint32, code h2.ErrCode, why h2.Cause) {
	t := e.owner(s, id)
	if e.leg.pool == nil && why == h2.ByPeer && (t == nil || t.bridge == nil) {
		defer e.leg.LetGo()
	}
	e.b.touch(e.leg)
	switch {
	case t == nil:
		return
	case e.leg.pool == nil:
		t.clientReset(e.b, why)
	default:
		t.endpointReset(e.b, code, why)
	}
	t.mu.Unlock()
	e.after()
}

// Sent implements h2.Handler.
func (e *events) Sent(s *h2.Stream, id uint32, n int, end bool) {
	t := e.owner(s, id)
	switch {
	case t == nil:
		return
	case e.leg.pool == nil:
		t.downloaded(e.b, n, end)
	default:
		t.uploaded(e.b, n)
	}
	t.mu.Unlock()
}

// Settled implements h2.Handler.
func (e *events) Settled(streams int) {
	if p := e.leg.pool; p != nil {
		p.settled(e.b, e.leg, streams)
	}
}

// Leaving implements h2.Handler.
func (e *events) Leaving(h2.ErrCode) {
	if p := e.leg.pool; p != nil {
		p.remove(e.leg)
	}
	e.leg.leave(e.b)
}
