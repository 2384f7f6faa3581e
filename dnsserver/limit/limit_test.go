package limit

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// allowed returns how many of n queries from an address at one moment are within the limits.
func allowed(l *Limiter, addr string, n int, now time.Duration) int {
	count := 0
	for range n {
		if l.Allow(netip.MustParseAddr(addr), 1, now) {
			count++
		}
	}
	return count
}

func testLimiter(rate, burst int) *Limiter {
	return New(Config{Rate: rate, Burst: burst, Slots: 1 << 14, Key: testKey})
}

func TestRateAndBurst(t *testing.T) {
	l := testLimiter(100, 250)
	for _, step := range []struct {
		now  time.Duration
		want int
	}{
		{0, 250}, {0, 0}, {9 * time.Millisecond, 0}, {10 * time.Millisecond, 1}, {20 * time.Millisecond, 1}, {time.Second, 98},
		{2 * time.Second, 100}, {10 * time.Second, 250}, {time.Hour, 250},
	} {
		if got := allowed(l, "192.0.2.1", 1000, step.now); got != step.want {
			t.Errorf("%v: %d allowed, want %d", step.now, got, step.want)
		}
	}
	if got := allowed(l, "192.0.2.2", 1000, time.Hour); got != 250 {
		t.Errorf("another address: %d allowed, want 250", got)
	}
}

// TestNetworks sends from ever new addresses of one network.
func TestNetworks(t *testing.T) {
	const burst = 20
	for _, tt := range []struct {
		network string
		times   int
	}{
		{"192.0.2.0/24", 32}, {"10.1.16.0/20", 256}, {"10.1.64.0/18", 768},
		{"2001:db8:1:2::/64", 2}, {"2001:db8:1:200::/56", 3}, {"2001:db8:1::/48", 4}, {"2001:db8::/32", 64},
	} {
		t.Run(tt.network, func(t *testing.T) {
			l := testLimiter(1, burst)
			p := netip.MustParsePrefix(tt.network)
			dice := rand.New(rand.NewPCG(1, 2))
			got := 0
			for range 100_000 {
				if l.Allow(randomIn(dice, p), 1, 0) {
					got++
				}
			}
			if got != tt.times*burst {
				t.Errorf("%d allowed, want %d", got, tt.times*burst)
			}
			if !l.Allow(netip.MustParseAddr("198.51.100.1"), 1, 0) || !l.Allow(netip.MustParseAddr("2001:db9::1"), 1, 0) {
				t.Error("others are limited")
			}
		})
	}
}

// TestMixedFamilies writes IPv4 as IPv6.
func TestMixedFamilies(t *testing.T) {
	l := testLimiter(1, 10)
	if n := allowed(l, "::ffff:192.0.2.1", 20, 0); n != 10 {
		t.Errorf("%d allowed, want 10", n)
	}
	if n := allowed(l, "192.0.2.1", 20, 0); n != 0 {
		t.Errorf("the same address as IPv4: %d allowed, want 0", n)
	}
	if n := allowed(l, "fe80::1%eth0", 20, 0) + allowed(l, "fe80::1%eth1", 20, 0); n != 10 {
		t.Errorf("zones: %d allowed, want 10", n)
	}
}

// TestSeveralAtOnce: several queries are allowed together if and only if each would be, one after the other, and count as many; else they
// count for nothing.
func TestSeveralAtOnce(t *testing.T) {
	const burst = 40
	dice := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		together, alone := testLimiter(1, burst), testLimiter(1, burst)
		network := netip.MustParsePrefix([]string{"192.0.2.0/24", "192.0.2.0/31", "2001:db8::/127", "2001:db8:1:2::/63"}[round%4])
		now := time.Duration(0)
		for range 60 {
			addr, n := randomIn(dice, network), 1+dice.IntN(burst/2)
			now += time.Duration(dice.IntN(3)) * time.Second
			got := together.Allow(addr, n, now)
			if !got { // as many as there is room for
				for n = 0; together.Allow(addr, 1, now); n++ {
				}
			}
			for i := range n {
				if !alone.Allow(addr, 1, now) {
					t.Fatalf("round %d: of %d together, alone only %d", round, n, i)
				}
			}
			if !got && alone.Allow(addr, 1, now) {
				t.Fatalf("round %d: more than %d alone", round, n)
			}
		}
	}
}

