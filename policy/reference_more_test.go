package policy

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"
)

// branches tries branches in their order, or in one that is drawn, until one works.
func (r *naive) branches(list []Branch, drawn bool, path string) {
	type member struct {
		k  int
		up bool
		b  Branch
	}
	of := func(b Branch, list []naiveEndpoint) (in []naiveEndpoint) {
		for _, x := range list {
			if len(b.Sites) == 0 || slices.Contains(b.Sites, x.e.Site) {
				in = append(in, x)
			}
		}
		return in
	}
	var left []member
	for k, b := range list {
		if in := of(b, r.list); len(in) > 0 {
			left = append(left, member{k, slices.ContainsFunc(in, func(x naiveEndpoint) bool { return x.up }), b})
		}
	}
	before := *r
	first, several := -1, len(left) > 1
	if several || len(left) == 1 {
		first = left[0].k
	}
	try := func(m member) bool {
		r.list, r.lost, r.reason, r.failed, r.closed = of(m.b, before.list), of(m.b, before.lost), before.reason, false, before.closed
		outer := r.sites
		if len(m.b.Sites) > 0 {
			r.sites = slices.DeleteFunc(slices.Clone(m.b.Sites), func(name string) bool { return outer != nil && !slices.Contains(outer, name) })
		}
		r.run(branchStages(r.spec, m.b), fmt.Sprintf("%s/%d", path, m.k))
		r.sites = outer
		return !r.failed && len(r.list) > 0
	}
	dice := r.dice
	var spare *member
	kept, works := -1, false
	for len(left) > 0 && !works {
		i := 0
		if drawn && r.q.Joint {
			for j := range left {
				x, y := placeOf(dice^mix(uint64(left[j].k)+1), float64(left[j].b.Weight)), placeOf(dice^mix(uint64(left[i].k)+1), float64(left[i].b.Weight))
				if slices.Compare(x[:], y[:]) < 0 {
					i = j
				}
			}
		} else if drawn {
			total, even := uint64(0), false
			for _, m := range left {
				total += uint64(m.b.Weight)
			}
			if even = total == 0; even {
				total = uint64(len(left))
			}
			r.dice = dice
			u := r.roll(total)
			dice = r.dice
			for ; ; i++ {
				w := uint64(left[i].b.Weight)
				if even {
					w = 1
				}
				if u < w {
					break
				}
				u -= w
			}
		}
		m := left[i]
		left = slices.Delete(slices.Clone(left), i, i+1)
		if works = try(m); works {
			kept = m.k
		} else if spare == nil || m.up && !spare.up {
			spare = &m
		}
	}
	switch {
	case works:
	case spare != nil:
		try(*spare)
		kept = spare.k
	default:
		r.list, r.lost, r.reason, r.closed = before.list, before.lost, before.reason, before.closed
	}
	r.failed = before.failed || !works
	if drawn && several {
		r.because(ReasonWeight)
	}
	if !drawn && kept != first {
		r.because(ReasonFailover)
	}
}

// multi keeps each by its weight over the largest of its rank.
func (r *naive) multi() {
	r.order()
	var kept []naiveEndpoint
	for _, x := range r.list {
		most := uint32(0)
		for _, y := range r.list {
			if slices.Equal(x.ranks, y.ranks) {
				most = max(most, y.e.Weight)
			}
		}
		roll := r.roll
		if r.q.Joint {
			roll = func(n uint64) uint64 { return scale(mix(r.dice^r.hash(x)), n) }
		}
		if most > 0 && x.e.Weight < most && roll(uint64(most)) >= uint64(x.e.Weight) {
			r.because(ReasonWeight)
			continue
		}
		kept = append(kept, x)
	}
	r.list = kept
}

// sticky orders those of a rank by the key; those with too much to do for the client go behind.
func (r *naive) sticky(bound float64) {
	r.order()
	r.byKey(r.q.Key, ReasonSticky, false)
	if bound == 0 {
		return
	}
	var done []naiveEndpoint
	for len(r.list) > 0 {
		same := func(x naiveEndpoint) bool { return slices.Equal(x.ranks, r.list[0].ranks) }
		var group, rest, stay, leave []naiveEndpoint
		for _, x := range r.list {
			if same(x) {
				group = append(group, x)
			} else {
				rest = append(rest, x)
			}
		}
		sum, weight, number := 0.0, 0.0, 0.0
		for _, x := range group {
			sum += float64(x.v.Load) * float64(x.e.Weight)
			weight += float64(x.e.Weight)
			number += float64(x.v.Load)
		}
		if weight == 0 {
			sum, weight = number, float64(len(group))
		}
		most := math.Floor(math.Round(bound*1000) * math.Floor(sum*1000/weight) / 1000)
		for _, x := range group {
			load := float64(x.v.Load) * 1000
			if load > most && float64(mix(r.q.Key^overflow^r.hash(x))>>32) < math.Floor((load-most)/load*(1<<32)) {
				leave = append(leave, x)
			} else {
				stay = append(stay, x)
			}
		}
		if len(stay) > 0 && stay[0].id != group[0].id && len(group) > 1 {
			r.because(ReasonShed)
		}
		done = append(append(done, stay...), leave...)
		r.list = rest
	}
	r.list = done
}

