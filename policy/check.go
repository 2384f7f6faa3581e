package policy

import (
	"fmt"
	"math"
	"net/netip"
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

// checkRegion checks the region of a site or network; none is fine.
func (c *compiler) checkRegion(region string) {
	switch {
	case region == "":
	case region == "default":
		c.problem([]string{"region"}, "a region cannot be called %q: geo stages use the word", region)
	case len(region) > maxName || !isName(region, ""):
		c.problem([]string{"region"}, "%q is no name for a region: use letters, digits, '.', '_' and '-', beginning with a letter or digit", region)
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
	switch {
	case e.Name == "":
		c.problem(name, "an endpoint needs a name")
	case len(e.Name) > maxName:
		c.problem(name, "the name of an endpoint has at most %d characters, not %d", maxName, len(e.Name))
	case !isName(e.Name, ":[]"):
		c.problem(name, "%q is no name for an endpoint: use letters, digits, '.', '_', '-' and ':', beginning with a letter or digit", e.Name)
	}
	if !e.V4.IsValid() && !e.V6.IsValid() {
		c.problem(address, "an endpoint needs an address")
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
