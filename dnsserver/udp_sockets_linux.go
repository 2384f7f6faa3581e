package dnsserver

import (
	"context"
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
	bufferSize = 4 << 20                // bytes that may wait in a socket while its worker is busy
	idleTime   = time.Second            // a worker without messages wakes up that often
	sendTime   = 100 * time.Millisecond // to wait for room in a socket that is to send
)

// listenUDP returns a worker with a socket for each of the Answerers.
func listenUDP(addr netip.AddrPort, answerers []*Answerer, udpSize int) ([]*udpWorker, error) {
	g := &udpGroup{addr: addr}
	var workers []*udpWorker
	for i, a := range answerers {
		file, err := openUDP(addr)
		if err != nil {
			for _, w := range workers {
				w.close()
			}
			return nil, err
		}
		workers = append(workers, newUDPWorker(g, i, file, a, udpSize))
	}
	g.begin(workers)
	return workers, nil
}

// openUDP returns a UDP socket that is bound to an address. Package net makes it, for what it knows of addresses, and lets go of it.
func openUDP(addr netip.AddrPort) (*os.File, error) {
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		var err error
		if e := rc.Control(func(fd uintptr) { err = setUDPOptions(int(fd), addr.Addr()) }); e != nil {
			return e
		}
		return err
	}}
	c, err := lc.ListenPacket(context.Background(), "udp"+familyDigit(addr), addr.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	rc, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	if e := rc.Control(func(of uintptr) { fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), "udp "+addr.String()), nil
}

// setUDPOptions asks for: a socket for each worker on one port; no belief in path MTUs, which a forger could lower to have responses
// fragmented; where every address of the machine is served, the one that each query was sent to, which must be the source of its
// response (RFC 2181 4); a long queue; an end to waiting. A sandbox that lacks the second or the long queue is served without.
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
	options := []option{{"SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1}}
	if addr.IsUnspecified() { // else the socket's own address is the source, and looking it up for each packet is waste
		options = append(options, info)
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.option, o.value); err != nil {
			return fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	_ = unix.SetsockoptInt(fd, discover.level, discover.option, discover.value)
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferSize) != nil { // beyond net.core.rmem_max, if we may
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bufferSize) // as far as it; shorter is no error
	}
	for o, d := range map[int]time.Duration{unix.SO_RCVTIMEO: idleTime, unix.SO_SNDTIMEO: sendTime} {
		tv := unix.NsecToTimeval(int64(d))
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, o, &tv); err != nil {
			return fmt.Errorf("set timeout: %w", err)
		}
	}
	return nil
}

// drops counts what the kernel dropped of a socket's messages, beyond the 32 bits it counts with. One reader at a time.
type drops struct {
	total uint64
	last  uint32
}

// dropped returns how many messages found the queue of the worker's socket full since it was opened.
func (w *udpWorker) dropped() uint64 {
	if rc, err := w.file.SyscallConn(); err == nil {
		_ = rc.Control(func(fd uintptr) { // not called any more once the socket is closed
			now := socketDrops(fd)
			w.drops.total += uint64(now - w.drops.last)
			w.drops.last = now
		})
	}
	return w.drops.total
}

// active reports whether the worker is given queries.
func (w *udpWorker) active() bool { return w.place < int(w.group.active.Load()) }

// socketDrops returns how many messages a socket has dropped, modulo 2^32.
func socketDrops(fd uintptr) uint32 {
	var info [unix.SK_MEMINFO_VARS]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, e := unix.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 || size < 4*(unix.SK_MEMINFO_DROPS+1) {
		return 0
	}
	return info[unix.SK_MEMINFO_DROPS]
}
