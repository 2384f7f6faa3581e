package policy

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
)

// reference answers a Query from the Spec itself by the plainest means: the meaning of the stages, written a second time. It leaves
// Scope out.
func reference(s Spec, q Query, h Health) Decision {
	r := &naive{spec: s, q: q}
	id := EndpointID(0)
	for i, svc := range s.Services {
		for k := range svc.Endpoints {
			e := &svc.Endpoints[k]
			if i == int(q.Service) && ofFamily(e, q.Family) {
				v := h.Of(id)
				r.list = append(r.list, naiveEndpoint{id: id, e: e, v: v, up: v.State.Usable()})
			}
			id++
		}
	}
	all := r.list
	r.all = all

	stages := stagesOf(s, "")
	if int(q.Policy) < len(s.Policies) {
		stages = s.Policies[q.Policy].Stages
	}
	r.salts = map[string]uint64{}
	r.number(stages, "")
	r.run(stages, "")
	r.order()
	if q.Want > 0 {
		r.list = r.list[:min(len(r.list), q.Want)]
	}

	d := Decision{Reason: r.reason, TTL: r.ttl}
	for _, x := range r.list {
		d.Endpoints = append(d.Endpoints, x.id)
		if slices.Equal(x.ranks, r.list[0].ranks) {
			d.Tier++
		}
	}
	for _, x := range all {
		if looksAtHealth(s, stages) && x.v.TTL > 0 && (d.TTL == 0 || x.v.TTL < d.TTL) {
			d.TTL = x.v.TTL
		}
	}
	return d
}

// stagesOf returns the stages of a policy by its name; "" and what there is not is the default.
func stagesOf(s Spec, name string) []StageSpec {
	for _, p := range s.Policies {
		if p.Name == name {
			return p.Stages
		}
	}
	return []StageSpec{Healthy{}, Weighted{}}
}

func branchStages(s Spec, b Branch) []StageSpec {
	if b.Policy != "" {
		return stagesOf(s, b.Policy)
	}
	return b.Stages
}

// branchesOf returns the branches of a stage, nil if it has none.
func branchesOf(stage StageSpec) []Branch {
	switch stage := stage.(type) {
	case Failover:
		return stage.Branches
	case Weighted:
		return stage.Branches
	}
	return nil
}

func looksAtHealth(s Spec, stages []StageSpec) bool {
	return slices.ContainsFunc(stages, func(stage StageSpec) bool {
		switch stage := stage.(type) {
		case Healthy, Shed:
			return true
		case Failover:
			if len(stage.Branches) == 0 {
				return true
			}
		}
		return slices.ContainsFunc(branchesOf(stage), func(b Branch) bool { return looksAtHealth(s, branchStages(s, b)) })
	})
}

// number gives every stage that draws its dice: those of a stage before those of its branches, in the order of the text.
func (r *naive) number(stages []StageSpec, path string) {
	for i, stage := range stages {
		here := fmt.Sprintf("%s/%d", path, i)
		switch stage.(type) {
		case Weighted, Shuffle:
			r.salts[here] = r.draws * 0xd1342543de82ef95
			r.draws++
		}
		if f, ok := stage.(Failover); ok && f.Trickle > 0 {
			r.salts[here] = r.draws * 0xd1342543de82ef95
			r.draws++
		}
		for k, b := range branchesOf(stage) {
			r.number(branchStages(r.spec, b), fmt.Sprintf("%s/%d", here, k))
		}
	}
}

// run runs the stages of a chain.
func (r *naive) run(stages []StageSpec, path string) {
	for i, stage := range stages {
		here := fmt.Sprintf("%s/%d", path, i)
		r.dice = r.q.Dice + r.salts[here]
		switch stage := stage.(type) {
		case Healthy:
			r.healthy(stage)
		case Geo:
			r.geo(stage)
		case Latency:
			r.rank(naiveLatency(r.spec, stage, r.q.From, r.q.Client))
		case Failover:
			if len(stage.Branches) > 0 {
				r.branches(stage.Branches, false, here)
			} else {
				r.failover(stage)
			}
		case Weighted:
			switch {
			case len(stage.Branches) > 0:
				r.branches(stage.Branches, true, here)
			case stage.Multi:
				r.multi()
			case stage.Grouped:
				r.grouped(stage.By)
			default:
				r.weighted(false)
			}
		case Shuffle:
			r.weighted(true)
		case Sticky:
			r.sticky(stage.Bound)
		case OnePer:
			r.onePer(stage.By)
		case Canary:
			r.canary(stage)
		case Schedule:
			r.schedule(stage)
		case Shed:
			r.shed(stage)
		case Take:
			if r.q.Want == 0 {
				r.order()
				r.list = r.list[:min(len(r.list), stage.N)]
			}
		}
	}
}

