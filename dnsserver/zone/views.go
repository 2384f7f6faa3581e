package zone

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/meridian-gslb/meridian/policy"
)

// A ViewSpec is for whom some zones are: Specs name it. Clients, by the address that sends, see the zones of the first view that has it,
// and those of no view whose apex is none of the view's; clients that no view has see those of no view.
type ViewSpec struct {
	Name     string // not empty, another for each
	Networks []netip.Prefix
}

// A view is what the clients of some networks see.
type view struct {
	networks acl
	set      *Set
}

// For returns what the clients that send from an address see: a Set of fewer zones, in which all else is as if the others were not there,
// so that nothing of one view leads into another. Spots of it are good for s, too. It does not allocate.
func (s *Set) For(addr netip.Addr) *Set {
	if s == nil || s.views == nil { // of most; this much is cheap where it is called
		return s
	}
	return s.viewOf(addr)
}

// viewOf is For where there are views.
func (s *Set) viewOf(addr netip.Addr) *Set {
	addr = addr.Unmap().WithZone("")
	for i := range s.views {
		if _, in := s.views[i].networks.find(addr); in {
			return s.views[i].set
		}
	}
	return s
}

// View returns what the clients of a view see; the view "" is that of those whom no view has. It is false if there is no such view.
func (s *Set) View(name string) (*Set, bool) {
	if s == nil || name == "" {
		return s, name == ""
	}
	for i := range s.views {
		if s.views[i].set.name == name {
			return s.views[i].set, true
		}
	}
	return nil, false
}

// Views returns the names of the views, in their order.
func (s *Set) Views() []string {
	if s == nil {
		return nil
	}
	names := make([]string, len(s.views))
	for i := range s.views {
		names[i] = s.views[i].set.name
	}
	return names
}

// ViewName returns the name of the view that the Set is what clients see of, "" if of none.
func (s *Set) ViewName() string {
	if s == nil {
		return ""
	}
	return s.name
}

// AllViews returns the Set itself, and what the clients of each view see. It allocates.
func (s *Set) AllViews() []*Set {
	if s == nil {
		return nil
	}
	list := []*Set{s}
	for i := range s.views {
		list = append(list, s.views[i].set)
	}
	return list
}

// divide tells which of the zones, which are all there, are seen by whom.
func (s *Set) divide(views []ViewSpec) {
	s.specs = views
	s.see("")
	for _, v := range views {
		seen := &Set{zones: s.zones, doors: s.doors, name: v.Name}
		seen.see(v.Name)
		s.views = append(s.views, view{newACL(v.Networks), seen})
	}
}

// see makes a Set that of a view: its own zones, and those of no view but where it has its own.
func (s *Set) see(name string) {
	own := map[string]bool{}
	for _, z := range s.zones {
		if z.view == name {
			own[string(z.apex)] = true
		}
	}
	s.index = newTable(len(s.zones))
	for i, z := range s.zones {
		if z.view != name && (z.view != "" || own[string(z.apex)]) {
			continue
		}
		s.seen = append(s.seen, z)
		s.index.insert(hashName(z.apex), i)
		depth := z.apex.Labels()
		s.depths[depth>>6] |= 1 << (depth & 63)
	}
}

// sees reports whether a zone is in the view.
func (s *Set) sees(z *Zone) bool { return s.Zone(z.apex) == z }

// View returns the name of the view that the zone is in, "" if it is in all.
func (z *Zone) View() string { return z.view }

// Path returns the beginning of paths of problems with the zone, and some keys.
func (s *Spec) Path(keys ...string) []string {
	path := []string{"zones", s.Name}
	if s.View != "" {
		path = []string{"views", s.View, "zones", s.Name}
	}
	return append(path, keys...)
}

// checkAll checks a draft in every view that its zone is in. What is wrong in several is told once.
func (d *draft) checkAll(s *Set) {
	from, faults := len(d.problems), d.faults
	for _, seen := range s.AllViews() {
		if !seen.sees(d.zone) {
			continue
		}
		before := len(d.problems)
		d.faults = faults
		d.guest = seen.name != d.zone.view
		d.check(seen)
		fresh := slices.Clone(d.problems[before:])
		d.problems = d.problems[:before]
		for _, p := range fresh {
			if told := d.problems[from:]; containsProblem(told, p) {
				continue
			}
			if d.guest {
				p.Msg += "; so it is in view " + seen.name
			}
			d.problems = append(d.problems, p)
		}
	}
}

// containsProblem reports whether a problem was told before.
func containsProblem(told []policy.Problem, p policy.Problem) bool {
	return slices.ContainsFunc(told, func(q policy.Problem) bool {
		return q.File == p.File && q.Line == p.Line && strings.HasPrefix(q.Msg, p.Msg) && slices.Equal(q.Path, p.Path)
	})
}

// checkViews checks the views, and that zones name them.
func (c *compiler) checkViews(specs []Spec, views []ViewSpec) {
	known := map[string]bool{"": true}
	var earlier []netip.Prefix
	for _, v := range views {
		path := []string{"views", v.Name}
		problem := func(path []string, format string, args ...any) {
			c.problems = append(c.problems, policy.Problem{Path: path, Msg: fmt.Sprintf(format, args...)})
		}
		switch {
		case v.Name == "":
			problem(path, "a view needs a name")
		case known[v.Name]:
			problem(path, "view %q is declared twice", v.Name)
		case len(v.Networks) == 0:
			problem(append(path, "networks"), "no network is listed, so nobody would see the view")
		case newACL(earlier).covers(v.Networks):
			problem(append(path, "networks"), "views before this have all of these networks, so nobody would see the view; the first that has a client decides")
		}
		known[v.Name] = true
		earlier = append(earlier, v.Networks...)
	}
	for i := range specs {
		if !known[specs[i].View] {
			c.problems = append(c.problems, policy.Problem{Path: specs[i].Path(), Msg: fmt.Sprintf("there is no view %q", specs[i].View)})
		}
	}
}
