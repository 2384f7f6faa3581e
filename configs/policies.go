package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/policy"
)

// maxTake is the most endpoints that a take stage may keep.
const maxTake = 10_000

// decodePolicies reads "policies".
func (f *file) decodePolicies(v value) {
	for _, p := range f.entries(v) {
		v := v.child(p)
		f.checkName(p.Key.Pos, v.path, nameForm, p.Key.Value)
		s := policy.PolicySpec{Name: p.Key.Value}
		for _, v := range f.list(v, "stages") {
			s.Stages = append(s.Stages, f.stage(v))
		}
		if len(s.Stages) == 0 && (v.Kind == yaml.Null || v.Kind == yaml.Sequence) {
			f.errorf(v, "a policy needs at least one stage, such as healthy")
		}
		f.spec.Policies = append(f.spec.Policies, s)
	}
}

// stage reads one stage: a word, or a mapping of one key. One that is none counts as healthy.
func (f *file) stage(v value) policy.StageSpec {
	if v.Kind == yaml.Scalar {
		switch f.stageName(v) {
		case "healthy":
			return policy.Healthy{}
		case "failover":
			return policy.Failover{}
		case "weighted":
			return policy.Weighted{}
		case "geo":
			f.errorf(v, "geo needs to know where to: geo: nearest, or a mapping of networks and regions to sites")
		case "take":
			f.errorf(v, "take needs to know how many: take: 2")
		}
		return policy.Healthy{}
	}
	if v.Kind == yaml.Mapping && len(v.Pairs) > 1 {
		f.errorf(v, "a stage has one key; begin each stage with a dash of its own")
		return policy.Healthy{}
	}
	if v.Kind != yaml.Mapping {
		f.errorf(v, "a stage (%s) is expected here, not %s", strings.Join(inStage.keys(), ", "), v.Kind)
		return policy.Healthy{}
	}
	var s policy.StageSpec = policy.Healthy{}
	f.object(v, inStage, func(key string, v value) {
		switch key {
		case "healthy":
			f.noArgument(v)
		case "weighted":
			f.noArgument(v)
			s = policy.Weighted{}
		case "geo":
			s = f.geo(v)
		case "failover":
			s = f.failover(v)
		case "take":
			n, ok := f.integer(v, 1, maxTake)
			if !ok {
				n = 1
			}
			s = policy.Take{N: int(n)}
		}
	})
	return s
}

// stageName returns the word of a stage, or reports that there is no such stage.
func (f *file) stageName(v value) string {
	known := inStage.keys()
	if slices.Contains(known, v.Value) {
		return v.Value
	}
	if instead := inStage.later(v.Value); instead != "" {
		f.errorf(v, "not supported by this version; %s", instead)
		return ""
	}
	suggestion := nearest(v.Value, known)
	if word, ok := inStage.synonyms()[strings.ToLower(v.Value)]; ok {
		suggestion = word
	}
	f.report(v.at, v.path, suggestion, fmt.Sprintf("there is no stage %s; the stages are %s", quote(v), strings.Join(known, ", ")))
	return ""
}

// noArgument reports a value where a stage takes none.
func (f *file) noArgument(v value) {
	if v.Kind != yaml.Null {
		f.errorf(v, "the stage takes no value; write only its name")
	}
}

// geo reads "nearest", or a mapping of networks, regions and "default" to targets.
func (f *file) geo(v value) policy.StageSpec {
	if v.Kind != yaml.Mapping {
		if f.scalar(v, "nearest, or a mapping of networks and regions to sites,") && v.Value != "nearest" {
			f.report(v.at, v.path, nearest(v.Value, []string{"nearest"}), "nearest, or a mapping such as {europe: eu-west, default: nearest}, is expected here, not "+quote(v))
		}
		return policy.Geo{Default: policy.GeoTarget{Nearest: true}}
	}
	var g policy.Geo
	prefixes := map[netip.Prefix]bool{}
	for _, p := range f.entries(v) {
		v := v.child(p)
		to, ok := f.geoTarget(v)
		key := p.Key.Value
		if key == "default" {
			g.Default = to
			if !ok {
				g.Default.Nearest = true
			}
			continue
		}
		rule := policy.GeoRule{To: to}
		if strings.ContainsAny(key, "/:") || isAddress(key) {
			prefix, wrong := parsePrefix(key)
			if wrong == "" && prefixes[prefix] {
				wrong = fmt.Sprintf("there are two rules for network %s", prefix)
			}
			if wrong != "" {
				f.report(p.Key.Pos, v.path, "", wrong)
				continue
			}
			prefixes[prefix] = true
			rule.Prefix = prefix
		} else {
			rule.Region = key
			if !f.regions.has[key] {
				msg := fmt.Sprintf("no site and no network is in region %q", key)
				if f.sites.has[key] {
					msg += ", which is a site; rules are for regions and networks"
				}
				f.report(p.Key.Pos, v.path, nearest(key, f.regions.list), msg)
				continue
			}
		}
		if ok {
			g.Rules = append(g.Rules, rule)
		}
	}
	return g
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// geoTarget reads "nearest", a site or a list of sites. It is not ok if nothing of it is good.
func (f *file) geoTarget(v value) (t policy.GeoTarget, ok bool) {
	if v.Kind == yaml.Scalar && v.Value == "nearest" {
		return policy.GeoTarget{Nearest: true}, true
	}
	t.Sites = f.siteList(v)
	return t, len(t.Sites) > 0
}

// failover reads nothing, a list of sites, or a mapping with sites and threshold.
func (f *file) failover(v value) policy.StageSpec {
	var s policy.Failover
	switch v.Kind {
	case yaml.Null:
	case yaml.Mapping:
		f.object(v, inFailover, func(key string, v value) {
			switch key {
			case "sites":
				s.Sites = f.siteList(v)
			case "threshold":
				t, ok := f.number(v, 0, 1)
				if ok && t == 0 {
					f.errorf(v, "a threshold of 0 would never fail over; it is more than 0 and at most 1")
				}
				s.Threshold = t
			}
		})
	default:
		s.Sites = f.siteList(v)
	}
	return s
}