// placeOf is where a hash leads among others, the plain way: by its logarithm over the weight.
func placeOf(hash uint64, weight float64) [2]float64 {
	far := 64 - math.Floor(math.Log2(float64(mix(hash)|1))*(1<<16))/(1<<16)
	if weight == 0 {
		return [2]float64{1, far}
	}
	return [2]float64{0, far / weight}
}

// hash returns the hash of an endpoint's name.
func (r *naive) hash(x naiveEndpoint) uint64 {
	return hashOf(r.spec.Services[r.q.Service].Name + "/" + x.e.Name)
}

// byKey orders those of a rank by their places for a key.
func (r *naive) byKey(key uint64, because Reason, even bool) {
	for i := 1; i < len(r.list); i++ {
		if slices.Equal(r.list[i].ranks, r.list[i-1].ranks) {
			r.because(because)
		}
	}
	at := func(x naiveEndpoint) [2]float64 {
		if even {
			return placeOf(key^r.hash(x), 1)
		}
		return placeOf(key^r.hash(x), float64(x.e.Weight))
	}
	slices.SortStableFunc(r.list, func(a, b naiveEndpoint) int {
		if c := slices.Compare(a.ranks, b.ranks); c != 0 {
			return c
		}
		x, y := at(a), at(b)
		return slices.Compare(x[:], y[:])
	})
}

// sharedBy names what an endpoint shares with others; "" if it shares nothing.
func sharedBy(x naiveEndpoint, by Shared) string {
	switch {
	case by == SharedSite:
		return x.e.Site
	case x.e.V4.IsValid():
		return netip.PrefixFrom(x.e.V4, 24).Masked().String()
	case x.e.V6.IsValid():
		return netip.PrefixFrom(x.e.V6, 48).Masked().String()
	}
	return ""
}

// onePer keeps the first of each site or subnet.
func (r *naive) onePer(by Shared) {
	r.order()
	var kept []naiveEndpoint
	seen := map[string]bool{}
	for _, x := range r.list {
		group := sharedBy(x, by)
		if group == "" || !seen[group] {
			kept = append(kept, x)
		}
		seen[group] = true
	}
	r.list = kept
}

// grouped has the members of each group follow the first of them that is drawn.
func (r *naive) grouped(by Shared) {
	r.weighted(false)
	var done []naiveEndpoint
	for len(r.list) > 0 {
		first := r.list[0]
		with := func(x naiveEndpoint) bool {
			same := sharedBy(x, by) == sharedBy(first, by) && sharedBy(x, by) != ""
			return x.id == first.id || same && slices.Equal(x.ranks, first.ranks)
		}
		for _, x := range r.list {
			if with(x) {
				done = append(done, x)
			}
		}
		r.list = slices.DeleteFunc(slices.Clone(r.list), with)
	}
	r.list = done
}

// A naiveTaker is a site, or an endpoint at none, that clients can be sent to.
type naiveTaker struct {
	name         string
	hash         uint64
	ranks        []int
	weight       float64 // lost ones included
	load, room   float64
	up, leaves   bool
	upWeight, of float64
}

// takers lists what is there for the client, by what is up and how much it has to do.
func (r *naive) takers(st Shed) (list []*naiveTaker, of map[EndpointID]*naiveTaker) {
	of = map[EndpointID]*naiveTaker{}
	bySite := map[string]*naiveTaker{}
	for i, x := range slices.Concat(r.list, r.lost) {
		t := bySite[x.e.Site]
		if t == nil || x.e.Site == "" {
			t = &naiveTaker{name: x.e.Site, hash: hashOf(x.e.Site), ranks: x.ranks}
			if x.e.Site == "" {
				t.name, t.hash = x.e.Name, r.hash(x)
			}
			bySite[x.e.Site] = t
			list = append(list, t)
		}
		of[x.id] = t
		t.weight += float64(x.e.Weight)
		if i < len(r.list) && x.up {
			t.up = true
			t.upWeight += float64(x.e.Weight)
		}
	}
	for _, t := range list {
		for _, x := range r.list {
			weight := float64(x.e.Weight)
			if t.upWeight == 0 {
				weight = 1
			}
			if of[x.id] == t && x.up {
				t.load += weight * float64(x.v.Load)
				t.of += weight
			}
		}
		low, high := math.Round(st.Low*1000), math.Round(st.High*1000)
		if t.up {
			t.load = math.Floor(t.load / t.of)
			t.room = t.upWeight * max(0, high-t.load)
		}
		leaving := 1.0
		if t.load < high {
			leaving = math.Floor(max(0, t.load-low)/(high-low)*(1<<32)) / (1 << 32)
		}
		t.leaves = !t.up || float64(mix(r.q.Key^shedLeave^t.hash)>>32) < leaving*(1<<32)
	}
	return list, of
}

