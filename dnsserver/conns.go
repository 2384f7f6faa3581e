package dnsserver

import (
	"container/list"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// conns are the open connections, within the limits of a TCPConfig. All methods may be called concurrently.
type conns struct {
	limits TCPConfig

	mu       sync.Mutex
	byUse    list.List // of *conn, the one idle for longest first
	byClient map[netip.Addr]int
	until    time.Time // the last moment to read and to write; zero until the end is asked for

	ending   atomic.Bool
	rejected [numRejections]atomic.Uint64
}

// A place is where conns keep a connection. It is theirs alone.
type place struct {
	client netip.Addr    // whom it counts for; not valid: nobody
	use    *list.Element // nil: not kept, or no longer
}

// A rejection is a reason for not serving a connection, or no longer.
type rejection uint8

const (
	rejectClient  rejection = iota // its client has its share
	rejectEvicted                  // it was idle for longest when a new one needed its place or file
	rejectAccept                   // the operating system would not hand it over
	rejectProxy                    // it is from a proxy, and does not begin with a good header
	numRejections
)

var rejectionLabels = [numRejections]string{"client", "evicted", "accept", "proxy"}

func newConns(limits TCPConfig) *conns {
	return &conns{limits: limits, byClient: map[netip.Addr]int{}}
}

// admit takes a connection in and reports whether it may stay. A client that has its share is refused; when all places are taken,
// the connection that has been idle for longest is closed for the new one, as RFC 7766 6.2.3 has servers do under load. One that
// sends a query a byte at a time has been idle since its last complete one.
func (cs *conns) admit(c *conn) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if !cs.take(c) {
		return false
	}
	if cs.byUse.Len() >= cs.limits.Connections {
		cs.evict()
	}
	c.place.use = cs.byUse.PushBack(c)
	if !cs.until.IsZero() { // accepted at the last moment
		c.endAt(cs.until)
	}
	return true
}

// relieve makes room for a connection that the process has no file for: the limit is lower than it was meant to be.
func (cs *conns) relieve() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.byUse.Len() > 0 {
		cs.evict()
	}
}

// evict closes the connection that has been idle for longest. There is one, and conns are locked.
func (cs *conns) evict() {
	oldest := cs.byUse.Front().Value.(*conn)
	cs.drop(oldest)
	cs.rejected[rejectEvicted].Add(1)
	_ = oldest.Close() // its goroutine sees that and ends
}

// take counts a connection for its client, and reports whether that one may have it. A proxy has many clients: its connections count
// for nobody until it is known for whom they are.
func (cs *conns) take(c *conn) bool {
	if c.proxied {
		return true
	}
	client := clientOf(c.from.Addr())
	if cs.byClient[client] >= cs.limits.PerClient {
		cs.rejected[rejectClient].Add(1)
		return false
	}
	cs.byClient[client]++
	c.place.client = client
	return true
}

// move counts a connection for the client that it turned out to be of, c.from, and reports whether it may stay.
func (cs *conns) move(c *conn) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c.place.use == nil { // evicted meanwhile
		return false
	}
	cs.giveBack(c)
	if !cs.take(c) {
		cs.byUse.Remove(c.place.use)
		c.place = place{}
		return false
	}
	return true
}

// touch notes that a connection is in use.
func (cs *conns) touch(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c.place.use != nil {
		cs.byUse.MoveToBack(c.place.use)
	}
}

// remove forgets a connection.
func (cs *conns) remove(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.drop(c)
}

func (cs *conns) drop(c *conn) {
	if c.place.use == nil {
		return
	}
	cs.byUse.Remove(c.place.use)
	cs.giveBack(c)
	c.place = place{}
}

func (cs *conns) giveBack(c *conn) {
	client := c.place.client
	if !client.IsValid() {
		return
	}
	if cs.byClient[client]--; cs.byClient[client] == 0 {
		delete(cs.byClient, client)
	}
}

// end gives all connections, and those to come, tcpGrace to end.
func (cs *conns) end() {
	cs.ending.Store(true)
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if !cs.until.IsZero() {
		return
	}
	cs.until = time.Now().Add(tcpGrace)
	for e := cs.byUse.Front(); e != nil; e = e.Next() {
		e.Value.(*conn).endAt(cs.until)
	}
}

// keepalive returns how long a client may leave its connection idle, in units of 100 ms (RFC 7828 3.1): 0 when the end was asked
// for, which has the client close it.
func (cs *conns) keepalive() uint16 {
	if cs.ending.Load() {
		return 0
	}
	return uint16(min(cs.limits.Idle/(100*time.Millisecond), 1<<16-1))
}

// len returns the number of connections.
func (cs *conns) len() int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.byUse.Len()
}

// clientOf returns whom a connection from an address counts for: that IPv4 address, or the IPv6 /64, which is what one customer has
// at the least.
func clientOf(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return addr
	}
	p, _ := addr.Prefix(64) // 64 fits an IPv6 address
	return p.Addr()
}
