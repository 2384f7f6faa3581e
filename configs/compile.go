package configs

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/l7edge/route"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// compile has the rooms check what was decoded, and keeps what they make of it.
func (f *file) compile() {
	d := registry.Definition{Policy: f.spec, Zones: f.zones, Views: f.views, Routes: f.routes, Probed: slices.Sorted(maps.Keys(f.probes))}
	compiled, problems := f.compileAll(d)
	for _, p := range problems {
		f.roomProblem(p)
	}
	if len(problems) > 0 && f.errors.total == 0 { // none may be taken for told before if nothing was
		clear(f.blamed)
		clear(f.held)
		for _, p := range problems {
			f.roomProblem(p)
		}
	}
	if len(problems) > 0 {
		// Without a Plan the registry checks no zones and routes; their own problems should be known all the same.
		_, problems = zone.Compile(f.zones, nil, f.views...)
		_, more := route.Compile(f.routes, nil)
		for _, p := range append(problems, more...) {
			f.roomProblem(p)
		}
	}
	if compiled != nil && len(f.config.Resolvers) == 0 {
		f.refuseOutsideAliases(compiled.Zones(), compiled.Plan())
	}
	f.config.Definition, f.config.Compiled, f.config.Probes = d, compiled, f.probes
}

// refuseOutsideAliases reports the aliases that could never be answered, as nobody would be asked for their addresses.
func (f *file) refuseOutsideAliases(zones *zone.Set, plan *policy.Plan) {
	for _, z := range f.zones {
		for path, r := range records(&z) {
			if r.Alias == "" {
				continue
			}
			name, err := wire.ParseName(hostOf(r.Alias, z.Name))
			if err != nil {
				continue
			}
			if out := leavesAt(zones, z.View, name, plan); out != nil {
				v, path := f.locate(append(path, "alias"))
				f.errors.add(f.problem(v.key, path, "", fmt.Sprintf("%s is in none of our zones: its addresses have to be asked for; "+
					"name resolvers in dns.resolvers, or use CNAME below the apex", strings.TrimSuffix(out.String(), "."))))
			}
		}
	}
}

// leavesAt returns the first name outside our zones that a name of a zone leads to, in its view; in some view, if the zone is in all.
func leavesAt(zones *zone.Set, view string, name wire.Name, plan *policy.Plan) wire.Name {
	for _, seen := range zones.AllViews() {
		if view == "" || seen.ViewName() == view {
			if out := seen.LeavesAt(name, plan); out != nil {
				return out
			}
		}
	}
	return nil
}

// records yields the records of a zone, of names with variants each of them, and the way to it.
func records(z *zone.Spec) iter.Seq2[[]string, *zone.RecordSpec] {
	return func(yield func([]string, *zone.RecordSpec) bool) {
		for i := range z.Records {
			for place, r := range z.Records[i].Alternatives() {
				if !yield(slices.Concat(z.Path("records", z.Records[i].Owner), place), r) {
					return
				}
			}
		}
	}
}

// compileAll compiles a Definition. If it may differ from that of the configuration before in its zones alone, the rest is taken over.
func (f *file) compileAll(d registry.Definition) (*registry.Compiled, []policy.Problem) {
	if f.setting.previous == nil || f.newNetworks {
		return registry.Compile(d)
	}
	same := make([]bool, len(d.Zones)) // the text is the same, so it hangs on the files alone
	for i := range d.Zones {
		was, ok := f.setting.previous.zones[zoneKey(&d.Zones[i])]
		same[i] = !ok || d.Zones[i].RRs != nil && d.Zones[i].RRs == was.rrs
	}
	return f.setting.previous.Compiled.WithZones(d.Zones, same)
}

// roomProblem reports what a room found, unless the decoder found something in the same place: one mistake is reported once.
func (f *file) roomProblem(p policy.Problem) {
	v, path := f.locate(p.Path)
	if p.File != "" {
		if f.misread[place{p.File, p.Line}] {
			return
		}
		f.dataProblem(p.File, p.Line, 0, path, p.Msg)
		return
	}
	if f.held[path.String()] {
		return
	}
	for s := path; s != nil; s = s.up { // a quadratic walk, over paths of at most ten steps
		if f.blamed[s.String()] {
			return
		}
	}
	f.errors.add(f.problem(v.key, path, "", p.Msg))
}

// locate returns the deepest value on a path, and the path as steps.
func (f *file) locate(keys []string) (value, *step) {
	v, path, found := f.root, (*step)(nil), true
	for _, key := range keys {
		i, err := strconv.Atoi(key)
		isIndex := err == nil && i >= 0 && (!found || v.Kind != yaml.Mapping)
		path = &step{path, key, isIndex}
		switch {
		case !found:
		case isIndex && v.Kind == yaml.Sequence && i < len(v.Items):
			v = v.item(i)
		default:
			var p yaml.Pair
			if p, found = f.find(v.Node, key); found {
				v = v.child(p)
				path = v.path
			}
		}
	}
	return v, path
}

// find returns the entry of a mapping: of that very key, or of the same network written otherwise.
func (f *file) find(n *yaml.Node, key string) (yaml.Pair, bool) {
	if n.Kind != yaml.Mapping {
		return yaml.Pair{}, false
	}
	index := f.index[n]
	if index == nil {
		index = make(map[string]yaml.Pair, len(n.Pairs))
		for _, p := range n.Pairs {
			keys := []string{p.Key.Value}
			if prefix, err := netip.ParsePrefix(p.Key.Value); err == nil {
				keys = append(keys, prefix.String())
			}
			for _, k := range keys {
				if _, ok := index[k]; !ok {
					index[k] = p
				}
			}
		}
		f.index[n] = index
	}
	p, ok := index[key]
	return p, ok
}
