package zonefile

import (
	"errors"
	"fmt"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

var (
	errEmptyName   = errors.New("it is empty")
	errEmptyLabel  = errors.New("it has an empty label")
	errLongName    = fmt.Errorf("it is longer than %d bytes", wire.MaxName)
	errLongLabel   = fmt.Errorf("a label of it is longer than %d bytes", wire.MaxLabel)
	errBadEscape   = errors.New(`it has a bad escape; \. and \DDD up to \255 are good`)
	errUnprintable = errors.New(`it has a character outside printable ASCII; write it as \DDD, and international names in their xn-- form`)
)

// appendName appends the name that text presents, relative to origin unless it ends in a dot; "@" is the origin. Upper case becomes
// lower (RFC 4343).
func appendName(dst, text []byte, origin wire.Name) ([]byte, error) {
	start := len(dst)
	switch string(text) {
	case "":
		return dst, errEmptyName
	case "@":
		return append(dst, origin...), nil
	case ".":
		return append(dst, 0), nil
	}
	label := len(dst) // where the length of the label at hand stands
	dst = append(dst, 0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '.':
			if len(dst)-label == 1 {
				return dst[:start], errEmptyLabel
			}
			label = len(dst)
			dst = append(dst, 0)
			continue
		case c == '\\':
			var size int
			if c, size = unescape(text[i+1:]); size == 0 {
				return dst[:start], errBadEscape
			}
			i += size
		case c <= ' ' || c > '~':
			return dst[:start], errUnprintable
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
		if dst[label]++; dst[label] > wire.MaxLabel {
			return dst[:start], errLongLabel
		}
	}
	if dst[label] != 0 { // no final dot
		dst = append(dst, origin...)
	}
	if len(dst)-start > wire.MaxName {
		return dst[:start], errLongName
	}
	return dst, nil
}

// unescape returns the byte that the text after a backslash stands for, and how long that text is; 0 if it is malformed.
func unescape(s []byte) (c byte, size int) {
	switch {
	case len(s) == 0:
		return 0, 0
	case s[0] < '0' || s[0] > '9':
		return s[0], 1
	case len(s) < 3:
		return 0, 0
	}
	v := 0
	for _, d := range s[:3] {
		if d < '0' || d > '9' {
			return 0, 0
		}
		v = v*10 + int(d-'0')
	}
	if v > 255 {
		return 0, 0
	}
	return byte(v), 3
}