// ofFamily reports whether a question of a family can use an endpoint.
func ofFamily(e *EndpointSpec, f Family) bool {
	v4, v6, host, text := e.V4.IsValid(), e.V6.IsValid(), e.Host != "", e.Text != ""
	return map[Family]bool{FamilyAny: true, FamilyV4: v4, FamilyV6: v6, FamilyAddress: v4 || v6, FamilyHost: host, FamilyTarget: v4 || v6 || host, FamilyText: text, FamilyServer: host && e.Port != 0}[f]
}

type naiveEndpoint struct {
	id    EndpointID
	e     *EndpointSpec
	v     Verdict
	up    bool
	ranks []int // one of each geo stage
}

type naive struct {
	spec   Spec
	q      Query
	draws  uint64 // number of stages that draw
	salts  map[string]uint64
	dice   uint64
	failed bool
	closed bool
	ttl    uint32
	all    []naiveEndpoint
	sites  []string // of the branches around; nil: all
	list   []naiveEndpoint
	lost   []naiveEndpoint
	reason Reason
}

func (r *naive) because(x Reason) { r.reason = max(r.reason, x) }

func (r *naive) order() {
	slices.SortStableFunc(r.list, func(a, b naiveEndpoint) int { return slices.Compare(a.ranks, b.ranks) })
}

func (r *naive) healthy(h Healthy) {
	if len(r.list) == 0 {
		return
	}
	var up, not, drained []naiveEndpoint
	weight, whole := 0.0, 0.0
	for _, x := range r.list {
		whole += float64(x.e.Weight)
		switch {
		case x.up:
			up = append(up, x)
			weight += float64(x.e.Weight)
			continue
		case x.v.State == Drained:
			drained = append(drained, x)
		}
		not = append(not, x)
		if x.v.Forced {
			r.because(ReasonOverride)
		}
	}
	closed := h.Closed && r.q.Short == ShortageByPolicy || r.q.Short >= ShortageClosed
	r.closed = r.closed || closed && len(not) > 0
	if whole == 0 {
		weight, whole = float64(len(up)), float64(len(r.list))
	}
	if len(up) > 0 && len(up) >= h.Min && weight >= h.Threshold*whole {
		r.list, r.lost = up, append(r.lost, not...)
		return
	}
	r.failed = true
	switch {
	case r.q.Short == ShortageEmpty:
		r.closed = true
		r.because(ReasonFailClosed)
		r.list, r.lost = nil, append(r.lost, r.list...)
		return
	case closed:
		if len(up) == 0 {
			r.because(ReasonFailClosed)
		}
		r.list, r.lost = up, append(r.lost, not...)
		return
	}
	r.because(ReasonFailOpen)
	if len(drained) < len(r.list) {
		r.list = slices.DeleteFunc(slices.Clone(r.list), func(x naiveEndpoint) bool { return !x.up && x.v.State == Drained })
		r.lost = append(r.lost, drained...)
	}
	r.list = slices.Clone(r.list)
	for i := range r.list {
		r.list[i].up = true
	}
}

