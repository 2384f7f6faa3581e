package l7edge

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/meridian-gslb/meridian/l7edge/route"
)

// listen serves TCP connections one by one, each in its own goroutine, until the test ends.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() { defer c.Close(); serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// A request reaches an endpoint once, however many connections that die under it the pool has: nobody but the endpoint knows what it did.
func TestARequestArrivesOnce(t *testing.T) {
	const warm = 8
	var mu sync.Mutex
	var arrived []string
	hold := make(chan chan struct{}, 1)
	at := listen(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			head := ""
			for !strings.HasSuffix(head, "\r\n\r\n") {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				head += line
			}
			if !strings.Contains(head, "/warm") {
				mu.Lock()
				arrived = append(arrived, head)
				mu.Unlock()
				return
			}
			gate := <-hold
			hold <- gate
			<-gate
			io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
		}
	})
	e := start(t, newWorld(t, service(at), all()), nil)
	c := client(t, true)
	for _, tc := range []struct {
		method, field string
		lengths       []string
	}{
		{"GET", "", nil}, {"HEAD", "", nil}, {"OPTIONS", "", nil}, {"DELETE", "", nil}, {"PURGE", "", nil},
		{"POST", "", []string{"0"}}, {"PUT", "Idempotency-Key", []string{"0"}}, {"POST", "X-Idempotency-Key", []string{"0"}},
		{"GET", "Idempotency-Key", nil}, {"GET", "Expect", nil},
	} {
		gate := make(chan struct{})
		hold <- gate
		var wg sync.WaitGroup
		for range warm {
			wg.Go(func() { get(t, c, "https://"+e.https+"/warm") })
		}
		eventually(t, "all are inside", func() bool { return stats(e, "web/b0").InFlight == warm })
		close(gate)
		wg.Wait()
		<-hold
		before := stats(e, "web/b0")

		req, err := http.NewRequest(tc.method, "https://"+e.https+"/cold", nil)
		if err != nil {
			t.Fatal(err)
		}
		if tc.field != "" {
			req.Header.Set(tc.field, "100-continue")
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		read(t, resp)
		mu.Lock()
		got := arrived
		arrived = nil
		mu.Unlock()
		if resp.StatusCode != 502 || len(got) != 1 {
			t.Errorf("%s %s: %d after %d arrivals, want 502 after 1", tc.method, tc.field, resp.StatusCode, len(got))
			continue
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(got[0])))
		if err != nil {
			t.Fatalf("%q: %v", got[0], err)
		}
		if !slices.Equal(r.Header["Content-Length"], tc.lengths) || strings.Contains(strings.ToLower(got[0]), "transfer-encoding") {
			t.Errorf("%s: %q", tc.method, got[0])
		}
		if tc.field != "" && tc.field != "Expect" && r.Header.Get(tc.field) != "100-continue" {
			t.Errorf("%s: no %s in %q", tc.method, tc.field, got[0])
		}
		after := stats(e, "web/b0")
		if after.Requests != before.Requests+1 || after.Failures != before.Failures+1 || e.carrier.core.retries.Load() != 0 {
			t.Errorf("%s: %d retries, %+v after %+v", tc.method, e.carrier.core.retries.Load(), after, before)
		}
	}
}

// A connection that is closed before it takes any of a request costs the client nothing.
func TestClosedConnectionsAreReplaced(t *testing.T) {
	var mu sync.Mutex
	var conns []*counted
	var arrived atomic.Int32
	gate := make(chan struct{})
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			<-gate
			return
		}
		arrived.Add(1)
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	c := client(t, true)
	get(t, c, "https://"+e.https)
	e.carrier.links.byKey.Range(func(_, v any) bool {
		tr := v.(*link).transport
		tr.CloseIdleConnections()
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err == nil {
				mu.Lock()
				conns = append(conns, conn.(*counted))
				mu.Unlock()
			}
			return conn, err
		}
		return true
	})
	breakAll := func() int {
		mu.Lock()
		defer mu.Unlock()
		n := len(conns)
		for _, conn := range conns {
			conn.SetWriteDeadline(time.Unix(1, 0))
		}
		conns = nil
		return n
	}
	for i, body := range []string{"", "", "a body", strings.Repeat("x", 100_000)} {
		before, retries, n := stats(e, "web/b0"), e.carrier.core.retries.Load(), arrived.Load()
		broken := uint64(breakAll())
		method := "GET"
		if i > 0 {
			method = "POST"
		}
		req, err := http.NewRequest(method, "https://"+e.https, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, resp); resp.StatusCode != 200 || got != body {
			t.Errorf("%s of %d bytes: %d with %d", method, len(body), resp.StatusCode, len(got))
		}
		after := stats(e, "web/b0")
		// What has no body, and may not be repeated at will, net/http sends again itself, which only it can count.
		if i != 1 && (after.Requests != before.Requests+1+broken || e.carrier.core.retries.Load() != retries+broken) {
			t.Errorf("%s of %d bytes over %d broken connections: %d retries, %+v after %+v", method, len(body), broken,
				e.carrier.core.retries.Load()-retries, after, before)
		}
		if after.Failures != 0 || arrived.Load() != n+1 {
			t.Errorf("%d arrived, %+v", arrived.Load()-n, after)
		}
	}

	// Not for ever.
	var wg sync.WaitGroup
	for range maxRepeats + 3 {
		wg.Go(func() { get(t, c, "https://"+e.https+"/hold") })
	}
	eventually(t, "all are inside", func() bool { return stats(e, "web/b0").InFlight == maxRepeats+3 })
	close(gate)
	wg.Wait()
	breakAll()
	before := stats(e, "web/b0")
	resp, _ := get(t, c, "https://"+e.https)
	if got := stats(e, "web/b0"); resp.StatusCode != 502 || got.Requests != before.Requests+1+maxRepeats {
		t.Errorf("%d, %+v after %+v", resp.StatusCode, got, before)
	}
}

