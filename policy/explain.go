package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A Trace is a Decision with the reason of every step. Its JSON form is what people and programs are shown.
type Trace struct {
	Decision  Decision     `json:"-"` // the same that Decide returns; Endpoints is the caller's own
	Service   string       `json:"service"`
	Policy    string       `json:"policy"`
	Family    string       `json:"family"` // as Family.String says
	Client    ClientTrace  `json:"client"`
	Stages    []StageTrace `json:"stages"`    // the first, "family", is where every policy begins
	Endpoints []string     `json:"endpoints"` // the answer: full names in order of preference
	Tier      int          `json:"tier"`      // how many of Endpoints, from the front, are equally preferred
	TTL       uint32       `json:"ttl"`       // seconds; 0 = no bound by health
	Scope     uint8        `json:"scope"`
	Reason    string       `json:"reason"`
}

// A ClientTrace says where the client was taken to be, and from what.
type ClientTrace struct {
	Prefix  string `json:"prefix,omitempty"`  // the client as asked
	Address string `json:"address,omitempty"` // the first address of Prefix, which locates it
	Network string `json:"network,omitempty"` // the network that matched, of the configuration or of Databases, "" if none did
	Site    string `json:"site,omitempty"`
	Region  string `json:"region,omitempty"` // the narrowest of Regions
	At      *Point `json:"at,omitempty"`

	Regions   []string `json:"regions,omitempty"`   // narrowest first: the order in which geo stages look for a rule
	Databases []string `json:"databases,omitempty"` // geo databases that say something of it
	Radius    float64  `json:"radius_km,omitempty"` // accuracy of the coordinates, as a database says it; if it is too large, At is not there
}

// Where says in a few words where the client is, and from what.
func (c *ClientTrace) Where() string {
	var parts []string
	if c.Network != "" {
		parts = append(parts, "in network "+c.Network)
	}
	if c.Site != "" {
		parts = append(parts, "at site "+c.Site)
	}
	if len(c.Regions) > 1 {
		parts = append(parts, "regions "+strings.Join(c.Regions, ", "))
	} else if c.Region != "" {
		parts = append(parts, "region "+c.Region)
	}
	switch {
	case c.At != nil:
		parts = append(parts, fmt.Sprintf("at %.2f,%.2f", c.At.Lat, c.At.Lon))
	case c.Radius > 0:
		parts = append(parts, fmt.Sprintf("coordinates too inaccurate (%.0f km)", c.Radius))
	}
	if len(c.Databases) > 0 {
		parts = append(parts, "by "+strings.Join(c.Databases, " and "))
	}
	if len(parts) == 0 {
		return cmp.Or(c.Address, "unknown") + ": no configured network holds it"
	}
	return strings.Join(parts, ", ")
}

// A StageTrace is what one stage did.
type StageTrace struct {
	Stage    string           `json:"stage"`
	Note     string           `json:"note,omitempty"`     // what the stage saw, for people
	Rule     string           `json:"rule,omitempty"`     // geo: the key of the rule that decided; latency: the network of the table, or nearest
	Scope    uint8            `json:"scope,omitempty"`    // geo, latency: prefix length for which its outcome holds
	Branches []BranchTrace    `json:"branches,omitempty"` // of a stage that has them, in their order
	Kept     []CandidateTrace `json:"kept"`               // in their order after the stage
	Dropped  []CandidateTrace `json:"dropped,omitempty"`
}

// A BranchTrace is what came of one branch of a stage.
type BranchTrace struct {
	Branch  string       `json:"branch"`
	Weight  uint32       `json:"weight,omitempty"`
	Share   float64      `json:"share,omitempty"`  // probability of being drawn first
	Outcome string       `json:"outcome"`          // "kept", "passed over: …", "not needed" and the like, for people
	Stages  []StageTrace `json:"stages,omitempty"` // the first, "branch", is where it begins

	at int
}

// A CandidateTrace is one endpoint as a stage left it.
type CandidateTrace struct {
	Name   string   `json:"name"`
	Site   string   `json:"site,omitempty"`
	State  State    `json:"state"`
	Forced bool     `json:"forced,omitempty"`
	TTL    uint32   `json:"ttl,omitempty"` // seconds that an answer may be kept on account of it; 0 = no bound
	Weight uint32   `json:"weight"`
	Rank   *int     `json:"rank,omitempty"`   // geo, latency: lower goes first
	Km     *float64 `json:"km,omitempty"`     // geo, latency: distance of the site from the client
	Ms     *float64 `json:"ms,omitempty"`     // latency: round-trip time of the site from the client, in milliseconds
	Share  float64  `json:"share,omitempty"`  // weighted: probability of being drawn first among those of its rank
	Chance float64  `json:"chance,omitempty"` // weighted, multi: probability of being kept
	Load   float64  `json:"load,omitempty"`   // shed, sticky: share of what it can take that it has to do
	Why    string   `json:"why,omitempty"`    // of a dropped one: the reason

	Returned bool `json:"returned,omitempty"` // geo, fence: an earlier stage dropped it, and it is back

	rank uint32
}

// Explain answers a Query as Decide does, by the same code, and says why. It is for people: it allocates and takes its time.
func (p *Plan) Explain(q Query, h Health) Trace {
	s := &Scratch{rec: &recorder{health: h}}
	s.rec.trace = Trace{
		Stages:  []StageTrace{},
		Service: p.ServiceName(q.Service),
		Policy:  p.PolicyName(q.Policy),
		Family:  q.Family.String(),
	}
	s.rec.locate(p, &q)
	d := p.Decide(s, q, h)
	d.Endpoints = slices.Clone(d.Endpoints)

	t := s.rec.trace
	t.Decision = d
	t.Endpoints = make([]string, len(d.Endpoints))
	for i, id := range d.Endpoints {
		t.Endpoints[i] = p.endpoints[id].Name
	}
	t.Tier, t.TTL, t.Scope, t.Reason = d.Tier, d.TTL, d.Scope, d.Reason.String()
	return t
}

