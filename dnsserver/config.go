package dnsserver

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"time"
)

// A Config is what a Server is made of. The zero value of a field means its default. A change takes effect when the process starts
// anew, for a reload does not move sockets, but where a field says that Reconfigure changes it.
type Config struct {
	// Listen are the addresses to serve, UDP and TCP alike, in the forms of ParseListen. Default: none, which Listen refuses.
	Listen []string

	// UDPSize is the most bytes of a UDP response, whatever the client would take, and the size we announce: 512 to 4096. Default
	// 1232, which passes every path unfragmented (RFC 9715 3.1, appendix A).
	UDPSize uint16

	// Workers is the most UDP sockets for each address, each with a thread's worth of work: 1 to 256. Default: one for each processor
	// that the process may use. Few workers with large batches need less time per query than many, so on Linux the second and all
	// further ones are given queries only when those before them are saturated; elsewhere there is one.
	Workers int

	TCP TCPConfig

	// RateLimit limits how often one client is answered over UDP. Reconfigure changes it.
	RateLimit RateConfig

	// ExplainFrom are the networks that are told how an answer comes about: TXT of _explain.NAME explains A of NAME, _mx._explain.NAME its MX.
	// Default: nobody, for whom there are no such names.
	ExplainFrom []netip.Prefix

	// Proxy are the networks whose messages and connections begin with a header of the PROXY protocol, version 2, as load balancers
	// write it. The client that the header names counts for everything; responses go back to the proxy. What comes from here
	// without a good header is dropped; headers from elsewhere are not understood. Default: none. Reconfigure changes it.
	Proxy []netip.Prefix

	// What the server tells of itself to those who ask. "" = nothing. NSID: to an EDNS option (RFC 5001), at most 128 bytes. Identity
	// and Version: to id.server and hostname.bind, version.server and version.bind in class CHAOS (RFC 4892), which are REFUSED
	// otherwise. Identity and Site, the name of the site that this server stands at, also to the names that tell clients who they are.
	// Reconfigure changes them.
	NSID, Identity, Version, Site string

	// Cookies tells clients from those who forge their addresses. Reconfigure changes it; a secret that was made stays.
	Cookies CookieConfig
}

// A TCPConfig limits what connections may take (RFC 7766 6.2.2, 10).
type TCPConfig struct {
	// Connections is the most connections at one time. When it is reached, a new one takes the place of the one that has been idle
	// for longest. Default 1024.
	Connections int

	// PerClient is the most connections of one client, an IPv4 address or an IPv6 /64. Default 64.
	PerClient int

	// Idle is how long a connection may stay without a query. Default 10 s.
	Idle time.Duration

	// IO is how long a client may take to send a message it has begun, or to receive what is sent to it. Default 5 s.
	IO time.Duration
}

// DefaultUDPSize is the default of Config.UDPSize.
const DefaultUDPSize = 1232

// The range of Config.UDPSize.
const (
	MinUDPSize = 512
	MaxUDPSize = 4096
)

// maxNSID is the most bytes of Config.NSID: it fits beside all other options, the longest question and 512 bytes.
const maxNSID = 128

// maxWorkers is the most Config.Workers.
const maxWorkers = 256

// withDefaults returns c with every field set and within its range.
func (c Config) withDefaults() Config {
	if c.UDPSize == 0 {
		c.UDPSize = DefaultUDPSize
	}
	c.UDPSize = min(max(c.UDPSize, MinUDPSize), MaxUDPSize)
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	c.Workers = min(c.Workers, maxWorkers)
	orDefault(&c.TCP.Connections, 1024)
	orDefault(&c.TCP.PerClient, 64)
	orDefault(&c.TCP.Idle, 10*time.Second)
	orDefault(&c.TCP.IO, 5*time.Second)
	return c
}

func orDefault[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// ParseListen returns the addresses that a listen address stands for: "192.0.2.1:53" and "[2001:db8::1]:53" themselves, ":53" all
// of the machine, as 0.0.0.0 and ::. Port 0 means any free port, the same for all and for UDP and TCP. Names are refused: what
// they mean may change, and whether this machine serves should not depend on another's answer.
func ParseListen(s string) ([]netip.AddrPort, error) {
	if strings.HasPrefix(s, ":") {
		v4, err := netip.ParseAddrPort("0.0.0.0" + s)
		if err != nil {
			return nil, fmt.Errorf("dnsserver: listen address %q: want a port after the colon", s)
		}
		return []netip.AddrPort{v4, netip.AddrPortFrom(netip.IPv6Unspecified(), v4.Port())}, nil
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return nil, fmt.Errorf("dnsserver: listen address %q: want IP:port, [IPv6]:port or :port", s)
	}
	return []netip.AddrPort{netip.AddrPortFrom(a.Addr().Unmap(), a.Port())}, nil
}
