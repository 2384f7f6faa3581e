package policy

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// mustCompile compiles a Spec that has no problems.
func mustCompile(tb testing.TB, s Spec) *Plan {
	tb.Helper()
	p, problems := Compile(s)
	if len(problems) > 0 {
		tb.Fatalf("problems: %v", problems)
	}
	return p
}

// chances is where random Specs come from: a *rand.Rand, or the bytes of a fuzzer.
type chances interface{ IntN(n int) int }

// fuzzBytes are chances taken from bytes, 0 when they run out.
type fuzzBytes struct{ left []byte }

func (b *fuzzBytes) IntN(n int) int {
	v := 0
	for range 2 {
		if len(b.left) > 0 {
			v = v<<8 | int(b.left[0])
			b.left = b.left[1:]
		}
	}
	return v % n
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x6d657269)) }

// randomSpec makes a Spec that compiles: few sites, some without coordinates, some in one place; networks that nest and touch;
// endpoints of all families and weights; chains of all stages.
func randomSpec(c chances) Spec {
	var s Spec
	for i := range 1 + c.IntN(5) {
		site := SiteSpec{Name: fmt.Sprint("s", i), Region: []string{"", "east", "west"}[c.IntN(3)]}
		if i == 0 || c.IntN(4) > 0 {
			site.At = randomPoint(c)
		}
		s.Sites = append(s.Sites, site)
	}
	seen := map[netip.Prefix]bool{}
	for range c.IntN(12) {
		p := randomPrefix(c)
		if seen[p] {
			continue
		}
		seen[p] = true
		n := NetworkSpec{Prefix: p}
		switch c.IntN(4) {
		case 0:
			n.At = randomPoint(c)
		case 1:
			n.Region = []string{"east", "west"}[c.IntN(2)]
		case 2:
			n.Site, n.Region = s.Sites[c.IntN(len(s.Sites))].Name, "east"
		default:
			n.Site = s.Sites[c.IntN(len(s.Sites))].Name
		}
		s.Networks = append(s.Networks, n)
	}
	randomGeoData(c, &s)
	randomLatency(c, &s)
	for i := range 1 + c.IntN(2) {
		svc := ServiceSpec{Name: fmt.Sprint("svc", i)}
		for k := range c.IntN(10) {
			svc.Endpoints = append(svc.Endpoints, randomEndpoint(c, s.Sites, k))
		}
		s.Services = append(s.Services, svc)
	}
	for i := range 1 + c.IntN(2) {
		s.Policies = append(s.Policies, PolicySpec{Name: fmt.Sprint("p", i), Stages: randomStages(c, s, 2)})
	}
	return s
}

func randomPoint(c chances) *Point {
	return &[]Point{{0, 0}, {0, 90}, {45, 0}, {-45, 0}, {53.35, -6.26}, {39.04, -77.49}, {19.08, 72.88}}[c.IntN(7)]
}

// randomPrefix returns one of few prefixes, so that they nest, touch and repeat.
func randomPrefix(c chances) netip.Prefix {
	a := randomAddr(c)
	lengths := []int{0, 1, 3, 8, 9, 12, 16, 23, 24, 30, 31, 32, 48, 63, 64, 65, 112, 120, 126, 127, 128}
	if a.Is4() {
		lengths = lengths[:12]
	}
	return netip.PrefixFrom(a, lengths[c.IntN(len(lengths))]).Masked()
}

// randomAddr returns an address from a small corner of either family.
func randomAddr(c chances) netip.Addr {
	v := uint32([]int{0, 0x0a000000, 0x0a010000, 0xc0000200, 0xffffff00}[c.IntN(5)] + []int{0, 1, 2, 3, 0x80, 0xff, 0x7fff}[c.IntN(7)])
	if c.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, v)))
	}
	b := make([]byte, 0, 16)
	b = binary.BigEndian.AppendUint32(b, v|0x20000000)
	b = append(b, make([]byte, 3)...)
	b = append(b, byte(c.IntN(3)))
	b = append(b, make([]byte, 6)...)
	b = append(b, byte(c.IntN(2)), byte(c.IntN(3)))
	return netip.AddrFrom16([16]byte(b))
}

func randomEndpoint(c chances, sites []SiteSpec, k int) EndpointSpec {
	e := EndpointSpec{Name: fmt.Sprint("e", k), Weight: uint32([]int{0, 1, 1, 1, 2, 7, 50, MaxWeight}[c.IntN(8)])}
	if c.IntN(6) > 0 {
		e.Site = sites[c.IntN(len(sites))].Name
	}
	family := c.IntN(4)
	switch c.IntN(8) {
	case 0:
		e.Host = "h.example"
		return e
	case 1:
		e.Text = "t"
		return e
	case 2:
		e.Host, e.Text, e.ALPN = "h.example.", "t", []string{"h2"}
	case 3:
		e.Host, e.Port = "h.example", 443
	}
	if family != 0 {
		e.V4 = netip.AddrFrom4([4]byte{192, 0, byte(k % 3), byte(k + 1)})
	}
	if family != 1 {
		e.V6 = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(k + 1)})
	}
	return e
}

