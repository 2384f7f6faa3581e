package configs

import (
	"slices"
	"strings"
	"sync"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/l7edge/route"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/probes"
	"github.com/meridian-gslb/meridian/registry/source/consul"
	"github.com/meridian-gslb/meridian/registry/source/guard"
)

// A file is one configuration file on its way to a Config.
type file struct {
	decoder
	setting setting
	root    value
	config  *Config
	noting  sync.Mutex // guards config.Files, as data files are read side by side

	// What the file declares, known before anything that refers to it is read.
	sites, services, policies, regions names

	spec    policy.Spec
	zones   []zone.Spec
	views   []zone.ViewSpec
	routes  []route.Spec
	probes  map[string]probes.Check
	edges   []siteEdge
	viaEdge []value         // the "via" of records that are answered with edges
	uses    map[string]bool // "NAME" of services and "policy NAME" of policies that something refers to

	listens    []listener
	consulSite map[string]string // datacenter -> site
	zoneFiles  []zoneFile
	misread    map[place]bool // lines of zone files that were blamed for what they refer to
	spread     int            // percent of jitter of TTLs in the zone at hand, where a record says nothing

	newNetworks bool // a file of networks or of times, or a geo database was read
	timed       bool // geo.latency names a file
	ruled       []ruledRegion
	collect     func()          // lets garbage be collected as before; nil: it is
	hidden      map[string]bool // data files that hold secrets
	pairs       []filePair      // of certificates, by their position
	state       value
	redis       value
	proberName  string // as "redis" says; "": it does not
	index       map[*yaml.Node]map[string]yaml.Pair
}

// newFile returns a file with nothing read.
func newFile(name string, data []byte, where setting) *file {
	return &file{
		setting: where,
		decoder: decoder{file: name, lines: strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n"),
			blamed: map[string]bool{}, held: map[string]bool{}, meant: map[string]bool{}, unread: map[yaml.Pos]bool{}, errors: problemList{main: name}, warnings: problemList{main: name}},
		config:     &Config{Safety: guard.Rules{MaxLoss: guard.DefaultMaxLoss, Hold: guard.DefaultHold}, Wanted: consul.Wanted{Services: map[string]string{}, Sites: map[string]string{}}},
		consulSite: map[string]string{},
		probes:     map[string]probes.Check{},
		uses:       map[string]bool{},
		hidden:     map[string]bool{},
		misread:    map[place]bool{},
		index:      map[*yaml.Node]map[string]yaml.Pair{},
	}
}

// decode reads all sections, those first that others refer to.
func (f *file) decode(root *yaml.Node) {
	f.root = value{Node: root, at: root.Pos, key: root.Pos}
	if root.Kind == yaml.Null {
		f.errorf(f.root, "the file is empty; it needs at least a zone or a route (see \"meridian schema\")")
		return
	}
	sections := map[string]value{}
	f.object(f.root, inFile, func(key string, v value) { sections[key] = v })
	f.declare(root)
	for _, s := range []struct {
		key    string
		decode func(value)
	}{
		{"sites", f.decodeSites},
		{"site", f.decodeSite},
		{"geo", f.decodeGeo},
		{"services", f.decodeServices},
		{"policies", f.decodePolicies},
		{"zones", f.decodeZones},
		{"views", f.decodeViews},
		{"routes", f.decodeRoutes},
		{"dns", f.decodeDNS},
		{"edge", f.decodeEdge},
		{"admin", f.decodeAdmin},
		{"redis", f.decodeRedis},
		{"state", f.decodeState},
		{"log", f.decodeLog},
		{"consul", f.decodeConsul},
		{"safety", f.decodeSafety},
	} {
		if v, ok := sections[s.key]; ok {
			s.decode(v)
		}
	}
	f.readZoneFiles()
	f.config.Prober = f.prober()
	f.defaults()
	f.knownToConsul()
	f.addEdgeService()
	f.checkListeners()
}

// declare collects the names that references may use, whatever is wrong with what they name.
func (f *file) declare(root *yaml.Node) {
	pairs := func(n *yaml.Node, key string) []yaml.Pair {
		if n != nil {
			n = n.Get(key)
		}
		if n == nil {
			return nil
		}
		return n.Pairs
	}
	for section, list := range map[string]*names{"sites": &f.sites, "services": &f.services, "policies": &f.policies} {
		for _, p := range pairs(root, section) {
			list.add(p.Key.Value)
		}
	}
	f.policies.add(policy.DefaultPolicy)
	places := slices.Concat(pairs(root, "sites"), pairs(root.Get("geo"), "networks"))
	for _, p := range places {
		if r := p.Value.Get("region"); r != nil {
			for _, name := range append([]*yaml.Node{r}, r.Items...) {
				if name.Kind == yaml.Scalar {
					f.regions.add(name.Value)
				}
			}
		}
	}
}

// decodeSite reads "site".
func (f *file) decodeSite(v value) { f.config.Site = f.site(v) }

// decodeState reads "state".
func (f *file) decodeState(v value) {
	f.config.State, f.state = f.filePath(v), v
}
