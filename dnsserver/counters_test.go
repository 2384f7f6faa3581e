package dnsserver

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// sum returns what one Answerer counted.
func sum(a *Answerer) totals {
	t := totals{requests: map[requestKey]uint64{}, responses: map[responseKey]uint64{}, answers: map[answerKey]uint64{}}
	t.add(a.counters)
	return t
}

// TestCountersOutliveSnapshots: numbers belong to names, whatever ids the sites and records have in the next snapshot.
func TestCountersOutliveSnapshots(t *testing.T) {
	first, second := testSnapshot(t, nil), testSnapshot(t, nil)
	spec := testPolicySpec()
	spec.Sites[0], spec.Sites[1] = spec.Sites[1], spec.Sites[0]
	swapped, problems := policy.Compile(spec)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	third := &registry.Snapshot{World: registry.World{Plan: swapped, Zones: second.Zones}, Health: policy.NewHealth(swapped.NumEndpoints())}

	a := testAnswerer(first, UDP)
	for i, s := range []*registry.Snapshot{first, first, second, third, first} {
		a.Snapshot = func() *registry.Snapshot { return s }
		answer(t, a, query("www.gslb.example", dns.TypeA, subnet("192.0.2.0/24")))
		for range 2 {
			answer(t, a, query("www.gslb.example", dns.TypeA, subnet("198.51.100.0/24")))
		}
		answer(t, a, query("nx.elsewhere.test", dns.TypeA))
		got := sum(a)
		for site, each := range map[string]int{"eu": 1, "us": 2} {
			if n := got.answers[answerKey{owned{name: "www.gslb.example"}, site, "geo"}]; n != uint64(each*(i+1)) {
				t.Errorf("after %d: %d answers of %s: %v", i+1, n, site, got.answers)
			}
		}
		if n := got.requests[requestKey{"udp", "ipv4", "A", owned{name: "gslb.example"}}]; n != uint64(3*i+3) {
			t.Errorf("after %d: requests %v", i+1, got.requests)
		}
		if n := got.responses[responseKey{"REFUSED", owned{}}]; n != uint64(i+1) {
			t.Errorf("after %d: responses %v", i+1, got.responses)
		}
	}
	met := 0
	for _, zc := range a.counters.zoneAt {
		if zc != nil {
			met++
		}
	}
	if n := len(a.counters.zoneAt); n != len(first.Zones.Zones()) || met != 1 || a.counters.nowhere == nil {
		t.Errorf("counters of %d zones of %d are at hand, those of earlier snapshots among them", met, n)
	}
}

// TestCountersOfZonesThatComeBack: a zone that was away for a while, in which nobody asked anything, is counted from the beginning, and its
// records are.
func TestCountersOfZonesThatComeBack(t *testing.T) {
	with, without := testSnapshot(t, nil), hostsSnapshot(t, zoneOf("a.example", static("@", "A", "192.0.2.1")))
	current := with
	a := testAnswerer(with, UDP)
	a.Snapshot = func() *registry.Snapshot { return current }
	for round := range 3 {
		current = with
		answer(t, a, query("all.gslb.example", dns.TypeA))
		got := sum(a)
		if n := got.requests[requestKey{"udp", "ipv4", "A", owned{name: "gslb.example"}}]; n != 1 {
			t.Errorf("round %d: requests %v", round, got.requests)
		}
		if n := got.answers[answerKey{owned{name: "all.gslb.example"}, "eu", "static"}]; n != 1 {
			t.Errorf("round %d: answers %v", round, got.answers)
		}
		current = without
		a.renew()
		if got := sum(a); len(got.requests)+len(got.answers) > 0 {
			t.Errorf("round %d: numbers of what is no more: %v", round, got)
		}
	}
}

