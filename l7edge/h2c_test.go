package l7edge

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/l7edge/route"
	"github.com/meridian-gslb/meridian/l7edge/upstream"
)

// overH2C routes every request to the service "web" over HTTP/2 without TLS.
func overH2C() route.Spec { return route.Spec{Service: "web", Protocol: route.H2C, Retries: -1} }

// An h2cBackend is a server that speaks nothing but HTTP/2 without TLS.
type h2cBackend struct {
	at          string
	open, total atomic.Int32 // connections
}

func newH2C(t testing.TB, streams int, f http.HandlerFunc) *h2cBackend {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &h2cBackend{at: l.Addr().String()}
	s := &http.Server{
		Handler: f, ReadHeaderTimeout: time.Minute,
		Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: streams},
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				b.open.Add(1)
				b.total.Add(1)
			case http.StateClosed:
				b.open.Add(-1)
			}
		},
	}
	s.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() { s.Serve(l); close(done) }()
	t.Cleanup(func() { s.Close(); <-done })
	return b
}

func TestH2CCarriesRequests(t *testing.T) {
	b := newH2C(t, 100, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(w, "%s %s %s %s %s|%s|%s %d", r.Proto, r.Method, r.Host, r.RequestURI,
			r.Header.Get("X-Forwarded-For"), r.Header.Get("Via"), r.Header.Get("X-Forwarded-Proto"), len(body))
	})
	e := start(t, newWorld(t, service(b.at), overH2C()), nil)
	for _, c := range []struct {
		h2  bool
		url string
		via string
	}{{false, "http://" + e.http, "1.1"}, {false, "https://" + e.https, "1.1"}, {true, "https://" + e.https, "2.0"}} {
		hc := client(t, c.h2)
		scheme, _, _ := strings.Cut(c.url, ":")
		for _, n := range []int{0, 1, 300_000} {
			req, err := http.NewRequest("POST", c.url+"/a%2Fb/../c?x=1;y", strings.NewReader(strings.Repeat("x", n)))
			if err != nil {
				t.Fatal(err)
			}
			req.Host = "name.test"
			resp, err := hc.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("HTTP/2.0 POST name.test /c?x=1;y 127.0.0.1|%s meridian|%s %d", c.via, scheme, n)
			if got := read(t, resp); resp.StatusCode != 200 || got != want {
				t.Errorf("%d %q, want %q", resp.StatusCode, got, want)
			}
		}
	}
	if n := b.total.Load(); n != 2 {
		t.Errorf("%d connections for requests one after another, want one for each protocol of clients", n)
	}
	if got := stats(e, "web/b0"); got != (upstream.Stats{Name: "web/b0", Requests: 9}) {
		t.Errorf("%+v", got)
	}
}

// What gRPC needs: messages in both directions at once, a trailer that nobody announced, "te: trailers", and responses that are a
// header alone.
func TestH2CCarriesGRPC(t *testing.T) {
	b := newH2C(t, 100, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		if r.Header.Get("Te") != "trailers" || r.Header.Get("Grpc-Timeout") != "10S" {
			w.Header().Set("Grpc-Status", "3")
			return
		}
		if r.URL.Path == "/s.S/None" {
			w.Header().Set("Grpc-Status", "12")
			return
		}
		w.(http.Flusher).Flush()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintln(w, strings.ToUpper(lines.Text()))
			w.(http.Flusher).Flush()
		}
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", "fine")
	})
	e := start(t, newWorld(t, service(b.at), overH2C()), nil)
	c := client(t, true)
	call := func(method string, body io.Reader) *http.Response {
		t.Helper()
		req, err := http.NewRequest("POST", "https://"+e.https+method, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "Grpc-Timeout": {"10S"}}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}

	out, in := io.Pipe()
	resp := call("/s.S/Echo", out)
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
	if resp.Header.Get("Content-Type") != "application/grpc" || resp.Trailer.Get("Grpc-Status") != "0" || resp.Trailer.Get("Grpc-Message") != "fine" {
		t.Errorf("%v, trailer %v", resp.Header, resp.Trailer)
	}

	resp = call("/s.S/None", strings.NewReader("x"))
	if body := read(t, resp); body != "" || resp.StatusCode != 200 || resp.Header.Get("Grpc-Status") != "12" || len(resp.Trailer) > 0 {
		t.Errorf("%q %v, trailer %v", body, resp.Header, resp.Trailer)
	}
	if got := stats(e, "web/b0"); got.Requests != 2 || got.Failures != 0 || got.InFlight != 0 {
		t.Errorf("%+v", got)
	}
}

