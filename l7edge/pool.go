package l7edge

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meridian-gslb/meridian/l7edge/upstream"
)

// pools are the HTTP/2 connections to endpoints, one pool for each address.
type pools struct {
	engine    *engine
	byAddress sync.Map // upstream.Address -> *pool
}

// A pool is the connections to one address. The first with room for a stream is taken, so that few are filled and writes are large; a
// stream that finds no room waits for some, or for another connection, one of which is made for as many streams as wait.
type pool struct {
	engine  *engine
	address upstream.Address
	queued  atomic.Int64 // len(waiting)

	mu      sync.Mutex
	legs    []*leg
	waiting []ticket // first in, first out
	dialing int      // connections being made, until their SETTINGS have come
	slots   int      // streams that a connection is thought to take
	closed  bool     // no more connections are made
	gone    bool     // another pool is made for the address when it is needed again
}

// A ticket is a passage that waits for a stream. It is void if the passage has taken another turn since.
type ticket struct {
	t    *passage
	turn uint64
}

// errBroken says that a connection ended before it could be used.
var errBroken = errors.New("l7edge: the endpoint does not speak HTTP/2")

// to returns the pool of an address.
func (p *pools) to(a upstream.Address) *pool {
	if v, ok := p.byAddress.Load(a); ok {
		return v.(*pool)
	}
	v, _ := p.byAddress.LoadOrStore(a, &pool{engine: p.engine, address: a, slots: maxBackStreams / 2})
	return v.(*pool)
}

// waiting returns how many passages wait for a stream.
func (p *pools) waiting() (n int64) {
	p.byAddress.Range(func(_, v any) bool {
		n += v.(*pool).queued.Load()
		return true
	})
	return n
}

// sweep lets connections end whose address the current Plan does not have.
func (p *pools) sweep(current *upstream.View) {
	b := batch{now: time.Now()}
	p.byAddress.Range(func(k, v any) bool {
		if current.Has(k.(upstream.Address)) {
			return true
		}
		old := v.(*pool)
		old.mu.Lock()
		legs := old.legs
		old.legs = nil
		if len(legs) == 0 && len(old.waiting) == 0 && old.dialing == 0 {
			old.gone = true
			p.byAddress.Delete(k)
		}
		old.mu.Unlock()
		for _, l := range legs {
			l.leave(&b)
		}
		return true
	})
	b.flush()
}

// close lets all connections end.
func (p *pools) close() {
	b := batch{now: time.Now()}
	p.byAddress.Range(func(_, v any) bool {
		old := v.(*pool)
		old.mu.Lock()
		old.closed = true
		legs := old.legs
		old.legs = nil
		old.mu.Unlock()
		for _, l := range legs {
			l.leave(&b)
		}
		return true
	})
	b.flush()
}

// begin opens a stream for a passage, or lets it wait for one. The passage is locked.
func (p *pool) begin(b *batch, t *passage) {
	if p.open(b, t) {
		t.opened(b)
		return
	}
	p.mu.Lock()
	gone := p.gone
	if !gone {
		p.waiting = append(p.waiting, ticket{t, t.turn})
		p.queued.Add(1)
		p.grow()
	}
	p.mu.Unlock()
	if gone {
		t.pool = p.engine.pools.to(p.address)
		t.pool.begin(b, t)
	}
}

// grow makes a connection if there are more waiting than those being made will take. mu is held.
func (p *pool) grow() {
	if p.closed || len(p.waiting) <= p.dialing*p.slots {
		return
	}
	p.dialing++
	p.engine.wg.Go(p.dial)
}

// open opens a stream for a passage if there is room. The passage is locked.
func (p *pool) open(b *batch, t *passage) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.legs {
		if id, ok := l.Open(&t.out, t.fields, !t.hasBody); ok {
			t.back, t.outID = l, id
			l.used.Store(b.now.UnixNano())
			b.touch(l)
			return true
		}
	}
	return false
}

// refill opens streams for those that wait, as far as there is room. No passage is locked.
func (p *pool) refill(b *batch) {
	for p.queued.Load() > 0 {
		next, ok := p.pop()
		if !ok {
			return
		}
		next.t.mu.Lock()
		void := next.t.turn != next.turn
		ok = void || p.open(b, next.t)
		if ok && !void {
			next.t.opened(b)
		}
		next.t.mu.Unlock()
		if !ok {
			p.mu.Lock()
			p.waiting = append([]ticket{next}, p.waiting...)
			p.queued.Add(1)
			p.grow()
			p.mu.Unlock()
			return
		}
	}
}

// pop takes the first ticket.
func (p *pool) pop() (next ticket, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		return next, false
	}
	next = p.waiting[0]
	p.waiting[0] = ticket{}
	p.waiting = p.waiting[1:]
	p.queued.Add(-1)
	return next, true
}

// dial makes a connection and serves it.
func (p *pool) dial() {
	e := p.engine
	c, err := upstream.Dial(e.ctx, p.address, e.carrier.cfg.ConnectTimeout)
	if err != nil {
		p.failed(err)
		return
	}
	l, err := e.newLeg(c, e.backConfig())
	if err != nil {
		c.Close()
		p.failed(errBroken)
		return
	}
	l.pool = p
	greeting := time.AfterFunc(e.carrier.cfg.ConnectTimeout, func() { l.wire.tcp.Close() })
	l.greeting = greeting
	l.serve()
	greeting.Stop()
	if !l.settled.Load() {
		p.failed(errBroken)
	}
	p.remove(l)
}

// settled takes a connection into use, or notes that it takes more or fewer streams than before.
func (p *pool) settled(b *batch, l *leg, streams int) {
	p.mu.Lock()
	p.slots = max(1, streams)
	closed := p.closed
	if !l.settled.Swap(true) {
		p.dialing--
		l.greeting.Stop()
		if !closed {
			p.legs = append(p.legs, l)
		}
	}
	p.mu.Unlock()
	if closed {
		l.leave(b)
	}
	p.refill(b)
}

// remove takes a connection out of use. Those that wait get another.
func (p *pool) remove(l *leg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.grow()
	for i, other := range p.legs {
		if other == l {
			p.legs = append(p.legs[:i:i], p.legs[i+1:]...)
			return
		}
	}
}

// failed fails those that wait if no connection is there or being made.
func (p *pool) failed(err error) {
	p.mu.Lock()
	p.dialing--
	var lost []ticket
	if len(p.legs) == 0 && p.dialing == 0 {
		lost, p.waiting = p.waiting, nil
		p.queued.Store(0)
	}
	p.mu.Unlock()
	b := batch{now: time.Now()}
	for _, l := range lost {
		l.t.mu.Lock()
		if l.t.turn == l.turn {
			l.t.unreached(&b, err)
		}
		l.t.mu.Unlock()
	}
	b.flush()
}
