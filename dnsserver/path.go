package dnsserver

import (
	"bytes"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// maxAliases bounds the aliases that one answer follows. Static ones have no longer chains and no loops in compiled zones; those that
// a policy chooses are bounded here alone.
const maxAliases = zone.MaxChain

// A path is the way from the name in question to the answer: the aliases it leads through, in order, and where it ends.
type path struct {
	links [maxAliases]link
	n     int        // links in use
	first *zone.Zone // that holds the name in question; nil = none of ours

	spot  zone.Spot // of the name in question
	name  wire.Name // that was looked up last
	match zone.Match

	// owner is the name that what is found is sent with. It is the name that was looked up, but from an ALIAS on, whose way is not
	// shown, it stays. The answer's TTL is at most ttl: the least on the way, and of a negative answer what health allows.
	owner wire.Name
	home  *zone.Zone // if flat: that holds the ALIAS
	flat  bool
	ttl   uint32
	cut   bool // the way goes on, but is not followed: too long, or a circle
}

// A link is an alias that was followed.
type link struct {
	owner wire.Name
	kind  zone.Kind
	cut   wire.Name   // if kind is Redirect: the owner of the DNAME
	steer *zone.Steer // that chose the target; nil = a static one
}

// reset begins a path at the name in question.
func (p *path) reset(name wire.Name) {
	p.n, p.first, p.name, p.owner = 0, nil, name, name
	p.flat, p.ttl, p.cut = false, 1<<31-1, false
	p.match.Kind, p.match.Zone, p.match.Steer, p.match.Manner = zone.NotAuth, nil, nil, nil
}

// advance goes on to the target of what was found, and reports whether it may be looked up: not if it was on the way before, nor
// after maxAliases.
func (p *path) advance(target wire.Name, steer *zone.Steer) bool {
	if p.n == maxAliases || bytes.Equal(target, p.name) {
		p.cut = true
		return false
	}
	p.links[p.n] = link{p.name, p.match.Kind, p.match.Cut, steer}
	p.n++
	for i := range p.links[:p.n] {
		if bytes.Equal(p.links[i].owner, target) {
			p.cut = true
			return false
		}
	}
	p.name = target
	if !p.flat {
		p.owner = target
	}
	return true
}

// redirected reports whether the DNAME of an owner was met before on the way: it is in the answer already, and a record is there once.
func (p *path) redirected(cut wire.Name) bool {
	for i := range p.links[:p.n] {
		if l := &p.links[i]; l.kind == zone.Redirect && bytes.Equal(l.cut, cut) {
			return true
		}
	}
	return false
}

// bound makes the answer's TTL no longer than that of something on a way that is not shown.
func (p *path) bound(ttl uint32) {
	if p.flat {
		p.ttl = min(p.ttl, ttl)
	}
}
