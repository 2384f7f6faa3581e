package dnsserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// A chaos makes random configurations of the same services, sites and networks.
type chaos struct{ *rand.Rand }

var chaosSites = []string{"s0", "s1", "s2", "s3"}

func (c chaos) sites() []string {
	sites := slices.Clone(chaosSites)
	c.Shuffle(len(sites), func(i, j int) { sites[i], sites[j] = sites[j], sites[i] })
	return sites[:1+c.IntN(len(sites))]
}

// stages makes a chain with every kind of stage, and branches down to a depth.
func (c chaos) stages(depth int) (out []policy.StageSpec) {
	geo := func() policy.GeoTarget {
		if c.IntN(2) == 0 {
			return policy.GeoTarget{Nearest: true}
		}
		return policy.GeoTarget{Sites: c.sites()}
	}
	branches := func() (list []policy.Branch) {
		for range 1 + c.IntN(3) {
			list = append(list, policy.Branch{Sites: c.sites(), Weight: uint32(c.IntN(4)), Stages: c.stages(depth - 1)})
		}
		return list
	}
	if depth == 2 {
		out = append(out, policy.Healthy{}) // of a record that falls back, it must be there
	}
	if c.IntN(2) == 0 && depth == 2 {
		out = append(out, policy.Geo{Rules: []policy.GeoRule{{Region: "east", To: geo()}, {Prefix: netip.MustParsePrefix("10.1.0.0/16"), To: geo()}}, Default: geo()})
	}
	for range 1 + c.IntN(4) {
		kinds := []policy.StageSpec{
			policy.Healthy{Min: c.IntN(3)}, policy.Healthy{Closed: true}, policy.Failover{Sites: c.sites(), Trickle: 0.3 * c.Float64()}, policy.Weighted{Multi: c.IntN(3) == 0},
			policy.Shuffle{}, policy.Sticky{}, policy.Sticky{Bound: 1.2 + c.Float64()}, policy.Shed{Low: c.Float64() / 2, High: 0.5 + c.Float64()/2}, policy.Weighted{Grouped: true},
			policy.OnePer{By: policy.Shared(c.IntN(2))}, policy.Canary{Share: c.Float64(), Sites: c.sites()}, policy.Take{N: 1 + c.IntN(4)},
			policy.Schedule{Windows: []policy.Window{{From: c.IntN(1440), To: c.IntN(1440), Sites: c.sites()}}},
		}
		if depth > 0 && c.IntN(3) == 0 {
			kinds = []policy.StageSpec{policy.Failover{Branches: branches()}, policy.Weighted{Branches: branches()}}
		}
		out = append(out, kinds[c.IntN(len(kinds))])
	}
	return out
}

// definition makes a configuration with five names; names of services and policies stay, and what they mean changes.
func (c chaos) definition() registry.Definition {
	var d registry.Definition
	for i, name := range chaosSites {
		site := policy.SiteSpec{Name: name, Region: []string{"east", "west"}[i%2], At: &policy.Point{Lat: 160*c.Float64() - 80, Lon: 340*c.Float64() - 170}}
		d.Policy.Sites = append(d.Policy.Sites, site)
	}
	for i := range 4 {
		d.Policy.Networks = append(d.Policy.Networks, policy.NetworkSpec{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(i)}), 16), Site: c.sites()[0]})
	}
	z := zone.Spec{Name: "gslb.example", NS: []string{"ns1.example.net."}}
	for i := range 5 {
		s := policy.ServiceSpec{Name: fmt.Sprint("v", i)}
		for k := range 1 + c.IntN(12) {
			e := policy.EndpointSpec{Name: fmt.Sprint("e", k), V4: netip.AddrFrom4([4]byte{192, 0, 2, byte(k)}), Port: 443, Weight: uint32(c.IntN(4))}
			if c.IntN(3) > 0 {
				e.V6 = netip.AddrFrom16([16]byte{0x20, 1, 15: byte(k)})
			}
			if c.IntN(6) > 0 {
				e.Site = c.sites()[0]
			}
			s.Endpoints = append(s.Endpoints, e)
		}
		d.Policy.Services = append(d.Policy.Services, s)
		d.Policy.Policies = append(d.Policy.Policies, policy.PolicySpec{Name: fmt.Sprint("p", i), Stages: c.stages(2)})
		steer := &zone.SteerSpec{Service: s.Name, Policy: fmt.Sprint("p", c.IntN(i+1))}
		if c.IntN(3) == 0 && i > 0 {
			steer.Jitter, steer.Fallbacks = c.IntN(50), []zone.FallbackSpec{{Service: "v0", Policy: "p0"}}
		}
		if i%2 == 0 {
			steer.Types = []string{"A", "AAAA", "HTTPS"}
		}
		z.Records = append(z.Records, zone.RecordSpec{Owner: fmt.Sprint("n", i), Steer: steer})
	}
	d.Zones = []zone.Spec{z}
	return d
}

