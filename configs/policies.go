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
		if name := f.stageName(v); name != "" {
			return f.stageOf(name, value{Node: &yaml.Node{Kind: yaml.Null, Pos: v.Pos}, at: v.at, path: v.path})
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
	f.object(v, inStage, func(key string, v value) { s = f.stageOf(key, v) })
	return s
}

// stageOf reads what a stage takes; null where only its name is written.
func (f *file) stageOf(name string, v value) policy.StageSpec {
	switch name {
	case "geo":
		if v.Kind == yaml.Null {
			f.errorf(v, "geo needs to know where to: geo: nearest, or a mapping of networks and regions to sites")
			break
		}
		return f.geo(v)
	case "latency":
		return f.latency(v)
	case "failover":
		return f.failover(v)
	case "weighted":
		return f.weighted(v)
	case "shuffle":
		f.noArgument(v)
		return policy.Shuffle{}
	case "sticky":
		return f.sticky(v)
	case "one_per":
		return f.onePer(v)
	case "canary":
		return f.canary(v)
	case "schedule":
		return f.schedule(v)
	case "shed":
		return f.shed(v)
	case "take":
		if v.Kind == yaml.Null {
			f.errorf(v, "take needs to know how many: take: 2")
			break
		}
		if n, ok := f.integer(v, 1, maxTake); ok {
			return policy.Take{N: int(n)}
		}
		return policy.Take{N: 1}
	}
	return f.healthy(v)
}

// healthy reads nothing, "closed", or a mapping with threshold and min.
func (f *file) healthy(v value) policy.StageSpec {
	var s policy.Healthy
	switch {
	case v.Kind == yaml.Null:
	case v.Kind == yaml.Scalar && v.Value == "closed":
		s.Closed = true
	case v.Kind == yaml.Scalar:
		f.report(v.at, v.path, nearest(v.Value, []string{"closed"}), "nothing, closed, or a mapping such as {threshold: 0.5} is expected here, not "+quote(v))
	default:
		f.object(v, inHealthy, func(key string, v value) {
			switch key {
			case "threshold":
				s.Threshold, _ = f.number(v, 0, 1)
			case "min":
				n, _ := f.integer(v, 0, maxTake)
				s.Min = int(n)
			}
		})
	}
	return s
}

// weighted reads nothing, "multi", a list of branches, or a mapping that says what groups share.
func (f *file) weighted(v value) policy.StageSpec {
	const want = "nothing, multi, a list of branches, or a mapping such as {by: site} is expected here, not "
	switch {
	case v.Kind == yaml.Null:
		return policy.Weighted{}
	case v.Kind == yaml.Sequence:
		return policy.Weighted{Branches: f.branches(v, true)}
	case v.Kind == yaml.Scalar && v.Value == "multi":
		return policy.Weighted{Multi: true}
	case v.Kind == yaml.Scalar:
		f.report(v.at, v.path, nearest(v.Value, []string{"multi"}), want+quote(v))
		return policy.Weighted{}
	}
	s := policy.Weighted{Grouped: true}
	f.object(v, inWeighted, func(key string, v value) { s.By = f.shared(v) })
	f.require(v, "by", "what the members of a group share: site or subnet")
	return s
}

// onePer reads what the endpoints share of which one is kept.
func (f *file) onePer(v value) policy.StageSpec {
	if v.Kind != yaml.Scalar {
		f.errorf(v, "one_per needs to know of what: one_per: site, or one_per: subnet")
		return policy.OnePer{}
	}
	return policy.OnePer{By: f.shared(v)}
}

// shared reads what endpoints share.
func (f *file) shared(v value) policy.Shared {
	switch {
	case v.Kind == yaml.Scalar && v.Value == "site":
		return policy.SharedSite
	case v.Kind == yaml.Scalar && v.Value == "subnet":
		return policy.SharedSubnet
	case f.scalar(v, "site or subnet"):
		f.report(v.at, v.path, nearest(v.Value, []string{"site", "subnet"}), "site or subnet is expected here, not "+quote(v))
	}
	return policy.SharedSite
}

// canary reads a share, networks and sites.
func (f *file) canary(v value) policy.StageSpec {
	var s policy.Canary
	if v.Kind == yaml.Null {
		f.errorf(v, "a canary needs a share of the clients and sites: canary: {share: 0.05, sites: us-east}")
		return s
	}
	f.object(v, inCanary, func(key string, v value) {
		switch key {
		case "share":
			s.Share, _ = f.share(v, 1)
		case "networks":
			s.Networks = f.prefixes(v)
		case "sites":
			s.Sites = f.siteList(v)
		}
	})
	return s
}

// sticky reads nothing, or a mapping with a bound.
func (f *file) sticky(v value) policy.StageSpec {
	var s policy.Sticky
	if v.Kind == yaml.Null {
		return s
	}
	f.object(v, inSticky, func(key string, v value) {
		bound, ok := f.number(v, 1, policy.MaxBound)
		if ok && bound == 1 {
			f.errorf(v, "a bound of 1 leaves no endpoint more than the mean, and clients would never rest; it is more than 1, such as 1.25")
		}
		s.Bound = bound
	})
	f.require(v, "bound", "how much more than the mean an endpoint may have to do, such as 1.25")
	return s
}

