package dnsserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/registry"
)

// TestTheEndLosesNoQuery: clients ask in closed loops while the server ends, on one address and on every address of the machine. Each
// query is answered, or refused by the kernel at once; none goes unheard.
func TestTheEndLosesNoQuery(t *testing.T) {
	for _, tt := range []struct{ listen, host string }{{"127.0.0.1:0", "127.0.0.1"}, {":0", "127.0.0.1"}, {":0", "::1"}} {
		for range 20 {
			s, end := start(t, Config{Listen: []string{tt.listen}, Workers: 2})
			if tt.host == "::1" && len(s.Addrs()) < 2 {
				continue // no IPv6
			}
			var clients sync.WaitGroup
			for range 4 {
				clients.Go(func() { askUntilRefused(t, netip.AddrPortFrom(netip.MustParseAddr(tt.host), s.Addrs()[0].Port())) })
			}
			time.Sleep(10 * time.Millisecond)
			end()
			clients.Wait()
		}
	}
}

func askUntilRefused(t *testing.T, server netip.AddrPort) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	msg, err := query("www.gslb.example", dns.TypeA).Pack()
	if err != nil {
		t.Error(err)
		return
	}
	in := make([]byte, 1<<12)
	for {
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, err := conn.Write(msg)
		if err == nil {
			_, err = conn.Read(in)
		}
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return
		case err != nil:
			t.Errorf("a query was lost: %v", err)
			return
		}
	}
}

// TestTheEndOfAFullQueue: everything that fits into a socket is answered, if the end comes then.
func TestTheEndOfAFullQueue(t *testing.T) {
	snap := testSnapshot(t, nil)
	s := New(Config{Listen: []string{"127.0.0.1:0"}, Workers: 1}, func() *registry.Snapshot { return snap }, slog.New(slog.DiscardHandler))
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("udp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	msg, sent := pack(t, query("mail.gslb.example", dns.TypeA)), 0
	for ; s.overflow() == 0; sent++ {
		if _, err := c.Write(msg); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := servedBy(s)[0]; n != sent-1 {
		t.Errorf("%d of %d answered", n, sent-1)
	}
}