// TestSameBits: networks whose bits are the same, but of another length or family, are others.
func TestSameBits(t *testing.T) {
	const burst = 10
	for _, tt := range []struct{ full, other string }{
		{"2001:db8:0:100::/56", "20:10d:b800:1::1"}, {"2001:db8:1::/48", "20:10d:b800:100::1"}, {"2001:db8:1::/48", "0:2001:db8:1::1"},
		{"32.1.13.184/32", "2001:db8::1"}, {"10.1.64.0/18", "0.0.40.5"},
	} {
		l, dice := testLimiter(1, burst), rand.New(rand.NewPCG(1, 2))
		for range 10_000 {
			l.Allow(randomIn(dice, netip.MustParsePrefix(tt.full)), 1, 0)
		}
		if got := allowed(l, tt.other, 2*burst, 0); got != burst {
			t.Errorf("after all of %s: %d of %s, want %d", tt.full, got, tt.other, burst)
		}
	}
}

// TestLongQuiet: who was quiet for any time, while others were not, has all of its burst again, though times are kept modulo their range.
func TestLongQuiet(t *testing.T) {
	const burst = 10
	const epoch = time.Duration((1<<epochBits)*1_000_000_000/(MaxRate*perQuery)) + time.Second
	for epochs := 1; epochs <= 12; epochs++ {
		l := testLimiter(MaxRate, burst)
		if got := allowed(l, "192.0.2.1", 2*burst, 0); got != burst {
			t.Fatalf("%d allowed, want %d", got, burst)
		}
		now := time.Duration(0)
		for range epochs {
			now += epoch
			l.Allow(netip.MustParseAddr("198.51.100.1"), 1, now)
		}
		if got := allowed(l, "192.0.2.1", 2*burst, now); got != burst {
			t.Errorf("after %v: %d allowed, want %d", now, got, burst)
		}
	}
}

func TestExempt(t *testing.T) {
	l := New(Config{Rate: 1, Burst: 1, Slots: MinSlots, Key: testKey, Exempt: []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("::ffff:192.0.2.0/120"),
		netip.MustParsePrefix("198.51.100.77/24"), {},
	}})
	for addr, want := range map[string]int{
		"127.0.0.1": 100, "127.255.255.255": 100, "::ffff:127.0.0.1": 100, "2001:db8:ffff::1": 100, "2001:db8::1%eth0": 100, "192.0.2.255": 100,
		"198.51.100.1": 100, "128.0.0.1": 1, "126.255.255.255": 1, "2001:db9::1": 1, "192.0.3.0": 1,
	} {
		if got := allowed(l, addr, 100, 0); got != want {
			t.Errorf("%s: %d allowed, want %d", addr, got, want)
		}
	}
	everybody := New(Config{Rate: 1, Burst: 1, Exempt: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}})
	if got := allowed(everybody, "192.0.2.1", 100, 0); got != 100 {
		t.Errorf("0.0.0.0/0 exempt: %d allowed", got)
	}
}

func TestBounds(t *testing.T) {
	for _, c := range []Config{{}, {Rate: -1, Burst: -1, Slots: -1}, {Rate: 1 << 40, Burst: 1 << 40, Slots: 1025}} {
		l := New(c)
		if n := len(l.slots); n != MinSlots && n != 2*MinSlots {
			t.Errorf("%+v: %d slots", c, n)
		}
		if !l.Allow(netip.MustParseAddr("192.0.2.1"), 1, 0) {
			t.Errorf("%+v: the first query is limited", c)
		}
	}
}

