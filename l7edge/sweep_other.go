//go:build !unix

package l7edge

import "net"

// sweep closes a listener. Connections that wait to be accepted are lost: only Unix lets us have them without waiting for more.
func sweep(l *net.TCPListener) []net.Conn {
	l.Close()
	return nil
}
