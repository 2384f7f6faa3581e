package dnsserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/meridian-gslb/meridian/registry"
)

// A scriptedListener yields what a test sends it: connections, and nil for an accept that fails.
type scriptedListener struct {
	next   chan net.Conn
	closed chan struct{}
}

func (l *scriptedListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.next:
		if c == nil {
			return nil, syscall.EMFILE
		}
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *scriptedListener) Close() error { close(l.closed); return nil }

func (l *scriptedListener) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 53), Port: 53}
}

// A remoteConn is a pipe that has an address.
type remoteConn struct{ net.Conn }

func (remoteConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(resolver) }

// TestFailingAccepts: every failed accept is counted; of a row of them the beginning and the end are logged; connections are served
// afterwards.
func TestFailingAccepts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		snap := testSnapshot(t, nil)
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		s := New(Config{Listen: []string{"127.0.0.1:0"}}, func() *registry.Snapshot { return snap }, log)
		l := &scriptedListener{next: make(chan net.Conn), closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.serveTCP(ctx, l) }()

		for range 2 {
			begin := time.Now()
			for range 100 {
				l.next <- nil
			}
			if took := time.Since(begin); took != 99*acceptPause {
				t.Errorf("100 attempts took %v", took)
			}
			server, client := net.Pipe()
			l.next <- remoteConn{server}
			if _, err := client.Write(framed(t, query("mail.gslb.example", dns.TypeA))); err != nil {
				t.Fatal(err)
			}
			if r := readMsg(t, client); len(r.Answer) != 1 {
				t.Errorf("%v", r)
			}
			_ = client.Close()
		}
		l.next <- nil
		synctest.Wait() // the end comes in the pause
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}

		fails := fmt.Sprintf("level=WARN msg=\"dns: cannot accept connections\" address=192.0.2.53:53 error=%q\n", syscall.EMFILE.Error())
		const again = "level=INFO msg=\"dns: accepts connections again\" address=192.0.2.53:53 failed=100\n"
		if want := fails + again + fails + again + fails; out.String() != want {
			t.Errorf("log:\n%swant:\n%s", &out, want)
		}
		if n := s.conns.rejected[rejectAccept].Load(); n != 201 {
			t.Errorf("%d failed attempts counted", n)
		}
	})
}

// TestNoFiles: where files run out before places do, the connection idle for longest gives its own to who comes.
func TestNoFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		snap := testSnapshot(t, nil)
		s := New(Config{Listen: []string{"127.0.0.1:0"}}, func() *registry.Snapshot { return snap }, slog.New(slog.DiscardHandler))
		l := &scriptedListener{next: make(chan net.Conn), closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.serveTCP(ctx, l) }()
		var clients [2]net.Conn
		for i := range clients {
			server, client := net.Pipe()
			l.next <- remoteConn{server}
			synctest.Wait()
			clients[i] = client
		}
		l.next <- nil
		if _, err := clients[0].Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the connection idle for longest: %v", err)
		}
		if _, err := clients[1].Write(framed(t, query("mail.gslb.example", dns.TypeA))); err != nil {
			t.Fatal(err)
		}
		if r := readMsg(t, clients[1]); len(r.Answer) != 1 {
			t.Errorf("the other: %v", r)
		}
		if n := s.conns.rejected[rejectEvicted].Load(); n != 1 {
			t.Errorf("%d counted as evicted", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = clients[1].Close()
	})
}

// TestRejectionsAreCounted: what is not served shows in the metrics, and why.
func TestRejectionsAreCounted(t *testing.T) {
	for name, tt := range map[string]struct {
		limits          TCPConfig
		goes            int // of two connections
		client, evicted int
	}{
		"share of a client": {TCPConfig{PerClient: 1}, 1, 1, 0},
		"all places":        {TCPConfig{Connections: 1}, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := start(t, Config{Listen: []string{"127.0.0.1:0"}, TCP: tt.limits})
			var conns [2]net.Conn
			for i := range conns {
				c, err := net.Dial("tcp", s.Addrs()[0].String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				conns[i] = c
			}
			_ = conns[tt.goes].SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := conns[tt.goes].Read(make([]byte, 1)); err != io.EOF {
				t.Fatalf("connection %d: %v", tt.goes, err)
			}
			want := fmt.Sprintf(`
# HELP meridian_dns_tcp_rejected_total DNS connections over TCP not served: client (has its share), evicted (idle for longest when all places were taken), accept (failed attempts to accept one), proxy (from a proxy, without a good header).
# TYPE meridian_dns_tcp_rejected_total counter
meridian_dns_tcp_rejected_total{reason="accept"} 0
meridian_dns_tcp_rejected_total{reason="client"} %d
meridian_dns_tcp_rejected_total{reason="evicted"} %d
meridian_dns_tcp_rejected_total{reason="proxy"} 0
`, tt.client, tt.evicted)
			if err := testutil.CollectAndCompare(s, strings.NewReader(want), "meridian_dns_tcp_rejected_total"); err != nil {
				t.Error(err)
			}
		})
	}
}
