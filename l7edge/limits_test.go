package l7edge

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestTooManyRequests(t *testing.T) {
	hold := make(chan struct{})
	b := backend(t, func(http.ResponseWriter, *http.Request) { <-hold })
	e := start(t, newWorld(t, service(b), all()), func(c *Config) { c.MaxRequests = 2 })
	c := client(t, true)
	done := make(chan struct{})
	for range 2 {
		go func() {
			if resp, err := c.Get("https://" + e.https); err == nil {
				resp.Body.Close()
			}
			done <- struct{}{}
		}()
	}
	eventually(t, "two are in flight", func() bool { return stats(e, "web/b0").InFlight == 2 })
	resp, _ := get(t, c, "https://"+e.https)
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("third of two: %d %v", resp.StatusCode, resp.Header)
	}
	if n := testutil.ToFloat64(e.carrier.metrics.rejected.WithLabelValues("overload")); n != 1 {
		t.Errorf("%v counted as rejected", n)
	}
	close(hold)
	<-done
	<-done
	if resp, _ := get(t, c, "https://"+e.https); resp.StatusCode != 200 {
		t.Errorf("after the rush: %d", resp.StatusCode)
	}
}

func TestTooManyConnections(t *testing.T) {
	e := start(t, newWorld(t, service(backend(t, says("x"))), all()), func(c *Config) { c.MaxConnections = 2 })
	var open []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", e.http)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	eventually(t, "both are in", func() bool { return e.door.open.Load() == 2 })
	for _, at := range []string{e.http, e.https} { // one limit for all listeners
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the third of two is served")
		}
		c.Close()
	}
	if n := testutil.ToFloat64(e.carrier.metrics.rejected.WithLabelValues("connections")); n != 2 {
		t.Errorf("%v counted as rejected", n)
	}
	open[0].Close()
	eventually(t, "there is room again", func() bool { return e.door.open.Load() == 1 })
	if _, body := get(t, client(t, true), "https://"+e.https); body != "x" {
		t.Errorf("after one left: %q", body)
	}
}

func TestLargeHeaders(t *testing.T) {
	e := start(t, newWorld(t, service(backend(t, says("x"))), all()), nil)
	many := http.Header{}
	for i := range 101 {
		many.Add("X-Many", fmt.Sprint(i))
	}
	for _, h2 := range []bool{false, true} {
		for _, c := range []struct {
			name   string
			h      http.Header
			status int
		}{
			{"30 KiB", http.Header{"X-Big": {strings.Repeat("x", 30<<10)}}, 200},
			{"40 KiB", http.Header{"X-Big": {strings.Repeat("x", 40<<10)}}, 431},
			{"101 fields", many, 431},
		} {
			req, _ := http.NewRequest("GET", "https://"+e.https, nil)
			req.Header = c.h.Clone()
			resp, err := client(t, h2).Do(req)
			if err != nil {
				if h2 && c.name == "40 KiB" { // Go's client knows the server's limit and does not send it
					continue
				}
				t.Fatalf("%s h2=%v: %v", c.name, h2, err)
			}
			if read(t, resp); resp.StatusCode != c.status {
				t.Errorf("%s h2=%v: %d, want %d", c.name, h2, resp.StatusCode, c.status)
			}
		}
	}
}

// A connection that sends no request, or a request bit by bit, is closed.
func TestSlowHeader(t *testing.T) {
	e := start(t, newWorld(t, service(backend(t, says("x"))), all()), func(c *Config) { c.ReadHeaderTimeout = 50 * time.Millisecond })
	for _, at := range []string{e.http, e.https} {
		for _, first := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\n", "\x16\x03\x01"} {
			got := raw(t, at, first)
			if strings.Contains(got, "200") {
				t.Errorf("%q: %q", first, got)
			}
		}
	}
}

