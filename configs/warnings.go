package configs

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
)

// warn adds what is allowed but probably not meant. The file has no errors.
func (f *file) warn() {
	f.warnUnused("services", "service", "no record and no route uses the service")
	f.warnUnused("policies", "policy", "no record and no route uses the policy")
	f.warnEdge()
	f.warnSites()
	f.warnTable()
	f.warnOrder()
	f.warnTargets()
	f.warnWaysIn()
	f.warnTypes()
	f.warnHosts()
	f.warnZoneFiles()
	f.warnConditions()
	f.warnSecrets()
	f.warnDatabases(time.Now())
	f.warnAdmin()
	if f.config.DNS == nil && f.config.Edge == nil {
		f.warnf(f.root.at, nil, "neither dns nor edge is configured: nothing is served but the admin API")
	}
	if f.config.DNS != nil && len(f.zones) == 0 {
		f.warnAt([]string{"dns"}, "DNS is served, but there is no zone to answer for")
	}
	if f.config.DNS == nil && len(f.zones) > 0 {
		f.warnAt(f.zones[0].Path()[:1], "there are zones, but no section dns to serve them")
	}
	if f.config.Edge != nil && len(f.routes) == 0 {
		f.warnAt([]string{"edge"}, "the edge is served, but there is no route")
	}
	if f.config.Edge != nil && len(f.config.Edge.HTTPS) == 0 && len(f.config.Edge.Certificates) > 0 {
		f.warnAt([]string{"edge", "certificates"}, "there is no https address to present them at")
	}
	if f.config.Edge == nil && len(f.routes) > 0 {
		f.warnAt([]string{"routes"}, "there are routes, but no section edge to serve them")
	}
	if f.config.Edge != nil && f.config.Site == "" && len(f.sites.list) > 1 {
		f.warnAt([]string{"edge"}, "\"site\" is missing: the edge does not know which site is near, and locates clients by their address")
	}
}

// warnThere warns of what stands at a path of the file.
func (f *file) warnThere(path []string, format string, args ...any) {
	v, at := f.locate(path)
	f.warnf(v.at, at, format, args...)
}

// warnAt warns at a path of the file, at its key.
func (f *file) warnAt(path []string, msg string) {
	parent, _ := f.locate(path[:len(path)-1])
	key := path[len(path)-1]
	if p, ok := f.find(parent.Node, key); ok {
		f.warnf(p.Key.Pos, parent.child(p).path, "%s", msg)
	}
}

// warnUnused warns of what is declared in a section and not referred to.
func (f *file) warnUnused(section, what, msg string) {
	n := f.root.Get(section)
	if n == nil {
		return
	}
	for _, p := range n.Pairs {
		name := p.Key.Value
		if what == "policy" {
			name = "policy " + name
			if p.Key.Value == policy.DefaultPolicy {
				continue // what names no policy uses it
			}
		}
		if !f.uses[name] {
			f.warnAt([]string{section, p.Key.Value}, msg)
		}
	}
}

// warnEdge warns of names that are answered with the edge and that no route takes.
func (f *file) warnEdge() {
	if f.config.Edge == nil || len(f.viaEdge) == 0 {
		return
	}
	hosts := map[string]bool{}
	for _, r := range f.routes {
		hosts[strings.ToLower(strings.TrimSuffix(r.Host, "."))] = true
	}
	for _, z := range f.zones {
		for path, r := range records(&z) {
			if r.Steer == nil || r.Steer.Service != edgeService {
				continue
			}
			if host := hostOf(r.Owner, z.Name); !routed(hosts, host) {
				f.warnAt(append(path, "via"), "clients are sent to the edge, but no route has the host "+host)
			}
		}
	}
}

// hostOf returns a name of a zone, whole, in lower case and without the final dot. A name that ends in the zone's is whole already.
func hostOf(owner, zone string) string {
	zone = strings.TrimSuffix(zone, ".")
	host := strings.TrimSuffix(owner, ".")
	switch {
	case owner == "@":
		host = zone
	case host == owner && !endsIn(host, zone):
		host += "." + zone
	}
	return strings.ToLower(host)
}

// endsIn reports whether a name is a zone's name or ends in it.
func endsIn(name, zone string) bool {
	border := len(name) - len(zone) - 1
	return border >= -1 && strings.EqualFold(name[border+1:], zone) && (border == -1 || name[border] == '.')
}