// A history is every Plan that was in force, with the configuration that it was compiled from.
type history struct {
	mu    sync.Mutex
	of    map[*policy.Plan]registry.Definition
	again map[*policy.Plan]*policy.Plan // compiled anew
}

// apply compiles a configuration and puts it in force.
func (h *history) apply(t *testing.T, r *registry.Registry, d registry.Definition) {
	compiled, problems := registry.Compile(d)
	if len(problems) > 0 {
		t.Error(problems)
		return
	}
	h.mu.Lock()
	h.of[compiled.Plan()] = d
	h.mu.Unlock()
	r.Apply(compiled)
}

// anew returns another Plan of the same configuration.
func (h *history) anew(t *testing.T, p *policy.Plan) *policy.Plan {
	t.Helper()
	if h.again[p] == nil {
		compiled, problems := registry.Compile(h.of[p])
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		h.again[p] = compiled.Plan()
	}
	return h.again[p]
}

// disturb changes what a registry holds: a configuration, a verdict or an override.
func (c chaos) disturb(t *testing.T, r *registry.Registry, h *history) {
	switch c.IntN(12) {
	case 0:
		h.apply(t, r, c.definition())
	case 1:
		target := registry.Target{Kind: registry.KindSite, Name: c.sites()[0]}
		if c.IntN(2) == 0 {
			if err := r.Force(registry.Override{Target: target, State: policy.State(1 + c.IntN(3))}); err != nil {
				t.Error(err)
			}
		} else if err := r.Unforce(target); err != nil && !strings.Contains(err.Error(), "no override") {
			t.Error(err)
		}
	case 2, 3:
		r.ReportLoad(fmt.Sprintf("v%d/e%d", c.IntN(5), c.IntN(12)), policy.LoadOf(c.Float64()))
	default:
		r.Report(fmt.Sprintf("v%d/e%d", c.IntN(5), c.IntN(12)), policy.Verdict{State: policy.State(c.IntN(4)), TTL: uint32(c.IntN(3) * 7)})
	}
}

// An answered is one answer as it was given.
type answered struct {
	query, reply []byte
	from         netip.AddrPort
	dice         []uint64
	now          int64
	snapshot     *registry.Snapshot
	asked        policy.Query
	decided      policy.Decision // Endpoints is our own
	manner       bool            // the record has a manner of its own
}

