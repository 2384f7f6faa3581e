package l7edge

import (
	"net/http"
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

// trails reports whether a field may be in the trailer of a request to an endpoint: nothing that must not be in any, nor in the header.
func trails(name string) bool {
	name = strings.ToLower(name)
	return !leads(name) && !claimsClient(name) && !strings.Contains(name, "_") && httpguts.ValidHeaderFieldName(name)
}

// trailsResponse reports whether a field may be in the trailer of a response.
func trailsResponse(name string) bool {
	switch name = strings.ToLower(name); name {
	case "accept-ranges", "proxy-status": // RFC 9110 14.3, 9209 2
		return true
	case "age", "date", "expires", "location", "retry-after", "set-cookie", "vary", "warning", "www-authenticate":
		return false
	}
	return !leads(name)
}

// leads reports whether a field, its name in lower case, says how to frame, route, authorise or cache a message or what its content is, and
// so must stand in its header (RFC 9110 6.5.1).
func leads(name string) bool {
	if name == "content-digest" { // RFC 9530 2
		return false
	}
	for _, prefix := range []string{"accept", "content-", "if-", "proxy-", "x-forwarded-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	switch name {
	case "authorization", "cache-control", "connection", "cookie", "expect", "host", "keep-alive", "max-forwards", "pragma", "range", "te",
		"trailer", "transfer-encoding", "upgrade", "via":
		return true
	}
	return false
}
