package consul

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// catalog returns what is known of the wanted services; false if nothing is. A service that Consul has not yet answered for is not in it;
// one without instances is, with none.
func (s *Source) catalog() (registry.Catalog, bool) {
	s.mu.Lock()
	wanted := s.wanted
	type answer struct {
		datacenter string
		instances  []*api.ServiceEntry
	}
	answers := map[string][]answer{}
	for ours, theirs := range wanted.Services {
		for _, dc := range s.cfg.Datacenters {
			if r := s.results[question{dc, theirs}]; r != nil && r.known {
				answers[ours] = append(answers[ours], answer{dc, r.instances})
			}
		}
	}
	s.mu.Unlock()
	c := registry.Catalog{Services: make(map[string][]policy.EndpointSpec, len(answers)), States: map[string]policy.State{}}
	for _, service := range slices.Sorted(maps.Keys(answers)) {
		r := reader{prefix: s.cfg.Prefix, lan: s.cfg.LAN, sites: wanted.Sites, service: service}
		for _, a := range answers[service] {
			for _, e := range a.instances {
				r.read(e)
			}
		}
		r.name()
		list := make([]policy.EndpointSpec, 0, len(r.found))
		for i := range r.found {
			list = append(list, r.found[i].spec)
			if state := r.found[i].state; state != policy.Unknown {
				c.States[service+"/"+r.found[i].spec.Name] = state
			}
		}
		c.Services[service] = list
		c.Refused = append(c.Refused, r.refused...)
	}
	return c, len(answers) > 0 || len(wanted.Services) == 0
}

// A reader turns the instances of one service into endpoints. It is pure.
type reader struct {
	prefix  string
	lan     bool
	sites   map[string]string
	service string // ours

	found   []found
	refused []registry.Refusal
}

// A found is an instance that is an endpoint.
type found struct {
	spec  policy.EndpointSpec
	state policy.State
	names [3]string // that it may have, the shortest first, the last of which no other has
}

// read adds an instance, or why it is none.
func (r *reader) read(e *api.ServiceEntry) {
	if e == nil || e.Node == nil || e.Service == nil {
		return
	}
	f, wanted, err := r.endpoint(e)
	switch {
	case err != nil:
		r.refused = append(r.refused, registry.Refusal{Source: SourceName, Service: r.service, Name: f.names[0], Reason: err.Error()})
	case wanted:
		r.found = append(r.found, f)
	}
}

// endpoint reads an instance. It is not wanted if its tags or metadata say so.
func (r *reader) endpoint(e *api.ServiceEntry) (f found, wanted bool, err error) {
	f.names = names(e)
	said := r.settings(e.Service)
	if text, ok := said["enable"]; ok {
		enable, err := strconv.ParseBool(text)
		if err != nil {
			return f, false, fmt.Errorf("%s.enable is %.40q: want true or false", r.prefix, text)
		}
		if !enable {
			return f, false, nil
		}
	}
	f.spec.Meta = maps.Clone(e.Service.Meta)
	maps.DeleteFunc(f.spec.Meta, func(key, _ string) bool { _, ours := r.ours(key); return ours })
	f.spec.Site = r.sites[e.Node.Datacenter]
	weight := e.Service.Weights.Passing
	switch e.Checks.AggregatedStatus() {
	case api.HealthMaint:
		f.state = policy.Drained
	case api.HealthCritical:
		f.state = policy.Down
	case api.HealthWarning:
		weight = e.Service.Weights.Warning
	}
	if weight < 0 || weight > policy.MaxWeight {
		return f, false, fmt.Errorf("weight %d is out of range: want 0 to %d", weight, policy.MaxWeight)
	}
	f.spec.Weight = uint32(weight)
	if err := r.place(e, &f.spec); err != nil {
		return f, false, err
	}
	for _, key := range slices.Sorted(maps.Keys(said)) {
		if err := r.set(&f.spec, key, said[key]); err != nil {
			return f, false, err
		}
	}
	return f, true, nil
}

// settings returns what tags and metadata say to us, by key; metadata goes before tags. Consul allows no dots in the keys of metadata, so
// meridian_weight and meridian-weight are meridian.weight too.
func (r *reader) settings(s *api.AgentService) map[string]string {
	said := map[string]string{}
	for _, tag := range s.Tags {
		key, text, _ := strings.Cut(tag, "=")
		if key, ok := r.ours(key); ok {
			said[key] = strings.TrimSpace(text)
		}
	}
	for key, text := range s.Meta {
		if key, ok := r.ours(key); ok {
			said[key] = strings.TrimSpace(text)
		}
	}
	return said
}

// ours returns a key without our prefix, and whether it had it.
func (r *reader) ours(key string) (string, bool) {
	rest, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(key)), r.prefix)
	if !ok || len(rest) < 2 || !strings.ContainsRune("._-", rune(rest[0])) {
		return "", false
	}
	return rest[1:], true
}

