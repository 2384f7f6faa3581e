package l7edge

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meridian-gslb/meridian/l7edge/h2"
	"github.com/meridian-gslb/meridian/l7edge/h2/hpack"
)

// A leg is one HTTP/2 connection with its socket: a front, of a client, or a back, to an endpoint.
//
// One goroutine reads, and does all that comes of what it has read, on this leg and on others; before it waits for more it writes to every
// leg that it touched. Whoever writes to a leg does so without waiting. What the socket does not take is left to a goroutine that waits,
// and while there is one, nobody else writes.
type leg struct {
	*h2.Conn
	engine *engine
	wire   *wire
	tls    *tls.Conn // nil: none
	batch  batch     // of the reading goroutine

	pool     *pool       // of a back; nil: a front
	settled  atomic.Bool // the endpoint's SETTINGS have come
	greeting *time.Timer // ends the connection if they do not

	client  netip.Addr // of a front
	from    string     // the same as text
	state   tls.ConnectionState
	base    context.Context // of requests that net/http carries
	bridges sync.WaitGroup  // the goroutines of those

	touched atomic.Bool   // in a batch
	writing atomic.Int32  // the write constants
	leaving atomic.Bool   // no more streams are begun: it ends when those that are open have
	ended   atomic.Bool   // nothing more is sent
	drained chan struct{} // gets a value when output has been sent

	used atomic.Int64 // when a stream last began or ended, in Unix nanoseconds

	mu       sync.Mutex
	timer    *time.Timer
	wake     time.Time // when timer fires; zero: not
	passages passages  // of a front
}

// States of leg.writing.
const (
	writeIdle  int32 = iota
	writeBusy        // somebody writes
	writeAgain       // somebody writes, and has to look again
)

// A batch is what one goroutine has touched and not yet written.
type batch struct {
	now    time.Time
	dirty  []*leg
	full   bool          // output is full: write soon
	fields []hpack.Field // scratch
	event  events
}

// touch notes that a leg has output.
func (b *batch) touch(l *leg) {
	if !l.touched.Load() && !l.touched.Swap(true) {
		b.dirty = append(b.dirty, l)
	}
}

// flush writes to all legs touched. No passage is locked.
func (b *batch) flush() {
	b.full = false
	for i := 0; i < len(b.dirty); i++ {
		l := b.dirty[i]
		l.touched.Store(false)
		l.write(b)
	}
	clear(b.dirty)
	b.dirty = b.dirty[:0]
}

// newLeg returns a leg over a connection. Its last user calls serve.
func (e *engine) newLeg(c *net.TCPConn, cfg h2.Config) (*leg, error) {
	l := &leg{engine: e, drained: make(chan struct{}, 1)}
	l.batch.now = time.Now()
	l.used.Store(l.batch.now.UnixNano())
	var err error
	if l.wire, err = newWire(c, l.settle); err != nil {
		return nil, err
	}
	l.Conn = h2.New(cfg, &events{l, &l.batch}, l.batch.now)
	l.timer = time.AfterFunc(time.Hour, l.tick)
	l.timer.Stop()
	return l, nil
}

// maxBacklog is how much output may wait for a client before no more is read from it, in bytes.
const maxBacklog = 256 << 10

// settle writes what the reading goroutine has touched, before it waits.
func (l *leg) settle() {
	if len(l.batch.dirty) > 0 {
		runtime.Gosched() // others that have something to say to the same legs say it first, and it goes out in one write
	}
	l.batch.touch(l)
	l.batch.flush()
	if l.pool != nil {
		return // what waits for an endpoint is bounded by its streams, and to stop reading could stop it, too
	}
	for l.writing.Load() != writeIdle && !l.ended.Load() && l.Backlog() > maxBacklog {
		<-l.drained
	}
}

// serve reads until the connection ends.
func (l *leg) serve() {
	l.schedule(l.batch.now)
	err := l.read()
	l.settle()
	if err == nil {
		l.finish()
	}
	l.ended.Store(true)
	l.Conn.Close()
	l.batch.flush()
	l.mu.Lock()
	l.timer.Stop() // and schedule does not start it again
	l.mu.Unlock()
	l.wire.tcp.Close() // its error is that of a connection that is gone already
}

// read takes what comes until the connection ends: with an error if the socket did, and with none if the protocol did.
func (l *leg) read() error {
	var plain []byte
	if l.tls != nil {
		plain = make([]byte, plainSize)
	}
	for {
		p := plain
		if l.tls == nil {
			var err error
			if p, err = l.wire.next(); err != nil {
				return err
			}
		} else {
			n, err := l.tls.Read(plain)
			if err != nil {
				return err
			}
			p = plain[:n]
		}
		l.batch.now = time.Now()
		if l.Receive(l.batch.now, p) != nil || l.leaving.Load() && l.Done() {
			return nil
		}
	}
}

// plainSize is what is taken of a TLS record at once, in bytes.
const plainSize = 4 << 10

// farewell is how long a peer may take to close its side, so that what was sent last is not lost to a reset.
const farewell = time.Second

