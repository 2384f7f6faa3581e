package outside

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// maxLinks is the most CNAMEs that are followed in an answer.
const maxLinks = 16

// defaultNegative is the TTL of a negative answer without an SOA (RFC 2308 5 says not to keep it at all; we have to keep something).
const defaultNegative = 30 // seconds

// ttlSteps are the TTLs that are served. What a cache still has of a TTL differs each time; what is published should not.
var ttlSteps = [...]uint32{1, 5, 10, 20, 30, MaxTTL}

// A found is the answer of a server.
type found struct {
	rdata [][]byte // addresses in order, without repetitions; none: there are none
	ttl   uint32   // seconds: the least of the chain and the addresses, or that of the negative answer
}

// set returns the RRset to serve, or nil. Its TTL is the longest step that is not above the one found, but never 0: the addresses are
// asked for every few seconds at most, so a TTL of 0 would make clients ask for what cannot have changed.
func (f found) set(rrtype uint16) *wire.RRset {
	if len(f.rdata) == 0 {
		return nil
	}
	ttl := ttlSteps[0]
	for _, step := range ttlSteps {
		if step <= f.ttl {
			ttl = step
		}
	}
	return &wire.RRset{Type: rrtype, TTL: ttl, RData: f.rdata}
}

// errOwnAlias says that what is to be found out would be found out from ourselves.
var errOwnAlias = errors.New("leads back to an alias of ours that leads outside")

// read finds the addresses in a response to a question for a name and type. An error means that the server did not answer it.
func read(m *dns.Msg, name wire.Name, rrtype uint16, zones *zone.Set) (found, error) {
	switch {
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		return found{}, fmt.Errorf("answers %s", rcodeName(m.Rcode))
	case len(m.Answer) == 0 && !m.RecursionAvailable && hasNS(m):
		return found{}, errors.New("answers with a referral: it does not resolve for others")
	}
	f := found{ttl: 1<<31 - 1}
	for links := 0; ; links++ {
		next, ttl := link(m, name)
		if next == nil {
			break
		}
		if links == maxLinks {
			return found{}, fmt.Errorf("answers with more than %d CNAMEs in a row", maxLinks)
		}
		if ownAlias(zones, next, rrtype) {
			return found{}, errOwnAlias
		}
		name, f.ttl = next, min(f.ttl, ttl)
	}
	for _, rr := range m.Answer {
		if rdata := address(rr, rrtype); rdata != nil && owns(rr, name) {
			f.rdata, f.ttl = append(f.rdata, rdata), min(f.ttl, seconds(rr))
		}
	}
	if len(f.rdata) == 0 {
		f.ttl = min(f.ttl, negativeTTL(m))
		return f, nil
	}
	slices.SortFunc(f.rdata, bytes.Compare)
	f.rdata = slices.CompactFunc(f.rdata, bytes.Equal)
	f.rdata = f.rdata[:min(len(f.rdata), MaxAddresses)]
	return f, nil
}

// link returns where the CNAME of a name leads and its TTL; nil if it has none.
func link(m *dns.Msg, name wire.Name) (wire.Name, uint32) {
	for _, rr := range m.Answer {
		if c, ok := rr.(*dns.CNAME); ok && owns(rr, name) {
			if next, err := wire.ParseName(c.Target); err == nil {
				return next, seconds(rr)
			}
		}
	}
	return nil, 0
}

// ownAlias reports whether a name is an alias of ours, in any view, that ends outside, through our CNAMEs and aliases or directly: its addresses
// are those that this package found, so that finding them there again would keep them for ever.
func ownAlias(zones *zone.Set, name wire.Name, rrtype uint16) bool {
	return slices.ContainsFunc(zones.AllViews(), func(seen *zone.Set) bool {
		return leavesByAlias(seen, name, rrtype, false, 0, map[string]bool{})
	})
}

// leavesByAlias is ownAlias for a name that so many links led to, one of them an alias of addresses or not. Of a name with variants, any
// will do; seen has those that did not.
func leavesByAlias(zones *zone.Set, name wire.Name, rrtype uint16, flat bool, links int, seen map[string]bool) bool {
	if links > zone.MaxChain {
		return flat
	}
	key := fmt.Sprint(flat, name)
	if seen[key] {
		return false
	}
	seen[key] = true
	m := zones.Lookup(name, rrtype)
	for m := range m.Each(rrtype) {
		next, alias := m.Next(name)
		switch {
		case m.Kind == zone.NotAuth, m.Kind == zone.Referral:
			return flat
		case alias && leavesByAlias(zones, next, rrtype, flat || m.Kind == zone.Flatten, links+1, seen):
			return true
		}
	}
	return false
}

// owns reports whether a record of class IN is one of a name.
func owns(rr dns.RR, name wire.Name) bool {
	h := rr.Header()
	owner, err := wire.ParseName(h.Name)
	return err == nil && h.Class == dns.ClassINET && bytes.Equal(owner, name)
}

// address returns the rdata of an address record of the type wanted, else nil.
func address(rr dns.RR, rrtype uint16) []byte {
	switch rr := rr.(type) {
	case *dns.A:
		if rrtype == wire.TypeA {
			return rr.A.To4()
		}
	case *dns.AAAA:
		if rrtype == wire.TypeAAAA {
			return rr.AAAA.To16()
		}
	}
	return nil
}

// negativeTTL returns how long it holds that something does not exist (RFC 2308 5).
func negativeTTL(m *dns.Msg) uint32 {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(seconds(rr), soa.Minttl)
		}
	}
	return defaultNegative
}

func hasNS(m *dns.Msg) bool {
	return slices.ContainsFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeNS })
}

// seconds returns a TTL; one with the highest bit set is 0 (RFC 2181 8).
func seconds(rr dns.RR) uint32 {
	if ttl := rr.Header().Ttl; ttl < 1<<31 {
		return ttl
	}
	return 0
}

func rcodeName(code int) string {
	if s, ok := dns.RcodeToString[code]; ok {
		return s
	}
	return fmt.Sprintf("code %d", code)
}
