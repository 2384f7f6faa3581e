package zone

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// parseName is wire.ParseName with errors for people.
func parseName(text string) (wire.Name, error) {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return nil, fmt.Errorf("it is not ASCII; write international names in their xn-- form")
		}
	}
	name, err := wire.ParseName(text)
	if err != nil {
		return nil, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "wire: "))
	}
	return name, nil
}

// absolute returns a name of the Spec with its final dot. Dotted says that a name of several labels is absolute as it is.
func (d *draft) absolute(text string, dotted bool) string {
	switch {
	case text == "" || isAbsolute(text):
		return text
	case text == "@":
		return d.origin
	case d.endsInZone(text), dotted && strings.Contains(text, "."), d.origin == ".":
		return text + "."
	default:
		return text + "." + d.origin
	}
}

// endsInZone reports whether a name without final dot is the zone's name or ends in it.
func (d *draft) endsInZone(text string) bool {
	zone := strings.TrimSuffix(d.origin, ".")
	border := len(text) - len(zone) - 1
	switch {
	case zone == "" || border < -1 || !strings.EqualFold(text[border+1:], zone):
		return false
	case border == -1:
		return true
	default:
		return text[border] == '.' && (border == 0 || text[border-1] != '\\')
	}
}

// isAbsolute reports whether a name in presentation form ends in a dot that is not escaped.
func isAbsolute(text string) bool {
	body, ok := strings.CutSuffix(text, ".")
	return ok && (len(body)-len(strings.TrimRight(body, `\`)))%2 == 0
}

// checkOwner refuses names that a record of the zone cannot have.
func checkOwner(name, apex wire.Name) error {
	if !name.IsSubdomainOf(apex) {
		return fmt.Errorf("is outside the zone")
	}
	for rest := name; rest[0] != 0; rest = rest[1+int(rest[0]):] {
		if label := rest[1 : 1+int(rest[0])]; len(label) > 1 && bytes.IndexByte(label, '*') >= 0 {
			return fmt.Errorf(`has a "*" that is not a whole label; DNS has no other wildcards (RFC 4592 2.1.1)`)
		}
	}
	return nil
}

// soa makes the SOA set (RFC 1035 3.3.13). The first of the name servers is the default primary.
func (d *draft) soa(ns [][]byte) wire.RRset {
	spec := d.spec.SOA
	mname := d.apex
	if len(ns) > 0 {
		mname = ns[0]
	}
	if spec.MName != "" {
		name, err := parseName(d.absolute(spec.MName, true))
		if err != nil {
			d.problem([]string{"soa", "mname"}, "%q is not a name: %v", spec.MName, err)
		} else {
			mname = name
		}
	}
	rname, err := d.mailbox(spec.RName)
	if err != nil {
		d.problem([]string{"soa", "rname"}, "%q is neither an address nor a name: %v", spec.RName, err)
	}
	rdata := append(append(make([]byte, 0, len(mname)+len(rname)+20), mname...), rname...)
	for _, n := range d.timers() {
		rdata = append(rdata, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return wire.RRset{Type: wire.TypeSOA, TTL: d.ttl, RData: [][]byte{rdata}}
}

// timers returns the numbers of the SOA in their order on the wire.
func (d *draft) timers() [5]uint32 {
	spec := d.spec.SOA
	or := func(key string, value, usual uint32) uint32 {
		if value > MaxTTL {
			d.problem([]string{"soa", key}, "%d s is more than a time in DNS can be (%d s)", value, MaxTTL)
		}
		if value == 0 {
			return usual
		}
		return value
	}
	serial := spec.Serial
	if serial == 0 {
		serial = 1
	}
	return [5]uint32{serial, or("refresh", spec.Refresh, 3600), or("retry", spec.Retry, 600), or("expire", spec.Expire, 604800),
		or("minimum", spec.Minimum, 10)}
}

// mailbox returns the name that stands for a mailbox (RFC 1035 8): the part before "@" is one label.
func (d *draft) mailbox(text string) (wire.Name, error) {
	if text == "" {
		text = "hostmaster"
	}
	user, host, ok := cutLast(text, "@")
	if !ok || text == "@" {
		return parseName(d.absolute(text, true))
	}
	if user == "" || host == "" {
		return nil, fmt.Errorf("nothing stands on one side of the @")
	}
	return parseName(strings.NewReplacer(`\`, `\\`, ".", `\.`).Replace(user) + "." + d.absolute(host, true))
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
