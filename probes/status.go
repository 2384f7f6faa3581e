package probes

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// A Status is what is known of one target at one moment. It is a copy.
type Status struct {
	Endpoint string         // full name, "service/endpoint"
	Addr     netip.AddrPort // where checks connect; port 0 if none is known
	Check    Check          // with defaults filled in
	Verdict  policy.Verdict // as probes see it: overrides are not their business
	Since    time.Time      // when the state changed last; zero if it never did, or was saved
	Checked  time.Time      // end of the last check; zero if there was none
	Latency  time.Duration  // of the last check
	Err      string         // of the last check, one line of at most 200 characters; "" if it succeeded
	Streak   int            // how many checks in a row ended like the last one, well or badly
}

// Status returns the status of all targets, ordered by endpoint.
func (p *Prober) Status() []Status {
	p.mu.Lock()
	all := make([]Status, 0, len(p.probes))
	for _, b := range p.probes {
		all = append(all, p.statusOf(b))
	}
	p.mu.Unlock()
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Endpoint, b.Endpoint) })
	return all
}

// StatusOf returns the status of one target, or false if there is no such target.
func (p *Prober) StatusOf(endpoint string) (Status, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.probes[endpoint]
	if b == nil {
		return Status{}, false
	}
	return p.statusOf(b), true
}

func (p *Prober) statusOf(b *probe) Status {
	return Status{
		Endpoint: b.target.Endpoint,
		Addr:     b.target.Where(),
		Check:    b.target.Check,
		Verdict:  b.tracker.verdict(),
		Since:    b.since,
		Checked:  b.checked,
		Latency:  b.latency,
		Err:      b.trouble,
		Streak:   b.streak,
	}
}
