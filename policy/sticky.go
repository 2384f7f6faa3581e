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
	bound uint64 // of loads, in thousandths of their mean; 0: none
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
			if most := st.most(s, s.live[i:end]); most == unbounded {
				s.rendezvous(s.live[i:end], n-i, s.key, false)
			} else {
				s.rendezvous(s.live[i:end], end-i, s.key, false)
				st.relieve(s, s.live[i:end], most)
			}
		}
		i = end
	}
}

// unbounded is the most that endpoints have to do if none has too much.
const unbounded = ^uint64(0)

// overflow makes what draws the clients who leave an endpoint another draw than others.
const overflow = 0x6f766572

// most returns the load, in millionths, beyond which some candidates have too much to do; unbounded if none of them does.
func (st sticky) most(s *Scratch, c []candidate) uint64 {
	if st.bound == 0 {
		return unbounded
	}
	var sum, weight, number uint64
	highest := uint64(0)
	for i := range c {
		l := uint64(s.health.Of(c[i].id).Load)
		sum += l * uint64(c[i].weight)
		weight += uint64(c[i].weight)
		number += l
		highest = max(highest, l)
	}
	if weight == 0 {
		sum, weight = number, uint64(len(c))
	}
	most := st.bound * (sum * 1000 / weight) / 1000
	if highest*1000 <= most {
		return unbounded
	}
	return most
}

// leaves reports whether the client is one of those that an endpoint has too many of.
func (st sticky) leaves(s *Scratch, id EndpointID, most uint64) bool {
	load := uint64(s.health.Of(id).Load) * 1000
	return load > most && mix(s.key^overflow^s.plan.hashes[id])>>32 < (load-most)<<32/load
}

// relieve moves, of candidates in the order of the client's key, those that have too much to do for the client behind the others.
func (st sticky) relieve(s *Scratch, c []candidate, most uint64) {
	if cap(s.rest) < len(c) {
		s.rest = make([]candidate, cap(s.live))
	}
	kept, left, first := 0, s.rest[:0], c[0].id
	for i := range c {
		if x := c[i]; st.leaves(s, x.id, most) {
			left = append(left, x)
		} else {
			c[kept] = x
			kept++
		}
	}
	if kept > 0 && c[0].id != first {
		s.because(ReasonShed)
	}
	copy(c[kept:], left)
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
	if st.bound == 0 {
		return
	}
	byRank := map[uint32][]candidate{}
	for _, c := range before {
		byRank[c.rank] = append(byRank[c.rank], c)
	}
	for i := range t.Kept {
		k := &t.Kept[i]
		id, most := p.byName[k.Name], st.most(s, byRank[k.rank])
		k.Load = s.health.Of(id).Load.Share()
		if most != unbounded && st.leaves(s, id, most) {
			t.Note += fmt.Sprintf("; %s has a load of %v, more than %.3g, and the client is one of those too many", k.Name, k.Load, float64(most)/1e6)
		}
	}
}
