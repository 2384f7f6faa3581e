package dnsserver

import "net/netip"

// A RateConfig limits how many UDP queries are answered for one network (response rate limiting), so that forged queries cannot make
// us flood others, and a few clients cannot take the share of all. Queries over TCP and those with a valid cookie (RFC 7873 1.2)
// come from where they say, and are not limited.
type RateConfig struct {
	// Off answers everybody, however often.
	Off bool

	// Rate is the most queries per second from one address that are answered, once Burst is used up: 1 to 1,000,000. Networks may
	// send multiples of it: an IPv4 /24 32, a /20 256, a /18 768 times as many; an IPv6 /64 2, a /56 3, a /48 4, a /32 64 times.
	// Default 1000, which the busiest resolvers stay below, and at which we are no weapon worth having.
	Rate int

	// Burst is the most queries from one address that are answered at one moment, after some quiet: 1 to 100,000,000. Networks may
	// send as many times more as of Rate. Default: twice Rate.
	Burst int

	// Slip is of how many queries beyond the limit one gets a response, empty and truncated, which lets a client in need come over
	// TCP and gives an attacker no more bytes than it sent; the others are dropped. 1 answers each of them so, 2 every other one; a
	// negative number drops them all. Default 1.
	Slip int

	// Exempt are networks without limit. Default, if nil: the loopback networks, 127.0.0.0/8 and ::1.
	Exempt []netip.Prefix

	// Slots is how many addresses and networks are counted at one time, 8 bytes each; rounded up to a power of two, 1024 to 2^28.
	// There should be several times as many as can be at their limit at one time, which is the queries per second that the machine
	// can take divided by Rate. Default: enough for 4 million queries per second, 32,768 at the default Rate.
	Slots int
}
