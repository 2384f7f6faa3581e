package policy

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
)

// citySpec is a Spec of eight sites, and of a database with as many networks and places as a City database has: two thirds of IPv4, neighbours at
// different places, which is harder than life.
func citySpec(tb testing.TB, networks int) Spec {
	r := rand.New(rand.NewPCG(1, 2))
	b := NewTable("city")
	ids := make([]uint32, networks*6/100)
	for i := range ids {
		c := i % 240
		var err error
		if ids[i], err = b.Place(PlaceSpec{City: fmt.Sprint("City ", i/3), Subdivision: fmt.Sprint("S", i%4000), Country: string([]byte{'A' + byte(c/26), 'A' + byte(c%26)}),
			Continent: []string{"EU", "NA", "OC"}[c%3], Located: true, At: Point{r.Float64()*140 - 60, float64(c)*1.4 - 175 + r.Float64()*10}, Radius: float32(1 + r.IntN(900))}); err != nil {
			tb.Fatal(err)
		}
	}
	add := func(a netip.Addr, bits int) {
		if err := b.Add(netip.PrefixFrom(a, bits), ids[r.IntN(len(ids))]); err != nil {
			tb.Fatal(err)
		}
	}
	n := 0
	for at := uint64(1) << 24; n < networks*2/3 && at < 224<<24; n++ {
		bits := 20 + r.IntN(9)
		size := uint64(1) << (32 - bits)
		at = (at + size - 1) &^ (size - 1)
		add(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(at)))), bits)
		at += size
	}
	for i := uint64(0); n < networks; i, n = i+1, n+1 {
		add(u128{0x2001_0000_0000_0000 + i<<16, 0}.addr(false), 48)
	}
	s := Spec{Tables: []*NetworkTable{b.Table()}}
	svc := ServiceSpec{Name: "web"}
	for i, at := range []Point{{53.35, -6.26}, {50.11, 8.68}, {39.04, -77.49}, {37.35, -121.95}, {19.08, 72.88}, {35.68, 139.69}, {-23.55, -46.63}, {-33.92, 18.42}} {
		name := fmt.Sprint("s", i)
		s.Sites = append(s.Sites, SiteSpec{Name: name, At: &at})
		svc.Endpoints = append(svc.Endpoints, benchEndpoint(i, 1, name))
	}
	s.Services = []ServiceSpec{svc}
	s.Policies = []PolicySpec{{Name: "p", Stages: []StageSpec{Healthy{}, Geo{
		Rules:   []GeoRule{{Region: "AB", To: GeoTarget{Sites: []string{"s1"}}}, {Region: "CD/S55", To: GeoTarget{Sites: []string{"s2"}}}},
		Default: GeoTarget{Nearest: true},
	}, Take{1}}}}
	return s
}

func BenchmarkCompileDatabase5M(b *testing.B) {
	s := citySpec(b, 5_000_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var p *Plan
	for b.Loop() {
		p = mustCompile(b, s)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(before.HeapAlloc)/1e6, "MB-table")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-plan")
	b.ReportMetric(float64(len(p.places)), "places")
	b.ReportMetric(float64(len(p.stages[0].atlas.v4.starts)+len(p.stages[0].atlas.v6.starts)), "ranges")
}

// BenchmarkLocate5M finds the outcome of random clients, and that with the scope, beside what one access to memory takes on this machine at this time: no
// search among so much can do without.
func BenchmarkLocate5M(b *testing.B) {
	p := mustCompile(b, citySpec(b, 5_000_000))
	g := p.stages[0]
	b.Run("memory", func(b *testing.B) {
		next := make([]uint32, 1<<25) // 128 MB
		for i := range next {
			next[i] = uint32(i) * 7
		}
		at, was := uint32(1), uint32(0)
		for b.Loop() {
			at = at*1664525 + 1013904223 // of full period, and the next address hangs on what was read
			was = next[(at^was>>31)>>7]
		}
		runtime.KeepAlive(was)
	})
	for family, v6 := range map[string]bool{"v4": false, "v6": true} {
		r := rand.New(rand.NewPCG(3, 4))
		clients := make([]client, 1<<16)
		for i := range clients {
			a := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, r.Uint32())))
			if v6 {
				a = u128{0x2001_0000_0000_0000 + uint64(r.IntN(1_700_000))<<16 + r.Uint64()&0xffff, r.Uint64()}.addr(false)
			}
			clients[i].set(&Query{Client: netip.PrefixFrom(a, a.BitLen())})
		}
		b.Run(family, func(b *testing.B) {
			sum, i := uint32(0), 0
			for b.Loop() {
				o, _ := g.locate(&clients[i&(1<<16-1)], everywhere)
				sum += o
				i++
			}
			runtime.KeepAlive(sum)
		})
		b.Run(family+"-scope", func(b *testing.B) {
			v := p.views[len(p.views)-1][g.position]
			sum, i := uint32(0), 0
			for b.Loop() {
				o, scope := g.locate(&clients[i&(1<<16-1)], v)
				sum += o + uint32(scope)
				i++
			}
			runtime.KeepAlive(sum)
		})
	}
}