// routed reports whether one of the hosts of routes covers a host: itself, a wildcard above it, or "" for every host.
func routed(hosts map[string]bool, host string) bool {
	if hosts[""] || hosts[host] {
		return true
	}
	for rest, ok := host, true; ok; {
		if _, rest, ok = strings.Cut(rest, "."); ok && hosts["*."+rest] {
			return true
		}
	}
	return false
}

// warnSites warns of sites that "nearest" can never choose, and of policies that use it where nobody's place is known.
func (f *file) warnSites() {
	uses := false
	geo := f.root.Get("geo")
	blind := f.config.DNS != nil && (geo == nil || len(geo.Pairs) == 0)
	for i := range f.spec.Policies {
		p := &f.spec.Policies[i]
		if !usesNearest(p) {
			continue
		}
		if uses = true; blind {
			f.warnAt([]string{"policies", p.Name}, "geo: nearest finds no client: there are no geo.networks and no geo.databases, so all get the sites in the order of the file")
		}
	}
	if !uses {
		return
	}
	for _, s := range f.spec.Sites {
		if s.At == nil {
			f.warnAt([]string{"sites", s.Name}, "the site has no coordinates (at), so geo: nearest never prefers it")
		}
	}
}

// warnTable warns of round-trip times that nothing goes by.
func (f *file) warnTable() {
	for i := range f.spec.Policies {
		for s := range f.spec.Policies[i].All() {
			if _, ok := s.(policy.Latency); ok {
				return
			}
		}
	}
	if f.timed {
		f.warnAt([]string{"geo", "latency"}, "no policy has a latency stage, so nothing goes by these times")
	}
}

// usesNearest reports whether a geo stage of a policy looks for the nearest site.
func usesNearest(p *policy.PolicySpec) bool {
	for s := range p.All() {
		g, ok := s.(policy.Geo)
		if ok && (g.Default.Nearest || slices.ContainsFunc(g.Rules, func(r policy.GeoRule) bool { return r.To.Nearest })) {
			return true
		}
	}
	return false
}

// warnOrder warns of weights that come too late to matter.
func (f *file) warnOrder() {
	for _, p := range f.spec.Policies {
		if pos, n := lateWeights(p.Stages); n > 0 {
			f.warnThere([]string{"policies", p.Name, strconv.Itoa(pos)}, "take: %d comes before weighted, so weights only order what was taken and have no say in what is; write take behind weighted", n)
		}
	}
}

// lateWeights returns the position of the first weighted stage, and the least that stages before it take, 0 if there is none.
func lateWeights(stages []policy.StageSpec) (pos, n int) {
	for pos, s := range stages {
		switch s := s.(type) {
		case policy.Take:
			if n == 0 || s.N < n {
				n = s.N
			}
		case policy.Weighted:
			if !s.Multi && len(s.Branches) == 0 {
				return pos, n
			}
		}
	}
	return 0, 0
}

// warnAdmin warns of an admin API that others can reach.
func (f *file) warnAdmin() {
	if a, ok := splitListen(f.config.Admin.Listen); ok && !a.Addr().Unmap().IsLoopback() {
		f.warnThere([]string{"admin", "listen"}, "whoever reaches %s can drain sites: the admin API has no accounts; listen on 127.0.0.1, or let nobody else reach it", f.config.Admin.Listen)
	}
}

// warnTargets warns of aliases, mail exchangers and servers that are names in our zones which do not exist.
func (f *file) warnTargets() {
	zones := f.config.Compiled.Zones()
	for _, z := range f.zones {
		seen, _ := zones.View(z.View)
		for path, r := range records(&z) {
			for _, s := range r.Static {
				for i, text := range s.Values {
					name, ok := targetOf(s.Type, text, z.Name)
					if !ok || seen.Lookup(name, wire.TypeA).Kind != zone.NXDomain {
						continue
					}
					path := append(slices.Clip(path), s.Type)
					if v, _ := f.locate(path); v.Kind == yaml.Sequence {
						path = append(path, strconv.Itoa(i))
					}
					f.warnThere(path, "%s does not exist in its zone, which is served from here; add it, or end a name that lies elsewhere with a dot", strings.TrimSuffix(name.String(), "."))
				}
			}
		}
	}
}

