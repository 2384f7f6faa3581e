package admin

import (
	"fmt"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// maxNamed is how many endpoints a sentence names.
const maxNamed = 3

// degraded says what is wrong, one sentence each. A drain is somebody's wish and not in it, unless it leaves nothing usable.
func (s *Server) degraded(st *Status, refused int) []string {
	var out []string
	if c := st.Config; c.Problem != "" {
		first, _, _ := strings.Cut(c.Problem, "\n")
		if c.More > 0 {
			first += fmt.Sprintf(", and %d more", c.More)
		}
		out = append(out, fmt.Sprintf("the last reload, at %s, was refused, and what was loaded at %s serves: %s",
			c.Tried.Format(time.RFC3339), c.Loaded.Format(time.RFC3339), first))
	}
	if s.Saving != nil {
		if err := s.Saving(); err != nil {
			out = append(out, fmt.Sprintf("state cannot be saved, so a restart may lose what changes: %v", strings.TrimPrefix(err.Error(), "store: ")))
		}
	}
	if s.Certificates != nil {
		for _, problem := range s.Certificates() {
			out = append(out, "a certificate does not load, and the one before is presented: "+strings.TrimPrefix(problem, "l7edge: "))
		}
	}
	if s.GeoData != nil {
		out = append(out, s.GeoData()...)
	}
	if s.Aliases != nil {
		out = append(out, s.Aliases()...)
	}
	for _, src := range st.Sources {
		switch {
		case src.Problem != "" && src.Since.IsZero():
			out = append(out, src.Name+": "+src.Problem)
		case src.Problem != "":
			out = append(out, fmt.Sprintf("%s, since %s: %s; what it said last stays in force", src.Name, src.Since.Format(time.RFC3339), src.Problem))
		case src.Known < src.Wanted:
			out = append(out, fmt.Sprintf("%s has told of %d of %d services", src.Name, src.Known, src.Wanted))
		}
	}
	if s.Held != nil {
		out = append(out, s.Held()...)
	}
	out = append(out, st.vantageTrouble()...)
	for _, svc := range st.Services {
		if trouble := svc.trouble(); trouble != "" {
			out = append(out, "service "+svc.Name+trouble)
		}
	}
	if refused > 0 && len(st.Refused) > 0 {
		first := st.Refused[0]
		said := fmt.Sprintf("%d endpoints of sources are refused, the first of them", refused)
		if refused == 1 {
			said = "1 endpoint of a source is refused"
		}
		out = append(out, fmt.Sprintf("%s, %s/%s: %s", said, first.Service, first.Name, first.Reason))
	}
	return out
}

// trouble says what is wrong with a service, to be read behind its name; "" = nothing.
func (svc *ServiceStatus) trouble() string {
	c := svc.Counts
	switch {
	case c.Total() == 0:
		return " has no endpoint"
	case svc.FailOpen:
		return fmt.Sprintf(" has no usable endpoint: %d down, %d drained; it fails open", c.Down, c.Drained)
	case c.Down == 0:
		return ""
	}
	var names []string
	for _, e := range svc.Endpoints {
		if e.State == policy.Down && len(names) < maxNamed {
			names = append(names, strings.TrimPrefix(e.Name, svc.Name+"/"))
		}
	}
	said := fmt.Sprintf(": %d of %d endpoints down: %s", c.Down, c.Total(), strings.Join(names, ", "))
	if more := c.Down - len(names); more > 0 {
		said += fmt.Sprintf(" and %d more", more)
	}
	return said
}

// leftWithout says which services have nothing usable once an override is in force that covers one of their endpoints.
func (s *Server) leftWithout(o registry.Override) []string {
	if o.State.Usable() {
		return nil
	}
	counts, covered := map[string]*Counts{}, map[string]bool{}
	var names []string
	for _, d := range s.Registry.Details() {
		if counts[d.Service] == nil {
			counts[d.Service] = &Counts{}
			names = append(names, d.Service)
		}
		counts[d.Service].add(d.State)
		covered[d.Service] = covered[d.Service] || covers(o.Target, &d)
	}
	var out []string
	for _, name := range names {
		c := counts[name]
		switch {
		case !covered[name] || c.Usable() > 0:
		case c.Down == 0:
			out = append(out, fmt.Sprintf("service %s has nothing but drained endpoints now (%d): it fails open, all count as up, and traffic goes on", name, c.Drained))
		case c.Drained == 0:
			out = append(out, fmt.Sprintf("service %s has no usable endpoint now (%d down): it fails open, all count as up, and traffic goes on", name, c.Down))
		default:
			out = append(out, fmt.Sprintf("service %s has no usable endpoint now: it fails open, what is down but not drained (%d) counts as up", name, c.Down))
		}
	}
	return out
}

// stillForced says which other overrides decide about endpoints of a target, one sentence each; those that say what it should be are left
// out.
func (s *Server) stillForced(t registry.Target, should policy.State) []string {
	held := map[registry.Target][]string{} // names of endpoints
	var others []registry.Override
	for _, d := range s.Registry.Details() {
		if d.By == nil || d.By.Target == t || d.State == should || !covers(t, &d) {
			continue
		}
		if held[d.By.Target] == nil {
			others = append(others, *d.By)
		}
		held[d.By.Target] = append(held[d.By.Target], d.Name)
	}
	var out []string
	for _, o := range others {
		who := o.By
		if o.By != "" && o.Reason != "" {
			who += ": "
		}
		if who += o.Reason; who != "" {
			who = " (" + who + ")"
		}
		names := held[o.Target]
		verb := "is"
		if len(names) > 1 {
			verb = "are"
		}
		out = append(out, fmt.Sprintf("%s is still %s%s, and so %s %s; undrain %s to end that", o.Target, o.State, who, verb, few(names), o.Target))
	}
	return out
}

// covers says whether a target is about an endpoint.
func covers(t registry.Target, d *registry.EndpointDetail) bool {
	switch t.Kind {
	case registry.KindSite:
		return t.Name == d.Site
	case registry.KindService:
		return t.Name == d.Service
	}
	return t.Name == d.Name
}
