package dnsserver

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// hot are the queries whose cost counts most.
var hot = []struct {
	name  string
	qname string
	edits []func(*dns.Msg)
}{
	{"Steered", "www.gslb.example", nil},
	{"SteeredOPT", "www.gslb.example", []func(*dns.Msg){edns}},
	{"SteeredSubnet", "www.gslb.example", []func(*dns.Msg){subnet("198.51.100.0/24")}},
	{"SteeredAlias", "alias2.gslb.example", []func(*dns.Msg){edns}},
	{"Static", "mail.gslb.example", []func(*dns.Msg){edns}},
	{"NXDOMAIN", "nx.gslb.example", []func(*dns.Msg){edns}},
	{"Referral", "www.sub.gslb.example", []func(*dns.Msg){edns}},
	{"Refused", "www.elsewhere.test", []func(*dns.Msg){edns}},
}

func TestAnswerDoesNotAllocate(t *testing.T) {
	s := testSnapshot(t, nil)
	for _, tt := range hot {
		a := testAnswerer(s, UDP)
		msg := pack(t, query(tt.qname, dns.TypeA, tt.edits...))
		buf := make([]byte, 0, 2048)
		if n := testing.AllocsPerRun(200, func() { a.Answer(buf, msg, resolver, 1232) }); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	s := testSnapshot(b, nil)
	for _, tt := range hot {
		b.Run(tt.name, func(b *testing.B) {
			a := testAnswerer(s, UDP)
			msg := pack(b, query(tt.qname, dns.TypeA, tt.edits...))
			buf := make([]byte, 0, 2048)
			b.ReportAllocs()
			for b.Loop() {
				a.Answer(buf, msg, resolver, 1232)
			}
		})
	}
}

// BenchmarkAnswerManyNames draws names of 100,000 steered records.
func BenchmarkAnswerManyNames(b *testing.B) {
	plan, problems := policy.Compile(testPolicySpec())
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	spec := zone.Spec{Name: "gslb.example", NS: []string{"ns.elsewhere.test."}}
	for i := range 100_000 {
		spec.Records = append(spec.Records, zone.RecordSpec{Owner: fmt.Sprintf("name-%d", i), Steer: &zone.SteerSpec{Service: "web", Policy: "near"}})
	}
	zones, problems := zone.Compile([]zone.Spec{spec}, plan)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	a := testAnswerer(&registry.Snapshot{World: registry.World{Plan: plan, Zones: zones}, Health: policy.NewHealth(plan.NumEndpoints())}, UDP)
	rnd := rand.New(rand.NewPCG(1, 2))
	msgs := make([][]byte, 1<<14)
	for i := range msgs {
		msgs[i] = pack(b, query(fmt.Sprintf("name-%d.gslb.example", rnd.IntN(100_000)), dns.TypeA, edns))
	}
	buf := make([]byte, 0, 2048)
	from := netip.MustParseAddrPort("192.0.2.1:1000")
	for _, msg := range msgs { // the counters of a record are made when it is met first
		a.Answer(buf, msg, from, 1232)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		a.Answer(buf, msgs[i%len(msgs)], from, 1232)
	}
}

// BenchmarkAnswerRandomSubnet draws names of 100,000 steered records and client subnets over 500,000 networks: no more of our tables is in
// the processor's caches than their size allows. The message is, as one that the kernel has just copied.
func BenchmarkAnswerRandomSubnet(b *testing.B) {
	rnd := rand.New(rand.NewPCG(3, 4))
	v4 := func(bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(1 + rnd.IntN(126)), byte(rnd.IntN(256)), byte(rnd.IntN(256)), byte(rnd.IntN(256))}), bits).Masked()
	}
	s := testPolicySpec()
	seen := map[netip.Prefix]bool{netip.MustParsePrefix("10.0.0.0/8"): true}
	for len(s.Networks) < 500_000 {
		if p := v4(12 + rnd.IntN(13)); !seen[p] {
			seen[p] = true
			s.Networks = append(s.Networks, policy.NetworkSpec{Prefix: p, Site: s.Sites[rnd.IntN(2)].Name})
		}
	}
	plan, problems := policy.Compile(s)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	spec := zone.Spec{Name: "gslb.example", NS: []string{"ns.elsewhere.test."}}
	for i := range 100_000 {
		spec.Records = append(spec.Records, zone.RecordSpec{Owner: fmt.Sprintf("name-%06d", i), Steer: &zone.SteerSpec{Service: "web", Policy: "near"}})
	}
	zones, problems := zone.Compile([]zone.Spec{spec}, plan)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	a := testAnswerer(&registry.Snapshot{World: registry.World{Plan: plan, Zones: zones}, Health: policy.NewHealth(plan.NumEndpoints())}, UDP)
	msg := pack(b, query("name-000000.gslb.example", dns.TypeA, subnet("1.2.3.0/24")))
	digits, client := msg[18:24], msg[len(msg)-3:] // the option is the last thing in the message
	draws := make([][2]uint32, 1<<17)
	for i := range draws {
		a := v4(24).Addr().As4()
		draws[i] = [2]uint32{rnd.Uint32N(100_000), binary.BigEndian.Uint32(a[:])}
	}
	buf := make([]byte, 0, 2048)
	from := netip.MustParseAddrPort("192.0.2.1:1000")
	ask := func(i int) []byte {
		name, addr := draws[i%len(draws)][0], draws[i%len(draws)][1]
		for k := range digits {
			digits[len(digits)-1-k] = byte('0' + name%10)
			name /= 10
		}
		client[0], client[1], client[2] = byte(addr>>24), byte(addr>>16), byte(addr>>8)
		return a.Answer(buf, msg, from, 1232)
	}
	for i := range draws {
		if got := ask(i); got[3]&15 != 0 || got[7] != 1 {
			b.Fatalf("answer %x to %x", got, msg)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ask(i)
	}
}