// Over HTTP/2 an endpoint says which requests it did not act on. Those alone are sent again.
func TestH2CRepeatsWhatWasNotActedOn(t *testing.T) {
	const refuse, ignore, reset = "REFUSED_STREAM", "GOAWAY", "PROTOCOL_ERROR"
	var todo atomic.Value
	var arrived atomic.Int32
	at := listen(t, func(c net.Conn) {
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		f := newFramed(c)
		f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			h, ok := frame.(*http2.MetaHeadersFrame)
			if !ok {
				continue
			}
			arrived.Add(1)
			switch todo.Swap("") {
			case refuse:
				f.WriteRSTStream(h.StreamID, http2.ErrCodeRefusedStream)
			case reset:
				f.WriteRSTStream(h.StreamID, http2.ErrCodeProtocol)
			case ignore:
				f.WriteGoAway(0, http2.ErrCodeNo, nil)
			default:
				f.headers(h.StreamID, true, ":status", "204")
			}
		}
	})
	e := start(t, newWorld(t, service(at), route.Spec{Service: "web", Protocol: route.H2C, Retries: 0}), nil)
	hc := client(t, true)
	for _, c := range []struct {
		first   string
		body    string
		status  int
		arrived int32
	}{
		{"", "", 204, 1}, {refuse, "", 204, 2}, {ignore, "", 204, 2}, {reset, "", 502, 1},
		{refuse, "body", 502, 1}, {ignore, "body", 502, 1}, {reset, "body", 502, 1},
	} {
		todo.Store(c.first)
		arrived.Store(0)
		before, retries := stats(e, "web/b0"), e.carrier.core.retries.Load()
		resp, err := hc.Post("https://"+e.https, "text/plain", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		read(t, resp)
		again := uint64(c.arrived - 1)
		if got := stats(e, "web/b0"); resp.StatusCode != c.status || arrived.Load() != c.arrived || got.Requests != before.Requests+1+again ||
			e.carrier.core.retries.Load() != retries+again {
			t.Errorf("%s %q: %d after %d arrivals, %d retries, %+v after %+v", c.first, c.body, resp.StatusCode, arrived.Load(),
				e.carrier.core.retries.Load()-retries, got, before)
		}
	}
}

// The watch finds resets wherever the pieces of what arrives begin and end.
func TestFrameWatch(t *testing.T) {
	frame := func(kind byte, payload ...byte) []byte {
		head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
		return append(append(head, 0, 0, 0, 0, 1), payload...)
	}
	var all []byte
	for _, f := range [][]byte{
		frame(4), frame(3, 0, 0, 0, 1), frame(0, make([]byte, 300)...), frame(3, 0, 0, 0, 7), frame(3, 0, 0, 0, 1), frame(3, 0, 1), frame(0, 3, 0, 0, 0, 1),
		frame(3, 0, 0, 0, 1), frame(6, 0, 0, 0, 0, 0, 0, 0, 0),
	} {
		all = append(all, f...)
	}
	for size := 1; size <= len(all); size++ {
		var w frameWatch
		for piece := range slices.Chunk(all, size) {
			w.read(piece)
		}
		if n := w.resets.Load(); n != 3 {
			t.Errorf("in pieces of %d: %d resets, want 3", size, n)
		}
	}
}
