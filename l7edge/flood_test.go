package l7edge

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
)

// calm measures what a flood costs: it returns what fails the test if there are many goroutines or much memory more, once the flood
// has ended. Memory is that of the attacker too, which is in this process.
func calm(t *testing.T) func() {
	t.Helper()
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	return func() {
		t.Helper()
		eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() < goroutines+50 })
		runtime.GC()
		var after runtime.MemStats
		runtime.ReadMemStats(&after)
		if more := int64(after.HeapAlloc) - int64(before.HeapAlloc); more > 16<<20 {
			t.Errorf("%d MiB more", more>>20)
		}
	}
}

// An ending is how the edge ended a connection.
type ending struct {
	told atomic.Bool   // GOAWAY came; what is sent after it is thrown away
	code http2.ErrCode // of GOAWAY, if it came
	done chan struct{} // closed when the connection is
}

// watchEnd reads a connection until the edge ends it.
func watchEnd(f *framed) *ending {
	e := &ending{done: make(chan struct{})}
	go func() {
		defer close(e.done)
		for {
			frame, err := f.ReadFrame()
			var stream http2.StreamError
			if errors.As(err, &stream) {
				continue
			}
			if err != nil {
				return
			}
			if g, ok := frame.(*http2.GoAwayFrame); ok {
				e.code = g.ErrCode
				e.told.Store(true)
			}
		}
	}()
	return e
}

// A client that opens streams only to reset them (CVE-2023-44487) loses its connection, having cost no more than its streams.
func TestRapidReset(t *testing.T) {
	const streams = 4
	b := backend(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	e := start(t, newWorld(t, service(b), all()), func(c *Config) {
		c.MaxStreams, c.MaxIdleConnections = streams, 8 // connections that a request began to make and did not wait for are kept idle
	})
	check := calm(t)
	c := dialH2(t, e.https)
	end := watchEnd(c)
	const most = 200_000
	n, peak := 0, int64(0)
	for ; n < most && !end.told.Load(); n++ {
		stream := uint32(2*n + 1)
		if c.headers(stream, true, ":method", "GET", ":scheme", "https", ":authority", "x", ":path", "/") != nil ||
			c.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
			break
		}
		peak = max(peak, e.carrier.handlers.Load())
	}
	<-end.done
	c.conn.Close()
	if n == most {
		t.Errorf("still served after %d streams", n)
	}
	if end.told.Load() && end.code != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("GOAWAY %v", end.code)
	}
	if peak > streams {
		t.Errorf("%d requests at once, want at most %d", peak, streams)
	}
	check()
}

// A header that never ends (CVE-2023-45288) ends the connection when it has grown past the limit.
func TestContinuationFlood(t *testing.T) {
	e := start(t, newWorld(t, service(backend(t, says("x"))), all()), nil)
	check := calm(t)
	c := dialH2(t, e.https)
	end := watchEnd(c)
	fields := make([]string, 0, 200)
	for range 100 {
		fields = append(fields, "x-field", strings.Repeat("v", 100)) // indexed after the first, so small
	}
	err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true,
		BlockFragment: c.block(":method", "GET", ":scheme", "https", ":authority", "x", ":path", "/")})
	sent, most := 0, 8<<20
	for err == nil && sent < most && !end.told.Load() {
		block := c.block(fields...)
		if sent += len(block); len(block) == 0 {
			t.Fatal("nothing to send")
		}
		err = c.WriteContinuation(1, false, block)
	}
	<-end.done
	c.conn.Close()
	if sent >= most {
		t.Errorf("still reading after %d bytes", sent)
	}
	if n := e.carrier.handlers.Load(); n != 0 {
		t.Errorf("%d requests came of it", n)
	}
	check()
	// A connection beside it is served.
	resp, err := client(t, true).Get("https://" + e.https)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "x" {
		t.Errorf("%q, %v", body, err)
	}
	resp.Body.Close()
}
