package upstream

import (
	"math/bits"
	"slices"

	"github.com/meridian-gslb/meridian/policy"
)

// Pick chooses where the next request goes: two distinct endpoints are drawn by weight, and the less busy of the two is taken. It
// returns false if none of the endpoints can be dialled or all are in tried. dice is fresh for each call. It does not allocate and
// does not count the request: the caller calls Begin.
//
// Two random choices and not the least busy of all, because many edges that all know the least busy one would all send to it at
// once (Mitzenmacher, 1996).
func (v *View) Pick(endpoints, tried []policy.EndpointID, dice uint64) (policy.EndpointID, bool) {
	d := draw{v: v, from: endpoints, tried: tried, dice: dice, skip: -1}
	first := d.next()
	if first < 0 {
		return 0, false
	}
	d.skip = first
	second := d.next()
	a := &v.members[endpoints[first]]
	if second < 0 {
		a.took(a)
		return endpoints[first], true
	}
	b := &v.members[endpoints[second]]
	if lessBusy(b, a) {
		b.took(a)
		return endpoints[second], true
	}
	a.took(b)
	return endpoints[first], true
}

// lessBusy reports whether a should be taken rather than b. An endpoint is clearly less busy if, with this request added, it would
// carry no more per unit of weight than the other does without it: (inFlight+1)/weight against inFlight/weight. A smaller
// difference is one that a single request makes, and says nothing; then the one further behind its share is taken. That evens out
// what would otherwise be the noise of the draw, and gives unequal weights their shares at low load too, where comparing
// (inFlight+1)/weight alone would starve the small.
func lessBusy(a, b *Member) bool {
	ia, ib := max(0, a.inFlight.Load()), max(0, b.inFlight.Load())
	wa, wb := int64(max(1, a.Weight)), int64(max(1, b.Weight))
	if (ia+1)*wb <= ib*wa {
		return true
	}
	if (ib+1)*wa <= ia*wb {
		return false
	}
	return int64(a.served.Load()-b.served.Load()) < 0 // serial numbers: they wrap around
}

// unit is what one request adds to Endpoint.served at weight 1.
const unit = 1 << 32

// maxLag is how far an endpoint can be behind another, in requests of the lighter of the two. One that is new, or was down, is not
// owed all it missed.
const maxLag = 4

// step returns what one request adds to served.
func (m *Member) step() uint64 { return unit / uint64(max(1, m.Weight)) }

// took counts a pick of m that was made over another endpoint (or over none: itself).
func (m *Member) took(over *Member) {
	step := m.step()
	least := over.served.Load() - maxLag*max(step, over.step())
	if int64(m.served.Load()-least) < 0 {
		m.served.Store(least + step) // a race here costs one request's worth of evenness
		return
	}
	m.served.Add(step)
}

// A draw takes endpoints at random, each with probability weight/sum. Endpoints of weight 0 are drawn, evenly, only if there is no
// other.
type draw struct {
	v     *View
	from  []policy.EndpointID
	tried []policy.EndpointID
	dice  uint64
	skip  int // position drawn before; -1: none
}

// next returns the position of the endpoint drawn, or -1 if there is none.
func (d *draw) next() int {
	var sum, count uint64
	for i := range d.from {
		if w, ok := d.weight(i); ok {
			sum += uint64(w)
			count++
		}
	}
	if count == 0 {
		return -1
	}
	even := sum == 0
	if even {
		if d.skip >= 0 && d.v.members[d.from[d.skip]].Weight > 0 {
			return -1 // nothing of weight 0 is drawn beside one that has weight
		}
		sum = count
	}
	at := d.below(sum)
	for i := range d.from {
		w, ok := d.weight(i)
		if !ok {
			continue
		}
		if even {
			w = 1
		}
		if at < uint64(w) {
			return i
		}
		at -= uint64(w)
	}
	return -1
}

// weight returns the weight of the endpoint at a position, and whether it may be drawn.
func (d *draw) weight(i int) (uint32, bool) {
	if i == d.skip {
		return 0, false
	}
	id := d.from[i]
	m := &d.v.members[id]
	if !m.Address.Usable() || len(d.tried) > 0 && slices.Contains(d.tried, id) {
		return 0, false
	}
	return m.Weight, true
}

// below returns a number in [0, n) from the dice: one splitmix64 step, reduced by multiplication.
func (d *draw) below(n uint64) uint64 {
	d.dice += 0x9e3779b97f4a7c15
	z := d.dice
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	hi, _ := bits.Mul64(z^z>>31, n)
	return hi
}
