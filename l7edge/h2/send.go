package h2

import (
	"slices"

	"github.com/meridian-gslb/meridian/l7edge/h2/hpack"
)

// maxOut is how much output may wait to be taken before DATA waits in its stream, in bytes.
const maxOut = 128 << 10

// lastID is the greatest id that we open: a connection is given up before its ids run out.
const lastID = maxStreamID / 4 * 3

// Open begins a stream with a request and returns its id, or false if the peer takes no more streams now. fields begin with the
// pseudo-header fields. Clients only.
func (c *Conn) Open(s *Stream, fields []hpack.Field, end bool) (id uint32, ok bool) {
	c.lock()
	defer c.mu.Unlock()
	if c.dead != nil || c.closing.byPeer || len(c.streams) >= c.slots() || c.nextID > lastID {
		return 0, false
	}
	id = c.nextID
	c.nextID += 2
	s.open(c, id)
	s.bodiless = fields[0].Value == "HEAD"
	c.writeHeader(s, fields, end)
	return id, true
}

// slots returns how many streams this side may have open. mu is held.
func (c *Conn) slots() int { return min(c.peerStreams, c.cfg.MaxStreams) }

// Usable reports whether Open may succeed sooner or later.
func (c *Conn) Usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead == nil && !c.closing.byPeer && c.nextID <= lastID
}

// Respond sends the header of a response, of status 1xx too. fields begin with ":status".
func (c *Conn) Respond(s *Stream, id uint32, fields []hpack.Field, end bool) {
	c.lock()
	defer c.mu.Unlock()
	if c.has(s, id) {
		c.writeHeader(s, fields, end)
	}
}

// Data sends a piece of body. It returns how many bytes have passed, and whether with them the stream's direction has ended; of the rest
// Handler.Sent tells. p is free when it returns. If the stream is over, all bytes count as passed.
func (c *Conn) Data(s *Stream, id uint32, p []byte, end bool) (passed int, ended bool) {
	c.lock()
	defer c.mu.Unlock()
	if !c.has(s, id) || s.sentEnded {
		return len(p), false
	}
	if s.waiting == 0 {
		for passed < len(p) {
			n := c.share(s, len(p)-passed)
			if n <= 0 {
				break
			}
			c.writeData(s, p[passed:passed+n], end && passed+n == len(p))
			passed += n
		}
		if passed == len(p) {
			if end && !s.sentEnded { // nothing but the end
				c.writeData(s, nil, true)
			}
			c.finish(s)
			return passed, end
		}
	}
	s.enqueue(p[passed:])
	s.queueEnd = end
	c.list(s)
	return passed, false
}

// Trailer sends the end of a message, after all data. It returns whether it has passed.
func (c *Conn) Trailer(s *Stream, id uint32, fields []hpack.Field) (ended bool) {
	c.lock()
	defer c.mu.Unlock()
	if !c.has(s, id) || s.sentEnded {
		return false
	}
	if s.waiting > 0 {
		s.trailer, s.queueEnd = slices.Clone(fields), true
		return false
	}
	c.writeTrailer(s, fields)
	c.finish(s)
	return true
}

// Reset ends a stream both ways, if it is open. What waits is dropped.
func (c *Conn) Reset(s *Stream, id uint32, code ErrCode) {
	c.lock()
	defer c.mu.Unlock()
	if !c.has(s, id) {
		return
	}
	c.appendReset(id, code)
	c.ended.add(id, true)
	c.remove(s)
}

// LetGo says that the owner of a stream has done with it that the peer had reset: until then it counts against the peer's streams.
func (c *Conn) LetGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lingering--
}

// Credit gives back bytes that Handler.Data brought: the peer may send as many more. It is called for all of them, whatever has become of
// the stream; with nil if its memory has another use.
func (c *Conn) Credit(s *Stream, id uint32, n int) {
	if n == 0 {
		return
	}
	c.lock()
	defer c.mu.Unlock()
	c.held -= n
	if b := c.cfg.Budget; b != nil {
		b.used.Add(-int64(n))
	}
	c.openWindow()
	if s != nil && c.has(s, id) {
		c.creditStream(s, n)
	}
}

// hold counts bytes that the handler is given. mu is held.
func (c *Conn) hold(n int) {
	c.held += n
	if b := c.cfg.Budget; b != nil {
		b.used.Add(int64(n))
	}
	c.credit(n)
}

// credit counts bytes for which the connection's window is to be opened. mu is held.
func (c *Conn) credit(n int) {
	c.owed += n
	c.openWindow()
}

