package dnsserver

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/registry"
)

// A datagram is a message and where it comes from.
type datagram struct {
	msg  []byte
	from netip.AddrPort
}

// together answers messages as a batch, as workers of UDP do.
func together(a *Answerer, in []datagram) [][]byte {
	if len(a.batch) < maxBatch {
		a.batch = make([]message, maxBatch)
	}
	out := make([][]byte, len(in))
	a.begin()
	for i, d := range in {
		a.read(i, d.msg, d.from)
	}
	a.prepare(len(in))
	for i := range in {
		out[i] = a.reply(i, nil, DefaultUDPSize)
	}
	a.end()
	return out
}

// oneByOne answers messages as they would be if each came alone.
func oneByOne(a *Answerer, in []datagram) [][]byte {
	out := make([][]byte, len(in))
	for i, d := range in {
		out[i] = a.Answer(nil, d.msg, d.from, DefaultUDPSize)
	}
	return out
}

// TestBatch: what a batch of messages is answered does not depend on its being one, nor on what it was warmed up for: names that are
// there, that are not, subnets of both families, other zones, other classes, no queries at all.
func TestBatch(t *testing.T) {
	snap := testSnapshot(t, nil)
	var msgs [][]byte
	for i := range maxBatch - 2 {
		name := []string{"www.gslb.example", "nx.gslb.example", "x.app.gslb.example", "vary.gslb.example", "www.elsewhere.test", ".", "x.some.gslb.example"}[i%7]
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

	var in []datagram
	for _, msg := range msgs {
		in = append(in, datagram{msg, resolver})
	}
	alone, batched := testAnswerer(snap, UDP), testAnswerer(snap, UDP)
	for n := range maxBatch + 1 {
		want := oneByOne(alone, in[:n])
		for i, got := range together(batched, in[:n]) {
			if !bytes.Equal(got, want[i]) {
				t.Fatalf("batch of %d, message %d:\ngot  %x\nwant %x", n, i, got, want[i])
			}
		}
	}
}

// TestBatchAfterReload: where a name was in an old set of zones is not looked for in a new one, which may have fewer, when the message in
// its place is none.
func TestBatchAfterReload(t *testing.T) {
	current := hostsSnapshot(t, zoneOf("a.example", static("@", "A", "192.0.2.1")), zoneOf("b.example", static("@", "A", "192.0.2.1")))
	fewer := hostsSnapshot(t, zoneOf("a.example", static("@", "A", "192.0.2.1")))
	a := testAnswerer(current, UDP)
	a.Snapshot = func() *registry.Snapshot { return current }
	msg := pack(t, query("b.example", dns.TypeA))
	for _, last := range [][]byte{msg, []byte("short")} {
		if got := together(a, []datagram{{msg, resolver}, {msg, resolver}, {last, resolver}}); len(got[0]) == 0 {
			t.Error("no answer")
		}
		current = fewer
	}
}

// TestBatchOfOneSender: messages from one address are counted together as they are one by one: no more of them are answered than there is
// room for.
func TestBatchOfOneSender(t *testing.T) {
	other := netip.MustParseAddrPort("203.0.113.9:53")
	plain := pack(t, query("www.gslb.example", dns.TypeA))
	for n := range maxBatch {
		const burst = 20
		a, _ := limited(t, RateConfig{Rate: 1, Burst: burst, Slots: 1 << 10, Slip: -1}, UDP)
		in := slices.Repeat([]datagram{{plain, resolver}}, n)
		if n > 3 {
			in[3].from = other
		}
		mine, others := 0, 0
		for i, got := range together(a, in) {
			switch {
			case len(got) == 0:
			case i == 3:
				others++
			default:
				mine++
			}
		}
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
	a, _ := limited(t, RateConfig{Rate: 1, Burst: burst, Slots: 1 << 10, Slip: -1}, UDP)
	plain := pack(t, query("www.gslb.example", dns.TypeA))
	senders := []netip.AddrPort{resolver, netip.MustParseAddrPort("198.51.100.77:53"), netip.MustParseAddrPort("192.0.2.99:53")}
	answered := map[netip.AddrPort]int{}
	for round := range 12 {
		in := make([]datagram, 16)
		for i := range in {
			in[i] = datagram{plain, senders[0]}
			if round%2 == 1 {
				in[i].from = senders[i/3%len(senders)] // runs of three
			}
		}
		for i, got := range together(a, in) {
			if len(got) > 0 {
				answered[in[i].from]++
			}
		}
	}
	for _, s := range senders {
		if answered[s] != burst {
			t.Errorf("%s: %d answered, want %d", s, answered[s], burst)
		}
	}
}

// TestNoWorkBeyondLimits: what a batch has beyond the limit, or that is no query, is asked of the limits once and not looked up.
func TestNoWorkBeyondLimits(t *testing.T) {
	const burst, n = 8, 20
	a, _ := limited(t, RateConfig{Rate: 1, Burst: burst, Slots: 1 << 10, Slip: -1}, UDP)
	plain := pack(t, query("www.gslb.example", dns.TypeA))
	in := slices.Repeat([]datagram{{plain, resolver}}, n)
	together(a, in[:3]) // nothing of it must be left
	in[2].msg = plain[:11]
	a.begin()
	for i, d := range in {
		a.read(i, d.msg, d.from)
	}
	a.prepare(n)
	for i := range n {
		want := within
		switch {
		case i == 2:
			want = a.batch[i].limit // nobody looks
		case i > 5: // three were asked before
			want = beyond
		}
		if got, found := a.batch[i].limit, a.spots[i] != (zone.Spot{}); got != want || found != (want == within && i != 2) {
			t.Errorf("message %d: limit %d, want %d; looked up: %v", i, got, want, found)
		}
	}
	a.end()
}

// TestBatchOverTCP: who is there is not limited, in a batch either.
func TestBatchOverTCP(t *testing.T) {
	a, _ := limited(t, RateConfig{Rate: 1, Burst: 1, Slots: 1 << 10, Slip: -1}, TCP)
	for i, got := range together(a, slices.Repeat([]datagram{{pack(t, query("mail.gslb.example", dns.TypeA)), resolver}}, 9)) {
		if len(got) == 0 {
			t.Errorf("message %d is not answered", i)
		}
	}
}

// TestCookiesInBatches: a cookie of ours, and no other, excuses a message from the limit of its sender, whatever comes beside it: it is
// neither counted nor limited with its neighbours, nor does it excuse them.
func TestCookiesInBatches(t *testing.T) {
	const burst = 40
	other := netip.MustParseAddrPort("198.51.100.77:53")
	for round := range uint64(200) {
		dice := rand.New(rand.NewPCG(206, round))
		a, _ := limited(t, RateConfig{Rate: 1, Burst: burst, Slots: 1 << 10, Slip: -1}, UDP)
		learn := query("mail.gslb.example", dns.TypeA, cookie("2464c4abcf10c957"))
		ours := cookieOf(answerFrom(t, a, learn, resolver))
		kinds := []datagram{
			{pack(t, query("mail.gslb.example", dns.TypeA)), resolver},
			{pack(t, query("mail.gslb.example", dns.TypeA, cookie(ours))), resolver},
			{pack(t, learn), resolver},
			{pack(t, query("mail.gslb.example", dns.TypeA, cookie(ours[:16]+"010000005cf79f111f8130c3eee29480"))), resolver},
			{pack(t, query("mail.gslb.example", dns.TypeA, cookie(ours))), other}, // stolen
			{pack(t, query("mail.gslb.example", dns.TypeA)), other},
			{[]byte("short"), resolver},
		}
		sent, answered := map[netip.AddrPort]int{resolver: 1}, map[netip.AddrPort]int{resolver: 1}
		for range 8 {
			var in []datagram
			var which []int
			for n := 1 + dice.IntN(maxBatch); len(in) < n; {
				k := dice.IntN(len(kinds))
				for range min(1+dice.IntN(5), n-len(in)) {
					in, which = append(in, kinds[k]), append(which, k)
				}
			}
			for i, out := range together(a, in) {
				switch k := which[i]; {
				case k == 1 && len(out) == 0:
					t.Fatalf("round %d: limited in spite of its cookie: message %d of %v", round, i, which)
				case k == 1 || k == len(kinds)-1:
				default:
					sent[in[i].from]++
					if len(out) > 0 {
						answered[in[i].from]++
					}
				}
			}
		}
		for from, n := range sent {
			if answered[from] != min(n, burst) {
				t.Errorf("round %d: %s: %d of %d answered, want %d", round, from, answered[from], n, min(n, burst))
			}
		}
	}
}