// The announced trailer of a request reaches an endpoint over HTTP/2, but for what a trailer must not say; over HTTP/1.1 none does.
func TestTrailersOfRequests(t *testing.T) {
	tell := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		var fields []string
		for name, values := range r.Trailer {
			fields = append(fields, name+"="+strings.Join(values, "+"))
		}
		slices.Sort(fields)
		fmt.Fprintf(w, "%s: %s", body, strings.Join(fields, " "))
	}
	rules := []route.Spec{overH2C(), {Path: "/h1", Service: "old", Retries: -1}}
	spec := service(newH2C(t, 100, tell).at)
	spec.Services = append(spec.Services, service(backend(t, tell)).Services[0])
	spec.Services[1].Name = "old"
	e := start(t, newWorld(t, spec, rules...), nil)

	for _, h2 := range []bool{false, true} {
		for path, want := range map[string]string{"/": "body: Checksum=abc Twice=1+2", "/h1": "body: "} {
			req, err := http.NewRequest("POST", "https://"+e.https+path, io.NopCloser(strings.NewReader("body"))) // of unknown length
			if err != nil {
				t.Fatal(err)
			}
			req.Trailer = http.Header{"Checksum": {"abc"}, "Twice": {"1", "2"}, "X-Forwarded-For": {"192.0.2.1"}, "Under_score": {"1"}, "Via": {"2.0 x"}}
			resp, err := client(t, h2).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, resp); got != want {
				t.Errorf("h2=%v %s: %q, want %q", h2, path, got, want)
			}
		}
	}
	// An announcement that nothing follows must not keep the endpoint waiting.
	for _, request := range []string{
		"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTrailer: Checksum\r\nContent-Length: 0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTrailer: Checksum\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTrailer: Checksum\r\n\r\n",
	} {
		if got := raw(t, e.http, request); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("%q got %q", request, got)
		}
	}
}

