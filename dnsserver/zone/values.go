package zone

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// staticType returns the type that a Spec names, if a person may write records of it.
func staticType(text string, apex bool) (uint16, error) {
	name := strings.ToUpper(text)
	rrtype, ok := dns.StringToType[name]
	if number, isNumber := strings.CutPrefix(name, "TYPE"); !ok && isNumber {
		n, err := strconv.ParseUint(number, 10, 16)
		rrtype, ok = uint16(n), err == nil
	}
	switch {
	case !ok:
		return 0, fmt.Errorf("there is no record type %q", text)
	case rrtype == wire.TypeSOA:
		return 0, fmt.Errorf("the SOA is written under soa of the zone")
	case rrtype == wire.TypeNS && apex:
		return 0, fmt.Errorf("the name servers of the zone are written under ns of the zone")
	case rrtype == 0 || rrtype == wire.TypeOPT || rrtype >= 128 && rrtype <= 255:
		return 0, fmt.Errorf("%s is not a type that records have", name)
	case rrtype == dns.TypeRRSIG || rrtype == dns.TypeNSEC || rrtype == dns.TypeNSEC3 || rrtype == dns.TypeNSEC3PARAM:
		return 0, fmt.Errorf("%s belongs to signed zones, which this version does not serve", name)
	case rrtype == wire.TypeDS && apex:
		return 0, fmt.Errorf("the DS of a zone is written in the zone above (RFC 4035 2.4)")
	}
	return rrtype, nil
}

// questionType returns the type of a mnemonic or of TYPEnnn that a question can be for.
func questionType(text string) (uint16, error) {
	if strings.EqualFold(text, "ANY") {
		return wire.TypeANY, nil
	}
	return staticType(text, false)
}

// typeName returns the mnemonic of a type, or TYPEnnn.
func typeName(rrtype uint16) string {
	if name, ok := dns.TypeToString[rrtype]; ok {
		return name
	}
	return "TYPE" + strconv.Itoa(int(rrtype))
}

// wanted says how values of the usual types look.
var wanted = map[uint16]string{
	wire.TypeA:     "an IPv4 address, such as 192.0.2.1",
	wire.TypeAAAA:  "an IPv6 address, such as 2001:db8::1",
	wire.TypeNS:    "the name of a server",
	wire.TypeCNAME: "a name",
	wire.TypePTR:   "a name",
	wire.TypeDNAME: "a name",
	wire.TypeMX:    `a preference and a name, such as "10 mail"`,
	wire.TypeSRV:   `priority, weight, port and name, such as "0 5 443 node1"`,
	wire.TypeTXT:   `text, or quoted strings`,
	wire.TypeCAA:   `flags, tag and value, such as "0 issue letsencrypt.org"`,
}

// An RDataParser turns values in presentation form into RDATA, of every type that miekg/dns knows, and of others in the generic form
// (RFC 3597 5). The zero RDataParser is ready; it is not concurrent.
type RDataParser struct {
	buf []byte
}

// value returns the RDATA of a value of a Spec in uncompressed wire form, the names of the common types in lower case.
func (p *RDataParser) value(d *draft, rrtype uint16, text string) ([]byte, error) {
	if len(text) > maxValue {
		return nil, fmt.Errorf("the value is %d bytes long; %d is the most", len(text), maxValue)
	}
	generic := strings.HasPrefix(text, `\#`)
	if (rrtype == wire.TypeTXT || rrtype == dns.TypeSPF) && !generic && !strings.HasPrefix(text, `"`) {
		return plainText(text), nil
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
		return nil, fmt.Errorf("%q has a control character", text)
	}
	if generic {
		return p.Parse(rrtype, text, d.origin)
	}
	switch rrtype {
	case wire.TypeA, wire.TypeAAAA:
		return address(rrtype, text)
	case wire.TypeNS, wire.TypeCNAME, wire.TypePTR, wire.TypeDNAME:
		name, err := parseName(d.absolute(text, false))
		if err != nil || strings.ContainsAny(text, " \t\"();") {
			return nil, bad(rrtype, text, err)
		}
		return name, nil
	}
	if at := targetField(rrtype); at >= 0 {
		if fields := strings.Fields(text); len(fields) == at+1 {
			fields[at] = d.absolute(fields[at], false)
			text = strings.Join(fields, " ")
		}
	}
	rdata, err := p.Parse(rrtype, text, d.origin)
	if err != nil {
		return nil, err
	}
	if doubled := append(bytes.TrimSuffix(bytes.Clone(d.apex), []byte{0}), d.apex...); len(d.apex) > 1 && bytes.Contains(rdata, doubled) {
		return nil, fmt.Errorf("%q names the zone twice; a name in it lacks its final dot", text)
	}
	return rdata, nil
}

