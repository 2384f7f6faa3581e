package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxName is the most bytes a name has in wire form, MaxLabel the most bytes of one label (RFC 1035 2.3.4).
const (
	MaxName  = 255
	MaxLabel = 63
)

// A Name is a domain name in uncompressed wire form (length-prefixed labels, final zero), lower case, at most 255 bytes
// (RFC 1035 3.1, compared as in RFC 4343). A nil Name is no name. Names never change; a part of one may share its memory.
type Name []byte

// Errors of ParseName and AppendName.
var (
	errEmptyName   = errors.New("wire: empty name")
	errEmptyLabel  = errors.New("wire: name has an empty label")
	errLongName    = fmt.Errorf("wire: name is longer than %d bytes", MaxName)
	errLongLabel   = fmt.Errorf("wire: label is longer than %d bytes", MaxLabel)
	errBadEscape   = errors.New("wire: name has a bad escape, want \\. or \\DDD up to \\255")
	errUnprintable = errors.New("wire: name has a character outside printable ASCII, write it as \\DDD")
)

// ParseName returns the name that s presents (RFC 1035 5.1): labels divided by dots, a final dot or not, `\.` for a character that
// would mean something else and `\DDD` for a byte in decimal. "." is the root. Upper case ASCII becomes lower case.
func ParseName(s string) (Name, error) {
	n, err := AppendName(make([]byte, 0, len(s)+2), s)
	if err != nil {
		return nil, err
	}
	return Name(n), nil
}

// AppendName appends to dst the wire form of the name that s presents, read as ParseName does. It allocates nothing if dst has room.
// With an error, dst comes back as it was.
func AppendName(dst []byte, s string) ([]byte, error) {
	switch s {
	case "":
		return dst, errEmptyName
	case ".":
		return append(dst, 0), nil
	}
	n, start, label := append(dst, 0), len(dst), len(dst) // label is the position of the length byte of the label being read
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '.' {
			if len(n)-label == 1 {
				return dst, errEmptyLabel
			}
			label = len(n)
			n = append(n, 0)
			continue
		}
		if c <= ' ' || c > '~' {
			return dst, errUnprintable
		}
		if c == '\\' {
			var size int
			if c, size = unescape(s[i+1:]); size == 0 {
				return dst, errBadEscape
			}
			i += size
		}
		n = append(n, lower(c))
		if n[label]++; n[label] > MaxLabel {
			return dst, errLongLabel
		}
	}
	if n[label] != 0 { // no final dot
		n = append(n, 0)
	}
	if len(n)-start > MaxName {
		return dst, errLongName
	}
	return n, nil
}

// unescape returns the byte that the text after a backslash stands for, and how long that text is; 0 if it is malformed.
func unescape(s string) (c byte, size int) {
	if s == "" {
		return 0, 0
	}
	if !isDigit(s[0]) {
		if s[0] < ' ' || s[0] > '~' {
			return 0, 0
		}
		return s[0], 1
	}
	if len(s) < 3 || !isDigit(s[1]) || !isDigit(s[2]) {
		return 0, 0
	}
	v := int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
	if v > 255 {
		return 0, 0
	}
	return byte(v), 3
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// lower returns c with ASCII upper case made lower; other bytes have no case (RFC 4343 3).
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// lowerName copies a name in wire form, with ASCII upper case made lower. The length bytes, at most 63, are no letters.
func lowerName(dst, name []byte) {
	dst = dst[:len(name)]
	for len(name) >= 8 {
		binary.LittleEndian.PutUint64(dst, lower8(binary.LittleEndian.Uint64(name)))
		dst, name = dst[8:], name[8:]
	}
	for i, c := range name {
		dst[i] = lower(c)
	}
}

// lower8 is lower for eight bytes at one time.
func lower8(x uint64) uint64 {
	const each = 0x0101010101010101
	low := x & (0x7f * each)          // no sum below carries into the next byte
	fromA := low + (0x80-'A')*each    // the high bit of a byte: it is 'A' or above
	aboveZ := low + (0x80-'Z'-1)*each // above 'Z'
	upper := fromA &^ aboveZ &^ x & (0x80 * each)
	return x | upper>>2 // which is 'a' - 'A', and no bit of an upper case letter
}

// String returns n in presentation form with the final dot, escaped so that ParseName returns n again. A nil Name is "".
func (n Name) String() string {
	if len(n) == 0 {
		return ""
	}
	return string(n.AppendTo(make([]byte, 0, len(n)+4)))
}

// AppendTo appends n in presentation form, as String returns it.
func (n Name) AppendTo(out []byte) []byte {
	if len(n) > 0 && n[0] == 0 {
		return append(out, '.')
	}
	for i := 0; i < len(n) && n[i] != 0; i += int(n[i]) + 1 {
		for _, c := range n[i+1 : i+1+int(n[i])] {
			switch {
			case c == '.' || c == '\\' || c == '"' || c == '(' || c == ')' || c == ';' || c == '@' || c == '$':
				out = append(out, '\\', c)
			case c <= ' ' || c > '~':
				out = append(out, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
			default:
				out = append(out, c)
			}
		}
		out = append(out, '.')
	}
	return out
}

// Parent returns n without its first label, sharing its memory. The root and a nil Name have the parent nil.
func (n Name) Parent() Name {
	if len(n) == 0 || n[0] == 0 {
		return nil
	}
	return n[int(n[0])+1:]
}

// IsSubdomainOf reports whether n is apex or below it.
func (n Name) IsSubdomainOf(apex Name) bool {
	if len(apex) == 0 {
		return false
	}
	for len(n) > len(apex) {
		n = n.Parent()
	}
	return bytes.Equal(n, apex)
}

// Labels returns the number of labels, the root's empty one not counted.
func (n Name) Labels() int {
	count := 0
	for ; len(n) > 0 && n[0] != 0; n = n.Parent() {
		count++
	}
	return count
}

// IsWildcard reports whether the first label is "*" (RFC 4592 2.1.1).
func (n Name) IsWildcard() bool { return len(n) > 2 && n[0] == 1 && n[1] == '*' }
