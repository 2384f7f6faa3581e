package zonefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// rrtype returns the type that a word names, if records of it can be served.
func (f *file) rrtype(word []byte) (uint16, error) {
	rrtype, ok := typeOf(word)
	switch {
	case !ok:
		return 0, fmt.Errorf("there is no record type %q", word)
	case rrtype == 0 || rrtype == wire.TypeOPT || rrtype >= 128 && rrtype <= 255:
		return 0, fmt.Errorf("%s is not a type that records have", word)
	case rrtype == dns.TypeRRSIG || rrtype == dns.TypeNSEC || rrtype == dns.TypeNSEC3 || rrtype == dns.TypeNSEC3PARAM:
		if f.signed {
			return 0, errToldBefore
		}
		f.signed = true
		return 0, fmt.Errorf("%s belongs to signed zones, which this version does not serve; use the zone as it is before it is signed", word)
	}
	return rrtype, nil
}

// errToldBefore stands for a problem that was told once for the whole zone.
var errToldBefore = errors.New("")

// typeOf returns the type that a word names: a mnemonic or TYPEnnn (RFC 3597 5).
func typeOf(word []byte) (uint16, bool) {
	switch string(word) {
	case "A":
		return wire.TypeA, true
	case "AAAA":
		return wire.TypeAAAA, true
	case "CNAME":
		return wire.TypeCNAME, true
	case "TXT":
		return wire.TypeTXT, true
	}
	upper := string(bytes.ToUpper(word))
	if t, ok := dns.StringToType[upper]; ok {
		return t, true
	}
	if len(upper) > 4 && upper[:4] == "TYPE" {
		n, err := strconv.ParseUint(upper[4:], 10, 16)
		return uint16(n), err == nil
	}
	return 0, false
}

// appendRData appends the RDATA that the tokens of an entry from i on present. The usual types are read here; the others, and the
// generic form of all, by miekg/dns.
func (f *file) appendRData(dst []byte, rrtype uint16, e *entry, i int) ([]byte, error) {
	n := len(e.tokens) - i
	if n > 0 && !e.tokens[i].quoted && string(e.word(i)) == `\#` {
		return f.other(dst, rrtype, e, i)
	}
	var err error
	switch rrtype {
	case wire.TypeA, wire.TypeAAAA:
		if n == 1 && !e.tokens[i].quoted {
			dst, err = appendAddress(dst, rrtype, e.word(i))
			return dst, err
		}
	case wire.TypeNS, wire.TypeCNAME, wire.TypePTR, wire.TypeDNAME:
		if n == 1 {
			return f.appendTarget(dst, e, i)
		}
	case wire.TypeMX:
		if n == 2 {
			if dst, err = appendNumbers(dst, e, i, i+1); err == nil {
				return f.appendTarget(dst, e, i+1)
			}
		}
	case wire.TypeSRV:
		if n == 4 {
			if dst, err = appendNumbers(dst, e, i, i+3); err == nil {
				return f.appendTarget(dst, e, i+3)
			}
		}
	case wire.TypeSOA:
		if n == 7 {
			return f.appendSOA(dst, e, i)
		}
	case wire.TypeTXT, dns.TypeSPF:
		if n > 0 && e.plain(i) {
			return appendStrings(dst, e, i)
		} else if n > 0 {
			return f.other(dst, rrtype, e, i)
		}
	default:
		return f.other(dst, rrtype, e, i)
	}
	return dst, malformed(rrtype, e, i)
}

// malformed is the error of RDATA that its type cannot have.
func malformed(rrtype uint16, e *entry, i int) error {
	form := map[uint16]string{
		wire.TypeA:     "an IPv4 address",
		wire.TypeAAAA:  "an IPv6 address",
		wire.TypeNS:    "one name",
		wire.TypeCNAME: "one name",
		wire.TypePTR:   "one name",
		wire.TypeDNAME: "one name",
		wire.TypeMX:    "a preference and a name",
		wire.TypeSRV:   "priority, weight, port and a name",
		wire.TypeSOA:   "two names, a serial and four times",
		wire.TypeTXT:   "strings of at most 255 bytes",
		dns.TypeSPF:    "strings of at most 255 bytes",
	}[rrtype]
	if form == "" {
		return fmt.Errorf("%q is not a value of type %s", e.rest(i), dns.Type(rrtype))
	}
	return fmt.Errorf("%q is not a value of type %s, which is %s", e.rest(i), dns.Type(rrtype), form)
}

// rest returns the text of an entry from token i on, cut if it is long.
func (e *entry) rest(i int) string {
	text := string(e.join(nil, i))
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return text
}

