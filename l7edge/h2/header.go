package h2

import (
	"strconv"
	"strings"

	"github.com/meridian-gslb/meridian/l7edge/h2/hpack"
)

// A Header is what begins a message. It is valid until Handler.Header returns; the owner of the stream may change it.
type Header struct {
	Method, Scheme, Authority, Path hpack.Field // of a request; an empty Name: not there
	Status                          int         // of a response
	StatusField                     hpack.Field
	Fields                          []hpack.Field // what else there is, in order
	Length                          int64         // Content-Length; -1: none
	End                             bool          // no data and no trailer follow
	TooLarge                        bool          // above Config.MaxHeaderBytes: Fields are missing
}

// Bits of pseudo-header fields seen.
const (
	sawMethod = 1 << iota
	sawScheme
	sawAuthority
	sawPath
	sawStatus
)

// parse makes a Header of fields and reports what is wrong with it, or "" (RFC 9113 8.1.1, 8.2, 8.3). request says which it is.
func (h *Header) parse(fields []hpack.Field, request bool) string {
	*h = Header{Length: -1}
	seen, i := 0, 0
	for ; i < len(fields) && len(fields[i].Name) > 0 && fields[i].Name[0] == ':'; i++ {
		f := fields[i]
		bit := 0
		switch f.Name {
		case ":method":
			bit, h.Method = sawMethod, f
		case ":scheme":
			bit, h.Scheme = sawScheme, f
		case ":authority":
			bit, h.Authority = sawAuthority, f
		case ":path":
			bit, h.Path = sawPath, f
		case ":status":
			bit, h.StatusField = sawStatus, f
		}
		if bit == 0 || request == (bit == sawStatus) {
			return "unknown pseudo-header field"
		}
		if seen&bit != 0 {
			return "pseudo-header field twice"
		}
		if f.Flaw {
			return "invalid value of a pseudo-header field"
		}
		seen |= bit
	}
	h.Fields = fields[i:]
	if request {
		if why := h.checkRequest(seen); why != "" {
			return why
		}
	} else {
		n, err := strconv.ParseUint(h.StatusField.Value, 10, 16)
		if err != nil || len(h.StatusField.Value) != 3 || n < 100 {
			return "invalid status"
		}
		if h.Status = int(n); n == 101 {
			return "status 101"
		}
	}
	return h.checkFields()
}

// checkRequest looks at the pseudo-header fields of a request (RFC 9113 8.3.1, 8.5).
func (h *Header) checkRequest(seen int) string {
	switch {
	case h.Method.Value == "CONNECT":
		if seen&(sawScheme|sawPath) != 0 || h.Authority.Value == "" {
			return "CONNECT with a scheme or path, or without authority"
		}
	case seen&(sawMethod|sawScheme|sawPath) != sawMethod|sawScheme|sawPath:
		return "pseudo-header field missing"
	case h.Path.Value == "", h.Path.Value[0] != '/' && (h.Path.Value != "*" || h.Method.Value != "OPTIONS"):
		return "path that does not begin with a slash"
	case h.Method.Value == "":
		return "no method"
	}
	return ""
}

// checkFields looks at the fields that are no pseudo-header fields.
func (h *Header) checkFields() string {
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Flaw || f.Name[0] == ':' {
			return "invalid field"
		}
		if f.Name == "content-length" {
			n, err := strconv.ParseInt(f.Value, 10, 64)
			if err != nil || n < 0 || f.Value[0] == '+' || h.Length >= 0 {
				return "invalid content-length"
			}
			h.Length = n
		}
	}
	return ""
}

// flawed reports whether a field is one that no message may have (RFC 9113 8.2.1, 8.2.2).
func flawed(name, value string) bool {
	if !validValue(value) {
		return true
	}
	if rest, pseudo := strings.CutPrefix(name, ":"); pseudo {
		return !validName(rest)
	}
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return true
	case "te":
		return value != "trailers"
	}
	return !validName(name)
}

// validTrailer reports whether fields may be a trailer.
func validTrailer(fields []hpack.Field) bool {
	for i := range fields {
		if f := &fields[i]; f.Flaw || f.Name[0] == ':' {
			return false
		}
	}
	return true
}

// nameBytes are those that a field's name may have: tokens without upper case (RFC 9110 5.6.2).
var nameBytes = func() (ok [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz" {
		ok[c] = true
	}
	return ok
}()

func validName(s string) bool {
	for i := range len(s) {
		if !nameBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

// validValue refuses control characters but tab, and space or tab at the ends (RFC 9110 5.5, RFC 9113 8.2.1).
func validValue(s string) bool {
	if s == "" {
		return true
	}
	if blank(s[0]) || blank(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func blank(c byte) bool { return c == ' ' || c == '\t' }
