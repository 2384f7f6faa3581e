package zone

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// check finds what is wrong between the names of the draft and all names of the Set.
func (d *draft) check(s *Set) {
	for o := range d.all() {
		d.checkReach(s, o)
		for j := range o.sets {
			if set := &o.sets[j]; targetField(set.Type) >= 0 {
				d.checkTargets(s, o, j, set)
			}
		}
		if o.alias != nil && !d.lacksDot(s, wire.TypeCNAME, o.spec.Alias, o.alias, at(o.spec, "alias")) {
			d.checkChain(s, o.alias, at(o.spec, "alias"))
		}
	}
	if d.spec.RRs.Len() > 0 {
		d.checkFile(s)
	}
}

// checkFile checks the name servers in the zone file, and the names that it steers. What a policy answers would not do for a server,
// whatever other servers think of the file.
func (d *draft) checkFile(s *Set) {
	d.checkSteered(s)
	for _, i := range d.zone.servers {
		if d.faults >= maxFaults {
			return
		}
		n := &d.zone.nodes[i]
		for _, name := range d.zone.rrset(n, wire.TypeNS).RData {
			if why := s.dynamic(name); why != "" {
				if at, ok := d.spec.RRs.search(d.zone.nameOf(n), wire.TypeNS, name); ok {
					d.fault(at, "%s %s; the addresses of a name server must be static", show(wire.Name(name)), why)
				}
			}
		}
	}
}

// checkSteered refuses names that the zone file steers and that belong to another zone.
func (d *draft) checkSteered(s *Set) {
	if len(d.spec.RRs.Steers()) == 0 || d.guest {
		return
	}
	for i := range d.zone.nodes {
		n := &d.zone.nodes[i]
		if !n.steered() || d.faults >= maxFaults {
			continue
		}
		name := d.zone.nameOf(n)
		if z := s.Zone(name); z != d.zone {
			if at, ok := d.spec.RRs.search(name, TypeSteered, nil); ok {
				d.fault(at, "%s belongs to zone %s, so it would never be answered from here; write it there", show(name), z.name)
			}
		}
	}
}

// dynamic says why the addresses of a name, or of what its CNAMEs and DNAMEs lead to, are not static, or nothing.
func (s *Set) dynamic(first wire.Name) string {
	for _, rrtype := range [...]uint16{wire.TypeA, wire.TypeAAAA} {
		name, through := first, ""
		for range MaxChain + 1 {
			m := s.Lookup(name, rrtype)
			switch m.Kind {
			case Steered:
				return through + "is steered by a service"
			case Flatten:
				return through + "has the addresses of an alias"
			case Whoami:
				return through + "tells of the client"
			case Conditional:
				return through + "hangs on who asks"
			}
			next, ok := m.Next(name)
			if !ok {
				break
			}
			name, through = next, "leads to "+show(next)+", which "
		}
	}
	return ""
}

// checkReach refuses what is not static at names that are never answered from this zone.
func (d *draft) checkReach(s *Set, o *owner) {
	if o.steer == nil && o.alias == nil && !o.whoami && o.variants == nil || o.varies || d.guest {
		return
	}
	m := s.Lookup(o.name, wire.TypeA)
	switch {
	case !bytes.Equal(m.Zone.apex, d.apex):
		d.problem(at(o.spec), "%q belongs to zone %s, so it would never be answered from here; write it there", o.spec.Owner, m.Zone.name)
	case m.Kind == Referral && bytes.Equal(m.Cut, o.name): // told before
	case m.Kind == Referral:
		d.problem(at(o.spec), "%q is below the delegation of %s, so it would never be answered", o.spec.Owner, show(m.Cut))
	}
}

// checkTargets checks the names that a set points to.
func (d *draft) checkTargets(s *Set, o *owner, pos int, set *wire.RRset) {
	for i, rdata := range set.RData {
		name := target(set.Type, rdata)
		path := []string{"ns", strconv.Itoa(i)}
		if from := o.from[pos]; from >= 0 {
			static := o.spec.Static[from]
			if path = at(o.spec, static.Type); len(set.RData) > 1 {
				path = append(path, strconv.Itoa(i))
			}
			if d.lacksDot(s, set.Type, static.Values[i], name, path) {
				continue
			}
		}
		switch set.Type {
		case wire.TypeCNAME:
			d.checkChain(s, name, path)
		case wire.TypeDNAME:
			if why := s.redirectFault(o.name, name); why != "" {
				d.problem(path, "%s", why)
			}
		case wire.TypeNS:
			d.checkServer(s, o, name, path)
		case wire.TypeMX, wire.TypeSRV:
			m := s.Lookup(name, wire.TypeA)
			for m := range m.Each(wire.TypeA) {
				if m.Kind != Alias && m.Kind != Redirect {
					continue
				}
				d.problem(path, "%s is an alias (CNAME); %s needs the name it stands for (RFC 2181 10.3)", show(name), typeName(set.Type))
				break
			}
		}
	}
}

// lacksDot refuses relative names of several labels that do not exist: their writer meant an absolute one.
func (d *draft) lacksDot(s *Set, rrtype uint16, text string, name wire.Name, path []string) bool {
	fields := strings.Fields(text)
	pos := targetField(rrtype)
	if d.guest || len(fields) != pos+1 || !strings.Contains(fields[pos], ".") || isAbsolute(fields[pos]) || d.endsInZone(fields[pos]) ||
		s.Lookup(name, wire.TypeA).Kind != NXDomain {
		return false
	}
	d.problem(path, `%q has no final dot, so it means %s, which does not exist; write "%s." if that is the name`,
		fields[pos], show(name), fields[pos])
	return true
}

// checkChain refuses an alias that does not come to an end inside our zones.
func (d *draft) checkChain(s *Set, first wire.Name, path []string) {
	if why := s.chainFault(first); why != "" {
		d.problem(path, "%s", why)
	}
}

// checkServer checks the target of an NS record: a name with static addresses, if it is ours.
func (d *draft) checkServer(s *Set, o *owner, name wire.Name, path []string) {
	if why := s.serverFault(o.name, name); why != "" {
		d.problem(path, "%s", why)
	}
}

// serverFault says what is wrong with a name as that of a server for an owner of NS records, or nothing.
func (s *Set) serverFault(owner, name wire.Name) string {
	m := s.Lookup(name, wire.TypeA)
	if why := s.dynamic(name); why != "" && m.Kind != Alias && m.Kind != Redirect {
		return fmt.Sprintf("%s %s; the addresses of a name server must be static", show(name), why)
	}
	switch m.Kind {
	case NotAuth, Answer:
	case Alias, Redirect:
		return fmt.Sprintf("%s is an alias (CNAME); a name server needs the name it stands for (RFC 2181 10.3)", show(name))
	case Referral:
		if !bytes.Equal(m.Cut, owner) {
			return "" // the glue is the other delegation's affair
		}
		if n := m.Zone.node(name); n == nil || m.Zone.rrset(n, wire.TypeA) == nil && m.Zone.rrset(n, wire.TypeAAAA) == nil {
			return fmt.Sprintf("%s is inside the delegation, so it needs its address (A or AAAA) here as glue", show(name))
		}
	default:
		if s.Lookup(name, wire.TypeAAAA).Kind != Answer {
			return fmt.Sprintf("%s is in zone %s, which has no address for it; add an A or AAAA record", show(name), m.Zone.name)
		}
	}
	return ""
}

// show returns a name in presentation form without the final dot.
func show(name wire.Name) string {
	if len(name) <= 1 {
		return "."
	}
	return strings.TrimSuffix(name.String(), ".")
}
