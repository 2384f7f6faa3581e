package zone

import (
	"fmt"

	"github.com/meridian-gslb/meridian/policy"
)

// A Manner is how a steered name answers, beyond what its policy says. Names of a zone that answer in the same manner share one. It
// never changes.
type Manner struct {
	// Jitter is the share of the TTL, in percent, by which an answer's may be shorter: a draw from there to all of it, so that not all
	// resolvers come again at the same time.
	Jitter uint8

	// Shortage is what the policy does where not enough of the service is up, and none of the Fallbacks has.
	Shortage policy.Shortage

	// Fallbacks are what answers, the first of which enough is up, where not enough of the service is.
	Fallbacks []Fallback
}

// A Fallback is a service that stands in for another, by a policy of its own.
type Fallback struct {
	Service policy.ServiceID
	Policy  policy.PolicyID
}

// MaxFallbacks bounds the services that stand in for one.
const MaxFallbacks = 8

// maxJitter is the largest jitter, in percent.
const maxJitter = 90

// A Fail says what a steered name answers when not enough of its service is up.
type Fail uint8

// The ways to fail.
const (
	FailByPolicy Fail = iota // as the healthy stages of the policy say
	FailOpen                 // all endpoints that are not drained count as up
	FailClosed               // what is up, however little: if nothing is, no record
)

// shortages are what the ways to fail mean to a policy.
var shortages = [...]policy.Shortage{FailByPolicy: policy.ShortageByPolicy, FailOpen: policy.ShortageOpen, FailClosed: policy.ShortageClosed}

// A FallbackSpec is a service that stands in for another.
type FallbackSpec struct {
	Service string
	Policy  string // "" means "default"
}

// manner compiles how a steered name answers, and returns the position of that among those of the zone plus one; 0: as its policy says.
// It tells fault what is wrong with a key.
func (d *draft) manner(spec *SteerSpec, fault func(key []string, format string, args ...any)) uint16 {
	if spec.Jitter == 0 && spec.Fail == FailByPolicy && len(spec.Fallbacks) == 0 {
		return 0
	}
	m := Manner{Jitter: uint8(min(spec.Jitter, maxJitter)), Shortage: shortages[spec.Fail]}
	if spec.Jitter > maxJitter {
		fault([]string{"ttl_jitter"}, "%d%% is too much: at most %d%%", spec.Jitter, maxJitter)
	}
	if len(spec.Fallbacks) > MaxFallbacks {
		fault([]string{"fallback"}, "%d services are too many to fall back on: at most %d", len(spec.Fallbacks), MaxFallbacks)
	}
	d.fallbacks(&m, spec, fault)
	key := fmt.Sprint(m)
	pos, known := d.mannerAt[key]
	if !known {
		if len(d.manners) == 1<<16-1 {
			fault(nil, "the zone answers in more than %d different manners", len(d.manners))
			return 0
		}
		d.manners = append(d.manners, m)
		pos = uint16(len(d.manners))
		if d.mannerAt == nil {
			d.mannerAt = map[string]uint16{}
		}
		d.mannerAt[key] = pos
	}
	return pos
}

// fallbacks compiles what a steered name falls back on. A service that came before, the name's own included, is a circle: not enough of
// it was up.
func (d *draft) fallbacks(m *Manner, spec *SteerSpec, fault func(key []string, format string, args ...any)) {
	before := map[string]bool{spec.Service: true}
	for i, f := range spec.Fallbacks {
		key := fallbackKey(spec, i)
		if f.Service == "" {
			fault(key, "a fallback needs a service")
			continue
		}
		if before[f.Service] {
			fault(key, "service %q stands before this already: the way back to it is a circle", f.Service)
			continue
		}
		before[f.Service] = true
		s, p, ok := d.choice(f.Service, f.Policy, func(k, format string, args ...any) { fault(append(key, k), format, args...) })
		if ok {
			m.Fallbacks = append(m.Fallbacks, Fallback{s, p})
		}
	}
	if d.plan == nil {
		return
	}
	if name := policyName(spec.Policy); len(spec.Fallbacks) > 0 || spec.Fail != FailByPolicy {
		if id, ok := d.plan.PolicyByName(name); ok && !d.plan.LooksAtHealth(id) {
			key := "fail"
			if len(spec.Fallbacks) > 0 {
				key = "fallback"
			}
			fault([]string{key}, "policy %q has no healthy stage, so it never finds that too little is up", name)
		}
	}
	for i, f := range spec.Fallbacks[:max(0, len(spec.Fallbacks)-1)] {
		if id, ok := d.plan.PolicyByName(policyName(f.Policy)); ok && !d.plan.LooksAtHealth(id) {
			fault(fallbackKey(spec, i), "policy %q has no healthy stage, so what stands behind service %q would never answer", policyName(f.Policy), f.Service)
		}
	}
}

// fallbackKey returns the way to the fallback at a position.
func fallbackKey(spec *SteerSpec, i int) []string {
	if len(spec.Fallbacks) == 1 {
		return []string{"fallback"}
	}
	return []string{"fallback", fmt.Sprint(i)}
}

// policyName returns the name of the policy that a Spec means.
func policyName(name string) string {
	if name == "" {
		return policy.DefaultPolicy
	}
	return name
}
