package configs

import (
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/probes"
)

// edgeService is the service that "via: edge" answers with.
const edgeService = "edge"

// edgeEndpoints returns the endpoints of the implicit service "edge".
func (f *file) edgeEndpoints() []policy.EndpointSpec {
	port := uint16(0)
	var own siteEdge
	if f.config.Edge != nil {
		own.site = f.config.Site
		for _, list := range [][]string{f.config.Edge.HTTPS, f.config.Edge.HTTP} {
			for _, text := range list {
				a, ok := splitListen(text)
				if ok && port == 0 {
					port = a.Port()
				}
				switch {
				case !ok || !a.Addr().IsValid() || a.Addr().IsUnspecified():
				case a.Addr().Is4() && !own.v4.IsValid():
					own.v4 = a.Addr()
				case a.Addr().Is6() && !own.v6.IsValid():
					own.v6 = a.Addr()
				}
			}
		}
	}
	edges := f.edges
	if len(edges) == 0 && (own.v4.IsValid() || own.v6.IsValid()) {
		edges = []siteEdge{own}
	}
	var list []policy.EndpointSpec
	for _, e := range edges {
		name := e.site
		if name == "" {
			name = "local"
		}
		if e.v4.IsValid() || e.v6.IsValid() {
			list = append(list, policy.EndpointSpec{Name: name, V4: e.v4, V6: e.v6, Port: port, Site: e.site, Weight: 1})
		}
	}
	return list
}

// addEdgeService adds the service "edge" if a record is answered with it.
func (f *file) addEdgeService() {
	if len(f.viaEdge) == 0 {
		return
	}
	s := policy.ServiceSpec{Name: edgeService, Endpoints: f.edgeEndpoints()}
	if len(s.Endpoints) == 0 {
		for _, v := range f.viaEdge {
			f.errorf(v, "no edge is known to answer with: give sites their %q, or let %q listen on one address rather than all", "edge", "edge")
		}
	}
	f.spec.Services = append(f.spec.Services, s)
	if len(s.Endpoints) > 0 && s.Endpoints[0].Port != 0 {
		probe := probes.Check{Kind: probes.TCP, Port: s.Endpoints[0].Port}.WithDefaults()
		allowLocal(&probe, s.Endpoints)
		f.probes[edgeService] = probe
	}
}
