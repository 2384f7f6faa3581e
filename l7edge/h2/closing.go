package h2

import (
	"encoding/binary"
	"time"
)

// A closing is how far a connection is on its way to its end, and how its peer is watched.
type closing struct {
	byPeer bool      // GOAWAY has come
	phase  phase     // of our own end
	last   uint32    // the last stream we take, once final
	due    time.Time // when the second GOAWAY goes out at the latest

	heard  time.Time // when something last came
	pinged time.Time // when the PING that is out was sent; zero: none is
}

// A phase of the end (RFC 9113 6.8): first the peer is told to open no more streams, then, when it must have heard that, which were taken.
type phase uint8

const (
	open   phase = iota
	warned       // GOAWAY with the greatest id is out
	final        // GOAWAY with the last id is out
)

// ignores reports whether a stream of the peer is beyond what we take.
func (c *closing) ignores(stream uint32) bool { return c.phase == final && stream > c.last }

const (
	warning   = time.Second // between both GOAWAYs, if the peer does not answer a PING sooner
	drainPing = 0x6d65726964726e31
	alivePing = 0x6d65726964616c76
)

func (c *Conn) appendGoAway(last uint32, code ErrCode) {
	c.room()
	c.out = appendUint32(appendUint32(appendHead(c.out, 8, frameGoAway, 0, 0), last), uint32(code))
}

func (c *Conn) appendPing(payload uint64) {
	c.out = binary.BigEndian.AppendUint64(appendHead(c.out, 8, framePing, 0, 0), payload)
}

// Shutdown begins the end: the peer is told to open no more streams. Those that are open, and those on their way, are served; then Done
// reports true.
func (c *Conn) Shutdown(now time.Time) {
	c.lock()
	defer c.mu.Unlock()
	if c.dead != nil || c.closing.phase != open {
		return
	}
	if c.cfg.Client {
		c.closing.phase = final
		c.closing.byPeer = true // no more streams from us either
		c.appendGoAway(0, NoError)
		return
	}
	c.closing.phase, c.closing.due = warned, now.Add(warning)
	c.appendGoAway(maxStreamID, NoError)
	c.appendPing(drainPing)
}

// pong takes the answer to a PING. mu is held.
func (c *Conn) pong(payload uint64) {
	switch payload {
	case drainPing:
		c.finalGoAway()
	case alivePing:
		c.closing.pinged = time.Time{}
	}
}

// finalGoAway tells the peer which streams were taken. mu is held.
func (c *Conn) finalGoAway() {
	if c.closing.phase != warned {
		return
	}
	c.closing.phase, c.closing.last = final, c.lastPeer
	c.appendGoAway(c.lastPeer, NoError)
}

// Done reports whether nothing is left to do: the driver sends what Take returns and closes the socket.
func (c *Conn) Done() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing.phase == final && len(c.streams) == 0
}

// Tick does what is due at a time: SETTINGS must be acknowledged, a header must arrive, the second GOAWAY follows the first, and a peer
// that has open streams and was not heard for long is asked whether it is there, and given half as long to answer. It returns when to
// call again at the latest, or the zero time; after an error the driver ends the connection as after one of Receive.
func (c *Conn) Tick(now time.Time) (next time.Time, err error) {
	c.lock()
	defer c.mu.Unlock()
	if c.dead != nil {
		return time.Time{}, c.dead
	}
	soonest := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if due := c.settingsDue; !due.IsZero() {
		if !now.Before(due) {
			return time.Time{}, c.fail(SettingsTimeout, "SETTINGS not acknowledged")
		}
		soonest(due)
	}
	if c.closing.phase == warned {
		if !now.Before(c.closing.due) {
			c.finalGoAway()
		} else {
			soonest(c.closing.due)
		}
	}
	if since := c.headerSince; !since.IsZero() && c.cfg.Patience > 0 {
		if !now.Before(since.Add(c.cfg.Patience)) {
			return time.Time{}, c.fail(NoError, "header does not arrive")
		}
		soonest(since.Add(c.cfg.Patience))
	}
	if silence := c.cfg.Silence; silence > 0 && len(c.streams) > 0 {
		switch {
		case c.closing.heard.Add(silence).After(now):
			c.closing.pinged = time.Time{}
			soonest(c.closing.heard.Add(silence))
		case c.closing.pinged.IsZero():
			c.closing.pinged = now
			c.appendPing(alivePing)
			soonest(now.Add(silence / 2))
		case !c.closing.pinged.Add(silence / 2).After(now):
			return time.Time{}, c.fail(NoError, "peer does not answer")
		default:
			soonest(c.closing.pinged.Add(silence / 2))
		}
	}
	return next, nil
}