// openWindow opens the connection's window when half of it is due, whether or not the bytes have passed on, so that a stream that stands
// does not stop others; but not while more is held than may be. mu is held.
func (c *Conn) openWindow() {
	if c.owed < c.cfg.ConnWindow/2 || c.held > c.cfg.MaxHeld {
		return
	}
	if b := c.cfg.Budget; b != nil && c.held > 0 && b.used.Load() > b.Limit {
		return
	}
	c.appendWindowUpdate(0, c.owed)
	c.recvWindow += int64(c.owed)
	c.owed = 0
}

// creditStream opens a stream's window when half of it is due. mu is held.
func (c *Conn) creditStream(s *Stream, n int) {
	if s.recvEnded {
		return
	}
	if s.owed += n; s.owed < c.cfg.StreamWindow/2 {
		return
	}
	c.appendWindowUpdate(s.id, s.owed)
	s.recvWindow += int64(s.owed)
	s.owed = 0
}

// share returns how many of n bytes a stream may send now. mu is held.
func (c *Conn) share(s *Stream, n int) int {
	if len(c.out) >= maxOut {
		return 0
	}
	return int(min(int64(n), maxFrame, s.sendWindow, c.sendWindow))
}

// list puts a stream with data and a window in line. mu is held.
func (c *Conn) list(s *Stream) {
	if s.waiting > 0 && s.sendWindow > 0 {
		c.ready.push(s)
	}
}

// pump sends what waits, a frame of each stream in turn, as far as windows and the output allow. mu is held.
func (c *Conn) pump() {
	for c.ready.first != nil && c.sendWindow > 0 && len(c.out) < maxOut {
		s := c.ready.pop()
		id, sent := s.id, 0
		for want := c.share(s, s.waiting); sent < want; { // what a chunk has is one frame
			p := s.chunk()
			p = p[:min(len(p), want-sent)]
			sent += len(p)
			last := s.waiting == len(p) && s.queueEnd
			c.writeData(s, p, last && s.trailer == nil)
			s.dequeue(len(p))
			if last && s.trailer != nil {
				c.writeTrailer(s, s.trailer)
			}
		}
		if sent > 0 {
			c.notes = append(c.notes, note{s, id, sent, s.sentEnded})
		}
		if c.list(s); s.sentEnded {
			c.finish(s)
		}
	}
}

// writeData appends a DATA frame. mu is held.
func (c *Conn) writeData(s *Stream, p []byte, end bool) {
	var flags uint8
	if end {
		flags = flagEndStream
		s.sentEnded = true
	}
	c.out = append(appendHead(c.out, len(p), frameData, flags, s.id), p...)
	s.sendWindow -= int64(len(p))
	c.sendWindow -= int64(len(p))
	if len(p) > 0 {
		c.useful()
	}
}

// writeTrailer appends the header that ends a message. mu is held.
func (c *Conn) writeTrailer(s *Stream, fields []hpack.Field) {
	if len(fields) == 0 {
		c.writeData(s, nil, true)
		return
	}
	c.writeBlock(s.id, fields, true)
	s.sentEnded = true
}

// writeHeader appends a header and, with end, ends the direction. mu is held.
func (c *Conn) writeHeader(s *Stream, fields []hpack.Field, end bool) {
	c.writeBlock(s.id, fields, end)
	if end {
		s.sentEnded = true
		c.finish(s)
	}
}

// writeBlock appends HEADERS, and CONTINUATION if one frame does not hold it. mu is held.
func (c *Conn) writeBlock(stream uint32, fields []hpack.Field, end bool) {
	flags := uint8(flagEndHeaders)
	if end {
		flags |= flagEndStream
	}
	at := len(c.out)
	c.out = c.encoder.Begin(appendHead(c.out, 0, frameHeaders, flags, stream))
	for i := range fields {
		c.out = c.encoder.Append(c.out, &fields[i])
	}
	n := len(c.out) - at - headLen
	if n <= maxFrame {
		c.out[at], c.out[at+1], c.out[at+2] = byte(n>>16), byte(n>>8), byte(n)
		return
	}
	block := slices.Clone(c.out[at+headLen:])
	c.out = c.out[:at]
	kind, flags := uint8(frameHeaders), flags&^flagEndHeaders
	for len(block) > 0 {
		n := min(len(block), maxFrame)
		if n == len(block) {
			flags |= flagEndHeaders
		}
		c.out = append(appendHead(c.out, n, kind, flags, stream), block[:n]...)
		block = block[n:]
		kind, flags = frameContinuation, 0
	}
}
