package configs

import (
	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/l7edge/route"
)

// decodeRoutes reads "routes".
func (f *file) decodeRoutes(v value) {
	for _, v := range f.list(v, "routes") {
		r := route.Spec{Retries: -1}
		f.object(v, inRoute, func(key string, v value) {
			switch key {
			case "host":
				r.Host, _ = f.text(v)
			case "path":
				r.Path, _ = f.text(v)
			case "service":
				r.Service, _ = f.text(v)
				f.reference(v, "service", r.Service, f.services)
				f.uses[r.Service] = true
			case "policy":
				r.Policy = f.policy(v)
			case "protocol":
				if word := f.oneOf(v, route.ProtocolWords()...); word != "" {
					_ = r.Protocol.UnmarshalText([]byte(word)) // it is one of them
				}
			case "retries":
				if n, ok := f.integer(v, 0, route.MaxRetries); ok {
					r.Retries = int(n)
				}
			case "timeout":
				if v.Kind == yaml.Scalar && v.Value == "off" && !v.Quoted {
					r.Timeout = -1
				} else {
					r.Timeout, _ = f.duration(v, route.MinTimeout, route.MaxTimeout)
				}
			}
		})
		if v.Kind == yaml.Mapping || v.Kind == yaml.Null {
			f.require(v, "service", "where requests go")
		}
		f.routes = append(f.routes, r)
	}
}
