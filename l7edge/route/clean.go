package route

import (
	"bytes"
	"strings"
)

// Clean returns the one form of a request's path that is matched, recorded and passed on, and false if the path must be refused
// (400): an endpoint that reads a path otherwise than the edge did is how requests slip past rules.
//
// The path is as it stands in the request, percent-encoded, without the query. What happens to it (RFC 3986 6.2.2, and stricter):
//
//   - Percent-encoded unreserved characters are decoded ("%41" -> "A", "%2e" -> "."); other encodings get upper case digits and
//     stay, "%2F" among them: it is part of a segment, not a border. Bytes that a path cannot have unencoded are percent-encoded
//     (RFC 3986 3.3: those that are neither "/" nor pchar, e.g. '"', "[", "|" and all above 0x7F), so that nobody after the edge has
//     to, and decodes what was encoded before.
//   - Empty segments are dropped ("//a///b" -> "/a/b"); one final "/" stays.
//   - Then "." and ".." segments are resolved. What would climb above the root is refused, not clamped.
//   - Refused: a path that does not begin with "/", control characters, space, "\", "?", "#", a broken percent-encoding, an encoded
//     NUL, and segments that other software may take for dot segments: "..%2Fx", "..%5Cx", "..;x".
//
// Clean is idempotent. It does not allocate for paths without encodings, empty segments and segments that begin with a dot.
func Clean(path string) (clean string, ok bool) {
	if path == "" || path[0] != '/' {
		return "", false
	}
	plain, ok := inspect(path)
	if !ok {
		return "", false
	}
	if plain {
		return path, true
	}
	text := recode(path)
	out := make([]byte, 0, len(text))
	for rest := text[1:]; ; {
		name, tail, more := strings.Cut(rest, "/")
		switch {
		case name == "":
		case name == ".":
		case name == "..":
			if len(out) == 0 {
				return "", false
			}
			out = out[:bytes.LastIndexByte(out, '/')]
		case hidesDots(name):
			return "", false
		default:
			out = append(append(out, '/'), name...)
		}
		if !more {
			if name == "" || name == "." || name == ".." {
				out = append(out, '/')
			}
			return string(out), true
		}
		rest = tail
	}
}

// inspect refuses what no path may have. It reports plain if the path is clean already: nothing encoded nor to be encoded, no empty
// segment and none that begins with a dot.
func inspect(path string) (plain, ok bool) {
	plain = true
	for i := range len(path) {
		switch c := path[i]; {
		case c <= ' ', c == 0x7f, c == '\\', c == '?', c == '#':
			return false, false
		case c == '%':
			if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) || path[i+1:i+3] == "00" {
				return false, false
			}
			plain = false
		case c != '/' && !pchar(c):
			plain = false
		case c == '/' && i+1 < len(path) && (path[i+1] == '/' || path[i+1] == '.'):
			plain = false
		}
	}
	return plain, true
}

// recode decodes encoded unreserved characters, raises the digits of other encodings and encodes bytes that must be.
func recode(path string) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(path)+8)
	for i := 0; i < len(path); i++ {
		c := path[i]
		coded := c != '/' && !pchar(c)
		if c == '%' {
			c, coded = unhex(path[i+1])<<4|unhex(path[i+2]), true
			i += 2
		}
		if coded && !unreserved(c) {
			out = append(out, '%', digits[c>>4], digits[c&15])
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}

// hidesDots tells whether a recoded segment holds a dot segment for readers that decode "%2F" and "%5C" before they split, or
// that cut parameters (";x") off a segment before they resolve it.
func hidesDots(name string) bool {
	if name[0] != '.' && !strings.Contains(name, "%") {
		return false
	}
	for name != "" {
		end, next := len(name), len(name)
		for i := 0; i+3 <= len(name); i++ {
			if code := name[i : i+3]; code == "%2F" || code == "%5C" {
				end, next = i, i+3
				break
			}
		}
		piece := name[:end]
		if i := strings.IndexByte(piece, ';'); i >= 0 {
			piece = piece[:i]
		}
		if i := strings.Index(piece, "%3B"); i >= 0 {
			piece = piece[:i]
		}
		if piece == "." || piece == ".." {
			return true
		}
		name = name[next:]
	}
	return false
}

// unreserved: RFC 3986 2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// pchar: RFC 3986 3.3, without the percent-encoded.
func pchar(c byte) bool {
	switch c {
	case '!', '$', '&', '\'', '(', ')', '*', '+', ',', ';', '=', ':', '@':
		return true
	}
	return unreserved(c)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}
