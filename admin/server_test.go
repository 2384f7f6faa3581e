package admin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestRunLetsRequestsEnd: a request under way when Run is told to end is answered; afterwards nobody listens.
func TestRunLetsRequestsEnd(t *testing.T) {
	b := newBench(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	b.reload = func(context.Context) (Reloaded, error) {
		close(entered)
		<-leave
		return Reloaded{Generation: 3}, nil
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	c, err := NewClient(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		r, err := c.Reload(short(t))
		if err == nil && r.Generation != 3 {
			err = fmt.Errorf("generation %d", r.Generation)
		}
		answered <- err
	}()
	<-entered
	cancel()
	close(leave)
	if err := <-answered; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if conn, err := net.Dial("tcp", b.Addr()); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
}

// TestListenOnATakenAddress: the error names the address.
func TestListenOnATakenAddress(t *testing.T) {
	first := newBench(t)
	first.serve()
	second := New(Config{Listen: first.Addr()}, first.Options)
	if err := second.Listen(); err == nil || !strings.Contains(err.Error(), first.Addr()) {
		t.Errorf("%v", err)
	}
}

// TestDefaultAddress: nothing said is loopback.
func TestDefaultAddress(t *testing.T) {
	s := New(Config{}, Options{})
	if s.Addr() != DefaultListen || !s.hosts.addr.IsLoopback() {
		t.Errorf("%s, %v", s.Addr(), s.hosts)
	}
}

// TestRunWithoutListen: is a mistake that is told, not a crash.
func TestRunWithoutListen(t *testing.T) {
	if err := newBench(t).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "Listen") {
		t.Errorf("%v", err)
	}
}

// TestLargeHeadersAreRefused: with the status for it, before anything reads them; the limit is maxHeader and the 4 KiB of net/http.
func TestLargeHeadersAreRefused(t *testing.T) {
	b := newBench(t)
	b.serve()
	for size, want := range map[int]int{
		maxHeader: http.StatusOK, maxHeader + 4<<10 - 200: http.StatusOK, maxHeader + 4<<10: http.StatusRequestHeaderFieldsTooLarge,
		64 << 10: http.StatusRequestHeaderFieldsTooLarge,
	} {
		if got := statusOfHeader(t, b.Addr(), size); got != want {
			t.Errorf("a header field of %d bytes: status %d, want %d", size, got, want)
		}
	}
}

// statusOfHeader sends a request with a header field of a size and returns the status.
func statusOfHeader(t *testing.T, addr string, size int) int {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: %s\r\nX: %s\r\n\r\n", addr, strings.Repeat("x", size)) // fails when the server hangs up
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestMoreConnectionsThanAllowed: the one too many waits, and is served when another leaves.
func TestMoreConnectionsThanAllowed(t *testing.T) {
	b := newBench(t)
	b.serve()
	var idle []net.Conn
	for range maxConnections {
		conn, err := net.Dial("tcp", b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		idle = append(idle, conn)
	}
	late, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	fmt.Fprintf(late, "GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", b.Addr())
	if err := late.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := late.Read(make([]byte, 1)); err == nil {
		t.Fatalf("served %d bytes beside %d others", n, len(idle))
	}
	idle[0].Close()
	if err := late.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(late); err != nil || !strings.HasSuffix(string(got), "ok\n") {
		t.Errorf("after one left: %q %v", got, err)
	}
}

// TestMetrics: /metrics is what the Gatherer holds, and the Server's own names are right.
func TestMetrics(t *testing.T) {
	b := newBench(t)
	reg := prometheus.NewRegistry()
	reg.MustRegister(b.Server)
	b.Options.Metrics = reg
	if code, body := b.do(http.MethodGet, "/metrics", ""); code != http.StatusOK || !strings.Contains(body, `meridian_panics_recovered_total{where="admin"} 0`) {
		t.Errorf("%d %s", code, body)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
