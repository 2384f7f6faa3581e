package check

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
)

// Limits of what a check reads of a response.
const (
	MaxMatch  = 5120     // bytes of the body in which Match is looked for
	maxHeader = 32 << 10 // bytes of status lines and header fields, interim responses included
	maxBody   = 32 << 10 // bytes that may carry the first MaxMatch ones: chunks of one byte have five of framing
)

// An HTTPConfig describes an HTTP/1.1 check. Every field but Addr may be left zero.
type HTTPConfig struct {
	Addr   netip.AddrPort // where to connect: address and port, both required
	Method string         // default "GET"
	Path   string         // path and query, default "/"
	Host   string         // Host header field (RFC 9110, 7.2); default: Addr
	Status StatusSet      // codes that mean success; default 200-399. Redirects are not followed
	Match  string         // if not empty: must occur in the first MaxMatch bytes of the body

	Headers    http.Header    // of the request besides; default: none
	HTTP2      bool           // HTTP/2: by ALPN with TLS, with prior knowledge without (RFC 9113, 3.3)
	TLS        bool           // HTTPS: the certificate must be valid for ServerName
	ServerName string         // name sent as SNI (RFC 6066, 3) and verified; default: Host without port, or the address (verified, not sent)
	Insecure   bool           // accept any certificate
	RootCAs    *x509.CertPool // nil: the system's
}

// NewHTTP returns a Checker that sends one request on a connection of its own and judges the response. It returns an error
// if no request can be made of c.
func NewHTTP(c HTTPConfig) (Checker, error) {
	addr := unmap(c.Addr)
	method := c.Method
	if method == "" {
		method = http.MethodGet
	}
	if method == http.MethodHead && c.Match != "" {
		return nil, errors.New("a response to HEAD has no body to match")
	}
	host := c.Host
	if host == "" {
		host = addr.String()
	}
	request, err := newRequest(method, host, c)
	if err != nil {
		return nil, err
	}
	var rendered bytes.Buffer
	if err := request.Write(&rendered); err != nil {
		return nil, err
	}
	h := &httpCheck{addr: addr, request: request, rendered: rendered.Bytes(), status: c.Status, match: []byte(c.Match), http2: c.HTTP2}
	if c.TLS {
		h.tls = tlsConfig(c, host)
	}
	return h, nil
}

func newRequest(method, host string, c HTTPConfig) (*http.Request, error) {
	path := c.Path
	if path == "" {
		path = "/"
	}
	u, err := url.ParseRequestURI(path)
	if err != nil || path[0] != '/' {
		return nil, fmt.Errorf("path %q is not an absolute path", path)
	}
	u.Scheme, u.Host = "http", host
	if c.TLS {
		u.Scheme = "https"
	}
	request, err := http.NewRequest(method, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Close = !c.HTTP2
	request.Header.Set("User-Agent", "meridian-probe")
	request.Header.Set("Accept", "*/*")
	for name, values := range c.Headers {
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	return request, nil
}

func tlsConfig(c HTTPConfig, host string) *tls.Config {
	t := (&TLSConfig{ServerName: c.ServerName, RootCAs: c.RootCAs, Insecure: c.Insecure}).client(host)
	t.NextProtos = []string{"http/1.1"}
	if c.HTTP2 {
		t.NextProtos = []string{"h2"}
	}
	return t
}

// An httpCheck is a request rendered once and what its response must look like. It never changes.
//
// It drives the connection itself rather than through http.Transport, which would spend two more goroutines, their
// hand-offs and buffers for the reuse of connections that a check must not have.
type httpCheck struct {
	addr     netip.AddrPort
	request  *http.Request
	rendered []byte
	status   StatusSet
	match    []byte
	http2    bool
	tls      *tls.Config // nil: plain HTTP
}

// checkHTTP2 sends the request as the one stream of a connection, and judges the response.
func (c *httpCheck) checkHTTP2(ctx context.Context, conn net.Conn) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(c.tls != nil)
	protocols.SetUnencryptedHTTP2(c.tls == nil)
	ready := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	transport := &http.Transport{
		DialContext: ready, DialTLSContext: ready, Protocols: protocols, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerConnection: 64 << 10, MaxReceiveBufferPerStream: 64 << 10},
	}
	client, err := transport.NewClientConn(ctx, c.request.URL.Scheme, c.addr.String())
	if err != nil {
		return explain(ctx, "http2", shortTLS(err))
	}
	defer func() { _ = client.Close() }() // the answer is known by then
	response, err := client.RoundTrip(c.request.Clone(ctx))
	if err != nil {
		var network net.Error
		if ctx.Err() == nil && !errors.As(err, &network) {
			err = errors.New("malformed HTTP/2, or the connection was closed")
		}
		return explain(ctx, "response", err)
	}
	defer func() { _ = response.Body.Close() }()
	if !c.status.Contains(response.StatusCode) {
		return fmt.Errorf("status %d, want %s", response.StatusCode, c.status)
	}
	if len(c.match) == 0 {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxMatch))
	switch {
	case bytes.Contains(body, c.match):
		return nil
	case err != nil:
		return explain(ctx, "body", err)
	}
	return fmt.Errorf("body does not contain %q", c.match)
}

