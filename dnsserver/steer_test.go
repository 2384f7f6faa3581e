package dnsserver

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
)

// subnetOf returns the client subnet option of a response, or nil.
func subnetOf(r *dns.Msg) *dns.EDNS0_SUBNET {
	if o := r.IsEdns0(); o != nil {
		for _, e := range o.Option {
			if s, ok := e.(*dns.EDNS0_SUBNET); ok {
				return s
			}
		}
	}
	return nil
}

// TestClientSubnet: who the answer is for, and for whom else it holds.
func TestClientSubnet(t *testing.T) {
	const eu, us, eu6, us6 = "192.0.2.10", "198.51.100.10", "2001:db8:1::10", "2001:db8:2::10"
	tests := []struct {
		name, subnet, from, qname string
		qtype                     uint16
		answer                    string
		scope                     int
	}{
		{"Europe", "192.0.2.0/24", "203.0.113.5", "www", dns.TypeA, eu, 6}, // 192/6 is the largest around it with one outcome
		{"America", "198.51.100.0/24", "203.0.113.5", "www", dns.TypeA, us, 24},
		{"America, one address", "198.51.100.7/32", "203.0.113.5", "www", dns.TypeA, us, 24},
		{"America, a wide subnet: the scope says to ask with more", "198.51.0.0/16", "203.0.113.5", "www", dns.TypeA, eu, 18},
		{"IPv6", "2001:db8:2::/48", "203.0.113.5", "www", dns.TypeA, us, 48},
		{"IPv6 answers for IPv4 clients", "198.51.100.0/24", "203.0.113.5", "www", dns.TypeAAAA, us6, 24},
		{"IPv4 written as IPv6", "::ffff:198.51.100.0/120", "203.0.113.5", "www", dns.TypeA, us, 120},
		{"IPv4 written as IPv6, one address", "::ffff:198.51.100.7/128", "203.0.113.5", "www", dns.TypeA, us, 120},
		{"IPv4 written as IPv6, the widest scope", "::ffff:192.0.2.0/120", "203.0.113.5", "www", dns.TypeA, eu, 102},
		{"IPv4 written as IPv6, one outcome for IPv4 but not for IPv6", "::ffff:198.51.100.0/120", "203.0.113.5", "six", dns.TypeA, eu, 96},
		{"the same, as IPv4: 0 would be for IPv6 too", "198.51.100.0/24", "203.0.113.5", "six", dns.TypeA, eu, 1},
		{"the same, other IPv6", "2001:db8:2::/48", "203.0.113.5", "six", dns.TypeA, us, 48},
		{"IPv4 written as IPv6, one outcome for all", "::ffff:198.51.100.0/120", "203.0.113.5", "v6", dns.TypeAAAA, "2001:db8::20", 0},
		{"IPv4 written as IPv6, private", "::ffff:10.0.0.0/104", "192.0.2.5", "www", dns.TypeA, eu, 104},
		{"6to4, private", "2002:a00::/24", "192.0.2.5", "www", dns.TypeA, eu, 24},
		{"all of IPv4 written as IPv6 is nobody", "::ffff:0.0.0.0/96", "198.51.100.5", "www", dns.TypeA, us, 128},
		{"length 0: the resolver's address, scope 0", "0.0.0.0/0", "198.51.100.5", "www", dns.TypeA, us, 0},
		{"length 0, IPv6", "::/0", "198.51.100.5", "www", dns.TypeA, us, 0},
		{"private: the resolver's address, for all of the private network", "10.0.0.0/24", "192.0.2.5", "www", dns.TypeA, eu, 8},
		{"private, one outcome for all: scope 0", "10.0.0.0/24", "192.0.2.5", "v6", dns.TypeAAAA, "2001:db8::20", 0},
		{"private, static: scope 0", "10.0.0.0/24", "192.0.2.5", "mail", dns.TypeA, "192.0.2.25", 0},
		{"loopback", "127.0.0.0/24", "198.51.100.5", "www", dns.TypeA, us, 8},
		{"link-local", "fe80::/64", "198.51.100.5", "www", dns.TypeA, us, 10},
		{"unique local", "fd00:1:2::/48", "198.51.100.5", "www", dns.TypeA, us, 7},
		{"a resolver in IPv6", "::/0", "2001:db8:2::5", "www", dns.TypeAAAA, us6, 0},
		{"a resolver in a mapped address", "::/0", "::ffff:198.51.100.5", "www", dns.TypeA, us, 0},
		{"one outcome for all: scope 0", "198.51.100.0/24", "203.0.113.5", "v6", dns.TypeAAAA, "2001:db8::20", 0},
		{"through an alias", "198.51.100.0/24", "203.0.113.5", "alias2", dns.TypeA, us, 24},
		{"through a wildcard", "198.51.100.0/24", "203.0.113.5", "x.app", dns.TypeA, us, 24},
		{"static: scope 0", "198.51.100.0/24", "203.0.113.5", "mail", dns.TypeA, "192.0.2.25", 0},
		{"NODATA: scope 0", "198.51.100.0/24", "203.0.113.5", "v4", dns.TypeAAAA, "", 0},
		{"NXDOMAIN: scope 0", "198.51.100.0/24", "203.0.113.5", "nx", dns.TypeA, "", 0},
		{"NXDOMAIN after an alias: scope 0", "198.51.100.0/24", "203.0.113.5", "tonowhere", dns.TypeA, "", 0},
		{"referral: scope 0", "198.51.100.0/24", "203.0.113.5", "www.sub", dns.TypeA, "", 0},
		{"SOA: scope 0", "198.51.100.0/24", "203.0.113.5", "@", dns.TypeSOA, "", 0},
	}
	s := testSnapshot(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := strings.TrimPrefix(tt.qname+".gslb.example", "@.")
			q := query(name, tt.qtype, subnet(tt.subnet))
			r := answerFrom(t, testAnswerer(s, UDP), q, netip.AddrPortFrom(netip.MustParseAddr(tt.from), 4444))
			got := ""
			for _, rr := range r.Answer {
				switch rr := rr.(type) {
				case *dns.A:
					got = rr.A.String()
				case *dns.AAAA:
					got = rr.AAAA.String()
				}
			}
			if got != tt.answer {
				t.Errorf("answer %q, want %q", got, tt.answer)
			}
			sent, echo := subnetOf(q), subnetOf(r)
			if echo == nil {
				t.Fatal("no subnet in the response")
			}
			if echo.Family != sent.Family || echo.SourceNetmask != sent.SourceNetmask || !echo.Address.Equal(sent.Address) {
				t.Errorf("subnet %v echoed as %v", sent, echo)
			}
			if int(echo.SourceScope) != tt.scope {
				t.Errorf("scope %d, want %d", echo.SourceScope, tt.scope)
			}
		})
	}
}

