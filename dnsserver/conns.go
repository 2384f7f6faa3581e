package dnsserver

import (
	"container/list"
	"net/netip"
	"sync"
	"sync/atomic"
)

// conns are the open connections, within the limits of a TCPConfig. All methods may be called concurrently.
type conns struct {
	limits TCPConfig

	mu       sync.Mutex
	byUse    list.List // of *conn, the one idle for longest first
	places   map[*conn]*list.Element
	byClient map[netip.Addr]int

	rejected [numRejections]atomic.Uint64
}

// A rejection is a reason for not serving a connection, or no longer.
type rejection uint8

const (
	rejectClient  rejection = iota // its client has its share
	rejectEvicted                  // it was idle for longest when a new one needed a place
	rejectAccept                   // the operating system would not hand it over
	numRejections
)

var rejectionLabels = [numRejections]string{"client", "evicted", "accept"}

func newConns(limits TCPConfig) *conns {
	return &conns{limits: limits, places: map[*conn]*list.Element{}, byClient: map[netip.Addr]int{}}
}

// admit takes a connection in and reports whether it may stay. A client that has its share is refused; when all places are taken,
// the connection that has been idle for longest is closed for the new one, as RFC 7766 6.2.3 has servers do under load.
func (cs *conns) admit(c *conn) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	client := clientOf(c)
	if cs.byClient[client] >= cs.limits.PerClient {
		cs.rejected[rejectClient].Add(1)
		return false
	}
	if cs.byUse.Len() >= cs.limits.Connections {
		oldest := cs.byUse.Front().Value.(*conn)
		cs.drop(oldest)
		cs.rejected[rejectEvicted].Add(1)
		_ = oldest.Close() // its goroutine sees that and ends
	}
	cs.places[c] = cs.byUse.PushBack(c)
	cs.byClient[client]++
	return true
}

// touch notes that a connection is in use.
func (cs *conns) touch(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if e := cs.places[c]; e != nil {
		cs.byUse.MoveToBack(e)
	}
}

// remove forgets a connection.
func (cs *conns) remove(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.drop(c)
}

func (cs *conns) drop(c *conn) {
	e := cs.places[c]
	if e == nil {
		return
	}
	cs.byUse.Remove(e)
	delete(cs.places, c)
	client := clientOf(c)
	if cs.byClient[client]--; cs.byClient[client] == 0 {
		delete(cs.byClient, client)
	}
}

// len returns the number of connections.
func (cs *conns) len() int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.byUse.Len()
}

// clientOf returns whom a connection counts for: an IPv4 address, or an IPv6 /64, which is what one customer has at the least.
func clientOf(c *conn) netip.Addr {
	addr := c.from.Addr()
	if addr.Is4() {
		return addr
	}
	p, _ := addr.Prefix(64) // 64 fits an IPv6 address
	return p.Addr()
}
