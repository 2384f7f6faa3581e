package simulate

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/meridian-gslb/meridian/policy"
)

// A Side is one of the two states that Compare compares.
type Side struct {
	Plan  *policy.Plan
	Asker Asker
}

// An Asker answers questions as a Side does. Equal questions and dice get equal answers.
type Asker interface {
	About(f *Flow, c *Client)     // begins the question of one client of a Flow
	Ask(dice uint64) (answer Ask) // asks it
}

// An Ask is what came of a question.
type Ask struct {
	Fate       Fate
	Endpoint   policy.EndpointID // the first of the answer, if Steered
	FailedOpen bool
}

// A Fate says what answers a question.
type Fate uint8

// The fates.
const (
	Unanswered Fate = iota // nothing does
	Steered                // a policy chooses
	Fixed                  // records that are the same for everybody
)

// A Flow is the queries for one name and type.
type Flow struct {
	Name, Type string
	Clients    []Client
}

// A Comparison is two Sides, and who asks. The Flows must not be empty, nor their Clients.
type Comparison struct {
	Before, After Side
	Flows         []Flow
	Capacity      []Capacity
	Seed          uint64 // of all dice
}

// A Forecast is where queries go before and after a change. Its JSON form is what programs are shown. Shares are of all queries, 0 to 1, to a
// millionth.
type Forecast struct {
	Queries    float64          `json:"queries"` // a second, of all clients together
	Clients    int              `json:"clients"` // names and networks that were asked for
	Moved      float64          `json:"moved"`   // share of the queries that another site answers, or none
	Endpoints  float64          `json:"moved_endpoints"`
	Lost       float64          `json:"lost"` // share that was answered and is no more
	Unanswered [2]float64       `json:"unanswered"`
	FailedOpen [2]float64       `json:"failed_open"`
	Sites      []SiteForecast   `json:"sites"`             // those of the state before, then new ones
	Names      []NameForecast   `json:"names,omitempty"`   // of which queries move, most first
	Regions    []RegionForecast `json:"regions,omitempty"` // the same of regions
}

// A SiteForecast is the queries that a place answers before and after. What is at no site is a place of its own: an endpoint, or fixed records.
type SiteForecast struct {
	Site     string     `json:"site"`
	Shares   [2]float64 `json:"shares"`
	Queries  [2]float64 `json:"queries"` // a second
	Capacity float64    `json:"capacity,omitempty"`
	Over     bool       `json:"over,omitempty"` // it will have to take more than it can
}

// A NameForecast is what becomes of the queries for one name and type.
type NameForecast struct {
	Name    string  `json:"name"`
	Type    string  `json:"type"`
	Queries float64 `json:"queries"` // a second
	Moved   float64 `json:"moved"`   // share of them
	Lost    float64 `json:"lost,omitempty"`
}

// A RegionForecast is what becomes of the queries from one region. A client counts in each region that it is in.
type RegionForecast struct {
	Region  string  `json:"region"`
	Queries float64 `json:"queries"` // a second
	Moved   float64 `json:"moved"`   // share of them
	From    string  `json:"from"`    // the place that loses most of them
	To      string  `json:"to"`      // the place that gains most of them
}

// FixedPlace is what the place of queries is called that records answer which are the same for everybody; Elsewhere are the clients in no region.
const (
	FixedPlace = "fixed records"
	NoPlace    = "no answer"
	Elsewhere  = "elsewhere"
)

// maxDecisions is about how many decisions Compare makes for each Side, if there are not more clients; maxDraws the most for one of them.
const (
	maxDecisions = 1 << 19
	maxDraws     = 1 << 16
)

// Compare asks both Sides the same questions: each Flow's clients ask several times, the large ones more often, with the same dice on both Sides, so
// that what did not change does not move. What moves of a client is the least that must go elsewhere for its shares to become what they will be.
// Equal arguments give equal results. The error says what is wrong with the clients or capacities.
func Compare(c Comparison) (*Forecast, error) {
	r := &comparing{Comparison: c, numbers: map[place]int{}, regions: map[string]*moves{}}
	for i := range c.Flows {
		for _, x := range c.Flows[i].Clients {
			if !(x.Queries > 0) {
				return nil, fmt.Errorf("simulate: client %s has %v queries a second, not more than 0", x.Prefix, x.Queries)
			}
		}
		r.out.Queries += Queries(c.Flows[i].Clients)
		r.out.Clients += len(c.Flows[i].Clients)
	}
	if r.out.Clients == 0 {
		return nil, fmt.Errorf("simulate: nobody asks, so nothing can be said")
	}
	r.begin()
	if err := r.capacities(); err != nil {
		return nil, err
	}
	for i := range c.Flows {
		r.flow(&c.Flows[i], i)
	}
	return r.finish(), nil
}

