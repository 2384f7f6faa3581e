package policy

import "net/netip"

// A Plan is a compiled Spec: endpoints, services, sites and policies as tables. It never changes, so it is safe for concurrent
// use. Compile and WithServices make one; the nil Plan is not usable, the zero Plan is empty.
type Plan struct {
	frame
	services      []service
	serviceByName map[string]ServiceID
	endpoints     []Endpoint // by EndpointID; those of a service follow one another, in the order of the Spec
	byName        map[string]EndpointID
	hashes        []uint64          // of the names of endpoints
	subnets       []uint32          // of endpoints: the number, in the service, of the network they are in; 0: none
	views         [][]*view         // for each set of sites that a service is at, those of the geo stages by position
	sets          map[string]uint32 // positions in views by key of the set
}

// A frame is the part of a Plan that does not depend on services: two Plans may share one.
type frame struct {
	sites        []site // by SiteID; the first is NoSite
	siteByName   map[string]SiteID
	places       []place         // by SiteID those of sites, the first being nowhere; then those of networks
	layers       []layer         // the networks of the Spec, those first that go before others
	tables       []*NetworkTable // below them
	maxRadius    float64         // km
	times        *timetable      // of latency stages
	policies     []chain         // by PolicyID
	policyByName map[string]PolicyID
	stages       []*geo      // those of all policies, each once
	picks        []selection // those of all branches, each once; the first is of all sites
}

// An Endpoint is what serves a service: a checked EndpointSpec. At least one of V4, V6, Host and Text is there. It never changes.
type Endpoint struct {
	Name    string // full: "service/endpoint"
	Service ServiceID
	Site    SiteID
	V4, V6  netip.Addr
	Host    string            // as it was written, with or without the last dot
	Text    string            // "" = none
	ALPN    []string          // do not change
	Port    uint16            // 0 = not known
	Weight  uint32            // 0..MaxWeight
	Load    Load              // as EndpointSpec.Load
	Meta    map[string]string // do not change
}

// HasAddress reports whether the endpoint has an address: only such are probed, and of use to the edge.
func (e *Endpoint) HasAddress() bool { return e.V4.IsValid() || e.V6.IsValid() }

// A service is a named list of endpoints, and for each Family the candidates a Decision starts from. Families of the same endpoints
// share a list.
type service struct {
	name  string
	ids   []EndpointID
	lists [numFamilies][]candidate
	sets  [][numFamilies]extent // by selection of sites
}

// An extent is what the endpoints of a service, of a family and at the sites of a selection, can tell of clients.
type extent struct {
	views   uint32 // position in Plan.views
	several bool   // there is more than one of them
}

// A site is a compiled SiteSpec.
type site struct {
	name string
	hash uint64 // of the name
	place
}

// A chain is a compiled PolicySpec.
type chain struct {
	name   string
	stages []stage
	health bool // a stage looks at the health of endpoints
	looks  bool // a healthy stage does
	geo    *geo // the first such stage, or nil
}

// NumEndpoints returns the number of endpoints; EndpointIDs are 0 to NumEndpoints-1.
func (p *Plan) NumEndpoints() int { return len(p.endpoints) }

// NumServices returns the number of services; ServiceIDs are 0 to NumServices-1.
func (p *Plan) NumServices() int { return len(p.services) }

// NumSites returns the number of sites, NoSite not counted; SiteIDs are 1 to NumSites.
func (p *Plan) NumSites() int { return max(0, len(p.sites)-1) }

// NumPolicies returns the number of policies, DefaultPolicy included; PolicyIDs are 0 to NumPolicies-1.
func (p *Plan) NumPolicies() int { return len(p.policies) }

// Endpoint returns an endpoint. Do not change what it points to. An id of another Plan may panic.
func (p *Plan) Endpoint(id EndpointID) *Endpoint { return &p.endpoints[id] }

// EndpointByName returns the endpoint of a full name, "service/endpoint".
func (p *Plan) EndpointByName(name string) (EndpointID, bool) {
	id, ok := p.byName[name]
	return id, ok
}

// ServiceByName returns the service of a name.
func (p *Plan) ServiceByName(name string) (ServiceID, bool) {
	id, ok := p.serviceByName[name]
	return id, ok
}

// PolicyByName returns the policy of a name. DefaultPolicy is always there.
func (p *Plan) PolicyByName(name string) (PolicyID, bool) {
	id, ok := p.policyByName[name]
	return id, ok
}

// LooksAtHealth reports whether a healthy stage is in a policy, or in a branch of it.
func (p *Plan) LooksAtHealth(id PolicyID) bool {
	return int(id) < len(p.policies) && p.policies[id].looks
}

// SiteByName returns the site of a name.
func (p *Plan) SiteByName(name string) (SiteID, bool) {
	id, ok := p.siteByName[name]
	return id, ok
}

// ServiceName returns a service's name, "" if there is no such service.
func (p *Plan) ServiceName(id ServiceID) string {
	if int(id) >= len(p.services) {
		return ""
	}
	return p.services[id].name
}

// PolicyName returns a policy's name, "" if there is no such policy.
func (p *Plan) PolicyName(id PolicyID) string {
	if int(id) >= len(p.policies) {
		return ""
	}
	return p.policies[id].name
}

// SiteName returns a site's name, "" for NoSite and if there is no such site.
func (p *Plan) SiteName(id SiteID) string {
	if int(id) >= len(p.sites) {
		return ""
	}
	return p.sites[id].name
}

// Endpoints returns the endpoints of a service in the order of the Spec. The slice is shared: do not change it.
func (p *Plan) Endpoints(id ServiceID) []EndpointID {
	if int(id) >= len(p.services) {
		return nil
	}
	return p.services[id].ids
}

// HasFamily reports whether a service has an endpoint of the family.
func (p *Plan) HasFamily(id ServiceID, f Family) bool {
	return int(id) < len(p.services) && int(f) < numFamilies && len(p.services[id].lists[f]) > 0
}