// TestAgainstModel compares with exact counts for each prefix, in a table with room for all, over times long enough for them to
// wrap, with gaps of all lengths.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(8) {
		dice := rand.New(rand.NewPCG(seed, 1))
		c := Config{Rate: 1 + dice.IntN(1000), Burst: 1 + dice.IntN(500), Slots: 1 << 16, Key: testKey}
		if seed%4 == 0 {
			c.Rate = MaxRate
		}
		l, m := New(c), newModel(c)
		addrs := make([]netip.Addr, 200)
		for i := range addrs {
			addrs[i] = randomIn(dice, netip.MustParsePrefix([]string{"10.0.0.0/16", "2001:db8::/31", "192.0.2.0/29"}[i%3]))
		}
		now := time.Duration(0)
		limited := 0
		for range 100_000 {
			now += time.Duration(dice.ExpFloat64() * float64(time.Second) / float64(c.Rate) / 400)
			if dice.IntN(10_000) == 0 {
				now += time.Duration(dice.Int64N(1 << uint(dice.IntN(56)))) // up to two years
			}
			addr := addrs[min(dice.IntN(len(addrs)), dice.IntN(len(addrs)), dice.IntN(len(addrs)))]
			got, want := l.Allow(addr, 1, now), m.allow(addr, l.ticks(now))
			if got != want {
				t.Fatalf("seed %d: %+v: %v at %v: %v, want %v", seed, c, addr, now, got, want)
			}
			if !got {
				limited++
			}
		}
		if limited == 0 {
			t.Errorf("seed %d: nothing was ever limited", seed)
		}
	}
}

// TestNoHarmToOthers floods from ever new addresses and from a few that are far over the limit, while clients that keep to the rate
// ask as well: none of them is ever limited. And whoever does not keep to it gets no more than rate and burst, however many others
// there are to push its count out of the table.
func TestNoHarmToOthers(t *testing.T) {
	for seed := range uint64(3) {
		dice := rand.New(rand.NewPCG(seed, 2))
		const rate, burst, seconds, perSecond = 50, 100, 5, 50_000
		l := New(Config{Rate: rate, Burst: burst, Slots: 1 << 15, Key: [16]byte{byte(seed), 7}})
		got := map[netip.Addr]int{}
		greedy := make([]netip.Addr, 100)
		for i := range greedy {
			greedy[i] = netip.AddrFrom4([4]byte{byte(i), 1, 1, 1})
		}
		for i := range seconds * perSecond {
			now := time.Duration(i) * time.Second / perSecond
			if i%5 == 0 {
				addr := greedy[dice.IntN(len(greedy))]
				if l.Allow(addr, 1, now) {
					got[addr]++
				}
			} else {
				l.Allow(randomIn(dice, netip.MustParsePrefix("128.0.0.0/2")), 1, now)
			}
			if i%10 == 0 { // 100 clients of one query each 20 ms
				good := netip.AddrFrom4([4]byte{200 + byte(i/10%2), byte(i / 20 % 50), 1, 1})
				if !l.Allow(good, 1, now) {
					t.Fatalf("seed %d: %v keeps to the rate and is limited at %v", seed, good, now)
				}
			}
		}
		for addr, n := range got {
			if n > burst+rate*seconds {
				t.Errorf("seed %d: %v got %d, more than %d", seed, addr, n, burst+rate*seconds)
			}
			if n < rate*seconds {
				t.Errorf("seed %d: %v got %d of its share of %d", seed, addr, n, rate*seconds)
			}
		}
	}
}

// TestNobodyGainsByOverflow has many more clients over the limit than the table has slots: none gets more than its share.
func TestNobodyGainsByOverflow(t *testing.T) {
	const rate, burst, seconds = 10, 20, 5
	l := New(Config{Rate: rate, Burst: burst, Slots: MinSlots, Key: testKey})
	got := map[netip.Addr]int{}
	dice := rand.New(rand.NewPCG(1, 2))
	for i := range 300_000 {
		addr := netip.AddrFrom4([4]byte{byte(dice.IntN(16)), byte(dice.IntN(250)), 0, 0})
		if l.Allow(addr, 1, time.Duration(i)*seconds*time.Second/300_000) {
			got[addr]++
		}
	}
	for addr, n := range got {
		if n > burst+rate*seconds {
			t.Errorf("%v got %d, more than %d", addr, n, burst+rate*seconds)
		}
	}
}

