package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

func counted(t *testing.T, c prometheus.Collector) float64 {
	t.Helper()
	return testutil.ToFloat64(c)
}

// TestHosts: which Host header fields are obeyed, by what the configuration says and what was bound.
func TestHosts(t *testing.T) {
	for _, listens := range []struct {
		configured, bound string // bound "": not yet
		allowed, refused  []string
	}{
		{"127.0.0.1:8053", "127.0.0.1", []string{
			"127.0.0.1:8053", "127.0.0.1", "localhost:8053", "LocalHost", "localhost.:8053", "[::1]:8053", "[::1]", "127.9.9.9:1", "[::ffff:127.0.0.1]:1",
		}, []string{
			"evil.example", "evil.example:8053", "localhost.evil.example:8053", "127.0.0.1.evil.example", "127.0.0.1.nip.io:8053", "evil.example:127.0.0.1",
			"192.0.2.7:8053", "[::ffff:192.0.2.7]", "", ":8053", ".", "0.0.0.0:8053", "[::]:8053", "0x7f000001", "2130706433", "[fe80::1%25lo]:8053",
			"127.0.0.1:8053:8053", "localhost@evil.example", "localhost/.evil.example", "127.0.0.1 ",
		}},
		{"", "", []string{"localhost:8053", "127.0.0.1:8053"}, []string{"evil.example", "192.0.2.7:8053", ""}},
		{"localhost:8053", "127.0.0.1", []string{"localhost:8053", "127.0.0.1:8053", "[::1]:8053"}, []string{"192.0.2.7", "[2001:db8::1]:8053", "evil.example"}},
		{"localhost:8053", "", []string{"localhost:8053", "127.0.0.1:8053"}, []string{"192.0.2.7", "[2001:db8::1]:8053", "evil.example", ""}},
		{"Admin.Example.:8053", "192.0.2.7", []string{
			"admin.example:8053", "admin.example", "ADMIN.example.:8053", "192.0.2.7:8053", "localhost:8053", "127.0.0.1:8053",
		}, []string{"192.0.2.8:8053", "evil.example", "x.admin.example", "admin.example.evil.example:8053", ""}},
		{"admin.example:8053", "", []string{"admin.example:8053", "localhost"}, []string{"192.0.2.7:8053", ""}},
		{"192.0.2.7:8053", "192.0.2.7", []string{"192.0.2.7:8053", "[::ffff:192.0.2.7]:8053", "127.0.0.1:8053"}, []string{"node1.example:8053", "192.0.2.8"}},
		{"[fe80::1%eth0]:8053", "fe80::1%eth0", []string{"[fe80::1]:8053", "[fe80::1]"}, []string{"[fe80::2]:8053"}},
		{":8053", "::", []string{"192.0.2.7", "[2001:db8::1]:8053", "localhost"}, []string{"evil.example", "", ":8053"}},
		{":8053", "", []string{"192.0.2.7"}, []string{"evil.example"}},
		{"0.0.0.0:8053", "0.0.0.0", []string{"198.51.100.1:8053"}, []string{"evil.example:8053"}},
		{"[::]:8053", "::", []string{"198.51.100.1:8053"}, []string{"evil.example:8053"}},
		{"all.example:8053", "0.0.0.0", []string{"all.example", "198.51.100.1:8053"}, []string{"evil.example:8053"}},
	} {
		rule := New(Config{Listen: listens.configured}, Options{}).hosts
		if listens.bound != "" {
			rule = rule.bound(net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(listens.bound), 8053)))
		}
		for _, host := range listens.allowed {
			if !rule.allow(host) {
				t.Errorf("listening on %q, bound to %q: host %q is refused", listens.configured, listens.bound, host)
			}
		}
		for _, host := range listens.refused {
			if rule.allow(host) {
				t.Errorf("listening on %q, bound to %q: host %q is obeyed", listens.configured, listens.bound, host)
			}
		}
	}
}

// TestConfiguredNameIsServed: a request to the very name that the configuration says is answered, over the port that was bound.
func TestConfiguredNameIsServed(t *testing.T) {
	b := newBench(t)
	b.Server = New(Config{Listen: "localhost:0"}, b.Options)
	b.hosts.name = "admin.example" // which resolves nowhere in a test
	b.serve()
	for host, want := range map[string]int{"admin.example:8053": 200, b.Addr(): 200, "localhost": 200, "192.0.2.7": 403, "evil.example": 403} {
		req, err := http.NewRequestWithContext(short(t), http.MethodGet, "http://"+b.Addr()+"/v1/zones", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host, req.Close = host, true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("host %s: %d, want %d", host, resp.StatusCode, want)
		}
	}
}

