package zone

import (
	"bytes"
	"slices"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
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

// Next returns the name whose addresses stand for those of the name that was looked up, if it is another.
func (m *Match) Next(name wire.Name) (wire.Name, bool) {
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
// those lead through our CNAMEs, DNAMEs and other aliases, if that is in none of our zones or delegated to other servers. Where a policy
// chooses a CNAME, all hosts of its service in the plan count; a nil plan has none. They are in the order of the zones and of the names
// in them.
func (s *Set) OutsideTargets(plan *policy.Plan) []wire.Name {
	var out []wire.Name
	told := map[string]bool{}
	for _, seen := range s.AllViews() {
		w := walk{set: seen, plan: plan, seen: map[string]bool{}}
		for _, z := range seen.seen {
			for _, i := range z.aliases {
				w.from(z.aliasOf(&z.nodes[i]))
			}
		}
		for _, name := range w.out {
			if !told[string(name)] {
				told[string(name)] = true
				out = append(out, name)
			}
		}
	}
	return out
}

// LeavesAt follows the addresses of a name through our CNAMEs, DNAMEs, aliases and the CNAMEs that policies choose from the plan, and
// returns the first name found that our zones do not have, itself if it is none of ours, or nil if all ways end within them.
func (s *Set) LeavesAt(name wire.Name, plan *policy.Plan) wire.Name {
	w := walk{set: s, plan: plan, seen: map[string]bool{}}
	if w.from(name); len(w.out) > 0 {
		return w.out[0]
	}
	return nil
}

// A walk follows names to where they leave our zones. It visits each name once.
type walk struct {
	set  *Set
	plan *policy.Plan
	seen map[string]bool
	todo []wire.Name
	out  []wire.Name
}

// from follows a name to the ends of all its ways.
func (w *walk) from(name wire.Name) {
	w.todo = append(w.todo[:0], name)
	for len(w.todo) > 0 {
		name, w.todo = w.todo[len(w.todo)-1], w.todo[:len(w.todo)-1]
		if w.seen[string(name)] {
			continue
		}
		w.seen[string(name)] = true
		m := w.set.Lookup(name, wire.TypeA)
		for m := range m.Each(wire.TypeA) {
			switch {
			case m.Kind == NotAuth, m.Kind == Referral:
				w.out = append(w.out, bytes.Clone(name))
			case m.Kind == Steered && m.Steer.Types.Has(wire.TypeCNAME):
				w.hosts(m.Steer.Service)
				if m.Manner != nil {
					for _, f := range m.Manner.Fallbacks {
						w.hosts(f.Service)
					}
				}
			default:
				if next, ok := m.Next(name); ok {
					w.todo = append(w.todo, next)
				}
			}
		}
	}
}

// hosts goes on with the hosts of a service, the first one next.
func (w *walk) hosts(service policy.ServiceID) {
	if w.plan == nil {
		return
	}
	for _, id := range slices.Backward(w.plan.Endpoints(service)) {
		if host := w.plan.Endpoint(id).Host; host != "" {
			if name, err := wire.ParseName(host); err == nil { // hosts are checked on their way in
				w.todo = append(w.todo, name)
			}
		}
	}
}
