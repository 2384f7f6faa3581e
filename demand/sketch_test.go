package demand

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
)

func key(i int) Key {
	return Key{Name: fmt.Sprintf("n%d.example", i%7), Type: "A", Client: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)}
}

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7/32": "192.0.2.0/24", "192.0.2.7/24": "192.0.2.0/24", "192.0.2.7/16": "192.0.0.0/16", "::ffff:192.0.2.7/128": "192.0.2.0/24",
		"2001:db8:1:2:3::1/128": "2001:db8:1::/56", "2001:db8::/32": "2001:db8::/32", "::ffff:192.0.2.0/120": "192.0.2.0/24",
	} {
		if got := Network(netip.MustParsePrefix(in)); got.String() != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if got := Network(netip.Prefix{}); got.IsValid() {
		t.Errorf("nobody is at %s", got)
	}
}

// TestExact: as long as there is room, all is exact, and rates are those of the time since the beginning.
func TestExact(t *testing.T) {
	s := NewSketch(100, 0, 1000)
	for i := range 50 {
		for range i + 1 {
			s.Add(key(i), 2, 1000, 0)
		}
	}
	r := s.Report(1010)
	if r.Queries != 50*51/10. || r.Window != 10 || r.Keys != 50 || r.Full || r.Since != 1000 {
		t.Fatalf("%+v", r.First(0))
	}
	for i, e := range r.Entries {
		k := key(49 - i)
		if want := (Entry{k.Name, k.Type, k.Client, float64(50-i) / 5}); e != want {
			t.Errorf("entry %d: %+v, want %+v", i, e, want)
		}
	}
	if got := r.First(3); len(got.Entries) != 3 || got.Queries != r.Queries {
		t.Errorf("%+v", got)
	}
	if got := r.OfName("n1.example"); len(got.Entries) != 7 || len(r.Entries) != 50 {
		t.Errorf("%d entries of one name", len(got.Entries))
	}
}

// TestDecay: a steady rate is that rate at any time, however long ago the beginning; what ends is gone after some hours.
func TestDecay(t *testing.T) {
	const hour = 3600
	s := NewSketch(10, hour, 0)
	for now := range int64(400 * hour) { // past several points where counts are made smaller
		s.Add(key(1), 5, now, 0)
		if now == 10 || now == hour || now == 399*hour {
			r := s.Report(now + 1)
			if e := r.Entries[0].Queries; math.Abs(e-5) > 0.01 || math.Abs(r.Queries-5) > 0.01 || r.Window > hour {
				t.Fatalf("after %d s: %v queries a second over %v s, want 5", now, e, r.Window)
			}
		}
	}
	before := s.Report(400 * hour).Queries
	for hours, share := range map[int64]float64{1: 1 / math.E, 5: math.Exp(-5)} {
		if got := s.Report((400+hours)*hour).Queries / before; math.Abs(got-share) > 0.001 {
			t.Errorf("%d hours later: a share of %v, want %v", hours, got, share)
		}
	}
}

// TestHeap: whatever is added, the Sketch keeps its order, finds its Keys, and its counts sum up to all that came.
func TestHeap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	s := NewSketch(64, 100, 0)
	for now := range int64(20_000) {
		s.Add(key(int(math.Abs(rnd.NormFloat64())*100)), 1+rnd.Float64(), now/4, rnd.Uint64())
		if now%500 != 0 {
			continue
		}
		sum := 0.0
		for i := range s.slots {
			sum += s.slots[i].n
			if s.at[s.slots[i].Key] != i || i > 0 && s.less(i, (i-1)/2) {
				t.Fatalf("slot %d after %d", i, now)
			}
		}
		if math.Abs(sum/s.total-1) > 1e-9 || len(s.at) != len(s.slots) || len(s.slots) > 64 {
			t.Fatalf("the sum is %v, the total %v; %d Keys", sum, s.total, len(s.at))
		}
	}
}

// TestUnbiased: a Sketch far too small for all clients has, on average, as many of each tenth of them as came, and has the largest client nearly
// exactly. Plain Space-Saving gives the tenth that asks last nearly all.
func TestUnbiased(t *testing.T) {
	const clients, rounds = 5000, 60
	var tenths [10]float64
	total := 0.0
	for round := range rounds {
		rnd := rand.New(rand.NewPCG(uint64(round), 3))
		s := NewSketch(200, 0, 0)
		for i := range clients { // one after the other: the worst order
			s.Add(key(i), 1, 0, rnd.Uint64())
			s.Add(Key{Name: "large"}, 0.5, 0, rnd.Uint64())
		}
		r := s.Report(1)
		for _, e := range r.Entries {
			if e.Name == "large" {
				if math.Abs(e.Queries/(clients/2)-1) > 0.02 {
					t.Errorf("the largest has %v of %v", e.Queries, clients/2)
				}
				continue
			}
			a := e.Client.Addr().As4()
			tenths[(int(a[1])<<8+int(a[2]))*10/clients] += e.Queries
		}
		total += r.Queries
	}
	if math.Abs(total/(rounds*1.5*clients)-1) > 1e-9 {
		t.Errorf("a total of %v", total)
	}
	for i, n := range tenths {
		if share := n / (rounds * clients); math.Abs(share-0.1) > 0.01 {
			t.Errorf("tenth %d has a share of %.4f", i, share)
		}
	}
}

// TestSameInSameOut: equal calls give equal Reports.
func TestSameInSameOut(t *testing.T) {
	fill := func() Report {
		rnd := rand.New(rand.NewPCG(7, 7))
		s := NewSketch(16, 60, 5)
		for now := range int64(1000) {
			s.Add(key(rnd.IntN(100)), 1, now, rnd.Uint64())
		}
		return s.Report(1000)
	}
	if a, b := fill(), fill(); !reflect.DeepEqual(a, b) {
		t.Error("two Reports of the same calls differ")
	}
}

func BenchmarkAdd(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 1))
	s := NewSketch(4096, 3600, 0)
	keys := make([]Key, 1<<14)
	for i := range keys {
		keys[i] = key(rnd.IntN(1 << 16))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Add(keys[i%len(keys)], 1, int64(i>>10), rnd.Uint64())
	}
}
