package dnsserver

import (
	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// maxAliases bounds the aliases that one answer follows. Compiled zones have no longer chains and no loops; the bound is for the
// worker's peace.
const maxAliases = zone.MaxChain

// A path is what looking up a question found: the aliases it led through, in order, and where it ended.
type path struct {
	aliases [maxAliases]alias
	n       int       // aliases in use
	name    wire.Name // that was looked up last
	match   zone.Match
}

// An alias is a CNAME that was followed.
type alias struct {
	owner wire.Name
	match zone.Match
}

// follow looks up a name and type, and after each CNAME its target, through all our zones (RFC 1034 4.3.2, step 3a). It ends at
// anything that is no alias, and after maxAliases: then match is the alias itself.
func (p *path) follow(zones *zone.Set, name wire.Name, rrtype uint16) {
	p.n, p.name = 0, name
	for {
		p.match = zones.Lookup(p.name, rrtype)
		if p.match.Kind != zone.Alias {
			return
		}
		if p.n == maxAliases {
			return
		}
		p.aliases[p.n] = alias{p.name, p.match}
		p.n++
		p.name = wire.Name(p.match.Set.RData[0])
	}
}

// zone returns the zone that the question itself belongs to, or nil.
func (p *path) zone() *zone.Zone {
	if p.n > 0 {
		return p.aliases[0].match.Zone
	}
	return p.match.Zone
}
