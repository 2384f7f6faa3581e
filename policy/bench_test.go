package policy

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// benchSpec has three sites, a service "three" with weights 1:2:7, a service "ten" over the three sites, and policies "wrr" (healthy,
// weighted, take 1) and "close" (healthy, geo nearest, weighted, take 1). networks of them are spread over IPv4 and IPv6.
func benchSpec(networks int) Spec {
	s := Spec{
		Sites: []SiteSpec{
			{Name: "eu", At: &Point{53.35, -6.26}}, {Name: "us", At: &Point{39.04, -77.49}}, {Name: "ap", At: &Point{19.08, 72.88}},
		},
		Services: []ServiceSpec{{Name: "three"}, {Name: "ten"}},
		Policies: []PolicySpec{
			{Name: "wrr", Stages: []StageSpec{Healthy{}, Weighted{}, Take{1}}},
			{Name: "close", Stages: []StageSpec{Healthy{}, Geo{Default: GeoTarget{Nearest: true}}, Weighted{}, Take{1}}},
			{Name: "full", Stages: []StageSpec{Healthy{}, Geo{Default: GeoTarget{Nearest: true}}, Failover{}, Weighted{}, Take{2}}},
			{Name: "sticky", Stages: []StageSpec{Healthy{}, Sticky{}, Take{1}}},
			{Name: "more", Stages: []StageSpec{Healthy{Threshold: 0.5}, Sticky{}, Shuffle{}, Weighted{Multi: true}, OnePer{SharedSubnet}}},
			{Name: "trial", Stages: []StageSpec{Healthy{}, Canary{Share: 0.1, Networks: prefixes("10.0.0.0/9 2001:db8::/32"), Sites: us}, Take{1}}},
			{Name: "ordered", Stages: []StageSpec{Healthy{}, Failover{Order: &Geo{Default: GeoTarget{Sites: []string{"ap", "eu"}}}}}},
			{Name: "grouped", Stages: []StageSpec{Healthy{}, Weighted{Grouped: true, By: SharedSubnet}, Weighted{Grouped: true}, Take{2}}},
			{Name: "shed", Stages: []StageSpec{Healthy{}, Geo{Default: GeoTarget{Nearest: true}}, Shed{0.5, 0.9}, Weighted{}, Take{1}}},
			{Name: "bounded", Stages: []StageSpec{Healthy{}, Sticky{Bound: 1.25}, Take{1}}},
			{Name: "fenced", Stages: []StageSpec{Healthy{}, Geo{Default: GeoTarget{Nearest: true, Within: 0.05, Limit: 2, Fence: true, Bias: []SiteBias{{"us", 50}}}}}},
			{Name: "tree", Stages: []StageSpec{Healthy{}, Failover{Branches: []Branch{ // three levels
				{Sites: []string{"eu", "us"}, Stages: []StageSpec{Weighted{Branches: []Branch{
					{Sites: []string{"eu"}, Weight: 80, Policy: "close"}, {Sites: []string{"us"}, Weight: 20, Policy: "close"}}}}},
				{Policy: "wrr"}}}}},
		},
	}
	for i, w := range []uint32{1, 2, 7} {
		s.Services[0].Endpoints = append(s.Services[0].Endpoints, benchEndpoint(i, w, ""))
	}
	for i := range 10 {
		s.Services[1].Endpoints = append(s.Services[1].Endpoints, benchEndpoint(i, uint32(i+1), s.Sites[i%3].Name))
	}
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[netip.Prefix]bool{}
	for len(s.Networks) < networks {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, r.Uint32()))), 12+r.IntN(13)).Masked()
		if len(s.Networks)%4 == 3 {
			b := [16]byte{0x20, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}
			p = netip.PrefixFrom(netip.AddrFrom16(b), 20+r.IntN(29)).Masked()
		}
		if !seen[p] {
			seen[p] = true
			s.Networks = append(s.Networks, NetworkSpec{Prefix: p, Site: s.Sites[r.IntN(3)].Name})
		}
	}
	return s
}

func benchEndpoint(i int, weight uint32, site string) EndpointSpec {
	return EndpointSpec{Name: fmt.Sprint("e", i), V4: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), Site: site, Weight: weight}
}

func benchDecide(b *testing.B, networks int, q Query, clients []netip.Prefix) {
	benchDecideOf(b, benchSpec(networks), q, clients)
}

func benchDecideOf(b *testing.B, spec Spec, q Query, clients []netip.Prefix) {
	p := mustCompile(b, spec)
	h := NewHealth(p.NumEndpoints())
	for id := range p.NumEndpoints() {
		h = h.With(EndpointID(id), Verdict{State: Up, TTL: 10})
	}
	var s Scratch
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		q.Dice += 0x9e3779b97f4a7c15
		q.Client = clients[i&(len(clients)-1)]
		i++
		if d := p.Decide(&s, q, h); len(d.Endpoints) == 0 {
			b.Fatal("no endpoint")
		}
	}
}

