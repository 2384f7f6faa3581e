package zone

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
)

// freeze lays the draft out as a Zone. The draft may have problems; the Zone then serves the remaining checks. It is nil if there is
// no SOA.
func (d *draft) freeze() *Zone {
	z := &Zone{name: strings.TrimSuffix(d.origin, "."), apex: d.apex, view: d.spec.View, manners: d.manners}
	if z.name == "" {
		z.name = "."
	}
	if d.spec.Allow != nil {
		z.allow = newACL(d.spec.Allow)
	}
	b := &builder{draft: d, zone: z}
	b.nameNodes()
	b.sortRecords()
	b.fill()
	z.join()
	if z.SOA() == nil {
		return nil
	}
	b.bind()
	for i := range z.nodes {
		n := &z.nodes[i]
		if i < b.named && !n.empty() {
			z.records++
		}
		if list := b.recordsOf(i); n.cut != 0 && int(n.cut) != i && b.steered(list) > 0 {
			b.fault(list[0], "%s is below the delegation of %s, so it would never be steered", show(z.nameOf(n)), show(z.nameOf(&z.nodes[n.cut])))
		}
		if n.flags&flagAlias != 0 {
			z.aliases = append(z.aliases, uint32(i))
		}
		sets := z.setsOf(n)
		for j := range sets {
			if sets[j].Type == wire.TypeNS {
				z.servers = append(z.servers, uint32(i))
			}
			z.resolve(&sets[j], n)
		}
	}
	z.extras = slices.Clip(z.extras)
	z.sign()
	return z
}

// join marks the decisions that answer types which must agree: HTTPS and SVCB give hints of addresses, and these and SRV the ports behind
// them (RFC 9460 7, 2782).
func (z *Zone) join() {
	type decision struct {
		service policy.ServiceID
		policy  policy.PolicyID
	}
	var joint map[decision]bool
	for i := range z.nodes {
		if s := &z.nodes[i].steer; z.nodes[i].steered() && s.Types&jointTypes != 0 {
			if joint == nil {
				joint = map[decision]bool{}
			}
			joint[decision{s.Service, s.Policy}] = true
		}
	}
	for i := range z.nodes {
		if s := &z.nodes[i].steer; joint != nil && joint[decision{s.Service, s.Policy}] {
			s.Joint = true
		}
	}
}

// bind tells every node of its wildcard and of the delegation it is at or below, and finds what lies below a DNAME.
func (b *builder) bind() {
	z := b.zone
	special := false
	for i := range z.nodes[:b.named] {
		n := &z.nodes[i]
		if n.nameLen > 2 {
			if name := z.nameOf(n); name.IsWildcard() && i > 0 {
				z.node(name.Parent()).wild = uint32(i)
			}
		}
		special = special || i > 0 && z.cuts(n) || n.flags&flagDNAME != 0
	}
	if !special {
		return
	}
	for i := range z.nodes[:b.named] {
		n := &z.nodes[i]
		redirect := -1
		for name := z.nameOf(n); ; name = name.Parent() {
			pos, _ := z.position(name)
			above := &z.nodes[pos]
			if pos > 0 && z.cuts(above) {
				n.cut = pos
			}
			if above.flags&flagDNAME != 0 && int(pos) != i {
				redirect = int(pos)
			}
			if pos == 0 {
				break
			}
		}
		if redirect >= 0 && n.cut == 0 && !n.empty() {
			b.below(uint32(i), &z.nodes[redirect])
		}
	}
}

// cuts reports whether a node, not the apex, is a delegation. A wildcard is none (RFC 4592 4.2).
func (z *Zone) cuts(n *node) bool {
	return z.set(n, wire.TypeNS) != nil && !z.nameOf(n).IsWildcard()
}

// resolve notes the addresses that the zone has for the targets of a set: glue for NS, a courtesy for MX and SRV. Glue without which
// the servers of a delegation cannot be reached comes first (RFC 9471 3).
func (z *Zone) resolve(s *set, n *node) {
	if s.Type != wire.TypeNS && s.Type != wire.TypeMX && s.Type != wire.TypeSRV {
		return
	}
	var extra []Address
	cut := s.Type == wire.TypeNS && z.cuts(n) && n != &z.nodes[0]
	for _, required := range [...]bool{true, false} {
		for _, rdata := range s.RData {
			name := target(s.Type, rdata)
			if !name.IsSubdomainOf(z.apex) || required != (cut && name.IsSubdomainOf(z.nameOf(n))) {
				continue
			}
			for _, rrtype := range [...]uint16{wire.TypeA, wire.TypeAAAA} {
				if found := z.static(name, rrtype, s.Type == wire.TypeNS); found != nil && len(extra) < maxExtra {
					extra = append(extra, Address{Name: name, Set: found, Required: required})
				}
			}
		}
	}
	if extra != nil {
		z.extras = append(z.extras, slices.Clip(extra))
		s.extra = uint32(len(z.extras))
	}
}

// maxExtra bounds the addresses beside a set. A message could not hold them.
const maxExtra = 4096

// static returns the static set of a name and type, or nil. Glue says whether one below a delegation counts.
func (z *Zone) static(name wire.Name, rrtype uint16, glue bool) *wire.RRset {
	var m Match
	switch z.lookup(&m, hashName(name), name, rrtype); m.Kind {
	case Answer:
		return m.Set
	case Referral:
		if n := z.node(name); n != nil && glue {
			return z.rrset(n, rrtype)
		}
	}
	return nil
}

// sign notes the serial and the SOA of negative answers.
func (z *Zone) sign() {
	soa := z.SOA()
	numbers := soa.RData[0][len(soa.RData[0])-20:]
	z.serial = binary.BigEndian.Uint32(numbers)
	z.negative = *soa
	z.negative.TTL = min(soa.TTL, binary.BigEndian.Uint32(numbers[16:]))
}
