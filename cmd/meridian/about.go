package main

import (
	"net"
	"net/netip"
	"time"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

// adminOptions gives the admin API what it shows and changes.
func (n *node) adminOptions(demo admin.Demo) admin.Options {
	o := admin.Options{
		Log: n.log, Registry: n.registry, Embedded: n.embedded, Metrics: n.metrics.registry,
		About: n.about, Waiting: func() []string { return *n.waiting.Load() }, Reload: n.reload, Plan: n.plan, Apply: n.apply, Generations: n.generations, Rollback: n.rollback, Probe: n.probe, Demo: demo,
		GeoData: func() []string { return outdated(n.config.Load().Databases, time.Now()) },
		Aliases: n.outside.Problems,
		Explain: n.explain, Replay: n.replay,
	}
	if n.consul != nil {
		o.Sources = func() []registry.SourceStatus { return []registry.SourceStatus{n.consul.Status()} }
		o.Confirm = n.confirm
		o.Held = func() []string {
			if n.shared == nil {
				return n.guard.Problems()
			}
			return append(n.guard.Problems(), n.shared.Problems()...)
		}
	}
	o.Verdict, o.Probers = n.verdict, n.probers
	if n.link != nil {
		o.Redis = n.redis
	}
	if n.dns != nil {
		o.Demand, o.Answers = n.dns.Demand, n.answersGiven
	}
	if n.edge != nil {
		o.Traffic, o.Certificates = n.traffic, n.edge.CertificateProblems
	}
	if n.store != nil {
		o.Saving = n.saving
	}
	return o
}

// about says what runs, where, and on which file.
func (n *node) about() admin.About {
	cfg := n.config.Load()
	a := admin.About{Version: version, Site: cfg.Site, Started: n.begun, Config: *n.reloads.Load(), State: cfg.State}
	if a.Config.Generation = n.generation.Load(); a.Config.Generation != 0 {
		pin, err := n.kept.Pinned()
		a.Config.Pinned = err == nil && pin.Generation == a.Config.Generation
	}
	if n.dns != nil {
		for _, addr := range n.dns.Addrs() {
			a.Listen.DNS = append(a.Listen.DNS, addr.String())
		}
	}
	if n.edge != nil {
		https, http := n.edge.Addrs()
		a.Listen.HTTPS, a.Listen.HTTP = texts(https), texts(http)
	}
	a.Listen.Admin = n.admin.Addr()
	return a
}

func texts(addrs []net.Addr) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

// probe says how an endpoint is checked, and how that went.
func (n *node) probe(endpoint string) (admin.ProbeStatus, bool) {
	s, ok := n.prober.StatusOf(endpoint)
	if !ok {
		return admin.ProbeStatus{}, false
	}
	return admin.ProbeStatus{
		Kind: string(s.Check.Kind), Address: s.Addr.String(), Checked: s.Checked, Latency: embedded.Duration(s.Latency),
		Error: s.Err, Streak: s.Streak,
	}, true
}

// traffic is what the edge sent to each endpoint.
func (n *node) traffic() map[string]admin.Traffic {
	out := map[string]admin.Traffic{}
	for _, s := range n.edge.Stats() {
		out[s.Name] = admin.Traffic{
			InFlight: s.InFlight, Requests: s.Requests, ServerErrors: s.ServerErrors, Failures: s.Failures, ConnectFailures: s.ConnectFailures,
		}
	}
	return out
}

// parseClient reads an address, as a prefix of full length, or a prefix.
func parseClient(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	return netip.Prefix{}, badInput("%q is not a client: an address such as 192.0.2.1, or a network such as 192.0.2.0/24, is expected", s)
}
