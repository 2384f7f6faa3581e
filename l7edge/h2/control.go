package h2

import (
	"encoding/binary"
	"time"
)

// priority takes a PRIORITY frame, which says nothing any more (RFC 9113 5.3.2, 6.3). mu is held.
func (c *Conn) priority(h head, p []byte) error {
	switch {
	case h.stream == 0:
		return c.fail(ProtocolError, "PRIORITY on stream 0")
	case len(p) != 5 || binary.BigEndian.Uint32(p)&maxStreamID == h.stream:
		code := FrameSizeError
		if len(p) == 5 {
			code = ProtocolError
		}
		if s := c.streams[h.stream]; s != nil {
			err := c.malformed(s, code)
			c.mu.Lock()
			return err
		}
		return c.fail(code, "invalid PRIORITY")
	}
	return c.countCheap()
}

// resetByPeer takes an RST_STREAM frame (RFC 9113 6.4). mu is held, and not when it returns.
func (c *Conn) resetByPeer(h head, p []byte) error {
	s := c.streams[h.stream]
	var err error
	switch {
	case len(p) != 4:
		err = c.fail(FrameSizeError, "invalid RST_STREAM")
	case h.stream == 0 || c.idle(h.stream):
		err = c.fail(ProtocolError, "RST_STREAM for an idle stream")
	default:
		err = c.countReset()
	}
	if s == nil || err != nil {
		c.mu.Unlock()
		return err
	}
	code := ErrCode(binary.BigEndian.Uint32(p))
	c.ended.add(h.stream, false)
	c.remove(s)
	if !c.cfg.Client {
		c.lingering++
	}
	c.mu.Unlock()
	c.handler.Reset(s, h.stream, code, ByPeer)
	return nil
}

// settings takes a SETTINGS frame (RFC 9113 6.5).
func (c *Conn) settings(h head, p []byte) error {
	c.lock()
	var err error
	switch {
	case h.stream != 0:
		err = c.fail(ProtocolError, "SETTINGS on a stream")
	case h.has(flagAck) && len(p) != 0, len(p)%6 != 0:
		err = c.fail(FrameSizeError, "invalid SETTINGS")
	case len(p)/6 > maxSettings:
		err = c.fail(EnhanceYourCalm, "too many settings")
	case h.has(flagAck):
		c.settingsDue = time.Time{}
		err = c.countCheap()
		c.mu.Unlock()
		return err
	default:
		err = c.countReply()
	}
	if err != nil {
		c.mu.Unlock()
		return err
	}
	if !c.greeted && c.cfg.Client {
		c.peerStreams = maxStreamID // unless said otherwise (6.5.2)
	}
	for ; len(p) > 0; p = p[6:] {
		if err := c.setting(binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])); err != nil {
			c.mu.Unlock()
			return err
		}
	}
	c.greeted = true
	c.out = appendHead(c.out, 0, frameSettings, flagAck, 0)
	c.pump()
	streams := c.slots()
	c.release(c.handler)
	c.handler.Settled(streams)
	return nil
}

// setting applies one entry. mu is held.
func (c *Conn) setting(id uint16, v uint32) error {
	switch id {
	case settingHeaderTableSize:
		c.encoder.SetTableSize(v)
	case settingEnablePush:
		if v > 1 || v == 1 && c.cfg.Client {
			return c.fail(ProtocolError, "invalid ENABLE_PUSH")
		}
	case settingMaxConcurrentStreams:
		c.peerStreams = int(min(v, maxStreamID))
	case settingInitialWindowSize:
		if v > maxWindow {
			return c.fail(FlowControlError, "invalid INITIAL_WINDOW_SIZE")
		}
		more := int64(v) - c.peerWindow
		c.peerWindow = int64(v)
		for _, s := range c.streams { // 6.9.2: also below zero
			if s.sendWindow += more; s.sendWindow > maxWindow {
				return c.fail(FlowControlError, "window of a stream too large")
			}
			c.list(s)
		}
	case settingMaxFrameSize:
		if v < maxFrame || v > 1<<24-1 {
			return c.fail(ProtocolError, "invalid MAX_FRAME_SIZE")
		}
	}
	return nil
}

// ping takes a PING frame (RFC 9113 6.7). mu is held.
func (c *Conn) ping(h head, p []byte) error {
	switch {
	case h.stream != 0:
		return c.fail(ProtocolError, "PING on a stream")
	case len(p) != 8:
		return c.fail(FrameSizeError, "invalid PING")
	case h.has(flagAck):
		c.pong(binary.BigEndian.Uint64(p))
		return c.countCheap()
	}
	if err := c.countReply(); err != nil {
		return err
	}
	c.out = append(appendHead(c.out, 8, framePing, flagAck, 0), p...)
	return nil
}

// goAway takes a GOAWAY frame (RFC 9113 6.8). mu is held, and not when it returns.
func (c *Conn) goAway(h head, p []byte) error {
	switch {
	case h.stream != 0:
		defer c.mu.Unlock()
		return c.fail(ProtocolError, "GOAWAY on a stream")
	case len(p) < 8:
		defer c.mu.Unlock()
		return c.fail(FrameSizeError, "invalid GOAWAY")
	}
	if err := c.countCheap(); err != nil {
		c.mu.Unlock()
		return err
	}
	last, code := binary.BigEndian.Uint32(p)&maxStreamID, ErrCode(binary.BigEndian.Uint32(p[4:]))
	c.closing.byPeer = true
	var left []*Stream
	var ids []uint32
	if c.cfg.Client {
		for id, s := range c.streams {
			if id > last {
				left, ids = append(left, s), append(ids, id)
			}
		}
		for _, s := range left {
			c.remove(s)
		}
	}
	c.mu.Unlock()
	c.handler.Leaving(code)
	for i, s := range left {
		c.handler.Reset(s, ids[i], code, Unprocessed)
	}
	return nil
}

// windowUpdate takes a WINDOW_UPDATE frame (RFC 9113 6.9). mu is held, and not when it returns.
func (c *Conn) windowUpdate(h head, p []byte) error {
	if len(p) != 4 {
		defer c.mu.Unlock()
		return c.fail(FrameSizeError, "invalid WINDOW_UPDATE")
	}
	if err := c.countCheap(); err != nil {
		c.mu.Unlock()
		return err
	}
	n := int64(binary.BigEndian.Uint32(p) & maxWindow)
	if h.stream == 0 {
		c.sendWindow += n
		if n == 0 || c.sendWindow > maxWindow {
			defer c.mu.Unlock()
			if n == 0 {
				return c.fail(ProtocolError, "WINDOW_UPDATE of nothing")
			}
			return c.fail(FlowControlError, "window of the connection too large")
		}
	} else {
		s := c.streams[h.stream]
		if s == nil {
			defer c.mu.Unlock()
			if c.idle(h.stream) {
				return c.fail(ProtocolError, "WINDOW_UPDATE for an idle stream")
			}
			return nil // it may have been on its way (5.1)
		}
		s.sendWindow += n
		switch {
		case n == 0:
			return c.malformed(s, ProtocolError)
		case s.sendWindow > maxWindow:
			return c.malformed(s, FlowControlError)
		}
		c.list(s)
	}
	c.pump()
	c.release(c.handler)
	return nil
}
