package e2e

import (
	"context"
	"crypto/tls"
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

	"github.com/miekg/dns"
)

// demoBackends are the six backends of `meridian dev`.
var demoBackends = []string{"eu-west-1", "eu-west-2", "us-east-1", "us-east-2", "ap-south-1", "ap-south-2"}

// TestOneConnectionReachesAllBackends: curl and nghttp, each over one HTTP/2 connection.
func TestOneConnectionReachesAllBackends(t *testing.T) {
	curl, nghttp := peer(t, "curl", "curl"), peer(t, "nghttp", "nghttp2-client")
	n := startDev(t)
	var urls []string
	for i := range 60 {
		urls = append(urls, fmt.Sprintf("https://api.gslb.example:%d/?n=%d", n.https, i))
	}

	out, code := run(t, 30*time.Second, curl, append([]string{"--http2", "-k", "-sS", "--resolve",
		fmt.Sprintf("api.gslb.example:%d:127.0.0.1", n.https), "-w", "\nversion=%{http_version} connects=%{num_connects}\n"}, urls...)...)
	if code != 0 {
		t.Fatalf("curl: exit %d\n%s", code, out)
	}
	if got := strings.Count(out, "version=2 "); got != len(urls) {
		t.Errorf("curl: %d of %d answers over HTTP/2\n%s", got, len(urls), out)
	}
	if got := strings.Count(out, "connects=1"); got != 1 {
		t.Errorf("curl: %d connections, want 1", got)
	}
	all(t, "curl", out)

	for i := range urls {
		urls[i] = strings.Replace(urls[i], "api.gslb.example", "127.0.0.1", 1)
	}
	out, code = run(t, 30*time.Second, nghttp, append([]string{"-H", ":authority: api.gslb.example"}, urls...)...)
	if code != 0 {
		t.Fatalf("nghttp: exit %d\n%s", code, out)
	}
	all(t, "nghttp", out)
}

func all(t *testing.T, who, out string) {
	t.Helper()
	for _, b := range demoBackends {
		if !strings.Contains(out, b) {
			t.Errorf("%s: %s was not reached\n%s", who, b, out)
		}
	}
}

// edgeConfig routes everything to three equal backends.
const edgeConfig = `
dns: {listen: "127.0.0.1:%[1]d"}
edge: {https: "127.0.0.1:%[2]d", http: "127.0.0.1:%[3]d", self_signed: [localhost, 127.0.0.1]}
admin: {listen: "127.0.0.1:%[4]d"}
services:
  web:
    endpoints:
      - {name: one, address: 127.0.4.1, port: %[5]d}
      - {name: two, address: 127.0.4.2, port: %[5]d}
      - {name: three, address: 127.0.4.3, port: %[5]d}
    probe: {http: /healthz, every: 1s, timeout: 500ms}
policies:
  spread: [healthy, weighted]
zones:
  gslb.example:
    ns: [ns1.gslb.example]
    records:
      ns1: {A: 127.0.0.1}
      www: {service: web, policy: spread}
routes:
  - {path: /, service: web, policy: spread}
`

func startEdge(t *testing.T) (*node, []*backend) {
	n := newNode(t)
	port := freePort(t)
	var backends []*backend
	for i, name := range []string{"one", "two", "three"} {
		backends = append(backends, startBackend(t, name, fmt.Sprintf("127.0.4.%d", i+1), port))
	}
	n.serve(fmt.Sprintf(edgeConfig, n.dns, n.https, n.http, n.admin, port))
	return n, backends
}

// oneConnection is an HTTP client that counts how often it dials.
func oneConnection(h2 bool) (*http.Client, *atomic.Int64) {
	dials := new(atomic.Int64)
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		Protocols:       new(http.Protocols),
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
	tr.Protocols.SetHTTP1(!h2)
	tr.Protocols.SetHTTP2(h2)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}, dials
}

func get(c *http.Client, url string) (string, error) { return read(c.Get(url)) }

func read(resp *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	return strings.TrimSpace(string(body)), err
}