func (r *naive) failover(f Failover) {
	threshold := f.Threshold
	if threshold == 0 {
		threshold = 0.5
	}
	sites := f.Sites
	var row map[string]int
	if f.Order != nil {
		var to GeoTarget
		if row, _, to = naiveRow(r.spec, *f.Order, r.q.From, r.q.Client); !to.Nearest {
			row, sites = nil, to.Sites
		}
	}
	key := func(x naiveEndpoint) []int {
		switch k := slices.Index(sites, x.e.Site); {
		case row != nil:
			return []int{row[x.e.Site]}
		case len(sites) == 0:
			return x.ranks
		case k >= 0:
			return []int{k}
		}
		return []int{len(sites)}
	}
	for _, x := range r.list {
		if f.Order != nil && !slices.Equal(key(x), key(r.list[0])) {
			r.because(ReasonGeo)
		}
	}
	var keys [][]int
	for _, x := range slices.Concat(r.list, r.lost) {
		keys = append(keys, key(x))
	}
	slices.SortFunc(keys, slices.Compare)
	keys = slices.CompactFunc(keys, slices.Equal)

	members := func(list []naiveEndpoint, k []int) []naiveEndpoint {
		var in []naiveEndpoint
		for _, x := range list {
			if slices.Equal(key(x), k) {
				in = append(in, x)
			}
		}
		return in
	}
	best, found := 0, 0 // found: 1 some left, 2 some up, 3 enough up
	second, passed := -1, false
	for i, k := range keys {
		up, all, ups, alls := 0.0, 0.0, 0.0, 0.0
		live := members(r.list, k)
		for _, x := range live {
			if x.up {
				up += float64(x.e.Weight)
				ups++
			}
		}
		for _, x := range append(live, members(r.lost, k)...) {
			all += float64(x.e.Weight)
			alls++
		}
		if all == 0 {
			up, all = ups, alls
		}
		grade := 0
		switch {
		case ups > 0 && up >= threshold*all:
			grade = 3
		case ups > 0:
			grade = 2
		case len(live) > 0:
			grade = 1
		}
		if found == 3 && grade == 3 && second < 0 {
			second = i
		}
		if grade > found {
			best, found = i, grade
		}
	}
	passed = best > 0
	if f.Trickle > 0 && r.roll(1<<32) < uint64(f.Trickle*(1<<32)) && second >= 0 {
		best = second
		r.because(ReasonWeight)
	}
	if found < 3 && len(keys) > 0 {
		r.failed = true
	}
	if found == 0 {
		return
	}
	if passed {
		r.because(ReasonFailover)
	}
	r.list, r.lost = members(r.list, keys[best]), members(r.lost, keys[best])
}

// weighted draws every rank completely.
func (r *naive) weighted(shuffle bool) {
	weight := func(x naiveEndpoint) uint64 {
		if shuffle {
			return 1
		}
		return uint64(x.e.Weight)
	}
	r.order()
	if r.q.Joint {
		r.byKey(r.dice, ReasonWeight, shuffle)
		return
	}
	var done []naiveEndpoint
	for len(r.list) > 0 {
		n := 1
		for n < len(r.list) && slices.Equal(r.list[n].ranks, r.list[0].ranks) {
			n++
		}
		if n > 1 {
			r.because(ReasonWeight)
		}
		group := slices.Clone(r.list[:n])
		r.list = r.list[n:]
		for len(group) > 1 {
			total := uint64(0)
			for _, x := range group {
				total += weight(x)
			}
			even := total == 0
			if even {
				total = uint64(len(group))
			}
			u := r.roll(total)
			for i, x := range group {
				w := weight(x)
				if even {
					w = 1
				}
				if u < w {
					done = append(done, x)
					group = slices.Delete(group, i, i+1)
					break
				}
				u -= w
			}
		}
		done = append(done, group...)
	}
	r.list = done
}

// roll is one step of splitmix64 (Steele, Lea, Flood 2014), scaled to [0, n).
func (r *naive) roll(n uint64) uint64 {
	r.dice += 0x9e3779b97f4a7c15
	z := r.dice
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	z ^= z >> 31
	return scale(z, n)
}

// scale returns the number in [0, n) that is as far up as x is among all of 64 bits.
func scale(x, n uint64) uint64 {
	v := new(big.Int).Mul(new(big.Int).SetUint64(x), new(big.Int).SetUint64(n))
	return v.Rsh(v, 64).Uint64()
}

// sameDecision compares what reference yields.
func sameDecision(a, b Decision) bool {
	return slices.Equal(a.Endpoints, b.Endpoints) && a.Tier == b.Tier && cmp.Compare(a.TTL, b.TTL) == 0 && a.Reason == b.Reason
}
