// Package limit tells who asks too often, of any number of clients, in fixed memory.
//
// Queries are counted for the address they come from and for some networks around it, so that neither one address nor many of one
// network take more than their share; the lengths and shares are those of Knot DNS. Each count is a leaky bucket, kept as the
// moment at which it will have run empty (the theoretical arrival time of the GCRA), which takes no upkeep.
//
// The counts lie in a table of sets, a cache line each. What is met for the first time takes the place of what is the least loaded
// of its set, and its load with it. So a client can be thought to have sent more than it has, by at most that load, and never
// less: nobody gains by having itself forgotten (Metwally, Agrawal, El Abbadi, "Efficient computation of frequent and top-k
// elements in data streams", 2005). As long as fewer clients are at their limit than there are places, the least load is next to
// nothing. Where a client lies depends on a secret, so nobody can choose neighbours.
package limit

import (
	"math/bits"
	"net/netip"
	"sync/atomic"
	"time"
)

// The bounds of a Config.
const (
	MaxRate  = 1_000_000
	MaxBurst = 100_000_000
	MinSlots = 1 << 10
	MaxSlots = 1 << 24
)

const (
	ways     = 8 // slots of a set, 64 bytes
	timeBits = 40
	timeMask = 1<<timeBits - 1
	// epochBits is how often, in ticks, counts that ran empty are set to the present, long before their time is taken for one to
	// come: times are compared modulo 2^timeBits.
	epochBits = timeBits - 2
)

// A Config is the settings of a Limiter. All numbers must be given; those beyond the bounds count as the bounds.
type Config struct {
	Rate   int            // queries per second of one address: 1 to MaxRate
	Burst  int            // queries of one address at one moment: 1 to MaxBurst
	Slots  int            // rounded up to a power of two: MinSlots to MaxSlots, 8 bytes each
	Exempt []netip.Prefix // never limited, nor counted
	Key    [16]byte       // secret, random
}

// A Limiter counts and limits. All methods may be called concurrently; none allocates or locks.
type Limiter struct {
	k0, k1  uint64
	scale   uint64 // ticks in a nanosecond, times 2^64
	full    uint64 // ticks that a full count takes to run empty
	sets    uint64 // number of sets, minus 1
	exempt4 []net4
	exempt6 []netip.Prefix

	_     [64]byte // what follows is written
	epoch atomic.Uint64
	_     [64]byte

	// A slot has the moment at which its count will have run empty, in ticks modulo 2^timeBits, and above it what is left of the
	// hash of its prefix. A tick is what one query of the widest network takes: all others take whole ticks.
	slots []atomic.Uint64
}

// A net4 is an IPv4 network.
type net4 struct{ addr, mask uint32 }

// New returns a Limiter that has met nobody yet.
func New(c Config) *Limiter {
	rate := uint64(min(max(c.Rate, 1), MaxRate)) * perQuery
	l := &Limiter{full: uint64(min(max(c.Burst, 1), MaxBurst)) * perQuery}
	l.k0, l.k1 = keyWords(c.Key)
	l.scale, _ = bits.Div64(rate, 0, uint64(time.Second)) // rate is less: MaxRate*perQuery < 1e9
	l.scale++                                             // so that whole times are whole ticks
	slots := 1 << bits.Len(uint(min(max(c.Slots, MinSlots), MaxSlots)-1))
	l.slots = make([]atomic.Uint64, slots)
	l.sets = uint64(slots/ways - 1)
	for _, p := range c.Exempt {
		l.except(p)
	}
	return l
}

// except exempts a network. IPv4 written as IPv6 is IPv4.
func (l *Limiter) except(p netip.Prefix) {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	switch {
	case !p.IsValid():
	case p.Addr().Is4():
		mask := ^uint32(0) << (32 - p.Bits()) // a shift by 32 gives 0
		l.exempt4 = append(l.exempt4, net4{word4(p.Addr()) & mask, mask})
	default:
		l.exempt6 = append(l.exempt6, p)
	}
}