// A comparing is a Comparison under way. Places and endpoints of both Sides have numbers in common, by their names.
type comparing struct {
	Comparison
	out     Forecast
	places  []place
	numbers map[place]int
	at      [2][]int // place, by endpoint
	same    [2][]int // number of the endpoint's name, by endpoint
	shares  [][2]float64
	regions map[string]*moves

	// Of the client at hand: how often each place, and each endpoint, was the answer.
	byPlace, byEndpoint tallies
}

// moves are the queries a second that come to places, less those that did before; and how many there are, and move.
type moves struct {
	queries, moved float64
	gain           map[int]float64
}

// tallies count on both Sides. Only what was met is looked at again.
type tallies struct {
	n   [][2]int
	met []int
}

func (t *tallies) count(side, i int) {
	for i >= len(t.n) {
		t.n = append(t.n, [2]int{})
	}
	if t.n[i] == [2]int{} {
		t.met = append(t.met, i)
	}
	t.n[i][side]++
}

func (t *tallies) reset() {
	for _, i := range t.met {
		t.n[i] = [2]int{}
	}
	t.met = t.met[:0]
}

// moved returns the share of some draws that is elsewhere after than before.
func (t *tallies) moved(draws int) float64 {
	sum := 0
	for _, i := range t.met {
		sum += max(0, t.n[i][0]-t.n[i][1])
	}
	return float64(sum) / float64(draws)
}

// The places that every Comparison has.
const (
	nowhere = iota
	fixed
)

// A place is where queries are answered: a site, or what is at none.
type place struct {
	name string
	site bool
}

// number returns the number of a place.
func (r *comparing) number(p place) int {
	i, ok := r.numbers[p]
	if !ok {
		i = len(r.places)
		r.numbers[p] = i
		r.places = append(r.places, p)
	}
	return i
}

// begin gives places and endpoints their numbers: sites in the order of the configurations.
func (r *comparing) begin() {
	r.number(place{name: NoPlace})
	r.number(place{name: FixedPlace})
	endpoints := map[string]int{}
	for side, s := range [...]*Side{&r.Before, &r.After} {
		for id := range s.Plan.NumSites() {
			r.number(place{s.Plan.SiteName(policy.SiteID(id + 1)), true})
		}
		for id := range policy.EndpointID(s.Plan.NumEndpoints()) {
			e := s.Plan.Endpoint(id)
			at := place{name: e.Name}
			if e.Site != policy.NoSite {
				at = place{s.Plan.SiteName(e.Site), true}
			}
			r.at[side] = append(r.at[side], r.number(at))
			n, ok := endpoints[e.Name]
			if !ok {
				n = len(endpoints) + fixed + 1
				endpoints[e.Name] = n
			}
			r.same[side] = append(r.same[side], n)
		}
	}
	r.shares = make([][2]float64, len(r.places))
}

// capacities finds the sites that have one.
func (r *comparing) capacities() error {
	for _, c := range r.Capacity {
		if _, ok := r.numbers[place{c.Site, true}]; !ok {
			return fmt.Errorf("simulate: there is no site %q", c.Site)
		}
		if !(c.Queries > 0) {
			return fmt.Errorf("simulate: a capacity of %v for site %s is not more than 0", c.Queries, c.Site)
		}
	}
	return nil
}

// flow asks for one name.
func (r *comparing) flow(f *Flow, number int) {
	least := max(1, min(64, maxDecisions/r.out.Clients))
	name := NameForecast{Name: f.Name, Type: f.Type}
	for k := range f.Clients {
		c := &f.Clients[k]
		draws := min(max(int(maxDecisions*c.Queries/r.out.Queries), least), maxDraws)
		roll := mix(mix(r.Seed^uint64(number)) ^ mix(uint64(k)))
		r.byPlace.reset()
		r.byEndpoint.reset()
		open := [2]int{r.ask(0, f, c, roll, draws), r.ask(1, f, c, roll, draws)}
		share := c.Queries / r.out.Queries
		per := share / float64(draws)
		for side := range open {
			r.out.FailedOpen[side] += per * float64(open[side])
		}
		for _, i := range r.byPlace.met {
			for side := range r.shares[i] {
				r.shares[i][side] += per * float64(r.byPlace.n[i][side])
			}
		}
		moved := r.byPlace.moved(draws)
		lost := 0.0
		if len(r.byPlace.n) > nowhere {
			n := r.byPlace.n[nowhere]
			lost = float64(max(0, n[1]-n[0])) / float64(draws)
		}
		r.out.Moved += share * moved
		r.out.Endpoints += share * r.byEndpoint.moved(draws)
		r.out.Lost += share * lost
		name.Queries += c.Queries
		name.Moved += c.Queries * moved
		name.Lost += c.Queries * lost
		r.region(c, moved, draws)
	}
	if name.Moved > 0 {
		name.Moved, name.Lost = millionths(name.Moved/name.Queries), millionths(name.Lost/name.Queries)
		r.out.Names = append(r.out.Names, name)
	}
}

