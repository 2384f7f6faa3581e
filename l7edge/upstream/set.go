package upstream

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/meridian-gslb/meridian/policy"
)

// A Set is every endpoint of the newest Plan it has seen, by name. All methods may be called concurrently.
type Set struct {
	current atomic.Pointer[View] // written under mu

	mu        sync.Mutex
	endpoints map[string]*Endpoint // of current
}

// NewSet returns an empty Set.
func NewSet() *Set {
	s := &Set{}
	s.current.Store(&View{})
	return s
}

// View returns the state of a Plan's endpoints. gen orders Plans: a greater one is newer. For the current Plan it costs one atomic
// load. A newer Plan becomes current: endpoints keep their state by name, and those that are gone are forgotten when their last
// request has ended. A View of an older Plan (for a request that began before a reload) is made for the occasion and changes nothing.
func (s *Set) View(plan *policy.Plan, gen uint64) *View {
	v := s.current.Load()
	if v.plan == plan {
		return v
	}
	return s.update(plan, gen)
}

// update makes the View of a Plan, and the Set's current one if it is the newest.
func (s *Set) update(plan *policy.Plan, gen uint64) *View {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current.Load()
	if old.plan == plan {
		return old
	}
	endpoints := make(map[string]*Endpoint, plan.NumEndpoints())
	v := newView(plan, gen, func(name string) *Endpoint {
		e := s.endpoints[name]
		if e == nil {
			e = &Endpoint{name: name}
		}
		endpoints[name] = e
		return e
	})
	if old.plan == nil || gen >= old.gen {
		s.endpoints = endpoints
		s.current.Store(v)
	}
	return v
}

// Stats returns the counts of every endpoint of the current Plan, sorted by name.
func (s *Set) Stats() []Stats {
	members := s.current.Load().members
	out := make([]Stats, 0, len(members))
	for i := range members {
		out = append(out, members[i].Endpoint.Stats())
	}
	slices.SortFunc(out, func(a, b Stats) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// A Member is an endpoint as one Plan has it.
type Member struct {
	*Endpoint
	Address Address
	Weight  uint32
}

// A View is the endpoints of one Plan, by EndpointID. It never changes; the state of its Endpoints does.
type View struct {
	plan    *policy.Plan
	gen     uint64
	members []Member
	at      map[Address]struct{}
}

// newView lays a Plan over the endpoints that byName returns.
func newView(plan *policy.Plan, gen uint64, byName func(string) *Endpoint) *View {
	n := plan.NumEndpoints()
	v := &View{plan: plan, gen: gen, members: make([]Member, n), at: make(map[Address]struct{}, n)}
	for i := range v.members {
		e := plan.Endpoint(policy.EndpointID(i))
		v.members[i] = Member{Endpoint: byName(e.Name), Address: AddressOf(e), Weight: e.Weight}
		v.at[v.members[i].Address] = struct{}{}
	}
	return v
}

// Member returns an endpoint. The pointer is shared: do not change what it points to.
func (v *View) Member(id policy.EndpointID) *Member { return &v.members[id] }

// Has reports whether any endpoint of the Plan is at an address. Connections to others are of no more use.
func (v *View) Has(a Address) bool {
	_, ok := v.at[a]
	return ok
}
