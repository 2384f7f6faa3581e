package policy

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
)

// naiveRow ranks the sites, by name, for the client, and puts them in line. It returns the target that says so too.
func naiveRow(spec Spec, g Geo, from SiteID, client netip.Prefix) (row, line map[string]int, to GeoTarget) {
	siteOf := func(name string) *SiteSpec {
		for i := range spec.Sites {
			if spec.Sites[i].Name == name {
				return &spec.Sites[i]
			}
		}
		return nil
	}
	var at *Point
	var regions []string
	here := ""
	to = g.Default
	ruled := false
	if from != NoSite {
		x := spec.Sites[from-1]
		at, regions, here = x.At, append([]string{x.Region}, x.Within...), x.Name
	} else if client.IsValid() {
		addr := client.Masked().Addr().Unmap()
		best := -1
		for _, list := range [][]NetworkSpec{spec.Networks, spec.Listed} {
			if best >= 0 {
				break // networks of the configuration go before those listed
			}
			for _, n := range list {
				if n.Prefix.Contains(addr) && n.Prefix.Bits() > best {
					best = n.Prefix.Bits()
					at, regions, here = nil, nil, n.Site
					if x := siteOf(n.Site); x != nil {
						at, regions = x.At, append([]string{x.Region}, x.Within...)
					}
					if n.At != nil {
						at = n.At
					}
					if n.Region != "" || len(n.Within) > 0 {
						regions = append([]string{n.Region}, n.Within...)
					}
				}
			}
		}
		if best < 0 {
			at, regions = naiveDatabases(spec, addr)
		}
		best = -1
		for _, x := range g.Rules {
			if x.Region == "" && x.Prefix.Contains(addr) && x.Prefix.Bits() > best {
				best = x.Prefix.Bits()
				to, ruled = x.To, true
			}
		}
	}
	for _, region := range regions {
		for _, x := range g.Rules {
			if !ruled && x.Region != "" && x.Region == region {
				to, ruled = x.To, true
			}
		}
	}

	type siteKey struct { // lower is better: position in the rule's list, distance, position in the Spec
		name                    string
		listed, distance, where float64
	}
	var keys []siteKey
	for i, x := range spec.Sites {
		key := siteKey{x.Name, math.Inf(1), math.Inf(1), float64(i)}
		if k := slices.Index(to.Sites, x.Name); k >= 0 {
			key.listed, key.distance = float64(k), 0
		} else if at != nil && x.At != nil {
			key.distance = distance(*at, *x.At)
			for _, b := range to.Bias {
				if share := float64(b.Bias) / 100; b.Site == x.Name && share > 0 {
					key.distance = math.Round(key.distance * (1 - share))
				} else if b.Site == x.Name {
					key.distance = math.Round(key.distance / (1 + share))
				}
			}
		} else if at == nil && here == x.Name {
			key.distance = 0
		}
		keys = append(keys, key)
	}
	keys = append(keys, siteKey{"", math.Inf(1), math.Inf(1), math.Inf(1)})
	slices.SortFunc(keys, func(a, b siteKey) int {
		return cmp.Or(cmp.Compare(a.listed, b.listed), cmp.Compare(a.distance, b.distance), cmp.Compare(a.where, b.where))
	})
	row, line = map[string]int{}, map[string]int{}
	first := 0 // of a rank
	for i, key := range keys {
		k := keys[first]
		if key.listed != k.listed || math.IsInf(key.distance, 1) || key.distance > k.distance*(1+to.Within) {
			first = i
		}
		row[key.name], line[key.name] = first, i
	}
	return row, line, to
}

