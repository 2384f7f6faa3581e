package dnsserver

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/registry"
)

// TestBatch: what a batch of messages is answered does not depend on its being one, nor on what it was warmed up for: names that are
// there, that are not, subnets of both families, other zones, other classes, no queries at all.
func TestBatch(t *testing.T) {
	snap := testSnapshot(t, nil)
	var msgs [][]byte
	for i := range maxBatch - 2 {
		name := []string{"www.gslb.example", "nx.gslb.example", "x.app.gslb.example", "www.elsewhere.test", "."}[i%5]
		q := query(name, dns.TypeA)
		switch i % 4 {
		case 1:
			q = query(name, dns.TypeA, subnet(fmt.Sprintf("198.51.%d.0/24", i)))
		case 2:
			q = query(name, dns.TypeA, subnet("2001:db8:1::/48"))
		case 3:
			q = query(name, dns.TypeA, subnet("255.255.255.255/32"))
		}
		if i%7 == 6 {
			q.Question[0].Qclass = dns.ClassCHAOS
		}
		q.Id = uint16(i)
		msg, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		msgs = append(msgs, msg)
	}
	msgs = append(msgs, []byte("short"), append([]byte{0, 0, 0x80}, make([]byte, 9)...))

	alone, together := testAnswerer(snap, UDP), testAnswerer(snap, UDP)
	together.batch = make([]message, maxBatch)
	for n := range maxBatch + 1 {
		together.begin()
		for i := range n {
			together.read(i, msgs[i], resolver)
		}
		together.prepare(n)
		for i := range n {
			want := alone.Answer(nil, msgs[i], resolver, 1232)
			if got := together.reply(i, nil, 1232); !bytes.Equal(got, want) {
				t.Fatalf("batch of %d, message %d:\ngot  %x\nwant %x", n, i, got, want)
			}
		}
		together.end()
	}
}

// TestBatchAfterReload: where a name was in an old set of zones is not looked for in a new one, which may have fewer, when the message in
// its place is none.
func TestBatchAfterReload(t *testing.T) {
	current := hostsSnapshot(t, zoneOf("a.example", static("@", "A", "192.0.2.1")), zoneOf("b.example", static("@", "A", "192.0.2.1")))
	fewer := hostsSnapshot(t, zoneOf("a.example", static("@", "A", "192.0.2.1")))
	a := testAnswerer(current, UDP)
	a.Snapshot, a.batch = func() *registry.Snapshot { return current }, make([]message, maxBatch)
	msg := pack(t, query("b.example", dns.TypeA))
	for _, last := range [][]byte{msg, []byte("short")} {
		a.begin()
		for i, m := range [][]byte{msg, msg, last} {
			a.read(i, m, resolver)
		}
		a.prepare(3)
		if got := a.reply(0, nil, 1232); len(got) == 0 {
			t.Error("no answer")
		}
		a.end()
		current = fewer
	}
}

// TestBatchOfOneSender: messages from one address are counted together as they are one by one: no more of them are answered than there is
// room for, and those with a cookie of ours are not counted.
func TestBatchOfOneSender(t *testing.T) {
	snap := testSnapshot(t, nil)
	other := netip.MustParseAddrPort("203.0.113.9:53")
	plain := pack(t, query("www.gslb.example", dns.TypeA))
	for n := range maxBatch {
		const burst = 20
		a := testAnswerer(snap, UDP)
		a.Limiter, a.batch = NewLimiter(RateConfig{Rate: 1, Burst: burst, Slip: -1, Exempt: []netip.Prefix{}}), make([]message, maxBatch)
		a.begin()
		for i := range n {
			from := resolver
			if i == 3 {
				from = other
			}
			a.read(i, plain, from)
		}
		a.prepare(n)
		mine, others := 0, 0
		for i := range n {
			switch got := a.reply(i, nil, 1232); {
			case len(got) == 0:
			case i == 3:
				others++
			default:
				mine++
			}
		}
		a.end()
		wantOthers := 0
		if n > 3 {
			wantOthers = 1
		}
		if want := min(n-wantOthers, burst); mine != want || others != wantOthers {
			t.Errorf("batch of %d: %d and %d answered, want %d and %d", n, mine, others, want, wantOthers)
		}
	}
}

// TestBatchAfterForgery: a message that must not be answered leaves nothing of the batch before in its place.
func TestBatchAfterForgery(t *testing.T) {
	a := testAnswerer(testSnapshot(t, nil), UDP)
	msg, err := query("www.gslb.example", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Answer(nil, msg, resolver, 1232)) == 0 {
		t.Fatal("no answer")
	}
	if got := a.Answer(nil, msg, netip.AddrPortFrom(resolver.Addr(), 0), 1232); len(got) > 0 {
		t.Errorf("port 0 is answered: %x", got)
	}
}

// TestLimitsOfBatches: what one batch was allowed says nothing of the next, and each sender of a mixed one has its own limit.
func TestLimitsOfBatches(t *testing.T) {
	const burst = 20
	a := testAnswerer(testSnapshot(t, nil), UDP)
	a.Limiter, a.batch = NewLimiter(RateConfig{Rate: 1, Burst: burst, Slip: -1, Exempt: []netip.Prefix{}}), make([]message, maxBatch)
	plain := pack(t, query("www.gslb.example", dns.TypeA))
	senders := []netip.AddrPort{resolver, netip.MustParseAddrPort("198.51.100.77:53"), netip.MustParseAddrPort("192.0.2.99:53")}
	answered := map[netip.AddrPort]int{}
	for round := range 12 {
		a.begin()
		from := make([]netip.AddrPort, 16)
		for i := range from {
			from[i] = senders[0]
			if round%2 == 1 {
				from[i] = senders[i/3%len(senders)] // runs of three
			}
			a.read(i, plain, from[i])
		}
		a.prepare(len(from))
		for i := range from {
			if len(a.reply(i, nil, 1232)) > 0 {
				answered[from[i]]++
			}
		}
		a.end()
	}
	for _, s := range senders {
		if answered[s] != burst {
			t.Errorf("%s: %d answered, want %d", s, answered[s], burst)
		}
	}
}
