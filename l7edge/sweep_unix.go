//go:build unix

package l7edge

import (
	"net"
	"os"
	"syscall"
)

// sweep closes a listener and returns the connections that were waiting to be accepted. Closing alone would reset them, and with them
// requests that clients have sent already.
func sweep(l *net.TCPListener) []net.Conn {
	var fds []int
	if raw, err := l.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { // fails if the listener is closed, and then nothing waits
			for {
				n, _, err := syscall.Accept(int(fd)) // does not block, as no socket of package net does
				switch err {
				case nil:
					syscall.CloseOnExec(n)
					fds = append(fds, n)
				case syscall.EINTR, syscall.ECONNABORTED:
				default:
					return
				}
			}
		})
	}
	l.Close() // at once: who comes between is reset
	var conns []net.Conn
	for _, fd := range fds {
		f := os.NewFile(uintptr(fd), "")
		if c, err := net.FileConn(f); err == nil {
			conns = append(conns, c)
		}
		f.Close() // the connection has its own descriptor
	}
	return conns
}