// naiveLatency ranks the sites, by name, for the client: it takes the best one that is left and all that go with it, until none is left.
func naiveLatency(spec Spec, l Latency, from SiteID, client netip.Prefix) map[string]int {
	near, _, _ := naiveRow(spec, Geo{Default: GeoTarget{Nearest: true}}, from, client)
	if from != NoSite || !client.IsValid() {
		return near
	}
	addr := client.Masked().Addr().Unmap()
	best := LatencySpec{}
	for _, x := range spec.Latency {
		if x.Prefix.Contains(addr) && (len(best.Times) == 0 || x.Prefix.Bits() > best.Prefix.Bits()) {
			best = x
		}
	}
	times := map[string]float64{}
	for _, t := range best.Times {
		times[t.Site] = float64(t.RTT)
	}
	row := map[string]int{}
	for rank, lead := 0, best.Best; len(times) > 0; rank++ {
		if lead == "" {
			for name, t := range times {
				if lead == "" || t < times[lead] {
					lead = name
				}
			}
		}
		first := times[lead]
		for name, t := range times {
			if fast, slow := min(t, first), max(t, first); slow <= max(fast+math.Floor(fast*l.Within.Share), fast+float64(l.Within.Time)) {
				row[name] = rank
				delete(times, name)
			}
		}
		lead = ""
	}
	for name, rank := range near {
		if _, ok := row[name]; !ok {
			row[name] = 1000 + rank
		}
	}
	return row
}

// staying returns the sites of some endpoints that a target lets stay, by name.
func staying(list []naiveEndpoint, to GeoTarget, line map[string]int) map[string]bool {
	var names []string
	for _, x := range list {
		if !slices.Contains(names, x.e.Site) && !(to.Fence && (x.e.Site == "" || !to.Nearest && !slices.Contains(to.Sites, x.e.Site))) {
			names = append(names, x.e.Site)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return line[a] - line[b] })
	if to.Limit > 0 {
		names = names[:min(len(names), to.Limit)]
	}
	stay := map[string]bool{}
	for _, name := range names {
		stay[name] = true
	}
	return stay
}

func (r *naive) geo(g Geo) {
	row, line, to := naiveRow(r.spec, g, r.q.From, r.q.Client)
	r.cut(to, line)
	r.rank(row)
}

// rank refines the ranks by those of sites, by name.
func (r *naive) rank(row map[string]int) {
	seen := map[int]bool{}
	for _, list := range [][]naiveEndpoint{r.list, r.lost} {
		for i := range list {
			x := &list[i]
			x.ranks = append(slices.Clone(x.ranks), row[x.e.Site])
		}
	}
	for _, x := range r.list {
		seen[row[x.e.Site]] = true
	}
	if len(seen) > 1 {
		r.because(ReasonGeo)
	}
}

// cut drops what a limit or a fence leaves out.
func (r *naive) cut(to GeoTarget, line map[string]int) {
	from := r.list
	if to.Fence {
		from = r.around()
	} else if to.Limit == 0 {
		return
	}
	stay := staying(from, to, line)
	last := -1
	for name := range stay {
		last = max(last, line[name])
	}
	live := slices.DeleteFunc(slices.Clone(r.list), func(x naiveEndpoint) bool { return !stay[x.e.Site] })
	lost := slices.DeleteFunc(slices.Clone(r.lost), func(x naiveEndpoint) bool { return line[x.e.Site] > last })
	if len(live) == 0 && len(lost) == 0 {
		return
	}
	if len(live) < len(r.list) {
		r.because(ReasonGeo)
	}
	r.list, r.lost = live, lost
	if len(live) > 0 {
		return
	}
	r.failed = true
	if r.closed {
		return
	}
	r.because(ReasonFailOpen)
	r.list, r.lost = lost, nil
	if drained := func(x naiveEndpoint) bool { return x.v.State == Drained }; slices.ContainsFunc(lost, func(x naiveEndpoint) bool { return !drained(x) }) {
		r.list = slices.DeleteFunc(slices.Clone(lost), drained)
		r.lost = slices.DeleteFunc(slices.Clone(lost), func(x naiveEndpoint) bool { return !drained(x) })
	}
	for i := range r.list {
		r.list[i].up = true
	}
}

// around returns all endpoints of the service and family that the branch at hand is for.
func (r *naive) around() (list []naiveEndpoint) {
	for _, x := range r.all {
		if r.sites == nil || slices.Contains(r.sites, x.e.Site) {
			list = append(list, x)
		}
	}
	return list
}
