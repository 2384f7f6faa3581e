package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// explain explains an answer of the node: by what serves, or by a kept generation with the health of now.
func (n *node) explain(q admin.Question) (dnsserver.Explanation, error) {
	s := n.registry.Snapshot()
	if q.At != 0 {
		var err error
		if s, err = n.snapshotAt(q.At); err != nil {
			return dnsserver.Explanation{}, err
		}
	}
	x, err := explain(n.registry, s, q)
	if err != nil {
		return x, err
	}
	if q.At != 0 {
		x.Notes = append(x.Notes, fmt.Sprintf(
			"this is what generation %d of the configuration would answer, with data files, health and registrations of now", q.At))
	}
	x.Health = n.healthOf(s, &x, time.Now())
	return x, nil
}

// snapshotAt is what a kept generation of the configuration would make of all else as it is now.
func (n *node) snapshotAt(generation uint64) (*registry.Snapshot, error) {
	if n.kept == nil {
		return nil, noState()
	}
	g, err := n.kept.Get(generation)
	if err != nil {
		why := strings.TrimPrefix(err.Error(), "generations: ")
		return nil, &admin.Error{Status: http.StatusNotFound, Message: fmt.Sprintf("generation %d cannot be had: %s", generation, why)}
	}
	cfg, err := loadKept(n.named(g.File), g, n.config.Load().State)
	if err != nil {
		return nil, refusal(err)
	}
	return n.registry.Preview(cfg.Compiled), nil
}

// healthOf says what is believed of the endpoints of an explained service, since when and by whose word.
func (n *node) healthOf(s *registry.Snapshot, x *dnsserver.Explanation, now time.Time) (out []dnsserver.EndpointHealth) {
	id, ok := s.Plan.ServiceByName(x.Service)
	if x.Trace == nil || !ok {
		return nil
	}
	for _, e := range s.Plan.Endpoints(id) {
		h := dnsserver.EndpointHealth{Endpoint: s.Plan.Endpoint(e).Name, State: s.Health.Of(e).State, Forced: s.Health.Of(e).Forced}
		if d, ok := n.registry.Detail(h.Endpoint); ok && d.State == h.State {
			h.Age, h.By = int64(now.Sub(d.Since)/time.Second), n.by(d)
		} else {
			h.By = "supposed, or of another generation"
		}
		out = append(out, h)
	}
	return out
}

// by says who makes the node believe what it does of an endpoint.
func (n *node) by(d registry.EndpointDetail) string {
	if d.Forced && d.By != nil {
		text := "override of " + d.By.Target.String()
		if d.By.By != "" {
			text += " by " + d.By.By
		}
		if d.By.Reason != "" {
			text += ": " + d.By.Reason
		}
		return text
	}
	p, probed := n.probe(d.Name)
	switch {
	case d.State != d.Probed && !d.Forced:
		return "source " + d.Source
	case !probed:
		return "nobody: it is not probed"
	case p.Checked.IsZero() && d.State == policy.Unknown:
		return p.Kind + " probe of " + p.Address + ", which has not ended yet"
	case p.Checked.IsZero():
		return "saved by the process before"
	}
	outcome := "good"
	if p.Error != "" {
		outcome = "bad: " + p.Error
	}
	return fmt.Sprintf("%s probe of %s, the last %d %s", p.Kind, p.Address, p.Streak, outcome)
}

// explain reads a question as a person writes it and explains its answer by a Snapshot; r knows what suppositions are about. The error says which
// part cannot be read.
func explain(r *registry.Registry, s *registry.Snapshot, q admin.Question) (dnsserver.Explanation, error) {
	var asked dnsserver.Question
	var err error
	if asked.Name, err = wire.ParseName(q.Name); err != nil {
		return dnsserver.Explanation{}, badInput("%q is not a name: %s", q.Name, strings.TrimPrefix(err.Error(), "wire: "))
	}
	if asked.Type, err = dnsserver.ParseType(cmp.Or(q.Type, "A")); err != nil {
		return dnsserver.Explanation{}, badInput("%s", strings.TrimPrefix(err.Error(), "dnsserver: "))
	}
	if asked.Client, asked.Resolver, err = whoAsks(q); err != nil {
		return dnsserver.Explanation{}, err
	}
	if _, ok := s.Zones.View(q.View); !ok {
		return dnsserver.Explanation{}, badInput("there is no view %q; there is %s", q.View, cmp.Or(strings.Join(s.Zones.Views(), ", "), "none"))
	}
	asked.View = q.View
	if q.WhatIf != "" {
		suppositions, err := r.ParseSuppositions(q.WhatIf)
		if err != nil {
			return dnsserver.Explanation{}, badInput("what if: %s", strings.TrimPrefix(err.Error(), "registry: "))
		}
		s = s.Suppose(suppositions)
	}
	x := dnsserver.Explain(s, asked)
	if q.WhatIf != "" {
		x.Notes = append(x.Notes, "this is what would be answered if "+q.WhatIf)
	}
	if !asked.Client.IsValid() && !asked.Resolver.IsValid() && x.Trace != nil { // the address that stands for "nothing is known" is nobody's
		x.Trace.Client.Prefix, x.Trace.Client.Address = "", ""
	}
	return x, nil
}

// whoAsks reads on whose behalf, and from where, a question comes.
func whoAsks(q admin.Question) (client netip.Prefix, resolver netip.Addr, err error) {
	if q.Client != "" {
		if client, err = parseClient(q.Client); err != nil {
			return client, resolver, err
		}
	}
	if q.Resolver != "" {
		if resolver, err = netip.ParseAddr(q.Resolver); err != nil || resolver.Zone() != "" {
			return client, resolver, badInput("%q is not the address of a resolver", q.Resolver)
		}
	}
	if q.ECS == "" {
		return client, resolver, nil
	}
	switch {
	case resolver.IsValid() && client.IsValid():
		return client, resolver, badInput("of client, resolver and ecs two are enough: the client subnet and where the query comes from")
	case resolver.IsValid():
	case client.IsValid() && !client.IsSingleIP():
		return client, resolver, badInput("with a client subnet (ecs) the client is the resolver, and has to be an address, not %s", q.Client)
	case client.IsValid():
		resolver = client.Addr()
	default:
		resolver = netip.IPv4Unspecified() // nothing is known of it
	}
	client, err = parseClient(q.ECS)
	return client, resolver, err
}

// explainFile explains by a configuration file alone.
func explainFile(file string, q admin.Question) (dnsserver.Explanation, error) {
	cfg, err := loadFile(file)
	if err != nil {
		return dnsserver.Explanation{}, err
	}
	r := registry.New(registry.Options{Log: slog.New(slog.DiscardHandler)})
	r.Apply(cfg.Compiled)
	return explain(r, r.Snapshot(), q)
}
