package configs

import (
	"net/netip"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/probes"
	"github.com/meridian-gslb/meridian/registry"
)

// decodeServices reads "services".
func (f *file) decodeServices(v value) {
	for _, p := range f.entries(v) {
		v := v.child(p)
		name := p.Key.Value
		f.checkName(p.Key.Pos, v.path, nameForm, name)
		if name == edgeService {
			f.report(p.Key.Pos, v.path, "", "\"edge\" is the service of our own edges (via: edge); call this one otherwise")
			continue
		}
		s := policy.ServiceSpec{Name: name}
		probe := &probes.Check{}
		probed := false
		f.object(v, inService, func(key string, v value) {
			switch key {
			case "endpoints":
				s.Endpoints = f.endpoints(v)
			case "probe":
				probed = f.decodeProbe(v, probe)
			}
		})
		f.spec.Services = append(f.spec.Services, s)
		if probed {
			allowLocal(probe, s.Endpoints)
			f.probes[name] = *probe
		} else if v.Get("probe") == nil && len(s.Endpoints) > 0 {
			f.warnf(p.Key.Pos, v.path, "the service has no probe: all its endpoints count as up; write \"probe: off\" if that is meant")
		}
	}
}

// endpoints reads the endpoints of a service. Those without a usable address are left out.
func (f *file) endpoints(v value) []policy.EndpointSpec {
	var list []policy.EndpointSpec
	first := map[string]int{}
	for _, v := range f.list(v, "endpoints") {
		e, ok := f.endpoint(v)
		if line, twice := first[e.Name]; twice && e.Name != "" {
			f.errorf(v, "endpoint %q is in the service twice; the first is on line %d", e.Name, line)
			continue
		}
		first[e.Name] = v.at.Line
		if ok {
			list = append(list, e)
		}
	}
	return list
}

// endpoint reads one endpoint: a mapping, or nothing but its address.
func (f *file) endpoint(v value) (e policy.EndpointSpec, ok bool) {
	e.Weight = 1
	if v.Kind == yaml.Scalar {
		e.V4, e.V6 = f.addresses(v)
	} else {
		f.object(v, inEndpoint, func(key string, v value) {
			switch key {
			case "name":
				if s, ok := f.text(v); ok && f.checkName(v.at, v.path, endpointForm, s) {
					e.Name = s
				}
			case "address":
				e.V4, e.V6 = f.addresses(v)
			case "port":
				e.Port = f.port(v)
			case "site":
				e.Site = f.site(v)
			case "weight":
				if n, ok := f.integer(v, 0, policy.MaxWeight); ok {
					e.Weight = uint32(n)
				}
			case "meta":
				e.Meta = f.meta(v)
			}
		})
		if v.Kind == yaml.Mapping || v.Kind == yaml.Null {
			f.require(v, "address", "an IP address, or one of each family in a list")
		}
	}
	if !e.V4.IsValid() && !e.V6.IsValid() {
		return e, false
	}
	if e.Name == "" {
		e.Name = endpointName(e)
	}
	return e, true
}

// endpointName returns the name of an endpoint that the file gives none: its first address, with the port if there is one.
func endpointName(e policy.EndpointSpec) string {
	a := e.V4
	if !a.IsValid() {
		a = e.V6
	}
	if e.Port != 0 {
		return netip.AddrPortFrom(a, e.Port).String()
	}
	return a.String()
}

// meta reads metadata: names with text.
func (f *file) meta(v value) map[string]string {
	meta := map[string]string{}
	for _, p := range f.entries(v) {
		if c := v.child(p); f.scalar(c, "text") {
			meta[p.Key.Value] = c.Value
		}
	}
	if err := registry.CheckMeta(meta); err != nil {
		f.errorf(v, "%v", err)
		return nil
	}
	return meta
}
