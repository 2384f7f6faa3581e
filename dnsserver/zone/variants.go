package zone

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// MaxVariants bounds the variants of one name.
const MaxVariants = 64

// A ConditionSpec says whom a variant is for. All that it says must hold.
type ConditionSpec struct {
	Client   []netip.Prefix // networks of the client, by the address that decides: that of its subnet, or the resolver's; nil = any
	Resolver []netip.Prefix // networks of who sends the query; nil = any
	Types    []string       // that are asked for; nil = any
	Subnet   *bool          // whether a client subnet decides; nil = either
}

// Variants are what a name answers to different askers: the first of them whose condition holds, and nothing if none does. They never
// change.
type Variants struct {
	list []variant
}

// A variant is one answer and whom it is for.
type variant struct {
	client, resolver acl      // nil: any
	types            []uint16 // nil: any
	subnet           int8     // more than 0: there must be one; less: there must not
	node             uint32   // that has the data; no name leads to it
	when             string   // the condition in words
}

// An Asker is what conditions look at.
type Asker struct {
	Client   netip.Addr // that decides: of the client subnet if there is one, else the resolver's. IPv4 in IPv6 forms is IPv4
	Resolver netip.Addr // who sends the query
	Type     uint16     // that is asked for
	Subnet   bool       // a client subnet decides
}

// Len returns how many variants there are.
func (v *Variants) Len() int { return len(v.list) }

// When returns the condition of a variant in words, "" if it has none.
func (v *Variants) When(i int) string { return v.list[i].when }

// Pick returns the position of the first variant whose condition holds, -1 if none does. That is so for all clients of a resolver who are in
// the prefix of so many bits around Client and ask for the Type; varies says whether it is otherwise for any clients at all, of whichever
// family or without a subnet. It does not allocate.
func (v *Variants) Pick(a *Asker) (i int, bits uint8, varies bool) {
	for i := range v.list {
		c := &v.list[i]
		if c.types != nil && !slices.Contains(c.types, a.Type) || c.resolver != nil && !c.resolver.has(a.Resolver) {
			continue
		}
		if c.subnet != 0 {
			varies = true
			if c.subnet > 0 != a.Subnet {
				continue
			}
		}
		if c.client != nil {
			in, n, some := c.client.span(a.Client)
			bits, varies = max(bits, n), varies || some
			if !in {
				continue
			}
		}
		return i, bits, varies
	}
	return -1, bits, varies
}

// Why says in words why the condition of a variant does not hold, "" if it does.
func (v *Variants) Why(i int, a *Asker) string {
	c := &v.list[i]
	switch {
	case c.types != nil && !slices.Contains(c.types, a.Type):
		return "the type is another"
	case c.resolver != nil && !c.resolver.has(a.Resolver):
		return fmt.Sprintf("the query comes from %s", a.Resolver.Unmap())
	case c.subnet > 0 && !a.Subnet:
		return "no client subnet decides"
	case c.subnet < 0 && a.Subnet:
		return "a client subnet decides"
	case c.client != nil && !c.client.has(a.Client):
		return fmt.Sprintf("the client is %s", a.Client.Unmap())
	}
	return ""
}

// Take makes a Match of kind Conditional that of a variant of it, or NoData for -1.
func (m *Match) Take(i int, rrtype uint16) {
	if m.Kind = NoData; i >= 0 {
		m.Zone.at(m, m.Variants.list[i].node, rrtype)
	}
}

// Each yields the Match, or if it is Conditional that of each variant.
func (m *Match) Each(rrtype uint16) iter.Seq[*Match] {
	return func(yield func(*Match) bool) {
		if m.Kind != Conditional {
			yield(m)
			return
		}
		for i := range m.Variants.list {
			v := *m
			if v.Take(i, rrtype); !yield(&v) {
				return
			}
		}
	}
}

// Alternatives yields the record itself, or each of its variants, and where it stands among them: the end of the path of its problems.
func (r *RecordSpec) Alternatives() iter.Seq2[[]string, *RecordSpec] {
	return func(yield func([]string, *RecordSpec) bool) {
		if r.Variants == nil {
			yield(nil, r)
			return
		}
		for i := range r.Variants {
			if !yield([]string{strconv.Itoa(i)}, &r.Variants[i]) {
				return
			}
		}
	}
}