// Parse returns the RDATA of a value as it stands in a zone file, on one line, in uncompressed wire form, the names of the common
// types in lower case. The origin completes relative names; it is in presentation form with the final dot. The RDATA is the
// caller's.
func (p *RDataParser) Parse(rrtype uint16, text, origin string) ([]byte, error) {
	if strings.ContainsAny(text, "\n\r") {
		return nil, bad(rrtype, text, nil)
	}
	if p.buf == nil {
		p.buf = make([]byte, 1<<16+1024)
	}
	if strings.HasPrefix(text, `\#`) {
		return p.generic(rrtype, text)
	}
	zp := dns.NewZoneParser(strings.NewReader(". 0 IN "+typeName(rrtype)+" "+text+"\n"), origin, "")
	rr, ok := zp.Next()
	if !ok || rr.Header().Rrtype != rrtype {
		return nil, bad(rrtype, text, zp.Err())
	}
	if _, more := zp.Next(); more || zp.Err() != nil {
		return nil, bad(rrtype, text, zp.Err())
	}
	end, err := dns.PackRR(rr, p.buf, 0, nil, false)
	if err != nil || end < rrHeader || end-rrHeader > 0xffff {
		return nil, bad(rrtype, text, err)
	}
	return finish(rrtype, text, bytes.Clone(p.buf[rrHeader:end]))
}

// rrHeader is the size of what precedes RDATA in p.buf: the root as owner, type, class, TTL, length.
const rrHeader = 11

// generic returns the RDATA of the generic form: \#, the length and hexadecimal digits in words (RFC 3597 5). Of a type that
// miekg/dns knows it must be what that type has, complete and uncompressed.
func (p *RDataParser) generic(rrtype uint16, text string) ([]byte, error) {
	fields := strings.Fields(text)
	if len(fields) < 2 || fields[0] != `\#` {
		return nil, bad(rrtype, text, nil)
	}
	size, err := strconv.ParseUint(fields[1], 10, 16)
	if err != nil {
		return nil, bad(rrtype, text, nil)
	}
	rdata, err := hex.DecodeString(strings.Join(fields[2:], ""))
	if err != nil || len(rdata) != int(size) {
		return nil, bad(rrtype, text, nil)
	}
	if _, known := dns.TypeToString[rrtype]; known {
		msg := append([]byte{0, byte(rrtype >> 8), byte(rrtype), 0, 1, 0, 0, 0, 0, byte(size >> 8), byte(size)}, rdata...)
		rr, end, err := dns.UnpackRR(msg, 0)
		if err != nil || end != len(msg) {
			return nil, bad(rrtype, text, nil)
		}
		if rrtype == dns.TypeCAA || rrtype == dns.TypeURI { // they end in any bytes, in which the library takes backslashes for escapes
			return finish(rrtype, text, rdata)
		}
		if end, err = dns.PackRR(rr, p.buf, 0, nil, false); err != nil || !bytes.Equal(p.buf[:end], msg) {
			return nil, bad(rrtype, text, nil)
		}
	}
	return finish(rrtype, text, rdata)
}

// finish checks that RDATA is complete, and turns the name that it points to, if any, to lower case.
func finish(rrtype uint16, text string, rdata []byte) ([]byte, error) {
	if !complete(rrtype, rdata) {
		return nil, bad(rrtype, text, nil)
	}
	if target := target(rrtype, rdata); target != nil {
		lower(target)
	}
	if rrtype == wire.TypeSOA { // two names
		lower(rdata[:len(rdata)-soaNumbers])
	}
	return rdata, nil
}