// shed puts first where the client goes, and drops what it leaves.
func (r *naive) shed(st Shed) {
	list, of := r.takers(st)
	first := func(salt uint64, weight func(t *naiveTaker) float64, may func(t *naiveTaker) bool) (best *naiveTaker) {
		var least [2]float64
		for _, t := range list {
			at := placeOf(r.q.Key^salt^t.hash, weight(t))
			if may(t) && (best == nil || slices.Compare(at[:], least[:]) < 0) {
				best, least = t, at
			}
		}
		return best
	}
	home := first(shedHome, func(t *naiveTaker) float64 { return t.weight }, func(t *naiveTaker) bool {
		return !slices.ContainsFunc(list, func(o *naiveTaker) bool { return slices.Compare(o.ranks, t.ranks) < 0 })
	})
	to := home
	if home == nil {
		return
	}
	if home.leaves {
		to = first(shedFill, func(t *naiveTaker) float64 { return t.room }, func(t *naiveTaker) bool { return !t.leaves })
	}
	switch {
	case to == nil:
		return
	case to != home && home.up:
		r.because(ReasonShed)
	case to != home:
		r.because(ReasonFailover)
	}
	several := slices.ContainsFunc(list, func(t *naiveTaker) bool { return t != to && !t.leaves && slices.Compare(t.ranks, to.ranks) <= 0 })
	if several {
		r.because(ReasonSticky)
		for _, list := range [][]naiveEndpoint{r.list, r.lost} {
			for i := range list {
				x := &list[i]
				behind := 1
				if of[x.id] == to {
					behind = 0
					x.ranks = make([]int, len(x.ranks))
				}
				x.ranks = append([]int{behind}, x.ranks...)
			}
		}
	}
	r.list = slices.DeleteFunc(slices.Clone(r.list), func(x naiveEndpoint) bool { return of[x.id] != to && of[x.id].leaves })
}

// schedule keeps those at the sites of the first window that is open: it looks at every minute of the week to come.
func (r *naive) schedule(st Schedule) {
	zone := st.Zone
	if zone == nil {
		zone = time.UTC
	}
	within := func(w Window, unix int64) bool {
		t := time.Unix(unix, 0).In(zone)
		minute := t.Hour()*60 + t.Minute()
		on := func(day time.Weekday) bool { return w.Days == 0 || w.Days>>day&1 != 0 }
		if w.To > w.From {
			return on(t.Weekday()) && minute >= w.From && minute < w.To
		}
		return on(t.Weekday()) && minute >= w.From || on((t.Weekday()+6)%7) && minute < w.To
	}
	for _, w := range st.Windows {
		for m := (r.q.Now/60 + 1) * 60; m < r.q.Now+8*86400; m += 60 {
			if within(w, m) != within(w, m-60) {
				if left := uint32(m - r.q.Now); r.ttl == 0 || left < r.ttl {
					r.ttl = left
				}
				break
			}
		}
	}
	for _, w := range st.Windows {
		if !within(w, r.q.Now) {
			continue
		}
		in := func(x naiveEndpoint) bool { return slices.Contains(w.Sites, x.e.Site) }
		kept := slices.DeleteFunc(slices.Clone(r.list), func(x naiveEndpoint) bool { return !in(x) })
		if len(kept) > 0 && len(kept) < len(r.list) {
			r.because(ReasonSchedule)
			r.list = kept
			r.lost = slices.DeleteFunc(slices.Clone(r.lost), func(x naiveEndpoint) bool { return !in(x) })
		}
		return
	}
}

// canary keeps what the client is for.
func (r *naive) canary(st Canary) {
	in := float64(mix(r.q.Key^0x63616e617279)>>32) < math.Floor(st.Share*(1<<32))
	for _, p := range st.Networks {
		in = in || r.q.Client.IsValid() && p.Contains(r.q.Client.Masked().Addr().Unmap())
	}
	other := func(x naiveEndpoint) bool { return slices.Contains(st.Sites, x.e.Site) != in }
	kept := slices.DeleteFunc(slices.Clone(r.list), other)
	if len(kept) > 0 && len(kept) < len(r.list) {
		r.because(ReasonCanary)
		r.list, r.lost = kept, slices.DeleteFunc(slices.Clone(r.lost), other)
	}
}
