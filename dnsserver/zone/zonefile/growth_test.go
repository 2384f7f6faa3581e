package zonefile

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// zoneText writes a zone file of so many names as zones of hosting companies have them: most own one A, some more.
func zoneText(names int) []byte {
	var b strings.Builder
	b.WriteString("$TTL 300\n@ SOA ns hostmaster ( 1 1h 10m 1w 1m )\n@ NS ns\n@ MX 10 mail\nns A 192.0.2.53\nmail A 192.0.2.25\nmail AAAA 2001:db8::25\n")
	for i := range names - 3 {
		switch i % 20 {
		case 7:
			fmt.Fprintf(&b, "host-%d\tCNAME\thost-%d\n", i, i-1)
		case 13:
			fmt.Fprintf(&b, "host-%d\tTXT\t\"v=spf1 -all\"\n", i)
		default:
			fmt.Fprintf(&b, "host-%d\tIN\tA\t192.0.%d.%d\n", i, i>>8&255, i&255)
		}
	}
	return []byte(b.String())
}

// steeredText writes a zone file of so many names, of which all but the zone itself and its server are steered, in fifty ways.
func steeredText(names int) []byte {
	var b strings.Builder
	b.WriteString("$TTL 300\n@ SOA ns hostmaster ( 1 1h 10m 1w 1m )\n@ NS ns\nns A 192.0.2.53\n")
	for i := range names - 2 {
		fmt.Fprintf(&b, "host-%d\tIN\tDYNA\tservice-%d!close-by\n", i, i%50)
	}
	return []byte(b.String())
}

// load parses and compiles so many zones of so many names each. All read the same text.
func load(t testing.TB, zones, names int, text func(names int) []byte) ([]zone.Spec, *zone.Set) {
	t.Helper()
	var fsys fs.FS = fstest.MapFS{"z": &fstest.MapFile{Data: text(names)}}
	specs := make([]zone.Spec, zones)
	for i := range specs {
		apex := fmt.Sprintf("zone-%d.example", i)
		rrs, _, problems := Parse(Source{FS: fsys, Name: "z", Origin: name(t, apex)})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		specs[i] = zone.Spec{Name: apex, File: "z", RRs: rrs}
	}
	set, problems := zone.Compile(specs, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return specs, set
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A name, static or steered, costs less than 230 bytes in all, Specs and Set together, however many zones there are.
func TestBytesPerName(t *testing.T) {
	const bound = 230
	for _, c := range []struct {
		zones, names int
		text         func(names int) []byte
	}{{50, 1000, zoneText}, {1, 50_000, zoneText}, {50, 1000, steeredText}, {1, 50_000, steeredText}} {
		before := heap()
		specs, set := load(t, c.zones, c.names, c.text)
		after := heap()
		if per := float64(after-before) / float64(c.zones*c.names); per > bound {
			t.Errorf("%d zones of %d names: %.0f bytes a name, want at most %d", c.zones, c.names, per, bound)
		} else {
			t.Logf("%d zones of %d names: %.0f bytes a name", c.zones, c.names, per)
		}
		runtime.KeepAlive(specs)
		runtime.KeepAlive(set)
	}
}

// BenchmarkLoad loads a million names in 1,000 zones, and in one. It reports the peak of the whole process, so run each alone.
func BenchmarkLoad(b *testing.B) {
	for _, zones := range []int{1000, 1} {
		b.Run(fmt.Sprintf("1M-names-%d-zones", zones), func(b *testing.B) {
			for b.Loop() {
				start := time.Now()
				specs, set := load(b, zones, 1_000_000/zones, zoneText)
				b.ReportMetric(time.Since(start).Seconds(), "s/load")
				b.ReportMetric(float64(peak()), "peak-MB")
				b.ReportMetric(float64(heap())/1e6, "heap-B/name")
				runtime.KeepAlive(specs)
				runtime.KeepAlive(set)
			}
		})
	}
}

// peak returns the most memory that the process ever had resident, in MB; 0 where that is not known.
func peak() int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kB, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				return 0
			}
			return kB / 1000
		}
	}
	return 0
}

// BenchmarkLookup looks up a few hot names among a million and among ten: the difference is what growth costs.
func BenchmarkLookup(b *testing.B) {
	for _, c := range []struct{ zones, names int }{{1, 13}, {1000, 1000}} {
		_, set := load(b, c.zones, c.names, zoneText)
		for _, spread := range []int{10, c.zones * c.names} {
			var names []wire.Name
			for i := range min(1<<16, spread) {
				n := i * 7919 % spread
				if spread == 10 {
					n = i
				}
				names = append(names, name(b, fmt.Sprintf("host-%d.zone-%d.example", n/c.zones%(c.names-3), n%c.zones)))
			}
			b.Run(fmt.Sprintf("%d-names-%d-asked", c.zones*c.names, len(names)), func(b *testing.B) {
				b.ReportAllocs()
				sum := 0
				for i := 0; b.Loop(); i++ {
					if m := set.Lookup(names[i%len(names)], wire.TypeA); m.Set != nil {
						sum += int(m.Set.RData[0][0])
					}
				}
			})
		}
	}
}