// soaNumbers is the size of what follows the names of an SOA (RFC 1035 3.3.13).
const soaNumbers = 20

// complete says whether RDATA has all the fields of its type. The generic form (RFC 3597 5) may leave out the last ones.
func complete(rrtype uint16, rdata []byte) bool {
	switch rrtype {
	case wire.TypeA:
		return len(rdata) == 4
	case wire.TypeAAAA:
		return len(rdata) == 16
	case wire.TypeNS, wire.TypeCNAME, wire.TypePTR, wire.TypeDNAME:
		return isName(rdata)
	case wire.TypeMX:
		return len(rdata) > 2 && isName(rdata[2:])
	case wire.TypeSRV:
		return len(rdata) > 6 && isName(rdata[6:])
	case wire.TypeSOA:
		rest := afterName(afterName(rdata))
		return len(rest) == soaNumbers
	default:
		return len(rdata) > 0 || dns.TypeToString[rrtype] == "" // an unknown type may be empty
	}
}

// afterName returns what follows the name that b begins with, nil if there is none.
func afterName(b []byte) []byte {
	for at := 0; at < len(b) && at < wire.MaxName; at += 1 + int(b[at]) {
		if b[at] == 0 {
			return b[at+1:]
		}
		if b[at] > wire.MaxLabel {
			return nil
		}
	}
	return nil
}

// isName says whether b is one name in uncompressed wire form, and nothing else.
func isName(b []byte) bool {
	rest := afterName(b)
	return rest != nil && len(rest) == 0
}

// bad is the error for a value of a wrong form.
func bad(rrtype uint16, text string, err error) error {
	switch want := wanted[rrtype]; {
	case want != "" && err != nil && targetField(rrtype) == 0:
		return fmt.Errorf("%q is not %s: %w", text, want, err)
	case want != "":
		return fmt.Errorf("%q is not %s", text, want)
	default:
		return fmt.Errorf("%q is not a value of type %s", text, typeName(rrtype))
	}
}

// address returns the RDATA of type A (RFC 1035 3.4.1) or AAAA (RFC 3596 2.2).
func address(rrtype uint16, text string) ([]byte, error) {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil || a.Zone() != "":
		return nil, bad(rrtype, text, nil)
	case rrtype == wire.TypeA && a.Is6():
		return nil, fmt.Errorf("%q is an IPv6 address; it belongs under AAAA", text)
	case rrtype == wire.TypeAAAA && a.Is4():
		return nil, fmt.Errorf("%q is an IPv4 address; it belongs under A", text)
	}
	return a.AsSlice(), nil
}

// plainText returns the RDATA of a TXT record with the text as it is (RFC 1035 3.3.14).
func plainText(text string) []byte {
	out := make([]byte, 0, len(text)+1+len(text)/255)
	for first := true; first || text != ""; first = false {
		n := min(len(text), 255)
		out = append(append(out, byte(n)), text[:n]...)
		text = text[n:]
	}
	return out
}

// targetField returns which field of a value, from 0, is the name that the record points to, or -1.
func targetField(rrtype uint16) int {
	switch rrtype {
	case wire.TypeNS, wire.TypeCNAME, wire.TypePTR, wire.TypeDNAME:
		return 0
	case wire.TypeMX:
		return 1
	case wire.TypeSRV:
		return 3
	default:
		return -1
	}
}

// target returns the name that RDATA of a type points to, or nil.
func target(rrtype uint16, rdata []byte) wire.Name {
	switch rrtype {
	case wire.TypeNS, wire.TypeCNAME, wire.TypePTR, wire.TypeDNAME:
		return rdata
	case wire.TypeMX:
		return rdata[2:]
	case wire.TypeSRV:
		return rdata[6:]
	default:
		return nil
	}
}

// lower turns a name in wire form to lower case (RFC 4343 3). Length octets are below "A".
func lower(name []byte) {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			name[i] = c + 'a' - 'A'
		}
	}
}
