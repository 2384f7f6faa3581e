package l7edge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/meridian-gslb/meridian/l7edge/route"
)

func TestConfigCheck(t *testing.T) {
	good := Config{HTTPS: []string{":443"}, HTTP: []string{"127.0.0.1:80"}, SelfSigned: []string{"x"}}
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string // in the error; "": none
	}{
		{"good", func(*Config) {}, ""},
		{"nothing to listen on", func(c *Config) { c.HTTP, c.HTTPS = nil, nil }, "no address to listen on"},
		{"no port", func(c *Config) { c.HTTP = []string{"127.0.0.1"} }, `listen address "127.0.0.1": want host:port`},
		{"no certificate", func(c *Config) { c.SelfSigned = nil }, "https needs a certificate"},
		{"half a certificate", func(c *Config) { c.Certificates = []CertificateFiles{{Cert: "x"}} }, "certificate 0: both"},
		{"unknown log", func(c *Config) { c.AccessLog = "/var/log" }, `access log "/var/log"`},
		{"negative time", func(c *Config) { c.ConnectTimeout = -1 }, "connect timeout -1ns: must not be negative"},
		{"negative limit", func(c *Config) { c.MaxStreams = -1 }, "limit of streams -1"},
		{"no lame duck", func(c *Config) { c.LameDuck = -1 }, ""},
	} {
		cfg := good
		c.change(&cfg)
		err := cfg.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "l7edge: ")) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if _, newErr := New(cfg, nil, nil); (newErr == nil) != (err == nil) {
			t.Errorf("%s: New says %v, Check %v", c.name, newErr, err)
		}
	}
	bad := Config{HTTP: []string{"x"}, HTTPS: []string{"y"}, AccessLog: "z"}
	if err := bad.Check(); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("not all problems at once: %v", err)
	}
	if d := (Config{MaxStreams: 7}).withDefaults(); d.MaxStreams != 7 || d.MaxHeaderBytes != 32<<10 || d.DrainTimeout != 30*time.Second {
		t.Errorf("defaults: %+v", d)
	}
}

func TestMetrics(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/odd" {
			w.WriteHeader(799)
		}
	})
	e := start(t, newWorld(t, service(b, "127.0.0.2:1"), route.Spec{Host: "a.test", Path: "/x", Service: "web", Retries: 5},
		route.Spec{Path: "/odd", Service: "web", Retries: 5}), nil)
	for _, c := range []struct{ method, host, path string }{
		{"GET", "a.test", "/x"}, {"GET", "a.test", "/x"}, {"POST", "a.test", "/x/y"}, {"BREW", "b.test", "/odd"}, {"GET", "b.test", "/"},
	} {
		req, _ := http.NewRequest(c.method, "https://"+e.https+c.path, nil)
		req.Host = c.host
		resp, err := client(t, true).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		read(t, resp)
	}
	eventually(t, "all are counted", func() bool { return e.carrier.handlers.Load() == 0 })
	if err := testutil.CollectAndCompare(e, strings.NewReader(`
# HELP meridian_proxy_requests_total Requests by route, status the client got, method and protocol; the route is empty if none matched.
# TYPE meridian_proxy_requests_total counter
meridian_proxy_requests_total{code="200",method="GET",proto="h2",route="a.test/x"} 2
meridian_proxy_requests_total{code="200",method="POST",proto="h2",route="a.test/x"} 1
meridian_proxy_requests_total{code="404",method="GET",proto="h2",route=""} 1
meridian_proxy_requests_total{code="other",method="other",proto="h2",route="*/odd"} 1
# HELP meridian_proxy_rejected_total Requests the edge answered itself or gave up, and connections it closed for being too many, by reason.
# TYPE meridian_proxy_rejected_total counter
meridian_proxy_rejected_total{reason="connections"} 0
meridian_proxy_rejected_total{reason="no_route"} 1
`), "meridian_proxy_requests_total", "meridian_proxy_rejected_total"); err != nil {
		t.Error(err)
	}
	problems, err := testutil.CollectAndLint(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(e); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range families {
		seen[f.GetName()] = true
	}
	for _, name := range []string{"meridian_proxy_request_duration_seconds", "meridian_proxy_retries_total", "meridian_proxy_requests_in_flight",
		"meridian_proxy_tunnels", "meridian_proxy_streams_waiting", "meridian_proxy_held_bytes", "meridian_proxy_endpoint_requests_total", "meridian_proxy_endpoint_requests_in_flight",
		"meridian_proxy_endpoint_errors_total", "meridian_proxy_connections", "meridian_tls_certs_not_after",
		"meridian_tls_certs_load_failed", "meridian_panics_recovered_total"} {
		if !seen[name] {
			t.Errorf("no %s", name)
		}
	}
}

func TestAccessRecord(t *testing.T) {
	w := newWorld(t, service(backend(t, says("hello"))), route.Spec{Host: "a.test", Service: "web", Retries: -1})
	cfg := Config{}.withDefaults()
	var lines syncBuffer
	h := newCarrier(cfg, newCore(cfg, w.now.Load), discard(), slog.New(slog.NewJSONHandler(&lines, nil)))
	s := httptest.NewServer(h)
	defer s.Close()
	defer h.links.close()
	for _, host := range []string{"a.test", "b.test"} {
		req, _ := http.NewRequest("GET", s.URL+"/p?secret=1", nil)
		req.Host = host
		req.Header.Set("User-Agent", strings.Repeat("u", 1000))
		resp, err := client(t, false).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		read(t, resp)
	}
	eventually(t, "both are recorded", func() bool { return strings.Count(lines.String(), "\n") == 2 })
	if strings.Contains(lines.String(), "secret") {
		t.Error("the query is recorded")
	}
	var got [2]map[string]any
	for i, line := range bytes.SplitN([]byte(lines.String()), []byte("\n"), 2) {
		if err := json.Unmarshal(line, &got[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []map[string]string{
		{"method": "GET", "host": "a.test", "path": "/p", "status": "200", "bytes": "5", "route": "a.test/", "endpoint": "web/b0", "attempts": "1",
			"client": "127.0.0.1", "proto": "HTTP/1.1", "agent": strings.Repeat("u", maxAgent)},
		{"host": "b.test", "status": "404", "fault": "no_route", "endpoint": "<nil>", "route": "<nil>"},
	} {
		for k, v := range want {
			if fmt.Sprint(got[i][k]) != v {
				t.Errorf("record %d: %s is %v, want %s", i, k, got[i][k], v)
			}
		}
	}
}

func TestAccessLogDestinations(t *testing.T) {
	for to, on := range map[string]bool{"": false, "off": false, "stdout": true, "stderr": true} {
		if got := accessLog(to) != nil; got != on {
			t.Errorf("%q: %v", to, got)
		}
	}
}

func TestMetricLabelsAreBounded(t *testing.T) {
	for status, want := range map[int]int{0: 0, 99: 0, 100: 100, 499: 499, 599: 599, 600: 0, 999: 0} {
		if got := statusLabel(status); got != want {
			t.Errorf("%d: %d", status, got)
		}
	}
	for method, want := range map[string]string{"GET": "GET", "TRACE": "TRACE", "get": "other", "": "other", "PROPFIND": "other"} {
		if got := methodLabel(method); got != want {
			t.Errorf("%s: %s", method, got)
		}
	}
	for v, want := range map[string]string{"HTTP/2.0": "h2", "HTTP/1.1": "http/1.1", "HTTP/1.0": "http/1.0"} {
		if got := protoLabel(v); got != want {
			t.Errorf("%v: %s", v, got)
		}
	}
}