// TestForeignRequestsChangeNothing: a page from elsewhere can neither change nor read anything, on any path.
func TestForeignRequestsChangeNothing(t *testing.T) {
	b := newBench(t)
	crossSite := func(r *http.Request) {
		r.Header.Set("Origin", "https://evil.example")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	}
	oldBrowser := func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }
	otherPort := func(r *http.Request) {
		r.Header.Set("Origin", "http://127.0.0.1:9999")
		r.Header.Set("Sec-Fetch-Site", "same-site")
	}
	sandboxed := func(r *http.Request) { r.Header.Set("Origin", "null") }
	rebound := func(r *http.Request) { r.Host = "evil.example:8053" }
	for _, c := range []struct{ method, path string }{
		{http.MethodPost, "/v1/reload"},
		{http.MethodPut, "/v1/overrides/site/us-east"},
		{http.MethodDelete, "/v1/overrides/site/us-east"},
		{http.MethodPost, "/v1/demo/backends/us-east-1/stop"},
		{http.MethodPut, "/v1/services/web/endpoints/three"},
	} {
		for _, from := range []func(*http.Request){crossSite, oldBrowser, otherPort, sandboxed} {
			b.refused(c.method, c.path, `{}`, http.StatusForbidden, "another origin", from)
		}
		b.refused(c.method, c.path, `{}`, http.StatusForbidden, "evil.example:8053", rebound)
	}
	for _, path := range []string{"/v1/status", "/metrics", "/healthz", "/readyz", "/nothing"} {
		b.refused(http.MethodGet, path, "", http.StatusForbidden, "refused", rebound)
	}
	if len(b.Registry.Overrides()) != 0 || len(b.Embedded.Services()) != 0 || !b.demo.running["us-east-1"] {
		t.Error("something changed")
	}
	if code, body := b.do(http.MethodPut, "/v1/overrides/site/us-east", `{}`, func(r *http.Request) {
		r.Header.Set("Origin", "http://127.0.0.1:8053")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}); code != http.StatusOK {
		t.Errorf("a page of our own: %d %s", code, body)
	}
}

// TestContentTypes: a body has to say that it is JSON; what has no body need not.
func TestContentTypes(t *testing.T) {
	b := newBench(t)
	const path = "/v1/overrides/site/us-east"
	says := func(content string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Content-Type"] = []string{content} }
	}
	for _, content := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON"} {
		if code, body := b.do(http.MethodPut, path, `{}`, says(content)); code != http.StatusOK {
			t.Errorf("%s: %d %s", content, code, body)
		}
	}
	if code, body := b.do(http.MethodDelete, path, "", says("text/plain")); code != http.StatusOK {
		t.Errorf("no body: %d %s", code, body)
	}
	for _, content := range []string{
		"application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "text/plain; application/json", "application/jsonp",
		"application/json, text/plain", "application/json;=", "", "/",
	} {
		b.refused(http.MethodPut, path, `{}`, http.StatusUnsupportedMediaType, `send the header "Content-Type: application/json"`, says(content))
		b.refused(http.MethodPost, "/v1/reload", `{}`, http.StatusUnsupportedMediaType, "it says", says(content))
		b.refused(http.MethodDelete, path, `{}`, http.StatusUnsupportedMediaType, "it says", says(content))
	}
	chunked := func(r *http.Request) { r.ContentLength = -1; r.Header.Del("Content-Type") }
	b.refused(http.MethodPut, path, `{}`, http.StatusUnsupportedMediaType, "it says nothing", chunked)
	if h := b.record(http.MethodPut, path, `{}`, says("text/plain")).Header(); h.Get("Accept") != "application/json" {
		t.Errorf("Accept: %q", h.Get("Accept"))
	}
	if list := b.Registry.Overrides(); len(list) != 0 {
		t.Errorf("in force: %v", list)
	}
}

