package zone

import (
	"bytes"
	"slices"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// maxFaults bounds the problems that are told of one zone file.
const maxFaults = 50

// An apexOfFile is what a zone file has at the apex.
type apexOfFile struct {
	soa bool
	ns  [][]byte
}

// apexOfFile finds what the zone file has at the apex. Records outside the zone are a problem; then no record counts.
func (d *draft) apexOfFile() (found apexOfFile) {
	rrs, last := d.spec.RRs, ^uint32(0)
	if rrs == nil {
		return found
	}
	atApex, outside := false, false
	for at := uint32(0); at < uint32(len(rrs.data)); {
		rr, owner, next := rrs.read(at)
		if owner != last {
			last, atApex = owner, bytes.Equal(rr.Owner, d.apex)
			if !rr.Owner.IsSubdomainOf(d.apex) {
				outside = true
				d.fault(at, "%s is outside the zone", show(rr.Owner))
			}
		}
		switch {
		case atApex && rr.Type == wire.TypeSOA:
			found.soa = true
		case atApex && rr.Type == wire.TypeNS:
			found.ns = append(found.ns, rr.RData)
		}
		at = next
	}
	if outside {
		spec := *d.spec // the rest cannot be judged
		spec.RRs = new(RRs)
		d.spec = &spec
	}
	return found
}

// fault notes something wrong with a record of the zone file.
func (d *draft) fault(at uint32, format string, args ...any) {
	rr, _, _ := d.spec.RRs.read(at)
	d.faultAt(rr.File, rr.Line, format, args...)
}

// faultAt notes something wrong in a line of a file of the zone file.
func (d *draft) faultAt(file uint16, line uint32, format string, args ...any) {
	if d.faults++; d.faults > maxFaults {
		return
	}
	d.problem([]string{"file"}, format, args...)
	p := &d.problems[len(d.problems)-1]
	p.File, p.Line = d.spec.RRs.files[file], int(line)
}

// judge checks what the zone file has at one name. Only what every server refuses is a fault: a zone that is served elsewhere should
// be served here.
func (b *builder) judge(i int, sets []set) {
	if len(sets) == 0 {
		return
	}
	records, top := b.recordsOf(i), i == 0
	at := func(rrtype uint16) uint32 { // where the last record of the type stands
		for j := len(records) - 1; ; j-- {
			if b.spec.RRs.typeAt(records[j]) == rrtype {
				return records[j]
			}
		}
	}
	hasNS := false
	for j := range sets {
		switch s := &sets[j]; {
		case s.Type == wire.TypeNS:
			hasNS = true
		case s.Type == wire.TypeCNAME && len(s.RData) > 1:
			b.fault(at(s.Type), "a name has one CNAME, not %d (RFC 2181 10.1)", len(s.RData))
		case s.Type == wire.TypeCNAME && len(sets) > 1:
			b.fault(at(s.Type), "an alias (CNAME) stands alone at its name (RFC 1034 3.6.2); there is more at %s", show(b.zone.nameOf(&b.zone.nodes[i])))
		case s.Type == wire.TypeDNAME && len(s.RData) > 1:
			b.fault(at(s.Type), "a name has one DNAME, not %d (RFC 6672 2.4)", len(s.RData))
		case s.Type == wire.TypeDNAME && hasNS && !top:
			b.fault(at(s.Type), "a DNAME cannot stand at a delegation (RFC 6672 2.3)")
		case s.Type == wire.TypeSOA && !top:
			b.fault(at(s.Type), "the SOA is of %s, not of the zone", show(b.zone.nameOf(&b.zone.nodes[i])))
		case s.Type == wire.TypeSOA && len(s.RData) > 1:
			b.fault(at(s.Type), "a zone has one SOA, not %d (RFC 1035 5.2)", len(s.RData))
		}
	}
}

// judgeSteer checks how the zone file steers a name, by the record at a place, against what else it has there.
func (b *builder) judgeSteer(i int, at uint32, sets []set) {
	n := &b.zone.nodes[i]
	name, taken := show(b.zone.nameOf(n)), n.steer.Types
	if taken.Has(wire.TypeCNAME) && i == 0 {
		b.fault(at, "the apex cannot be steered by CNAME: it owns SOA and NS (RFC 1034 3.6.2)")
		return
	}
	for j := range sets {
		switch t := sets[j].Type; {
		case t == wire.TypeCNAME, taken.Has(wire.TypeCNAME):
			b.fault(at, "an alias (CNAME) stands alone at its name (RFC 1034 3.6.2); there is more at %s", name)
			return
		case t == wire.TypeNS && i > 0:
			b.fault(at, "%s is delegated to other servers by NS, so it would never be steered", name)
			return
		case taken.Has(t):
			b.fault(at, "%s is steered and answers %s here; remove that or the static %s", name, taken, typeName(t))
			return
		}
	}
}

// company checks that what the Spec has at a name may stand together, and beside what the zone file has there.
func (b *builder) company(o *owner, file []set, steered TypeSet) {
	r := o.spec
	if r == nil {
		return
	}
	if steered != 0 {
		if o.steer != nil || o.alias != nil || o.whoami || o.variants != nil {
			b.problem(at(r), "the zone file steers %q; write everything that is not static of a name in one place", r.Owner)
			return
		}
		for i, set := range o.sets {
			t := set.Type
			alone := t == wire.TypeCNAME || steered.Has(wire.TypeCNAME) || t == wire.TypeNS && !bytes.Equal(o.name, b.apex)
			if o.from[i] >= 0 && (alone || steered.Has(t)) {
				key := at(r, r.Static[o.from[i]].Type)
				b.problem(key, "the zone file steers %q, which answers %s; a static %s cannot stand beside it", r.Owner, steered, typeName(t))
			}
		}
	}
	types := make([]uint16, 0, len(o.sets)+len(file))
	for i := range o.sets {
		types = append(types, o.sets[i].Type)
	}
	for i := range file {
		switch t := file[i].Type; {
		case o.find(t) >= 0:
			b.problem(at(r, typeName(t)), "the zone file has %s at %q too; remove one of them", typeName(t), r.Owner)
		case t == wire.TypeCNAME:
			b.problem(at(r), "the zone file has a CNAME at %q, which stands alone at its name (RFC 1034 3.6.2)", r.Owner)
			return
		case t == wire.TypeNS && !bytes.Equal(o.name, b.apex) && (o.steer != nil || o.alias != nil || o.whoami || o.variants != nil):
			b.problem(at(r), "the zone file delegates %q to other servers by NS, so this would never be answered", r.Owner)
			return
		default:
			types = append(types, t)
		}
	}
	for i, set := range o.sets {
		if o.from[i] >= 0 {
			b.standing(o, set.Type, at(r, r.Static[o.from[i]].Type), len(types))
		}
	}
	b.dynamic(o, types)
}

// standing checks a static set of the Spec against all else at the name, where so many types are static.
func (b *builder) standing(o *owner, rrtype uint16, key []string, types int) {
	r, top := o.spec, bytes.Equal(o.name, b.apex)
	switch {
	case rrtype == wire.TypeCNAME && top:
		b.problem(key, "the apex cannot be an alias: it owns SOA and NS (RFC 1034 3.6.2); write alias instead of CNAME, or steer it by a service")
	case rrtype == wire.TypeCNAME && (types > 1 || o.steer != nil || o.alias != nil || o.whoami):
		b.problem(key, "an alias (CNAME) stands alone at its name (RFC 1034 3.6.2); remove it or everything else at %q", r.Owner)
	case rrtype == wire.TypeNS && o.name.IsWildcard():
		b.problem(key, "a wildcard cannot be a delegation (RFC 4592 4.2)")
	case rrtype == wire.TypeNS && o.steer != nil:
		b.problem(key, "%q is delegated to other servers by NS, so service %q would never be answered; remove one of them",
			r.Owner, r.Steer.Service)
	case rrtype == wire.TypeNS && (o.alias != nil || o.whoami):
		b.problem(key, "%q is delegated to other servers by NS, so nothing else at the name would ever be answered", r.Owner)
	case rrtype == wire.TypeNS && o.find(wire.TypeDNAME) >= 0 && !top:
		b.problem(key, "a DNAME cannot stand at a delegation (RFC 6672 2.3)")
	case rrtype == wire.TypeDNAME && o.name.IsWildcard():
		b.problem(key, "a wildcard cannot have a DNAME (RFC 6672 3.3)")
	}
}

// dynamic checks what is not static at a name against the types that are.
func (b *builder) dynamic(o *owner, types []uint16) {
	r, top := o.spec, bytes.Equal(o.name, b.apex)
	if o.steer != nil && !o.whoami {
		switch set := o.steer.Types; {
		case set.Has(wire.TypeCNAME) && top:
			b.problem(at(r, "types"), "the apex cannot be steered by CNAME: it owns SOA and NS (RFC 1034 3.6.2)")
		case set.Has(wire.TypeCNAME) && set != bitOf(wire.TypeCNAME):
			b.problem(at(r, "types"), "CNAME stands alone at its name (RFC 1034 3.6.2); it cannot be steered beside other types")
		case set.Has(wire.TypeCNAME) && len(types) > 0 && !slices.Contains(types, wire.TypeCNAME):
			b.problem(at(r, "types"), "a steered CNAME stands alone at its name (RFC 1034 3.6.2); remove the static records of %q", r.Owner)
		}
		b.clash(o, types, o.steer.Types, "service \""+r.Steer.Service+"\" answers")
	}
	if o.whoami {
		b.clash(o, types, TypeSetOf(wire.TypeTXT, wire.TypeA, wire.TypeAAAA), "whoami answers")
	}
	if o.alias != nil {
		b.clash(o, types, addressTypes, "the alias answers")
		if o.steer != nil || o.whoami {
			b.problem(at(r, "alias"), "an alias cannot stand beside a service or whoami: both would answer A and AAAA")
		}
	}
}

// clash reports static types that something else answers.
func (b *builder) clash(o *owner, types []uint16, taken TypeSet, who string) {
	for _, t := range types {
		if t != wire.TypeCNAME && taken.Has(t) {
			key := at(o.spec, typeName(t))
			if i := o.find(t); i >= 0 && o.from[i] >= 0 {
				key = at(o.spec, o.spec.Static[o.from[i]].Type)
			}
			b.problem(key, "%s %s here; remove it or the static %s", who, taken, typeName(t))
		}
	}
}

// below notes data below a DNAME, which would never be answered (RFC 6672 2.4).
func (b *builder) below(pos uint32, redirect *node) {
	name, above := b.zone.nameOf(&b.zone.nodes[pos]), show(b.zone.nameOf(redirect))
	if list := b.recordsOf(int(pos)); len(list) > 0 {
		b.fault(list[0], "%s is below the DNAME of %s, so it would never be answered (RFC 6672 2.4)", show(name), above)
		return
	}
	o := b.ofNode[pos]
	b.problem(at(o.spec), "%q is below the DNAME of %s, so it would never be answered (RFC 6672 2.4)", o.spec.Owner, above)
}
