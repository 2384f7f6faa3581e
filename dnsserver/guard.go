package dnsserver

import (
	crand "crypto/rand"
	"net/netip"
	"time"

	"github.com/meridian-gslb/meridian/dnsserver/limit"
)

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
	// TCP and gives an attacker no more bytes than it sent and a cookie; the others are dropped. 1 answers each of them so, 2 every other one; a
	// negative number drops them all. Default 1.
	Slip int

	// Exempt are networks without limit. Default, if nil: the loopback networks, 127.0.0.0/8 and ::1.
	Exempt []netip.Prefix

	// Slots is how many addresses and networks are counted at one time, 8 bytes each; rounded up to a power of two, 1024 to 2^24.
	// There should be several times as many as can be at their limit at one time, which is the queries per second that the machine
	// can take divided by Rate. Default: enough for 4 million queries per second, 32,768 at the default Rate.
	Slots int
}

// withDefaults returns c with every field set and within its range.
func (c RateConfig) withDefaults() RateConfig {
	orDefault(&c.Rate, 1000)
	c.Rate = min(c.Rate, limit.MaxRate)
	orDefault(&c.Burst, 2*c.Rate)
	if c.Slip == 0 {
		c.Slip = 1
	}
	if c.Exempt == nil {
		c.Exempt = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	orDefault(&c.Slots, 8*4_000_000/c.Rate) // several places, a set of them, for each that can be at its limit
	return c
}

// A Limiter limits how many queries are answered, for all Answerers that share it.
type Limiter struct {
	limits *limit.Limiter
	slip   int
	now    func() time.Duration // since any moment
}

// NewLimiter returns a Limiter that has met nobody yet, or nil if there is to be none.
func NewLimiter(c RateConfig) *Limiter {
	if c.Off {
		return nil
	}
	c = c.withDefaults()
	lc := limit.Config{Rate: c.Rate, Burst: c.Burst, Slots: c.Slots, Exempt: c.Exempt}
	crand.Read(lc.Key[:]) // never fails
	began := time.Now()
	return &Limiter{limits: limit.New(lc), slip: c.Slip, now: func() time.Duration { return time.Since(began) }}
}

// A meter is what an Answerer knows of the limits.
type meter struct {
	now    time.Duration // of the batch at hand
	beyond int           // queries beyond the limit, since the last that was answered
}

// limits reports whether there are any. Only UDP lets anybody write any sender.
func (a *Answerer) limits() bool { return a.Limiter != nil && a.Transport == UDP }

// overLimit counts a query and reports whether it is beyond the limits of its sender.
func (a *Answerer) overLimit(from netip.Addr) bool {
	return a.limits() && !a.cookieValid && !a.Limiter.limits.Allow(from, 1, a.meter.now)
}

// shed ends a query beyond the limit: with an empty response that sends the client to TCP, if its turn has come, else with none.
func (a *Answerer) shed(dst []byte) []byte {
	a.meter.beyond++
	if a.Limiter.slip < 0 || a.meter.beyond < a.Limiter.slip {
		a.counters.drop(dropRateLimit)
		return dst
	}
	a.meter.beyond = 0
	a.counters.slipped.Add(1)
	a.builder.SetTruncated()
	return a.builder.Finish(a.UDPSize, 0)
}
