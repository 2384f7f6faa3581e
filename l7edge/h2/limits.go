package h2

import (
	"sync/atomic"
	"time"
)

// A Budget bounds what all connections of a process together hold for other sides. Its methods may be called concurrently.
type Budget struct {
	Limit int64 // bytes; above it windows of connections are opened only as what is held passes on
	used  atomic.Int64
}

// Held returns how many bytes are held now.
func (b *Budget) Held() int64 { return b.used.Load() }

// A bucket holds tokens that come back with time (the leaky bucket as a meter). Its zero value is full.
type bucket struct {
	spent float64
	last  time.Time
}

// take takes a token, and reports false if none is left.
func (b *bucket) take(now time.Time, burst, perSecond float64) bool {
	if elapsed := now.Sub(b.last); elapsed > 0 {
		b.spent = max(0, b.spent-perSecond*elapsed.Seconds())
		b.last = now
	}
	if b.spent++; b.spent > burst {
		return false
	}
	return true
}

// limits are what a peer may do that costs us more than it.
type limits struct {
	resets  bucket // streams that it reset, or made us reset
	replies bucket // PING and SETTINGS, which want an answer
	cheap   bucket // frames that move nothing: empty DATA, PRIORITY, WINDOW_UPDATE, of unknown types
}

func newLimits(now time.Time) limits {
	b := bucket{last: now}
	return limits{b, b, b}
}

// Rates, per connection. Those of resets and of cheap frames are nghttp2's.
const (
	resetBurst, resetRate = 1000, 33
	replyBurst, replyRate = 200, 20
	cheapBurst, cheapRate = 10000, 330
	cheapPerUseful        = 20        // cheap frames that one useful one makes up for
	maxSettings           = 32        // entries of one SETTINGS frame
	maxPieces             = 8         // CONTINUATION frames of one block, beside those that the limit of the header needs
	maxReplies            = 256 << 10 // bytes of output above which a peer that wants answers does not read them
)

// useful gives back what cheap frames took: a peer that moves data updates windows. mu is held.
func (c *Conn) useful() {
	c.limits.cheap.spent = max(0, c.limits.cheap.spent-cheapPerUseful)
}

// countCheap counts a frame that moves nothing. mu is held.
func (c *Conn) countCheap() error {
	if !c.limits.cheap.take(c.now, cheapBurst, cheapRate) {
		return c.fail(EnhanceYourCalm, "too many frames that move nothing")
	}
	return nil
}

// countReply counts a frame that wants an answer. mu is held.
func (c *Conn) countReply() error {
	if !c.limits.replies.take(c.now, replyBurst, replyRate) || len(c.out) > maxReplies {
		return c.fail(EnhanceYourCalm, "too many frames that want an answer")
	}
	return nil
}

// countReset counts a stream that the peer reset or made us reset. mu is held.
func (c *Conn) countReset() error {
	if c.cfg.Client {
		return nil
	}
	if !c.limits.resets.take(c.now, resetBurst, resetRate) {
		return c.fail(EnhanceYourCalm, "too many streams reset")
	}
	return nil
}
