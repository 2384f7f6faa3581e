package policy

import "net/netip"

// A layer is the networks of a list of NetworkSpecs: of IPv4 and IPv6, sorted. Values are positions in frame.places.
type layer [2][]interval

// compileGeoData compiles what the Spec says of clients, those layers first that go before others.
func (c *compiler) compileGeoData(s Spec) {
	p := &c.plan
	for _, s := range p.sites {
		p.places = append(p.places, s.place)
	}
	places := map[place]uint32{}
	c.compileNetworks(places, s.Networks, "networks")
	c.compileNetworks(places, s.Listed, "networks_file")
	for _, t := range s.Tables {
		if t.len() > 0 {
			p.tables = append(p.tables, t)
		}
	}
	p.maxRadius = s.MaxRadius
	if s.MaxRadius == 0 {
		p.maxRadius = DefaultMaxRadius
	} else if !(s.MaxRadius > 0) { // so that NaN is refused
		c.problem([]string{"geo", "max_radius"}, "a radius of %v km is out of range: want more than 0", s.MaxRadius)
	}
}

// compileNetworks adds a layer, if there is anything in it. key is the setting that its networks come from.
func (c *compiler) compileNetworks(places map[place]uint32, specs []NetworkSpec, key string) {
	if len(specs) == 0 {
		return
	}
	p := &c.plan
	list, twice := sortPrefixes(len(specs), func(i int) netip.Prefix { return specs[i].Prefix })
	placeOf := make([]uint32, len(specs)) // by position in specs
	for i, n := range specs {
		if id, ok := p.siteByName[n.Site]; ok && n.At == nil && !n.inRegion() && isNetwork(n.Prefix) && !twice[i] {
			placeOf[i] = uint32(id) // most are at a site, and nothing else
			continue
		}
		c.at(func() {
			if c.checkPrefix(n.Prefix) && twice[i] {
				c.problem(here, "network %s is declared twice", n.Prefix)
			}
			at := c.compilePlace(n)
			id, ok := places[at]
			if !ok {
				id = uint32(len(p.places))
				places[at] = id
				p.places = append(p.places, at)
			}
			placeOf[i] = id
		}, "geo", key, n.Prefix.String())
	}
	for _, family := range list {
		for i := range family {
			family[i].value = placeOf[family[i].value]
		}
	}
	p.layers = append(p.layers, list)
}

// sortPrefixes returns n prefixes as a layer, with their positions for values, and the positions of those declared twice.
func sortPrefixes(n int, prefix func(i int) netip.Prefix) (list layer, twice map[int]bool) {
	var count [2]int
	for i := range n {
		if p := prefix(i); isNetwork(p) {
			count[familyIndex(p)]++
		}
	}
	for f, n := range count {
		list[f] = make([]interval, 0, n)
	}
	for i := range n {
		if p := prefix(i); isNetwork(p) {
			f := familyIndex(p)
			list[f] = append(list[f], intervalOf(p, i))
		}
	}
	twice = map[int]bool{}
	for _, family := range list {
		sortIntervals(family)
		for i := 1; i < len(family); i++ {
			if a, b := &family[i-1], &family[i]; a.start == b.start && a.bits == b.bits {
				twice[int(b.value)] = true
			}
		}
	}
	return list, twice
}

// compilePlace returns the place of a network, whose path is the current one.
func (c *compiler) compilePlace(n NetworkSpec) (at place) {
	if n.Site == "" && n.At == nil && !n.inRegion() {
		c.problem(here, "network %s says nothing: give it a site, coordinates or a region", n.Prefix)
	}
	if n.Site != "" {
		id, ok := c.plan.siteByName[n.Site]
		if !ok {
			c.problem(here, "there is no site %q", n.Site)
		}
		at = c.plan.sites[id].place
	}
	if n.At != nil {
		c.checkPoint(*n.At)
		at.known, at.at = true, *n.At
	}
	if n.inRegion() {
		c.checkRegions(n.Region, n.Within)
		at.regions = regionsOf(n.Region, n.Within)
	}
	return at
}

// find returns the place of the longest network around an address and its length, if there is one, by looking at every network.
func (l *layer) find(addr netip.Addr) (place uint32, bits int, ok bool) {
	bits = -1
	for _, n := range l[familyIndex(netip.PrefixFrom(addr, addr.BitLen()))] {
		if around, err := addr.Prefix(int(n.bits)); err == nil && firstAddr(around) == n.start && int(n.bits) > bits {
			place, bits = n.value, int(n.bits)
		}
	}
	return place, bits, bits >= 0
}
