// Package simulate plays a scenario against a population of clients: sites fail and come back, weights change, time passes, and it says
// what share of the queries goes where.
//
// It is pure: no I/O, no clock, no dice but those that follow from a seed. Every answer is made by policy.Plan.Decide, so a simulation
// cannot differ from what DNS would answer. Equal arguments give equal results.
//
// The flow is World + Scenario + []Client -> Run -> Series -> Chart.
package simulate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// Limits of a Scenario.
const (
	MaxDuration = 366 * 24 * time.Hour
	MaxSteps    = 10_000
	MaxClients  = 1_000_000
	MaxEvents   = 10_000
	MaxQueries  = 1e12 // a second
)

// A World is what the clients of a Scenario are sent to. Run changes nothing of it.
type World struct {
	Plan     *policy.Plan
	Services []policy.ServiceSpec // what Plan was compiled from, in its order: weights change by compiling them again
}

// A Scenario is what happens, and to whom. Times are whole seconds.
type Scenario struct {
	Title    string        // for people; "" = the name of the service
	Service  string        // of World
	Policy   string        // of World; "" = policy.DefaultPolicy
	Family   policy.Family // what clients ask for; FamilyAny is every endpoint
	Duration time.Duration // more than 0
	Step     time.Duration // every client asks once a step; more than 0, and at most Duration/Step = MaxSteps
	Start    int64         // Unix seconds of the first step, for stages that follow the clock; 0 = no time of day
	Seed     uint64        // of all dice
	Spread   bool          // a client uses all endpoints of its answer evenly, not the first alone
	Events   []Event       // in any order; those of one time happen in this order
	Capacity []Capacity    // of sites; none is said of the others
}

// A Capacity is how much a site can take.
type Capacity struct {
	Site    string
	Queries float64 // a second; more than 0
}

// An Event is one change at one time: of the State or the Load of a site or of an endpoint, or of an endpoint's Weight. Exactly one of Site and Endpoint is
// set. The load of a site is that of all its endpoints; of several events about an endpoint's load the last counts. What holds for a site and what holds for its endpoints are kept apart, and the worse counts: an endpoint that is down stays down when its
// site comes back. Everything is up at first.
type Event struct {
	At       time.Duration // since the first step; it takes effect at the first step that is not before
	Site     string
	Endpoint string       // in the service: "a", not "web/a"
	State    policy.State // Up, Down or Drained; Unknown: the event is about Load or Weight
	Load     *policy.Load // nil: the event is about State or Weight
	Weight   uint32       // 0..policy.MaxWeight
}

// String returns what happens, such as "eu-west down" or "web-1 weight 3".
func (e Event) String() string {
	if e.Load != nil {
		return fmt.Sprintf("%s load %v", e.Site+e.Endpoint, e.Load.Share())
	}
	if e.State == policy.Unknown {
		return fmt.Sprintf("%s weight %d", e.Endpoint, e.Weight)
	}
	return e.Site + e.Endpoint + " " + e.State.String()
}

// Steps returns the number of steps: the first is at 0, the last less than Step before Duration.
func (s *Scenario) Steps() int {
	if s.Step <= 0 || s.Duration <= 0 {
		return 0
	}
	return int((s.Duration-1)/s.Step) + 1
}

// Last returns the time of the last step.
func (s *Scenario) Last() time.Duration { return time.Duration(max(0, s.Steps()-1)) * s.Step }

// name returns how the Scenario is called.
func (s *Scenario) name() string { return cmp.Or(s.Title, s.Service) }

// check returns what is wrong with times, events and capacities by themselves.
func (s *Scenario) check() error {
	switch {
	case s.Duration <= 0 || s.Step <= 0:
		return fmt.Errorf("simulate: a duration and a step of more than 0 are needed, not %v and %v", s.Duration, s.Step)
	case s.Duration > MaxDuration:
		return fmt.Errorf("simulate: %v is more than a year", s.Duration)
	case s.Duration%time.Second != 0 || s.Step%time.Second != 0:
		return fmt.Errorf("simulate: a duration of %v and a step of %v are not whole seconds", s.Duration, s.Step)
	case (s.Duration-1)/s.Step >= MaxSteps:
		return fmt.Errorf("simulate: a step of %v makes more than %d steps of %v", s.Step, MaxSteps, s.Duration)
	case len(s.Events) > MaxEvents:
		return fmt.Errorf("simulate: %d events are too many: at most %d", len(s.Events), MaxEvents)
	}
	for _, e := range s.Events {
		switch {
		case (e.Site == "") == (e.Endpoint == ""):
			return fmt.Errorf("simulate: an event at %v is not about one site or one endpoint", e.At)
		case e.At < 0 || e.At > s.Last():
			return fmt.Errorf("simulate: %s at %v never takes effect: steps are from 0s to %v", e, e.At, s.Last())
		case e.Load != nil && e.State != policy.Unknown:
			return fmt.Errorf("simulate: %s at %v: an event changes a state or a load, not both", e, e.At)
		case e.State > policy.Drained:
			return fmt.Errorf("simulate: %s at %v: there is no such state", e, e.At)
		case e.State == policy.Unknown && e.Load == nil && e.Endpoint == "":
			return fmt.Errorf("simulate: site %s at %v has no weight: its endpoints have", e.Site, e.At)
		}
	}
	for _, c := range s.Capacity {
		if !(c.Queries > 0) {
			return fmt.Errorf("simulate: a capacity of %v for site %s is not more than 0", c.Queries, c.Site)
		}
	}
	return nil
}

// inOrder returns the events by time.
func (s *Scenario) inOrder() []Event {
	events := slices.Clone(s.Events)
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return events
}

// shortName returns an endpoint's name in its service.
func shortName(full string) string {
	_, short, _ := strings.Cut(full, "/")
	return short
}