// A client cannot hold a connection by never sending the rest of a request that is answered already.
func TestRestOfARequestThatNeverComes(t *testing.T) {
	w := newWorld(t, service("127.0.0.1:1"))
	cfg := Config{}.withDefaults()
	h := newCarrier(cfg, newCore(cfg, w.now.Load), slog.New(slog.DiscardHandler), nil)
	h.linger = 50 * time.Millisecond
	s := httptest.NewServer(h)
	defer s.Close()
	for _, length := range []string{"Content-Length: 10", "Transfer-Encoding: chunked"} {
		if got := raw(t, s.Listener.Addr().String(), "POST / HTTP/1.1\r\nHost: x\r\n"+length+"\r\n\r\n5\r\n"); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
			t.Errorf("%s: %q", length, got)
		}
	}
}

// What two servers could read in two ways is refused before it reaches an endpoint (RFC 9112 6.3, 2.2, 5.1).
func TestSmuggling(t *testing.T) {
	var reached atomic.Int32
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil && r.URL.Path != "/first" {
			reached.Add(1)
		}
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	const start, rest = "POST /smuggled HTTP/1.1\r\nHost: x\r\n", "\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, c := range []struct{ name, request string }{
		{"two lengths", start + "Content-Length: 5\r\nContent-Length: 6\r\n" + rest},
		{"two lengths in a line", start + "Content-Length: 5, 6\r\n" + rest},
		{"signed length", start + "Content-Length: +5\r\n" + rest},
		{"negative length", start + "Content-Length: -5\r\n" + rest},
		{"hex length", start + "Content-Length: 0x5\r\n" + rest},
		{"unknown coding", start + "Transfer-Encoding: xchunked\r\n" + rest},
		{"coding twice", start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" + rest},
		{"identity, chunked", start + "Transfer-Encoding: identity, chunked\r\n" + rest},
		{"coding with vertical tab", start + "Transfer-Encoding: \vchunked\r\n" + rest},
		{"space before colon", start + "Transfer-Encoding : chunked\r\n" + rest},
		{"folded coding", start + "X: 1\r\n Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n chunked,x\r\n" + rest},
		{"no host", "GET /smuggled HTTP/1.1\r\n\r\n"},
		{"two hosts", "GET /smuggled HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"},
		{"bad host", "GET /smuggled HTTP/1.1\r\nHost: x/y\r\n\r\n"},
		{"NUL in a value", start + "X: a\x00b\r\n\r\n"},
		{"bare CR in a value", start + "X: a\rContent-Length: 5\r\n\r\n"},
		{"space in the path", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"other version", "GET /smuggled HTTP/1.9x\r\nHost: x\r\n\r\n"},
	} {
		got := raw(t, e.http, c.request)
		if status, _, _ := strings.Cut(got, "\r\n"); !strings.HasPrefix(status, "HTTP/1.1 400 ") && !strings.HasPrefix(status, "HTTP/1.1 501 ") &&
			!strings.HasPrefix(status, "HTTP/1.1 505 ") {
			t.Errorf("%s: %q", c.name, got)
		}
		if strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("%s: more than one response: %q", c.name, got)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests reached the endpoint", n)
	}
}

