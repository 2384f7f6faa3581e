package l7edge

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// pseudonym is what the edge calls itself in Via and Proxy-Status.
const pseudonym = "meridian"

// maxHops is how often a request may pass an edge: once, or twice when one edge sends to another, and some more for odd set-ups.
const maxHops = 4

// hops counts how often a request has passed an edge, by what its Via fields say (RFC 9110 7.6.3).
func hops(via string) int {
	n := 0
	for hop := range strings.SplitSeq(via, ",") {
		if fields := strings.Fields(hop); len(fields) >= 2 && fields[1] == pseudonym {
			n++
		}
	}
	return n
}

// addressOf returns the address of an address and port, without a zone, or the invalid address.
func addressOf(addrPort string) netip.Addr {
	ap, err := netip.ParseAddrPort(addrPort)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// clientOf returns the address of the client: the peer, or if that is a trusted proxy, the last address in X-Forwarded-For that is
// not one.
func clientOf(r *http.Request, trusted []netip.Prefix) netip.Addr {
	at := addressOf(r.RemoteAddr)
	if !trusts(trusted, at) {
		return at
	}
	return lastUntrusted(strings.Join(r.Header["X-Forwarded-For"], ","), at, trusted)
}

func trusts(trusted []netip.Prefix, a netip.Addr) bool {
	return a.IsValid() && slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

// tidy removes from a client's header what must not reach an endpoint, before anything else looks at it, and returns how many field
// lines are left. Names with "_" go, because servers that map headers to variables cannot tell them from names with "-", as go
// upgrades to anything but WebSocket: an HTTP/2 tunnel (h2c) would carry requests past the routes.
func tidy(h http.Header) int {
	n := 0
	for name, values := range h {
		if strings.Contains(name, "_") {
			delete(h, name)
			continue
		}
		n += len(values)
	}
	if up := h["Upgrade"]; len(up) > 0 && (len(up) > 1 || !strings.EqualFold(up[0], "websocket")) {
		delete(h, "Upgrade")
	}
	return n
}

// wantsTunnel reports whether a tidy header asks for another protocol on the connection (RFC 9110 7.8).
func wantsTunnel(h http.Header) bool {
	if len(h["Upgrade"]) == 0 {
		return false
	}
	for _, line := range h["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(option), "upgrade") {
				return true
			}
		}
	}
	return false
}

// claims are headers in which proxies say who the client is.
var claims = []string{"Forwarded", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip"}

// introduce writes into the header of the request to an endpoint who the client is. in is the client's request. What a peer that is
// not trusted said of it is replaced.
func introduce(out http.Header, in *http.Request, trusted []netip.Prefix) {
	from := addressOf(in.RemoteAddr)
	if trusts(trusted, from) {
		for _, name := range append([]string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}, claims...) {
			if v, ok := in.Header[name]; ok {
				out[name] = v
			}
		}
		if prior := in.Header["X-Forwarded-For"]; len(prior) > 0 && from.IsValid() {
			out.Set("X-Forwarded-For", strings.Join(prior, ", ")+", "+from.String())
		}
	} else {
		for name := range out {
			if strings.HasPrefix(name, "X-Forwarded-") {
				delete(out, name)
			}
		}
		for _, name := range claims {
			delete(out, name)
		}
	}
	if out.Get("X-Forwarded-For") == "" && from.IsValid() {
		out.Set("X-Forwarded-For", from.String())
	}
	if out.Get("X-Forwarded-Host") == "" {
		out.Set("X-Forwarded-Host", in.Host)
	}
	if out.Get("X-Forwarded-Proto") == "" {
		proto := "http"
		if in.TLS != nil {
			proto = "https"
		}
		out.Set("X-Forwarded-Proto", proto)
	}
	version := strings.TrimPrefix(in.Proto, "HTTP/")
	if prior := in.Header["Via"]; len(prior) > 0 {
		out.Set("Via", strings.Join(prior, ", ")+", "+version+" "+pseudonym)
	} else {
		out.Set("Via", version+" "+pseudonym)
	}
}
