package zone

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
)

// Compile checks the Specs and returns a Set of them, or every problem found and no Set. Paths of problems are {"zones", Name,
// "ns", position}, {"zones", Name, "soa", key}, {"zones", Name, "records", Owner, type or key} (then the position of the value, if
// there are several), with names, owners and types as they stand in the Spec. Problems of records of a zone file have the path
// {"zones", Name, "file"}, and File and Line.
//
// The plan names the services and policies. The Set stays valid for every later Plan whose services and policies stand in the same
// order. A nil plan leaves those names unchecked and the Set's ids zero: it serves to find the other problems.
//
// Views are those that Specs may name, in the order in which a client's is looked for. The paths of problems of their zones begin with
// {"views", View} (Spec.Path).
func Compile(specs []Spec, plan *policy.Plan, views ...ViewSpec) (*Set, []policy.Problem) {
	return compileSet(specs, plan, views, nil)
}

// compileSet is Compile with zones, one for each Spec or none at all, that need not be made again; nil are those that do.
func compileSet(specs []Spec, plan *policy.Plan, views []ViewSpec, kept []*Zone) (*Set, []policy.Problem) {
	c := &compiler{plan: plan, apexes: make(map[apexKey]string, len(specs))}
	c.checkViews(specs, views)
	var drafts []*draft
	for i := range specs {
		var d *draft
		if kept != nil && kept[i] != nil {
			d = c.keep(&specs[i], kept[i])
		} else {
			d = c.draft(&specs[i])
		}
		if d != nil {
			drafts = append(drafts, d)
		}
	}
	set := &Set{}
	for _, d := range drafts {
		if d.zone == nil {
			d.zone = d.freeze()
		}
		if d.zone != nil {
			set.zones, set.doors = append(set.zones, d.zone), append(set.doors, doorOf(d.zone))
		}
	}
	set.divide(views)
	unread := slices.ContainsFunc(specs, func(s Spec) bool { return s.File != "" && s.RRs == nil })
	for _, d := range drafts {
		if d.zone != nil && !unread { // what names seem to lack may stand in a file that could not be read, which is told elsewhere
			d.checkAll(set)
		}
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return set, nil
}

// A compiler holds what the zones of one Compile share.
type compiler struct {
	plan     *policy.Plan
	apexes   map[apexKey]string // -> Name of its Spec
	problems []policy.Problem
	values   RDataParser
}

// An apexKey is what no two zones share.
type apexKey struct{ view, apex string }

// A draft is a zone under construction.
type draft struct {
	*compiler
	spec   *Spec
	apex   wire.Name
	origin string // apex in presentation form with the final dot
	ttl    uint32
	owners []owner        // of the Spec
	byName map[string]int // name -> position in owners
	faults int            // problems of the zone file
	guest  bool           // it is checked in a view that is not its own: what the view has instead of a part of it is no mistake
	steers []way          // of the zone file, by their position there; without TTL, Tag and Record

	manners  []Manner
	mannerAt map[string]uint16 // what a Manner says -> position in manners plus one

	zone *Zone // once it is frozen
}

// An owner is a name for which the Spec has data.
type owner struct {
	name   wire.Name
	spec   *RecordSpec // nil: only what the zone itself brings (SOA and NS)
	ttl    uint32
	sets   []wire.RRset
	from   []int // for each set its position in spec.Static, or -1 for the zone's own SOA and NS
	steer  *Steer
	manner uint16

	varies     bool // it is a variant
	variants   []owner
	conditions []variant // of the variants, without nodes

	alias  wire.Name // target, or nil
	whoami bool
}

// find returns the position of the set of a type, or -1.
func (o *owner) find(rrtype uint16) int {
	if o == nil {
		return -1
	}
	return slices.IndexFunc(o.sets, func(s wire.RRset) bool { return s.Type == rrtype })
}

// problem notes something wrong at a place in the zone.
func (d *draft) problem(path []string, format string, args ...any) {
	d.problems = append(d.problems, policy.Problem{Path: d.spec.Path(path...), Msg: fmt.Sprintf(format, args...)})
}

// at is the path of a record, or of a key of it.
func at(r *RecordSpec, keys ...string) []string {
	return slices.Concat([]string{"records", r.Owner}, r.place, keys)
}

// all yields the owners and their variants.
func (d *draft) all() iter.Seq[*owner] {
	return func(yield func(*owner) bool) {
		for i := range d.owners {
			o := &d.owners[i]
			if !yield(o) {
				return
			}
			for j := range o.variants {
				if !yield(&o.variants[j]) {
					return
				}
			}
		}
	}
}

// draft compiles all of one Spec that does not need other names. It returns nil if even the apex is unusable.
func (c *compiler) draft(spec *Spec) *draft {
	d := &draft{compiler: c, spec: spec, ttl: spec.TTL, byName: make(map[string]int, len(spec.Records)+1)}
	apex, err := parseName(spec.Name)
	if err == nil && apex.IsWildcard() {
		err = fmt.Errorf("a zone cannot begin at a wildcard")
	}
	if err != nil {
		d.problem(nil, "%q is not the name of a zone: %v", spec.Name, err)
		return nil
	}
	key := apexKey{spec.View, string(apex)}
	if other, dup := c.apexes[key]; dup {
		d.problem(nil, "zone %q is the same zone", other)
		return nil
	}
	c.apexes[key] = spec.Name
	d.apex, d.origin = apex, apex.String()
	if d.ttl > MaxTTL {
		d.problem([]string{"ttl"}, "%d s is more than a TTL can be (%d s)", d.ttl, MaxTTL)
	}
	if d.ttl == 0 {
		d.ttl = DefaultTTL
	}
	d.authority()
	d.steersOfFile()
	for i := range spec.Records {
		d.record(&spec.Records[i])
	}
	return d
}

// authority makes the SOA and NS sets of the apex, unless the zone file has them.
func (d *draft) authority() {
	file := d.apexOfFile()
	top := owner{name: d.apex}
	ns := wire.RRset{Type: wire.TypeNS, TTL: d.ttl, RData: file.ns}
	switch {
	case len(file.ns) > 0 && len(d.spec.NS) > 0:
		d.problem([]string{"ns"}, "the name servers are in the zone file too; remove one of them")
	case len(file.ns) == 0:
		ns.RData = d.servers()
		top.sets, top.from = append(top.sets, ns), append(top.from, -1)
	}
	switch {
	case file.soa && d.spec.SOA != (SOASpec{}):
		d.problem([]string{"soa"}, "the SOA is in the zone file too; remove one of them")
	case file.soa:
	case d.spec.RRs != nil && d.spec.SOA == (SOASpec{}) && len(d.spec.NS) == 0:
		d.problem([]string{"file"}, "the zone file has no SOA for %s", show(d.apex))
	default:
		top.sets, top.from = append(top.sets, d.soa(ns.RData)), append(top.from, -1)
	}
	if len(top.sets) > 0 {
		d.byName[string(d.apex)] = 0
		d.owners = append(d.owners, top)
	}
}

// servers returns the name servers that the Spec lists.
func (d *draft) servers() (list [][]byte) {
	for i, text := range d.spec.NS {
		target, err := parseName(d.absolute(text, true))
		if err != nil {
			d.problem([]string{"ns", strconv.Itoa(i)}, "%q is not a name: %v", text, err)
			continue
		}
		if slices.ContainsFunc(list, func(b []byte) bool { return bytes.Equal(b, target) }) {
			d.problem([]string{"ns", strconv.Itoa(i)}, "%q is named twice", text)
			continue
		}
		list = append(list, target)
	}
	if len(d.spec.NS) == 0 {
		d.problem([]string{"ns"}, "a zone needs at least one name server")
	}
	return list
}

// record compiles everything at one owner.
func (d *draft) record(r *RecordSpec) {
	name, err := parseName(d.absolute(r.Owner, false))
	if err != nil {
		d.problem(at(r), "%q is not a name: %v", r.Owner, err)
		return
	}
	if err := checkOwner(name, d.apex); err != nil {
		d.problem(at(r), "%q %v", r.Owner, err)
		return
	}
	o := d.owner(name, r)
	if o == nil {
		return
	}
	if r.When != nil || r.Variants != nil {
		d.variants(o)
		return
	}
	d.data(o)
}

// data compiles what an owner, or a variant of it, has.
func (d *draft) data(o *owner) {
	r := o.spec
	if r.TTL > MaxTTL {
		d.problem(at(r, "ttl"), "%d s is more than a TTL can be (%d s)", r.TTL, MaxTTL)
	}
	if len(r.Static) == 0 && r.Steer == nil && r.Alias == "" && !r.Whoami {
		d.problem(at(r), "%q has neither records nor a service", r.Owner)
	}
	if o.ttl = r.TTL; o.ttl == 0 {
		o.ttl = d.ttl
	}
	for i := range r.Static {
		d.static(o, i, o.ttl)
	}
	if r.Steer != nil {
		d.steer(o, o.ttl)
	}
	if o.whoami = r.Whoami; r.Alias != "" {
		d.alias(o)
	}
}

// owner returns a new owner, or the apex, to be filled from r; nil if another record has the name.
func (d *draft) owner(name wire.Name, r *RecordSpec) *owner {
	pos, known := d.byName[string(name)]
	if !known {
		pos = len(d.owners)
		d.byName[string(name)] = pos
		d.owners = append(d.owners, owner{name: name})
	}
	o := &d.owners[pos]
	if o.spec != nil {
		d.problem(at(r), "record %q is the same name; write everything of a name in one place", o.spec.Owner)
		return nil
	}
	o.spec = r
	return o
}

// static compiles the static set at position i of the owner's Spec.
func (d *draft) static(o *owner, i int, ttl uint32) {
	r, s := o.spec, &o.spec.Static[i]
	rrtype, err := staticType(s.Type, bytes.Equal(o.name, d.apex))
	if err != nil {
		d.problem(at(r, s.Type), "%v", err)
		return
	}
	if o.find(rrtype) >= 0 {
		d.problem(at(r, s.Type), "type %s is given twice; write all its values in one list", typeName(rrtype))
		return
	}
	set := wire.RRset{Type: rrtype, TTL: ttl}
	size, clean := 0, len(d.problems)
	seen := make(map[string]bool, len(s.Values))
	for j, text := range s.Values {
		where := at(r, s.Type)
		if len(s.Values) > 1 {
			where = append(where, strconv.Itoa(j))
		}
		rdata, err := d.values.value(d, rrtype, text)
		switch {
		case err != nil:
			d.problem(where, "%v", err)
		case seen[string(rdata)]:
			d.problem(where, "%q is given twice", text)
		default:
			seen[string(rdata)] = true
			set.RData = append(set.RData, rdata)
			size += len(rdata) + 12
		}
	}
	switch {
	case len(s.Values) == 0:
		d.problem(at(r, s.Type), "%s has no value", s.Type)
	case size > maxSet:
		d.problem(at(r, s.Type), "the set takes %d bytes; %d is the most that fits a message", size, maxSet)
	case rrtype == wire.TypeCNAME && len(s.Values) > 1:
		d.problem(at(r, s.Type), "a name has one CNAME, not %d (RFC 2181 10.1)", len(s.Values))
	case rrtype == wire.TypeDNAME && len(s.Values) > 1:
		d.problem(at(r, s.Type), "a name has one DNAME, not %d (RFC 6672 2.4)", len(s.Values))
	}
	if len(d.problems) == clean {
		o.sets, o.from = append(o.sets, set), append(o.from, i)
	}
}

// steer compiles the owner's steering.
func (d *draft) steer(o *owner, ttl uint32) {
	st := d.steering(o.spec.Steer, func(key []string, format string, args ...any) { d.problem(at(o.spec, key...), format, args...) })
	st.TTL, st.Tag, st.Record = ttl, uint16(hashName(o.name)), strings.TrimSuffix(o.name.String(), ".")
	o.steer, o.manner = &st.Steer, st.manner
}

// A way is how names are steered, and the position of their manner among those of the zone plus one, 0 without.
type way struct {
	Steer
	manner uint16
}

// steering compiles what hangs on no name, and tells fault what is wrong with a key of it.
func (d *draft) steering(spec *SteerSpec, fault func(key []string, format string, args ...any)) (s way) {
	s.Service, s.Policy, _ = d.choice(spec.Service, spec.Policy, func(key, format string, args ...any) { fault([]string{key}, format, args...) })
	var err error
	if s.Types, err = steerTypes(spec.Types); err != nil {
		fault([]string{"types"}, "%v", err)
	}
	s.manner = d.manner(spec, fault)
	return s
}

// steersOfFile compiles the ways in which the zone file steers names: a mistake in one is told once, however many names have it.
func (d *draft) steersOfFile() {
	list := d.spec.RRs.Steers()
	d.steers = make([]way, len(list))
	for i := range list {
		spec := list[i].SteerSpec
		spec.Jitter = d.spec.Jitter
		d.steers[i] = d.steering(&spec, func(_ []string, format string, args ...any) {
			d.faultAt(list[i].File, list[i].Line, format, args...)
		})
		if set := d.steers[i].Types; set.Has(wire.TypeCNAME) && set != bitOf(wire.TypeCNAME) {
			d.faultAt(list[i].File, list[i].Line, "CNAME stands alone at its name (RFC 1034 3.6.2); it cannot be steered beside other types")
		}
	}
}

// choice returns the ids of a service and a policy, and whether there are such. It tells fault what is wrong with a key. Without a plan
// they are 0.
func (d *draft) choice(service, by string, fault func(key, format string, args ...any)) (s policy.ServiceID, p policy.PolicyID, ok bool) {
	if service == "" {
		fault("service", "a steered name needs a service")
	}
	if d.plan == nil {
		return 0, 0, service != ""
	}
	if s, ok = d.plan.ServiceByName(service); !ok && service != "" {
		fault("service", "there is no service %q", service)
	}
	p, known := d.plan.PolicyByName(policyName(by))
	if !known {
		fault("policy", "there is no policy %q", policyName(by))
	}
	return s, p, ok && known
}

// alias compiles the owner's alias.
func (d *draft) alias(o *owner) {
	text := o.spec.Alias
	name, err := parseName(d.absolute(text, false))
	if err != nil {
		d.problem(at(o.spec, "alias"), "%q is not a name: %v", text, err)
		return
	}
	if name.IsWildcard() || len(name) == 1 {
		d.problem(at(o.spec, "alias"), "%q is no name that has addresses", text)
		return
	}
	o.alias = name
}
