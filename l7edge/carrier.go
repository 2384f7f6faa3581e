package l7edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/meridian-gslb/meridian/l7edge/route"
	"github.com/meridian-gslb/meridian/l7edge/upstream"
)

// A carrier moves requests and responses with net/http: http.Server brings a request, the exchange says where it goes, and the
// standard reverse proxy moves the bytes over an http.Transport. It has the engine, which carries HTTP/2 to HTTP/2 without it.
type carrier struct {
	cfg     Config
	core    *core
	links   *links
	metrics *metrics
	log     *slog.Logger
	access  *slog.Logger // nil: no access records
	proxy   *httputil.ReverseProxy
	linger  time.Duration

	engine   *engine
	draining atomic.Bool  // connections of clients end as soon as they can
	leaving  atomic.Bool  // clients are told to go elsewhere with each response
	handlers atomic.Int64 // requests and tunnels being handled, refused ones too
	tunnels  atomic.Int64
}

func newCarrier(cfg Config, c *core, log, access *slog.Logger) *carrier {
	h := &carrier{cfg: cfg, core: c, links: newLinks(cfg), log: log, access: access, linger: lingering}
	h.metrics = newMetrics(h)
	h.engine = newEngine(h)
	h.proxy = &httputil.ReverseProxy{
		Rewrite:        h.rewrite,
		Transport:      roundTripper{},
		ModifyResponse: modifyResponse,
		ErrorHandler:   handleError,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug), // each of them is a counter already
		BufferPool:     &buffers{},
	}
	return h
}

// transactionKey is the key of the *transaction in the context of a request.
type transactionKey struct{}

func transactionOf(r *http.Request) *transaction {
	return r.Context().Value(transactionKey{}).(*transaction)
}

// ServeHTTP carries one request.
func (h *carrier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.handlers.Add(1)
	defer h.handlers.Add(-1)
	if g, ok := r.Context().Value(guestKey{}).(*guest); ok {
		g.arrive()
	}

	t := &transaction{rw: w, rc: http.NewResponseController(w), last: lastOnConnection(r), account: account{
		carrier: h, start: time.Now(), proto: r.Proto, method: r.Method, host: r.Host, agent: r.UserAgent(), asked: pathOf(r)}}
	ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), transactionKey{}, t))
	defer cancel(nil)
	t.cancel = cancel
	t.dog.bark = t.expired
	t.in = r.WithContext(ctx)
	defer t.rescue() // from what panics in finish
	if r.ContentLength != 0 {
		t.in.Body = &clientBody{r.Body, t}
	} else {
		t.bodyEnded.Store(true)
	}
	t.x = h.core.open()
	defer t.finish() // also when the reverse proxy panics, which is how it breaks a response off
	defer t.rescue()

	if f := t.steps(); f != noFault {
		t.refuse(f)
		t.complete = true
		return
	}
	t.arm(t.x.rule.Timeout)
	h.proxy.ServeHTTP(t, t.in)
	pruneTrailer(w.Header())
	t.complete = true
}

// lastOnConnection reports whether a request's connection must end with it: over HTTP/1 one in chunks, because it may have had a length
// too, which net/http does not tell, and one of HTTP/1.0, because it may have had chunks, which net/http does not tell either
// (RFC 9112 6.1).
func lastOnConnection(r *http.Request) bool {
	return r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0)
}

// rescue, deferred, turns a panic into an answer or, if one has begun, into its end. http.ErrAbortHandler passes: it is how the
// reverse proxy breaks a response off.
func (t *transaction) rescue() {
	p := recover()
	switch p {
	case nil:
		return
	case http.ErrAbortHandler:
		panic(p)
	}
	t.metrics.panics.Inc()
	t.log.Error("panic while a request was carried", "panic", fmt.Sprint(p), "method", t.in.Method, "host", t.in.Host, "path", t.shownPath(),
		"stack", string(debug.Stack()))
	begun := t.hijacked || t.status != 0
	t.refuse(faultPanic)
	if begun {
		panic(http.ErrAbortHandler)
	}
}

