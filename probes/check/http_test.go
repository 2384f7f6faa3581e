package check

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// newHTTP returns the Checker of c or fails the test.
func newHTTP(t *testing.T, c HTTPConfig) Checker {
	t.Helper()
	checker, err := NewHTTP(c)
	if err != nil {
		t.Fatal(err)
	}
	return checker
}

// parseStatus returns the set s describes.
func parseStatus(t *testing.T, s string) StatusSet {
	t.Helper()
	set, err := ParseStatus(s)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// site is a web server with one page for each thing that can be right or wrong.
func site(t *testing.T) (*httptest.Server, netip.AddrPort) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "all is well") })
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		fmt.Sscan(r.PathValue("code"), &code)
		w.WriteHeader(code)
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/status/500", http.StatusFound)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s host=%s ua=%s close=%t", r.Method, r.RequestURI, r.Host, r.UserAgent(), r.Close)
	})
	mux.HandleFunc("/early-hints", func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			w.WriteHeader(http.StatusEarlyHints)
		}
		fmt.Fprint(w, "after the hints")
	})
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) { // marks the last byte read and the first that is not
		_, _ = w.Write(append(bytes.Repeat([]byte("x"), MaxMatch-4), "LAST"...))
		_, _ = w.Write(append([]byte("FIRST"), bytes.Repeat([]byte("y"), 10<<20)...))
	})
	mux.HandleFunc("/big-header", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 2*maxHeader))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server, addrOf(server.Listener)
}

func TestHTTP(t *testing.T) {
	_, addr := site(t)
	for _, tc := range []struct {
		name   string
		config HTTPConfig
		want   string
	}{
		{"ok", HTTPConfig{Path: "/ok"}, ""},
		{"default path", HTTPConfig{}, "status 404, want 200-399"},
		{"503", HTTPConfig{Path: "/status/503"}, "status 503, want 200-399"},
		{"503 wanted", HTTPConfig{Path: "/status/503", Status: parseStatus(t, "200,503")}, ""},
		{"204 not wanted", HTTPConfig{Path: "/status/204", Status: parseStatus(t, "200, 301-302")}, "status 204, want 200,301-302"},
		{"redirect counts and is not followed", HTTPConfig{Path: "/redirect"}, ""},
		{"redirect not wanted", HTTPConfig{Path: "/redirect", Status: parseStatus(t, "200")}, "status 302, want 200"},
		{"match", HTTPConfig{Path: "/ok", Match: "is well"}, ""},
		{"no match", HTTPConfig{Path: "/ok", Match: "is ill"}, `body does not contain "is ill"`},
		{"match at the end of what is read", HTTPConfig{Path: "/big", Match: "xLAST"}, ""},
		{"match beyond what is read", HTTPConfig{Path: "/big", Match: "FIRST"}, `body does not contain "FIRST"`},
		{"big body without a match", HTTPConfig{Path: "/big"}, ""},
		{"big header", HTTPConfig{Path: "/big-header"}, "response header larger than 32 KiB"},
		{"interim responses", HTTPConfig{Path: "/early-hints", Match: "after the hints"}, ""},
		{"request", HTTPConfig{Path: "/echo?a=%2Fb", Match: fmt.Sprintf("GET /echo?a=%%2Fb host=%s ua=meridian-probe close=true", addr)}, ""},
		{"host", HTTPConfig{Path: "/echo", Host: "www.example.com:8443", Match: "host=www.example.com:8443 "}, ""},
		{"method", HTTPConfig{Path: "/echo", Method: "OPTIONS", Match: "OPTIONS /echo "}, ""},
		{"head", HTTPConfig{Path: "/ok", Method: "HEAD"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.config.Addr = addr
			wantError(t, newHTTP(t, tc.config).Check(within(t, 10*time.Second)), tc.want)
		})
	}
}

// TestHTTPMakesAConnectionEachTime proves that a check sees what a new client sees.
func TestHTTPMakesAConnectionEachTime(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	var connections atomic.Int64
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:1") // of no interest to checks
	checker := newHTTP(t, HTTPConfig{Addr: addrOf(server.Listener)})
	for range 5 {
		wantError(t, checker.Check(within(t, 10*time.Second)), "")
	}
	if got := connections.Load(); got != 5 {
		t.Errorf("%d connections for 5 checks", got)
	}
	server.Close()
	wantError(t, checker.Check(within(t, 10*time.Second)), "connect: connection refused")
}

