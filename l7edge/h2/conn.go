// Package h2 is an HTTP/2 connection (RFC 9113) without a socket: bytes and time go in, bytes and events come out.
//
// A Conn never blocks, starts no goroutine and reads no clock. What arrives is given to Receive, which calls the Handler for what it
// means; what is to be sent is collected, and Take returns it. Everything that the order of bytes decides, ids of streams, the tables of
// header compression and the order of frames, is decided in one place: where a frame is appended to the output.
//
// Data that the peer's windows, or a full output, do not let pass waits in its stream. Who sent it gets credit only when it has passed,
// so no more of it waits than the windows that this side opened.
package h2

import (
	"sync"
	"time"

	"github.com/meridian-gslb/meridian/l7edge/h2/hpack"
)

// A Config is what a Conn can be told. It does not change afterwards.
type Config struct {
	Client         bool          // this side opened the connection and sends the requests
	SawPreface     bool          // the client's preface has been read already; servers only
	Patience       time.Duration // for which the peer may take to send a header, once begun; 0: for ever
	Silence        time.Duration // after which a peer with open streams is asked whether it is there; 0: never
	MaxStreams     int           // at once: what a server allows, or what a client uses at most if the server allows more
	StreamWindow   int           // bytes that the peer may send ahead on a stream
	ConnWindow     int           // bytes that the peer may send ahead on the connection; at least 65535
	MaxHeld        int           // bytes that may wait for the other side before the connection's window closes
	MaxHeaderBytes int           // of a header as RFC 9113 6.5.2 counts; a larger one is delivered without its fields
	Budget         *Budget       // shared with other connections, or nil
}

// A Handler gets the events of a connection. Its methods are called by the goroutine in Receive, Take or Close, with no lock held, so they
// may call the Conn and others. Each names the stream by its memory and its id: the owner of the memory drops an
// event whose id is not the one it waits for, which is that of an earlier use.
type Handler interface {
	Accept() *Stream                                     // memory for a new stream; servers only
	Header(s *Stream, id uint32, h *Header)              // the header of a request, or of a response, 1xx too
	Data(s *Stream, id uint32, p []byte, end bool)       // p is valid until it returns; the bytes are given back with Credit
	Trailer(s *Stream, id uint32, fields []hpack.Field)  // the end of the message; fields are valid until it returns
	Reset(s *Stream, id uint32, code ErrCode, why Cause) // the stream is over, both ways
	Sent(s *Stream, id uint32, n int, end bool)          // n bytes that waited have passed, and with end all there is
	Settled(streams int)                                 // the peer's SETTINGS have come; it allows so many streams
	Leaving(code ErrCode)                                // the peer takes no more streams
}

// A Cause says who ended a stream.
type Cause uint8

// The causes.
const (
	ByPeer      Cause = iota // RST_STREAM came
	Malformed                // the peer broke a rule, and has been sent RST_STREAM
	Unprocessed              // the peer did not and will not act on it: GOAWAY with a lower id
	Lost                     // the connection ended
)

// A Conn is one connection. Receive is called by one goroutine at a time; all other methods may be called at any time.
type Conn struct {
	cfg     Config
	handler Handler

	// Of the goroutine in Receive.
	preface int  // bytes of the client's preface that have come
	in      *Buf // the beginning of a frame whose rest has not come, or nil
	decoder *hpack.Decoder
	fields  []hpack.Field // scratch
	header  Header        // scratch
	block   []byte        // a header block that CONTINUATION goes on with
	blockOf head          // of the HEADERS that began it; stream 0: none
	pieces  int           // frames of the block
	greeted bool          // the peer's first SETTINGS have come
	slow    bool          // a header is on its way

	mu        sync.Mutex // guards all below
	now       time.Time
	out       []byte // frames to send
	buf       *Buf   // the memory of out; nil: none
	encoder   *hpack.Encoder
	streams   map[uint32]*Stream
	lastPeer  uint32 // greatest id the peer has opened
	skipped   uint32 // least id that it has left out just before; 0: none
	nextID    uint32 // of the next stream we open
	lingering int    // streams that the peer has reset and whose owner has not let go of
	ended     resets // streams that were reset, the latest

	sendWindow int64 // of the connection
	recvWindow int64
	owed       int    // received bytes for which the connection's window is still to be opened
	held       int    // received bytes that have not been given back
	ready      list   // streams that have data and a window
	notes      []note // for Handler.Sent

	peerStreams int       // SETTINGS_MAX_CONCURRENT_STREAMS
	peerWindow  int64     // SETTINGS_INITIAL_WINDOW_SIZE
	settingsDue time.Time // our SETTINGS must be acknowledged by then; zero: they are

	limits      limits
	closing     closing
	headerSince time.Time // when the header that is on its way began; zero: none is
	dead        *ConnError
}

// New returns a Conn whose output begins with its SETTINGS, and the preface if it is a client.
func New(cfg Config, h Handler, now time.Time) *Conn {
	c := &Conn{
		cfg: cfg, handler: h, now: now, decoder: hpack.NewDecoder(flawed), encoder: hpack.NewEncoder(), streams: make(map[uint32]*Stream),
		sendWindow: defaultWindow, recvWindow: int64(cfg.ConnWindow), peerStreams: defaultStreams, peerWindow: defaultWindow,
		nextID: 1, slow: !cfg.Client && !cfg.SawPreface, settingsDue: now.Add(settingsPatience), limits: newLimits(now),
	}
	if c.slow {
		c.headerSince = now
	}
	c.closing.heard = now
	if cfg.SawPreface {
		c.preface = len(Preface)
	}
	c.room()
	if cfg.Client {
		c.preface = len(Preface)
		c.out = append(c.out, Preface...)
	}
	c.appendSettings()
	if more := cfg.ConnWindow - defaultWindow; more > 0 {
		c.appendWindowUpdate(0, more)
	}
	return c
}