// shed reads two watermarks.
func (f *file) shed(v value) policy.StageSpec {
	s := policy.Shed{High: 1}
	if v.Kind == yaml.Null {
		f.errorf(v, "shed needs two watermarks: shed: {low: 70%%, high: 90%%}")
		return s
	}
	f.object(v, inShed, func(key string, v value) {
		switch key {
		case "low":
			s.Low, _ = f.share(v, 1)
		case "high":
			s.High, _ = f.share(v, 1)
		}
	})
	f.requireBeside(v, "low", "the load up to which all clients stay, such as 70%")
	f.requireBeside(v, "high", "the load at which all clients leave, such as 90%")
	return s
}

// branches reads the branches of a stage, which are drawn by weight or not.
func (f *file) branches(v value, drawn bool) []policy.Branch {
	var list []policy.Branch
	for _, v := range f.list(v, "branches") {
		b := policy.Branch{}
		if drawn {
			b.Weight = 1
		}
		f.object(v, inBranch, func(key string, v value) {
			switch key {
			case "sites":
				b.Sites = f.siteList(v)
			case "weight":
				n, ok := f.integer(v, 0, policy.MaxWeight)
				if !drawn {
					f.errorf(v, "branches of failover are tried in their order and have no weight")
				} else if ok {
					b.Weight = uint32(n)
				}
			case "policy":
				b.Policy, _ = f.word(v)
				f.uses["policy "+b.Policy] = true
			case "stages":
				for _, v := range f.list(v, "stages") {
					b.Stages = append(b.Stages, f.stage(v))
				}
			}
		})
		list = append(list, b)
	}
	return list
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
func (f *file) geo(v value) policy.Geo {
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
		if !policy.IsDatabaseRegion(key) && (strings.ContainsAny(key, "/:") || isAddress(key)) {
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
			if !f.regions.has[key] && !policy.IsDatabaseRegion(key) { // of those the policy knows more
				msg := fmt.Sprintf("no site and no network is in region %q", key)
				if f.sites.has[key] {
					msg += ", which is a site; rules are for regions and networks"
				}
				f.report(p.Key.Pos, v.path, nearest(key, f.regions.list), msg)
				continue
			}
			if policy.IsDatabaseRegion(key) {
				f.ruled = append(f.ruled, ruledRegion{policy.RegionName(key), p.Key.Pos, v.path})
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

// geoTarget reads "nearest", a site, a list of sites, or a mapping with more. It is not ok if nothing of it is good.
func (f *file) geoTarget(v value) (t policy.GeoTarget, ok bool) {
	if v.Kind == yaml.Scalar && v.Value == "nearest" {
		return policy.GeoTarget{Nearest: true}, true
	}
	if v.Kind != yaml.Mapping {
		t.Sites = f.siteList(v)
		return t, len(t.Sites) > 0
	}
	t.Nearest, ok = true, true
	f.object(v, inTarget, func(key string, v value) {
		switch key {
		case "sites":
			if v.Kind != yaml.Scalar || v.Value != "nearest" {
				t.Nearest, t.Sites = false, f.siteList(v)
				ok = ok && len(t.Sites) > 0
			}
		case "within":
			t.Within, _ = f.share(v, 1)
		case "limit":
			n, _ := f.integer(v, 1, policy.MaxSites)
			t.Limit = int(n)
		case "bias":
			t.Bias = f.bias(v)
		case "fence":
			t.Fence, _ = f.boolean(v)
		}
	})
	return t, ok
}

// bias reads what makes sites seem nearer or farther: a number for each.
func (f *file) bias(v value) (list []policy.SiteBias) {
	for _, p := range f.entries(v) {
		v := v.child(p)
		n, ok := f.integer(v, -policy.MaxBias, policy.MaxBias)
		f.reference(value{p.Value, p.Key.Pos, p.Key.Pos, v.path}, "site", p.Key.Value, f.sites)
		if ok && f.sites.has[p.Key.Value] {
			list = append(list, policy.SiteBias{Site: p.Key.Value, Bias: int(n)})
		}
	}
	return list
}

// failover reads nothing, a list of sites, a list of branches, or a mapping with more.
func (f *file) failover(v value) policy.StageSpec {
	var s policy.Failover
	if v.Kind == yaml.Sequence && slices.ContainsFunc(v.Items, func(n *yaml.Node) bool { return n.Kind == yaml.Mapping }) {
		return policy.Failover{Branches: f.branches(v, false)}
	}
	switch v.Kind {
	case yaml.Null:
	case yaml.Mapping:
		f.object(v, inFailover, func(key string, v value) {
			switch key {
			case "sites":
				s.Sites = f.siteList(v)
			case "order":
				order := f.geo(v)
				s.Order = &order
			case "threshold":
				t, ok := f.number(v, 0, 1)
				if ok && t == 0 {
					f.errorf(v, "a threshold of 0 would never fail over; it is more than 0 and at most 1")
				}
				s.Threshold = t
			case "trickle":
				s.Trickle, _ = f.number(v, 0, 0.5)
			}
		})
	default:
		s.Sites = f.siteList(v)
	}
	return s
}
