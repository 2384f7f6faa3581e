package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// within returns a context with a deadline; a test that is in a hurry to see a timeout gives a short one.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// wantError checks that err is what want says: "" is success, "…" at an end stands for anything.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if prefix, open := strings.CutSuffix(want, "…"); open && prefix != "" && strings.HasPrefix(got, prefix) {
		return
	}
	if got != want {
		t.Errorf("got error %q, want %q", got, want)
	}
}

// listen returns a listener on loopback that is closed at the end of the test.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func addrOf(l net.Listener) netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }

// closedPort returns an address where nothing listens.
func closedPort(t *testing.T) netip.AddrPort {
	l := listen(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return addrOf(l)
}

// serve answers every connection to the returned address with handle, one after the other, until the test ends.
func serve(t *testing.T, handle func(net.Conn)) netip.AddrPort {
	t.Helper()
	l := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			handle(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return addrOf(l)
}

func TestTCP(t *testing.T) {
	open := serve(t, func(net.Conn) {})
	mapped := netip.AddrPortFrom(netip.AddrFrom16(open.Addr().As16()), open.Port())
	for name, tc := range map[string]struct {
		addr netip.AddrPort
		want string
	}{
		"open":          {open, ""},
		"open, mapped":  {mapped, ""},
		"nobody there":  {closedPort(t), "connect: connection refused"},
		"no such route": {netip.MustParseAddrPort("[100::1%nosuchzone]:1"), "connect: …"},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, NewTCP(TCPConfig{Addr: tc.addr}).Check(within(t, 10*time.Second)), tc.want)
		})
	}
}

func TestTCPWithoutTime(t *testing.T) {
	ctx := within(t, -time.Second)
	err := NewTCP(TCPConfig{Addr: closedPort(t)}).Check(ctx)
	if !Timeout(err) {
		t.Errorf("got %v, want a timeout", err)
	}
}

func TestCancelledCheckIsNoTimeout(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := NewTCP(TCPConfig{Addr: closedPort(t)}).Check(ctx)
	if !errors.Is(err, context.Canceled) || Timeout(err) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestExplain(t *testing.T) {
	dial := func(errno syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("connect: %w", errno)}
	}
	for _, tc := range []struct {
		err          error
		want         string
		timeout, own bool
	}{
		{dial(syscall.ECONNREFUSED), "connect: connection refused", false, false},
		{dial(syscall.EHOSTUNREACH), "connect: no route to host", false, false},
		{dial(syscall.ENETUNREACH), "connect: network is unreachable", false, false},
		{dial(syscall.ETIMEDOUT), "connect: connection timed out", false, false},
		{dial(syscall.EMFILE), "connect: on this machine: too many open files", false, true},
		{dial(syscall.ENOBUFS), "connect: on this machine: no buffer space available", false, true},
		{dial(syscall.EADDRNOTAVAIL), "connect: on this machine: cannot assign requested address", false, true},
		{context.DeadlineExceeded, "connect: timeout", true, false},
		{&net.OpError{Op: "read", Err: errDeadline{}}, "connect: timeout", true, false},
		{errors.New("else"), "connect: else", false, false},
	} {
		err := explain(t.Context(), "connect", tc.err)
		wantError(t, err, tc.want)
		if Timeout(err) != tc.timeout || Inconclusive(err) != tc.own {
			t.Errorf("%v: timeout %t, own fault %t", err, Timeout(err), Inconclusive(err))
		}
	}
}

// errDeadline is what reads return after the deadline of a connection.
type errDeadline struct{}

func (errDeadline) Error() string   { return "i/o timeout" }
func (errDeadline) Timeout() bool   { return true }
func (errDeadline) Temporary() bool { return true }

func TestAllowed(t *testing.T) {
	for _, tc := range []struct {
		addr                string
		loopback, linkLocal bool
		want                string
	}{
		{"192.0.2.1", false, false, ""},
		{"10.0.0.1", false, false, ""},
		{"2001:db8::1", false, false, ""},
		{"127.0.0.1", false, true, "checks of loopback address 127.0.0.1 are not allowed"},
		{"127.9.9.9", true, false, ""},
		{"::1", false, true, "checks of loopback address ::1 are not allowed"},
		{"::ffff:127.0.0.1", false, true, "checks of loopback address 127.0.0.1 are not allowed"},
		{"::1", true, false, ""},
		{"169.254.169.254", true, false, "checks of link-local address 169.254.169.254 are not allowed"},
		{"::ffff:169.254.169.254", true, false, "checks of link-local address 169.254.169.254 are not allowed"},
		{"fe80::1", true, false, "checks of link-local address fe80::1 are not allowed"},
		{"fe80::1%eth0", false, true, ""},
		{"0.0.0.0", true, true, "address 0.0.0.0 is not one host"},
		{"::", true, true, "address :: is not one host"},
		{"224.0.0.1", true, true, "address 224.0.0.1 is not one host"},
		{"ff02::1", true, true, "address ff02::1 is not one host"},
		{"255.255.255.255", true, true, "address 255.255.255.255 is not one host"},
	} {
		t.Run(tc.addr, func(t *testing.T) {
			wantError(t, Allowed(netip.MustParseAddr(tc.addr), tc.loopback, tc.linkLocal), tc.want)
		})
	}
	wantError(t, Allowed(netip.Addr{}, true, true), "no address to check")
}

func TestRefused(t *testing.T) {
	wantError(t, Refused(errors.New("no port")).Check(t.Context()), "no port")
}