// randomStages makes a chain, with branches down to a depth. A branch may refer to a policy that the Spec has already.
func randomStages(c chances, s Spec, depth int) []StageSpec {
	var stages []StageSpec
	ranked := 0
	for range 1 + c.IntN(6) {
		switch k := c.IntN(12); {
		case k == 0 && ranked < 3 && depth == 2: // a stage inside ranks too, and there is a limit to how often
			stages = append(stages, randomGeo(c, s))
			ranked++
		case k == 11 && ranked < 3 && depth == 2 && c.IntN(3) == 0:
			stages = append(stages, randomLatencyStage(c))
			ranked++
		case k == 1 || k == 2:
			f := Failover{Threshold: []float64{0, 0.1, 0.5, 1}[c.IntN(4)], Trickle: []float64{0, 0, 0.01, 0.5}[c.IntN(4)]}
			if ranked == 0 || c.IntN(2) == 0 {
				f.Sites = randomSites(c, s)
			}
			if c.IntN(3) == 0 {
				f.Sites, f.Order = nil, randomOrder(c, s)
			}
			stages = append(stages, f)
		case k == 3:
			stages = append(stages, Take{1 + c.IntN(4)})
		case k == 4:
			stages = append(stages, []StageSpec{Weighted{}, Weighted{Multi: true}, Weighted{Grouped: true}, Weighted{Grouped: true, By: SharedSubnet}}[c.IntN(4)])
		case k == 5:
			stages = append(stages, Shuffle{})
		case k == 6:
			stages = append(stages, Sticky{Bound: []float64{0, 0, 1.001, 1.25}[c.IntN(4)]})
		case k == 7:
			stages = append(stages, OnePer{Shared(c.IntN(2))})
		case k == 11 && c.IntN(5) == 0:
			stages = append(stages, randomSchedule(c, s))
		case k == 11 && c.IntN(2) == 0:
			stages = append(stages, []Shed{{0.5, 0.9}, {0, 1}, {0.001, 0.002}, {0.3, 0.301}}[c.IntN(4)])
		case k == 11 && c.IntN(3) == 0:
			st := Canary{Share: []float64{0, 0.05, 0.5, 1}[c.IntN(4)], Sites: randomSites(c, s)}
			for range c.IntN(4) {
				if p := randomPrefix(c); !slices.Contains(st.Networks, p) {
					st.Networks = append(st.Networks, p)
				}
			}
			stages = append(stages, st)
		case k == 8:
			stages = append(stages, []Healthy{{Threshold: 0.5}, {Min: 2}, {Threshold: 1, Min: 1}, {Closed: true}}[c.IntN(4)])
		case k == 9 && depth > 0:
			stages = append(stages, Failover{Branches: randomBranches(c, s, depth-1)})
		case k == 10 && depth > 0:
			stages = append(stages, Weighted{Branches: randomBranches(c, s, depth-1)})
		default:
			stages = append(stages, Healthy{})
		}
	}
	return stages
}

// randomSchedule has windows that do not fill a day, in a zone without summer time, so that each opening and closing can be seen.
func randomSchedule(c chances, s Spec) Schedule {
	var st Schedule
	if c.IntN(2) == 0 {
		st.Zone = time.FixedZone("", 3600*(c.IntN(23)-11)+1800)
	}
	for range 1 + c.IntN(3) {
		from := c.IntN(24 * 60)
		st.Windows = append(st.Windows, Window{Days: uint8(c.IntN(128)), From: from, To: (from + 1 + c.IntN(24*60-1)) % (24 * 60), Sites: randomSites(c, s)})
	}
	return st
}

func randomBranches(c chances, s Spec, depth int) []Branch {
	var list []Branch
	for range 1 + c.IntN(3) {
		b := Branch{Weight: uint32(c.IntN(4))}
		if c.IntN(3) > 0 {
			b.Sites = randomSites(c, s)
		}
		if len(s.Policies) > 0 && c.IntN(3) == 0 && !ranks(s, s.Policies[0].Stages) {
			b.Policy = s.Policies[0].Name
		} else if b.Stages = randomStages(c, s, depth); c.IntN(2) == 0 && depth == 1 {
			b.Stages = append([]StageSpec{randomGeo(c, s)}, b.Stages...)
		}
		list = append(list, b)
	}
	return list
}

// ranks reports whether a chain has a geo stage.
func ranks(s Spec, stages []StageSpec) bool {
	return slices.ContainsFunc(stages, func(stage StageSpec) bool {
		switch stage.(type) {
		case Geo, Latency:
			return true
		}
		return slices.ContainsFunc(branchesOf(stage), func(b Branch) bool { return ranks(s, branchStages(s, b)) })
	})
}