// TestCountersOfDS: a DS is counted for the zone above, where it is, and the zone itself for what it has, whichever comes first; and IPv4
// is IPv4 in whatever form.
func TestCountersOfDS(t *testing.T) {
	a := testAnswerer(testSnapshot(t, nil), UDP)
	mapped := netip.MustParseAddrPort("[::ffff:203.0.113.5]:53")
	for range 3 {
		answer(t, a, query("child.other.example", dns.TypeDS))
		answerFrom(t, a, query("host.child.other.example", dns.TypeA), mapped)
		answerFrom(t, a, query("child.other.example", dns.TypeDS), netip.MustParseAddrPort("[2001:db8::1]:53"))
	}
	want := map[requestKey]uint64{
		{"udp", "ipv4", "DS", owned{name: "other.example"}}: 3, {"udp", "ipv6", "DS", owned{name: "other.example"}}: 3, {"udp", "ipv4", "A", owned{name: "child.other.example"}}: 3,
	}
	if got := sum(a).requests; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestCountersOfBatches: what is counted of messages does not depend on which of them were read together, over either transport: names
// of many zones and of none, steered and not, from both families, answered with every code, limited and dropped.
func TestCountersOfBatches(t *testing.T) {
	snap, kinds := kindSnapshot(t), mixedDatagrams(t)
	for _, transport := range []Transport{UDP, TCP} {
		alone, batched := mixedAnswerer(snap, transport), mixedAnswerer(snap, transport)
		for round := range uint64(60) {
			dice := rand.New(rand.NewPCG(206, round))
			in := make([]datagram, 100)
			for i := range in {
				if i == 0 || dice.IntN(3) > 0 { // else the same again
					in[i] = kinds[dice.IntN(len(kinds))]
				} else {
					in[i] = in[i-1]
				}
			}
			alone.Limiter, batched.Limiter = fewAllowed(), fewAllowed()
			oneByOne(alone, in)
			if transport == UDP {
				for part := range slices.Chunk(in, 1+dice.IntN(maxBatch)) {
					together(batched, part)
				}
			} else { // a client's messages, one after the other
				batched.begin()
				for _, d := range in {
					batched.answer(nil, d.msg, d.from, maxMessage)
				}
				batched.end()
			}
			if want, got := sum(alone), sum(batched); !reflect.DeepEqual(got, want) {
				t.Fatalf("round %d, %s:\ngot  %v\nwant %v", round, transport, got, want)
			}
		}
		all, codes := sum(alone), map[string]bool{}
		for k := range all.responses {
			codes[k.rcode] = true
		}
		delete(codes, wire.BadCookie.String()) // not over TCP
		if len(codes) != len(rcodeLabels)-1 || len(all.requests) < 50 || len(all.answers) < 10 || all.dropped[dropMalformed] == 0 {
			t.Errorf("%s: too little to tell: %v", transport, all)
		}
		if limited := all.dropped[dropRateLimit] > 0 && all.slipped > 0; limited != (transport == UDP) {
			t.Errorf("%s: %d dropped and %d slipped", transport, all.dropped[dropRateLimit], all.slipped)
		}
	}
}

// fewAllowed returns a Limiter for which time stands still.
func fewAllowed() *Limiter {
	l := NewLimiter(RateConfig{Rate: 1, Burst: 20, Slots: 1 << 10, Slip: 2})
	l.now = func() time.Duration { return time.Hour }
	return l
}

// mixedAnswerer returns an Answerer that wants its cookies back and lets few pass.
func mixedAnswerer(s *registry.Snapshot, transport Transport) *Answerer {
	a := fuzzAnswerer(s, transport)
	a.Cookies = CookieConfig{Secrets: [][16]byte{{1, 2, 3}}, Require: true}
	a.Limiter = fewAllowed()
	return a
}

// mixedDatagrams are messages of every kind, each sender's all with a cookie or all without, so that the limits take them in turn.
func mixedDatagrams(t testing.TB) []datagram {
	from := []netip.AddrPort{resolver, netip.MustParseAddrPort("198.51.100.77:53"), netip.MustParseAddrPort("[2001:db8:7::1]:53"),
		netip.MustParseAddrPort("[::ffff:192.0.2.66]:53")}
	var out []datagram
	add := func(m *dns.Msg) { out = append(out, datagram{pack(t, m), from[len(out)%len(from)]}) }
	for _, name := range []string{"www.gslb.example", "all.gslb.example", "nx.gslb.example", "x.app.gslb.example", "mail.gslb.example", "none.gslb.example",
		"host.other.example", "host.child.other.example", "child.other.example", "www.sub.gslb.example", "www.elsewhere.test", "c.k.example",
		"_s._tcp.k.example", "al.steered.k.example", "al.unknown.k.example", "x.dlong.k.example", "who.k.example", "host.closed.example",
		"toclosed.open.example", "ways.k.example", "toother.gslb.example", "id.server"} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeSRV, dns.TypeDS, dns.TypeANY, dns.TypeAXFR, dns.TypeOPT, 200} {
			edit := []func(*dns.Msg){func(*dns.Msg) {}, subnet("198.51.100.0/24"), edns, subnet("2001:db8:1::/48")}[(len(out)+len(out)/4)%4]
			add(query(name, qtype, edit))
		}
	}
	long := strings.Repeat(strings.Repeat("l", 60)+".", 2)
	for range 3 {
		add(query(long+"dlong.k.example", dns.TypeA)) // YXDOMAIN
		add(query("id.server", dns.TypeTXT, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }))
		add(query("www.gslb.example", dns.TypeA, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }))
		add(query("www.gslb.example", dns.TypeA, edns, func(m *dns.Msg) { m.IsEdns0().SetVersion(1) }))
	}
	cookies := netip.MustParseAddrPort("192.0.2.123:53")
	for _, name := range []string{"www.gslb.example", "eu.k.example", "www.elsewhere.test"} {
		for _, text := range []string{"2464c4abcf10c957", "2464c4abcf10c957010000005cf79f111f8130c3eee29480"} {
			out = append(out, datagram{pack(t, query(name, dns.TypeA, cookie(text))), cookies})
		}
	}
	return append(out, datagram{[]byte("short"), resolver}, datagram{out[0].msg, netip.AddrPortFrom(resolver.Addr(), 0)})
}

// TestLabels: every code we answer with and every type has a label of its own.
func TestLabels(t *testing.T) {
	for i, r := range rcodeLabels {
		if rcodeLabel(r) != i || r.String() == "OTHER" {
			t.Errorf("code %d: label %d %s", r, rcodeLabel(r), r)
		}
	}
	if s := wire.RCode(9).String(); s != "OTHER" {
		t.Error(s)
	}
	for i, name := range typeLabels[1:] {
		if got := typeLabel(dns.StringToType[name]); got != i+1 {
			t.Errorf("%s: label %d", name, got)
		}
	}
	if typeLabel(65280) != 0 || typeLabel(0) != 0 {
		t.Error("unknown types are not other")
	}
	if UDP.String() != "udp" || TCP.String() != "tcp" || Transport(7).String() != "7" {
		t.Error("transports")
	}
}
