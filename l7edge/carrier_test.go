package l7edge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/meridian-gslb/meridian/l7edge/route"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// A writer that panics once the header is written.
type panickyWriter struct{ *httptest.ResponseRecorder }

func (panickyWriter) Write([]byte) (int, error) { panic("in the body") }

func TestPanics(t *testing.T) {
	w := newWorld(t, service(backend(t, says("x"))), all())
	cfg := Config{}.withDefaults()
	var log syncBuffer
	h := newCarrier(cfg, newCore(cfg, w.now.Load), slog.New(slog.NewJSONHandler(&log, nil)), nil)
	defer h.links.close()
	recovered := func() float64 { return testutil.ToFloat64(h.metrics.panics) }
	request := func() *http.Request {
		r := httptest.NewRequest("GET", "/p", nil)
		return r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, new(http.Server)))
	}

	// Before anything is written: 500.
	good := w.now.Load()
	w.now.Store(&registry.Snapshot{World: registry.World{Routes: good.Routes}}) // without a Plan
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, request())
	if rec.Code != 500 || rec.Header().Get("Proxy-Status") != "meridian; error=proxy_internal_error" || recovered() != 1 {
		t.Errorf("%d %v, %v counted", rec.Code, rec.Header(), recovered())
	}
	var entry struct{ Level, Panic, Stack, Path string }
	if err := json.Unmarshal([]byte(log.String()), &entry); err != nil || entry.Level != "ERROR" || entry.Path != "/p" || entry.Panic == "" ||
		!strings.Contains(entry.Stack, "l7edge.(*exchange).decide") {
		t.Errorf("%v, logged %s", err, log.String())
	}
	if n := testutil.ToFloat64(h.metrics.requests.WithLabelValues("*/", "500", "GET", "http/1.1")); n != 1 {
		t.Errorf("%v requests counted", n)
	}

	// Later: the response is broken off. The endpoint is not at fault.
	w.now.Store(good)
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler {
				t.Errorf("panic %v", p)
			}
		}()
		h.ServeHTTP(panickyWriter{httptest.NewRecorder()}, request())
	}()
	if recovered() != 2 || !strings.Contains(log.String(), "in the body") {
		t.Errorf("%v counted, logged %s", recovered(), log.String())
	}
	for _, s := range h.core.set.Stats() {
		if s.InFlight != 0 || s.Failures != 0 {
			t.Errorf("%+v", s)
		}
	}
	if h.handlers.Load() != 0 || h.core.inFlight.Load() != 0 {
		t.Errorf("%d handlers, %d in flight", h.handlers.Load(), h.core.inFlight.Load())
	}

	// The reverse proxy's own way out is no panic to report.
	w.set(service(backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "half")
	})), all())
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler {
				t.Errorf("panic %v", p)
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), request())
	}()
	if recovered() != 2 {
		t.Errorf("%v counted", recovered())
	}
}

// What the rule saw, the endpoint gets and the record shows, byte by byte.
func TestPathsAsTheyCame(t *testing.T) {
	spec := policy.Spec{Services: []policy.ServiceSpec{
		service(backend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "a "+r.RequestURI) })).Services[0],
		service(backend(t, says("b"))).Services[0],
	}}
	spec.Services[0].Name, spec.Services[1].Name = "a", "b"
	w := newWorld(t, spec, route.Spec{Service: "a", Retries: -1}, route.Spec{Path: "/b", Service: "b", Retries: -1})
	cfg := Config{}.withDefaults()
	var records syncBuffer
	h := newCarrier(cfg, newCore(cfg, w.now.Load), discard(), slog.New(slog.NewJSONHandler(&records, nil)))
	s := httptest.NewUnstartedServer(h)
	s.Config.DisableGeneralOptionsHandler = true
	s.Start()
	defer s.Close()
	defer h.links.close()
	at := s.Listener.Addr().String()
	for _, c := range []struct{ target, want, shown string }{
		{`/b%2fc"d`, "a /b%2Fc%22d", "/b%2Fc%22d"},
		{`/b%2Fc|d?q="`, `a /b%2Fc%7Cd?q="`, "/b%2Fc%7Cd"},
		{`/x[%2f%41]é?`, "a /x%5B%2FA%5D%C3%A9?", "/x%5B%2FA%5D%C3%A9"},
		{`/x/..//b/"`, "b", "/b/%22"},
		{"http://x/b%2fc\"", "a /b%2Fc%22", "/b%2Fc%22"},
		{"http://x", "a /", "/"},
		{"http://x?q=1", "a /?q=1", "/"},
		{"//x/b", "a /x/b", "/x/b"},
		{`/..%2f"`, "400", `/..%2f"`},
		{"http:/b", "400", ""},
		{"*", "400", "*"},
		{"/x#/b", "400", "/x#/b"},
	} {
		before := len(records.String())
		got := raw(t, at, "GET "+c.target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		head, body, _ := strings.Cut(got, "\r\n\r\n")
		if strings.HasPrefix(head, "HTTP/1.1 400 ") {
			body = "400"
		}
		if body != c.want {
			t.Errorf("%s: %q, want %q", c.target, body, c.want)
		}
		eventually(t, "it is recorded: "+c.target, func() bool { return len(records.String()) > before })
		var record struct{ Path string }
		if err := json.Unmarshal([]byte(records.String()[before:]), &record); err != nil || record.Path != c.shown {
			t.Errorf("%s: recorded as %q, want %q; %v", c.target, record.Path, c.shown, err)
		}
	}
}