// defaultStreams is how many streams a client uses before it knows what the server allows.
const defaultStreams = 100

// settingsPatience is how long the peer may take to acknowledge SETTINGS.
const settingsPatience = 30 * time.Second

func (c *Conn) appendSettings() {
	n := len(c.out)
	c.out = appendHead(c.out, 0, frameSettings, 0, 0)
	if c.cfg.Client {
		c.out = appendSetting(c.out, settingEnablePush, 0)
	} else {
		c.out = appendSetting(c.out, settingMaxConcurrentStreams, uint32(c.cfg.MaxStreams))
	}
	c.out = appendSetting(c.out, settingInitialWindowSize, uint32(c.cfg.StreamWindow))
	c.out = appendSetting(c.out, settingMaxHeaderListSize, uint32(c.cfg.MaxHeaderBytes))
	c.out[n+2] = byte(len(c.out) - n - headLen)
}

func (c *Conn) appendWindowUpdate(stream uint32, n int) {
	c.out = appendUint32(appendHead(c.out, 4, frameWindowUpdate, 0, stream), uint32(n))
}

func (c *Conn) appendReset(stream uint32, code ErrCode) {
	c.out = appendUint32(appendHead(c.out, 4, frameRSTStream, 0, stream), uint32(code))
}

// fail ends the connection: the peer gets a GOAWAY, and nothing is accepted any more. mu is held.
func (c *Conn) fail(code ErrCode, why string) error {
	if c.dead == nil {
		c.dead = &ConnError{code, why}
		c.appendGoAway(c.lastPeer, code)
	}
	return c.dead
}

// Close ends what is left: every stream is reported as Lost. The driver calls it when the socket has ended, after the last Receive.
func (c *Conn) Close() {
	c.mu.Lock()
	if c.dead == nil {
		c.dead = &ConnError{NoError, "closed"}
	}
	left := make([]*Stream, 0, len(c.streams))
	ids := make([]uint32, 0, len(c.streams))
	for id, s := range c.streams {
		left, ids = append(left, s), append(ids, id)
	}
	for _, s := range left {
		c.remove(s)
	}
	c.notes = nil
	c.mu.Unlock()
	for i, s := range left {
		c.handler.Reset(s, ids[i], NoError, Lost)
	}
	if c.in != nil {
		chunks.Put(c.in)
		c.in = nil
	}
}

// Err returns why the connection has ended, or nil.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead == nil {
		return nil
	}
	return c.dead
}

// Take returns all that is to be sent, or nil. The driver sends it before what the next call returns, and puts it back. Data that waited
// for room moves up, which h is told: who takes need not be the goroutine that the Conn's own Handler belongs to.
func (c *Conn) Take(h Handler) *Buf {
	c.mu.Lock()
	b := c.buf
	if b == nil {
		c.mu.Unlock()
		return nil
	}
	b.B = c.out
	c.buf, c.out = nil, nil
	if len(b.B) == 0 {
		c.mu.Unlock()
		b.Put()
		return nil
	}
	if c.ready.first != nil {
		c.room()
		c.pump()
	}
	c.release(h)
	return b
}

// Backlog returns how many bytes wait to be taken.
func (c *Conn) Backlog() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out)
}

// Streams returns how many streams are open.
func (c *Conn) Streams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams)
}

// lock locks mu and makes room for output.
func (c *Conn) lock() {
	c.mu.Lock()
	c.room()
}

// room makes sure that out has memory. mu is held.
func (c *Conn) room() {
	if c.buf == nil {
		c.buf = outs.Get().(*Buf)
		c.out = c.buf.B[:0]
	}
}

// release unlocks mu and tells a handler what has passed meanwhile.
func (c *Conn) release(h Handler) {
	notes := c.notes
	c.notes = nil
	c.mu.Unlock()
	for _, n := range notes {
		h.Sent(n.stream, n.id, n.n, n.end)
	}
}

// A note is a call of Handler.Sent that is due.
type note struct {
	stream *Stream
	id     uint32
	n      int
	end    bool
}

// A Buf is a piece of output. Its memory is used again after Put.
type Buf struct{ B []byte }

// Two pools: output grows as it must, pieces of data that waits and of frames that come in pieces are of one size.
var (
	outs   = sync.Pool{New: func() any { return &Buf{make([]byte, 0, chunkSize)} }}
	chunks = sync.Pool{New: func() any { return &Buf{make([]byte, 0, chunkSize)} }}
)

// chunkSize is the room of a chunk, in bytes: a whole frame.
const chunkSize = headLen + maxFrame

// Put gives the memory back.
func (b *Buf) Put() {
	if cap(b.B) <= 2*maxOut {
		b.B = b.B[:0]
		outs.Put(b)
	}
}

func newChunk() *Buf {
	b := chunks.Get().(*Buf)
	b.B = b.B[:0]
	return b
}
