package configs

import (
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// steeredTTL is the TTL of a steered name that has none of its own, in seconds: as long as a client may hold on to an address that
// just failed.
const steeredTTL = 30

// typeForm is how a record type is written.
var typeForm = regexp.MustCompile(`^[A-Z][A-Z0-9-]*$`)

// decodeZones reads "zones".
func (f *file) decodeZones(v value) { f.zonesOf(v, "") }

// decodeViews reads "views".
func (f *file) decodeViews(v value) {
	for _, p := range f.entries(v) {
		v := v.child(p)
		f.checkName(p.Key.Pos, v.path, nameForm, p.Key.Value)
		view := zone.ViewSpec{Name: p.Key.Value}
		f.object(v, inView, func(key string, v value) {
			switch key {
			case "networks":
				view.Networks = f.prefixes(v)
			case "zones":
				f.zonesOf(v, p.Key.Value)
			}
		})
		f.require(v, "networks", "the networks whose clients see the view")
		f.views = append(f.views, view)
	}
}

// zonesOf reads the zones of a view, or of none.
func (f *file) zonesOf(v value, view string) {
	for _, p := range f.entries(v) {
		v := v.child(p)
		z := zone.Spec{Name: p.Key.Value, View: view}
		records := value{Node: &yaml.Node{Kind: yaml.Null}}
		f.spread = 0
		f.object(v, inZone, func(key string, v value) {
			switch key {
			case "file":
				f.zoneFiles = append(f.zoneFiles, zoneFile{at: v, zone: len(f.zones), path: f.setting.resolve(f.filePath(v))})
			case "allow":
				z.Allow = f.prefixes(v)
				if v.Kind == yaml.Sequence && len(v.Items) == 0 {
					f.errorf(v, "nobody may ask for the zone; leave \"allow\" out to let everybody, or the zone out")
				}
			case "ns":
				z.NS = f.texts(v)
			case "soa":
				f.soa(v, &z.SOA)
			case "ttl":
				z.TTL = f.seconds(v)
			case "ttl_jitter":
				f.spread = f.jitter(v)
				z.Jitter = f.spread
			case "records":
				records = v
			}
		})
		for _, p := range f.entries(records) {
			z.Records = append(z.Records, f.name(p.Key.Value, records.child(p)))
		}
		if (v.Kind == yaml.Mapping || v.Kind == yaml.Null) && v.Get("file") == nil {
			f.requireBeside(v, "ns", "the names of the servers of the zone, e.g. [ns1."+p.Key.Value+"]")
		}
		f.zones = append(f.zones, z)
	}
}

// texts reads one text or a list of them.
func (f *file) texts(v value) []string {
	var list []string
	for _, e := range v.elements() {
		if s, ok := f.text(e); ok {
			list = append(list, s)
		}
	}
	return list
}

// soa reads the timers and names of a zone's SOA record.
func (f *file) soa(v value, s *zone.SOASpec) {
	f.object(v, inSOA, func(key string, v value) {
		switch key {
		case "mname":
			s.MName, _ = f.text(v)
		case "rname":
			s.RName, _ = f.text(v)
		case "serial":
			n, _ := f.integer(v, 1, math.MaxUint32)
			s.Serial = uint32(n)
		case "refresh":
			s.Refresh = f.seconds(v)
		case "retry":
			s.Retry = f.seconds(v)
		case "expire":
			s.Expire = f.seconds(v)
		case "minimum":
			s.Minimum = f.seconds(v)
		}
	})
}

// record reads everything at one name, or one variant of it.
func (f *file) record(owner string, v value) zone.RecordSpec {
	r := zone.RecordSpec{Owner: owner}
	var steer zone.SteerSpec
	var via *value
	spread := false
	f.object(f.withoutTypes(v, &r), inRecord, func(key string, v value) {
		switch key {
		case "when":
			r.When = f.condition(v)
		case "ttl":
			r.TTL = f.seconds(v)
		case "service":
			steer.Service = f.service(v)
		case "policy":
			steer.Policy = f.policy(v)
		case "types":
			steer.Types = f.texts(v)
			if v.Kind == yaml.Sequence && len(v.Items) == 0 {
				f.errorf(v, "no type is listed; leave \"types\" out for A and AAAA")
			}
		case "fail":
			steer.Fail = f.fail(v)
		case "fallback":
			steer.Fallbacks = f.fallbacks(v)
		case "ttl_jitter":
			steer.Jitter = f.jitter(v)
			spread = true
		case "via":
			f.oneOf(v, edgeService)
			via = &v
		case "alias":
			r.Alias, _ = f.text(v)
		case "whoami":
			r.Whoami, _ = f.boolean(v)
		default:
			r.Static = append(r.Static, f.static(key, v))
		}
	})
	switch {
	case v.Get("service") == nil && v.Get("policy") != nil:
		f.require(v, "service", "a policy chooses among the endpoints of a service")
	case v.Get("service") == nil && via != nil:
		f.require(v, "service", "the edges answer for a service")
	case v.Get("service") == nil && v.Get("types") != nil:
		f.require(v, "service", "types says what of a service is answered")
	case v.Get("service") == nil && (v.Get("fail") != nil || v.Get("fallback") != nil):
		f.require(v, "service", "a record fails, and falls back, when not enough of a service is up")
	case v.Get("service") == nil && v.Get("ttl_jitter") != nil:
		f.require(v, "service", "only answers of a service have TTLs that are drawn")
	}
	if v.Get("service") == nil {
		return r
	}
	if r.TTL == 0 {
		r.TTL = steeredTTL
	}
	if !spread {
		steer.Jitter = f.spread
	}
	if via != nil {
		steer.Service = edgeService
		f.viaEdge = append(f.viaEdge, *via)
	}
	r.Steer = &steer
	return r
}

// withoutTypes reads the sets of types that are rarely seen and returns v without them.
func (f *file) withoutTypes(v value, r *zone.RecordSpec) value {
	known := inRecord.keys()
	rest := *v.Node
	rest.Pairs = nil
	for _, p := range v.Pairs {
		if t := p.Key.Value; !slices.Contains(known, t) && typeForm.MatchString(t) && isType(t) {
			r.Static = append(r.Static, f.static(t, v.child(p)))
		} else {
			rest.Pairs = append(rest.Pairs, p)
		}
	}
	v.Node = &rest
	return v
}

// isType reports whether a word names a type of DNS records.
func isType(s string) bool {
	_, ok := dns.StringToType[s]
	return ok || strings.HasPrefix(s, "TYPE") && integerForm.MatchString(s[len("TYPE"):])
}

// static reads the values of one type.
func (f *file) static(rrtype string, v value) zone.StaticSpec {
	s := zone.StaticSpec{Type: rrtype}
	for _, e := range v.elements() {
		if f.scalar(e, "a value, or a list of them,") {
			s.Values = append(s.Values, e.Value)
		}
	}
	return s
}

// policy reads the name of a policy.
func (f *file) policy(v value) string {
	s, _ := f.text(v)
	f.reference(v, "policy", s, f.policies)
	f.uses["policy "+s] = true
	return s
}
