package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// Canary queries: how many there are, how many that fail are told of, and how long an answer may take.
const (
	maxCanaries = 512
	maxFailed   = 20
	canaryTime  = time.Second
	canaryTries = 3 // of those that fail: what aliases lead to may be yet to be asked for
	canaryPause = 300 * time.Millisecond
)

// canaries are questions that a node is asked over TCP, as by anybody, before and after a change.
type canaries struct {
	address string // of DNS; "" = it is not served, and there are none
	list    []canary
}

// A canary is one question, and the reply to it before the change.
type canary struct {
	name   string
	qtype  uint16
	before reply
}

// A reply is what came of a question.
type reply struct {
	came    bool
	code    int
	answers int
}

func (r reply) String() string {
	if !r.came {
		return "no reply"
	}
	return fmt.Sprintf("%s with %d answers", dns.RcodeToString[r.code], r.answers)
}

// worse reports whether a name must not be answered so that was answered otherwise before: not at all, with SERVFAIL, or with nothing.
func (r reply) worse(before reply) bool {
	switch {
	case !before.came:
		return false // it cannot be asked from here
	case !r.came:
		return true
	case r.code == dns.RcodeServerFailure:
		return before.code != dns.RcodeServerFailure
	}
	return r.answers == 0 && before.answers > 0
}

// canariesOf returns the questions for a configuration: what was asked most, as far as it still has such a name, then all steered names.
func (n *node) canariesOf(cfg *configs.Config) *canaries {
	c := &canaries{}
	if n.dns == nil {
		return c
	}
	c.address = reachable(n.dns.Addrs()[0].String(), "::1")
	zones, seen := cfg.Compiled.Zones(), map[canary]bool{}
	if here, err := netip.ParseAddrPort(c.address); err == nil {
		zones = zones.For(here.Addr()) // what this node itself sees, where there are views
	}
	add := func(name string, qtype uint16) {
		x := canary{name: dns.Fqdn(name), qtype: qtype}
		if n, err := wire.ParseName(name); err != nil || seen[x] || len(c.list) == maxCanaries || gone(zones.Lookup(n, qtype).Kind) {
			return
		}
		seen[x] = true
		c.list = append(c.list, x)
	}
	for _, e := range n.dns.Demand().First(maxCanaries / 2).Entries {
		add(e.Name, dns.StringToType[e.Type])
	}
	for _, z := range zones.Zones() {
		for e := range z.Entries() {
			if e.Steer == nil {
				continue
			}
			if len(c.list) == maxCanaries {
				return c
			}
			for _, t := range e.Steer.Types.List() {
				add(e.Steer.Record, t)
			}
		}
	}
	return c
}

// gone reports whether a configuration says by itself that a name has nothing, so that nothing is to be expected.
func gone(k zone.Kind) bool {
	return k == zone.NotAuth || k == zone.NXDomain || k == zone.NoData || k == zone.Referral
}

// before asks all questions before the change.
func (c *canaries) before(ctx context.Context) {
	for i, r := range c.ask(ctx, c.list) {
		c.list[i].before = r
	}
}

// after asks all questions after the change, those that fail a few times, and says which are answered worse than before.
func (c *canaries) after(ctx context.Context) admin.Canaries {
	out := admin.Canaries{Asked: len(c.list)}
	left := c.list
	for try := 1; ; try++ {
		var failed []canary
		out.Failed = nil
		for i, r := range c.ask(ctx, left) {
			if x := left[i]; r.worse(x.before) {
				failed = append(failed, x)
				if len(out.Failed) < maxFailed {
					out.Failed = append(out.Failed, fmt.Sprintf("%s %s: %s, before %s", x.name, dns.Type(x.qtype), r, x.before))
				}
			}
		}
		if out.Total = len(failed); out.Total == 0 || try == canaryTries {
			return out
		}
		left = failed
		time.Sleep(canaryPause)
	}
}

// ask asks questions one after the other over one connection. After a failure the rest goes over another; a server that fails again at once is not
// asked any more.
func (c *canaries) ask(ctx context.Context, list []canary) []reply {
	out := make([]reply, len(list))
	var conn *dns.Conn
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	client := &dns.Client{Net: "tcp", Timeout: canaryTime}
	for i, failures := 0, 0; i < len(list) && failures < 2; i++ {
		var err error
		if conn == nil {
			if conn, err = client.DialContext(ctx, c.address); err != nil {
				failures++
				continue
			}
		}
		r, _, err := client.ExchangeWithConnContext(ctx, new(dns.Msg).SetQuestion(list[i].name, list[i].qtype), conn)
		if err != nil {
			failures++
			conn.Close()
			conn = nil
			continue
		}
		out[i], failures = reply{true, r.Rcode, len(r.Answer)}, 0
	}
	return out
}