// Locate says where the client of a prefix is taken to be, and from what, as Explain does.
func (p *Plan) Locate(client netip.Prefix) ClientTrace {
	r := &recorder{}
	r.locate(p, &Query{Client: client})
	return r.trace.Client
}

// A recorder watches a Decision being made.
type recorder struct {
	trace  Trace
	health Health
	addr   netip.Addr // the client's address, unmapped; invalid if it has none
	place  place      // where the client is
	before []candidate
	lost   []candidate // as before the stage
	groups []group     // written by failover
	takers []taker     // written by shed
	home   int         // of takers, as shed chose
	to     int         // the same

	inside   []StageTrace  // of the branch that was run last
	branches []BranchTrace // of the stage with branches that was run last
}

// locate finds the client as geo stages do, but by looking at every network.
func (r *recorder) locate(p *Plan, q *Query) {
	t := &r.trace.Client
	switch {
	case q.From != NoSite:
		if int(q.From) < len(p.sites) {
			r.place = p.sites[q.From].place
		}
	case q.Client.IsValid():
		t.Prefix = q.Client.String()
		r.addr = q.Client.Masked().Addr().Unmap()
		t.Address = r.addr.String()
		found := false
		for i := range p.layers {
			if place, bits, ok := p.layers[i].find(r.addr); ok {
				r.place, found = p.places[place], true
				t.Network = networkOf(r.addr, bits)
				break
			}
		}
		if !found {
			r.lookUp(p)
		}
	}
	t.Site = p.SiteName(r.place.site)
	if list := r.place.regions.list(); len(list) > 0 {
		t.Region, t.Regions = list[0], list
	}
	if r.place.known {
		t.At = &Point{r.place.at.Lat, r.place.at.Lon}
	}
}

// start records the candidates that a Decision starts from.
func (r *recorder) start(p *Plan, s *Scratch, q Query) {
	t := StageTrace{Stage: "family", Kept: r.candidates(p, s.live)}
	live := idsOf(s.live)
	for _, id := range p.services[q.Service].ids {
		if !live[id] {
			e := &p.endpoints[id]
			v := r.health.Of(id)
			c := candidate{id: id, weight: e.Weight, site: e.Site, state: v.State, forced: v.Forced}
			d := r.candidate(p, &c)
			d.Why = "has no " + q.Family.Lacks()
			t.Dropped = append(t.Dropped, d)
		}
	}
	r.trace.Stages = append(r.trace.Stages, t)
	r.remember(s)
}

// enter begins the stages of a branch, which has its candidates, and returns what leave needs.
func (r *recorder) enter(p *Plan, s *Scratch) (around recorder) {
	around = *r
	r.trace.Stages = []StageTrace{{Stage: "branch", Kept: r.candidates(p, s.live)}}
	r.remember(s)
	return around
}

// leave ends the stages of a branch.
func (r *recorder) leave(around recorder) {
	r.inside = r.trace.Stages
	r.trace, r.before, r.lost = around.trace, around.before, around.lost
}

// branch describes the branch that was just tried.
func (r *recorder) branch(t *tree, k int, works bool) BranchTrace {
	b := BranchTrace{Branch: t.branches[k].name, Outcome: "kept", Stages: r.inside, at: k}
	if !works {
		b.Outcome = "passed over"
		for _, st := range slices.Backward(r.inside) {
			if st.Note != "" {
				b.Outcome += ": " + st.Note
				break
			}
		}
	}
	return b
}

// stage records what a stage did.
func (r *recorder) stage(p *Plan, s *Scratch, st stage) {
	t := StageTrace{Stage: st.name(), Kept: r.candidates(p, s.live)}
	live := idsOf(s.live)
	for i := range r.before {
		if c := &r.before[i]; !live[c.id] {
			t.Dropped = append(t.Dropped, r.candidate(p, c))
		}
	}
	was := idsOf(r.before)
	for i := range s.live {
		if id := s.live[i].id; !was[id] {
			name := p.endpoints[id].Name
			k := slices.IndexFunc(t.Kept, func(c CandidateTrace) bool { return c.Name == name })
			t.Kept[k].Returned = true
		}
	}
	st.explain(p, s, r.before, &t)
	r.trace.Stages = append(r.trace.Stages, t)
	r.remember(s)
}

// remember keeps the candidates as they are before the next stage.
func (r *recorder) remember(s *Scratch) {
	r.before, r.lost = byRank(s.live), byRank(s.lost)
}

// idsOf returns the set of endpoints in a list.
func idsOf(list []candidate) map[EndpointID]bool {
	set := make(map[EndpointID]bool, len(list))
	for i := range list {
		set[list[i].id] = true
	}
	return set
}

// byRank returns a copy in order of rank, which the stages themselves establish only as far as they have to.
func byRank(list []candidate) []candidate {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(a.rank, b.rank) })
	return list
}

// candidates shows a list.
func (r *recorder) candidates(p *Plan, list []candidate) []CandidateTrace {
	list = byRank(list)
	out := make([]CandidateTrace, 0, len(list))
	for i := range list {
		out = append(out, r.candidate(p, &list[i]))
	}
	return out
}

func (r *recorder) candidate(p *Plan, c *candidate) CandidateTrace {
	return CandidateTrace{
		Name:   p.endpoints[c.id].Name,
		Site:   p.SiteName(c.site),
		State:  r.health.Of(c.id).State,
		Forced: c.forced,
		TTL:    r.health.Of(c.id).TTL,
		Weight: c.weight,
		rank:   c.rank,
	}
}