// With both a length and chunks the chunks count, the length does not go on, and what follows is not taken for a request
// (RFC 9112 6.1). That there was a length net/http does not tell, so nothing follows any request in chunks, nor one of HTTP/1.0, which
// has no chunks.
func TestLengthAndChunks(t *testing.T) {
	got := make(chan string, 10)
	b := backend(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- fmt.Sprintf("%s %v %d %q", r.URL.Path, r.TransferEncoding, r.ContentLength, body)
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	const second = "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for _, c := range []struct {
		request string
		want    []string
	}{
		{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", []string{`/a [chunked] -1 "hello"`}},
		{"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n", []string{`/a [chunked] -1 "hello"`}},
		{"POST /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", []string{`/a [] 5 "hello"`}},
		{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", []string{`/a [] 5 "hello"`, `/b [] 0 ""`}}, // nothing odd about it
	} {
		answer := raw(t, e.http, c.request+second)
		var arrived []string
		for len(got) > 0 {
			arrived = append(arrived, <-got)
		}
		if !slices.Equal(arrived, c.want) || strings.Count(answer, "HTTP/1.") != len(c.want) || !strings.Contains(answer, "\r\nConnection: close\r\n") {
			t.Errorf("%q: the endpoint got %q, the client %q", c.request, arrived, answer)
		}
	}
}

// Over HTTP/2 too, a request says its length and its host once, and means it (RFC 9113 8.1.1, 8.3.1).
func TestOneLengthAndOneHost(t *testing.T) {
	var reached atomic.Int32
	b := backend(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		reached.Add(1)
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	request := func(method, authority string, fields ...string) []string {
		return append([]string{":method", method, ":scheme", "https", ":authority", authority, ":path", "/"}, fields...)
	}
	c := dialH2(t, e.https)
	stream := uint32(1)
	for _, tc := range []struct {
		name   string
		fields []string
		body   string // "" ends the stream with the header
		want   string // "refused": the stream is reset
	}{
		{"two lengths", request("POST", "x", "content-length", "5", "content-length", "6"), "hello", "refused"},
		{"two lengths, the other way", request("POST", "x", "content-length", "6", "content-length", "5"), "hello", "refused"},
		{"two lengths in one", request("POST", "x", "content-length", "5, 6"), "hello", "refused"},
		{"no number", request("POST", "x", "content-length", "five"), "hello", "refused"},
		{"signed", request("POST", "x", "content-length", "+5"), "hello", "refused"},
		{"a length and no body", request("POST", "x", "content-length", "10"), "", "refused"},
		{"a GET with a length and no body", request("GET", "x", "content-length", "10"), "", "refused"},
		{"another host", request("GET", "x", "host", "y"), "", "400"},
		{"two hosts", request("GET", "x", "host", "x", "host", "y"), "", "400"},
		{"no host", []string{":method", "GET", ":scheme", "https", ":path", "/"}, "", "400"},
		{"an empty host", request("GET", ""), "", "400"},
		{"spaces and a path", request("GET", "a b /x"), "", "400"},
		{"a path", request("GET", "a/x"), "", "400"},
		{"a bad port", request("GET", "a:b"), "", "400"},
		{"a large port", request("GET", "a:99999"), "", "400"},
		{"an encoding", request("GET", "%61"), "", "400"},
		{"a list", request("GET", "a,b"), "", "400"},
		{"an IPv6 address without brackets", request("GET", "2001:db8::1"), "", "400"},
		{"a zone", request("GET", "[fe80::1%25eth0]"), "", "400"},
		{"no method at all", request("a b", "x"), "", "400"},
		{"a method of two lines", request("GET\r\nX:", "x"), "", "refused"},
		{"a whole URL for a path", []string{":method", "GET", ":scheme", "https", ":authority", "x", ":path", "http://y/"}, "", "refused"},
		{"the same host twice", request("GET", "x:1", "host", "x:1"), "", "200"},
		{"host alone", []string{":method", "GET", ":scheme", "https", ":path", "/", "host", "x"}, "", "200"},
		{"an address", request("GET", "[2001:db8::1]:443"), "", "200"},
		{"a name with _", request("GET", "a_b.test.:1"), "", "200"},
		{"a length", request("POST", "x", "content-length", "5"), "hello", "200"},
		{"no length", request("POST", "x"), "hello", "200"},
		{"no body, and a length that says so", request("POST", "x", "content-length", "0"), "", "200"},
	} {
		reached.Store(0)
		if err := c.headers(stream, tc.body == "", tc.fields...); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if tc.body != "" {
			if err := c.WriteData(stream, true, []byte(tc.body)); err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
		}
		if got := c.answer(stream); got != tc.want && (tc.want != "refused" || got != "RST_STREAM PROTOCOL_ERROR") {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if n := reached.Load(); n == 1 != (tc.want == "200") || n > 1 {
			t.Errorf("%s: reached the endpoint %d times", tc.name, n)
		}
		stream += 2
	}
	if got := stats(e, "web/b0"); got.Failures != 0 || got.ConnectFailures != 0 {
		t.Errorf("the endpoint is blamed: %+v", got)
	}
	for _, host := range []string{"", "a,b", "a:b", "%61", "2001:db8::1"} {
		if got := raw(t, e.http, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("HTTP/1.1 host %q: %q", host, got)
		}
	}
	if got := raw(t, e.http, "GET / HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 200 ") {
		t.Errorf("HTTP/1.0 without a host: %q", got)
	}
}

// A request that goes wrong ends its connection over HTTP/1.1, where the next could not be told from what is left of it, and its
// stream alone over HTTP/2.
func TestABadBodyEndsTheStream(t *testing.T) {
	b := backend(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	rule := all()
	rule.Timeout = 100 * time.Millisecond
	e := start(t, newWorld(t, service(b), rule), nil)
	c := dialH2(t, e.https)
	post := []string{":method", "POST", ":scheme", "https", ":authority", "x", ":path", "/", "content-length", "10"}
	c.headers(1, false, post...)
	c.WriteData(1, true, []byte("short"))
	if got := c.answer(1); got != "RST_STREAM PROTOCOL_ERROR" {
		t.Errorf("short body: %s", got)
	}
	c.headers(3, false, post...)
	c.WriteData(3, false, []byte("slow"))
	if got := c.answer(3); got != "408" {
		t.Errorf("slow body: %s", got)
	}
	c.headers(5, false, append(post, "content-length", "11")...)
	if got := c.answer(5); got != "RST_STREAM PROTOCOL_ERROR" {
		t.Errorf("two lengths: %s", got)
	}
	c.headers(7, true, ":method", "GET", ":scheme", "https", ":authority", "x", ":path", "/")
	if got := c.answer(7); got != "200" {
		t.Errorf("the next request on the connection: %s", got)
	}
	const next = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, body := range []string{"Transfer-Encoding: chunked\r\n\r\nx\r\n", "Content-Length: 10\r\n\r\nslow"} {
		got := raw(t, e.http, "POST / HTTP/1.1\r\nHost: x\r\n"+body)
		if strings.Count(got, "HTTP/1.1 4") != 1 || !strings.Contains(got, "\r\nConnection: close\r\n") {
			t.Errorf("%q: %q", body, got)
		}
	}
	if got := raw(t, e.http, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"+next); strings.Count(got, "HTTP/1.1 ") != 1 {
		t.Errorf("more than one response: %q", got)
	}
}

// Broken chunks end the request with an error, and the connection with it.
func TestBrokenChunks(t *testing.T) {
	whole := make(chan bool, 10)
	b := backend(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		whole <- err == nil
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	for _, chunks := range []string{"xyz\r\nhello\r\n0\r\n\r\n", "5\r\nhelloGET / HTTP/1.1\r\n\r\n", "-1\r\n\r\n", "fffffffffffffffff\r\n"} {
		got := raw(t, e.http, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+chunks)
		if !strings.HasPrefix(got, "HTTP/1.1 400 ") || strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("%q: %q", chunks, got)
		}
	}
	eventually(t, "all end", func() bool { return stats(e, "web/b0").InFlight == 0 })
	for len(whole) > 0 {
		if <-whole {
			t.Error("a broken request looked whole to the endpoint")
		}
	}
}

// A response that lies about its length does not poison the next.
func TestResponseWithBadFraming(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				io.WriteString(c, <-answers)
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	e := start(t, newWorld(t, service(l.Addr().String()), all()), nil)
	for _, c := range []struct {
		answer string
		status int
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 502},
		{"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc", 502},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 502},
		{"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", 502},
		{"garbage\r\n\r\n", 502},
		{"", 502},
		{"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10) + "\r\n\r\n", 502},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", 200},
	} {
		answers <- c.answer
		resp, body := get(t, client(t, true), "https://"+e.https)
		if resp.StatusCode != c.status || c.status == 200 && body != "ok" {
			t.Errorf("%.60q: %d %q", c.answer, resp.StatusCode, body)
		}
	}
}
