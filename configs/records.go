package configs

import (
	"math"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// mostJitter is the largest share of a TTL by which answers may be shorter.
const mostJitter = 0.9

// jitter reads a share as whole percent; less than one counts as one.
func (f *file) jitter(v value) int {
	share, _ := f.share(v, mostJitter)
	return int(math.Ceil(share*100 - 1e-9))
}

// fail reads how a steered name fails.
func (f *file) fail(v value) zone.Fail {
	if f.oneOf(v, "open", "closed") == "closed" {
		return zone.FailClosed
	}
	return zone.FailOpen
}

// fallbacks reads what a steered name falls back on: a service, or a mapping of one and a policy, or a list of these.
func (f *file) fallbacks(v value) []zone.FallbackSpec {
	if v.Kind == yaml.Sequence && len(v.Items) == 0 {
		f.errorf(v, "no service is listed; leave \"fallback\" out if there is none")
	}
	var list []zone.FallbackSpec
	for _, v := range v.elements() {
		var s zone.FallbackSpec
		if v.Kind == yaml.Mapping {
			f.object(v, inFallback, func(key string, v value) {
				switch key {
				case "service":
					s.Service = f.service(v)
				case "policy":
					s.Policy = f.policy(v)
				}
			})
			f.require(v, "service", "what stands in")
		} else {
			s.Service = f.service(v)
		}
		list = append(list, s)
	}
	return list
}

// service reads the name of a service.
func (f *file) service(v value) string {
	s, _ := f.text(v)
	f.reference(v, "service", s, f.services)
	f.uses[s] = true
	return s
}

// name reads what a name has: a record, or a list of variants of it.
func (f *file) name(owner string, v value) zone.RecordSpec {
	if v.Kind != yaml.Sequence {
		return f.record(owner, v)
	}
	if len(v.Items) == 0 {
		f.errorf(v, "no variant is listed")
	}
	r := zone.RecordSpec{Owner: owner, Variants: []zone.RecordSpec{}}
	for _, v := range v.elements() {
		r.Variants = append(r.Variants, f.record(owner, v))
	}
	return r
}

// condition reads whom a variant is for.
func (f *file) condition(v value) *zone.ConditionSpec {
	var c zone.ConditionSpec
	f.object(v, inWhen, func(key string, v value) {
		switch key {
		case "client":
			c.Client = f.prefixes(v)
		case "resolver":
			c.Resolver = f.prefixes(v)
		case "types":
			c.Types = f.texts(v)
		case "ecs":
			if b, ok := f.boolean(v); ok {
				c.Subnet = &b
			}
		}
	})
	return &c
}