// TestNoSubnetUnasked: a response has the option only if the query had it.
func TestNoSubnetUnasked(t *testing.T) {
	s := testSnapshot(t, nil)
	r := answer(t, testAnswerer(s, UDP), query("www.gslb.example", dns.TypeA, edns))
	if subnetOf(r) != nil || r.IsEdns0() == nil {
		t.Errorf("%v", r)
	}
	from := netip.MustParseAddrPort("198.51.100.5:4444")
	if r := answerFrom(t, testAnswerer(s, UDP), query("www.gslb.example", dns.TypeA), from); r.Answer[0].(*dns.A).A.String() != "198.51.100.10" || len(r.Extra) != 0 {
		t.Errorf("%v", r)
	}
}

// TestScopeHolds: every address inside the scope gets the same answer as the one that asked, whatever family and form it is of.
func TestScopeHolds(t *testing.T) {
	a := testAnswerer(testSnapshot(t, nil), UDP)
	ask := func(name string, addr netip.Addr) (answered string, scope netip.Prefix) {
		r := answer(t, a, query(name, dns.TypeA, subnet(fmt.Sprintf("%s/%d", addr, addr.BitLen()))))
		scope, err := addr.Prefix(int(subnetOf(r).SourceScope))
		if err != nil {
			t.Fatal(err)
		}
		return r.Answer[0].String(), scope
	}
	landmarks := []netip.Addr{
		netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("::ffff:192.0.2.1"),
		netip.MustParseAddr("::ffff:198.51.100.1"), netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("2001:db8:2::1"),
	}
	for i := range 500 {
		v4 := netip.AddrFrom4([4]byte{198, 51, byte(100 + i%3 - 1), byte(i)})
		v6 := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, byte(i % 4), byte(i), 15: byte(i)})
		for _, asked := range []netip.Addr{v4, netip.AddrFrom16(v4.As16()), v6} {
			for _, name := range []string{"www.gslb.example", "six.gslb.example"} {
				want, scope := ask(name, asked)
				for _, other := range append([]netip.Addr{scope.Addr(), lastAddr(scope)}, landmarks...) {
					if !scope.Contains(other) || !reached(netip.PrefixFrom(other, other.BitLen())) {
						continue // what is not routable is answered by the resolver's address, and nobody's cache has it as a key
					}
					if got, _ := ask(name, other); got != want {
						t.Fatalf("%s gets %s, scope /%d; %s gets %s", asked, want, scope.Bits(), other, got)
					}
				}
			}
		}
	}
}

