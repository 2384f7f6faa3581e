package dnsserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	firstBuffer = 1 << 10                // bytes a connection starts to read into; grows with what arrives
	keepBuffer  = 4 << 10                // bytes a buffer may keep between messages
	flushAt     = 16 << 10               // bytes of responses that are sent before more queries are answered
	maxMessage  = 1<<16 - 1              // what the length before a message can say
	tcpGrace    = 100 * time.Millisecond // after the end was asked for, in which connections still read, answer and write
	acceptPause = 50 * time.Millisecond  // after a failed accept, most likely for want of file descriptors
)

// serveTCP accepts connections until ctx ends and returns when all of them have ended. Of accepts that fail in a row, the first is
// logged, and that the row has ended.
func (s *Server) serveTCP(ctx context.Context, l net.Listener) error {
	var running sync.WaitGroup
	defer running.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	failed := 0 // in a row
	for {
		nc, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("dnsserver: accept on %s: %w", l.Addr(), err)
		case err != nil:
			s.conns.rejected[rejectAccept].Add(1)
			if failed++; failed == 1 {
				s.log.Warn("dns: cannot accept connections", "address", l.Addr().String(), "error", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		case failed > 0:
			s.log.Info("dns: accepts connections again", "address", l.Addr().String(), "failed", failed)
			failed = 0
		}
		from := nc.RemoteAddr().(*net.TCPAddr).AddrPort()
		c := newConn(nc, netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port()), s.cfg.TCP, s.tcp)
		if !s.conns.admit(c) {
			_ = nc.Close()
			continue
		}
		running.Go(func() {
			defer s.conns.remove(c)
			c.serve(ctx, s.conns.touch)
		})
	}
}

// A conn is one connection: queries in, their answers out in the same order, as many in flight as the client likes (RFC 7766 6.2.1).
// What a client sends at once is answered at once, in one write.
type conn struct {
	net.Conn
	from      netip.AddrPort
	limits    TCPConfig
	answerers chan *Answerer

	in, out []byte
	begun   time.Time                 // when the message that in begins with began to arrive
	until   atomic.Pointer[time.Time] // the last moment to read and to write; nil until the end is asked for
}

func newConn(nc net.Conn, from netip.AddrPort, limits TCPConfig, answerers chan *Answerer) *conn {
	return &conn{Conn: nc, from: from, limits: limits, answerers: answerers, in: make([]byte, 0, firstBuffer)}
}

// serve answers until the client ends, breaks the rules, takes too long, or ctx ends; touch is told of every message.
func (c *conn) serve(ctx context.Context, touch func(*conn)) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() {
		until := time.Now().Add(tcpGrace)
		c.until.Store(&until)
		_ = c.SetDeadline(until)
	})
	defer stop()
	for c.read() {
		served, ok := c.answerAll()
		if !c.flush() || !ok {
			return
		}
		if served > 0 {
			touch(c)
		}
	}
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
	if until := c.until.Load(); until != nil && c.SetReadDeadline(*until) != nil { // not to undo what the end of ctx set
		return false
	}
	if len(c.in) == cap(c.in) {
		c.in = append(make([]byte, 0, 2*cap(c.in)), c.in...)
	}
	n, err := c.Read(c.in[len(c.in):cap(c.in)])
	if len(c.in) == 0 {
		c.begun = time.Now()
	}
	c.in = c.in[:len(c.in)+n]
	return err == nil
}

// answerAll answers every message that is complete, and returns how many. It is not ok to send what is no query: nothing that comes
// after it can be trusted to begin where a message begins.
func (c *conn) answerAll() (served int, ok bool) {
	rest := c.in
	for len(rest) >= 2 {
		size := int(binary.BigEndian.Uint16(rest))
		if len(rest) < 2+size {
			break
		}
		if !c.answer(rest[2 : 2+size]) {
			return served, false
		}
		rest = rest[2+size:]
		served++
		if len(c.out) >= flushAt && !c.flush() {
			return served, false
		}
	}
	if served > 0 {
		c.begun = time.Now()
		c.in = c.in[:copy(c.in, rest)]
		if len(rest) == 0 && cap(c.in) > keepBuffer {
			c.in = make([]byte, 0, firstBuffer)
		}
	}
	return served, true
}

// answer appends the response to a message, with its length before it.
func (c *conn) answer(msg []byte) bool {
	start := len(c.out)
	a := <-c.answerers
	c.out = a.Answer(append(c.out, 0, 0), msg, c.from, maxMessage)
	c.answerers <- a
	size := len(c.out) - start - 2
	if size == 0 {
		c.out = c.out[:start]
		return false
	}
	binary.BigEndian.PutUint16(c.out[start:], uint16(size))
	return true
}

// flush sends the responses, lengths and messages in one write (RFC 7766 8).
func (c *conn) flush() bool {
	if len(c.out) == 0 {
		return true
	}
	if c.SetWriteDeadline(time.Now().Add(c.limits.IO)) != nil {
		return false
	}
	if until := c.until.Load(); until != nil && c.SetWriteDeadline(*until) != nil {
		return false
	}
	_, err := c.Write(c.out)
	if c.out = c.out[:0]; cap(c.out) > keepBuffer {
		c.out = nil
	}
	return err == nil
}
