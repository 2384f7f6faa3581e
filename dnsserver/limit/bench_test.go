package limit

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// BenchmarkAllow is the cost of a query from one of many addresses, most of them within the limits.
func BenchmarkAllow(b *testing.B) {
	for _, bb := range []struct {
		name  string
		addrs int
		six   bool
	}{{"IPv4/1", 1, false}, {"IPv4/1000", 1000, false}, {"IPv4/1000000", 1_000_000, false}, {"IPv6/1", 1, true}, {"IPv6/1000000", 1_000_000, true}} {
		b.Run(bb.name, func(b *testing.B) {
			l := New(Config{Rate: 1000, Burst: 2000, Slots: 1 << 15, Key: testKey})
			dice := rand.New(rand.NewPCG(1, 2))
			addrs := make([]netip.Addr, bb.addrs)
			for i := range addrs {
				addrs[i] = randomAddr(dice, bb.six)
			}
			now := time.Duration(0)
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				l.Allow(addrs[i], 1, now)
				now += time.Microsecond
				if i++; i == len(addrs) {
					i = 0
				}
			}
		})
	}
}

// BenchmarkAllowLimited is the cost of a query beyond the limit.
func BenchmarkAllowLimited(b *testing.B) {
	l := New(Config{Rate: 1, Burst: 1, Slots: 1 << 15, Key: testKey})
	addr := netip.MustParseAddr("192.0.2.1")
	for b.Loop() {
		l.Allow(addr, 1, 0)
	}
}

func BenchmarkAllowParallel(b *testing.B) {
	l := New(Config{Rate: 1000, Burst: 2000, Slots: 1 << 15, Key: testKey})
	b.RunParallel(func(pb *testing.PB) {
		dice := rand.New(rand.NewPCG(rand.Uint64(), 2))
		now := time.Duration(0)
		for pb.Next() {
			l.Allow(randomAddr(dice, false), 1, now)
			now += time.Microsecond
		}
	})
}

var testKey = [16]byte{1, 2, 3}

func randomAddr(dice *rand.Rand, six bool) netip.Addr {
	if six {
		var a [16]byte
		binary.BigEndian.PutUint64(a[:8], dice.Uint64()|1<<61)
		binary.BigEndian.PutUint64(a[8:], dice.Uint64())
		return netip.AddrFrom16(a)
	}
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], dice.Uint32())
	return netip.AddrFrom4(a)
}
