package l7edge

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/l7edge/route"
	"github.com/meridian-gslb/meridian/policy"
)

func TestRequestsReachTheirService(t *testing.T) {
	spec := policy.Spec{Services: []policy.ServiceSpec{
		service(backend(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "a %s %s %s %s", r.Method, r.Host, r.RequestURI, body)
		})).Services[0],
		service(backend(t, says("b"))).Services[0],
	}}
	spec.Services[0].Name, spec.Services[1].Name = "a", "b"
	w := newWorld(t, spec,
		route.Spec{Host: "a.test", Service: "a", Retries: -1},
		route.Spec{Host: "a.test", Path: "/b", Service: "b", Retries: -1})
	e := start(t, w, nil)

	for _, h2 := range []bool{false, true} {
		for _, scheme := range []string{"http", "https"} {
			if h2 && scheme == "http" {
				continue
			}
			c, at := client(t, h2), e.http
			if scheme == "https" {
				at = e.https
			}
			for _, tc := range []struct {
				method, host, path, body string
				status                   int
				want                     string
			}{
				{"GET", "a.test", "/", "", 200, "a GET a.test / "},
				{"GET", "A.Test.", "/x", "", 200, "a GET A.Test. /x "},
				{"POST", "a.test", "/x/y?q=1;2&z=%zz", "hello", 200, "a POST a.test /x/y?q=1;2&z=%zz hello"},
				{"GET", "a.test", "//x/./%61%2Fb", "", 200, "a GET a.test /x/a%2Fb "},
				{"PURGE", "a.test", "/", "", 200, "a PURGE a.test / "},
				{"GET", "a.test", "/b/c", "", 200, "b"},
				{"GET", "a.test", "/x/../b", "", 200, "b"},
				{"GET", "a.test", "/bc", "", 200, "a GET a.test /bc "},
				{"GET", "other.test", "/", "", 404, "not found: no route for this host and path\n"},
				{"GET", "a.test", "/../x", "", 400, "bad request: the path is malformed or climbs above the root\n"},
				{"TRACE", "a.test", "/", "", 405, "method not allowed: CONNECT and TRACE are not proxied\n"},
			} {
				name := fmt.Sprintf("%s h2=%v %s %s%s", scheme, h2, tc.method, tc.host, tc.path)
				req, err := http.NewRequest(tc.method, scheme+"://"+at, strings.NewReader(tc.body))
				if err != nil {
					t.Fatal(err)
				}
				req.Host = tc.host
				req.URL.RawPath, req.URL.RawQuery, _ = strings.Cut(tc.path, "?")
				if req.URL.Path, err = url.PathUnescape(req.URL.RawPath); err != nil {
					t.Fatal(err)
				}
				resp, err := c.Do(req)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if got := read(t, resp); resp.StatusCode != tc.status || got != tc.want {
					t.Errorf("%s: %d %q, want %d %q", name, resp.StatusCode, got, tc.status, tc.want)
				}
				if want := map[bool]int{false: 1, true: 2}[h2]; resp.ProtoMajor != want {
					t.Errorf("%s: HTTP/%d", name, resp.ProtoMajor)
				}
			}
		}
	}
}

// Only what the policy allows gets requests: what is down does not, and what comes back does.
func TestRequestsFollowHealth(t *testing.T) {
	w := newWorld(t, service(backend(t, says("0")), backend(t, says("1"))), all())
	e := start(t, w, nil)
	c := client(t, true)
	seen := func() string {
		got := map[string]bool{}
		for range 20 {
			_, body := get(t, c, "https://"+e.https)
			got[body] = true
		}
		return fmt.Sprint(got)
	}
	if got := seen(); got != "map[0:true 1:true]" {
		t.Errorf("both up: %s", got)
	}
	w.health("web/b0", policy.Down)
	if got := seen(); got != "map[1:true]" {
		t.Errorf("b0 down: %s", got)
	}
	w.health("web/b1", policy.Down)
	if got := seen(); got != "map[0:true 1:true]" {
		t.Errorf("both down, so fail open: %s", got)
	}
	w.health("web/b1", policy.Drained)
	if got := seen(); got != "map[0:true]" {
		t.Errorf("b1 drained: %s", got)
	}
}

// Requests stay at the site the policy prefers, and leave it when nothing there can be connected to.
func TestRequestsStayAtTheNearestSite(t *testing.T) {
	spec := service(nowhere(t), backend(t, says("eu")), backend(t, says("us")), backend(t, says("us")))
	spec.Sites = []policy.SiteSpec{{Name: "eu", At: &policy.Point{Lat: 53, Lon: -6}}, {Name: "us", At: &policy.Point{Lat: 39, Lon: -77}}}
	for i, site := range []string{"eu", "eu", "us", "us"} {
		spec.Services[0].Endpoints[i].Site = site
	}
	spec.Policies = []policy.PolicySpec{{Name: "near", Stages: []policy.StageSpec{
		policy.Healthy{}, policy.Geo{Default: policy.GeoTarget{Nearest: true}}, policy.Weighted{}, policy.Take{N: 1}}}}
	near := route.Spec{Service: "web", Policy: "near", Retries: 2}
	w := newWorld(t, spec, near)
	e := start(t, w, func(c *Config) { c.SiteName = "eu" })
	c := client(t, false)
	for range 30 {
		if _, body := get(t, c, "http://"+e.http); body != "eu" {
			t.Fatalf("answered by %s", body)
		}
	}
	spec.Services[0].Endpoints[1].V4, spec.Services[0].Endpoints[1].Port = spec.Services[0].Endpoints[0].V4, spec.Services[0].Endpoints[0].Port
	w.set(spec, near)
	for range 30 {
		if resp, body := get(t, c, "http://"+e.http); body != "us" {
			t.Fatalf("nothing listens in eu: %d %s", resp.StatusCode, body)
		}
	}
}