// finish waits until all is sent and the peer has closed its side, but not for long.
func (l *leg) finish() {
	deadline := time.NewTimer(stall)
	defer deadline.Stop()
	for l.writing.Load() != writeIdle && !l.ended.Load() {
		select {
		case <-l.drained:
		case <-deadline.C:
			return
		}
	}
	if l.ended.Load() {
		return
	}
	if l.tls != nil {
		_ = l.tls.CloseWrite() // into the wire, which cannot fail
		l.write(&l.batch)
	}
	if l.wire.tcp.CloseWrite() != nil || l.wire.tcp.SetReadDeadline(time.Now().Add(farewell)) != nil {
		return
	}
	for {
		if _, err := l.wire.fd.read(); err != nil {
			return
		}
	}
}

// write sends what there is, as far as the socket takes it. No passage is locked.
func (l *leg) write(b *batch) {
	for !l.writing.CompareAndSwap(writeIdle, writeBusy) {
		if l.writing.CompareAndSwap(writeBusy, writeAgain) || l.writing.Load() == writeAgain {
			return
		}
	}
	l.push(b, nil, false)
}

// push sends p and then all there is. It is the writing goroutine's.
func (l *leg) push(b *batch, p *h2.Buf, wait bool) {
	var out []byte
	for {
		if p != nil {
			if l.tls == nil {
				out = p.B
			} else if _, err := l.tls.Write(p.B); err != nil {
				l.broken()
				return
			}
		}
		done, err := l.wire.send(out, wait)
		if err != nil {
			l.broken()
			return
		}
		if !done {
			l.delegate(p)
			return
		}
		if p != nil {
			p.Put()
		}
		out = nil
		if wait {
			l.signal()
			b.now = time.Now()
			b.flush()
		}
		b.event = events{l, b}
		if p = l.Take(&b.event); p != nil {
			continue
		}
		if l.writing.CompareAndSwap(writeBusy, writeIdle) {
			break
		}
		l.writing.Store(writeBusy)
	}
	l.signal()
	if l.leaving.Load() && l.Done() {
		_ = l.wire.tcp.SetReadDeadline(time.Unix(1, 0)) // wakes the reading goroutine; if it fails that has ended
	}
}

// delegate leaves writing to a goroutine that may wait. p is what was being sent.
func (l *leg) delegate(p *h2.Buf) { l.engine.wg.Go(func() { l.help(p) }) }

// help sends what the socket did not take, and all that comes after it, waiting as it must. p is what was being sent.
func (l *leg) help(p *h2.Buf) {
	var b batch
	if done, err := l.wire.send(nil, true); err != nil || !done {
		l.broken()
		return
	}
	if p != nil {
		p.Put()
	}
	l.push(&b, nil, true)
	b.flush()
}

// broken ends a leg that cannot be written to; the reading goroutine cleans up.
func (l *leg) broken() {
	l.ended.Store(true)
	l.signal()
	l.wire.tcp.Close()
}

// signal wakes the reading goroutine if it waits for output to be sent.
func (l *leg) signal() {
	select {
	case l.drained <- struct{}{}:
	default:
	}
}

// leave begins the end of a leg: no more streams, and when those that are open have ended, the connection does.
func (l *leg) leave(b *batch) {
	if l.leaving.Swap(true) {
		return
	}
	l.Shutdown(b.now)
	b.touch(l)
	l.schedule(b.now)
}

// schedule makes sure that tick is called at a time.
func (l *leg) schedule(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.scheduleLocked(at)
}

func (l *leg) scheduleLocked(at time.Time) {
	if at.IsZero() || l.ended.Load() || !l.wake.IsZero() && !at.Before(l.wake) {
		return
	}
	l.wake = at
	l.timer.Reset(time.Until(at))
}

// tick does what is due.
func (l *leg) tick() {
	b := batch{now: time.Now()}
	next, err := l.Tick(b.now)
	l.mu.Lock()
	if l.wake.After(b.now) { // rescheduled meanwhile
		l.mu.Unlock()
		return
	}
	l.wake = time.Time{}
	late := l.passages.late(b.now)
	l.mu.Unlock()
	for _, t := range late {
		t.expire(&b)
	}
	if idle := l.idleFor(b.now); idle <= 0 {
		l.leave(&b)
	} else {
		l.schedule(b.now.Add(idle))
	}
	b.touch(l)
	b.flush()
	if err != nil {
		l.wire.tcp.Close()
		return
	}
	l.schedule(next)
	l.mu.Lock()
	l.scheduleLocked(l.passages.soonest())
	l.mu.Unlock()
}

// idleFor returns how long the leg may still be without streams; one that has some, or leaves already, for a long time.
func (l *leg) idleFor(now time.Time) time.Duration {
	most := l.engine.carrier.cfg.IdleTimeout
	if l.pool != nil {
		most = idleUpstream
	}
	if l.leaving.Load() || l.Streams() > 0 {
		return most
	}
	return most - now.Sub(time.Unix(0, l.used.Load()))
}
