package dnsserver

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	firstBuffer = 512                    // bytes a connection reads into, and keeps while it is idle
	flushAt     = 16 << 10               // bytes of responses that are sent before more queries are answered
	keepOut     = 128 << 10              // bytes of a buffer for responses that is used again
	maxMessage  = 1<<16 - 1              // what the length before a message can say
	tcpGrace    = 100 * time.Millisecond // after the end was asked for, in which connections still read, answer and write
)

// A conn is one connection: queries in, their answers out in the same order, as many in flight as the client likes (RFC 7766 6.2.1).
// What a client sends at once is answered at once, in one write. No answer waits for anything, so none could overtake another to its
// client's advantage.
type conn struct {
	net.Conn
	from      netip.AddrPort
	answerers chan *Answerer
	limits    *TCPConfig
	place     place // of conns
	proxied   bool  // the header of the PROXY protocol that it begins with is still to come

	in    []byte
	begun time.Time                 // when the message that in begins with began to arrive
	until atomic.Pointer[time.Time] // the last moment to read and to write; nil until the end is asked for
}

func newConn(nc net.Conn, from netip.AddrPort, limits *TCPConfig, answerers chan *Answerer) *conn {
	return &conn{Conn: nc, from: from, limits: limits, answerers: answerers, in: make([]byte, 0, firstBuffer)}
}

// serve answers until the client ends, breaks the rules or takes too long; conns are told of every batch of messages.
func (c *conn) serve(conns *conns) {
	defer c.Close()
	for c.read() {
		if c.proxied {
			if !c.unproxy(conns) {
				return
			}
			if c.proxied {
				continue
			}
		}
		served, ok := c.answerAll()
		if !ok {
			return
		}
		if served > 0 {
			conns.touch(c)
		}
	}
}

// endAt ends the connection at a moment, unless it ends before. It may be called at any time.
func (c *conn) endAt(until time.Time) {
	c.until.Store(&until)
	_ = c.SetDeadline(until)
}

// read waits for more bytes and reports whether there are any. A client may be idle between messages for long, but must send one
// that it has begun in short time, however it parcels it.
func (c *conn) read() bool {
	deadline := c.begun.Add(c.limits.IO)
	if len(c.in) == 0 {
		deadline = time.Now().Add(c.limits.Idle)
	}
	if c.SetReadDeadline(deadline) != nil {
		return false
	}
	if until := c.until.Load(); until != nil && c.SetReadDeadline(*until) != nil { // not to undo what endAt set
		return false
	}
	c.makeRoom()
	n, err := c.Read(c.in[len(c.in):cap(c.in)])
	if len(c.in) == 0 {
		c.begun = time.Now()
	}
	c.in = c.in[:len(c.in)+n]
	return err == nil
}

// makeRoom has the buffer hold the message it begins with. What a client merely announces costs nothing: the buffer at most doubles.
func (c *conn) makeRoom() {
	if len(c.in) < cap(c.in) {
		return
	}
	size := 2 + int(binary.BigEndian.Uint16(c.in))
	if c.proxied {
		size = proxyMost
	}
	c.in = append(make([]byte, 0, min(max(size, firstBuffer), 2*cap(c.in))), c.in...)
}

// outBuffers are buffers for responses. Connections have one only while they answer.
var outBuffers = sync.Pool{New: func() any { return new([]byte) }}

// answerAll answers every message that is complete, sends the responses, and returns how many there were. It is not ok to send what
// is no query: nothing that comes after it can be trusted to begin where a message begins. Nor if the responses cannot be sent.
func (c *conn) answerAll() (served int, ok bool) {
	buf := outBuffers.Get().(*[]byte)
	rest, n, ok := c.in, 1, true
	for n > 0 && ok {
		var out []byte
		out, rest, n, ok = c.answer((*buf)[:0], rest)
		served += n
		ok = c.write(out) && ok
		*buf = out
	}
	if cap(*buf) <= keepOut {
		outBuffers.Put(buf)
	}
	if served > 0 {
		c.begun = time.Now()
		c.in = c.in[:copy(c.in, rest)]
		if len(rest) == 0 && cap(c.in) > firstBuffer {
			c.in = make([]byte, 0, firstBuffer)
		}
	}
	return served, ok
}

// answer appends responses to messages, with their lengths before them, until there is enough to send.
func (c *conn) answer(out, msgs []byte) (responses, rest []byte, n int, ok bool) {
	if len(msgs) < 2 || len(msgs) < 2+int(binary.BigEndian.Uint16(msgs)) {
		return out, msgs, 0, true
	}
	a := <-c.answerers
	start := time.Now()
	a.begin()
	defer func() {
		a.end()
		a.took(n, time.Since(start))
		c.answerers <- a
	}()
	for len(msgs) >= 2 && len(out) < flushAt {
		size := int(binary.BigEndian.Uint16(msgs))
		if len(msgs) < 2+size {
			break
		}
		at := len(out)
		out = a.answer(append(out, 0, 0), msgs[2:2+size], c.from, maxMessage)
		if len(out) == at+2 {
			return out[:at], msgs, n, false
		}
		binary.BigEndian.PutUint16(out[at:], uint16(len(out)-at-2))
		msgs = msgs[2+size:]
		n++
	}
	return out, msgs, n, true
}

// write sends responses, lengths and messages, in one write (RFC 7766 8).
func (c *conn) write(out []byte) bool {
	if len(out) == 0 {
		return true
	}
	if c.SetWriteDeadline(time.Now().Add(c.limits.IO)) != nil {
		return false
	}
	if until := c.until.Load(); until != nil && c.SetWriteDeadline(*until) != nil {
		return false
	}
	_, err := c.Write(out)
	return err == nil
}
