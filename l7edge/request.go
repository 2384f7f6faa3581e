package l7edge

import (
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/meridian-gslb/meridian/l7edge/h2"
	"github.com/meridian-gslb/meridian/l7edge/h2/hpack"
	"github.com/meridian-gslb/meridian/l7edge/route"
)

// steps takes the exchange to where it is ready to pick, and makes the header of the request to the endpoint. It is what
// transaction.steps is for net/http. faultBridge means that the request is net/http's.
func (t *passage) steps(h *h2.Header) fault {
	t.client = t.front.client
	trusted := trusts(t.cfg.TrustedProxies, t.client)
	fields, ok := t.survey(h, trusted)
	if f := t.x.admit(); f != noFault {
		return f
	}
	switch {
	case h.TooLarge || len(fields) > t.cfg.MaxHeaderFields:
		return faultHeaders
	case t.method == http.MethodConnect || t.method == http.MethodTrace:
		return faultMethod
	case !httpguts.ValidHeaderFieldName(t.method): // a token too
		return faultBadMethod
	case !ok || !isHostPort(t.host):
		return faultBadHost
	}
	asked, query, more := strings.Cut(h.Path.Value, "?")
	t.asked = asked
	path, ok := route.Clean(asked)
	if !ok && t.method == http.MethodOptions && asked == "*" {
		path, ok = "*", true // about the service as a whole (RFC 9110 9.3.7); rules match it as "/"
	}
	if !ok {
		return faultBadPath
	}
	t.path = path
	if f := t.x.route(t.host, path); f != noFault {
		return f
	}
	if t.x.rule.Protocol != route.H2C {
		return faultBridge
	}
	if path != asked {
		if more {
			path += "?" + query
		}
		h.Path = h.Path.With(path)
	}
	if !t.compose(h, fields, trusted) {
		return faultLoop
	}
	return t.x.decide(t.client)
}

// survey looks at all fields of a request once: it notes what the account needs, and leaves out those that no endpoint gets. It returns
// false if the request does not name one host.
func (t *passage) survey(h *h2.Header, trusted bool) (kept []hpack.Field, ok bool) {
	kept, ok = h.Fields[:0], true
	for _, f := range h.Fields {
		switch f.Name {
		case "host":
			if t.host == "" {
				t.host = f.Value
			}
			ok = ok && t.host == f.Value
			continue
		case "user-agent":
			t.agent = f.Value
		case "content-type":
			t.grpc = strings.HasPrefix(f.Value, "application/grpc")
		case "x-forwarded-for":
			if trusted {
				t.client = lastUntrusted(f.Value, t.client, t.cfg.TrustedProxies)
			}
		}
		if strings.IndexByte(f.Name, '_') < 0 {
			kept = append(kept, f)
		}
	}
	return kept, ok
}

// compose makes the header of the request to the endpoint in t.fields: what may go on of the client's, and who the client is. What a peer
// that is not trusted said of that is left out. It returns false if the request has been through the edge too often.
func (t *passage) compose(h *h2.Header, fields []hpack.Field, trusted bool) bool {
	out := append(t.fields[:0], h.Method, schemeHTTP, h.Authority, h.Path)
	if h.Authority.Name == "" {
		out[2] = hpack.Field{Name: ":authority", Value: t.host}
	}
	var via, forwardedFor, host, proto string
	for _, f := range fields {
		switch f.Name {
		case "via":
			via = join(via, f.Value)
			continue
		case "proxy-authorization", "proxy-authenticate":
			continue
		case "trailer":
			if f = f.With(trailing(f.Value)); f.Value == "" {
				continue
			}
		case "x-forwarded-for":
			if trusted {
				forwardedFor = join(forwardedFor, f.Value)
			}
			continue
		case "x-forwarded-host":
			if host = f.Value; !trusted {
				continue
			}
		case "x-forwarded-proto":
			if proto = f.Value; !trusted {
				continue
			}
		default:
			if !trusted && claimsClient(f.Name) {
				continue
			}
		}
		out = append(out, f)
	}
	from := t.front.from
	if forwardedFor != "" {
		from = forwardedFor + ", " + from
	}
	out = append(out, hpack.Field{Name: "x-forwarded-for", Value: from, Mode: hpack.NoIndex})
	if host == "" || !trusted {
		out = append(out, hpack.Field{Name: "x-forwarded-host", Value: t.host})
	}
	if proto == "" || !trusted {
		f := forwardedHTTP
		if t.front.tls != nil {
			f = forwardedHTTPS
		}
		out = append(out, f)
	}
	if via == "" {
		out = append(out, ourVia)
	} else {
		if hops(via) >= maxHops {
			return false
		}
		out = append(out, hpack.Field{Name: "via", Value: via + ", " + ourVia.Value})
	}
	t.fields = out
	return true
}