func TestLocalAnswers(t *testing.T) {
	noPort := service("127.0.0.1:1")
	noPort.Services[0].Endpoints[0].Port = 0
	hangUp := backend(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, c := range []struct {
		name   string
		spec   policy.Spec
		status int
		proxy  string
		grpc   int
	}{
		{"no endpoint", policy.Spec{Services: []policy.ServiceSpec{{Name: "web"}}}, 503, "destination_unavailable", 14},
		{"no port", noPort, 503, "destination_unavailable", 14},
		{"refused", service(nowhere(t)), 502, "connection_refused", 14},
		{"all refused", service(nowhere(t), nowhere(t), nowhere(t)), 502, "connection_refused", 14},
		{"hung up", service(hangUp), 502, "connection_terminated", 14},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := start(t, newWorld(t, c.spec, all()), nil)
			for _, h2 := range []bool{false, true} {
				resp, body := get(t, client(t, h2), "https://"+e.https+"/")
				if resp.StatusCode != c.status || resp.Header.Get("Proxy-Status") != "meridian; error="+c.proxy {
					t.Errorf("h2=%v: %d %q", h2, resp.StatusCode, resp.Header)
				}
				if strings.Count(body, "\n") != 1 || !strings.HasSuffix(body, "\n") || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
					t.Errorf("body %q as %s", body, resp.Header.Get("Content-Type"))
				}
			}
			req, _ := http.NewRequest("POST", "https://"+e.https+"/pkg.Service/Method", strings.NewReader("x"))
			req.Header.Set("Content-Type", "application/grpc+proto")
			resp, err := client(t, true).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body := read(t, resp)
			if resp.StatusCode != 200 || body != "" || resp.Header.Get("Grpc-Status") != strconv.Itoa(c.grpc) || resp.Header.Get("Grpc-Message") == "" {
				t.Errorf("gRPC: %d %v %q", resp.StatusCode, resp.Header, body)
			}
			resp, err = client(t, true).Head("https://" + e.https + "/")
			if err != nil {
				t.Fatal(err)
			}
			if body := read(t, resp); resp.StatusCode != c.status || body != "" {
				t.Errorf("HEAD: %d %q", resp.StatusCode, body)
			}
		})
	}
}

func TestHeadersOnTheWay(t *testing.T) {
	var got http.Header
	var host string
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		got, host = r.Header.Clone(), r.Host
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "1")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("X-End", "2")
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	req, _ := http.NewRequest("GET", "http://"+e.http+"/", nil)
	req.Host = "www.test:81"
	for k, v := range map[string]string{
		"Connection": "X-Secret, close", "X-Secret": "1", "Te": "trailers", "Keep-Alive": "1", "Proxy-Connection": "1", "Proxy-Authorization": "x",
		"Forwarded": "for=1.2.3.4", "X-Forwarded-For": "1.2.3.4", "X-Forwarded-Host": "evil", "X-Forwarded-Proto": "gopher", "X-Forwarded-Port": "1",
		"X-Real-Ip": "1.2.3.4", "X-End": "1", "Authorization": "Basic x", "Cookie": "c=1", "X_Forwarded_For": "1.2.3.4", "Via": "1.0 fred",
	} {
		req.Header[k] = []string{v}
	}
	req.Header["User-Agent"] = nil
	resp, err := client(t, false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	read(t, resp)
	want := map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "www.test:81", "X-Forwarded-Proto": "http", "Via": "1.0 fred, 1.1 meridian",
		"X-End": "1", "Authorization": "Basic x", "Cookie": "c=1", "Te": "trailers",
	}
	for k, v := range want {
		if strings.Join(got[k], "|") != v {
			t.Errorf("%s is %q, want %q", k, got[k], v)
		}
		delete(got, k)
	}
	delete(got, "Accept-Encoding") // of the test's client
	if len(got) != 0 {
		t.Errorf("also forwarded: %v", got)
	}
	if host != "www.test:81" {
		t.Errorf("host %s", host)
	}
	for k, v := range map[string]string{"X-Hop": "", "Keep-Alive": "", "X-End": "2", "Set-Cookie": "a=1|b=2", "Connection": "", "Via": ""} {
		if got := strings.Join(resp.Header[k], "|"); got != v {
			t.Errorf("response's %s is %q, want %q", k, got, v)
		}
	}
}

func TestLoop(t *testing.T) {
	spec := service("127.0.0.1:1")
	w := newWorld(t, spec, all())
	e := start(t, w, nil)
	w.set(service(e.http), all()) // the edge is its own endpoint
	resp, body := get(t, client(t, false), "http://"+e.http)
	if resp.StatusCode != http.StatusLoopDetected || !strings.Contains(body, "loop") {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

// What the endpoint does not say of its response, the edge does not make up, but for Date (RFC 9110 6.6.1).
func TestResponsesGetNoHeaders(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"], w.Header()["Date"] = nil, nil
		io.WriteString(w, "<html>looks like something")
		w.(http.Flusher).Flush()
	})
	e := start(t, newWorld(t, service(b), all()), nil)
	for _, h2 := range []bool{false, true} {
		resp, body := get(t, client(t, h2), "https://"+e.https)
		if resp.Header.Get("Date") == "" || len(resp.Header) != 1 || !strings.HasPrefix(body, "<html>") {
			t.Errorf("h2=%v: %q %v", h2, body, resp.Header)
		}
	}
}
