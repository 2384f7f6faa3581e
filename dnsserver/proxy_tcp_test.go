package dnsserver

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// proxyPipe is a connection from a proxy within a synctest bubble, and what conns it is one of.
func proxyPipe(t *testing.T, cs *conns) net.Conn {
	server, client := net.Pipe()
	answerers := make(chan *Answerer, 1)
	answerers <- testAnswerer(testSnapshot(t, nil), TCP)
	c := newConn(server, resolver, &cs.limits, answerers)
	c.proxied = true
	if !cs.admit(c) {
		t.Fatal("not admitted")
	}
	go func() {
		defer cs.remove(c)
		c.serve(cs)
	}()
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// TestProxyOverTCP sends a header in parcels of all sizes, and queries after it: the client in it decides all answers.
func TestProxyOverTCP(t *testing.T) {
	q := query("www.gslb.example", dns.TypeA)
	long := make([]byte, 3+proxyMost-100)
	long[0], long[1], long[2] = 0xe0, byte((len(long)-3)>>8), byte(len(long)-3)
	for name, header := range map[string][]byte{"short": proxyFor("198.51.100.9:1234"), "long": proxyFor("198.51.100.9:1234", long...)} {
		for _, parcel := range []int{1, 7, 16, 28, 29, 100, 10_000} {
			if name == "long" && parcel == 1 {
				continue // slow, and like 7
			}
			synctest.Test(t, func(t *testing.T) {
				c := proxyPipe(t, newConns(testLimits))
				go func() {
					for piece := range slices.Chunk(slices.Concat(header, framed(t, q, q, q)), parcel) {
						if _, err := c.Write(piece); err != nil {
							t.Error(err)
						}
					}
				}()
				for range 3 {
					if got := show(readMsg(t, c)); got != lines("NOERROR aa", "an www.gslb.example. 30 A 198.51.100.10") {
						t.Fatalf("%s header in parcels of %d: %s", name, parcel, got)
					}
				}
			})
		}
	}
}

// TestProxyLocalOverTCP sees that a proxy that asks for itself is answered for itself.
func TestProxyLocalOverTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := proxyPipe(t, newConns(testLimits))
		go func() {
			_, _ = c.Write(slices.Concat(proxyHeader(local, unspec, nil), framed(t, query("www.gslb.example", dns.TypeA))))
		}()
		if got := show(readMsg(t, c)); got != lines("NOERROR aa", "an www.gslb.example. 30 A 192.0.2.10") {
			t.Fatal(got)
		}
	})
}

// TestBadProxyOverTCP sees that a connection without a good header ends at once, and that one whose header does not come ends.
func TestBadProxyOverTCP(t *testing.T) {
	for name, in := range map[string][]byte{
		"a query":    framed(t, query("www.gslb.example", dns.TypeA)),
		"version 1":  []byte("PROXY TCP4 198.51.100.9 192.0.2.53 1234 53\r\n"),
		"bad family": proxyHeader(proxied, 0x51, make([]byte, 12)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cs := newConns(testLimits)
				c := proxyPipe(t, cs)
				go func() { _, _ = c.Write(in) }()
				begun := time.Now()
				got, err := io.ReadAll(c)
				if err != nil {
					t.Fatal(err)
				}
				if len(got) > 0 || time.Since(begun) > 0 {
					t.Errorf("%x after %v", got, time.Since(begun))
				}
				if n := cs.rejected[rejectProxy].Load(); n != 1 {
					t.Errorf("%d counted", n)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c := proxyPipe(t, newConns(testLimits))
		go func() { _, _ = c.Write(proxyFor("198.51.100.9:1234")[:20]) }()
		begun := time.Now()
		if got, err := io.ReadAll(c); err != nil || len(got) > 0 || time.Since(begun) != testLimits.IO {
			t.Errorf("%x, %v after %v", got, err, time.Since(begun))
		}
	})
}

// TestProxyConnectionLimits: the clients behind a proxy have each their share of connections, the proxy has none of its own.
func TestProxyConnectionLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := testLimits
		limits.PerClient, limits.Connections = 2, 100
		cs := newConns(limits)
		for range 10 {
			proxyPipe(t, cs)
		}
		served := 0
		q := query("mail.gslb.example", dns.TypeA)
		for i := range 9 {
			c := proxyPipe(t, cs)
			client := []string{"198.51.100.1:1", "198.51.100.2:1", "[2001:db8:1:1::1]:1"}[i%3]
			go func() { _, _ = c.Write(slices.Concat(proxyFor(client), framed(t, q))) }()
			var size [2]byte
			if _, err := io.ReadFull(c, size[:]); err == nil {
				served++
			}
		}
		synctest.Wait()
		if served != 6 {
			t.Errorf("%d served, want two for each of three clients", served)
		}
		if n := cs.rejected[rejectClient].Load(); n != 3 {
			t.Errorf("%d refused for their client", n)
		}
		if cs.len() != 16 || len(cs.byClient) != 3 || cs.byClient[netip.MustParseAddr("198.51.100.1")] != 2 {
			t.Errorf("%d connections, %v", cs.len(), cs.byClient)
		}
	})
}