func randomSites(c chances, s Spec) []string {
	var names []string
	for range 1 + c.IntN(len(s.Sites)) {
		if name := s.Sites[c.IntN(len(s.Sites))].Name; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func randomGeo(c chances, s Spec) Geo {
	target := func() GeoTarget {
		if c.IntN(2) == 0 {
			return GeoTarget{Sites: randomSites(c, s), Fence: c.IntN(4) == 0}
		}
		to := GeoTarget{Nearest: true, Within: []float64{0, 0, 0.05, 1}[c.IntN(4)]}
		if c.IntN(3) == 0 {
			to.Limit, to.Fence = 1+c.IntN(3), c.IntN(2) == 0
		}
		for _, x := range s.Sites {
			if x.At != nil && c.IntN(6) == 0 {
				to.Bias = append(to.Bias, SiteBias{x.Name, c.IntN(199) - 99})
			}
		}
		return to
	}
	g := Geo{Default: target()}
	seen := map[netip.Prefix]bool{}
	for range c.IntN(4) {
		if p := randomPrefix(c); !seen[p] {
			seen[p] = true
			g.Rules = append(g.Rules, GeoRule{Prefix: p, To: target()})
		}
	}
	for _, region := range databaseRegions(s) {
		if c.IntN(4) == 0 {
			g.Rules = append(g.Rules, GeoRule{Region: region, To: target()})
		}
	}
	for _, region := range []string{"east", "west"} {
		used := slices.ContainsFunc(s.Sites, func(x SiteSpec) bool { return x.Region == region }) ||
			slices.ContainsFunc(s.Networks, func(x NetworkSpec) bool { return x.Region == region })
		if used && c.IntN(2) == 0 {
			g.Rules = append(g.Rules, GeoRule{Region: region, To: target()})
		}
	}
	return g
}

func randomLatencyStage(c chances) Latency {
	return Latency{Within: []Margin{{}, {Share: 0.1}, {Time: 5 * time.Millisecond}, {1, time.Millisecond}}[c.IntN(4)]}
}

// randomLatency adds a table of round-trip times, some prefixes with one that is not the fastest in front.
func randomLatency(c chances, s *Spec) {
	seen := map[netip.Prefix]bool{}
	for range c.IntN(8) {
		l := LatencySpec{Prefix: randomPrefix(c)}
		for _, name := range randomSites(c, *s) {
			l.Times = append(l.Times, SiteTime{name, time.Duration([]int{0, 1000, 10_000, 10_900, 11_000, 11_001, 15_000, 60_000_000}[c.IntN(8)]) * time.Microsecond})
		}
		if c.IntN(3) == 0 {
			l.Best = l.Times[c.IntN(len(l.Times))].Site
		}
		if !seen[l.Prefix] {
			s.Latency = append(s.Latency, l)
		}
		seen[l.Prefix] = true
	}
}

// randomOrder is one for a failover stage.
func randomOrder(c chances, s Spec) *Geo {
	g := randomGeo(c, s)
	g.Default.Limit, g.Default.Fence = 0, false
	for i := range g.Rules {
		g.Rules[i].To.Limit, g.Rules[i].To.Fence = 0, false
	}
	return &g
}

// randomQuery asks anything of a Plan.
func randomQuery(c chances, p *Plan) Query {
	q := Query{
		Service: ServiceID(c.IntN(p.NumServices())),
		Policy:  PolicyID(c.IntN(p.NumPolicies())),
		Family:  Family(c.IntN(numFamilies)),
		Dice:    uint64(c.IntN(1<<16)) * 0x9e3779b97f4a7c15,
		Key:     uint64(c.IntN(1<<16)) * 0xd6e8feb86659fd93,
		Now:     1_800_000_000 + int64(c.IntN(1<<16))*37,
	}
	if c.IntN(8) > 0 {
		a := randomAddr(c)
		q.Client = netip.PrefixFrom(a, a.BitLen())
		if c.IntN(2) == 0 {
			q.Client = netip.PrefixFrom(a, c.IntN(a.BitLen()+1))
		}
		if a.Is4() && c.IntN(4) == 0 {
			q.Client = netip.PrefixFrom(netip.AddrFrom16(a.As16()), 96+q.Client.Bits())
		}
	}
	if c.IntN(5) == 0 {
		q.From = SiteID(c.IntN(p.NumSites() + 1))
	}
	if c.IntN(3) == 0 {
		q.Want = 1 + c.IntN(5)
	}
	q.Joint = c.IntN(4) == 0
	if c.IntN(3) == 0 {
		q.Short = Shortage(c.IntN(4))
	}
	return q
}

// randomHealth believes anything of the endpoints of a Plan, now and then the same of all.
func randomHealth(c chances, p *Plan) Health {
	h := NewHealth(p.NumEndpoints())
	whole := c.IntN(8)
	for id := range p.NumEndpoints() {
		v := Verdict{State: State(c.IntN(4)), Forced: c.IntN(3) == 0, TTL: uint32(c.IntN(3) * 5), Load: Load([]int{0, 1, 300, 600, 700, 899, 900, 5000}[c.IntN(8)])}
		switch whole {
		case 0:
			v.State = Down
		case 1:
			v.State = Drained
		case 2:
			v.State = Up
		case 3:
			v.State = Down + State(c.IntN(2))
		}
		h = h.With(EndpointID(id), v)
	}
	return h
}
