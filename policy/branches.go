package policy

import (
	"slices"
	"strconv"
	"strings"
)

// tree compiles a stage with branches, and returns those stages inside that depend on the client too.
func (c *chainCompiler) tree(in *surroundings, kind string, specs []Branch, next []StageSpec) (t *tree, depend []scoped) {
	t = &tree{kind: kind}
	if len(specs) > maxBranches {
		c.problem([]string{kind}, "%d branches are too many: at most %d", len(specs), maxBranches)
		specs = specs[:maxBranches]
	}
	ranked, geos := in.ranked, in.geos
	for i, spec := range specs {
		c.at(func() {
			b := branch{weight: spec.Weight, pick: in.pick, name: branchName(spec, i)}
			if spec.Weight > MaxWeight {
				c.problem([]string{"weight"}, "weight %d is too large: at most %d", spec.Weight, MaxWeight)
			}
			c.at(func() {
				if ids := c.compileSiteList(spec.Sites); len(ids) > 0 {
					b.pick = c.gc.selection(in.pick, ids)
				}
			}, "sites")
			around := surroundings{policies: in.policies, pick: b.pick, ranked: in.ranked, geos: in.geos, inside: true, drops: in.drops,
				after: append(slices.Clone(next), in.after...)}
			b.stages, b.scoped = c.branchChain(&around, spec)
			depend = append(depend, b.scoped...)
			ranked, geos = ranked || around.ranked, max(geos, around.geos)
			t.branches = append(t.branches, b)
		}, kind, strconv.Itoa(i))
	}
	in.ranked, in.geos = ranked, geos
	return t, depend
}

// branchName returns what a branch is called where a decision is explained.
func branchName(spec Branch, i int) string {
	switch {
	case len(spec.Sites) > 0:
		return strings.Join(spec.Sites, "+")
	case spec.Policy != "":
		return spec.Policy
	}
	return "branch " + strconv.Itoa(i+1)
}

// branchChain compiles the chain of a branch: its own, or that of another policy.
func (c *chainCompiler) branchChain(around *surroundings, spec Branch) ([]stage, []scoped) {
	switch {
	case spec.Policy != "" && len(spec.Stages) > 0:
		c.problem([]string{"policy"}, "the branch has stages of its own and a policy: remove one of them")
		return nil, nil
	case spec.Policy == "" && len(spec.Stages) == 0:
		c.problem(here, "the branch needs a chain: stages, or the name of a policy")
		return nil, nil
	case spec.Policy == "":
		var stages []stage
		var depend []scoped
		c.at(func() { stages, depend = c.stages(around, spec.Stages) }, "stages")
		return stages, depend
	}
	other, ok := c.specs[spec.Policy]
	if !ok {
		c.problem([]string{"policy"}, "there is no policy %q", spec.Policy)
		return nil, nil
	}
	if slices.Contains(around.policies, spec.Policy) {
		c.problem([]string{"policy"}, "the policy leads to itself: %s", strings.Join(append(slices.Clone(around.policies), spec.Policy), " -> "))
		return nil, nil
	}
	around.policies = append(slices.Clone(around.policies), spec.Policy)
	before := len(c.problems)
	stages, depend := c.stages(around, other.Stages)
	if len(c.problems) > before { // those of the other policy are told there; what is wrong only here has no better place
		found := c.problems[before]
		c.problems = c.problems[:before]
		c.referred = append(c.referred, referral{spec.Policy, Problem{
			Path: append(slices.Clone(c.path), "policy"), Msg: "policy " + strconv.Quote(spec.Policy) + " cannot stand here: " + found.Msg,
		}})
	}
	return stages, depend
}

// A referral is a problem of a policy where a branch refers to it.
type referral struct {
	policy string
	Problem
}

// settleReferrals reports the problems of policies that are sound by themselves.
func (c *compiler) settleReferrals() {
	unsound := map[string]bool{}
	for _, p := range c.problems {
		if len(p.Path) > 1 && p.Path[0] == "policies" {
			unsound[p.Path[1]] = true
		}
	}
	for _, r := range c.referred {
		if !unsound[r.policy] {
			c.problems = append(c.problems, r.Problem)
		}
	}
}

// selection returns the position of a selection: of the sites that another has, some.
func (gc *geoCompiler) selection(of uint32, ids []SiteID) uint32 {
	sites := make([]bool, len(gc.sites))
	for _, id := range ids {
		sites[id] = gc.picks[of].has(id)
	}
	for i := range gc.picks {
		if slices.Equal(gc.picks[i].sites, sites) {
			return uint32(i)
		}
	}
	gc.picks = append(gc.picks, selection{sites})
	return uint32(len(gc.picks) - 1)
}