// steps takes the exchange to where it is ready to pick.
func (t *transaction) steps() fault {
	r := t.in
	t.client = clientOf(r, t.cfg.TrustedProxies)
	if f := t.x.admit(); f != noFault {
		return f
	}
	if tidy(r.Header) > t.cfg.MaxHeaderFields {
		return faultHeaders
	}
	switch {
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		return faultMethod
	case !httpguts.ValidHeaderFieldName(r.Method): // a token too
		return faultBadMethod
	case !oneHost(r):
		return faultBadHost
	case !oneLength(r):
		return faultBadLength
	}
	path, ok := route.Clean(t.asked)
	if !ok && r.Method == http.MethodOptions && r.RequestURI == "*" {
		path, ok = "*", true // about the service as a whole (RFC 9110 9.3.7); rules match it as "/"
	}
	if !ok {
		return faultBadPath
	}
	t.path = path
	if hops(strings.Join(r.Header["Via"], ",")) >= maxHops {
		return faultLoop
	}
	if f := t.x.route(r.Host, path); f != noFault {
		return f
	}
	if t.x.rule.Protocol == route.H2C && wantsTunnel(r.Header) {
		return faultTunnel
	}
	return t.x.decide(t.client)
}

// rewrite makes the request to the endpoint out of the client's.
func (h *carrier) rewrite(p *httputil.ProxyRequest) {
	t := transactionOf(p.In)
	p.Out.URL = &url.URL{
		Scheme:   "http",
		RawPath:  t.path,
		RawQuery: p.In.URL.RawQuery, ForceQuery: p.In.URL.ForceQuery, // nothing here reads it, so nothing needs cleaning
	}
	if plain, err := url.PathUnescape(t.path); err == nil {
		p.Out.URL.Path = plain
	}
	p.Out.Trailer = nil
	if t.x.rule.Protocol == route.H2C && p.Out.Body != nil {
		t.trailer = trailerOf(p.In)
		p.Out.Trailer = t.trailer
	}
	introduce(p.Out.Header, p.In, h.cfg.TrustedProxies)
}

// modifyResponse refuses responses that cannot be passed on. The reverse proxy then closes the connection to the endpoint, which it
// would forget to do if it found out by itself that the protocol is not the one asked for. Of an announced trailer it leaves what may
// stand there.
func modifyResponse(resp *http.Response) error {
	if resp.StatusCode < 100 {
		return errStatus
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		asked, got := resp.Request.Header.Get("Upgrade"), resp.Header.Get("Upgrade")
		if asked == "" || !strings.EqualFold(asked, got) {
			return errUpgrade
		}
	}
	for name := range resp.Trailer {
		if !trailsResponse(name) {
			delete(resp.Trailer, name)
		}
	}
	return nil
}

// handleError answers a request that no endpoint answered.
func handleError(_ http.ResponseWriter, r *http.Request, err error) {
	t := transactionOf(r)
	f := t.blame(err)
	var connect *upstream.ConnectError
	if errors.As(err, &connect) {
		t.x.outcome(upstream.ConnectFailed)
	}
	t.refuse(f)
}

// lingering is how long the rest of a request's body may take to arrive after the response is complete.
const lingering = 5 * time.Second

// finish ends the transaction: outcome, metrics, access record.
func (t *transaction) finish() {
	t.dog.stop()
	if !t.complete && t.fault == noFault {
		t.fault = t.blame(nil)
	}
	if !t.hijacked && t.in.ProtoMajor == 1 {
		_ = t.rc.SetWriteDeadline(time.Now().Add(t.cfg.StreamIdleTimeout)) // else net/http waits for ever for the client to read the rest
	}
	if t.hijacked {
		t.tunnels.Add(-1)
	} else if !t.bodyEnded.Load() && !t.bodyBroken.Load() {
		_ = t.rc.SetReadDeadline(time.Now().Add(t.linger)) // else net/http waits for it without end
	}
	t.close(time.Now())
}

// buffers are the copy buffers of the reverse proxy.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
