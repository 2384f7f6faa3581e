package dnsserver

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/meridian-gslb/meridian/policy"
)

// An EndpointHealth is what is believed of one endpoint, since when and by whose word.
type EndpointHealth struct {
	Endpoint string       `json:"endpoint"`
	State    policy.State `json:"state"`
	Forced   bool         `json:"forced,omitempty"`
	Age      int64        `json:"age_s"` // seconds that it has been in the state
	By       string       `json:"by"`    // who says so, for people
}

// Odds are how often an endpoint is in an answer to one question, if it is asked again and again.
type Odds struct {
	Endpoint string  `json:"endpoint"`
	First    float64 `json:"first"`  // share of the answers in which it stands first
	Listed   float64 `json:"listed"` // share of the answers in which it stands at all
}

// oddsDraws is how often a question is asked to learn the odds: they are true to about a percent.
const oddsDraws = 4096

// why adds how TTL and scope came about, and what is drawn.
func (x *Explanation) why(a *Answerer) {
	if len(a.decided.Endpoints) > 0 {
		x.ttlSteps(a)
	}
	x.scopeSteps(a)
	x.odds(a)
}

// ttlSteps says how the TTL of a steered record came about.
func (x *Explanation) ttlSteps(a *Answerer) {
	record, health := a.steered.TTL, a.decided.TTL
	x.TTLSteps = []string{fmt.Sprintf("the record says %d s", record)}
	if health == 0 {
		x.TTLSteps = append(x.TTLSteps, "no health bounds it")
	} else {
		var who []string
		for _, c := range x.Trace.Stages[0].Kept {
			if c.TTL == health {
				who = append(who, fmt.Sprintf("%s (%s)", c.Name, c.State))
			}
		}
		x.TTLSteps = append(x.TTLSteps, fmt.Sprintf("the state of %s could change so that %d s is the most", abridged(who), health))
	}
	x.TTLSteps = append(x.TTLSteps, fmt.Sprintf("the least of these, and at least 1 s: %d s", steeredTTL(record, health)))
}

// abridged names the first few.
func abridged(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// scopeSteps says how the scope came about.
func (x *Explanation) scopeSteps(a *Answerer) {
	eachStage(x.Trace.Stages, func(s *policy.StageTrace) {
		if s.Scope != 0 {
			x.ScopeSteps = append(x.ScopeSteps, fmt.Sprintf("stage %s does the same for all of the /%d around the client", s.Stage, s.Scope))
		}
	})
	c := &a.client
	switch {
	case a.decided.Scope == 0:
		x.ScopeSteps = append(x.ScopeSteps, "it does not matter where the client is: 0")
	case !c.asked.IsValid() && c.block != 0:
		x.ScopeSteps = append(x.ScopeSteps, fmt.Sprintf("nobody routes the client subnet; the resolver's address counts for all of the /%d that it is in", c.block))
	case !c.asked.IsValid():
		x.ScopeSteps = append(x.ScopeSteps, "there is no client subnet, so no scope: 0")
	case c.before > 0:
		x.ScopeSteps = append(x.ScopeSteps, fmt.Sprintf("the IPv4 address begins at bit %d of the client subnet: %d + %d = %d",
			c.before, c.before, a.decided.Scope, x.Scope))
	default:
		x.ScopeSteps = append(x.ScopeSteps, fmt.Sprintf("the longest counts: %d", x.Scope))
	}
}

// eachStage calls f with each stage, and those inside their branches.
func eachStage(stages []policy.StageTrace, f func(*policy.StageTrace)) {
	for i := range stages {
		f(&stages[i])
		for j := range stages[i].Branches {
			eachStage(stages[i].Branches[j].Stages, f)
		}
	}
}

// odds says what is not the same each time. The question is asked many times, with other dice.
func (x *Explanation) odds(a *Answerer) {
	eachStage(x.Trace.Stages, func(s *policy.StageTrace) {
		if s.Stage == "schedule" {
			x.Varies = append(x.Varies, "stage schedule follows the clock")
		}
	})
	plan, q := a.snapshot.Plan, a.asked
	dice := rand.New(rand.NewPCG(1, 1))
	first, listed := map[policy.EndpointID]int{}, map[policy.EndpointID]int{}
	var order []policy.EndpointID
	same := true
	for range oddsDraws {
		q.Dice = dice.Uint64()
		d := plan.Decide(&a.scratch, q, a.snapshot.Health)
		if order == nil {
			order = slices.Clone(d.Endpoints)
		}
		same = same && slices.Equal(order, d.Endpoints)
		for i, id := range d.Endpoints {
			listed[id]++
			if i == 0 {
				first[id]++
			}
		}
	}
	if same {
		return
	}
	if q.Joint {
		x.Varies = append(x.Varies, fmt.Sprintf("the dice follow from the client and the time: they are others every %d s, the same on all nodes",
			policy.JointSeconds))
	} else {
		x.Varies = append(x.Varies, "each answer is drawn anew")
	}
	for _, id := range plan.Endpoints(q.Service) {
		if listed[id] > 0 {
			x.Odds = append(x.Odds, Odds{plan.Endpoint(id).Name, float64(first[id]) / oddsDraws, float64(listed[id]) / oddsDraws})
		}
	}
}