// OPTIONS * is a request like any other: routed as "/", counted, recorded and passed on as it is.
func TestOptionsOfAll(t *testing.T) {
	tell := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Asked", r.Method+" "+r.RequestURI)
		w.WriteHeader(http.StatusNoContent)
	}
	b := httptest.NewUnstartedServer(http.HandlerFunc(tell))
	b.Config.DisableGeneralOptionsHandler = true
	b.Start()
	t.Cleanup(b.Close)
	e := start(t, newWorld(t, service(b.URL), route.Spec{Host: "x", Service: "web", Retries: -1}), nil)
	got := raw(t, e.http, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 204 ") || !strings.Contains(got, "X-Asked: OPTIONS *\r\n") {
		t.Errorf("%q", got)
	}
	if got := raw(t, e.http, "OPTIONS * HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
		t.Errorf("%q", got)
	}
	c := dialH2(t, e.https)
	c.headers(1, true, ":method", "OPTIONS", ":scheme", "https", ":authority", "x", ":path", "*")
	if got := c.answer(1); got != "204" {
		t.Errorf("HTTP/2: %s", got)
	}
	if n := testutil.ToFloat64(e.carrier.metrics.requests.WithLabelValues("x/", "204", "OPTIONS", "http/1.1")); n != 1 {
		t.Errorf("%v counted", n)
	}
}

// What must stand in a header is not passed on in a response's trailer, whether it was announced or not.
func TestTrailersOfResponsesAreFiltered(t *testing.T) {
	tell := func(w http.ResponseWriter, r *http.Request) {
		fields := [][2]string{{"Content-Type", "text/evil"}, {"Set-Cookie", "a=1"}, {"Location", "/"}, {"Via", "x"}, {"Cache-Control", "public"},
			{"Good_one", "1"}, {"Etag", "2"}, {"Content-Digest", "3"}}
		if r.URL.Path == "/announced" {
			for _, f := range fields {
				w.Header().Add("Trailer", f[0])
			}
		}
		io.WriteString(w, "body")
		w.(http.Flusher).Flush()
		for _, f := range fields {
			if r.URL.Path == "/announced" {
				w.Header().Set(f[0], f[1])
			} else {
				w.Header().Set(http.TrailerPrefix+f[0], f[1])
			}
		}
	}
	for name, w := range map[string]*world{"h2c": newWorld(t, service(newH2C(t, 10, tell).at), overH2C()), "HTTP/1.1": newWorld(t, service(backend(t, tell)), all())} {
		e := start(t, w, nil)
		for _, h2 := range []bool{false, true} {
			for _, path := range []string{"/announced", "/sudden"} {
				resp, body := get(t, client(t, h2), "https://"+e.https+path)
				var got []string
				for k, v := range resp.Trailer {
					got = append(got, k+"="+strings.Join(v, "+"))
				}
				slices.Sort(got)
				if fmt.Sprint(got) != "[Content-Digest=3 Etag=2 Good_one=1]" || body != "body" {
					t.Errorf("%s, h2=%v %s: %q %v", name, h2, path, body, got)
				}
			}
		}
	}
}

// A request that cannot be sent to any endpoint is no endpoint's failure.
func TestUnfitRequests(t *testing.T) {
	w := newWorld(t, service("192.0.2.1:80", "192.0.2.2:80"), all())
	cfg := Config{}.withDefaults()
	h := newCarrier(cfg, newCore(cfg, w.now.Load), discard(), nil)
	rec := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["X-Odd"] = []string{"a\x00b"} // no server lets it in
	h.ServeHTTP(rec, r)
	if rec.Code != 400 || rec.Header().Get("Proxy-Status") != "meridian; error=http_request_error" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	for _, s := range h.core.set.Stats() {
		if s.Failures+s.ConnectFailures+s.ServerErrors != 0 || s.Requests > 1 || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
	}
	// A trailer that is announced under no name is not passed on, and hurts nobody.
	e := start(t, newWorld(t, service(newH2C(t, 10, says("x")).at), overH2C()), nil)
	got := raw(t, e.http, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: a b\r\n\r\n0\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("%q", got)
	}
}

