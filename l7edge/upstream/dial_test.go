package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestAddress(t *testing.T) {
	v4, v6 := addr("192.0.2.1"), addr("2001:db8::1")
	for _, c := range []struct {
		a                Address
		usable           bool
		primary, another string
	}{
		{Address{V4: v4, Port: 80}, true, "192.0.2.1:80", ""},
		{Address{V6: v6, Port: 80}, true, "[2001:db8::1]:80", ""},
		{Address{V4: v4, V6: v6, Port: 80}, true, "192.0.2.1:80", "[2001:db8::1]:80"},
		{Address{V4: v4}, false, "192.0.2.1:0", ""},
		{Address{Port: 80}, false, "invalid AddrPort", ""},
	} {
		if c.a.Usable() != c.usable || c.a.String() != c.primary {
			t.Errorf("%+v: usable %v, primary %s", c.a, c.a.Usable(), c.a)
		}
		another, ok := c.a.Secondary()
		if ok != (c.another != "") || ok && another.String() != c.another {
			t.Errorf("%+v: secondary %v %v", c.a, another, ok)
		}
	}
}

// listen returns the address of a listener that accepts and closes.
func listen(t *testing.T, at string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// closedPort returns a port of 127.0.0.1 where nothing listens.
func closedPort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

func TestDial(t *testing.T) {
	up := listen(t, "127.0.0.1:0")
	c, err := Dial(t.Context(), Address{V4: up.Addr(), Port: up.Port()}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()

	_, err = Dial(t.Context(), Address{V4: addr("127.0.0.1"), Port: closedPort(t)}, time.Second)
	var connect *ConnectError
	if !errors.As(err, &connect) || !connect.Refused() || connect.Timeout() {
		t.Errorf("nothing listens: %v", err)
	}
	if err == nil || !strings.HasPrefix(err.Error(), "upstream: connect to 127.0.0.1:") {
		t.Errorf("message %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, Address{V4: up.Addr(), Port: up.Port()}, time.Second); !errors.As(err, &connect) || !errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), "cancel") {
		t.Errorf("cancelled: %v", err)
	}
}

func TestDialTimesOut(t *testing.T) {
	up := listen(t, "127.0.0.1:0")
	_, err := Dial(t.Context(), Address{V4: up.Addr(), Port: up.Port()}, time.Nanosecond)
	var connect *ConnectError
	if !errors.As(err, &connect) || !connect.Timeout() || connect.Refused() {
		t.Errorf("a nanosecond to connect: %v", err)
	}
}

// The other family is tried when the first is refused. 127.0.0.1 in IPv6 form stands for an IPv6 address, so that the test needs none.
func TestDialFallsBackToTheOtherFamily(t *testing.T) {
	up := listen(t, "127.0.0.1:0")
	a := Address{V4: addr("127.0.0.9"), V6: netip.AddrFrom16(up.Addr().As16()), Port: up.Port()}
	c, err := Dial(t.Context(), a, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.RemoteAddr().(*net.TCPAddr).AddrPort(); got.Addr().Unmap() != up.Addr() {
		t.Errorf("connected to %v", got)
	}
	a.V6 = addr("::ffff:127.0.0.10")
	if _, err := Dial(t.Context(), a, time.Second); err == nil || !strings.Contains(err.Error(), "127.0.0.9") {
		t.Errorf("both refused: %v", err)
	}
}