// TestConcurrent asks for one client from several goroutines at one moment: the limit holds for all of them together.
func TestConcurrent(t *testing.T) {
	l := testLimiter(1, 5000)
	var wg sync.WaitGroup
	var n atomic.Int64
	for range 4 {
		wg.Go(func() {
			for range 5000 {
				if l.Allow(netip.MustParseAddr("192.0.2.1"), 1, 0) {
					n.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n.Load() != 5000 {
		t.Errorf("%d allowed, want 5000", n.Load())
	}
}

func TestAllowDoesNotAllocate(t *testing.T) {
	l := testLimiter(1, 1)
	for _, addr := range []string{"192.0.2.1", "2001:db8::1", "fe80::1%eth0"} {
		a := netip.MustParseAddr(addr)
		if n := testing.AllocsPerRun(100, func() { l.Allow(a, 1, 0) }); n != 0 {
			t.Errorf("%s: %v allocations", addr, n)
		}
	}
}

// TestHash sees that prefixes spread over sets and tags, and that the key decides how.
func TestHash(t *testing.T) {
	a, b := New(Config{Key: testKey}), New(Config{Key: [16]byte{1, 2, 4}})
	seen := map[uint64]string{}
	for i := uint64(1); i <= 10_000; i++ {
		for name, h := range map[string]uint64{
			"/64": a.hash(i, 64), "/32": a.hash(i, 32), "IPv4 /32": a.hash(i, 32|family4), "/128": a.hash128(i, 64), "host": a.hash128(0, i), "other key": b.hash(i, 64),
		} {
			if was, ok := seen[h]; ok {
				t.Fatalf("%s and %s %d have one hash", was, name, i)
			}
			seen[h] = fmt.Sprint(name, " ", i)
		}
	}
	var ones [64]int
	for h := range seen {
		for i := range ones {
			ones[i] += int(h >> i & 1)
		}
	}
	for i, n := range ones {
		if n < len(seen)*48/100 || n > len(seen)*52/100 {
			t.Errorf("bit %d is set in %d of %d", i, n, len(seen))
		}
	}
}

// A model is a Limiter without secrets: a count for each prefix there ever was.
type model struct {
	full  uint64
	empty map[netip.Prefix]uint64 // when it will be
}

func newModel(c Config) *model {
	return &model{uint64(c.Burst) * 768, map[netip.Prefix]uint64{}}
}

func (m *model) allow(addr netip.Addr, now uint64) bool {
	times := map[int]uint64{32: 1, 24: 32, 20: 256, 18: 768}
	if addr.Is6() {
		times = map[int]uint64{128: 1, 64: 2, 56: 3, 48: 4, 32: 64}
	}
	next := map[netip.Prefix]uint64{}
	for length, n := range times {
		p, _ := addr.Prefix(length)
		next[p] = max(m.empty[p], now) + 768/n
		if next[p]-now > m.full {
			return false
		}
	}
	for p, t := range next {
		m.empty[p] = t
	}
	return true
}

func randomIn(dice *rand.Rand, p netip.Prefix) netip.Addr {
	a := randomAddr(dice, p.Addr().Is6())
	if p.Addr().Is4() {
		host, network := a.As4(), p.Addr().As4()
		mask := ^uint32(0) >> p.Bits()
		var out [4]byte
		binary.BigEndian.PutUint32(out[:], binary.BigEndian.Uint32(network[:])|binary.BigEndian.Uint32(host[:])&mask)
		return netip.AddrFrom4(out)
	}
	host, network := a.As16(), p.Addr().As16()
	for i := range host {
		switch bits := p.Bits() - 8*i; {
		case bits >= 8:
			host[i] = network[i]
		case bits > 0:
			host[i] = network[i] | host[i]&(0xff>>bits)
		}
	}
	return netip.AddrFrom16(host)
}
