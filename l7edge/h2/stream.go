package h2

import "github.com/meridian-gslb/meridian/l7edge/h2/hpack"

// A Stream is one stream of a Conn. Its memory belongs to the owner, who hands it to Conn.Open or returns it from Handler.Accept, and may
// use it again when it has been told, or has said, that both directions have ended.
type Stream struct {
	Owner any // of the owner; does not change while the Stream is in use

	// Guarded by the Conn's mu.
	conn       *Conn // nil: not open
	id         uint32
	recvEnded  bool // END_STREAM has come
	sentEnded  bool // END_STREAM is in the output
	headerDone bool // the header has come, and that of a response is not of status 1xx
	bodiless   bool // a response that has no body, whatever its length says: to HEAD
	queueEnd   bool // END_STREAM follows the queue
	listed     bool // in Conn.ready
	next       *Stream
	recvWindow int64
	sendWindow int64
	owed       int           // received bytes for which the window is still to be opened
	length     int64         // what Content-Length says is to come; -1: unknown
	got        int64         // bytes of body that have come
	queue      []*Buf        // data that waits
	gone       int           // bytes of the first that have gone
	waiting    int           // bytes in queue that have not
	trailer    []hpack.Field // follows the queue; nil: none
}

// open makes the memory ready for a new use. mu of the Conn is held.
func (s *Stream) open(c *Conn, id uint32) {
	*s = Stream{Owner: s.Owner, conn: c, id: id, recvWindow: int64(c.cfg.StreamWindow), sendWindow: c.peerWindow, length: -1, queue: s.queue}
	c.streams[id] = s
}

// enqueue copies data that must wait.
func (s *Stream) enqueue(p []byte) {
	s.waiting += len(p)
	for len(p) > 0 {
		if n := len(s.queue); n == 0 || len(s.queue[n-1].B) == cap(s.queue[n-1].B) {
			s.queue = append(s.queue, newChunk())
		}
		last := s.queue[len(s.queue)-1]
		n := min(len(p), cap(last.B)-len(last.B))
		last.B = append(last.B, p[:n]...)
		p = p[n:]
	}
}

// chunk returns the first bytes that wait, at least one.
func (s *Stream) chunk() []byte { return s.queue[0].B[s.gone:] }

// dequeue drops bytes of the first chunk.
func (s *Stream) dequeue(n int) {
	s.waiting -= n
	s.gone += n
	if first := s.queue[0]; s.gone == len(first.B) {
		chunks.Put(first)
		s.queue = append(s.queue[:0], s.queue[1:]...)
		s.gone = 0
	}
}

// clear drops all that waits.
func (s *Stream) clear() {
	for i, b := range s.queue {
		chunks.Put(b)
		s.queue[i] = nil
	}
	s.queue, s.gone, s.waiting, s.trailer = s.queue[:0], 0, 0, nil
}

// has reports whether s is the stream with an id, and open. mu is held; the memory is not in use elsewhere, because it belongs to the caller.
func (c *Conn) has(s *Stream, id uint32) bool { return s.conn == c && s.id == id }

// finish removes a stream whose directions have both ended. mu is held.
func (c *Conn) finish(s *Stream) {
	if s.recvEnded && s.sentEnded {
		c.remove(s)
	}
}

// remove forgets a stream. mu is held.
func (c *Conn) remove(s *Stream) {
	if s.listed {
		c.ready.drop(s)
	}
	delete(c.streams, s.id)
	s.conn, s.id = nil, 0
	s.clear()
}

// ours reports whether an id is one that this side opens.
func (c *Conn) ours(id uint32) bool { return (id&1 == 1) == c.cfg.Client }

// idle reports whether an id has not been used yet. mu is held.
func (c *Conn) idle(id uint32) bool {
	if c.ours(id) {
		return id >= c.nextID
	}
	return id > c.lastPeer
}

// A list is streams, first in first out.
type list struct{ first, last *Stream }

func (l *list) push(s *Stream) {
	if s.listed {
		return
	}
	s.listed, s.next = true, nil
	if l.last == nil {
		l.first = s
	} else {
		l.last.next = s
	}
	l.last = s
}

func (l *list) pop() *Stream {
	s := l.first
	if l.first = s.next; l.first == nil {
		l.last = nil
	}
	s.listed, s.next = false, nil
	return s
}

// drop takes a stream out, wherever it stands.
func (l *list) drop(s *Stream) {
	var before *Stream
	for at := l.first; at != s; at = at.next {
		before = at
	}
	if before == nil {
		l.first = s.next
	} else {
		before.next = s.next
	}
	if l.last == s {
		l.last = before
	}
	s.listed, s.next = false, nil
}

// resets remembers the latest streams that were reset, and by whom: frames that were on their way when one was are no mistake.
type resets struct {
	ids  [64]uint32
	ours [64]bool
	n    int
}

func (r *resets) add(id uint32, ours bool) {
	r.ids[r.n%len(r.ids)], r.ours[r.n%len(r.ids)] = id, ours
	r.n++
}

// find reports whether a stream was reset, and by us. If there were many it does not know all, and says what is safe: by us.
func (r *resets) find(id uint32) (reset, ours bool) {
	for i, other := range r.ids {
		if other == id {
			return true, r.ours[i]
		}
	}
	many := r.n > len(r.ids)
	return many, many
}
