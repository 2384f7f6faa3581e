//go:build linux

package flood

import (
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestIdleConnections holds idle connections, 10,000 on a machine that does nothing else, as far as this process may have as many files,
// and 1,000 on which a byte of an endless query comes each second: none of it disturbs UDP, and the memory it takes is bounded.
func TestIdleConnections(t *testing.T) {
	s := startServer(t, limited)
	memory := s.memory(t, "VmRSS")
	d, alone := duration(t)
	want, least := 2000, 90 // of a hundred queries, that the first attempt must bring an answer to
	if alone {
		want, least = 10_000, 99
	}
	want = min(want, files(t)-200)
	conns := make([]net.Conn, 0, want)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range want {
		d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, 0, byte(1 + i%4)}), 0))}
		c, err := d.Dial("tcp4", s.addr)
		if err != nil {
			t.Fatalf("after %d connections: %v", i, err)
		}
		conns = append(conns, c)
	}
	deadline := time.Now().Add(30 * time.Second)
	for s.metric(t, "meridian_dns_tcp_connections") < float64(want) && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	var stop atomic.Bool
	drip := make(chan int)
	go func() { // the length of a query, then it a byte at a time
		n := 0
		for ; !stop.Load(); n++ {
			for _, c := range conns[:min(1000, len(conns))] {
				_, _ = c.Write([]byte{1}) // those that take too long are closed, as they should be
			}
			time.Sleep(time.Second)
		}
		drip <- n
	}()
	var good stub
	done := make(chan struct{})
	time.AfterFunc(d, func() { close(done) })
	good.run(t, s, "127.77.0.1", done)
	open := s.metric(t, "meridian_dns_tcp_connections")
	stop.Store(true)
	<-drip
	grown := s.memory(t, "VmHWM") - memory
	t.Logf("%d connections, %.0f still open, %d bytes each; stubs: %d asked, %d answered, %d at the first attempt",
		want, open, grown/want, good.asked.Load(), good.answered.Load(), good.first.Load())
	if asked := good.asked.Load(); good.answered.Load() != asked || good.first.Load()*100 < asked*int64(least) {
		t.Errorf("of %d queries over UDP %d were answered, %d at the first attempt", asked, good.answered.Load(), good.first.Load())
	}
	if open < float64(want-1000) {
		t.Errorf("%.0f of %d connections are left", open, want)
	}
	if grown > maxGrowth+want*maxPerConnection {
		t.Errorf("%d bytes more for %d connections", grown, want)
	}
}

// maxPerConnection is the most bytes of memory for an idle connection.
const maxPerConnection = 16 << 10

// files lets this process have as many files open as it may, and returns how many that is.
func files(t *testing.T) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return int(min(limit.Cur, 1<<20))
}
