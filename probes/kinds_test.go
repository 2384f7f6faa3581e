package probes

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// Every kind of check is made as its target says: at an address where nobody listens each fails in its own way, but for those that
// need no listener.
func TestEveryKind(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	l.Close()
	want := map[Kind]string{Exec: "exit status 1: no"}
	for _, kind := range kinds() {
		c := Check{Kind: Kind(kind), AllowLoopback: true}
		switch c.Kind {
		case DNS:
			c.Name = "www.example"
		case Exec:
			if os.Geteuid() == 0 {
				c.User = "nobody"
			}
			c.Command = List("/bin/sh", "-c", "echo no; exit 1")
		}
		if ps := c.Problems(); len(ps) > 0 {
			t.Errorf("%s: %v", kind, ps)
		}
		err := newChecker(Target{Addr: netip.MustParseAddr("127.0.0.1"), Port: port, Check: c.WithDefaults()}).Check(t.Context())
		switch {
		case c.Kind == ICMP: // this machine answers, or this user may not ask
			if err != nil && !strings.HasPrefix(err.Error(), "on this machine: ") {
				t.Errorf("icmp: %v", err)
			}
		case err == nil:
			t.Errorf("%s: no error", kind)
		case want[c.Kind] == "" && !strings.HasPrefix(err.Error(), "connect: connection refused"), !strings.Contains(err.Error(), want[c.Kind]):
			t.Errorf("%s: %v", kind, err)
		}
	}
}
