package h2

import (
	"encoding/binary"
	"time"

	"github.com/meridian-gslb/meridian/l7edge/h2/hpack"
)

// Receive takes the next bytes from the peer, in pieces of any size, and calls the Handler for all that is complete. An error, always a
// *ConnError, means that the connection has ended: the driver sends what Take returns, closes the socket and calls Close.
func (c *Conn) Receive(now time.Time, p []byte) error {
	c.mu.Lock()
	c.now = now
	c.closing.heard = now
	if c.dead != nil {
		defer c.mu.Unlock()
		return c.dead
	}
	c.mu.Unlock()
	if c.preface < len(Preface) {
		n := min(len(p), len(Preface)-c.preface)
		if string(p[:n]) != Preface[c.preface:c.preface+n] {
			c.lock()
			defer c.mu.Unlock()
			return c.fail(ProtocolError, "not the preface of HTTP/2")
		}
		c.preface += n
		p = p[n:]
	}
	whole := 0
	for ; len(p) > 0; whole++ {
		frame, rest, err := c.cut(p)
		if err != nil {
			return err
		}
		if frame == nil {
			break
		}
		if err := c.frame(frame); err != nil {
			return err
		}
		p = rest
		if c.in != nil && len(c.in.B) > 0 { // frame was put together there
			chunks.Put(c.in)
			c.in = nil
		}
	}
	c.watch(whole > 0)
	return nil
}

// watch notes since when a header has been on its way. progress says that a frame has been completed.
func (c *Conn) watch(progress bool) {
	slow := c.preface < len(Preface) || c.blockOf.stream != 0
	if !slow && c.in != nil {
		slow = len(c.in.B) < headLen || c.in.B[3] == frameHeaders
	}
	if !slow && !c.slow {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !slow:
		c.headerSince = time.Time{}
	case !c.slow, progress && c.blockOf.stream == 0:
		c.headerSince = c.now
	}
	c.slow = slow
}

// cut takes one whole frame off p, with what came before. If it is not whole, all of p is kept and frame is nil.
func (c *Conn) cut(p []byte) (frame, rest []byte, err error) {
	if c.in == nil {
		if len(p) >= headLen {
			h := parseHead(p)
			if h.length > maxFrame {
				return nil, nil, c.tooLong()
			}
			if n := headLen + h.length; len(p) >= n {
				return p[:n], p[n:], nil
			}
		}
		c.in = newChunk()
		c.in.B = append(c.in.B, p...)
		return nil, nil, nil
	}
	for want := headLen; ; {
		n := min(len(p), want-len(c.in.B))
		if n > 0 {
			c.in.B = append(c.in.B, p[:n]...)
			p = p[n:]
		}
		if len(c.in.B) < want {
			return nil, nil, nil
		}
		h := parseHead(c.in.B)
		if h.length > maxFrame {
			return nil, nil, c.tooLong()
		}
		if want == headLen+h.length {
			return c.in.B, p, nil
		}
		want = headLen + h.length
	}
}

func (c *Conn) tooLong() error {
	c.lock()
	defer c.mu.Unlock()
	return c.fail(FrameSizeError, "frame above SETTINGS_MAX_FRAME_SIZE")
}

// frame takes one whole frame.
func (c *Conn) frame(frame []byte) error {
	h, p := parseHead(frame), frame[headLen:]
	switch {
	case c.blockOf.stream != 0 && (h.kind != frameContinuation || h.stream != c.blockOf.stream):
		return c.violation(ProtocolError, "frame within a header block")
	case !c.greeted && (h.kind != frameSettings || h.has(flagAck)):
		return c.violation(ProtocolError, "the first frame is not SETTINGS")
	}
	switch h.kind {
	case frameData:
		return c.data(h, p)
	case frameHeaders:
		return c.headers(h, p)
	case frameContinuation:
		return c.continuation(h, p)
	case frameSettings:
		return c.settings(h, p)
	}
	c.lock()
	var err error
	switch h.kind {
	case framePriority:
		err = c.priority(h, p)
	case frameRSTStream:
		return c.resetByPeer(h, p) // unlocks
	case framePushPromise:
		err = c.fail(ProtocolError, "PUSH_PROMISE")
	case framePing:
		err = c.ping(h, p)
	case frameGoAway:
		return c.goAway(h, p) // unlocks
	case frameWindowUpdate:
		return c.windowUpdate(h, p) // unlocks
	default:
		err = c.countCheap()
	}
	c.mu.Unlock()
	return err
}

