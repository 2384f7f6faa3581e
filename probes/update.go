package probes

import (
	"math"

	"github.com/meridian-gslb/meridian/policy"
)

// Update makes targets the set that is checked, at once. If several have one name, the last counts.
//
// History is kept by endpoint name: a target that did not change goes on as if nothing happened, and one that changed only in
// its interval, timeout, rise or fall keeps its state and gets the new numbers. One whose address or question changed starts
// anew, as does a new one: it is checked now, and without a saved state the first result decides. What is no longer a target is
// forgotten, and the Sink is told that nothing is known of it. It is also told at once what changes without a check: a saved state
// with its TTL, the TTL of another pace, and the shortest TTL for a state that the first result of another question may flip.
//
// Values of a Check that Problems would complain of are brought into range; a target that cannot be checked is down and says why.
func (p *Prober) Update(targets []Target) {
	wanted := make(map[string]Target, len(targets))
	for _, t := range targets {
		t.Addr = t.Addr.Unmap()
		t.Check = t.Check.WithDefaults().inRange()
		wanted[t.Endpoint] = t
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	for name, b := range p.probes {
		if _, ok := wanted[name]; !ok {
			p.remove(b)
			p.sink.Observe(name, Observation{})
			p.firstResult(b)
		}
	}
	for _, t := range targets { // in the order given
		t := wanted[t.Endpoint]
		old := p.probes[t.Endpoint]
		switch {
		case old == nil:
			p.tell(t, p.add(t, p.seed(t.Endpoint)).tracker.verdict())
		case old.target == t:
		case old.target.sameQuestion(t):
			p.retune(old, t)
			p.tell(t, old.tracker.verdict())
		default:
			p.remove(old)
			p.add(t, policy.Unknown).awaited = old.awaited
			p.tell(t, soon(old.tracker.state))
		}
	}
	p.ready.keep(func(b *probe) bool { return !b.removed })
	p.limit = p.neededWorkers()
	select {
	case p.wake <- struct{}{}:
	default: // a token is there already
	}
}

// tell reports a Verdict that follows from no check. While nothing is known there is none.
func (p *Prober) tell(t Target, v policy.Verdict) {
	if v.State != policy.Unknown {
		p.sink.Observe(t.Endpoint, Observation{Verdict: v})
	}
}

// add makes t a probe that is due now.
func (p *Prober) add(t Target, saved policy.State) *probe {
	b := &probe{target: t, checker: p.build(t), tracker: newTracker(t.Check, saved), due: p.now()}
	p.probes[t.Endpoint] = b
	p.schedule.add(b)
	return b
}

// remove takes b out. A check of it that waits or runs comes to nothing.
func (p *Prober) remove(b *probe) {
	b.removed = true
	delete(p.probes, b.target.Endpoint)
	p.schedule.remove(b)
}

// retune gives b another pace. It never makes the next check later than both paces allow.
func (p *Prober) retune(b *probe, t Target) {
	b.target = t
	b.tracker.retune(t.Check)
	if latest := p.now() + t.Check.Interval; b.due > latest {
		b.due = latest
		p.schedule.fix(b)
	}
}

// neededWorkers returns how many checks run at the same time when every endpoint times out (rate times duration): with fewer,
// the loss of a whole region would make every check late just when they matter.
func (p *Prober) neededWorkers() int {
	if p.concurrency > 0 {
		return p.concurrency
	}
	var needed float64
	for _, b := range p.probes {
		c := b.target.Check
		needed += float64(c.Timeout) / (float64(c.Interval) * shortest)
	}
	return min(max(int(math.Ceil(needed)), minConcurrency), maxConcurrency)
}
