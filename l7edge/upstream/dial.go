package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// A ConnectError says that no connection to an endpoint could be made, so nothing of the request has left: the request may be sent
// to another endpoint whatever its method is.
type ConnectError struct {
	Address Address
	Err     error
}

// Error returns the address and the cause.
func (e *ConnectError) Error() string {
	return "upstream: connect to " + e.Address.String() + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// Timeout reports whether the endpoint did not answer in time, as opposed to refusing.
func (e *ConnectError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// Refused reports whether the endpoint's host answered that nothing listens there.
func (e *ConnectError) Refused() bool { return errors.Is(e.Err, syscall.ECONNREFUSED) }

// Dial connects to an address over TCP: the primary address, then the secondary if there is one, each within timeout. The error is
// always a *ConnectError. ctx ends the attempt early.
func Dial(ctx context.Context, a Address, timeout time.Duration) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}
	c, err := d.DialTCP(ctx, "tcp", netip.AddrPort{}, a.Primary())
	if err == nil {
		return c, nil
	}
	if second, ok := a.Secondary(); ok && ctx.Err() == nil {
		if c, err2 := d.DialTCP(ctx, "tcp", netip.AddrPort{}, second); err2 == nil {
			return c, nil
		}
	}
	return nil, &ConnectError{Address: a, Err: err}
}
