package policy

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// shed is the compiled Shed stage.
type shed struct {
	low, high Load // watermarks
}

func (*shed) name() string { return Shed{}.stageName() }

// What makes the draws of shed stages other draws than those of other stages: who has its home where, who leaves, and where to.
const (
	shedHome  = 0x686f6d65
	shedLeave = 0x6c65617665
	shedFill  = 0x66696c6c
)

// A taker is what clients are sent to: a site with candidates, or a candidate at no site.
type taker struct {
	site   SiteID
	id     EndpointID // of the only candidate, if site is NoSite
	hash   uint64     // of the name
	rank   uint32
	weight uint64 // of all its endpoints, those lost included
	up     amount // those up
	load   uint64 // of those up, times their weights, or if these are 0 times 1
	leaves bool   // the client has to go elsewhere, for nothing is up or for the load
}

// mean returns the load of the endpoints that are up.
func (t *taker) mean() Load {
	if t.up.weight == 0 {
		return Load(t.load / uint64(max(t.up.n, 1)))
	}
	return Load(t.load / t.up.weight)
}

// spare returns how much a taker has room for, below a watermark.
func (t *taker) spare(high Load) uint64 {
	if l := t.mean(); l < high {
		return t.up.weight * uint64(high-l)
	}
	return 0
}

func (st *shed) run(s *Scratch) {
	s.scope = max(s.scope, st.scope(s))
	st.muster(s)
	home, to := st.choose(s)
	if s.rec != nil {
		s.rec.takers, s.rec.home, s.rec.to = slices.Clone(s.takers), home, to
	}
	if to < 0 {
		return
	}
	switch {
	case home == to:
	case s.takers[home].up.n == 0:
		s.because(ReasonFailover)
	default:
		s.because(ReasonShed)
	}
	st.prefer(s, to)
}

// scope returns the length of the networks that share a key, if the service has endpoints at several places.
func (*shed) scope(s *Scratch) uint8 {
	list, pick := s.all, &s.picks[s.pick]
	first := -1
	for i := range list {
		switch {
		case !pick.has(list[i].site):
		case first < 0:
			first = i
		case list[i].site != list[first].site || list[i].site == NoSite:
			return s.client.keyed()
		}
	}
	return 0
}

// muster lists the takers, with what is up at each, and which of them the client may not have. It writes the position of each candidate's, of the live and
// then of the lost, to s.keys.
func (st *shed) muster(s *Scratch) {
	s.nextEpoch()
	s.takers, s.keys = s.takers[:0], s.keys[:0]
	for k, list := range [2][]candidate{s.live, s.lost} {
		for i := range list {
			c := &list[i]
			at := s.taker(c)
			s.keys = append(s.keys, at)
			t := &s.takers[at]
			t.weight += uint64(c.weight)
			if k > 0 || !c.state.Usable() {
				continue
			}
			if c.weight > 0 && t.up.weight == 0 {
				t.load = 0 // of those without weight, who do not count
			}
			t.up.add(c)
			if c.weight > 0 || t.up.weight == 0 {
				t.load += uint64(s.health.Of(c.id).Load) * uint64(max(c.weight, 1))
			}
		}
	}
	for i := range s.takers {
		t := &s.takers[i]
		t.leaves = t.up.n == 0 || mix(s.key^shedLeave^t.hash)>>32 < st.leaving(t.mean())
	}
}

// taker returns the position of a candidate's taker, a new one if it has none yet.
func (s *Scratch) taker(c *candidate) uint32 {
	at := uint32(len(s.takers))
	t := taker{site: c.site, id: c.id, rank: c.rank, hash: s.plan.sites[c.site].hash}
	if c.site == NoSite {
		t.hash = s.plan.hashes[c.id]
		s.takers = append(s.takers, t)
		return at
	}
	for int(c.site) >= len(s.seen) {
		s.seen = append(s.seen, 0)
	}
	for int(c.site) >= len(s.groupOf) {
		s.groupOf = append(s.groupOf, 0)
	}
	if s.seen[c.site] == s.epoch {
		return s.groupOf[c.site]
	}
	s.seen[c.site], s.groupOf[c.site] = s.epoch, at
	s.takers = append(s.takers, t)
	return at
}