// TestPanicAfterTheReplyBegan: what was sent cannot be taken back, so the client must not take it for a whole answer.
func TestPanicAfterTheReplyBegan(t *testing.T) {
	b := newBench(t)
	for name, begin := range map[string]func(http.ResponseWriter){
		"status alone":   func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
		"little":         func(w http.ResponseWriter) { io.WriteString(w, `{"half": `) },
		"much":           func(w http.ResponseWriter) { io.WriteString(w, `{"half": "`+strings.Repeat("x", 1<<16)) },
		"whole, in JSON": func(w http.ResponseWriter) { writeJSON(w, http.StatusOK, "done") },
	} {
		t.Run(name, func(t *testing.T) {
			before := counted(t, b.panics)
			srv := httptest.NewServer(b.guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				begin(w)
				panic("broken")
			})))
			defer srv.Close()
			resp, err := srv.Client().Get(srv.URL)
			if err == nil {
				var body []byte
				body, err = io.ReadAll(resp.Body)
				resp.Body.Close()
				if strings.Contains(string(body), "internal error") {
					t.Errorf("a second document is behind the first: %s", body)
				}
			}
			if err == nil {
				t.Error("the client takes the reply for whole")
			}
			if got := counted(t, b.panics) - before; got != 1 {
				t.Errorf("%v panics counted", got)
			}
		})
	}
}

// TestEveryReplyIsInert: a browser guesses no type, runs nothing, shows it in no frame, and keeps nothing.
func TestEveryReplyIsInert(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		method, path string
		status       int
		change       func(*http.Request)
	}{
		{http.MethodGet, "/healthz", 200, nil}, {http.MethodGet, "/readyz", 200, nil}, {http.MethodGet, "/metrics", 200, nil},
		{http.MethodGet, "/v1/status", 200, nil}, {http.MethodGet, "/v1/nothing", 404, nil}, {http.MethodGet, "/v1/reload", 405, nil},
		{http.MethodHead, "/v1/status", 200, nil}, {http.MethodPut, "/v1/overrides/x", 400, nil},
		{http.MethodGet, "/metrics", 403, func(r *http.Request) { r.Host = "evil.example" }},
		{http.MethodPost, "/v1/reload", 403, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }},
		{http.MethodGet, "/v1//status", 307, nil}, // the mux's own: the clean path
	} {
		var change []func(*http.Request)
		if c.change != nil {
			change = append(change, c.change)
		}
		w := b.record(c.method, c.path, "", change...)
		if w.Code != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.status)
		}
		for key, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cache-Control": "no-store",
		} {
			if got := w.Header().Values(key); len(got) != 1 || got[0] != want {
				t.Errorf("%s %s: %s is %q, want %q", c.method, c.path, key, got, want)
			}
		}
	}
}

// TestAmbiguousNames: the refusal lists what could be meant, for people and for programs; the list has an end.
func TestAmbiguousNames(t *testing.T) {
	b := newBench(t)
	d := world()
	d.Policy.Services[1].Endpoints = append(d.Policy.Services[1].Endpoints, d.Policy.Services[0].Endpoints[0])
	for i := range 2 * maxCandidates {
		d.Policy.Services = append(d.Policy.Services, policy.ServiceSpec{
			Name: fmt.Sprintf("s%d", i), Endpoints: []policy.EndpointSpec{{Name: "many", V4: netip.MustParseAddr("192.0.2.1"), Weight: 1}},
		})
	}
	compiled, problems := registry.Compile(d)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b.Registry.Apply(compiled)
	b.refused(http.MethodGet, "/v1/resolve?name=one", "", http.StatusConflict, "ambiguous: say endpoint/web/one or endpoint/api/one")
	_, body := b.do(http.MethodGet, "/v1/resolve?name=one", "")
	var e Error
	if err := json.Unmarshal([]byte(body), &e); err != nil || !slices.Equal(e.Candidates, []string{"endpoint/web/one", "endpoint/api/one"}) {
		t.Errorf("candidates: %v (%v)", e.Candidates, err)
	}
	_, body = b.do(http.MethodGet, "/v1/resolve?name=many", "")
	if err := json.Unmarshal([]byte(body), &e); err != nil || len(e.Candidates) != maxCandidates || !strings.Contains(e.Message, "one of 195 more") {
		t.Errorf("%d candidates: %s (%v)", len(e.Candidates), e.Message, err)
	}
	if _, body := b.do(http.MethodGet, "/v1/resolve?name=nobody", ""); strings.Contains(body, "candidates") {
		t.Errorf("unknown: %s", body)
	}
}
