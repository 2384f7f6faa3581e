package zone

import (
	"bytes"
	"fmt"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
)

// Doubts returns what zone files have that Compile lets pass, as other servers load it, and that their writer should know all the same:
// CNAMEs and DNAMEs that lead into a circle, or through more aliases than are followed (what is answered is bounded by MaxChain), and name
// servers of ours that cannot be reached. They are at most maxFaults of each kind and zone, in the order of its file. The Set was compiled
// from the Specs.
func (s *Set) Doubts(specs []Spec) []policy.Problem {
	var out []policy.Problem
	for i := range specs {
		spec := &specs[i]
		apex, err := parseName(spec.Name)
		seen, ok := s.View(spec.View)
		if z := seen.Zone(apex); ok && err == nil && spec.RRs.Len() > 0 && z != nil && bytes.Equal(z.apex, apex) && z.view == spec.View {
			out = append(out, seen.circlesOf(z, spec)...)
			out = append(out, seen.lameOf(z, spec)...)
		}
	}
	return out
}

// lameOf returns the name servers of one zone file that are ours and have no address.
func (s *Set) lameOf(z *Zone, spec *Spec) (out []policy.Problem) {
	for _, i := range z.servers {
		n := &z.nodes[i]
		for _, name := range z.rrset(n, wire.TypeNS).RData {
			why := s.serverFault(z.nameOf(n), name)
			if why == "" || len(out) >= maxFaults {
				continue
			}
			if at, ok := spec.RRs.search(z.nameOf(n), wire.TypeNS, name); ok {
				rr, _, _ := spec.RRs.read(at)
				out = append(out, policy.Problem{Path: spec.Path("file"), File: spec.RRs.files[rr.File], Line: int(rr.Line), Msg: why})
			}
		}
	}
	return out
}

// circlesOf returns the CNAMEs and DNAMEs of one zone file that come to no end.
func (s *Set) circlesOf(z *Zone, spec *Spec) (out []policy.Problem) {
	faults := map[string]string{} // by owner: it has one CNAME or DNAME
	for i := range z.nodes {
		n := &z.nodes[i]
		sets := z.setsOf(n)
		for j := range sets {
			why := ""
			switch to := sets[j].RData[0]; sets[j].Type {
			case wire.TypeCNAME:
				why = s.chainFault(to)
			case wire.TypeDNAME:
				why = s.redirectFault(z.nameOf(n), to)
			}
			if why != "" && len(faults) < maxFaults {
				faults[string(z.nameOf(n))] = why
			}
		}
	}
	if len(faults) == 0 {
		return nil
	}
	for rr := range spec.RRs.All() {
		why, ok := faults[string(rr.Owner)]
		if ok && (rr.Type == wire.TypeCNAME || rr.Type == wire.TypeDNAME) {
			delete(faults, string(rr.Owner))
			out = append(out, policy.Problem{Path: spec.Path("file"), File: spec.RRs.files[rr.File], Line: int(rr.Line), Msg: why})
		}
	}
	return out
}

// chainFault follows an alias to its end inside our zones, through CNAME, DNAME and alias alike. It returns what is wrong with the
// way, or nothing.
func (s *Set) chainFault(first wire.Name) string {
	var seen [MaxChain]wire.Name
	return s.chainFrom(first, seen, 0, nil)
}

// chainFrom is chainFault behind the first links, which are in seen. clean has how many links led to the variants that are known to come to
// an end.
func (s *Set) chainFrom(name wire.Name, seen [MaxChain]wire.Name, links int, clean map[string]int) string {
	for ; ; links++ {
		for _, earlier := range seen[:links] {
			if bytes.Equal(earlier, name) {
				return fmt.Sprintf("the alias leads into a circle through %s", show(name))
			}
		}
		if links == MaxChain {
			return fmt.Sprintf("the alias leads through more than %d aliases; point it to the end of the chain", MaxChain)
		}
		seen[links] = name
		m := s.Lookup(name, wire.TypeA)
		if m.Kind == Conditional {
			return s.variantFault(&m, name, seen, links, clean)
		}
		next, ok := m.Next(name)
		if !ok {
			if m.Kind == Redirect {
				return fmt.Sprintf("the alias leads to %s, which the DNAME of %s makes longer than a name can be (RFC 6672 2.2)", show(name), show(m.Cut))
			}
			return ""
		}
		name = next
	}
}

// variantFault is chainFrom for the variants of a name, to which so many links led.
func (s *Set) variantFault(m *Match, name wire.Name, seen [MaxChain]wire.Name, links int, clean map[string]int) string {
	if clean == nil {
		clean = map[string]int{}
	}
	if known, ok := clean[string(name)]; ok && known >= links {
		return ""
	}
	for v := range m.Each(wire.TypeA) {
		if next, ok := v.Next(name); ok {
			if why := s.chainFrom(next, seen, links+1, clean); why != "" {
				return why
			}
		}
	}
	clean[string(name)] = links
	return ""
}

// redirectFault says what is wrong with a DNAME that leads below itself, or into a circle, as every name below it would grow without
// end; or nothing.
func (s *Set) redirectFault(owner, first wire.Name) string {
	name := first
	for links := 0; ; links++ {
		if name.IsSubdomainOf(owner) {
			return fmt.Sprintf("the DNAME leads back below %s", show(owner))
		}
		if links == MaxChain {
			return fmt.Sprintf("the DNAME leads through more than %d DNAMEs; point it to the end of the chain", MaxChain)
		}
		// What holds for some name below the target holds for all of which nothing is known.
		probe := append(wire.Name{1, 0}, name...)
		if len(probe) > wire.MaxName {
			return ""
		}
		m := s.Lookup(probe, wire.TypeA)
		if m.Kind != Redirect {
			return ""
		}
		next, ok := m.Next(probe)
		if !ok {
			return ""
		}
		name = next.Parent()
	}
}
