package zone

import "github.com/meridian-gslb/meridian/dnsserver/wire"

// OutsideTargets returns the distinct names in none of our zones whose addresses aliases need: their targets, or where those lead
// through CNAMEs of ours. In no particular order.
func (s *Set) OutsideTargets() []wire.Name {
	return nil
}
