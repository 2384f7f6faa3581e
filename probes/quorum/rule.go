package quorum

import (
	"fmt"
	"math"
	"strconv"

	"github.com/meridian-gslb/meridian/policy"
)

// A Kind is a way to make one state of many votes.
type Kind uint8

// The kinds of Rule. The zero Kind is Majority, the default.
const (
	Majority    Kind = iota // up or down as more than half of the voters say
	AtLeast                 // up or down as at least K voters say, and more than say the opposite
	Share                   // up while more than a share of the voters say so, else down
	Any                     // up while one voter says so, else down
	Local                   // as this prober says, whatever others do
	RegionFirst             // as the majority of this prober's region says; if it has none, as the majority of all others
)

// DefaultShare is the share of Share when none is given: Route 53 takes an endpoint for healthy if more than 18 % of its checkers do.
const DefaultShare = 0.18

// A Rule says whose votes decide on the endpoints of a service. The zero Rule is Majority.
type Rule struct {
	Kind  Kind
	K     int     // of AtLeast, 1 or more
	Share float64 // of Share, at least 0 and below 1; 0 stands for DefaultShare
}

// String returns the Rule as a configuration file writes it: "majority", "quorum: 3", "share: 0.18", "any", "local", "region-first".
func (r Rule) String() string {
	switch r.Kind {
	case AtLeast:
		return "quorum: " + strconv.Itoa(r.K)
	case Share:
		return "share: " + strconv.FormatFloat(r.share(), 'g', -1, 64)
	case Any:
		return "any"
	case Local:
		return "local"
	case RegionFirst:
		return "region-first"
	}
	return "majority"
}

func (r Rule) share() float64 {
	if r.Share == 0 {
		return DefaultShare
	}
	return r.Share
}

// A tally counts the voters on one endpoint: those of this prober's region, those elsewhere, and this prober itself, which is one
// of its region.
type tally struct {
	here, there count
	own         policy.State // Unknown: no vote
}

type count struct{ up, down int }

func (c count) of() int            { return c.up + c.down }
func (c count) plus(d count) count { return count{c.up + d.up, c.down + d.down} }

// decide returns what the voters of t make of an endpoint, and why. Unknown means that they do not change what is believed: there
// are none, or they are of two minds.
func (r Rule) decide(t tally) (policy.State, string) {
	all := t.here.plus(t.there)
	switch r.Kind {
	case Local:
		return t.own, "this prober alone decides"
	case Any:
		if all.up > 0 {
			return policy.Up, said(all, policy.Up) + ", one is enough"
		}
		return all.agreed(all.of()), said(all, policy.Down)
	case Share:
		if all.of() == 0 {
			return policy.Unknown, said(all, policy.Up)
		}
		why := fmt.Sprintf("%s, up takes more than %.3g %%", said(all, policy.Up), 100*r.share())
		if float64(all.up) > r.share()*float64(all.of()) {
			return policy.Up, why
		}
		return policy.Down, why
	case RegionFirst:
		if s, why := t.here.majority(); s != policy.Unknown {
			return s, why + " in this region"
		}
		if s, why := t.there.majority(); s != policy.Unknown {
			return s, why + " elsewhere, and this region does not decide"
		}
		return policy.Unknown, said(all, policy.Up) + ", no majority here nor elsewhere"
	case AtLeast:
		need := min(max(r.K, 1), all.of())
		s := all.agreed(need)
		return s, fmt.Sprintf("%s, %d are needed", said(all, s), need)
	}
	return all.majority()
}

// majority returns the state that more than half of the voters say, if one is.
func (c count) majority() (policy.State, string) {
	s := c.agreed(c.of()/2 + 1)
	return s, said(c, s)
}

// agreed returns the state that at least need voters say, and more than say the opposite, if one is. Fewer than one voter agree on nothing.
func (c count) agreed(need int) policy.State {
	switch need = max(need, 1); {
	case c.up >= need && c.up > c.down:
		return policy.Up
	case c.down >= need && c.down > c.up:
		return policy.Down
	}
	return policy.Unknown
}

// said puts a count into words.
func said(c count, s policy.State) string {
	switch {
	case c.of() == 0:
		return "no prober has a vote"
	case s == policy.Down:
		return fmt.Sprintf("%d of %d probers say down", c.down, c.of())
	}
	return fmt.Sprintf("%d of %d probers say up", c.up, c.of())
}

// Problem says what is wrong with the Rule, "" if nothing is.
func (r Rule) Problem() string {
	switch {
	case r.Kind > RegionFirst:
		return fmt.Sprintf("there is no rule of kind %d", r.Kind)
	case r.Kind == AtLeast && (r.K < 1 || r.K > MaxProbers):
		return fmt.Sprintf("a quorum of %d is out of range; it is 1 to %d", r.K, MaxProbers)
	case r.Kind == Share && !(r.Share >= 0 && r.Share < 1) || math.IsNaN(r.Share):
		return fmt.Sprintf("a share of %v is out of range; it is 0 to below 1", r.Share)
	}
	return ""
}
