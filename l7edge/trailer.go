package l7edge

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// trailerOf returns room for the trailer of a client's request, nil if nothing of it is passed on: the names that the client has
// announced, without values, which net/http has when the body has been read. Names that it has not announced are lost to net/http.
func trailerOf(in *http.Request) http.Header {
	var out http.Header
	for name := range in.Trailer {
		if trails(name) {
			if out == nil {
				out = make(http.Header, len(in.Trailer))
			}
			out[name] = nil
		}
	}
	return out
}

// fillTrailer copies the values of a trailer, once the body of the client's request has been read.
func fillTrailer(out http.Header, in *http.Request) {
	for name := range out {
		out[name] = nil
		for _, v := range in.Trailer[name] {
			if httpguts.ValidHeaderFieldValue(v) {
				out[name] = append(out[name], v)
			}
		}
	}
}

// pruneTrailer takes out of the header that net/http makes a response's trailer of what must not stand there and was not announced.
func pruneTrailer(h http.Header) {
	for key := range h {
		if name, ok := strings.CutPrefix(key, http.TrailerPrefix); ok && !trailsResponse(name) {
			delete(h, key)
		}
	}
}

// trails reports whether a field may be in the trailer of a request to an endpoint: nothing that must not be in any, nor in the
// header. The name is in canonical form.
func trails(name string) bool {
	return !leads(name) && !slices.Contains(claims, name) && !strings.Contains(name, "_") && httpguts.ValidHeaderFieldName(name)
}

// trailsResponse reports whether a field may be in the trailer of a response. The name is in canonical form.
func trailsResponse(name string) bool {
	switch name {
	case "Accept-Ranges", "Proxy-Status": // RFC 9110 14.3, 9209 2
		return true
	case "Age", "Date", "Expires", "Location", "Retry-After", "Set-Cookie", "Vary", "Warning", "Www-Authenticate":
		return false
	}
	return !leads(name)
}

// leads reports whether a field says how to frame, route, authorise or cache a message or what its content is, and so must stand in its
// header (RFC 9110 6.5.1).
func leads(name string) bool {
	if name == "Content-Digest" { // RFC 9530 2
		return false
	}
	for _, prefix := range []string{"Accept", "Content-", "If-", "Proxy-", "X-Forwarded-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	switch name {
	case "Authorization", "Cache-Control", "Connection", "Cookie", "Expect", "Host", "Keep-Alive", "Max-Forwards", "Pragma", "Range", "Te",
		"Trailer", "Transfer-Encoding", "Upgrade", "Via":
		return true
	}
	return false
}