// warnWaysIn warns of HTTPS and SVCB records that lead to their own name where that has no address: clients look for one there, and take
// hints only until they know (RFC 9460 7.3).
func (f *file) warnWaysIn() {
	for _, z := range f.zones {
		for path, r := range records(&z) {
			if r.Steer == nil || r.Alias != "" || r.When != nil && r.When.Types != nil || // others have the addresses, perhaps
				!slices.ContainsFunc(r.Steer.Types, oneOfTypes("HTTPS", "SVCB")) ||
				slices.ContainsFunc(r.Steer.Types, oneOfTypes("A", "AAAA", "CNAME")) ||
				slices.ContainsFunc(r.Static, func(s zone.StaticSpec) bool { return oneOfTypes("A", "AAAA")(s.Type) }) {
				continue
			}
			at := slices.IndexFunc(f.spec.Services, func(s policy.ServiceSpec) bool { return s.Name == r.Steer.Service })
			if at >= 0 && slices.ContainsFunc(f.spec.Services[at].Endpoints, hostless) {
				f.warnAt(append(path, "types"),
					"clients look for addresses at "+hostOf(r.Owner, z.Name)+", which has none: add A and AAAA, or give each endpoint a host")
			}
		}
	}
}

// oneOfTypes returns what tells some types from others.
func oneOfTypes(names ...string) func(string) bool {
	return func(rrtype string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, rrtype) })
	}
}

// hostless reports whether an endpoint has addresses and no name.
func hostless(e policy.EndpointSpec) bool { return e.Host == "" && (e.V4.IsValid() || e.V6.IsValid()) }

// warnHosts warns of endpoints whose host is a name in our zones that does not exist.
func (f *file) warnHosts() {
	zones := f.config.Compiled.Zones()
	for _, s := range f.spec.Services {
		for i, e := range s.Endpoints {
			if e.Host == "" {
				continue
			}
			name, err := wire.ParseName(e.Host)
			exists := func(seen *zone.Set) bool { return seen.Lookup(name, wire.TypeA).Kind != zone.NXDomain }
			if err != nil || slices.ContainsFunc(zones.AllViews(), exists) {
				continue
			}
			host := strings.TrimSuffix(name.String(), ".")
			f.warnThere([]string{"services", s.Name, "endpoints", strconv.Itoa(i), "host"}, "%s does not exist in zone %s, which is served from here: clients that "+
				"are sent there find nothing", host, zones.Zone(name).Name())
		}
	}
}

// warnZoneFiles warns of what zone files have that is served, as by other servers, but leads nowhere.
func (f *file) warnZoneFiles() {
	for _, p := range f.config.Compiled.Zones().Doubts(f.zones) {
		_, path := f.locate(p.Path)
		f.warnings.add(Problem{File: p.File, Line: p.Line, Path: path.String(), Message: p.Msg})
	}
}

// warnConditions warns of names that have no records for some clients of one resolver: it gives what it heard to all others, too. And of a
// CNAME for some types: resolvers that know it take it for all.
func (f *file) warnConditions() {
	for i := range f.zones {
		for j := range f.zones[i].Records {
			r := &f.zones[i].Records[j]
			clients, others := false, false
			for place, v := range r.Alternatives() {
				if v.When != nil && v.When.Types != nil && hasCNAME(v) {
					f.warnAt(f.zones[i].Path(slices.Concat([]string{"records", r.Owner}, place, []string{"when", "types"})...), "resolvers that know of "+
						"a CNAME take it for all types (RFC 1034 3.6.2), whatever stands here for others; leave \"types\" out")
				}
				clients = clients || v.When != nil && (v.When.Client != nil || v.When.Subnet != nil)
				others = others || v.When == nil
			}
			if clients && !others {
				f.warnAt(f.zones[i].Path("records", r.Owner), "clients for whom no condition holds get no records, and resolvers may give that to all others for "+
					"as long as the SOA says (RFC 7871 7.4); end with a variant without \"when\"")
			}
		}
	}
}

// hasCNAME reports whether a record is an alias, static or steered.
func hasCNAME(r *zone.RecordSpec) bool {
	return slices.ContainsFunc(r.Static, func(s zone.StaticSpec) bool { return s.Type == "CNAME" }) ||
		r.Steer != nil && slices.Contains(r.Steer.Types, "CNAME")
}

// targetOf returns the name that a value points to, if its type has one.
func targetOf(rrtype, text, zone string) (wire.Name, bool) {
	pos := map[string]int{"CNAME": 0, "MX": 1, "SRV": 3}
	fields := strings.Fields(text)
	if n, ok := pos[rrtype]; !ok || len(fields) != n+1 || fields[n] == "." { // "." means that there is none (RFC 2782, 7505)
		return nil, false
	}
	name, err := wire.ParseName(hostOf(fields[len(fields)-1], zone))
	return name, err == nil
}
