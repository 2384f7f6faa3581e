package l7edge

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/l7edge/upstream"
)

func stats(e *edge, name string) upstream.Stats {
	for _, s := range e.Stats() {
		if s.Name == name {
			return s
		}
	}
	return upstream.Stats{}
}

// Requests with bodies, too, reach the endpoint that listens when the other does not, whole and once.
func TestRetryReachesTheOtherEndpoint(t *testing.T) {
	var got atomic.Int32
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && len(body) == 100_000 {
			got.Add(1)
		}
	})
	e := start(t, newWorld(t, service(nowhere(t), b), all()), nil)
	for _, h2 := range []bool{false, true} {
		c := client(t, h2)
		for range 20 {
			resp, err := c.Post("https://"+e.https, "text/plain", strings.NewReader(strings.Repeat("x", 100_000)))
			if err != nil {
				t.Fatal(err)
			}
			if read(t, resp); resp.StatusCode != 200 {
				t.Fatalf("status %d", resp.StatusCode)
			}
		}
	}
	if got.Load() != 40 {
		t.Errorf("the endpoint got %d of 40 requests", got.Load())
	}
	down, up := stats(e, "web/b0"), stats(e, "web/b1")
	if down.ConnectFailures == 0 || down.ConnectFailures != down.Requests || uint64(e.carrier.core.retries.Load()) != down.Requests {
		t.Errorf("%d retries, %+v", e.carrier.core.retries.Load(), down)
	}
	if up.Requests != 40 || up.ConnectFailures+up.Failures+up.ServerErrors != 0 || up.InFlight+down.InFlight != 0 {
		t.Errorf("%+v", up)
	}
}

// Once an endpoint may have seen the request, no other does.
func TestNoRetryAfterTheRequestWasSent(t *testing.T) {
	var got atomic.Int32
	hangUp := func(http.ResponseWriter, *http.Request) {
		got.Add(1)
		panic(http.ErrAbortHandler)
	}
	rule := all()
	rule.Retries = 5
	e := start(t, newWorld(t, service(backend(t, hangUp), backend(t, hangUp)), rule), nil)
	resp, err := client(t, true).Post("https://"+e.https, "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	if read(t, resp); resp.StatusCode != 502 || got.Load() != 1 {
		t.Errorf("status %d after %d attempts", resp.StatusCode, got.Load())
	}
	if f := stats(e, "web/b0").Failures + stats(e, "web/b1").Failures; f != 1 {
		t.Errorf("%d failures counted", f)
	}
}

func TestOutcomeOfResponses(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/500":
			w.WriteHeader(500)
		case "/half":
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "half")
		}
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	c := client(t, true)
	get(t, c, "https://"+e.https+"/")
	get(t, c, "https://"+e.https+"/500")
	resp, err := c.Get("https://" + e.https + "/half")
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("half a response looks whole: %q", body)
	}
	resp.Body.Close()
	eventually(t, "the request ends", func() bool { return stats(e, "web/b0").InFlight == 0 })
	want := upstream.Stats{Name: "web/b0", Requests: 3, ServerErrors: 1, Failures: 1}
	if got := stats(e, "web/b0"); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A client that goes away says nothing about the endpoint, and the endpoint learns that it may stop.
func TestClientGone(t *testing.T) {
	arrived, told := make(chan struct{}, 2), make(chan struct{}, 2)
	b := backend(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		told <- struct{}{}
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	for _, h2 := range []bool{false, true} {
		c := client(t, h2)
		done := make(chan error)
		req, _ := http.NewRequest("GET", "https://"+e.https, nil)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := c.Do(req.WithContext(ctx))
			done <- err
		}()
		<-arrived
		cancel()
		if err := <-done; err == nil {
			t.Error("no error for a request given up")
		}
		<-told
	}
	eventually(t, "both end", func() bool { return e.carrier.handlers.Load() == 0 })
	if got := stats(e, "web/b0"); got.Failures != 0 || got.Requests != 2 || got.InFlight != 0 {
		t.Errorf("%+v", got)
	}
}

// An endpoint that is gone loses its idle connections, one that moved gets no request at its old address, and what runs goes on.
func TestConnectionsFollowThePlan(t *testing.T) {
	hold := make(chan struct{})
	var conns atomic.Int32
	old := newCountedBackend(t, &conns, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			w.(http.Flusher).Flush()
			<-hold
		}
		io.WriteString(w, "old")
	})
	w := newWorld(t, service(old), all())
	e := start(t, w, nil)
	c := client(t, true)
	slow, err := c.Get("https://" + e.https + "/slow")
	if err != nil {
		t.Fatal(err)
	}
	get(t, c, "https://"+e.https)
	if n := conns.Load(); n != 2 {
		t.Fatalf("%d connections to the endpoint, want 2", n)
	}

	w.set(service(backend(t, says("new"))), all()) // the same name at another address
	for range 10 {
		if _, body := get(t, c, "https://"+e.https); body != "new" {
			t.Fatalf("answered by %s", body)
		}
	}
	eventually(t, "the idle connection is closed", func() bool { return conns.Load() == 1 })
	close(hold)
	if got := read(t, slow); got != "old" {
		t.Errorf("the running request got %q", got)
	}
	eventually(t, "the last connection is closed", func() bool { return conns.Load() == 0 })
	if got := stats(e, "web/b0"); got.Requests != 12 {
		t.Errorf("counts are not kept by name: %+v", got)
	}
}

// newCountedBackend is a backend that counts its open connections.
func newCountedBackend(t *testing.T, open *atomic.Int32, f http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: f, ReadHeaderTimeout: time.Minute, ConnState: func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}}
	done := make(chan struct{})
	go func() { s.Serve(l); close(done) }()
	t.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}

// Two clients on one connection each, one sending 50 times the requests of the other: endpoints share the load evenly all the same.
func TestFairness(t *testing.T) {
	var at []string
	counts := make([]atomic.Int64, 6)
	for i := range counts {
		at = append(at, backend(t, func(w http.ResponseWriter, _ *http.Request) {
			counts[i].Add(1)
			io.WriteString(w, "x")
		}))
	}
	e := start(t, newWorld(t, service(at...), all()), nil)
	const total = 6120
	var errs atomic.Int32
	done := make(chan struct{})
	send := func(c *http.Client, n, width int) {
		var wg sync.WaitGroup
		next := atomic.Int64{}
		for range width {
			wg.Go(func() {
				for next.Add(1) <= int64(n) {
					resp, err := c.Get("https://" + e.https)
					if err != nil {
						errs.Add(1)
						continue
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		}
		wg.Wait()
		done <- struct{}{}
	}
	go send(client(t, true), total*50/51, 50)
	go send(client(t, true), total/51, 1)
	<-done
	<-done
	sum, most := int64(0), int64(0)
	var each []string
	for i := range counts {
		n := counts[i].Load()
		sum, most = sum+n, max(most, n)
		each = append(each, fmt.Sprint(n))
	}
	if errs.Load() != 0 || sum != total {
		t.Errorf("%d requests of %d, %d errors", sum, total, errs.Load())
	}
	if mean := float64(sum) / 6; float64(most) > 1.05*mean {
		t.Errorf("the largest share is %.3f × mean: %s", float64(most)/mean, strings.Join(each, " "))
	}
	if n := e.door.open.Load(); n != 2 {
		t.Errorf("%d connections of clients, want one each", n)
	}
}