// Fields that most requests to endpoints have.
var (
	schemeHTTP     = hpack.Known(":scheme", "http")
	forwardedHTTP  = hpack.Known("x-forwarded-proto", "http")
	forwardedHTTPS = hpack.Known("x-forwarded-proto", "https")
	ourVia         = hpack.Known("via", "2.0 "+pseudonym)
)

// join puts what several fields of a name say into one.
func join(before, value string) string {
	if before == "" {
		return value
	}
	return before + ", " + value
}

// claimsClient reports whether a field, its name in lower case, says who the client is.
func claimsClient(name string) bool {
	switch name {
	case "forwarded", "x-real-ip", "x-client-ip", "true-client-ip":
		return true
	}
	return strings.HasPrefix(name, "x-forwarded-")
}

// trailing leaves of the names in a Trailer field those that are passed on.
func trailing(names string) string {
	kept := ""
	for name := range strings.SplitSeq(names, ",") {
		if name = strings.TrimSpace(name); trails(name) {
			kept = join(kept, name)
		}
	}
	return kept
}

// lastUntrusted goes through the addresses of an X-Forwarded-For field from the last to the first that is no trusted proxy's, and returns
// that, or at if there is none.
func lastUntrusted(line string, at netip.Addr, trusted []netip.Prefix) netip.Addr {
	for line != "" && trusts(trusted, at) {
		last := line
		i := strings.LastIndexByte(line, ',')
		if line = ""; i >= 0 {
			last, line = last[i+1:], last[:i]
		}
		a, err := netip.ParseAddr(strings.TrimSpace(last))
		if err != nil {
			return at
		}
		at = a.Unmap().WithZone("")
	}
	return at
}

// responseFields makes the header of the response to the client, ":status" first, in the memory of the endpoint's.
func responseFields(h *h2.Header, b *batch) []hpack.Field {
	out := append(b.fields[:0], h.StatusField)
	dated := h.Status < 200
	for _, f := range h.Fields {
		switch f.Name {
		case "proxy-authenticate":
			continue
		case "date":
			dated = true
		case "trailer":
			if f = f.With(trailingResponse(f.Value)); f.Value == "" {
				continue
			}
		}
		out = append(out, f)
	}
	if !dated {
		out = append(out, dateField(b.now)) // RFC 9110 6.6.1
	}
	b.fields = out
	return out
}

// trailingResponse leaves of the names in a Trailer field those that a response may end with.
func trailingResponse(names string) string {
	kept := ""
	for name := range strings.SplitSeq(names, ",") {
		if name = strings.TrimSpace(name); trailsResponse(name) {
			kept = join(kept, name)
		}
	}
	return kept
}

// A datedField is the Date field of one second.
type datedField struct {
	second int64
	field  hpack.Field
}

var lastDate atomic.Pointer[datedField]

// dateField returns the Date field for a time.
func dateField(now time.Time) hpack.Field {
	d := lastDate.Load()
	if d == nil || d.second != now.Unix() {
		d = &datedField{now.Unix(), hpack.Known("date", now.UTC().Format(http.TimeFormat))}
		lastDate.Store(d)
	}
	return d.field
}
