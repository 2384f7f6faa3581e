package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/dnsserver"
)

// decodeDNS reads "dns". The room serves if the section is there; what the section leaves out is the room's default.
func (f *file) decodeDNS(v value) {
	c := &dnsserver.Config{UDPSize: dnsserver.DefaultUDPSize, Site: f.config.Site}
	f.config.DNS = c
	f.object(v, inDNS, func(key string, v value) {
		switch key {
		case "listen":
			c.Listen = f.listen(v)
		case "udp_size":
			if n, ok := f.integer(v, dnsserver.MinUDPSize, dnsserver.MaxUDPSize); ok {
				c.UDPSize = uint16(n)
			}
		case "workers":
			n, _ := f.integer(v, 1, 256)
			c.Workers = int(n)
		case "tcp":
			f.object(v, inTCP, func(key string, v value) { f.tcpKey(key, v, &c.TCP) })
		case "nsid":
			c.NSID = f.ownWord(v)
		case "identity":
			c.Identity = f.ownWord(v)
		case "version":
			c.Version = f.ownWord(v)
		case "cookies":
			f.cookies(v, &c.Cookies)
		case "rate_limit":
			f.rateLimit(v, &c.RateLimit)
		case "explain_from":
			c.ExplainFrom = f.prefixes(v)
		case "proxy_from":
			c.Proxy = f.prefixes(v)
		case "resolvers":
			f.config.Resolvers = f.resolvers(v)
		}
	})
	if v.Get("listen") == nil {
		c.Listen = []string{defaultDNS}
	}
}

// tcpKey reads one key of "dns.tcp".
func (f *file) tcpKey(key string, v value, c *dnsserver.TCPConfig) {
	switch key {
	case "connections":
		n, _ := f.integer(v, 1, 1_000_000)
		c.Connections = int(n)
	case "per_client":
		n, _ := f.integer(v, 1, 1_000_000)
		c.PerClient = int(n)
	case "idle":
		c.Idle, _ = f.duration(v, time.Millisecond, time.Hour)
	case "io":
		c.IO, _ = f.duration(v, time.Millisecond, time.Minute)
	}
}

// rateLimit reads "dns.rate_limit": off, or how much one client may ask.
func (f *file) rateLimit(v value, c *dnsserver.RateConfig) {
	if isOff(v) {
		c.Off = true
		return
	}
	if v.Kind == yaml.Scalar {
		f.errorf(v, "off, or a mapping with rate, burst, slip or exempt, is expected here, not %s", quote(v))
		return
	}
	f.object(v, inRateLimit, func(key string, v value) {
		switch key {
		case "rate":
			n, _ := f.integer(v, 1, 1_000_000)
			c.Rate = int(n)
		case "burst":
			n, _ := f.integer(v, 1, 100_000_000)
			c.Burst = int(n)
		case "slip":
			if n, ok := f.integer(v, 0, 100); ok && n == 0 {
				c.Slip = -1
			} else {
				c.Slip = int(n)
			}
		case "exempt":
			c.Exempt = f.prefixes(v)
		}
	})
}

// isOff reports whether a section is turned off.
func isOff(v value) bool { return v.Kind == yaml.Scalar && v.Value == "off" && !v.Quoted }

// prefixes reads a network or a list of them. It is never nil: an empty list is not the default.
func (f *file) prefixes(v value) []netip.Prefix {
	list := []netip.Prefix{}
	for _, e := range v.elements() {
		s, ok := f.text(e)
		if !ok {
			continue
		}
		prefix, wrong := parsePrefix(s)
		if wrong == "" && slices.Contains(list, prefix) {
			wrong = fmt.Sprintf("network %s is listed twice", prefix)
		}
		if wrong != "" {
			f.errorf(e, "%s", wrong)
			continue
		}
		list = append(list, prefix)
	}
	return list
}

// maxResolvers is the most resolvers that make sense: they are asked one after the other.
const maxResolvers = 8

// resolvers reads one or several IP or IP:PORT.
func (f *file) resolvers(v value) []netip.AddrPort {
	const domain = 53
	var list []netip.AddrPort
	if v.Kind == yaml.Sequence && len(v.Items) == 0 || v.Kind == yaml.Sequence && len(v.Items) > maxResolvers {
		f.errorf(v, "one resolver is expected here, or a list of up to %d", maxResolvers)
		return nil
	}
	for _, e := range v.elements() {
		if !f.scalar(e, "the address of a resolver") {
			continue
		}
		at, err := netip.ParseAddrPort(e.Value)
		if a, notAddr := netip.ParseAddr(e.Value); notAddr == nil {
			at, err = netip.AddrPortFrom(a, domain), nil
		}
		at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
		switch {
		case err != nil:
			f.errorf(e, "%s is not the address of a resolver: IP, or IP:PORT, such as 192.0.2.1 or \"[2001:db8::1]:53\"", quote(e))
		case at.Addr().IsUnspecified() || at.Addr().IsMulticast() || at.Port() == 0:
			f.errorf(e, "nobody can be asked at %s", quote(e))
		case slices.Contains(list, at):
			f.errorf(e, "%s is listed twice", at)
		default:
			list = append(list, at)
		}
	}
	return list
}
