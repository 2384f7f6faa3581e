package policy

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
)

// sticky is the compiled Sticky stage: rendezvous hashing (Thaler, Ravishankar, "Using name-based mappings to increase hit rates", 1998),
// weighted as by -log(hash)/weight, which draws each first with probability weight/sum.
//
// It computes in integers, so that all nodes of a deployment, whatever their processors, send a client to the same endpoint.
type sticky struct {
	limit int // as of weighted
	last  bool
}

func (sticky) name() string { return Sticky{}.stageName() }

// A keyed candidate is one with its place in the order, lower first.
type keyed struct {
	key uint64
	c   candidate
}

// fewPicks is up to how many candidates are picked one by one; beyond that sorting all of them is cheaper.
const fewPicks = 4

func (st sticky) run(s *Scratch) {
	s.scope = max(s.scope, st.scope(s))
	n := weighted{limit: st.limit, last: st.last}.need(s)
	for i := 0; i < n; {
		end := s.lead(i)
		if end-i > 1 {
			s.because(ReasonSticky)
			s.rendezvous(s.live[i:end], n-i, s.key, false)
		}
		i = end
	}
}

// scope returns the length of the networks that share a key: IPv4 /24, IPv6 /56.
func (sticky) scope(s *Scratch) uint8 {
	if !s.sets[s.pick][s.family].several {
		return 0
	}
	return s.client.keyed()
}

// keyed returns the length of the networks of clients that share a key.
func (c *client) keyed() uint8 {
	switch {
	case c.kind == clientV4 && c.mapped:
		return 96 + 24
	case c.kind == clientV4:
		return 24
	case c.kind == clientV6:
		return 56
	}
	return 0
}

// rendezvous puts the first n of some candidates into the order of a key, by their weights or evenly. The order of two of them does not
// depend on what others there are.
func (s *Scratch) rendezvous(c []candidate, n int, key uint64, even bool) {
	list := s.keyed[:0]
	for i := range c {
		weight := c[i].weight
		if even {
			weight = 1
		}
		list = append(list, keyed{stickiness(key, s.plan.hashes[c[i].id], weight), c[i]})
	}
	s.keyed = list
	order := func(a, b keyed) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.c.id, b.c.id)) }
	if n <= fewPicks {
		for i := range min(n, len(list)-1) {
			best := i
			for k := i + 1; k < len(list); k++ {
				if order(list[k], list[best]) < 0 {
					best = k
				}
			}
			x := list[best]
			copy(list[i+1:best+1], list[i:best])
			list[i] = x
		}
	} else {
		slices.SortFunc(list, order)
	}
	for i := range list {
		c[i] = list[i].c
	}
}

// stickiness returns the place of an endpoint, of which the hash of its name is given, in the order of a key.
func stickiness(key, name uint64, weight uint32) uint64 {
	far := remoteness(mix(key ^ name))
	if weight == 0 { // after all others, evenly
		return 1<<63 | far
	}
	return far << 40 / uint64(weight)
}

// remoteness returns -log2(h / 2^64) in units of 2^-16: more than 0, less than 2^23.
func remoteness(h uint64) uint64 {
	h |= 1
	whole := bits.Len64(h) - 1
	m := h << (63 - whole)
	log := uint64(whole)
	for range 16 { // the square of the mantissa is at least 2 where the next digit is 1
		m, _ = bits.Mul64(m, m)
		log <<= 1
		if m>>63 != 0 {
			log |= 1
		} else {
			m <<= 1
		}
	}
	return 64<<16 - log
}

// mix is a bijection that spreads every bit of x over all others (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hashOf returns the hash of an endpoint's name (FNV-1a, Fowler, Noll, Vo), mixed. It must stay the same for ever: clients would move.
func hashOf(name string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	return mix(h)
}

func (st sticky) explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) {
	t.Scope = st.scope(s)
	if len(before) < 2 {
		t.Note = "nothing to choose"
		return
	}
	t.Note = fmt.Sprintf("the order of key %016x", s.key)
}