// Connections that carry no request are refused one by one elsewhere; here, what the carrier is told to allow on each.
func TestLimitsAreSet(t *testing.T) {
	w := newWorld(t, service("192.0.2.1:80"), all(), route.Spec{Path: "/h2c", Service: "web", Protocol: route.H2C})
	s, err := New(Config{HTTPS: []string{"127.0.0.1:0"}, SelfSigned: []string{"x"}}, w.now.Load, nil)
	if err != nil {
		t.Fatal(err)
	}
	member := s.carrier.core.view().Member(0)
	front, back := s.carrier.engine.frontConfig(), s.carrier.engine.backConfig()
	h1, h2 := s.carrier.links.to(member.Address, route.HTTP1).transport, s.carrier.links.to(member.Address, route.H2C).transport
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"header timeout", s.http.ReadHeaderTimeout.String(), "10s"},
		{"idle timeout", s.http.IdleTimeout.String(), "1h0m0s"},
		{"header bytes", s.http.MaxHeaderBytes, 32 << 10},
		{"general OPTIONS", s.http.DisableGeneralOptionsHandler, true},
		{"streams", front.MaxStreams, 100},
		{"window of a stream", front.StreamWindow, 64 << 10},
		{"window of a connection", front.ConnWindow, 1 << 20},
		{"header bytes, HTTP/2", front.MaxHeaderBytes, 32 << 10},
		{"time for a header, HTTP/2", front.Patience.String(), "10s"},
		{"time to a PING", front.Silence.String(), "30s"},
		{"time to take bytes", stall.String(), "30s"},
		{"window of a stream to endpoints, HTTP/2", back.StreamWindow, 256 << 10},
		{"header of responses, HTTP/2", back.MaxHeaderBytes, 256 << 10},
		{"PINGs to endpoints, HTTP/2", back.Silence.String(), "0s"},
		{"least TLS", s.http.TLSConfig.MinVersion, uint16(0x0303)},
		{"idle to endpoints, HTTP/1.1", h1.IdleConnTimeout.String(), "50s"},
		{"idle to endpoints, h2c", h2.IdleConnTimeout.String(), "50s"},
		{"idle connections", h1.MaxIdleConnsPerHost, 256},
		{"header of responses, HTTP/1.1", h1.MaxResponseHeaderBytes, int64(256 << 10)},
		{"header of responses, h2c", h2.MaxResponseHeaderBytes, int64(256 << 10)},
		{"window of a stream to endpoints", h2.HTTP2.MaxReceiveBufferPerStream, 256 << 10},
		{"PINGs to endpoints", h2.HTTP2.SendPingTimeout.String(), "0s"},
		{"time for endpoints to take bytes", h2.HTTP2.WriteByteTimeout.String(), "30s"},
		{"proxy of the environment", h1.Proxy == nil && h2.Proxy == nil, true},
		{"compression", h1.DisableCompression && h2.DisableCompression, true},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
}

// Where the rest of a request could be taken for the next, the edge says itself that the connection ends: net/http would do so on its
// own most of the time.
func TestFaultsThatEndTheConnection(t *testing.T) {
	ends := []fault{faultBadBody, faultBadLength, faultSlowClient, faultPanic}
	for f := noFault + 1; f < numFaults; f++ {
		for major := 1; major <= 2; major++ {
			r := httptest.NewRequest("POST", "/", strings.NewReader("x"))
			r.ProtoMajor = major
			rec := httptest.NewRecorder()
			tr := &transaction{account: account{carrier: &carrier{cfg: Config{}.withDefaults()}}, rw: rec, rc: http.NewResponseController(rec), in: r}
			tr.refuse(f)
			tr.dog.stop()
			if got, want := rec.Header().Get("Connection") == "close", major == 1 && slices.Contains(ends, f); got != want {
				t.Errorf("%v over HTTP/%d: close is %v, want %v", f, major, got, want)
			}
		}
	}
}

// A log that says when the edge has drained says it to people.
func TestDrainedIsReadable(t *testing.T) {
	var log syncBuffer
	w := newWorld(t, service("192.0.2.1:80"), all())
	s, err := New(Config{HTTP: []string{"127.0.0.1:0"}, LameDuck: -1}, w.now.Load, slog.New(slog.NewJSONHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, quit := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer quit()
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() { s.Run(ctx) })
	_, at := s.Addrs()
	c, err := net.Dial("tcp", at[0].String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	quit()
	wg.Wait()
	lines := bytes.Split(bytes.TrimSpace([]byte(log.String())), []byte("\n"))
	var last struct{ Msg, Took string }
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil || last.Msg != "edge drained" || !strings.HasSuffix(last.Took, "s") {
		t.Errorf("%v: %s", err, lines[len(lines)-1])
	}
}