// TestHTTPAgainstOddServers sends fixed bytes, or none, and sees what the check makes of them.
func TestHTTPAgainstOddServers(t *testing.T) {
	for _, tc := range []struct {
		name, response string
		hold           bool // do not close the connection
		match          string
		want           string
	}{
		{name: "silent", hold: true, want: "response: timeout"},
		{name: "stops in the header", response: "HTTP/1.1 200 OK\r\nContent-", hold: true, want: "response: timeout"},
		{name: "stops in the body", response: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", hold: true, match: "whole", want: "body: timeout"},
		{name: "stops in the body that nobody reads", response: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", hold: true},
		{name: "match before the body stops", response: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", match: "half"},
		{name: "closes at once", want: "response: connection closed early"},
		{name: "closes in the header", response: "HTTP/1.1 200 OK\r\n", want: "response: connection closed early"},
		{name: "closes in the body", response: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", match: "whole", want: "body: connection closed early"},
		{name: "body up to the end", response: "HTTP/1.0 200 OK\r\n\r\nto the end", match: "the end"},
		{name: "chunks of one byte", response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
			strings.Repeat("1\r\nx\r\n", MaxMatch-1) + "1\r\nY\r\n0\r\n\r\n", match: "xY"},
		{name: "endless chunk extension", response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" +
			strings.Repeat("x", 2*maxBody), match: "x", want: "body: malformed HTTP"},
		{name: "long extensions", response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
			strings.Repeat("1;"+strings.Repeat("x", 100)+"\r\nx\r\n", MaxMatch), match: "Y",
			want: "body: malformed HTTP"},
		{name: "not HTTP", response: "220 mail.example.com ESMTP\r\n", want: "response: malformed HTTP"},
		{name: "switches protocols", response: "HTTP/1.1 101 Switching Protocols\r\n\r\n", want: "status 101, want 200-399"},
		{name: "interim responses without end", response: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 2*maxHeader/25),
			want: "response header larger than 32 KiB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			release := make(chan struct{})
			addr := serve(t, func(conn net.Conn) {
				_, _ = http.ReadRequest(bufio.NewReader(conn))
				_, _ = io.WriteString(conn, tc.response)
				if tc.hold {
					<-release
				}
			})
			timeout := 10 * time.Second
			if strings.Contains(tc.want, "timeout") {
				timeout = 500 * time.Millisecond
			}
			err := newHTTP(t, HTTPConfig{Addr: addr, Match: tc.match}).Check(within(t, timeout))
			close(release)
			wantError(t, err, tc.want)
			if Timeout(err) != strings.Contains(tc.want, "timeout") || Inconclusive(err) {
				t.Errorf("%v: timeout %t, inconclusive %t", err, Timeout(err), Inconclusive(err))
			}
		})
	}
}

func TestHTTPIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	addr := serve(t, func(conn net.Conn) {
		cancel()
		<-release
	})
	err := newHTTP(t, HTTPConfig{Addr: addr}).Check(ctx)
	close(release)
	wantError(t, err, context.Canceled.Error())
}

func TestNewHTTPRefuses(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.1:80")
	for _, tc := range []struct {
		config HTTPConfig
		want   string
	}{
		{HTTPConfig{Path: "healthz"}, `path "healthz" is not an absolute path`},
		{HTTPConfig{Path: "http://other/"}, `path "http://other/" is not an absolute path`},
		{HTTPConfig{Path: "/a\r\nX: y"}, `path "/a\r\nX: y" is not an absolute path`},
		{HTTPConfig{Method: "GE T"}, `net/http: invalid method "GE T"`},
		{HTTPConfig{Host: "a b"}, "parse …"},
		{HTTPConfig{Method: "HEAD", Match: "x"}, "a response to HEAD has no body to match"},
	} {
		tc.config.Addr = addr
		_, err := NewHTTP(tc.config)
		wantError(t, err, tc.want)
	}
}

// A pki is a certificate authority made for one test.
type pki struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	p := &pki{key: key, pool: x509.NewCertPool()}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	p.pool.AddCert(p.cert)
	return p
}

// issue returns a certificate for name and 127.0.0.1 if ip is set, valid until the given time.
func (p *pki) issue(t *testing.T, name string, ip bool, until time.Time) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until, DNSNames: []string{name},
	}
	if ip {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.cert, &p.key.PublicKey, p.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: p.key}
}

// secureSite serves over TLS, with a certificate chosen by SNI, and returns in the body which SNI it got.
func secureSite(t *testing.T, config *tls.Config) netip.AddrPort {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "sni=%q host=%s proto=%s alpn=%s", r.TLS.ServerName, r.Host, r.Proto, r.TLS.NegotiatedProtocol)
	}))
	server.TLS = config
	server.EnableHTTP2 = true
	server.TLS.NextProtos = []string{"h2", "http/1.1"} // it would rather speak HTTP/2
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return addrOf(server.Listener)
}