// variants compiles the variants of an owner: one if the record itself has a condition.
func (d *draft) variants(o *owner) {
	r := o.spec
	if len(r.Variants) > MaxVariants {
		d.problem(at(r), "%q has %d variants; at most %d are possible", r.Owner, len(r.Variants), MaxVariants)
	}
	before := map[string]bool{}
	open := -1
	for place, alternative := range r.Alternatives() {
		v := *alternative
		v.Owner, v.Variants, v.place = r.Owner, nil, place
		o.variants = append(o.variants, owner{name: o.name, spec: &v, varies: true})
		if n := len(o.variants); open >= 0 {
			d.problem(at(&v), "the variant before this has no condition, so this would never be answered")
			return
		} else if v.When == nil {
			open = n
		}
		d.contents(&o.variants[len(o.variants)-1])
		c := d.condition(&v)
		if c.when != "" && before[c.when] {
			d.problem(at(&v, "when"), "a variant before this has the same condition, so this would never be answered")
		}
		before[c.when] = true
		o.conditions = append(o.conditions, c)
	}
}

// condition compiles the condition of a variant.
func (d *draft) condition(r *RecordSpec) (c variant) {
	w := r.When
	if w == nil {
		return c
	}
	var words []string
	networks := func(key, what string, list []netip.Prefix) acl {
		if list == nil {
			return nil
		}
		if len(list) == 0 {
			d.problem(at(r, "when", key), "no network is listed, so the condition would never hold")
		}
		text := make([]string, len(list))
		for i := range list {
			text[i] = list[i].String()
		}
		words = append(words, what+strings.Join(text, ", "))
		return newACL(list)
	}
	c.client = networks("client", "client in ", w.Client)
	c.resolver = networks("resolver", "resolver in ", w.Resolver)
	for i, name := range w.Types {
		rrtype, err := questionType(name)
		if err != nil || slices.Contains(c.types, rrtype) {
			if err == nil {
				err = fmt.Errorf("%s is named twice", typeName(rrtype))
			}
			key := []string{"when", "types"}
			if len(w.Types) > 1 {
				key = append(key, strconv.Itoa(i))
			}
			d.problem(at(r, key...), "%v", err)
			continue
		}
		c.types = append(c.types, rrtype)
	}
	if w.Types != nil {
		words = append(words, "type "+strings.Join(w.Types, ", "))
	}
	switch {
	case w.Subnet == nil:
	case *w.Subnet:
		c.subnet = 1
		words = append(words, "with a client subnet")
	default:
		c.subnet = -1
		words = append(words, "without a client subnet")
	}
	if len(words) == 0 {
		d.problem(at(r, "when"), "the condition says nothing; leave \"when\" out of the last variant, which is for all others")
	}
	c.when = strings.Join(words, "; ")
	return c
}

// contents compiles what one variant has, and refuses what cannot hang on who asks.
func (d *draft) contents(o *owner) {
	d.data(o)
	for _, s := range o.spec.Static {
		if s.Type == "NS" || s.Type == "DNAME" {
			d.problem(at(o.spec, s.Type), "%s cannot hang on a condition, as it is about all names below; use a view", s.Type)
		}
	}
}

// vary gives the node at a position the variants of its owner.
func (b *builder) vary(pos uint32, o *owner) {
	if len(o.variants) == 0 || len(o.conditions) < len(o.variants) || b.zone.nodes[pos].steered() { // the latter two are problems told before
		return
	}
	list := slices.Clone(o.conditions)
	for i := range list {
		list[i].node = b.variantAt[&o.variants[i]]
	}
	z := b.zone
	z.variants = append(z.variants, Variants{list})
	z.note(pos, uint32(len(z.variants)))
	z.nodes[pos].flags |= flagVariants
}

// note keeps a number beside the node at a position.
func (z *Zone) note(pos, number uint32) {
	if z.more == nil {
		z.more = make([]uint32, len(z.nodes))
	}
	z.more[pos] = number
}
