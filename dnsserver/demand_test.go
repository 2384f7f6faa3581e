package dnsserver

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/demand"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// sampled returns an Answerer of the test world that is sampled, and what gathers.
func sampled(t testing.TB) (*Answerer, *gatherer) {
	a := testAnswerer(testSnapshot(t, nil), UDP)
	a.sampler = newSampler()
	return a, &gatherer{sketch: demand.NewSketch(100, 0, 0), samplers: []*sampler{a.sampler}}
}

// TestDemandCounts: what is steered counts once for each answer, under the record, the type and the network of the client; nothing else does.
func TestDemandCounts(t *testing.T) {
	a, g := sampled(t)
	for _, q := range []struct {
		name   string
		rrtype uint16
		edits  []func(*dns.Msg)
		times  int
	}{
		{"www.gslb.example", dns.TypeA, []func(*dns.Msg){subnet("198.51.100.0/25")}, 4},
		{"WWW.gslb.example", dns.TypeAAAA, nil, 3},
		{"alias2.gslb.example", dns.TypeA, nil, 2}, // counts for what it leads to
		{"deep.down.app.gslb.example", dns.TypeA, []func(*dns.Msg){subnet("2001:db8:2::/48")}, 1},
		{"mail.gslb.example", dns.TypeA, nil, 5},
		{"none.gslb.example", dns.TypeA, nil, 5},
		{"v4.gslb.example", dns.TypeAAAA, nil, 5}, // no such address
		{"nx.gslb.example", dns.TypeA, nil, 5},
		{"www.elsewhere.test", dns.TypeA, nil, 5},
	} {
		for range q.times {
			answer(t, a, query(q.name, q.rrtype, q.edits...))
		}
	}
	want := "[{www.gslb.example A 198.51.100.0/24 4} {www.gslb.example AAAA 203.0.113.0/24 3} {www.gslb.example A 203.0.113.0/24 2} " +
		"{*.app.gslb.example A 2001:db8:2::/48 1}]"
	if got := fmt.Sprint(g.report(1).Entries); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if a.sampler.ring != [sampleRing]sample{} {
		t.Error("samples that were gathered are still held")
	}
}

// TestDemandSamples: of many answers few are looked at, they stand for all, and queries in a fixed order are as often in them as they are.
func TestDemandSamples(t *testing.T) {
	a, g := sampled(t)
	names := [][]byte{pack(t, query("www.gslb.example", dns.TypeA)), pack(t, query("all.gslb.example", dns.TypeA)), pack(t, query("v4.gslb.example", dns.TypeA)),
		pack(t, query("all.gslb.example", dns.TypeA))}
	buf := make([]byte, 0, 2048)
	const rounds, each = 20, 8_000
	total := 0
	for range rounds {
		for i := range each {
			a.Answer(buf, names[i%len(names)], resolver, 1232)
			total++
		}
		taken := a.sampler.to.Load() - a.sampler.from.Load()
		if total > 5*each && (taken < sampleAim/2 || taken > 2*sampleAim) {
			t.Errorf("%d samples of %d answers, want about %d", taken, each, sampleAim)
		}
		g.round(1)
	}
	r := g.report(1)
	late := int(a.sampler.since)
	if got := int(math.Round(r.Queries)) + late - int(a.sampler.left); got != total {
		t.Errorf("%d answers were counted, %d given", got, total)
	}
	for _, e := range r.Entries {
		want := 0.25
		if e.Name == "all.gslb.example" {
			want = 0.5
		}
		if share := e.Queries / r.Queries; math.Abs(share-want) > 0.05 {
			t.Errorf("%s has a share of %.3f, want %v", e.Name, share, want)
		}
	}
	for range 30 {
		g.round(1)
	}
	if got := a.sampler.every.Load(); got != 1 {
		t.Errorf("without queries, one of %d is taken", got)
	}
}

// TestDemandWhileAnswering: to gather while a worker answers loses and doubles nothing.
func TestDemandWhileAnswering(t *testing.T) {
	a, g := sampled(t)
	msg := pack(t, query("www.gslb.example", dns.TypeA))
	const total = 20_000
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				g.round(1)
			}
		}
	})
	buf := make([]byte, 0, 2048)
	for range total {
		a.Answer(buf, msg, resolver, 1232)
	}
	close(done)
	wg.Wait()
	if got := int(math.Round(g.report(1).Queries)) + int(a.sampler.since) - int(a.sampler.left) + int(a.sampler.lost.Load()); got != total {
		t.Errorf("%d answers were counted, %d given", got, total)
	}
}