// violation ends the connection.
func (c *Conn) violation(code ErrCode, why string) error {
	c.lock()
	defer c.mu.Unlock()
	return c.fail(code, why)
}

// malformed ends a stream for what the peer did wrong on it, and tells its owner. mu is held, and not when it returns.
func (c *Conn) malformed(s *Stream, code ErrCode) error {
	id := s.id
	c.appendReset(id, code)
	c.ended.add(id, true)
	c.remove(s)
	err := c.countReset()
	c.mu.Unlock()
	c.handler.Reset(s, id, code, Malformed)
	return err
}

// stray answers a frame for a stream that is not open: an idle one is a mistake of the connection; one that was reset before the peer
// knew is none. mu is held.
func (c *Conn) stray(h head) error {
	if c.idle(h.stream) {
		return c.fail(ProtocolError, "frame for an idle stream")
	}
	reset, ours := c.ended.find(h.stream)
	switch {
	case ours || c.cfg.Client || c.closing.ignores(h.stream):
		return c.countCheap()
	case c.skipped <= h.stream && h.stream < c.lastPeer && c.skipped > 0:
		return c.fail(ProtocolError, "stream below one that is open")
	case !reset && h.kind == frameHeaders:
		return c.fail(StreamClosed, "header on a closed stream")
	}
	c.appendReset(h.stream, StreamClosed)
	return c.countReset()
}

// data takes a DATA frame (RFC 9113 6.1).
func (c *Conn) data(h head, payload []byte) error {
	c.lock()
	if h.stream == 0 {
		defer c.mu.Unlock()
		return c.fail(ProtocolError, "DATA on stream 0")
	}
	p, ok := unpad(&h, payload)
	if !ok {
		defer c.mu.Unlock()
		return c.fail(ProtocolError, "invalid padding")
	}
	if c.recvWindow -= int64(len(payload)); c.recvWindow < 0 {
		defer c.mu.Unlock()
		return c.fail(FlowControlError, "more than the connection's window")
	}
	s := c.streams[h.stream]
	if s == nil {
		defer c.mu.Unlock()
		c.credit(len(payload)) // nobody else will
		return c.stray(h)
	}
	end := h.has(flagEndStream)
	s.recvWindow -= int64(len(payload))
	s.got += int64(len(p))
	code := NoError
	switch {
	case s.recvEnded:
		code = StreamClosed
	case !s.headerDone:
		code = ProtocolError
	case s.recvWindow < 0:
		code = FlowControlError
	case s.length >= 0 && (s.got > s.length || end && s.got < s.length), s.bodiless && len(p) > 0: // RFC 9113 8.1.1
		code = ProtocolError
	}
	if code != NoError {
		c.credit(len(payload))
		return c.malformed(s, code)
	}
	if len(p) == 0 && !end {
		if err := c.countCheap(); err != nil {
			c.mu.Unlock()
			return err
		}
	} else {
		c.useful()
	}
	if pad := len(payload) - len(p); pad > 0 {
		c.credit(pad)
		c.creditStream(s, pad)
	}
	c.hold(len(p))
	if end {
		s.recvEnded = true
		c.finish(s)
	}
	c.mu.Unlock()
	if len(p) > 0 || end {
		c.handler.Data(s, h.stream, p, end)
	}
	return nil
}

// headers takes a HEADERS frame (RFC 9113 6.2).
func (c *Conn) headers(h head, payload []byte) error {
	if h.stream == 0 {
		return c.violation(ProtocolError, "HEADERS on stream 0")
	}
	p, ok := unpad(&h, payload)
	if !ok {
		return c.violation(ProtocolError, "invalid padding")
	}
	dependsOnItself := false
	if h.has(flagPriority) {
		if len(p) < 5 {
			return c.violation(FrameSizeError, "HEADERS too short")
		}
		dependsOnItself = binary.BigEndian.Uint32(p)&maxStreamID == h.stream
		p = p[5:]
	}
	if !h.has(flagEndHeaders) {
		c.block = append(c.block[:0], p...)
		c.blockOf, c.pieces = h, 0
		return nil
	}
	return c.complete(h, p, dependsOnItself)
}