// Check connects, speaks TLS if configured, sends the request and judges the response.
func (c *httpCheck) Check(ctx context.Context) error {
	raw, done, err := connect(ctx, c.addr)
	if err != nil {
		return explain(ctx, connecting, err)
	}
	defer done()
	var conn net.Conn = raw
	defer func() { _ = conn.Close() }() // the answer is known by then
	if c.tls != nil {
		secure := tls.Client(raw, c.tls)
		if err := secure.Handshake(); err != nil { // bounded by the deadline of raw
			return explain(ctx, "tls", shortTLS(err))
		}
		conn = secure
		if c.http2 && secure.ConnectionState().NegotiatedProtocol != "h2" {
			return errors.New("tls: the endpoint does not offer HTTP/2")
		}
	}
	if c.http2 {
		return c.checkHTTP2(ctx, conn)
	}
	if _, err := conn.Write(c.rendered); err != nil {
		return explain(ctx, "send", err)
	}
	return c.judge(ctx, conn)
}

// judge reads the response from r, no more of it than the limits allow, and returns what is wrong with it.
func (c *httpCheck) judge(ctx context.Context, r io.Reader) error {
	in := &limitedReader{r: r, left: maxHeader}
	response, err := c.finalResponse(bufio.NewReader(in))
	if err != nil {
		if in.left == 0 {
			return fmt.Errorf("response header larger than %d KiB", maxHeader>>10)
		}
		return explain(ctx, "response", in.cause())
	}
	if !c.status.Contains(response.StatusCode) {
		return fmt.Errorf("status %d, want %s", response.StatusCode, c.status)
	}
	if len(c.match) == 0 {
		return nil
	}
	in.left = maxBody
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxMatch))
	switch {
	case bytes.Contains(body, c.match):
		return nil
	case err != nil:
		return explain(ctx, "body", in.cause())
	}
	return fmt.Errorf("body does not contain %q", c.match)
}

// finalResponse reads past interim responses (RFC 9110, 15.2). The size of all headers together bounds their number.
func (c *httpCheck) finalResponse(r *bufio.Reader) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(r, c.request)
		if err != nil {
			return nil, err
		}
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return response, nil
		}
	}
}

// A limitedReader reads until left bytes came, and remembers why it could not read on: parsers may only say that a line is
// malformed when all of it that came before a timeout is its first half.
type limitedReader struct {
	r    io.Reader
	left int
	err  error // of r
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	l.err = err
	return n, err
}

// cause returns why a parser that reads from l failed: the connection, or what came over it. What came is not repeated: a check
// is no way to read what an address answers.
func (l *limitedReader) cause() error {
	switch {
	case l.err == io.EOF:
		return errClosed
	case l.err != nil:
		return l.err
	}
	return errMalformed
}

var (
	errClosed    = errors.New("connection closed early")
	errMalformed = errors.New("malformed HTTP")
)

// shortTLS drops the layers around the cause of a failed verification.
func shortTLS(err error) error {
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return verification.Err
	}
	var notTLS tls.RecordHeaderError
	if errors.As(err, &notTLS) {
		return errors.New("the endpoint does not speak TLS")
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errClosed
	}
	return err
}