func TestTrailingFields(t *testing.T) {
	for name, want := range map[string]bool{
		"Checksum": true, "Grpc-Status": true, "Etag": true, "Server-Timing": true,
		"Content-Length": false, "Content-Type": false, "Transfer-Encoding": false, "Host": false, "Trailer": false, "Te": false, "Via": false,
		"Authorization": false, "Proxy-Authorization": false, "Cookie": false, "If-Match": false, "Range": false, "Cache-Control": false,
		"X-Forwarded-For": false, "X-Forwarded-Anything": false, "Forwarded": false, "X-Real-Ip": false, "Under_score": false,
	} {
		if got := trails(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := trailerOf(&http.Request{Trailer: http.Header{"Via": nil}}); got != nil {
		t.Errorf("a trailer of nothing: %v", got)
	}
}

func TestH2CRetriesAndAccounts(t *testing.T) {
	var got atomic.Int32
	b := newH2C(t, 100, func(w http.ResponseWriter, r *http.Request) {
		got.Add(1)
		switch body, err := io.ReadAll(r.Body); {
		case err != nil || len(body) != 100_000 || r.URL.Path == "/reset":
			panic(http.ErrAbortHandler)
		case r.URL.Path == "/half":
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case r.URL.Path == "/500":
			w.WriteHeader(500)
		}
	})
	e := start(t, newWorld(t, service(nowhere(t), b.at), overH2C()), nil)
	c := client(t, true)
	post := func(path string) (int, error) {
		t.Helper()
		resp, err := c.Post("https://"+e.https+path, "text/plain", strings.NewReader(strings.Repeat("x", 100_000)))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
	for range 20 {
		if status, err := post("/"); status != 200 || err != nil {
			t.Fatal(status, err)
		}
	}
	if status, err := post("/reset"); status != 502 || err != nil {
		t.Errorf("reset: %d, %v", status, err)
	}
	if status, err := post("/500"); status != 500 || err != nil {
		t.Errorf("500: %d, %v", status, err)
	}
	if _, err := post("/half"); err == nil {
		t.Error("half a response looks whole")
	}
	if got.Load() != 23 {
		t.Errorf("the endpoint got %d of 23 requests", got.Load())
	}
	eventually(t, "all end", func() bool { return e.carrier.handlers.Load() == 0 })
	down, up := stats(e, "web/b0"), stats(e, "web/b1")
	if down.ConnectFailures == 0 || down.ConnectFailures != down.Requests || e.carrier.core.retries.Load() != down.Requests {
		t.Errorf("%d retries, %+v", e.carrier.core.retries.Load(), down)
	}
	if want := (upstream.Stats{Name: "web/b1", Requests: 23, ServerErrors: 1, Failures: 2}); up != want {
		t.Errorf("%+v, want %+v", up, want)
	}
}

// An endpoint that takes few streams at a time gets more connections, and one that sends GOAWAY after each response new ones.
func TestH2COpensConnectionsAsNeeded(t *testing.T) {
	var inside, served atomic.Int32
	together := make(chan struct{})
	b := newH2C(t, 10, func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		switch r.URL.Path {
		case "/together":
			if inside.Add(1) == 45 {
				close(together)
			}
			<-together
		case "/leave":
			w.Header().Set("Connection", "close") // net/http makes a GOAWAY of it
		}
	})
	e := start(t, newWorld(t, service(b.at), overH2C()), nil)
	c := client(t, true)
	get(t, c, "https://"+e.https) // learns the limit
	var wg sync.WaitGroup
	for range 45 {
		wg.Go(func() {
			if resp, err := c.Get("https://" + e.https + "/together"); err != nil {
				t.Error(err)
			} else if resp.Body.Close(); resp.StatusCode != 200 {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
	wg.Wait()
	if n := b.total.Load(); n < 5 {
		t.Errorf("45 streams at once over %d connections of 10 each", n)
	}
	for range 50 {
		if resp, _ := get(t, c, "https://"+e.https+"/leave"); resp.StatusCode != 200 {
			t.Fatalf("get: status %d", resp.StatusCode)
		}
		resp, err := c.Post("https://"+e.https+"/leave", "text/plain", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		if read(t, resp); resp.StatusCode != 200 {
			t.Fatalf("post: status %d", resp.StatusCode)
		}
	}
	// Streams that a new connection turns out to have no room for are refused, and sent again.
	if got, again := stats(e, "web/b0"), e.carrier.core.retries.Load(); got.Failures != 0 || got.Requests != 146+again || served.Load() != 146 {
		t.Errorf("%d retries, %d arrived, %+v", again, served.Load(), got)
	}
}

// A connection to an endpoint that is gone is closed when its last stream has ended.
func TestH2CConnectionsFollowThePlan(t *testing.T) {
	hold := make(chan struct{})
	old := newH2C(t, 100, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-hold
		io.WriteString(w, "old")
	})
	w := newWorld(t, service(old.at), overH2C())
	e := start(t, w, nil)
	c := client(t, true)
	slow, err := c.Get("https://" + e.https)
	if err != nil {
		t.Fatal(err)
	}
	w.set(service(newH2C(t, 100, says("new")).at), overH2C())
	for range 10 {
		if _, body := get(t, c, "https://"+e.https); body != "new" {
			t.Fatalf("answered by %s", body)
		}
	}
	e.carrier.links.sweep(e.carrier.core.view())
	close(hold)
	if got := read(t, slow); got != "old" {
		t.Errorf("the running request got %q", got)
	}
	eventually(t, "the connection is closed", func() bool { return old.open.Load() == 0 })
}

func TestH2CDrains(t *testing.T) {
	arrived, hold := make(chan struct{}), make(chan struct{})
	b := newH2C(t, 100, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-hold
		io.WriteString(w, "whole")
	})
	e := start(t, newWorld(t, service(b.at), overH2C()), nil)
	c := client(t, true)
	got := make(chan string)
	go func() {
		resp, err := c.Get("https://" + e.https)
		if err != nil {
			got <- err.Error()
			return
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		got <- string(body)
	}()
	<-arrived
	e.quit()
	eventually(t, "the edge leaves", func() bool { return e.door.closing.Load() })
	close(hold)
	if body := <-got; body != "whole" {
		t.Errorf("got %q", body)
	}
	e.stop()
	eventually(t, "connections to the endpoint are closed", func() bool { return b.open.Load() == 0 })
}

// A client that goes away, and a clock that runs out, end the stream to the endpoint but not the connection.
func TestH2CResetsStreams(t *testing.T) {
	arrived, told := make(chan struct{}, 2), make(chan struct{}, 2)
	b := newH2C(t, 100, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/hang" {
			return
		}
		arrived <- struct{}{}
		<-r.Context().Done()
		told <- struct{}{}
	})
	rule := overH2C()
	rule.Timeout = 200 * time.Millisecond
	e := start(t, newWorld(t, service(b.at), rule), nil)
	c := client(t, true)

	if resp, _ := get(t, c, "https://"+e.https+"/hang"); resp.StatusCode != 504 {
		t.Errorf("status %d", resp.StatusCode)
	}
	<-told
	<-arrived

	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", "https://"+e.https+"/hang", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-arrived; cancel() }()
	if resp, err := c.Do(req); err == nil {
		resp.Body.Close()
		t.Error("no error for a request given up")
	}
	<-told
	eventually(t, "both end", func() bool { return e.carrier.handlers.Load() == 0 })
	get(t, c, "https://"+e.https)
	if got := stats(e, "web/b0"); got != (upstream.Stats{Name: "web/b0", Requests: 3, Failures: 1}) {
		t.Errorf("%+v", got)
	}
	if n := b.total.Load(); n != 1 {
		t.Errorf("%d connections, want one to the end", n)
	}
}

// HTTP/2 has no Upgrade, so a client that wants a WebSocket is told, and the endpoint is not bothered.
func TestH2CCarriesNoWebSocket(t *testing.T) {
	var got atomic.Int32
	e := start(t, newWorld(t, service(newH2C(t, 100, func(http.ResponseWriter, *http.Request) { got.Add(1) }).at), overH2C()), nil)
	const handshake = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close%s\r\nUpgrade: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	answer := raw(t, e.http, fmt.Sprintf(handshake, ", Upgrade", "WebSocket"))
	if !strings.HasPrefix(answer, "HTTP/1.1 501 ") || !strings.Contains(answer, "Proxy-Status: meridian; error=http_request_denied\r\n") || got.Load() != 0 {
		t.Errorf("%d requests, %q", got.Load(), answer)
	}
	for i, request := range []string{fmt.Sprintf(handshake, "", "websocket"), fmt.Sprintf(handshake, ", upgrade", "h2c")} { // no upgrade, an upgrade that is ignored
		if answer := raw(t, e.http, request); !strings.HasPrefix(answer, "HTTP/1.1 200 ") || int(got.Load()) != i+1 {
			t.Errorf("%q got %q", request, answer)
		}
	}
}

// An endpoint that speaks the other version is broken, not silent.
func TestWrongProtocol(t *testing.T) {
	for name, c := range map[string]struct {
		at   string
		rule route.Spec
	}{"h2c to HTTP/1.1": {backend(t, says("x")), overH2C()}, "HTTP/1.1 to h2c": {newH2C(t, 100, says("x")).at, all()}} {
		e := start(t, newWorld(t, service(c.at), c.rule), nil)
		resp, _ := get(t, client(t, true), "https://"+e.https)
		if resp.StatusCode != 502 || resp.Header.Get("Proxy-Status") != "meridian; error=connection_terminated" {
			t.Errorf("%s: %d %v", name, resp.StatusCode, resp.Header)
		}
		if got := stats(e, "web/b0"); got.Failures != 1 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
