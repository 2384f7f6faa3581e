package configs

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

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
			case "from":
				f.from(v, name)
			case "probe":
				probed = f.decodeProbe(v, probe)
			}
		})
		f.spec.Services = append(f.spec.Services, s)
		if probed {
			allowLocal(probe, s.Endpoints)
			f.probes[name] = *probe
			if i := slices.IndexFunc(s.Endpoints, func(e policy.EndpointSpec) bool { return !e.V4.IsValid() && !e.V6.IsValid() }); i >= 0 {
				f.warnf(p.Key.Pos, v.path, "endpoint %q has no address: the probe of the service leaves it out, and it counts as up", s.Endpoints[i].Name)
			}
		} else if v.Get("probe") == nil && len(s.Endpoints) > 0 {
			f.warnf(p.Key.Pos, v.path, "the service has no probe: all its endpoints count as up; write \"probe: off\" if that is meant")
		}
	}
}

// endpoints reads the endpoints of a service. Those with nothing usable are left out.
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
			case "host":
				e.Host = f.host(v)
			case "text":
				e.Text, _ = f.text(v)
			case "alpn":
				e.ALPN = f.texts(v)
			case "port":
				e.Port = f.port(v)
			case "site":
				e.Site = f.site(v)
			case "weight":
				if n, ok := f.integer(v, 0, policy.MaxWeight); ok {
					e.Weight = uint32(n)
				}
			case "load":
				share, _ := f.share(v, 1)
				e.Load = policy.LoadOf(share)
			case "meta":
				e.Meta = f.meta(v)
			}
		})
		if (v.Kind == yaml.Mapping || v.Kind == yaml.Null) && v.Get("host") == nil && v.Get("text") == nil {
			f.require(v, "address", "an IP address, or one of each family in a list")
		}
	}
	if !e.V4.IsValid() && !e.V6.IsValid() && e.Host == "" && e.Text == "" {
		return e, false
	}
	if e.Name == "" {
		e.Name = endpointName(e)
	}
	if e.Name == "" && v.Get("name") == nil {
		f.require(v, "name", "an endpoint that is nothing but a text needs a name of its own")
		return e, false
	}
	return e, e.Name != ""
}

// host reads the name of a host, which is not to be mixed up with an address. The rest is checked by its room.
func (f *file) host(v value) string {
	s, ok := f.text(v)
	if ok && isAddress(s) {
		f.errorf(v, "%s is an address, and belongs to \"address\"; a host is a name that answers lead to", quote(v))
		return ""
	}
	return s
}

// endpointName returns the name of an endpoint that the file gives none: its first address, or its host, with the port if there is
// one; "" if there is neither.
func endpointName(e policy.EndpointSpec) string {
	a := e.V4
	if !a.IsValid() {
		a = e.V6
	}
	switch host := strings.TrimSuffix(e.Host, "."); {
	case a.IsValid() && e.Port != 0:
		return netip.AddrPortFrom(a, e.Port).String()
	case a.IsValid():
		return a.String()
	case !endpointForm.MatchString(host): // it has no host, or its host is wrong, or begins with an underscore
		return ""
	case e.Port != 0:
		return host + ":" + strconv.Itoa(int(e.Port))
	default:
		return host
	}
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