func lastAddr(p netip.Prefix) netip.Addr {
	a := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(a); i++ {
		a[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(a) // of a slice from an address
	return last
}

// TestSteered: what a policy's choice looks like as an RRset.
func TestSteered(t *testing.T) {
	down := policy.Verdict{State: policy.Down}
	tests := []struct {
		name, qname string
		qtype       uint16
		verdicts    map[string]policy.Verdict
		want        string
	}{
		{"several addresses in the policy's order", "all", dns.TypeA, nil,
			lines("NOERROR aa", "an all.gslb.example. 30 A 192.0.2.10", "an all.gslb.example. 30 A 198.51.100.10")},
		{"an address of two endpoints once", "v4", dns.TypeA, nil, lines("NOERROR aa", "an v4.gslb.example. 30 A 192.0.2.20")},
		{"no endpoint of the family: NODATA", "v4", dns.TypeAAAA, nil, lines("NOERROR aa", negative)},
		{"no endpoint at all: NODATA, not NXDOMAIN", "none", dns.TypeA, nil, lines("NOERROR aa", negative)},
		{"no endpoint at all, ANY", "none", dns.TypeANY, nil, lines("NOERROR aa", negative)},
		{"alias first, then the addresses", "alias2", dns.TypeA, nil, lines("NOERROR aa", "an alias2.gslb.example. 300 CNAME alias.gslb.example.",
			"an alias.gslb.example. 300 CNAME www.gslb.example.", "an www.gslb.example. 30 A 192.0.2.10")},
		{"alias by a wildcard", "x.wildalias", dns.TypeA, nil, lines("NOERROR aa", "an x.wildalias.gslb.example. 300 CNAME www.gslb.example.",
			"an www.gslb.example. 30 A 192.0.2.10")},
		{"wildcard", "a.app", dns.TypeA, nil, lines("NOERROR aa", "an a.app.gslb.example. 30 A 192.0.2.10")},
		{"beside static data, with the zone's TTL", "mixed", dns.TypeA, nil, lines("NOERROR aa", "an mixed.gslb.example. 300 A 192.0.2.10")},
		{"what is down leaves", "www", dns.TypeA, map[string]policy.Verdict{"web/eu-1": down},
			lines("NOERROR aa", "an www.gslb.example. 30 A 198.51.100.10")},
		{"all down: fail open", "www", dns.TypeA, map[string]policy.Verdict{"web/eu-1": down, "web/us-1": down},
			lines("NOERROR aa", "an www.gslb.example. 30 A 192.0.2.10")},
		{"health bounds the TTL", "www", dns.TypeA, map[string]policy.Verdict{"web/eu-1": {State: policy.Up, TTL: 7}},
			lines("NOERROR aa", "an www.gslb.example. 7 A 192.0.2.10")},
		{"health does not lengthen the TTL", "www", dns.TypeA, map[string]policy.Verdict{"web/eu-1": {State: policy.Up, TTL: 700}},
			lines("NOERROR aa", "an www.gslb.example. 30 A 192.0.2.10")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := testAnswerer(testSnapshot(t, tt.verdicts), UDP)
			if got := show(answer(t, a, query(tt.qname+".gslb.example", tt.qtype))); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestSteeredTTL(t *testing.T) {
	for _, tt := range [][3]uint32{{30, 0, 30}, {30, 7, 7}, {30, 31, 30}, {0, 0, 1}, {0, 9, 1}, {30, 1, 1}} {
		if got := steeredTTL(tt[0], tt[1]); got != tt[2] {
			t.Errorf("steeredTTL(%d, %d) = %d, want %d", tt[0], tt[1], got, tt[2])
		}
	}
}

// TestManyAddresses: an answer has at most maxAddresses, all different.
func TestManyAddresses(t *testing.T) {
	r := answer(t, testAnswerer(testSnapshot(t, nil), TCP), query("many.gslb.example", dns.TypeA))
	seen := map[string]bool{}
	for _, rr := range r.Answer {
		seen[rr.String()] = true
	}
	if len(r.Answer) != maxAddresses || len(seen) != maxAddresses {
		t.Errorf("%d addresses, %d different", len(r.Answer), len(seen))
	}
}

// reached says whether a client subnet is one that a decision may be made for.
func reached(p netip.Prefix) bool {
	c := locate(&wire.Query{HasSubnet: true, Subnet: p}, netip.MustParseAddr("203.0.113.5"))
	return c.asked.IsValid()
}

// TestUnroutedScope: a scope for subnets that nobody routes holds nothing else.
func TestUnroutedScope(t *testing.T) {
	for prefix, want := range map[string]uint8{
		"8.8.8.0/24": 0, "8.0.0.0/6": 0, "10.1.2.0/24": 8, "10.0.0.0/8": 8, "127.0.0.1/32": 8, "0.1.0.0/16": 8, "172.16.0.0/12": 12, "172.31.255.0/24": 12,
		"192.168.3.0/24": 16, "192.168.0.0/13": 0, "169.254.7.0/24": 16, "100.64.0.0/10": 10, "100.127.0.0/16": 10, "224.0.0.0/4": 3, "255.255.255.255/32": 3,
		"fdff::/16": 7, "fe80::1/128": 10, "ff02::/16": 8, "::1/128": 128, "2600::/16": 0, "100::/64": 0,
	} {
		if got := unrouted(netip.MustParsePrefix(prefix)); got != want {
			t.Errorf("%s: %d, want %d", prefix, got, want)
		}
	}
	rnd := rand.New(rand.NewPCG(3, 5))
	for range 100_000 {
		p := randomWithin(rnd, netip.MustParsePrefix("::/0"))
		if rnd.IntN(2) == 0 {
			a := p.As16()
			p = netip.AddrFrom4([4]byte(a[:]))
		}
		block := unrouted(netip.PrefixFrom(p, p.BitLen()))
		if block == 0 {
			continue
		}
		around := netip.PrefixFrom(p, int(block))
		if p.Is4() {
			around = netip.PrefixFrom(netip.AddrFrom16(p.As16()), 96+int(block))
		}
		for range 4 {
			if other := randomWithin(rnd, around).Unmap(); unrouted(netip.PrefixFrom(other, other.BitLen())) == 0 {
				t.Fatalf("%s: /%d holds %s", p, block, other)
			}
		}
	}
}

func TestRoutable(t *testing.T) {
	for prefix, want := range map[string]bool{
		"192.0.2.0/24": true, "198.51.100.0/24": true, "203.0.113.0/24": true, "2001:db8::/32": true, // documentation: places in examples
		"8.8.8.0/24": true, "2600::/16": true, "172.32.0.0/16": true, "172.15.0.0/16": true, "192.169.0.0/16": true, "100.128.0.0/10": true,
		"8.0.0.0/6": true, // holds more than 10/8
		"0.0.0.0/0": false, "0.0.0.0/8": false, "10.1.2.0/24": false, "10.0.0.0/8": false, "127.0.0.1/32": false,
		"169.254.0.0/16": false, "172.16.0.0/12": false, "172.31.255.0/24": false, "192.168.3.0/24": false, "100.64.0.0/10": false,
		"224.0.0.0/4": false, "255.255.255.255/32": false, "240.0.0.0/8": false,
		"::/0": false, "::1/128": false, "::/64": false, "fc00::/7": false, "fdff::/16": false, "fe80::/10": false, "fe80::1/128": false, "ff02::/16": false,
		"64:ff9b::/96": false, "::/80": false, "::ffc0:0:0/90": false,
		"::ffff:192.0.2.0/120": true, "::ffff:8.0.0.0/102": true, "::ffff:10.1.2.0/120": false, "::ffff:0.0.0.0/96": false, "::ffff:127.0.0.1/128": false,
	} {
		if got := reached(netip.MustParsePrefix(prefix)); got != want {
			t.Errorf("%s: %v", prefix, got)
		}
	}
}

// TestClientKey: a client keeps its key whatever address of its network asks, and networks have different ones.
func TestClientKey(t *testing.T) {
	key := func(prefix string) uint64 {
		c := locate(&wire.Query{HasSubnet: true, Subnet: netip.MustParsePrefix(prefix)}, netip.MustParseAddr("203.0.113.5"))
		return c.key
	}
	if key("192.0.2.1/32") != key("192.0.2.0/24") || key("2001:db8:1:200::/56") != key("2001:db8:1:2ff::1/128") {
		t.Error("keys differ within a network")
	}
	if key("::ffff:192.0.2.1/128") != key("192.0.2.1/32") {
		t.Error("an IPv4 client has another key in IPv6 form")
	}
	seen := map[uint64]bool{}
	for i := range 1000 {
		seen[key(fmt.Sprintf("198.%d.%d.0/24", i/256, i%256))] = true
		seen[key(fmt.Sprintf("2001:db8:%x::/56", i))] = true
	}
	if len(seen) != 2000 {
		t.Errorf("%d keys of 2000 networks", len(seen))
	}
}

// TestAskedOfThePlan: everything the decision may depend on reaches the Plan.
func TestAskedOfThePlan(t *testing.T) {
	a := testAnswerer(testSnapshot(t, nil), UDP)
	answer(t, a, query("www.gslb.example", dns.TypeAAAA, subnet("192.0.2.0/24")))
	q := a.asked
	if q.Client != netip.MustParsePrefix("192.0.2.0/24") || q.Family != policy.FamilyV6 || q.Now != 1_800_000_000 || q.Dice != 1 || q.Key != a.client.key || q.Want != 0 {
		t.Errorf("%+v", q)
	}
	answer(t, a, query("www.gslb.example", dns.TypeA))
	if q = a.asked; q.Dice != 2 || q.Client != netip.MustParsePrefix("203.0.113.5/32") || q.Family != policy.FamilyV4 {
		t.Errorf("%+v", q)
	}
}
