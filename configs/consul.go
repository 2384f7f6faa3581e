package configs

import (
	"math"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/registry/source/consul"
)

// decodeConsul reads "consul".
func (f *file) decodeConsul(v value) {
	c := &consul.Config{KVPrefix: consul.DefaultKVPrefix}
	f.object(v, inConsul, func(key string, v value) {
		switch key {
		case "address":
			c.Address = f.consulAddress(v)
		case "token_file":
			c.TokenFile = f.filePath(v)
		case "ca":
			c.CAFile = f.filePath(v)
		case "cert":
			c.CertFile = f.filePath(v)
		case "key":
			c.KeyFile = f.filePath(v)
		case "server_name":
			c.ServerName, _ = f.text(v)
		case "datacenters":
			c.Datacenters = f.datacenters(v)
		case "sites":
			f.consulSites(v)
		case "namespace":
			c.Namespace, _ = f.text(v)
		case "partition":
			c.Partition, _ = f.text(v)
		case "prefix":
			if s, ok := f.text(v); ok && f.checkName(v.at, v.path, nameForm, s) {
				c.Prefix = strings.ToLower(s)
			}
		case "addresses":
			switch s, ok := f.text(v); {
			case ok && s == "lan":
				c.LAN = true
			case ok && s != "wan":
				f.errorf(v, "wan or lan is expected here, not %s", quote(v))
			}
		case "consistent":
			c.Consistent, _ = f.boolean(v)
		case "max_watches":
			n, _ := f.integer(v, 1, math.MaxInt32)
			c.MaxWatches = int(n)
		case "kv":
			c.KVPrefix = f.consulKV(v)
		}
	})
	if (c.CertFile == "") != (c.KeyFile == "") {
		f.errorf(v, "cert and key belong together: the certificate that we show to Consul, and its key")
	}
	f.config.Consul = c
}

// consulKV reads where nodes share what operators decide; "" is nowhere.
func (f *file) consulKV(v value) string {
	s, ok := f.text(v)
	switch {
	case !ok || s == "off" && !v.Quoted:
		return ""
	case s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) || strings.Trim(s, "/") != s:
		f.errorf(v, "a path in Consul's key-value store, such as meridian, or off, is expected here, not %s", quote(v))
	}
	return s
}

// consulAddress reads where Consul is.
func (f *file) consulAddress(v value) string {
	s, ok := f.text(v)
	if !ok {
		return ""
	}
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		rest = s
	}
	if found && scheme != "http" && scheme != "https" && scheme != "unix" || rest == "" || strings.ContainsAny(s, " ?#@") {
		f.errorf(v, "%s is no address of Consul: want host:port, https://host:port, or unix:///path", quote(v))
		return ""
	}
	return s
}

// datacenters reads one datacenter or a list of them.
func (f *file) datacenters(v value) []string {
	var all names
	for _, e := range v.elements() {
		s, ok := f.text(e)
		switch {
		case !ok:
		case s == "":
			f.errorf(e, "the name of a datacenter is empty")
		case all.has[s]:
			f.errorf(e, "datacenter %q is listed twice", s)
		default:
			all.add(s)
		}
	}
	return all.list
}

// consulSites reads which site a datacenter is.
func (f *file) consulSites(v value) {
	for _, p := range f.entries(v) {
		if site := f.site(v.child(p)); site != "" {
			f.consulSite[p.Key.Value] = site
		}
	}
}

// from reads where a service's endpoints come from: consul, or {consul: its name there}.
func (f *file) from(v value, service string) {
	name := service
	if v.Kind == yaml.Mapping {
		name = ""
		f.object(v, inFrom, func(_ string, v value) {
			if s, ok := f.text(v); ok && s == "" {
				f.errorf(v, "the name of the service in Consul is empty")
			} else {
				name = s
			}
		})
	} else if s, ok := f.text(v); !ok || s != "consul" {
		if ok {
			f.errorf(v, "consul, or {consul: its name there}, is expected here, not %s", quote(v))
		}
		return
	}
	if name == "" {
		return
	}
	f.config.Wanted.Services[service] = name
	if f.root.Get("consul") == nil {
		f.errorf(v, "there is no section consul that says where Consul is; \"consul: {}\" is the agent on this machine")
	}
}

// knownToConsul says by which names instances are at our sites: those that "sites" gives to datacenters, and the sites' own.
func (f *file) knownToConsul() {
	for _, s := range f.spec.Sites {
		f.config.Wanted.Sites[s.Name] = s.Name
	}
	for dc, site := range f.consulSite {
		f.config.Wanted.Sites[dc] = site
	}
}

// decodeSafety reads "safety".
func (f *file) decodeSafety(v value) {
	f.object(v, inSafety, func(key string, v value) {
		switch key {
		case "max_loss":
			if x, ok := f.number(v, 0, 1); ok {
				f.config.Safety.MaxLoss = x
			}
		case "hold":
			if v.Kind == yaml.Scalar && v.Value == "forever" {
				f.config.Safety.Hold = 0
			} else if d, ok := f.duration(v, time.Second, 24*time.Hour); ok {
				f.config.Safety.Hold = d
			}
		}
	})
}
