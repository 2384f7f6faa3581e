package zonefile

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// setOrigin reads $ORIGIN name (RFC 1035 5.1).
func (f *file) setOrigin(e *entry) error {
	if len(e.tokens) != 2 {
		return errors.New("$ORIGIN takes one name")
	}
	name, err := appendName(nil, e.word(1), f.origin)
	if err != nil {
		return fmt.Errorf("$ORIGIN %s: %w", e.word(1), err)
	}
	f.origin = name
	return nil
}

// setTTL reads $TTL seconds (RFC 2308 4).
func (f *file) setTTL(e *entry) error {
	if len(e.tokens) != 2 {
		return errors.New("$TTL takes one number")
	}
	ttl, err := parseTTL(e.word(1))
	if err != nil {
		return err
	}
	f.ttls.stated, f.ttls.hasStated = ttl, true
	return nil
}

// includeFrom reads $INCLUDE file [origin] (RFC 1035 5.1). What the included file sets for the records after it, it sets for itself
// alone: origin, owner and TTL are as before after it.
func (f *file) includeFrom(e *entry) error {
	if len(e.tokens) < 2 || len(e.tokens) > 3 {
		return errors.New("$INCLUDE takes the name of a file, and perhaps an origin")
	}
	name, err := f.resolve(unescaped(e.word(1)))
	if err != nil {
		return err
	}
	origin := f.origin
	if len(e.tokens) == 3 {
		if origin, err = appendName(nil, e.word(2), f.origin); err != nil {
			return fmt.Errorf("$INCLUDE: %q is not an origin: %w", e.word(2), err)
		}
	}
	switch {
	case slices.Contains(f.open, name):
		return fmt.Errorf("$INCLUDE of %s leads into a circle", name)
	case len(f.open) >= MaxDepth:
		return fmt.Errorf("$INCLUDE of %s: more than %d files include each other", name, MaxDepth)
	}
	if err := f.include(name, origin, f.ttls); err != nil {
		return fmt.Errorf("$INCLUDE of %s: %w", name, err)
	}
	return nil
}

// resolve returns the name in the source's file system of a file that this one names.
func (f *file) resolve(text string) (string, error) {
	if text == "" {
		return "", errors.New("$INCLUDE of a file without a name")
	}
	name := path.Join(path.Dir(f.name), text)
	if strings.HasPrefix(text, "/") || !fs.ValidPath(name) {
		return "", fmt.Errorf("$INCLUDE of %s: included files must lie in the directory of the zone file or below it, and be named relative to the file that includes them", text)
	}
	return name, nil
}

// unescaped returns text with its escapes undone; a malformed one stays as it is.
func unescaped(text []byte) string {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' {
			if d, size := unescape(text[i+1:]); size > 0 {
				c, i = d, i+size
			}
		}
		out = append(out, c)
	}
	return string(out)
}

// parseTTL reads a TTL as parseTime does; it has 31 bits (RFC 2181 8).
func parseTTL(word []byte) (uint32, error) {
	ttl, err := parseTime(word)
	if err == nil && ttl > zone.MaxTTL {
		return 0, fmt.Errorf("%s is more than a TTL can be (%d s)", word, zone.MaxTTL)
	}
	return ttl, err
}

// parseTime reads seconds, or numbers with units as in 1h30m (as BIND has them). Times in an SOA have 32 bits (RFC 1035 3.3.13).
func parseTime(word []byte) (uint32, error) {
	total, n, digits := uint64(0), uint64(0), 0
	for _, c := range word {
		unit := uint64(0)
		switch c | 0x20 {
		case 's':
			unit = 1
		case 'm':
			unit = 60
		case 'h':
			unit = 3600
		case 'd':
			unit = 86400
		case 'w':
			unit = 604800
		}
		switch {
		case isDigit(c) && digits < 10:
			n, digits = n*10+uint64(c-'0'), digits+1
		case unit > 0 && digits > 0 && total < 1<<40:
			total, n, digits = total+n*unit, 0, 0
		default:
			return 0, fmt.Errorf("%q is not a time: seconds, or numbers with units such as 1h30m", word)
		}
	}
	switch total += n; {
	case len(word) == 0:
		return 0, errors.New("a time is empty")
	case total > math.MaxUint32:
		return 0, fmt.Errorf("%s is more than a time in DNS can be (%d s)", word, uint32(math.MaxUint32))
	}
	return uint32(total), nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isClass reports whether a word is a class.
func isClass(word []byte) bool {
	switch len(word) {
	case 2:
		upper := [2]byte{word[0] &^ 0x20, word[1] &^ 0x20}
		return upper == [2]byte{'I', 'N'} || upper == [2]byte{'C', 'H'} || upper == [2]byte{'H', 'S'} || upper == [2]byte{'C', 'S'}
	case 0, 1, 3, 4:
		return false
	}
	return strings.EqualFold(string(word[:5]), "CLASS") && len(word) > 5 && isDigit(word[5])
}

// soaMinimum returns the last field of the RDATA of a SOA.
func soaMinimum(rdata []byte) uint32 {
	b := rdata[len(rdata)-4:]
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
