package l7edge

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/meridian-gslb/meridian/l7edge/route"
)

// Each piece of a response reaches the client before the endpoint has sent the next, whether the length is known or not.
func TestResponsesStream(t *testing.T) {
	next := make(chan struct{})
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/sse":
			w.Header().Set("Content-Type", "text/event-stream")
		case "/known":
			w.Header().Set("Content-Length", "50")
		}
		for i := range 10 {
			fmt.Fprintf(w, "%04d\n", i)
			w.(http.Flusher).Flush()
			<-next
		}
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	for _, h2 := range []bool{false, true} {
		for _, path := range []string{"/sse", "/known", "/chunked"} {
			resp, err := client(t, h2).Get("https://" + e.https + path)
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(resp.Body)
			for i := range 10 {
				line, err := lines.ReadString('\n')
				if err != nil || line != fmt.Sprintf("%04d\n", i) {
					t.Fatalf("%s h2=%v: line %d is %q, %v", path, h2, i, line, err)
				}
				next <- struct{}{}
			}
			resp.Body.Close()
		}
	}
}

// Over HTTP/2 both directions of a request flow at once.
func TestBothDirectionsAtOnce(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.(http.Flusher).Flush()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintln(w, strings.ToUpper(lines.Text()))
			w.(http.Flusher).Flush()
		}
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	out, in := io.Pipe()
	resp, err := client(t, true).Post("https://"+e.https, "application/x-lines", out)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(resp.Body)
	for _, word := range []string{"one", "two", "three"} {
		fmt.Fprintln(in, word)
		if got, err := lines.ReadString('\n'); err != nil || got != strings.ToUpper(word)+"\n" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	in.Close()
	if rest, err := io.ReadAll(lines); err != nil || len(rest) != 0 {
		t.Errorf("%q, %v at the end", rest, err)
	}
	resp.Body.Close()
}

func TestTrailersOfResponses(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Announced")
		io.WriteString(w, "body")
		w.Header().Set("Announced", "1")
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	for _, h2 := range []bool{false, true} {
		resp, body := get(t, client(t, h2), "https://"+e.https)
		if body != "body" || resp.Trailer.Get("Announced") != "1" || resp.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("h2=%v: %q %v", h2, body, resp.Trailer)
		}
	}
}

// An informational response passes before the final one.
func TestEarlyHints(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	got := raw(t, e.http, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	hints := strings.Index(got, "HTTP/1.1 103 ")
	final := strings.Index(got, "HTTP/1.1 204 ")
	if hints != 0 || final < 0 || !strings.Contains(got[:final], "Link: </a.css>") {
		t.Errorf("%q", got)
	}
}

func TestResponseTimeout(t *testing.T) {
	b := backend(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	rule := all()
	rule.Timeout = 50 * time.Millisecond
	e := start(t, newWorld(t, service(b), rule), nil)
	for _, h2 := range []bool{false, true} {
		resp, err := client(t, h2).Post("https://"+e.https, "text/plain", strings.NewReader("whole"))
		if err != nil {
			t.Fatal(err)
		}
		if body := read(t, resp); resp.StatusCode != 504 || resp.Header.Get("Proxy-Status") != "meridian; error=http_response_timeout" {
			t.Errorf("h2=%v: %d %q %v", h2, resp.StatusCode, body, resp.Header)
		}
	}
	eventually(t, "both end", func() bool { return stats(e, "web/b0").InFlight == 0 })
	if f := stats(e, "web/b0").Failures; f != 2 {
		t.Errorf("%d failures counted, want 2", f)
	}
}

// The timeout ends with the header: a response may then take as long as it moves.
func TestTimeoutEndsWithTheHeader(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		for range 10 {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	})
	rule := all()
	rule.Timeout = 100 * time.Millisecond
	e := start(t, newWorld(t, service(b), rule), nil)
	if resp, body := get(t, client(t, true), "https://"+e.https); resp.StatusCode != 200 || len(body) != 10 {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

// A client that stops sending in the middle of a request is at fault itself.
func TestSlowClient(t *testing.T) {
	b := backend(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	rule := all()
	rule.Timeout = 50 * time.Millisecond
	e := start(t, newWorld(t, service(b), rule), nil)
	got := raw(t, e.http, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
	if !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, "Connection: close\r\n") {
		t.Errorf("%q", got)
	}
	if s := stats(e, "web/b0"); s.Failures != 0 {
		t.Errorf("the endpoint is blamed: %+v", s)
	}
}

// A response that stands still is broken off.
func TestIdleStream(t *testing.T) {
	gone := make(chan struct{}, 2)
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		gone <- struct{}{}
	})
	e := start(t, newWorld(t, service(b), all()), func(c *Config) { c.StreamIdleTimeout = 50 * time.Millisecond })
	for _, h2 := range []bool{false, true} {
		resp, err := client(t, h2).Get("https://" + e.https)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err == nil || string(body) != "x" {
			t.Errorf("h2=%v: %q, %v", h2, body, err)
		}
		resp.Body.Close()
		<-gone
	}
}

// A client that does not read holds its endpoint only so long.
func TestClientThatDoesNotRead(t *testing.T) {
	ended := make(chan struct{})
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		block := make([]byte, 64<<10)
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	e := start(t, newWorld(t, service(b), all()), func(c *Config) { c.StreamIdleTimeout = 100 * time.Millisecond })
	c, err := net.Dial("tcp", e.http)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-ended
}

// Nor does it hold the edge by not reading many small answers, and who reads late has time for each.
func TestClientThatDoesNotReadSmallAnswers(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
	})
	e := start(t, newWorld(t, service(b), route.Spec{Path: "/x", Service: "web"}),
		func(c *Config) { c.StreamIdleTimeout = 100 * time.Millisecond })
	patient, err := net.Dial("tcp", e.http)
	if err != nil {
		t.Fatal(err)
	}
	defer patient.Close()
	in := bufio.NewReader(patient)
	for _, path := range []string{"/", "/x", "/", "/x"} {
		io.WriteString(patient, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		read(t, resp)
		time.Sleep(120 * time.Millisecond) // longer than what one answer has
	}
	c, err := net.Dial("tcp", e.http)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(20 * time.Second))
	requests := strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1000)
	for {
		if _, err := io.WriteString(c, requests); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection stays open")
			}
			return
		}
	}
}