// TestReplay: 100,000 answers are given while another goroutine changes configuration, health and overrides. Each is then given again, in another
// order and by others, from its snapshot, its dice and its time: the decision and every byte are the same. So they are from what a Record says,
// through JSON, by a Plan that was compiled anew.
func TestReplay(t *testing.T) {
	const total = 100_000
	r := registry.New(registry.Options{})
	h := &history{of: map[*policy.Plan]registry.Definition{}, again: map[*policy.Plan]*policy.Plan{}}
	h.apply(t, r, chaos{rand.New(rand.NewPCG(9, 9))}.definition())
	more := make(chan struct{}, 1)
	var changing sync.WaitGroup
	changing.Go(func() {
		c := chaos{rand.New(rand.NewPCG(8, 8))}
		for range more {
			c.disturb(t, r, h)
		}
	})

	c := chaos{rand.New(rand.NewPCG(7, 7))}
	var now int64
	var rolled []uint64
	a := NewAnswerer(AnswererOptions{Snapshot: r.Snapshot, Now: func() int64 { return now }, Dice: func() uint64 {
		rolled = append(rolled, c.Uint64())
		return rolled[len(rolled)-1]
	}})
	log := make([]answered, 0, total)
	generations := map[uint64]bool{}
	for len(log) < total {
		select {
		case more <- struct{}{}:
		default: // the last change is under way
		}
		now = 1_700_000_000 + int64(c.IntN(1_000_000))
		x := answered{now: now, from: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(c.IntN(3)), byte(c.IntN(256)), 1}), 1234)}
		m := query(fmt.Sprintf("n%d.gslb.example", c.IntN(5)), []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS}[c.IntN(3)])
		if c.IntN(2) == 0 {
			subnet(fmt.Sprintf("11.%d.%d.0/24", c.IntN(6), c.IntN(256)))(m)
		}
		x.query, rolled = pack(t, m), rolled[:0]
		x.reply = a.Answer(nil, x.query, x.from, 1232)
		if a.steered == nil {
			continue
		}
		x.snapshot, x.asked, x.decided = a.snapshot, a.asked, a.decided
		x.manner = a.manner != nil
		x.decided.Endpoints = slices.Clone(a.decided.Endpoints)
		x.dice = slices.Clone(rolled)
		generations[x.snapshot.Gen] = true
		log = append(log, x)
	}
	close(more)
	changing.Wait()
	if len(generations) < 100 { // a slow machine has fewer
		t.Errorf("only %d generations", len(generations))
	}

	c.Shuffle(total, func(i, j int) { log[i], log[j] = log[j], log[i] })
	var at *answered
	b := NewAnswerer(AnswererOptions{Snapshot: func() *registry.Snapshot { return at.snapshot }, Now: func() int64 { return at.now }, Dice: func() uint64 {
		next := at.dice[0]
		at.dice = at.dice[1:]
		return next
	}})
	scratch := &policy.Scratch{}
	empty, reasons := 0, map[policy.Reason]int{}
	for i := range log {
		at = &log[i]
		d := at.snapshot.Plan.Decide(scratch, at.asked, at.snapshot.Health)
		if at.manner { // scope and TTL are those of all services that were looked at
			d.TTL, d.Scope, d.Reason = at.decided.TTL, at.decided.Scope, at.decided.Reason
		}
		if !slices.Equal(d.Endpoints, at.decided.Endpoints) || d.TTL != at.decided.TTL || d.Scope != at.decided.Scope || d.Reason != at.decided.Reason || d.Tier != at.decided.Tier {
			t.Fatalf("answer %d: decided %+v, then %+v", i, at.decided, d)
		}
		if got := b.Answer(nil, at.query, at.from, 1232); !bytes.Equal(got, at.reply) {
			t.Fatalf("answer %d:\n%x\n%x", i, at.reply, got)
		}
		reasons[d.Reason]++
		if len(d.Endpoints) == 0 {
			empty++
		}
		if i%50 == 0 {
			replayRecord(t, at, h.anew(t, at.snapshot.Plan), scratch)
		}
	}
	if len(reasons) < 6 || empty == 0 || empty > total/2 {
		t.Errorf("the answers are too much alike: %v, %d without an endpoint", reasons, empty)
	}
}

// replayRecord writes the Record of an answer, reads it, and replays it by a Plan.
func replayRecord(t *testing.T, x *answered, by *policy.Plan, scratch *policy.Scratch) {
	t.Helper()
	text, err := json.Marshal(newRecord(x.snapshot, "name", dns.TypeA, x.asked, scratch))
	if err != nil {
		t.Fatal(err)
	}
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, id := range x.decided.Endpoints {
		names = append(names, x.snapshot.Plan.Endpoint(id).Name)
	}
	trace, same, err := r.Replay(by)
	if err != nil || !same || !slices.Equal(trace.Endpoints, names) || !slices.Equal(r.Endpoints, names) {
		t.Fatalf("%s: %v, replayed as %v", text, err, trace.Endpoints)
	}
}