// set takes over one setting.
func (r *reader) set(e *policy.EndpointSpec, key, text string) error {
	switch key {
	case "enable":
	case "weight":
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || n > policy.MaxWeight {
			return fmt.Errorf("%s.weight is %.40q: want a whole number, 0 to %d", r.prefix, text, policy.MaxWeight)
		}
		e.Weight = uint32(n)
	case "site":
		site, ok := r.sites[text]
		if !ok {
			return fmt.Errorf("%s.site is %.40q: there is no such site", r.prefix, text)
		}
		e.Site = site
	case "port":
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("%s.port is %.40q: want 1 to 65535", r.prefix, text)
		}
		e.Port = uint16(n)
	case "address":
		e.V4, e.V6, e.Host = netip.Addr{}, netip.Addr{}, ""
		for _, one := range strings.Split(text, ",") {
			if !put(e, strings.TrimSpace(one)) {
				return fmt.Errorf("%s.address is %.80q: want an IP address, a name, or one address of each family with a comma between", r.prefix, text)
			}
		}
	case "host":
		e.Host = text
	case "text":
		e.Text = text
	case "alpn":
		e.ALPN = strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ' ' })
	default:
		return fmt.Errorf("%s.%.40s is not known: want enable, weight, site, port, address, host, text or alpn", r.prefix, key)
	}
	return nil
}

// place gives an endpoint its addresses and port: the WAN ones of the service if there are and no other are wanted, else those that the
// service was registered with, else those of its node.
func (r *reader) place(e *api.ServiceEntry, spec *policy.EndpointSpec) error {
	port := e.Service.Port
	tagged := func(names ...string) {
		for _, name := range names {
			if a, ok := e.Service.TaggedAddresses[name]; ok && put(spec, a.Address) && a.Port != 0 {
				port = a.Port
			}
		}
	}
	if !r.lan {
		tagged("wan", "wan_ipv4", "wan_ipv6")
	}
	if !placed(spec) && e.Service.Address != "" {
		put(spec, e.Service.Address)
		tagged("lan_ipv4", "lan_ipv6")
	}
	if node := e.Node.TaggedAddresses; !placed(spec) && !r.lan {
		for _, name := range []string{"wan", "wan_ipv4", "wan_ipv6"} {
			put(spec, node[name])
		}
	}
	if !placed(spec) {
		put(spec, e.Node.Address)
	}
	switch {
	case !placed(spec):
		return fmt.Errorf("it has no address")
	case port < 0 || port > 1<<16-1:
		return fmt.Errorf("port %d is out of range", port)
	}
	spec.Port = uint16(port)
	return nil
}

// placed reports whether an endpoint can be reached by anything.
func placed(e *policy.EndpointSpec) bool { return e.V4.IsValid() || e.V6.IsValid() || e.Host != "" }

// put gives an endpoint an address, or a host if the text is a name, and reports whether it did. A family that it has stays.
func put(e *policy.EndpointSpec, text string) bool {
	a, err := netip.ParseAddr(text)
	switch a = a.Unmap(); {
	case text == "":
		return false
	case err != nil:
		if placed(e) || strings.Contains(text, ":") {
			return false
		}
		e.Host = text
	case a.Is4() && !e.V4.IsValid():
		e.V4 = a
	case a.Is6() && !e.V6.IsValid():
		e.V6 = a
	}
	return true
}

// names returns those that an instance may have: its id, or its node's name if the id says no more than the service; the same with the
// node; the same with the datacenter.
func names(e *api.ServiceEntry) (n [3]string) {
	short := e.Service.ID
	if short == "" || short == e.Service.Service {
		short = e.Node.Node
	}
	n[0] = clean(short)
	n[1] = clean(e.Node.Node + "." + e.Service.ID)
	n[2] = clean(e.Node.Datacenter + "." + e.Node.Node + "." + e.Service.ID)
	return n
}

// clean returns a name with nothing in it that names of endpoints do not have.
func clean(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.ContainsRune("._:-", c):
			return c
		}
		return '-'
	}, s)
	return strings.TrimLeft(s, "._:-")
}

// name gives all that was found the shortest of their names that no other has, and puts them into the order of these.
func (r *reader) name() {
	level := make([]int, len(r.found))
	for range 2 {
		count := map[string]int{}
		for i := range r.found {
			count[r.found[i].names[level[i]]]++
		}
		for i := range r.found {
			if count[r.found[i].names[level[i]]] > 1 {
				level[i]++
			}
		}
	}
	for i := range r.found {
		r.found[i].spec.Name = r.found[i].names[level[i]]
	}
	slices.SortStableFunc(r.found, func(a, b found) int { return strings.Compare(a.spec.Name, b.spec.Name) })
}
