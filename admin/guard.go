package admin

import (
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Limits of the API. A connection that is used as it should be is bounded by none of the times; one that is not is given up after them,
// so that the next client that waits for one of maxConnections waits no longer either.
const (
	maxBody        = 1 << 20  // bytes of a request
	maxHeader      = 16 << 10 // bytes of a request line and header; net/http adds 4 KiB
	maxConnections = 128

	headerTime = 5 * time.Second  // for the whole header to come
	bodyTime   = 10 * time.Second // for header and body to come
	replyTime  = time.Minute      // from the header on, for the work and for the reply to be read
	idleTime   = 10 * time.Second // between two requests of a connection
)

// guard puts what holds for every request before a handler: a panic is one failed request, a foreign Host name is refused, a
// change that a browser sends from elsewhere is refused, a body has a limit, and a browser runs nothing of a reply.
func (s *Server) guard(h http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeError(w, &Error{Status: http.StatusForbidden, Message: "a change from another origin is refused"})
	}))
	h = origin.Handler(h)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &reply{ResponseWriter: rw}
		defer s.recovered(w, r)
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Cache-Control", "no-store")
		if !s.hosts.allow(r.Host) {
			writeError(w, &Error{Status: http.StatusForbidden, Message: fmt.Sprintf(
				"host %.80q is refused, for a page elsewhere could have pointed it here: use the address the API listens on", r.Host)})
			return
		}
		r.Body = http.MaxBytesReader(rw, r.Body, maxBody) // closes the connection, which only net/http's own writer can
		h.ServeHTTP(w, r)
	})
}

// A reply is a ResponseWriter that knows whether the response has begun.
type reply struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader begins the response.
func (r *reply) WriteHeader(status int) {
	r.begun = true
	r.ResponseWriter.WriteHeader(status)
}

// Write begins the response, if that has not been done, and goes on with it.
func (r *reply) Write(b []byte) (int, error) {
	r.begun = true
	return r.ResponseWriter.Write(b)
}

// recovered turns a panic into an answer, a log line and a count. When the answer has begun it cannot be taken back: the connection
// is aborted, so that the client does not take half of it for all. http.ErrAbortHandler passes: it is meant.
func (s *Server) recovered(w *reply, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	s.panics.Inc()
	s.log.Error("admin: panic recovered", "method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(p))
	if w.begun {
		panic(http.ErrAbortHandler)
	}
	writeError(w, &Error{Status: http.StatusInternalServerError, Message: "internal error; the log has more"})
}

// checkBody refuses a body that does not say it is JSON. What a page elsewhere can send without asking first (a form, plain text)
// does not say so, and neither does a slip.
func checkBody(r *http.Request) error {
	if r.ContentLength == 0 {
		return nil
	}
	said := r.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(said); err == nil && media == "application/json" {
		return nil
	}
	if said == "" {
		said = "nothing"
	}
	return &Error{Status: http.StatusUnsupportedMediaType, Message: fmt.Sprintf(
		"the body has to be JSON and to say so: send the header \"Content-Type: application/json\" (with curl: --json, or -H); it says %.80s", said)}
}

// A hostRule says which Host header fields are obeyed. DNS rebinding needs a name that resolves to us, so names other than localhost
// and the configured one are refused. So is every address but those we can be reached at.
type hostRule struct {
	name string     // that the configuration has us listen on, in lower case; "" if it says an address
	addr netip.Addr // bound; the unspecified ones are every address of the machine; not valid while a name is not resolved
}

// newHostRule returns the rule for a HOST:PORT that is not bound yet.
func newHostRule(listen string) hostRule {
	host, _, err := net.SplitHostPort(listen)
	if err != nil { // Listen will say so
		return hostRule{}
	}
	if host == "" {
		return hostRule{addr: netip.IPv6Unspecified()}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return hostRule{name: plainName(host)}
	}
	return hostRule{addr: plainAddr(addr)}
}

// bound returns the rule for an address that has been bound.
func (h hostRule) bound(a net.Addr) hostRule {
	if tcp, ok := a.(*net.TCPAddr); ok {
		h.addr = plainAddr(tcp.AddrPort().Addr())
	}
	return h
}

func (h hostRule) allow(host string) bool {
	name := host
	if a, err := netip.ParseAddrPort(host); err == nil {
		name = a.Addr().String()
	} else if n, port, ok := strings.Cut(host, ":"); ok && !strings.Contains(port, ":") {
		name = n
	}
	name = plainName(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"))
	if name == "localhost" || name != "" && name == h.name {
		return true
	}
	addr, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	addr = plainAddr(addr)
	return addr.IsLoopback() || addr == h.addr || h.addr.IsUnspecified()
}

// plainName returns a host name as it is compared.
func plainName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

// plainAddr returns an address as it is compared: without a zone, which no Host header field has, and IPv4 as such.
func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