func randomClients(n int, v6 bool) []netip.Prefix {
	r := rand.New(rand.NewPCG(3, 4))
	list := make([]netip.Prefix, n)
	for i := range list {
		if v6 {
			b := [16]byte{0x20, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}
			list[i] = netip.PrefixFrom(netip.AddrFrom16(b), 56)
		} else {
			list[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, r.Uint32()))), 24).Masked()
		}
	}
	return list
}

func BenchmarkDecideWeighted3(b *testing.B) {
	benchDecide(b, 0, Query{Service: 0, Policy: 0, Family: FamilyV4}, randomClients(1, false))
}

func BenchmarkDecideGeoWeighted10(b *testing.B) {
	benchDecide(b, 16, Query{Service: 1, Policy: 1, Family: FamilyV4}, randomClients(1, false))
}

func BenchmarkDecideGeoFailoverTake2Of10(b *testing.B) {
	benchDecide(b, 16, Query{Service: 1, Policy: 2, Family: FamilyV4}, randomClients(1, false))
}

func BenchmarkDecideWantAll10(b *testing.B) {
	benchDecide(b, 16, Query{Service: 1, Policy: 1, Want: 10, From: 1}, randomClients(1, false))
}

func BenchmarkDecideGeo500kNetworksV4(b *testing.B) {
	benchDecide(b, 500_000, Query{Service: 1, Policy: 1, Family: FamilyV4}, randomClients(1<<16, false))
}

func BenchmarkDecideGeo500kNetworksV6(b *testing.B) {
	benchDecide(b, 500_000, Query{Service: 1, Policy: 1, Family: FamilyV4}, randomClients(1<<16, true))
}

// BenchmarkDecideOfMany is BenchmarkDecideGeoWeighted10 in a Plan with 10,000 endpoints and 1,000 policies besides.
func BenchmarkDecideOfMany(b *testing.B) {
	s := benchSpec(16)
	for i := range 1000 {
		svc := ServiceSpec{Name: fmt.Sprint("other", i)}
		for k := range 10 {
			svc.Endpoints = append(svc.Endpoints, benchEndpoint(k, 1, s.Sites[k%3].Name))
		}
		s.Services = append(s.Services, svc)
		s.Policies = append(s.Policies, PolicySpec{Name: fmt.Sprint("other", i), Stages: s.Policies[1].Stages})
	}
	benchDecideOf(b, s, Query{Service: 1, Policy: 1, Family: FamilyV4}, randomClients(1, false))
}

func BenchmarkCompile500kNetworks(b *testing.B) {
	s := benchSpec(500_000)
	b.ReportAllocs()
	for b.Loop() {
		mustCompile(b, s)
	}
}

// BenchmarkCompileManySets has 1,000 services, each at its own set of 10 sites, over 500,000 networks.
func BenchmarkCompileManySets(b *testing.B) {
	s := manySets(500_000)
	b.ReportAllocs()
	for b.Loop() {
		mustCompile(b, s)
	}
}

func manySets(networks int) Spec {
	s := benchSpec(networks)
	for i := range 7 {
		s.Sites = append(s.Sites, SiteSpec{Name: fmt.Sprint("s", i), At: &Point{float64(10 * i), float64(20 * i)}})
	}
	for set := 1; set <= 1000; set++ {
		svc := ServiceSpec{Name: fmt.Sprint("set", set)}
		for i, site := range s.Sites {
			if set>>i&1 == 1 {
				svc.Endpoints = append(svc.Endpoints, benchEndpoint(i, 1, site.Name))
			}
		}
		s.Services = append(s.Services, svc)
	}
	for i := range s.Networks {
		s.Networks[i].Site = s.Sites[i*7919%len(s.Sites)].Name
	}
	return s
}

func BenchmarkHealthWith100k(b *testing.B) {
	h := NewHealth(100_000)
	b.ReportAllocs()
	i := EndpointID(0)
	for b.Loop() {
		h = h.With(i%100_000, Verdict{State: Up, TTL: uint32(i)})
		i++
	}
}

// BenchmarkDecideTree is a tree of three levels over 100 endpoints.
func BenchmarkDecideTree(b *testing.B) {
	spec := benchSpec(100_000)
	spec.Services[1].Endpoints = nil
	for i := range 100 {
		spec.Services[1].Endpoints = append(spec.Services[1].Endpoints, benchEndpoint(i, uint32(i%7+1), spec.Sites[i%3].Name))
	}
	benchDecideOf(b, spec, Query{Service: 1, Policy: 11}, randomClients(1<<12, false))
}

// BenchmarkDecideSticky picks one of ten endpoints by the client's key.
func BenchmarkDecideSticky(b *testing.B) {
	benchDecide(b, 0, Query{Service: 1, Policy: 3, Key: 1}, randomClients(1, false))
}
