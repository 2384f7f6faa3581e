package zone

import (
	"bytes"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// Substitute appends to dst the name that a DNAME at owner makes of a name below it: what stands before the owner, and then the
// target (RFC 6672 2.2). It returns nil if that is longer than a name can be, which is answered with YXDOMAIN.
func Substitute(dst []byte, name, owner, target wire.Name) wire.Name {
	before := len(name) - len(owner)
	if before+len(target) > wire.MaxName {
		return nil
	}
	start := len(dst)
	dst = append(append(dst, name[:before]...), target...)
	return wire.Name(dst[start:])
}

// next returns the name whose addresses stand for those of the name that was looked up, if it is another.
func (m *Match) next(name wire.Name) (wire.Name, bool) {
	switch m.Kind {
	case Alias:
		return m.Set.RData[0], true
	case Flatten:
		return m.Target, true
	case Redirect:
		to := Substitute(nil, name, m.Cut, m.Set.RData[0])
		return to, to != nil
	}
	return nil, false
}

// OutsideTargets returns the distinct names whose addresses aliases need and our zones do not have: the targets of aliases, or where
// those lead through our CNAMEs, DNAMEs and other aliases, if that is in none of our zones or delegated to other servers. They are
// in the order of the zones and of the names in them.
func (s *Set) OutsideTargets() []wire.Name {
	var out []wire.Name
	seen := map[string]bool{}
	for _, z := range s.Zones() {
		for i := range z.nodes {
			name := z.aliasOf(&z.nodes[i])
			if name == nil {
				continue
			}
			if name = s.LeavesAt(name); name != nil && !seen[string(name)] {
				seen[string(name)] = true
				out = append(out, bytes.Clone(name))
			}
		}
	}
	return out
}

// LeavesAt follows the addresses of a name through our CNAMEs, DNAMEs and aliases, and returns the first name on the way that our zones
// do not have, itself if it is none of ours, or nil if the way ends within them.
func (s *Set) LeavesAt(name wire.Name) wire.Name {
	for range MaxChain + 1 {
		m := s.Lookup(name, wire.TypeA)
		if m.Kind == NotAuth || m.Kind == Referral {
			return name
		}
		next, ok := m.next(name)
		if !ok {
			return nil
		}
		name = next
	}
	return nil
}
