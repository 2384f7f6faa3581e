package configs

import (
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// warnTypes warns of types that names are steered by and that no endpoint of their service can answer: the answer is empty, whatever
// works. Each is told once, at the first name. A service without endpoints of its own, or one that Consul fills, is not warned of: what comes
// from a registry is not known.
func (f *file) warnTypes() {
	told := map[string]bool{}
	fresh := func(msg string) bool {
		was := told[msg]
		told[msg] = true
		return msg != "" && !was
	}
	for _, z := range f.zones {
		for path, r := range records(&z) {
			if r.Steer == nil || r.Whoami {
				continue
			}
			if len(r.Steer.Types) == 0 {
				if msg := f.withoutAddress(r.Steer, "write types beside it, as in types: CNAME"); fresh(msg) {
					f.warnThere(append(path, "service"), "%s", msg)
				}
				continue
			}
			path = append(path, "types")
			list, _ := f.locate(path)
			for i, t := range r.Steer.Types {
				msg, at := f.unanswered(r.Steer, t), path
				if list.Kind == yaml.Sequence {
					at = append(path, strconv.Itoa(i))
				}
				if fresh(msg) {
					f.warnThere(at, "%s", msg)
				}
			}
		}
	}
	for _, z := range f.zoneFiles {
		for _, s := range z.rrs.Steers() {
			msgs := []string{f.withoutAddress(&s.SteerSpec, "write the types behind it, as in DYNA "+s.Service+" SRV, or DYNC for CNAME")}
			for _, t := range s.Types {
				msgs = append(msgs, f.unanswered(&s.SteerSpec, t))
			}
			name := strings.TrimSuffix(s.Owner.String(), ".")
			for _, msg := range msgs {
				if fresh(msg) {
					f.warnings.add(Problem{File: z.rrs.Files()[s.File], Line: int(s.Line), Path: z.at.path.String(), Message: name + ": " + msg})
				}
			}
		}
	}
}

// withoutAddress says that a name of no types is steered by a service of no addresses, and what to do; "" if it is not.
func (f *file) withoutAddress(s *zone.SteerSpec, instead string) string {
	if len(s.Types) > 0 || f.answers(s.Service, wire.TypeA) || f.answers(s.Service, wire.TypeAAAA) {
		return ""
	}
	return "no endpoint of service " + strconv.Quote(s.Service) + " has an address, and A and AAAA are what is answered here; " + instead
}

// unanswered says that no endpoint can answer a type, and what to do; "" if one can.
func (f *file) unanswered(s *zone.SteerSpec, rrtype string) string {
	t, ok := dns.StringToType[strings.ToUpper(rrtype)]
	if !ok || f.answers(s.Service, t) {
		return ""
	}
	return "no endpoint of service " + strconv.Quote(s.Service) + " can answer " + rrtype + ": they have no " + dnsserver.FamilyOf(t).Lacks() +
		"; give one of them what it lacks, or take " + rrtype + " out"
}

// answers reports whether a service of the file has an endpoint that can answer a type, or may yet get one from a registry.
func (f *file) answers(service string, rrtype uint16) bool {
	plan := f.config.Compiled.Plan()
	id, ok := plan.ServiceByName(service)
	return !ok || len(plan.Endpoints(id)) == 0 || f.config.Wanted.Services[service] != "" || plan.HasFamily(id, dnsserver.FamilyOf(rrtype))
}