// ask asks the questions of one client on one side, and returns how many failed open.
func (r *comparing) ask(side int, f *Flow, c *Client, roll uint64, draws int) (open int) {
	asker := [...]Asker{r.Before.Asker, r.After.Asker}[side]
	asker.About(f, c)
	for i := range draws {
		at, endpoint := nowhere, nowhere
		switch x := asker.Ask(mix(roll ^ uint64(i))); x.Fate {
		case Fixed:
			at, endpoint = fixed, fixed
		case Steered:
			at, endpoint = r.at[side][x.Endpoint], r.same[side][x.Endpoint]
			if x.FailedOpen {
				open++
			}
		}
		r.byPlace.count(side, at)
		r.byEndpoint.count(side, endpoint)
	}
	return open
}

// region counts a client in the regions that it is in: as the state before sees it or, if that knows none, the state after.
func (r *comparing) region(c *Client, moved float64, draws int) {
	regions := r.Before.Plan.Locate(c.Prefix).Regions
	if len(regions) == 0 {
		regions = r.After.Plan.Locate(c.Prefix).Regions
	}
	if len(regions) == 0 {
		regions = []string{Elsewhere}
	}
	for _, name := range regions {
		m := r.regions[name]
		if m == nil {
			m = &moves{gain: map[int]float64{}}
			r.regions[name] = m
		}
		m.queries += c.Queries
		m.moved += c.Queries * moved
		for _, i := range r.byPlace.met {
			n := r.byPlace.n[i]
			m.gain[i] += c.Queries * float64(n[1]-n[0]) / float64(draws)
		}
	}
}

// finish puts the numbers together.
func (r *comparing) finish() *Forecast {
	f := &r.out
	f.Sites = []SiteForecast{}
	for i, share := range r.shares {
		if i == nowhere {
			f.Unanswered = [2]float64{millionths(share[0]), millionths(share[1])}
			continue
		}
		s := SiteForecast{Site: r.places[i].name, Shares: [2]float64{millionths(share[0]), millionths(share[1])},
			Queries: [2]float64{share[0] * f.Queries, share[1] * f.Queries}}
		for _, c := range r.Capacity {
			if r.places[i] == (place{c.Site, true}) {
				s.Capacity = c.Queries
			}
		}
		s.Over = (&Peak{Capacity: s.Capacity}).over(s.Queries[1])
		if s.Shares != [2]float64{} || s.Capacity > 0 {
			f.Sites = append(f.Sites, s)
		}
	}
	f.Moved, f.Endpoints, f.Lost = millionths(f.Moved), millionths(f.Endpoints), millionths(f.Lost)
	for side := range f.FailedOpen {
		f.FailedOpen[side] = millionths(f.FailedOpen[side])
	}
	for name, m := range r.regions {
		if m.moved > 0 {
			from, to := m.extremes()
			f.Regions = append(f.Regions, RegionForecast{name, m.queries, millionths(m.moved / m.queries), r.places[from].name, r.places[to].name})
		}
	}
	slices.SortFunc(f.Regions, func(a, b RegionForecast) int {
		return cmp.Or(cmp.Compare(b.Moved*b.Queries, a.Moved*a.Queries), cmp.Compare(a.Region, b.Region))
	})
	slices.SortStableFunc(f.Names, func(a, b NameForecast) int { return cmp.Compare(b.Moved*b.Queries, a.Moved*a.Queries) })
	return f
}

// extremes returns the places that lose and gain most. Of equal ones the first counts.
func (m *moves) extremes() (from, to int) {
	least, most := math.Inf(1), math.Inf(-1)
	for i, gain := range m.gain {
		if gain < least || gain == least && i < from {
			least, from = gain, i
		}
		if gain > most || gain == most && i < to {
			most, to = gain, i
		}
	}
	return from, to
}
