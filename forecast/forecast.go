// Package forecast says where those who ask would go after a change: demand goes through the state before and the state after, by the code that
// answers DNS.
package forecast

import (
	"fmt"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/demand"
	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/simulate"
)

// Of returns where the demand goes before and after, by the health of each Snapshot, at a time in Unix seconds. The error says which name or type of
// the demand is none, that there is no demand, or which capacity is of no site.
func Of(before, after *registry.Snapshot, d demand.Report, capacity []simulate.Capacity, now int64) (*simulate.Forecast, error) {
	c := simulate.Comparison{
		Before: simulate.Side{Plan: before.Plan, Asker: newAsker(before, now)}, After: simulate.Side{Plan: after.Plan, Asker: newAsker(after, now)},
		Capacity: capacity, Seed: 1,
	}
	type question struct{ name, rrtype string }
	at := map[question]int{}
	for _, e := range d.Entries {
		q := question{e.Name, e.Type}
		i, known := at[q]
		if !known {
			if _, err := wire.ParseName(e.Name); err != nil {
				return nil, fmt.Errorf("forecast: %q is not a name: %w", e.Name, err)
			}
			if _, err := dnsserver.ParseType(e.Type); err != nil {
				return nil, err
			}
			i = len(c.Flows)
			at[q] = i
			c.Flows = append(c.Flows, simulate.Flow{Name: e.Name, Type: e.Type})
		}
		c.Flows[i].Clients = append(c.Flows[i].Clients, simulate.Client{Prefix: e.Client, Queries: e.Queries})
	}
	return simulate.Compare(c)
}

// An asker asks a Snapshot, as simulate does.
type asker struct {
	*dnsserver.Asking
	flow     *simulate.Flow
	question dnsserver.Question // of the flow
}

func newAsker(s *registry.Snapshot, now int64) *asker {
	return &asker{Asking: dnsserver.NewAsking(s, now)}
}

// About implements simulate.Asker.
func (a *asker) About(f *simulate.Flow, c *simulate.Client) {
	if f != a.flow {
		a.flow = f
		a.question.Name, _ = wire.ParseName(f.Name) // both were checked
		a.question.Type, _ = dnsserver.ParseType(f.Type)
	}
	a.question.Client = c.Prefix
	a.Asking.About(a.question)
}

// Ask implements simulate.Asker.
func (a *asker) Ask(dice uint64) simulate.Ask {
	endpoints, why, steered, answers := a.Asking.Ask(dice)
	switch {
	case steered && len(endpoints) > 0:
		return simulate.Ask{Fate: simulate.Steered, Endpoint: endpoints[0], FailedOpen: why == policy.ReasonFailOpen}
	case !steered && answers > 0:
		return simulate.Ask{Fate: simulate.Fixed}
	}
	return simulate.Ask{}
}

// maxNames is how many names Population has asked.
const maxNames = 100

// Population returns the demand of clients who ask evenly for the names that a service answers, at most the first 100 of them. It is empty if there
// is none.
func Population(s *registry.Snapshot, service string, clients []simulate.Client) demand.Report {
	id, ok := s.Plan.ServiceByName(service)
	var steers []*zone.Steer
	for _, z := range s.Zones.Zones() {
		for e := range z.Entries() {
			if ok && e.Steer != nil && e.Steer.Service == id && len(steers) < maxNames {
				steers = append(steers, e.Steer)
			}
		}
	}
	k := demand.NewSketch(demand.MaxKeys, 0, 0)
	for i, c := range clients {
		for j, steer := range steers {
			key := demand.Key{Name: steer.Record, Type: dns.Type(steer.Types.List()[0]).String(), Client: demand.Network(c.Prefix)}
			k.Add(key, c.Queries/float64(len(steers)), 0, demand.Dice(uint64(i*maxNames+j)))
		}
	}
	return k.Report(1)
}
