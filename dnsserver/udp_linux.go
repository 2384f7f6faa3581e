package dnsserver

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batch      = maxBatch              // messages for one system call
	inSize     = 4096                  // of the largest query that is read whole; what is cut off makes it malformed
	inStride   = inSize + 64           // between buffers, so that their beginnings do not all compete for one set of the processor's cache
	outSlack   = 1024                  // room beyond the largest response, for the record that does not fit
	controlLen = 64                    // room for one PKTINFO control message
	drainTime  = time.Second           // in which what waits is answered after the end was asked for: many times what a full socket takes
	lateTime   = 25 * time.Millisecond // many times what a message is on its way within the kernel
	turnTime   = 4 * time.Millisecond  // a worker runs on before it gives way: safely less than the 10 ms after which the Go scheduler makes it
)

// A udpWorker is one socket and the goroutine that serves it: a batch in, its answers, a batch out. It sleeps in the system call that
// receives, not in the Go runtime's poller: waking up costs one switch of threads instead of a walk through the scheduler.
type udpWorker struct {
	file     *os.File // the socket; it blocks, and no poller knows it
	fd       uintptr  // of file, while run runs
	addr     netip.AddrPort
	group    *udpGroup
	place    int // in the group
	answerer *Answerer
	udpSize  int
	single   bool // the system has no batches
	ending   atomic.Bool
	load     load
	start    time.Time // of the batch at hand
	turn     time.Time // when it last gave way
	work     work
	drops    drops

	recv, send       [batch]mmsghdr
	recvIov, sendIov [batch]unix.Iovec
	names            [batch]unix.RawSockaddrInet6 // IPv4 fits as well
	control          [batch][controlLen]byte
	in               [batch][inStride]byte
	answers          [batch][]byte
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

func newUDPWorker(g *udpGroup, place int, file *os.File, a *Answerer, udpSize int) *udpWorker {
	w := &udpWorker{file: file, addr: g.addr, group: g, place: place, answerer: a, udpSize: udpSize}
	a.Now, a.batch = func() int64 { return w.start.Unix() }, make([]message, batch)
	for i := range batch {
		w.answers[i] = make([]byte, 0, udpSize+outSlack)
		w.recvIov[i].Base = &w.in[i][0]
		w.recvIov[i].SetLen(inSize)
		h := &w.recv[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&w.names[i]))
		h.Iov, h.Iovlen = &w.recvIov[i], 1
		h.Control = &w.control[i][0]
		w.rearm(i)
		w.send[i].hdr.Iov, w.send[i].hdr.Iovlen = &w.sendIov[i], 1
	}
	return w
}

func (w *udpWorker) close() { _ = w.file.Close() }

// rearm resets what the kernel changed in a header that received a message.
func (w *udpWorker) rearm(i int) {
	h := &w.recv[i].hdr
	h.Namelen = unix.SizeofSockaddrInet6
	h.SetControllen(controlLen)
	h.Flags = 0
}

// run serves until ctx ends, then answers what waits in the socket and closes it.
func (w *udpWorker) run(ctx context.Context) error {
	defer w.close()
	rc, err := w.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("dnsserver: %w", err)
	}
	if err := rc.Control(func(fd uintptr) { w.fd = fd }); err != nil {
		return fmt.Errorf("dnsserver: %w", err)
	}
	stop := context.AfterFunc(ctx, func() {
		w.ending.Store(true)
		_ = rc.Control(wake)
	})
	defer stop()
	for {
		w.giveWay()
		n, err := w.receive()
		switch {
		case w.ending.Load():
			w.serve(n)
			w.drain()
			return nil
		case err == unix.EAGAIN: // nothing came for idleTime
			w.start = time.Now()
			w.answerer.renew()
			w.load.idle(w)
		case !w.single && (err == unix.ENOSYS || err == unix.EPERM): // an old one, or a sandbox
			w.single = true
		case err == unix.EINTR || err == unix.ENOMEM || err == unix.ENOBUFS || err == unix.ECONNREFUSED:
			// of this call alone
		case err != 0:
			return fmt.Errorf("dnsserver: receive on %s: %w", w.addr, os.NewSyscallError("recvmmsg", err))
		default:
			w.serve(n)
			w.load.batch(w, n)
		}
	}
}

