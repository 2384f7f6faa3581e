package policy

import "net/netip"

// onePer is the compiled OnePer stage.
type onePer struct{ by Shared }

func (onePer) name() string { return OnePer{}.stageName() }

// sharedNames are the words for what candidates share.
var sharedNames = [...]string{"site", "subnet"}

func (st onePer) run(s *Scratch) {
	s.settle(len(s.live))
	s.nextEpoch()
	kept := 0
	for i := range s.live {
		group := st.group(s.plan, &s.live[i])
		if group != 0 {
			for int(group) >= len(s.seen) {
				s.seen = append(s.seen, 0)
			}
			if s.seen[group] == s.epoch {
				continue
			}
			s.seen[group] = s.epoch
		}
		s.live[kept] = s.live[i]
		kept++
	}
	s.live, s.settled = s.live[:kept], min(s.settled, kept)
}

// nextEpoch begins to see groups anew.
func (s *Scratch) nextEpoch() {
	s.epoch++
	if s.epoch == 0 { // once in 2^32 times what was seen then could be taken for what is seen now
		clear(s.seen)
		s.epoch = 1
	}
}

// group returns the number of what a candidate shares with others of its service, 0 if it shares nothing.
func (st onePer) group(p *Plan, c *candidate) uint32 {
	if st.by == SharedSite {
		return uint32(c.site)
	}
	return p.subnets[c.id]
}

// subnetOf returns the network that SharedSubnet goes by; it is not valid if the endpoint has no address.
func subnetOf(e *Endpoint) netip.Prefix {
	switch {
	case e.V4.IsValid():
		return netip.PrefixFrom(e.V4, 24).Masked()
	case e.V6.IsValid():
		return netip.PrefixFrom(e.V6, 48).Masked()
	}
	return netip.Prefix{}
}

// numberSubnets numbers the networks of the endpoints of each service from 1.
func (p *Plan) numberSubnets() {
	p.subnets = make([]uint32, len(p.endpoints))
	for i := range p.services {
		numbers := map[netip.Prefix]uint32{}
		for _, id := range p.services[i].ids {
			net := subnetOf(&p.endpoints[id])
			if !net.IsValid() {
				continue
			}
			if numbers[net] == 0 {
				numbers[net] = uint32(len(numbers)) + 1
			}
			p.subnets[id] = numbers[net]
		}
	}
}

func (st onePer) explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) {
	for i := range t.Dropped {
		t.Dropped[i].Why = "another of its " + sharedNames[st.by] + " comes first"
	}
}
