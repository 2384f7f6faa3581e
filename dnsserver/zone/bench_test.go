package zone

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// bigSet has names spread over zones; half of them steered, some below empty non-terminals, one wildcard and one delegation a zone.
func bigSet(t testing.TB, names, zones int) *Set {
	t.Helper()
	specs := make([]Spec, zones)
	for i := range specs {
		specs[i] = zoneOf(fmt.Sprintf("zone%d.example", i), "*.wild A 192.0.2.1", "sub NS ns.sub", "ns.sub A 192.0.2.2")
	}
	for i := range names {
		r := RecordSpec{Owner: fmt.Sprintf("host%d", i)}
		if i%10 == 0 {
			r.Owner += ".deep"
		}
		if i%2 == 0 {
			r.Steer = &SteerSpec{Service: "web", Policy: "close-by"}
		} else {
			r.Static = []StaticSpec{{"A", []string{"192.0.2.3"}}}
		}
		z := &specs[i%zones]
		z.Records = append(z.Records, r)
	}
	return compile(t, specs...)
}

// questions returns names of a kind that are in bigSet(names, zones), so many that the processor's caches do not hold them all.
func questions(t testing.TB, pattern string, names, zones int) []wire.Name {
	out := make([]wire.Name, 1<<14)
	for i := range out {
		n := i * 7919 % names
		deep := ""
		if n%10 == 0 {
			deep = ".deep"
		}
		out[i] = mustName(t, fmt.Sprintf(pattern, n, deep, n%zones))
	}
	return out
}

var benchmarkQuestions = []struct {
	name, pattern string
	kind          []Kind
}{
	{"hit", "host%d%s.zone%d.example", []Kind{Steered, Answer}},
	{"wildcard", "host%d.wild%.0s.zone%d.example", []Kind{Answer}},
	{"nxdomain", "nohost%d%s.zone%d.example", []Kind{NXDomain}},
	{"referral", "host%d%s.sub.zone%d.example", []Kind{Referral}},
	{"refused", "host%d%s.zone%d.test", []Kind{NotAuth}},
	{"long-nxdomain", "%d.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.a.b.c.d.e.f%s.zone%d.example", []Kind{NXDomain}},
}

func TestLookupAllocates(t *testing.T) {
	s := bigSet(t, 1000, 10)
	for _, q := range benchmarkQuestions {
		for _, name := range questions(t, q.pattern, 1000, 10)[:20] {
			kind := s.Lookup(name, wire.TypeA).Kind
			if kind != q.kind[0] && kind != q.kind[len(q.kind)-1] {
				t.Errorf("%s: %s is %v", q.name, name, kind)
			}
			if n := testing.AllocsPerRun(10, func() { s.Lookup(name, wire.TypeA) }); n != 0 {
				t.Errorf("%s: Lookup allocates %v times", q.name, n)
			}
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, size := range []struct{ names, zones int }{{10, 1}, {100_000, 1}, {100_000, 1000}} {
		s := bigSet(b, size.names, size.zones)
		for _, q := range benchmarkQuestions {
			names := questions(b, q.pattern, size.names, size.zones)
			b.Run(fmt.Sprintf("%s/%d-names-%d-zones", q.name, size.names, size.zones), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					s.Lookup(names[i&(len(names)-1)], wire.TypeA)
				}
			})
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	const names = 20_000
	b.ReportAllocs()
	var s *Set
	for b.Loop() {
		s = bigSet(b, names, 20)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/names, "ns/name")
	runtime.GC()
	var with, without runtime.MemStats
	runtime.ReadMemStats(&with)
	runtime.KeepAlive(s)
	s = nil
	runtime.GC()
	runtime.ReadMemStats(&without)
	b.ReportMetric(float64(with.HeapAlloc-without.HeapAlloc)/names, "heap-B/name")
}

// The table must stay short of probes whatever the names are.
func TestTableProbes(t *testing.T) {
	for _, pattern := range []string{"host%d.example", "%d", "a.%d.b.c.d.example", "%08x.deep.example", "very-long-label-before-the-number-%d.example"} {
		const n = 50_000
		tab := newTable(n)
		names := make([]wire.Name, n)
		for i := range names {
			names[i] = mustName(t, fmt.Sprintf(pattern, i))
			tab.insert(hashName(names[i]), i)
		}
		probes, wrong := 0, 0
		for i, name := range names {
			for pos, at, ok := tab.next(hashName(name), 0); ; pos, at, ok = tab.next(hashName(name), at) {
				if !ok {
					t.Fatalf("%s is not in the table", name)
				}
				if pos == i {
					probes += int(at)
					break
				}
				wrong++
			}
		}
		if mean := float64(probes) / n; mean > 1.8 || wrong > 5 {
			t.Errorf("%s: %.2f probes a name, %d false candidates", pattern, mean, wrong)
		}
	}
	empty := newTable(0)
	if _, _, ok := empty.next(1, 0); ok {
		t.Error("an empty table has something")
	}
}

// A node or a set that outgrew its cache line would cost a miss more on every lookup among many names.
func TestNodesAndSetsFillOneCacheLine(t *testing.T) {
	if size := unsafe.Sizeof(node{}); size != 64 {
		t.Errorf("a node takes %d bytes, want 64", size)
	}
	if size := unsafe.Sizeof(set{}); size != 64 {
		t.Errorf("a set takes %d bytes, want 64", size)
	}
}
