package admin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// resolve finds what a person means by a name. If that is nothing and nothing is near, the error says what there is.
func (s *Server) resolve(name string) (registry.Target, error) {
	t, err := s.Registry.Resolve(name)
	if unknown := (*registry.ResolveError)(nil); errors.As(err, &unknown) && len(unknown.Near)+len(unknown.Candidates) == 0 {
		e := asError(err)
		for _, kind := range []registry.TargetKind{registry.KindSite, registry.KindService} {
			if names := s.names(kind); len(names) > 0 {
				e.Message += fmt.Sprintf("; %ss: %s", kind, few(names))
			}
		}
		return t, e
	}
	return t, err
}

// noSuch says that a site or a service does not exist, and which one was perhaps meant.
func (s *Server) noSuch(kind registry.TargetKind, name string) string {
	said := fmt.Sprintf("there is no %s %.80q", kind, name)
	_, err := s.Registry.Resolve(kind.String() + "/" + name)
	if unknown := (*registry.ResolveError)(nil); errors.As(err, &unknown) {
		for _, t := range unknown.Near {
			if t.Kind == kind && t.Name != name {
				return said + " (did you mean " + t.Name + "?)"
			}
		}
	}
	if names := s.names(kind); len(names) > 0 {
		return said + " (there is: " + few(names) + ")"
	}
	return said
}

// names returns the names of all sites, or of all services, in the order of the configuration.
func (s *Server) names(kind registry.TargetKind) []string {
	plan := s.Registry.Snapshot().Plan
	var out []string
	if kind == registry.KindSite {
		for i := range plan.NumSites() {
			out = append(out, plan.SiteName(policy.SiteID(i+1)))
		}
		return out
	}
	for i := range plan.NumServices() {
		out = append(out, plan.ServiceName(policy.ServiceID(i)))
	}
	return out
}

// few lists the first names of many.
func few(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