func TestWebSocket(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, msg, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, append([]byte("echo "), msg...)) != nil {
				return
			}
		}
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	for _, url := range []string{"ws://" + e.http, "wss://" + e.https} {
		hc := client(t, false)
		hc.Timeout = 0
		c, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPClient: hc})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if err := c.Write(t.Context(), websocket.MessageText, fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
			if _, got, err := c.Read(t.Context()); err != nil || string(got) != fmt.Sprint("echo ", i) {
				t.Fatalf("%q, %v", got, err)
			}
		}
		if n := e.carrier.tunnels.Load(); n != 1 {
			t.Errorf("%d tunnels, want 1", n)
		}
		if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Errorf("close: %v", err)
		}
		eventually(t, "the tunnel ends", func() bool { return e.carrier.tunnels.Load() == 0 && stats(e, "web/b0").InFlight == 0 })
	}
}

func TestIdleTunnel(t *testing.T) {
	gone := make(chan struct{})
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.Read(r.Context())
		close(gone)
	})
	e := start(t, newWorld(t, service(b), all()), func(c *Config) { c.StreamIdleTimeout = 50 * time.Millisecond })
	c, _, err := websocket.Dial(t.Context(), "ws://"+e.http, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if _, _, err := c.Read(t.Context()); err == nil {
		t.Error("a silent tunnel stays open")
	}
	<-gone
}

// Upgrades other than WebSocket are not tunnelled; neither is what the client did not ask for, nor another protocol than asked.
func TestUpgradesRefused(t *testing.T) {
	asked := make(chan string, 1)
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Upgrade") + r.Header.Get("Http2-Settings")
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
		io.Copy(io.Discard, conn) // until the edge closes it
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	for _, c := range []struct{ header, asked string }{
		{"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", ""},
		{"", ""},
		{"Connection: Upgrade\r\nUpgrade: websocket\r\n", "websocket"},
	} {
		conn, err := net.Dial("tcp", e.http)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", c.header)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 502 || resp.Header.Get("Proxy-Status") != "meridian; error=http_upgrade_failed" {
			t.Errorf("%q: %d %v", c.header, resp.StatusCode, resp.Header)
		}
		if got := <-asked; got != c.asked {
			t.Errorf("%q: the endpoint was asked for %q", c.header, got)
		}
		conn.Close()
	}
}
