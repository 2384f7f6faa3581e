package dnsserver

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receive reads a batch, and waits for its first message, but no longer than idleTime.
func (w *udpWorker) receive() (int, syscall.Errno) {
	n, e := w.receiveNow()
	if e != unix.EAGAIN {
		return n, e
	}
	if w.single {
		return w.one(unix.Syscall(unix.SYS_RECVMSG, w.fd, uintptr(unsafe.Pointer(&w.recv[0].hdr)), 0))
	}
	return count(unix.Syscall6(unix.SYS_RECVMMSG, w.fd, uintptr(unsafe.Pointer(&w.recv)), batch, unix.MSG_WAITFORONE, 0, 0))
}

// receiveNow reads a batch without waiting. As it never waits, the Go scheduler is not told of the call: it would take other threads
// to stand in for one that is merely busy.
func (w *udpWorker) receiveNow() (int, syscall.Errno) {
	if w.single {
		return w.one(unix.RawSyscall(unix.SYS_RECVMSG, w.fd, uintptr(unsafe.Pointer(&w.recv[0].hdr)), unix.MSG_DONTWAIT))
	}
	return count(unix.RawSyscall6(unix.SYS_RECVMMSG, w.fd, uintptr(unsafe.Pointer(&w.recv)), batch, unix.MSG_DONTWAIT, 0, 0))
}

// one makes a batch of a call that receives one message.
func (w *udpWorker) one(size, _ uintptr, e syscall.Errno) (int, syscall.Errno) {
	if e != 0 {
		return 0, e
	}
	w.recv[0].len = uint32(size)
	return 1, 0
}

// count returns how many messages a call received or sent.
func count(n, _ uintptr, e syscall.Errno) (int, syscall.Errno) {
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

// transmit sends the first n answers. One that the system refuses is given up, not the others. If there is no room in sendTime, what
// finds none without waiting is given up as well: an interface that is stuck must not hold up those who ask over others.
func (w *udpWorker) transmit(n int) {
	stuck := false
	for sent := 0; sent < n; {
		done, e := w.transmitNow(sent, n)
		if e == unix.EAGAIN && !stuck {
			done, e = w.transmitSoon(sent, n)
			stuck = e == unix.EAGAIN
		}
		switch {
		case e == 0:
			sent += done
		case e == unix.EINTR:
		case e == unix.ENOSYS && !w.single:
			w.single = true
		default:
			w.answerer.counters.drop(dropSend)
			sent++
		}
	}
}

// transmitNow sends some of the answers from one number to another without waiting, and returns how many.
func (w *udpWorker) transmitNow(from, to int) (int, syscall.Errno) {
	if w.single {
		_, _, e := unix.RawSyscall(unix.SYS_SENDMSG, w.fd, uintptr(unsafe.Pointer(&w.send[from].hdr)), unix.MSG_DONTWAIT)
		return count(1, 0, e)
	}
	return count(unix.RawSyscall6(unix.SYS_SENDMMSG, w.fd, uintptr(unsafe.Pointer(&w.send[from])), uintptr(to-from), unix.MSG_DONTWAIT, 0, 0))
}

// transmitSoon is transmitNow, but waits for room, no longer than sendTime.
func (w *udpWorker) transmitSoon(from, to int) (int, syscall.Errno) {
	if w.single {
		_, _, e := unix.Syscall(unix.SYS_SENDMSG, w.fd, uintptr(unsafe.Pointer(&w.send[from].hdr)), 0)
		return count(1, 0, e)
	}
	return count(unix.Syscall6(unix.SYS_SENDMMSG, w.fd, uintptr(unsafe.Pointer(&w.send[from])), uintptr(to-from), 0, 0, 0))
}
