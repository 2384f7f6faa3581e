package policy

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkName checks the name of a site, service or policy.
func (c *compiler) checkName(what, name string) {
	switch {
	case name == "":
		c.problem(here, "a %s needs a name", what)
	case len(name) > maxName:
		c.problem(here, "the name of a %s has at most %d characters, not %d", what, maxName, len(name))
	case !isName(name, ""):
		c.problem(here, "%q is no name for a %s: use letters, digits, '.', '_' and '-', beginning with a letter or digit", name, what)
	}
}

// maxName is the length of the longest name, in bytes.
const maxName = 253

// isName reports whether a string consists of letters, digits, '.', '_', '-' and those of more, and begins with a letter, a digit or
// one of more.
func isName(s, more string) bool {
	for i := range len(s) {
		b := s[i]
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case i > 0 && (b == '.' || b == '_' || b == '-'):
		default:
			ok := false
			for k := range len(more) {
				ok = ok || b == more[k]
			}
			if !ok {
				return false
			}
		}
	}
	return s != ""
}

// isHost reports whether a string is a domain name of letters, digits, '-' and '_', the root excepted: what an answer can lead to. Its
// labels have 1 to 63 characters, all of it at most 253 without the last dot (RFC 1035 2.3.4).
func isHost(s string) bool {
	s = strings.TrimSuffix(s, ".")
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notInHost) {
			return false
		}
	}
	return len(s) <= maxName
}

// notInHost reports whether a character has no place in a label of a host.
func notInHost(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
		return false
	}
	return true
}

// isText reports whether a text can be shown to people as it is.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }

// maxALPN is the length of the longest protocol of an endpoint, in bytes. A protocol may have 255 (RFC 7301 3.1); those that are
// registered are short, and the list has to fit into an answer.
const maxALPN = 32

// isALPN reports whether a string is the name of a protocol. Those registered are of visible ASCII characters.
func isALPN(s string) bool {
	return s != "" && len(s) <= maxALPN && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// checkRegions checks the regions of a site or network; none is fine.
func (c *compiler) checkRegions(region string, within []string) {
	if region != "" {
		c.checkRegion(region)
	}
	for _, r := range within {
		c.checkRegion(r)
	}
}

// checkRegion checks a region of a site or network.
func (c *compiler) checkRegion(region string) {
	switch {
	case region == "default":
		c.problem([]string{"region"}, "a region cannot be called %q: geo stages use the word", region)
	case !IsRegion(region):
		c.problem([]string{"region"}, "%q is no name for a region: use letters, digits, '.', '_' and '-', beginning with a letter or digit, "+
			"or write it as geo databases have it, such as GB/ENG/London", region)
	}
}

// checkPoint checks coordinates.
func (c *compiler) checkPoint(p Point) {
	if math.IsNaN(p.Lat) || p.Lat < -90 || p.Lat > 90 {
		c.problem([]string{"at"}, "latitude %v is out of range: want -90 to 90", p.Lat)
	}
	if math.IsNaN(p.Lon) || p.Lon < -180 || p.Lon > 180 {
		c.problem([]string{"at"}, "longitude %v is out of range: want -180 to 180", p.Lon)
	}
}

// isNetwork reports whether checkPrefix would find nothing wrong with a prefix.
func isNetwork(p netip.Prefix) bool { return p.IsValid() && !p.Addr().Is4In6() && p == p.Masked() }

// checkPrefix checks the prefix of a network or a geo rule at the current path, and reports whether it is sound.
func (c *compiler) checkPrefix(p netip.Prefix) bool {
	switch {
	case !p.IsValid():
		c.problem(here, "this is no network: want an address and a length, such as 192.0.2.0/24")
	case p.Addr().Is4In6():
		want := "want IPv4 form"
		if p.Bits() >= 96 {
			want = fmt.Sprintf("write %s", netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked())
		}
		c.problem(here, "network %s is IPv4 in IPv6 form: %s", p, want)
	case p != p.Masked():
		c.problem(here, "network %s has bits set after its length: write %s", p, p.Masked())
	default:
		return true
	}
	return false
}

// checkEndpoint checks an endpoint by itself.
func (c *compiler) checkEndpoint(e EndpointSpec) {
	name, address, weight, at := []string{"name"}, []string{"address"}, []string{"weight"}, []string{"site"}
	host, text, alpn := []string{"host"}, []string{"text"}, []string{"alpn"}
	switch {
	case e.Name == "":
		c.problem(name, "an endpoint needs a name")
	case len(e.Name) > maxName:
		c.problem(name, "the name of an endpoint has at most %d characters, not %d", maxName, len(e.Name))
	case !isName(e.Name, ":[]"):
		c.problem(name, "%q is no name for an endpoint: use letters, digits, '.', '_', '-' and ':', beginning with a letter or digit", e.Name)
	}
	if !e.V4.IsValid() && !e.V6.IsValid() && e.Host == "" && e.Text == "" {
		c.problem(address, "an endpoint needs an address, a host or a text")
	}
	if e.Host != "" && !isHost(e.Host) {
		c.problem(host, "%.80q is no host name: want labels of 1 to 63 letters, digits, '-' and '_' with dots between them, %d characters at most", e.Host, maxName)
	}
	if len(e.Text) > MaxText {
		c.problem(text, "the text has %d bytes: at most %d", len(e.Text), MaxText)
	} else if !isText(e.Text) {
		c.problem(text, "the text has control characters, or is no UTF-8")
	}
	if len(e.ALPN) > MaxALPN {
		c.problem(alpn, "%d protocols are too many: at most %d", len(e.ALPN), MaxALPN)
	}
	for i, id := range e.ALPN[:min(len(e.ALPN), MaxALPN)] {
		if !isALPN(id) {
			c.problem(alpn, "%.80q is no protocol: want 1 to %d letters, digits and other visible characters, such as h2 or http/1.1", id, maxALPN)
		} else if slices.Contains(e.ALPN[:i], id) {
			c.problem(alpn, "protocol %q is listed twice", id)
		}
	}
	for _, a := range []struct {
		addr netip.Addr
		v4   bool
	}{{e.V4, true}, {e.V6, false}} {
		switch addr := a.addr; {
		case !addr.IsValid():
		case addr.Is4() != a.v4 && a.v4:
			c.problem(address, "%s is no IPv4 address", addr)
		case addr.Is4() != a.v4:
			c.problem(address, "%s is no IPv6 address", addr)
		case addr.Is4In6():
			c.problem(address, "%s is IPv4 in IPv6 form: write %s", addr, addr.Unmap())
		case addr.Zone() != "":
			c.problem(address, "%s has a zone, which means nothing to others", addr)
		case addr.IsUnspecified(), addr.IsMulticast(), addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			c.problem(address, "%s is not the address of one machine", addr)
		}
	}
	if e.Weight > MaxWeight {
		c.problem(weight, "weight %d is out of range: want 0 to %d", e.Weight, MaxWeight)
	}
	if _, ok := c.plan.siteByName[e.Site]; !ok && e.Site != "" {
		c.problem(at, "there is no site %q", e.Site)
	}
}