func TestHTTPS(t *testing.T) {
	ca, later := newPKI(t), time.Now().Add(time.Hour)
	www, byAddress := ca.issue(t, "www.example.com", false, later), ca.issue(t, "any", true, later)
	expired := ca.issue(t, "old.example.com", false, time.Now().Add(-time.Minute))
	addr := secureSite(t, &tls.Config{Certificates: []tls.Certificate{byAddress}, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		switch h.ServerName {
		case "old.example.com":
			return &expired, nil
		}
		return &www, nil
	}})
	for _, tc := range []struct {
		name   string
		config HTTPConfig
		want   string
	}{
		{"name from host", HTTPConfig{Host: "www.example.com", Match: `sni="www.example.com" host=www.example.com proto=HTTP/1.1 alpn=http/1.1`}, ""},
		{"name from host with port", HTTPConfig{Host: "www.example.com:8443", Match: `sni="www.example.com" host=www.example.com:8443`}, ""},
		{"name of its own", HTTPConfig{Host: "internal", ServerName: "www.example.com", Match: `sni="www.example.com" host=internal`}, ""},
		{"by address, which is no SNI", HTTPConfig{Match: `sni="" host=127.0.0.1:`}, ""},
		{"wrong name", HTTPConfig{Host: "api.example.com"}, "tls: x509: certificate is valid for www.example.com, not api.example.com"},
		{"wrong name, not verified", HTTPConfig{Host: "api.example.com", Insecure: true, Match: `sni="api.example.com"`}, ""},
		{"expired", HTTPConfig{Host: "old.example.com"}, "tls: x509: certificate has expired or is not yet valid: …"},
		{"expired, not verified", HTTPConfig{Host: "old.example.com", Insecure: true}, ""},
		{"unknown authority", HTTPConfig{Host: "www.example.com", RootCAs: x509.NewCertPool()}, "tls: x509: certificate signed by unknown authority…"},
		{"unknown authority, not verified", HTTPConfig{Host: "www.example.com", RootCAs: x509.NewCertPool(), Insecure: true}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.config.Addr, tc.config.TLS = addr, true
			if tc.config.RootCAs == nil {
				tc.config.RootCAs = ca.pool
			}
			err := newHTTP(t, tc.config).Check(within(t, 10*time.Second))
			wantError(t, err, tc.want)
			if Inconclusive(err) || Timeout(err) {
				t.Errorf("%v is the endpoint's fault", err)
			}
		})
	}
}

func TestHTTPSAgainstOddServers(t *testing.T) {
	_, plain := site(t)
	old := secureSite(t, &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	silent := make(chan struct{})
	mute := serve(t, func(net.Conn) { <-silent })
	defer close(silent)
	for _, tc := range []struct {
		name    string
		addr    netip.AddrPort
		timeout time.Duration
		want    string
	}{
		{"plain HTTP", plain, 10 * time.Second, "tls: the endpoint does not speak TLS"},
		{"TLS 1.1", old, 10 * time.Second, "tls: remote error: tls: protocol version not supported"},
		{"silent", mute, 100 * time.Millisecond, "tls: timeout"},
		{"closes", serve(t, func(net.Conn) {}), 10 * time.Second, "tls: …"},
		{"nobody there", closedPort(t), 10 * time.Second, "connect: connection refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := newHTTP(t, HTTPConfig{Addr: tc.addr, TLS: true, Insecure: true}).Check(within(t, tc.timeout))
			wantError(t, err, tc.want)
		})
	}
}

// FuzzJudge feeds a check whatever an endpoint might send: it must neither crash nor read without end.
func FuzzJudge(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 503 No\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.0 200 OK\n\nhello", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "SSH-2.0-x\r\n", "",
	} {
		f.Add([]byte(seed))
	}
	checker, err := NewHTTP(HTTPConfig{Addr: netip.MustParseAddrPort("192.0.2.1:80"), Match: "hello"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, response []byte) {
		endless := &countingReader{r: io.MultiReader(bytes.NewReader(response), zeros{})}
		err := checker.(*httpCheck).judge(t.Context(), endless)
		if err == nil && !bytes.Contains(response, []byte("lo")) {
			t.Errorf("success without the text wanted")
		}
		if endless.n > maxHeader+maxBody {
			t.Errorf("%d bytes read", endless.n)
		}
	})
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