// leaving returns how many of 2^32 clients leave at a load.
func (st *shed) leaving(l Load) uint64 {
	switch {
	case l >= st.high:
		return 1 << 32
	case l <= st.low:
		return 0
	}
	return uint64(l-st.low) << 32 / uint64(st.high-st.low)
}

// choose returns the taker that the client would have if all were well, and the one it has; -1 where there is none.
func (st *shed) choose(s *Scratch) (home, to int) {
	home, to = -1, -1
	rank := ^uint32(0)
	for i := range s.takers {
		rank = min(rank, s.takers[i].rank)
	}
	least := ^uint64(0)
	total := uint64(0)
	for i := range s.takers {
		t := &s.takers[i]
		if place := stickiest(s.key^shedHome, t.hash, t.weight); t.rank == rank && (home < 0 || place < least) {
			home, least = i, place
		}
		if !t.leaves {
			total += t.spare(st.high)
		}
	}
	if home < 0 || !s.takers[home].leaves {
		return home, home
	}
	shift := max(0, bits.Len64(total)-31) // so that no precision is lost in a quotient
	for i := range s.takers {
		t := &s.takers[i]
		if t.leaves {
			continue
		}
		if place := stickiest(s.key^shedFill, t.hash, t.spare(st.high)>>shift); to < 0 || place < least {
			to, least = i, place
		}
	}
	return home, to
}

// stickiest is stickiness for weights of more than 32 bits.
func stickiest(key, name, weight uint64) uint64 {
	far := remoteness(mix(key ^ name))
	if weight == 0 {
		return 1<<63 | far
	}
	return far << 40 / weight
}

// prefer ranks the candidates of a taker before all others, and drops those that the client may not have.
func (st *shed) prefer(s *Scratch, to int) {
	rank, several := s.takers[to].rank, false
	for i := range s.takers {
		t := &s.takers[i]
		several = several || i != to && !t.leaves && t.rank <= rank
	}
	if several { // else it goes before all others as it is
		s.because(ReasonSticky)
		s.ranked = true
		n := len(s.live)
		promote(s.live, s.keys[:n], uint32(to))
		promote(s.lost, s.keys[n:], uint32(to))
	}
	kept := 0
	for i, c := range s.live {
		if at := s.keys[i]; int(at) == to || !s.takers[at].leaves {
			s.live[kept] = c
			kept++
		}
	}
	s.live, s.settled = s.live[:kept], 0
}

// promote ranks the candidates of a key before all others.
func promote(list []candidate, keys []uint32, key uint32) {
	for i := range list {
		if keys[i] == key {
			list[i].rank = 0
		} else {
			list[i].rank++
		}
	}
}

func (st *shed) explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) {
	takers, home, to := s.rec.takers, s.rec.home, s.rec.to
	s.rec.takers = nil
	t.Scope = st.scope(s)
	var notes []string
	for i := range takers {
		notes = append(notes, takers[i].describe(p, st))
	}
	switch {
	case home < 0:
		notes = append(notes, "nothing is there")
	case to < 0:
		notes = append(notes, "nobody has room for the client")
	case home == to:
		notes = append(notes, "the client stays at "+takers[to].name(p))
	default:
		notes = append(notes, fmt.Sprintf("the client leaves %s for %s, by the room there", takers[home].name(p), takers[to].name(p)))
	}
	t.Note = strings.Join(notes, "; ")
	for i := range t.Dropped {
		t.Dropped[i].Why = "the client is one of those who leave for the load"
	}
	for i := range t.Kept {
		t.Kept[i].Load = s.health.Of(p.byName[t.Kept[i].Name]).Load.Share()
	}
	for i := range t.Dropped {
		t.Dropped[i].Load = s.health.Of(p.byName[t.Dropped[i].Name]).Load.Share()
	}
}

// name returns what a taker is called.
func (t *taker) name(p *Plan) string {
	if t.site == NoSite {
		return p.endpoints[t.id].Name
	}
	return p.SiteName(t.site)
}

// describe says what a taker has to do, and whether the client may have it.
func (t *taker) describe(p *Plan, st *shed) string {
	if t.up.n == 0 {
		return t.name(p) + ": nothing is up"
	}
	l := t.mean()
	return fmt.Sprintf("%s: load %v, %.3g %% leave", t.name(p), l.Share(), float64(st.leaving(l))*100/(1<<32))
}