// join appends the tokens of an entry from i on as one line.
func (e *entry) join(dst []byte, i int) []byte {
	for j := i; j < len(e.tokens); j++ {
		if j > i {
			dst = append(dst, ' ')
		}
		if e.tokens[j].quoted {
			dst = append(append(append(dst, '"'), e.word(j)...), '"')
		} else {
			dst = append(dst, e.word(j)...)
		}
	}
	return dst
}

// other appends RDATA as miekg/dns reads it.
func (f *file) other(dst []byte, rrtype uint16, e *entry, i int) ([]byte, error) {
	if i == len(e.tokens) {
		return dst, fmt.Errorf("the record of type %s has no value", dns.Type(rrtype))
	}
	f.rebuilt = e.join(f.rebuilt[:0], i)
	for _, c := range f.rebuilt {
		if c < ' ' && c != '\t' || c == 0x7f {
			return dst, fmt.Errorf("%q has a control character", e.rest(i))
		}
	}
	rdata, err := f.values.Parse(rrtype, string(f.rebuilt), f.origin.String())
	if err != nil {
		return dst, malformed(rrtype, e, i)
	}
	return append(dst, rdata...), nil
}

// appendAddress appends the RDATA of type A (RFC 1035 3.4.1) or AAAA (RFC 3596 2.2).
func appendAddress(dst []byte, rrtype uint16, word []byte) ([]byte, error) {
	family := "IPv4"
	if rrtype == wire.TypeAAAA {
		family = "IPv6"
	}
	a, err := netip.ParseAddr(string(word))
	switch {
	case err != nil || a.Zone() != "":
	case rrtype == wire.TypeA && a.Is4():
		b := a.As4()
		return append(dst, b[:]...), nil
	case rrtype == wire.TypeAAAA && a.Is6():
		b := a.As16()
		return append(dst, b[:]...), nil
	}
	return dst, fmt.Errorf("%q is not an %s address", word, family)
}

// appendTarget appends a name of RDATA.
func (f *file) appendTarget(dst []byte, e *entry, i int) ([]byte, error) {
	if e.tokens[i].quoted {
		return dst, fmt.Errorf("%q is quoted, but a name is not", e.word(i))
	}
	out, err := appendName(dst, e.word(i), f.origin)
	if err != nil {
		return dst, fmt.Errorf("%q is not a name: %w", e.word(i), err)
	}
	return out, nil
}

// appendNumbers appends tokens as numbers of 16 bits.
func appendNumbers(dst []byte, e *entry, from, to int) ([]byte, error) {
	for i := from; i < to; i++ {
		n, err := strconv.ParseUint(string(e.word(i)), 10, 16)
		if err != nil || e.tokens[i].quoted {
			return dst, fmt.Errorf("%q is not a number", e.word(i))
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	}
	return dst, nil
}

// appendSOA appends the RDATA of a SOA (RFC 1035 3.3.13), its times with units or without.
func (f *file) appendSOA(dst []byte, e *entry, i int) ([]byte, error) {
	var err error
	for j := i; j < i+2; j++ {
		if dst, err = f.appendTarget(dst, e, j); err != nil {
			return dst, err
		}
	}
	serial, err := strconv.ParseUint(string(e.word(i+2)), 10, 32)
	if err != nil {
		return dst, fmt.Errorf("%q is not a serial", e.word(i+2))
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(serial))
	for j := i + 3; j < i+7; j++ {
		n, err := parseTime(e.word(j))
		if err != nil {
			return dst, err
		}
		dst = binary.BigEndian.AppendUint32(dst, n)
	}
	return dst, nil
}

// plain reports whether no word of an entry from token i on has quotes inside it.
func (e *entry) plain(i int) bool {
	for ; i < len(e.tokens); i++ {
		if !e.tokens[i].quoted && bytes.IndexByte(e.word(i), '"') >= 0 {
			return false
		}
	}
	return true
}

// appendStrings appends tokens as strings of at most 255 bytes each (RFC 1035 3.3).
func appendStrings(dst []byte, e *entry, i int) ([]byte, error) {
	for ; i < len(e.tokens); i++ {
		text := e.word(i)
		size := len(dst)
		dst = append(dst, 0)
		for j := 0; j < len(text); j++ {
			c := text[j]
			if c == '\\' {
				d, n := unescape(text[j+1:])
				if n == 0 {
					return dst, fmt.Errorf("%q has a bad escape", text)
				}
				c, j = d, j+n
			}
			dst = append(dst, c)
		}
		n := len(dst) - size - 1
		if n > 255 {
			return dst, fmt.Errorf("a string has %d bytes; 255 is the most, several strings may follow each other", n)
		}
		dst[size] = byte(n)
	}
	if len(dst) > 0xffff {
		return dst, errors.New("the strings take more than 65535 bytes")
	}
	return dst, nil
}
