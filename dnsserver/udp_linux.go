package dnsserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batch      = 32      // messages for one system call
	inSize     = 4096    // of the largest query that is read whole; what is cut off makes it malformed
	outSlack   = 1024    // room beyond the largest response, for the record that does not fit
	controlLen = 64      // room for one PKTINFO control message
	bufferSize = 4 << 20 // bytes that may wait in a socket while its worker is busy
	drainLimit = 256     // batches that are still answered after the end was asked for
	drainTime  = time.Second
)

// listenUDP returns one socket for each worker. The kernel spreads clients over them.
func listenUDP(addr netip.AddrPort, workers int) ([]*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		var err error
		if e := rc.Control(func(fd uintptr) { err = setUDPOptions(int(fd), addr.Addr()) }); e != nil {
			return e
		}
		return err
	}}
	var conns []*net.UDPConn
	for range workers {
		c, err := lc.ListenPacket(context.Background(), "udp"+familyDigit(addr), addr.String())
		if err != nil {
			return conns, err
		}
		conns = append(conns, c.(*net.UDPConn))
	}
	return conns, nil
}

// setUDPOptions asks for: a socket for each worker on one port; no belief in path MTUs, which a forger could lower to have responses
// fragmented; where every address of the machine is served, the one that each query was sent to, which must be the source of its
// response (RFC 2181 4); a long queue.
func setUDPOptions(fd int, addr netip.Addr) error {
	type option struct {
		name                 string
		level, option, value int
	}
	discover := option{"IPV6_MTU_DISCOVER", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT}
	info := option{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1}
	if addr.Is4() {
		discover = option{"IP_MTU_DISCOVER", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT}
		info = option{"IP_PKTINFO", unix.IPPROTO_IP, unix.IP_PKTINFO, 1}
	}
	options := []option{{"SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1}, discover}
	if addr.IsUnspecified() { // else the socket's own address is the source, and looking it up for each packet is waste
		options = append(options, info)
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.option, o.value); err != nil {
			return fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferSize) != nil { // beyond net.core.rmem_max, if we may
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bufferSize) // as far as it; shorter is no error
	}
	return nil
}

// A udpWorker is one socket and the goroutine that serves it: a batch in, its answers, a batch out.
type udpWorker struct {
	conn     *net.UDPConn
	answerer *Answerer
	udpSize  int

	recv, send       [batch]mmsghdr
	recvIov, sendIov [batch]unix.Iovec
	names            [batch]unix.RawSockaddrInet6 // IPv4 fits as well
	control          [batch][controlLen]byte
	in               [batch][inSize]byte
	answers          [batch][]byte
	out              outgoing
}

// outgoing is how far a batch of answers has been sent.
type outgoing struct {
	sent, total int
	done        int // by the last call
	err         syscall.Errno
	write       func(fd uintptr) bool // sendNow, made once
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

func newUDPWorker(conn *net.UDPConn, a *Answerer, udpSize int) *udpWorker {
	w := &udpWorker{conn: conn, answerer: a, udpSize: udpSize}
	w.out.write = w.sendNow
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

// rearm resets what the kernel changed in a header that received a message.
func (w *udpWorker) rearm(i int) {
	h := &w.recv[i].hdr
	h.Namelen = unix.SizeofSockaddrInet6
	h.SetControllen(controlLen)
	h.Flags = 0
}

// run serves until ctx ends, then answers what waits in the socket and closes it.
func (w *udpWorker) run(ctx context.Context) error {
	defer w.conn.Close()
	rc, err := w.conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("dnsserver: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { // wakes a read that waits; a write that is stuck must end too
		_ = w.conn.SetReadDeadline(time.Unix(1, 0))
		_ = w.conn.SetWriteDeadline(time.Now().Add(drainTime))
	})
	defer stop()

	var n int
	receive := func(fd uintptr) bool {
		n, err = w.receive(fd)
		return err != unix.EAGAIN
	}
	for {
		waitErr := rc.Read(receive)
		switch {
		case errors.Is(waitErr, os.ErrDeadlineExceeded):
			return w.drain(rc)
		case waitErr != nil:
			return fmt.Errorf("dnsserver: receive on %s: %w", w.conn.LocalAddr(), waitErr)
		case err == unix.EINTR || err == unix.ENOMEM || err == unix.ENOBUFS || err == unix.ECONNREFUSED:
			continue // of this call alone
		case err != nil:
			return fmt.Errorf("dnsserver: receive on %s: %w", w.conn.LocalAddr(), os.NewSyscallError("recvmmsg", err))
		}
		if err := w.serve(rc, n); err != nil {
			return err
		}
	}
}

// drain shuts the socket to newcomers and answers what was received before. A query that comes later is refused by the kernel, so
// that its sender knows at once; without that, one that came between the last read and the close would be lost without a word.
func (w *udpWorker) drain(rc syscall.RawConn) error {
	_ = rc.Control(refuseNewcomers)
	for range drainLimit {
		var n int
		var err error
		if e := rc.Control(func(fd uintptr) { n, err = w.receive(fd) }); e != nil || err != nil || n == 0 {
			return nil // nothing waits any more, or nothing can be read
		}
		if err := w.serve(rc, n); err != nil {
			return err
		}
	}
	return nil
}

// refuseNewcomers connects a UDP socket to its own address. From then on the kernel takes messages for it from there alone, and
// nobody else is there; what already waits stays, and answers still go where each is sent.
func refuseNewcomers(fd uintptr) {
	self, err := unix.Getsockname(int(fd))
	if err == nil {
		_ = unix.Connect(int(fd), self) // at worst, newcomers go unanswered
	}
}

// receive reads a batch without waiting. As it never waits, nor sendNow, the Go scheduler is not told of the calls: it would take
// other threads to stand in for one that is merely busy, which costs more than the answers.
func (w *udpWorker) receive(fd uintptr) (int, error) {
	n, _, e := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&w.recv)), batch, unix.MSG_DONTWAIT, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// serve answers the first n messages and sends the answers.
func (w *udpWorker) serve(rc syscall.RawConn, n int) error {
	w.answerer.begin()
	answers := 0
	for i := range n {
		r := &w.recv[i]
		out := w.answerer.answer(w.answers[i][:0], w.in[i][:r.len], addrPort(&w.names[i]), w.udpSize)
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
	err := w.transmit(rc, answers)
	w.answerer.end()
	for i := range n {
		w.rearm(i)
	}
	return err
}

// transmit sends the first n answers. One that the system refuses is given up, not the others.
func (w *udpWorker) transmit(rc syscall.RawConn, n int) error {
	w.out.sent, w.out.total = 0, n
	for w.out.sent < w.out.total {
		err := rc.Write(w.out.write)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil // only at the end
		case err != nil:
			return fmt.Errorf("dnsserver: send on %s: %w", w.conn.LocalAddr(), err)
		case w.out.err == 0:
			w.out.sent += w.out.done
		case w.out.err != unix.EINTR:
			w.answerer.counters.drop(dropSend)
			w.out.sent++
		}
	}
	return nil
}

// sendNow sends what is left of the answers, as far as the socket takes them without waiting.
func (w *udpWorker) sendNow(fd uintptr) bool {
	o := &w.out
	done, _, e := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&w.send[o.sent])), uintptr(o.total-o.sent), unix.MSG_DONTWAIT, 0, 0)
	o.done, o.err = int(done), e
	return e != unix.EAGAIN
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
