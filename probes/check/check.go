// Package check makes one check of one endpoint: a request by HTTP, HTTP/2, gRPC or DNS, a connection by TCP or TLS, an echo request,
// a command.
//
// A check connects to an address, never to a name: no DNS, no proxy, no redirect, and no connection that an earlier check
// left open. It sees what a new client sees. It runs in the goroutine of its caller, on one connection, and gives up when
// the context's deadline passes. Who is checked how often, and what follows from the results, is the business of package
// probes.
package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// A Checker makes one kind of check of one endpoint. Check returns nil if the endpoint works, else an error short enough for
// one line of a table, e.g. "status 503, want 200-399". It returns soon after ctx ends; a ctx without a deadline leaves it
// unlimited. A Checker is safe for concurrent use.
type Checker interface {
	Check(ctx context.Context) error
}

// errTimeout is what a check reports when the deadline passed. How much time it had is known to who set the deadline.
type errTimeout struct{}

func (errTimeout) Error() string { return "timeout" }
func (errTimeout) Unwrap() error { return context.DeadlineExceeded }

// errLocal marks trouble of this machine, which says nothing about the endpoint.
type errLocal struct{ err error }

func (e errLocal) Error() string { return "on this machine: " + e.err.Error() }
func (e errLocal) Unwrap() error { return e.err }

// Timeout reports whether err says that the time of a check ran out.
func Timeout(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

// errSilent marks the failure of a check to which nothing came back.
type errSilent struct{ err error }

func (e errSilent) Error() string { return e.err.Error() }
func (e errSilent) Unwrap() error { return e.err }

// Silent reports whether err says that nothing at all came back from the endpoint: no connection, no refusal, no answer. Then it may
// be gone, or the way to it.
func Silent(err error) bool {
	var silent errSilent
	return errors.As(err, &silent)
}

// Local returns err marked as trouble of this machine. See Inconclusive.
func Local(err error) error { return errLocal{err} }

// Inconclusive reports whether err tells of trouble on this machine, such as no file descriptor left, so that it is no reason
// to believe anything of the endpoint.
func Inconclusive(err error) bool {
	var local errLocal
	return errors.As(err, &local)
}

// Refused returns a Checker that makes no connection and fails each time with err: the check of an endpoint that cannot be
// checked as configured.
func Refused(err error) Checker { return refused{err} }

type refused struct{ err error }

func (r refused) Check(context.Context) error { return r.err }

// Allowed returns an error if addr must not be checked. A prober that connects wherever a registry tells it to is a way into
// the machine it runs on, so loopback and link-local addresses (the latter include the metadata service of clouds) need
// permission. Addresses that are no single host never get it.
func Allowed(addr netip.Addr, loopback, linkLocal bool) error {
	addr = addr.Unmap()
	switch {
	case !addr.IsValid():
		return errors.New("no address to check")
	case addr.IsUnspecified(), addr.IsMulticast(), addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("address %s is not one host", addr)
	case addr.IsLoopback() && !loopback:
		return fmt.Errorf("checks of loopback address %s are not allowed", addr)
	case addr.IsLinkLocalUnicast() && !linkLocal:
		return fmt.Errorf("checks of link-local address %s are not allowed", addr)
	}
	return nil
}

// connect opens a TCP connection to addr whose reads and writes fail when ctx ends. The caller closes conn, then calls done.
func connect(ctx context.Context, addr netip.AddrPort) (conn *net.TCPConn, done func() bool, err error) {
	dialer := net.Dialer{KeepAlive: -1} // the connection lives for one exchange
	conn, err = dialer.DialTCP(ctx, "tcp", netip.AddrPort{}, addr)
	if err != nil {
		return nil, nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			_ = conn.Close()
			return nil, nil, err
		}
	}
	done = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return conn, done, nil
}

// explain makes err, which ended the named phase of a check, short: the operation and the addresses are known to the reader.
func explain(ctx context.Context, phase string, err error) error {
	var netErr net.Error
	var errno syscall.Errno
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout() && !errors.As(err, &errno):
		if phase == connecting {
			return errSilent{fmt.Errorf("%s: %w", phase, errTimeout{})}
		}
		return fmt.Errorf("%s: %w", phase, errTimeout{})
	case errors.As(err, &errno):
		switch {
		case localTrouble(errno):
			return fmt.Errorf("%s: %w", phase, Local(errno))
		case phase == connecting && noWay(errno):
			return errSilent{fmt.Errorf("%s: %w", phase, errno)}
		}
		return fmt.Errorf("%s: %w", phase, errno)
	}
	return fmt.Errorf("%s: %w", phase, err)
}

// connecting is the phase of a check in which the endpoint has said nothing yet.
const connecting = "connect"

// noWay reports whether errno means that there was no way to the endpoint: the system, or a router, says so rather than the endpoint.
func noWay(errno syscall.Errno) bool {
	switch errno {
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN, syscall.ETIMEDOUT:
		return true
	}
	return false
}

// localTrouble reports whether errno means that this machine has run out of something.
func localTrouble(errno syscall.Errno) bool {
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL:
		return true
	}
	return false
}
