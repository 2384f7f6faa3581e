package l7edge

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// pathOf returns the path of a request as it was sent, still encoded and without the query; "" if it cannot be told. net/http's own
// idea of it is not used: where an encoding is not the usual one it decodes and encodes the path anew, and "%2F" comes out as "/".
func pathOf(r *http.Request) string {
	path := r.RequestURI
	if r.ProtoMajor == 1 && r.URL.Scheme != "" { // absolute form (RFC 9112 3.2.2)
		rest, ok := strings.CutPrefix(path[len(r.URL.Scheme):], "://")
		if !ok {
			return ""
		}
		i := strings.IndexAny(rest, "/?#")
		if i < 0 || rest[i] == '?' {
			return "/"
		}
		path = rest[i:]
	}
	path, _, _ = strings.Cut(path, "?")
	return path
}

// oneHost reports whether a request names one host, in a form that nobody can misread. HTTP/1.0 may name none. It takes "Host" out of
// the header of HTTP/2, where it may stand beside ":authority" if it says the same (RFC 9113 8.3.1).
func oneHost(r *http.Request) bool {
	if hosts, ok := r.Header["Host"]; ok {
		if len(hosts) != 1 || hosts[0] != r.Host {
			return false
		}
		delete(r.Header, "Host")
	}
	if r.Host == "" {
		return r.ProtoMajor == 1 && r.ProtoMinor == 0
	}
	return isHostPort(r.Host)
}

// isHostPort reports whether s is a name or an address, and perhaps a port (RFC 3986 3.2.2, 3.2.3). Of the characters of names it knows
// those that need no decoding and mean nothing to anybody: letters, digits, "-", ".", "_" and "~".
func isHostPort(s string) bool {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:i], s[i+1:]
	}
	if len(port) > 0 {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		return ok && err == nil && a.Is6() && a.Zone() == ""
	}
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
		default:
			return false
		}
	}
	return host != ""
}

// oneLength reports whether what a request's header says of its length is one thing, and what net/http has understood. Over HTTP/2 that
// looks at the first of several fields only, and at none if the request ends with its header.
func oneLength(r *http.Request) bool {
	lengths, ok := r.Header["Content-Length"]
	if !ok {
		return true
	}
	if len(lengths) != 1 {
		return false
	}
	n, err := strconv.ParseUint(lengths[0], 10, 63)
	return err == nil && int64(n) == r.ContentLength
}