// continuation takes a CONTINUATION frame (RFC 9113 6.10).
func (c *Conn) continuation(h head, p []byte) error {
	if c.blockOf.stream == 0 {
		return c.violation(ProtocolError, "CONTINUATION without HEADERS")
	}
	c.pieces++
	if c.pieces > maxPieces+c.cfg.MaxHeaderBytes/maxFrame || len(c.block)+len(p) > 2*c.cfg.MaxHeaderBytes+maxFrame {
		return c.violation(EnhanceYourCalm, "header block without end")
	}
	c.block = append(c.block, p...)
	if !h.has(flagEndHeaders) {
		return nil
	}
	begun, block := c.blockOf, c.block
	c.blockOf, c.block = head{}, nil
	return c.complete(begun, block, false)
}

// complete takes a whole header block. It is decoded whatever becomes of it, because the table goes on (RFC 9113 4.3).
func (c *Conn) complete(h head, block []byte, dependsOnItself bool) error {
	fields, size, err := c.decoder.Decode(c.fields[:0], block, c.cfg.MaxHeaderBytes)
	c.fields = fields[:0]
	if err != nil {
		return c.violation(CompressionError, err.Error())
	}
	tooLarge := size > c.cfg.MaxHeaderBytes
	c.lock()
	c.useful()
	s := c.streams[h.stream]
	switch {
	case s == nil && (c.cfg.Client || c.ours(h.stream) || !c.idle(h.stream)):
		defer c.mu.Unlock()
		if h.stream&1 == 0 {
			return c.fail(ProtocolError, "stream of the wrong side")
		}
		return c.stray(h)
	case s == nil:
		return c.request(h, fields, tooLarge, dependsOnItself)
	case s.recvEnded:
		return c.malformed(s, StreamClosed)
	case dependsOnItself:
		return c.malformed(s, ProtocolError)
	case s.headerDone:
		return c.trailer(s, h, fields, tooLarge)
	}
	return c.response(s, h, fields, tooLarge)
}

// request opens a stream that the peer begins. mu is held, and not when it returns.
func (c *Conn) request(h head, fields []hpack.Field, tooLarge, dependsOnItself bool) error {
	c.skipped = 0
	if next := (c.lastPeer + 1) | 1; h.stream > next {
		c.skipped = next
	}
	c.lastPeer = h.stream
	if c.closing.ignores(h.stream) {
		c.mu.Unlock()
		return nil
	}
	code := NoError
	if len(c.streams)+c.lingering >= c.cfg.MaxStreams {
		code = RefusedStream
	} else if why := c.header.parse(fields, true); why != "" || dependsOnItself {
		code = ProtocolError
	}
	end := h.has(flagEndStream)
	if code == NoError && end && c.header.Length > 0 {
		code = ProtocolError
	}
	if code != NoError {
		defer c.mu.Unlock()
		c.appendReset(h.stream, code)
		c.ended.add(h.stream, true)
		return c.countReset()
	}
	c.mu.Unlock()
	s := c.handler.Accept()
	c.mu.Lock()
	s.open(c, h.stream)
	s.headerDone, s.recvEnded, s.length = true, end, c.header.Length
	c.mu.Unlock()
	c.header.End, c.header.TooLarge = end, tooLarge
	c.handler.Header(s, h.stream, &c.header)
	return nil
}

// response takes the header of a response. mu is held, and not when it returns.
func (c *Conn) response(s *Stream, h head, fields []hpack.Field, tooLarge bool) error {
	end := h.has(flagEndStream)
	why := c.header.parse(fields, false)
	interim := c.header.Status < 200
	switch {
	case why != "", interim && end, tooLarge:
		return c.malformed(s, ProtocolError)
	}
	if c.header.Status == 204 || c.header.Status == 304 {
		s.bodiless = true
	}
	if !interim {
		s.headerDone = true
		if !s.bodiless {
			if s.length = c.header.Length; end && s.length > 0 {
				return c.malformed(s, ProtocolError)
			}
		}
		if end {
			s.recvEnded = true
			c.finish(s)
		}
	}
	c.mu.Unlock()
	c.header.End = end
	c.handler.Header(s, h.stream, &c.header)
	return nil
}

// trailer takes the end of a message. mu is held, and not when it returns.
func (c *Conn) trailer(s *Stream, h head, fields []hpack.Field, tooLarge bool) error {
	if !h.has(flagEndStream) || tooLarge || !validTrailer(fields) || s.length >= 0 && s.got != s.length {
		return c.malformed(s, ProtocolError)
	}
	s.recvEnded = true
	c.finish(s)
	c.mu.Unlock()
	c.handler.Trailer(s, h.stream, fields)
	return nil
}
