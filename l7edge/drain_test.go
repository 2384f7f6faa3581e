package l7edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// twoEdges returns a client of a name with two addresses: the second is for when the first refuses connections.
func twoEdges(t *testing.T, h2 bool, first, second string) *http.Client {
	t.Helper()
	c := client(t, h2)
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, first)
		if err != nil {
			return d.DialContext(ctx, network, second)
		}
		return conn, err
	}
	return c
}

// An edge that is told to stop under load loses no request of clients that do what their protocol asks of them, whether they get or
// post, over HTTP/1.1 or HTTP/2.
func TestDrainLosesNothing(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		time.Sleep(time.Millisecond)
		fmt.Fprint(w, n)
	})
	w := newWorld(t, service(b), all())
	leaves := start(t, w, func(c *Config) { c.LameDuck = 300 * time.Millisecond })
	stays := start(t, w, nil)

	var wg sync.WaitGroup
	var sent atomic.Int64
	stop := make(chan struct{})
	body := strings.Repeat("x", 5000)
	for i := range 8 {
		h2 := i%2 == 0
		c := twoEdges(t, h2, leaves.https, stays.https)
		for range 2 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					resp, err := c.Get("https://edge.test/")
					if err != nil {
						t.Errorf("GET h2=%v: %v", h2, err)
						continue
					}
					if got := readAll(resp); got != "0" {
						t.Errorf("GET h2=%v: %d %q", h2, resp.StatusCode, got)
					}
					resp, err = c.Post("https://edge.test/", "text/plain", strings.NewReader(body))
					if err != nil {
						t.Errorf("POST h2=%v: %v", h2, err)
						continue
					}
					if got := readAll(resp); got != "5000" {
						t.Errorf("POST h2=%v: %d %q", h2, resp.StatusCode, got)
					}
					sent.Add(2)
				}
			})
		}
	}
	eventually(t, "there is load", func() bool { return sent.Load() > 200 })
	leaves.stop()
	after := sent.Load()
	eventually(t, "the other edge has the load", func() bool { return sent.Load() > after+200 })
	close(stop)
	wg.Wait()
	if n := stats(leaves, "web/b0"); n.InFlight != 0 || n.Requests == 0 {
		t.Errorf("after the end: %+v", n)
	}
}

func readAll(resp *http.Response) string {
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// While the edge is a lame duck it serves new connections too, and tells each client to leave.
func TestLameDuck(t *testing.T) {
	e := start(t, newWorld(t, service(backend(t, says("x"))), all()), func(c *Config) { c.LameDuck = 500 * time.Millisecond })
	h1, h2 := client(t, false), client(t, true)
	if resp, _ := get(t, h1, "https://"+e.https); resp.Close {
		t.Error("told to leave before the time")
	}
	get(t, h2, "https://"+e.https)
	e.quit()
	eventually(t, "the edge is leaving", e.carrier.leaving.Load)
	for range 3 {
		if resp, body := get(t, h1, "https://"+e.https); !resp.Close || body != "x" {
			t.Errorf("HTTP/1.1: %v %q", resp.Header, body)
		}
		if _, body := get(t, h2, "https://"+e.https); body != "x" {
			t.Errorf("HTTP/2: %q", body)
		}
	}
	e.stop()
	if _, err := net.Dial("tcp", e.https); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the end: %v", err)
	}
}

// Requests and tunnels that are going on may end in their own time.
func TestDrainWaits(t *testing.T) {
	hold := make(chan struct{})
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echo(w, r)
			return
		}
		w.(http.Flusher).Flush()
		<-hold
		io.WriteString(w, "late")
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	var slow []*http.Response
	for _, h2 := range []bool{false, true} {
		resp, err := client(t, h2).Get("https://" + e.https)
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, resp)
	}
	ws, _, err := websocket.Dial(t.Context(), "ws://"+e.http, nil)
	if err != nil {
		t.Fatal(err)
	}
	e.quit()
	eventually(t, "no more connections are accepted", func() bool {
		c, err := net.Dial("tcp", e.http)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(hold)
	for _, resp := range slow {
		if got := readAll(resp); got != "late" {
			t.Errorf("HTTP/%d: %q", resp.ProtoMajor, got)
		}
	}
	if err := ws.Write(t.Context(), websocket.MessageText, []byte("still")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := ws.Read(t.Context()); err != nil || string(got) != "still" {
		t.Errorf("tunnel: %q, %v", got, err)
	}
	select {
	case err := <-e.ran:
		t.Errorf("ended before its tunnel: %v", err)
		e.ran <- err
	default:
	}
	ws.CloseNow()
	e.stop()
}

func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, msg, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, msg) != nil {
			return
		}
	}
}

// What does not end in time is broken off, and everything is gone when Run returns.
func TestDrainTimeout(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echo(w, r)
			return
		}
		if r.URL.Path == "/begun" {
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	})
	e := start(t, newWorld(t, service(b), all()), func(c *Config) { c.DrainTimeout = 100 * time.Millisecond })
	ws, _, err := websocket.Dial(t.Context(), "ws://"+e.http, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	var wg sync.WaitGroup
	for _, h2 := range []bool{false, true} {
		for _, path := range []string{"/begun", "/"} {
			c := client(t, h2)
			wg.Go(func() {
				resp, err := c.Get("https://" + e.https + path)
				if err != nil {
					return
				}
				defer resp.Body.Close()
				if _, err := io.ReadAll(resp.Body); err == nil && resp.StatusCode == 200 {
					t.Errorf("%s h2=%v looks whole", path, h2)
				}
			})
		}
	}
	eventually(t, "all are going on", func() bool { return stats(e, "web/b0").InFlight == 5 })
	e.stop()
	wg.Wait()
	if _, _, err := ws.Read(t.Context()); err == nil {
		t.Error("the tunnel is still there")
	}
	if s := stats(e, "web/b0"); s.InFlight != 0 || s.Failures != 0 {
		t.Errorf("after the end: %+v", s)
	}
	if n := e.door.open.Load(); n != 0 {
		t.Errorf("%d connections of clients are left", n)
	}
}

func TestRunEndsWithABrokenListener(t *testing.T) {
	w := newWorld(t, service("127.0.0.1:1"), all())
	s, err := New(Config{HTTP: []string{"127.0.0.1:0"}, LameDuck: -1}, w.now.Load, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	s.plain[0].Close()
	if err := s.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "l7edge: serve 127.0.0.1:") {
		t.Errorf("%v", err)
	}
}

func TestListenBindsAllOrNothing(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	w := newWorld(t, service("127.0.0.1:1"), all())
	s, err := New(Config{HTTPS: []string{"127.0.0.1:0"}, SelfSigned: []string{"x"}, HTTP: []string{"127.0.0.1:0", taken.Addr().String()}}, w.now.Load, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("%v", err)
	}
	if https, plain := s.Addrs(); len(https)+len(plain) != 0 {
		t.Errorf("still bound: %v %v", https, plain)
	}
}
