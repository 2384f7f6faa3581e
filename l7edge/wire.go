package l7edge

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A wire is a TCP connection of the HTTP/2 engine. It never makes who writes wait, holds no buffer while nothing comes, and says when
// all that has come has been read. One goroutine reads, and one at a time sends.
type wire struct {
	tcp  *net.TCPConn
	raw  syscall.RawConn
	idle func() // called before a read that may wait for the peer

	// Of the reading goroutine.
	buf    *[readSize]byte // nil: none
	unread []byte          // in buf
	more   bool            // the last read filled buf, so there is more
	fd     wireFD

	// Of the sending goroutine.
	sending []byte
	buffer  *outBuf // the memory of sending, if it came from out

	mu  sync.Mutex
	out *outBuf // to be sent; nil: nothing
}

// An outBuf is output that TLS has made.
type outBuf struct{ b []byte }

var outBufs = sync.Pool{New: func() any { return new(outBuf) }}

// maxOutBuf is the most that the memory of an outBuf may have to be used again, in bytes.
const maxOutBuf = 256 << 10

// readSize is what is read at once, in bytes.
const readSize = 64 << 10

var readBufs = sync.Pool{New: func() any { return new([readSize]byte) }}

// stall is how long a peer may take none of what is sent.
const stall = 30 * time.Second

// newWire returns a wire over a connection. idle is called in the reading goroutine.
func newWire(c *net.TCPConn, idle func()) (*wire, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &wire{tcp: c, raw: raw, idle: idle}
	w.fd.init(w)
	return w, nil
}

// next returns the next bytes that came, valid until it is called again.
func (w *wire) next() ([]byte, error) {
	if err := w.fill(); err != nil {
		return nil, err
	}
	p := w.unread
	w.unread = nil
	return p, nil
}

// Read implements io.Reader, for TLS.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.unread) == 0 {
		if err := w.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.unread)
	w.unread = w.unread[n:]
	return n, nil
}

// fill waits for bytes.
func (w *wire) fill() error {
	if !w.more {
		w.idle()
	}
	if w.buf != nil {
		readBufs.Put(w.buf)
		w.buf = nil
	}
	n, err := w.fd.read()
	if err != nil {
		return err
	}
	w.unread, w.more = w.buf[:n], n == readSize
	return nil
}

// Write implements io.Writer, for TLS: what it is given is sent with the next send.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.out == nil {
		w.out = outBufs.Get().(*outBuf)
	}
	w.out.b = append(w.out.b, p...)
	return len(p), nil
}

// send sends p, if there is any, and what Write was given. Unless it may wait it sends what the system takes at once; it returns false if
// that was not all, and is called again, without p.
func (w *wire) send(p []byte, wait bool) (done bool, err error) {
	if len(p) > 0 {
		w.sending = p
	}
	for {
		for len(w.sending) > 0 {
			var n int
			if wait {
				n, err = w.push()
			} else {
				n, err = w.fd.write(w.sending)
			}
			w.sending = w.sending[n:]
			if err != nil {
				return false, err
			}
			if !wait && len(w.sending) > 0 {
				return false, nil
			}
		}
		if b := w.buffer; b != nil {
			w.buffer = nil
			if cap(b.b) <= maxOutBuf {
				b.b = b.b[:0]
				outBufs.Put(b)
			}
		}
		w.mu.Lock()
		w.buffer, w.out = w.out, nil
		w.mu.Unlock()
		if w.buffer == nil {
			return true, nil
		}
		w.sending = w.buffer.b
	}
}

// push waits until the system has taken all, or none for too long.
func (w *wire) push() (n int, err error) {
	if err := w.tcp.SetWriteDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	n, err = w.tcp.Write(w.sending)
	_ = w.tcp.SetWriteDeadline(time.Time{}) // it fails on a closed connection only
	if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return n, err
}