// TestABusyClientDoesNotSkewBackends: one client sends 50 times the requests of another, each over one HTTP/2 connection; the
// busiest backend serves at most 1.05 times the mean.
func TestABusyClientDoesNotSkewBackends(t *testing.T) {
	n, backends := startEdge(t)
	url := fmt.Sprintf("https://127.0.0.1:%d/", n.https)
	const slow, busy = 150, 150 * 50
	send := func(count, streams int) error {
		client, dials := oneConnection(true)
		defer client.CloseIdleConnections()
		if _, err := get(client, url); err != nil { // the connection that all share
			return err
		}
		var wg sync.WaitGroup
		errs := make(chan error, streams)
		for s := range streams {
			wg.Go(func() {
				for i := s; i < count-1; i += streams {
					if _, err := get(client, url); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		wg.Wait()
		if d := dials.Load(); d != 1 {
			return fmt.Errorf("%d connections, want 1", d)
		}
		select {
		case err := <-errs:
			return err
		default:
			return nil
		}
	}
	var wg sync.WaitGroup
	for _, c := range []struct{ count, streams int }{{slow, 1}, {busy, 10}} {
		wg.Go(func() {
			if err := send(c.count, c.streams); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var total, most int64
	for _, b := range backends {
		total += b.served.Load()
		most = max(most, b.served.Load())
		t.Logf("%s served %d", b.name, b.served.Load())
	}
	if total != slow+busy {
		t.Fatalf("%d requests arrived, %d were sent", total, slow+busy)
	}
	if share := float64(most) * float64(len(backends)) / float64(total); share > 1.05 {
		t.Errorf("the busiest backend serves %.3f times the mean, want at most 1.05", share)
	}
}

// TestSIGTERMUnderLoadLosesNoRequest: HTTP/1.1, HTTP/2 and DNS clients run in closed loops while the process is told to end. The
// first refused connection ends a client's loop; any other failure is a lost request. Half of the requests are POST with a body,
// which a client does not repeat by itself once it was sent.
func TestSIGTERMUnderLoadLosesNoRequest(t *testing.T) {
	n, _ := startEdge(t)
	var done, lost atomic.Int64
	var note atomic.Value
	var wg sync.WaitGroup
	client := func(h2 bool, url string, streams int) {
		c, _ := oneConnection(h2)
		for i := range streams {
			wg.Go(func() {
				for {
					var err error
					if i%2 == 0 {
						_, err = get(c, url)
					} else {
						_, err = read(c.Post(url, "text/plain", strings.NewReader("a body")))
					}
					if errors.Is(err, syscall.ECONNREFUSED) {
						return
					}
					if err != nil {
						lost.Add(1)
						note.Store(err.Error())
						return
					}
					done.Add(1)
				}
			})
		}
	}
	for range 3 {
		client(true, fmt.Sprintf("https://127.0.0.1:%d/", n.https), 8)
		client(false, fmt.Sprintf("http://127.0.0.1:%d/", n.http), 4)
	}
	load := startDNSLoad(local(n.dns), "www.gslb.example", 4)
	eventually(t, 20*time.Second, "the load runs", func() bool { return done.Load() > 2000 && load.asked.Load() > 2000 })
	n.stop()
	wg.Wait()
	load.end()
	if lost.Load() != 0 {
		t.Errorf("%d HTTP requests lost of %d: %v", lost.Load(), done.Load(), note.Load())
	}
	if load.lost.Load() != 0 || load.wrong.Load() != 0 {
		t.Errorf("%d DNS queries lost, %d wrong of %d: %v", load.lost.Load(), load.wrong.Load(), load.asked.Load(), load.note.Load())
	}
	t.Logf("%d HTTP requests and %d DNS queries around SIGTERM, none lost", done.Load(), load.asked.Load())
}

// TestDNSAnswersWhileTheEdgeDrains: as long as a request is in flight after SIGTERM, DNS goes on answering and readiness fails; and
// a SIGHUP that comes meanwhile changes nothing.
func TestDNSAnswersWhileTheEdgeDrains(t *testing.T) {
	n, backends := startEdge(t)
	client, _ := oneConnection(true)
	slow := make(chan error, 1)
	go func() {
		_, err := get(client, fmt.Sprintf("https://127.0.0.1:%d/slow", n.https))
		slow <- err
	}()
	eventually(t, 10*time.Second, "the slow request arrives", func() bool {
		return backends[0].served.Load()+backends[1].served.Load()+backends[2].served.Load() == 1
	})
	n.cmd.Process.Signal(syscall.SIGTERM)
	eventually(t, 10*time.Second, "readiness fails", func() bool {
		resp, err := http.Get("http://" + local(n.admin) + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	n.cmd.Process.Signal(syscall.SIGHUP)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if r, err := ask(local(n.dns), "www.gslb.example", dns.TypeA); err != nil || len(r.Answer) == 0 {
			t.Fatalf("DNS while the edge drains: %v %v", r, err)
		}
	}
	for _, b := range backends {
		close(b.slow)
	}
	if err := <-slow; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	select {
	case <-n.done:
	case <-time.After(20 * time.Second):
		t.Fatal("still running 20 s after the last request")
	}
	if n.err != nil {
		t.Errorf("exit: %v", n.err)
	}
}