// giveWay lets other goroutines run, once in turnTime. It is not for their sake: the Go scheduler's monitor, which finds a goroutine that
// has run for 10 ms, wakes up every 20 µs from then on to take its processor away, and so a worker under load would cost a tenth more.
func (w *udpWorker) giveWay() {
	if w.start.Sub(w.turn) >= turnTime {
		w.turn = w.start
		w.work.leave()
		runtime.Gosched()
		w.work.enter()
	}
}

// wake makes a call that waits for messages return: at the end of reading, which a UDP socket has no other use for. Messages still
// come in and can be received.
func wake(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RD) }

// drain shuts the socket to newcomers and answers what was received before. A query that comes later is refused by the kernel, so
// that its sender knows at once; without that, one that came between the last read and the close would be lost without a word. The
// last look is a little later: another processor may have found the socket while it was open, and not have put its message in yet.
func (w *udpWorker) drain() {
	w.group.end()
	refuseNewcomers(w.fd)
	w.answerWaiting()
	time.Sleep(lateTime)
	w.answerWaiting()
}

// answerWaiting answers what waits in the socket, for drainTime at most.
func (w *udpWorker) answerWaiting() {
	for end := time.Now().Add(drainTime); time.Now().Before(end); {
		n, e := w.receiveNow()
		if e != 0 || n == 0 {
			return // nothing waits any more, or nothing can be read
		}
		w.serve(n)
	}
}

// refuseNewcomers connects a UDP socket to its own address. From then on the kernel takes messages for it from there alone, and
// nobody else is there; what already waits stays, and answers still go where each is sent.
func refuseNewcomers(fd uintptr) {
	self, err := unix.Getsockname(int(fd))
	if err == nil {
		_ = unix.Connect(int(fd), self) // at worst, newcomers go unanswered
	}
}

// serve answers the first n messages and sends the answers.
func (w *udpWorker) serve(n int) {
	if n == 0 {
		return
	}
	w.start = time.Now()
	w.answerer.begin()
	answers := 0
	for i := range n {
		w.answerer.read(i, w.in[i][:w.recv[i].len], addrPort(&w.names[i]))
	}
	w.answerer.prepare(n)
	for i := range n {
		r := &w.recv[i]
		out := w.answerer.reply(i, w.answers[i][:0], w.udpSize)
		if len(out) > 0 {
			w.answers[i] = out
			w.sendIov[answers].Base = &out[0]
			w.sendIov[answers].SetLen(len(out))
			h := &w.send[answers].hdr
			h.Name, h.Namelen = r.hdr.Name, r.hdr.Namelen
			w.keepSource(i)
			h.Control, h.Controllen = r.hdr.Control, r.hdr.Controllen
			answers++
		}
	}
	w.answerer.end()
	w.transmit(answers)
	for i := range n {
		w.rearm(i)
	}
	w.answerer.took(n, time.Since(w.start))
}

// keepSource makes the control data of message i what a response needs to leave from the address that the message was sent to: the
// PKTINFO it came with, if the socket serves more than one address. The interface is left to routing, as for any packet, except
// where an address means nothing without it.
func (w *udpWorker) keepSource(i int) {
	if w.recv[i].hdr.Controllen < unix.SizeofCmsghdr {
		return
	}
	c := (*unix.Cmsghdr)(unsafe.Pointer(&w.control[i]))
	data := unsafe.Pointer(&w.control[i][unix.CmsgLen(0)])
	switch {
	case c.Level == unix.IPPROTO_IP && c.Type == unix.IP_PKTINFO:
		(*unix.Inet4Pktinfo)(data).Ifindex = 0
	case c.Level == unix.IPPROTO_IPV6 && c.Type == unix.IPV6_PKTINFO:
		if p := (*unix.Inet6Pktinfo)(data); p.Addr[0] != 0xfe || p.Addr[1]&0xc0 != 0x80 {
			p.Ifindex = 0
		}
	}
}

// addrPort returns what a socket address says, without the zone: responses go to the socket address itself.
func addrPort(sa *unix.RawSockaddrInet6) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:])
	if sa.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), port)
}