// TestDemandOfServer: every transport counts.
func TestDemandOfServer(t *testing.T) {
	s, _ := start(t, Config{Listen: []string{"127.0.0.1:0"}, Workers: 2})
	for _, network := range []string{"udp", "tcp"} {
		c := &dns.Client{Net: network}
		if _, _, err := c.Exchange(query("www.gslb.example", dns.TypeA, subnet("192.0.2.0/24")), s.Addrs()[0].String()); err != nil {
			t.Fatal(err)
		}
	}
	r := s.Demand()
	if len(r.Entries) != 1 || r.Entries[0].Client != netip.MustParsePrefix("192.0.2.0/24") || math.Abs(r.Queries*r.Window-2) > 0.01 {
		t.Errorf("%+v", r)
	}
}

// TestRecordedAnswers: the last answers are there, the newest first, and each says what was decided and replays.
func TestRecordedAnswers(t *testing.T) {
	a, g := sampled(t)
	s := &Server{}
	s.demand.sketch, s.demand.samplers = g.sketch, g.samplers
	for i := range keptRecords + 30 {
		name := []string{"all.gslb.example", "v4.gslb.example"}[i%2]
		m := answer(t, a, query(name, dns.TypeA, subnet(fmt.Sprintf("198.51.%d.0/24", i%256))))
		list := s.Answers()
		r := list[0]
		if want := min(i+1, keptRecords); len(list) != want || r.Name != name || r.Type != "A" || r.Client.String() != fmt.Sprintf("198.51.%d.0/24", i%256) || r.Snapshot != 1 {
			t.Fatalf("answer %d: %d records, want %d: %+v", i, len(list), want, r)
		}
		if _, same, err := r.Replay(a.snapshot.Plan); !same || err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		if id, _ := a.snapshot.Plan.EndpointByName(r.Endpoints[0]); a.snapshot.Plan.Endpoint(id).V4.String() != m.Answer[0].(*dns.A).A.String() {
			t.Fatalf("%v answered, %+v recorded", m.Answer[0], r)
		}
	}
	list := s.Answers()
	if list[keptRecords-1].Client.String() != "198.51.30.0/24" {
		t.Errorf("the oldest: %+v", list[keptRecords-1])
	}
	r := list[0]
	r.Dice++ // of two endpoints that are drawn, some dice have the other first
	differs := false
	for range 20 {
		r.Dice = r.Dice*0x9e3779b97f4a7c15 + 1
		_, same, err := r.Replay(a.snapshot.Plan)
		if err != nil {
			t.Fatal(err)
		}
		differs = differs || !same
	}
	if !differs {
		t.Error("whatever the dice, the answer is said to be the same")
	}
	for _, bad := range []Record{{Service: "x"}, {Service: "web", Policy: "x"}, {Service: "web", Policy: "near", Family: "x"}} {
		if _, same, err := bad.Replay(a.snapshot.Plan); err == nil || same {
			t.Errorf("%+v", bad)
		}
	}
}

// TestManyAnswers: of many answers a few are recorded, and none of services that are too large.
func TestManyAnswers(t *testing.T) {
	a, g := sampled(t)
	for range sampleRing {
		answer(t, a, query("all.gslb.example", dns.TypeA))
	}
	g.round(1)
	if n := len(g.records); n == 0 || n > 8*recordAim {
		t.Errorf("%d records of %d answers", n, sampleRing)
	}
	before := len(g.records)
	spec := testPolicySpec()
	for i := range recordRoom {
		spec.Services[3].Endpoints = append(spec.Services[3].Endpoints, policy.EndpointSpec{Name: fmt.Sprintf("more%d", i), V4: netip.AddrFrom4([4]byte{198, 19, 0, byte(i)}), Weight: 1})
	}
	plan, problems := policy.Compile(spec)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	snapshot := *a.snapshot
	snapshot.Plan, snapshot.Health = plan, policy.NewHealth(plan.NumEndpoints())
	a.Snapshot = func() *registry.Snapshot { return &snapshot }
	answer(t, a, query("many.gslb.example", dns.TypeA))
	g.round(1)
	if len(g.records) != before {
		t.Errorf("%d endpoints are recorded", len(g.records[before].Health))
	}
}

func TestSampledAnswerDoesNotAllocate(t *testing.T) {
	a, _ := sampled(t)
	msg := pack(t, query("www.gslb.example", dns.TypeA))
	buf := make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(2*sampleRing, func() { a.Answer(buf, msg, resolver, 1232) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkAnswerSampled is BenchmarkAnswer of a steered name beside one whose answers are sampled and gathered as a Server does.
func BenchmarkAnswerSampled(b *testing.B) {
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("sampled=%v", on), func(b *testing.B) {
			a, g := sampled(b)
			a.sampler.every.Store(1 << 12) // as after a second at this rate
			if !on {
				a.sampler = nil
			}
			msg := pack(b, query("www.gslb.example", dns.TypeA))
			buf := make([]byte, 0, 2048)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				a.Answer(buf, msg, resolver, 1232)
				if i%1_000_000 == 0 {
					g.round(1)
				}
			}
		})
	}
}