// Allow counts n queries from an address and reports whether all of them are within the limits. If not, none counts. now is the time
// since any moment that stays the same for this Limiter; it may go back a little, as it does between workers.
func (l *Limiter) Allow(addr netip.Addr, n int, now time.Duration) bool {
	addr = addr.Unmap()
	var q question
	if addr.Is4() {
		a := word4(addr)
		for _, n := range l.exempt4 {
			if a&n.mask == n.addr {
				return true
			}
		}
		q.prefixes4(l, a)
	} else {
		for _, p := range l.exempt6 {
			if p.Contains(addr.WithZone("")) {
				return true
			}
		}
		q.prefixes6(l, addr)
	}
	t := l.ticks(now)
	if t>>epochBits > l.epoch.Load() {
		l.refresh(t)
	}
	return l.take(&q, uint64(n), t)
}

// ticks returns a time in ticks.
func (l *Limiter) ticks(now time.Duration) uint64 {
	t, _ := bits.Mul64(uint64(now), l.scale)
	return t
}

// A question is whether all of some prefixes are within their limits.
type question struct {
	n     int
	costs *[maxLevels]uint64 // in ticks
	hash  [maxLevels]uint64
	found [maxLevels]place
}

// A place is where a count is or may be put.
type place struct {
	slot uint64
	word uint64 // of the slot
	load uint64 // in ticks
}

// take counts n queries at all their prefixes, or at none if one of them has no room for them.
func (l *Limiter) take(q *question, n, now uint64) bool {
	for i := range q.n {
		q.found[i] = l.find(q.hash[i], now)
		if q.found[i].load+n*q.costs[i] > l.full {
			return false
		}
	}
	for i := range q.n {
		p, hash, cost := q.found[i], q.hash[i], n*q.costs[i]
		for !l.slots[p.slot].CompareAndSwap(p.word, hash&^timeMask|(now+p.load+cost)&timeMask) {
			if p = l.find(hash, now); p.load+cost > l.full { // another worker was faster
				return false
			}
		}
	}
	return true
}

// find finds the slot of a prefix, or the one that it takes if it has none: the least loaded of its set, with its load. Nearly
// always that is the first place it looks: the one of the set that a prefix takes if it can.
func (l *Limiter) find(hash, now uint64) place {
	first := hash & l.sets * ways
	home := hash >> (timeBits - 3) % ways
	set := (*[ways]atomic.Uint64)(l.slots[first:])
	atHome := set[home].Load()
	if (atHome^hash)>>timeBits == 0 {
		return place{first + home, atHome, positive(remaining(atHome, now))}
	}
	for i := range set {
		if word := set[i].Load(); (word^hash)>>timeBits == 0 {
			return place{first + uint64(i), word, positive(remaining(word, now))}
		}
	}
	least := place{first + home, atHome, positive(remaining(atHome, now))}
	for i := 0; i < ways && least.load > 0; i++ {
		word := set[i].Load()
		if load := positive(remaining(word, now)); load < least.load {
			least = place{first + uint64(i), word, load}
		}
	}
	return least
}

// positive returns n, or 0 if n is negative.
func positive(n int64) uint64 { return uint64(n &^ (n >> 63)) }

// remaining returns how long after now a slot's count will have run empty: negative if it has.
func remaining(word, now uint64) int64 { return int64((word-now)<<(64-timeBits)) >> (64 - timeBits) }

// refresh sets counts that have run empty to the present, so that their times can be compared for another two epochs. That is once
// in 2^epochBits ticks, which is 4 days at a rate of 1000, and takes a nanosecond a slot. After longer than an epoch, in which
// nothing at all was asked, everything has run empty.
func (l *Limiter) refresh(now uint64) {
	last, epoch := l.epoch.Load(), now>>epochBits
	if epoch <= last || !l.epoch.CompareAndSwap(last, epoch) {
		return // another worker does it
	}
	for i := range l.slots {
		word := l.slots[i].Load()
		if epoch > last+1 || remaining(word, now) < 0 {
			l.slots[i].CompareAndSwap(word, word&^timeMask|now&timeMask)
		}
	}
}
