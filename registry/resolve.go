package registry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meridian-gslb/meridian/policy"
)

// A ResolveError says that a name means no Target, or several.
type ResolveError struct {
	Name       string
	Candidates []Target // what it could mean, when it is ambiguous
	Near       []Target // what was perhaps meant, when it is unknown
}

// Error names the candidates, or what is near.
func (e *ResolveError) Error() string {
	s := fmt.Sprintf("registry: there is no site, service or endpoint %.80q", e.Name)
	list := e.Near
	if len(e.Candidates) > 0 {
		s = fmt.Sprintf("registry: %.80q is ambiguous", e.Name)
		list = e.Candidates
	}
	if len(list) == 0 {
		return s
	}
	const most = 5
	words := make([]string, 0, most)
	for _, t := range list[:min(len(list), most)] {
		words = append(words, t.String())
	}
	more := ""
	if len(list) > most {
		more = fmt.Sprintf(" or one of %d more", len(list)-most)
	}
	if len(e.Candidates) > 0 {
		return s + ": say " + strings.Join(words, " or ") + more
	}
	return s + "; did you mean " + strings.Join(words, " or ") + more + "?"
}

// Resolve finds the Target that a person means: the text form of a Target, or the plain name of a site ("us-east"), a service ("web")
// or an endpoint ("web/us-east-1", or "us-east-1" alone if no site or service is called so: the edge of a site bears the site's name).
// What an override in force is about can be named even when it exists no longer. The error is a *ResolveError.
func (r *Registry) Resolve(s string) (Target, error) {
	known := r.targets()
	if t, err := ParseTarget(s); err == nil && slices.Contains(known, t) {
		return t, nil // the text form means what it says, even if a service is called "site"
	}
	var found, short []Target
	for _, t := range known {
		if t.Name == s {
			found = append(found, t)
		} else if s != "" && t.shortName() == s {
			short = append(short, t)
		}
	}
	if found == nil {
		found = short
	}
	switch len(found) {
	case 0:
		return Target{}, &ResolveError{Name: s, Near: near(s, known)}
	case 1:
		return found[0], nil
	}
	return Target{}, &ResolveError{Name: s, Candidates: found}
}

// shortName returns an endpoint's name in its service; "" for a Target that has no shorter name.
func (t Target) shortName() string {
	if t.Kind != KindEndpoint {
		return ""
	}
	_, short, _ := strings.Cut(t.Name, "/")
	return short
}

// targets returns everything that can be overridden, and what is: sites, then services, then endpoints, in the Plan's order.
func (r *Registry) targets() []Target {
	p := r.Snapshot().Plan
	out := make([]Target, 0, p.NumSites()+p.NumServices()+p.NumEndpoints())
	for i := range p.NumSites() {
		out = append(out, Target{KindSite, p.SiteName(policy.SiteID(i + 1))})
	}
	for i := range p.NumServices() {
		out = append(out, Target{KindService, p.ServiceName(policy.ServiceID(i))})
	}
	for i := range p.NumEndpoints() {
		out = append(out, Target{KindEndpoint, p.Endpoint(policy.EndpointID(i)).Name})
	}
	for _, o := range r.Overrides() {
		if !o.Target.exists(p) {
			out = append(out, o.Target)
		}
	}
	return out
}

// near returns the Targets whose text form or plain name is at most two edits away from s, at most five, the nearest first.
func near(s string, known []Target) []Target {
	const most, reach = 5, 2
	if len(s) > 2*MaxName {
		return nil
	}
	var at [reach + 1][]Target
	for _, t := range known {
		d := min(edits(s, t.String(), reach), edits(s, t.Name, reach))
		if short := t.shortName(); short != "" {
			d = min(d, edits(s, short, reach))
		}
		if d <= reach && len(at[d]) < most {
			at[d] = append(at[d], t)
		}
	}
	all := slices.Concat(at[:]...)
	return all[:min(len(all), most)]
}

// edits returns how many bytes must be inserted, deleted or replaced to turn a into b (Levenshtein), or more than limit if it is more.
func edits(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal, best := row[0], i+1
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
			best = min(best, cost)
		}
		if best > limit {
			return limit + 1
		}
	}
	return row[len(b)]
}
