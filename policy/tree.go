package policy

import (
	"fmt"
	"math/bits"
	"strings"
)

// maxBranches bounds the branches of one stage, so that those left to try fit a word.
const maxBranches = 64

// tree is a compiled stage that holds chains of its own, its branches: it runs them, one after the other, until one works, and keeps what
// that one keeps. A failover tries them in their order, a weighted stage in an order it draws.
type tree struct {
	kind     string // the stage's name
	drawn    bool   // by weight
	salt     uint64
	branches []branch
}

// A branch is a compiled Branch.
type branch struct {
	name   string
	weight uint32
	pick   uint32 // position of its selection of sites in frame.picks
	stages []stage
	scoped []scoped // those of it whose outcome depends on the client
}

// A scoped stage depends on where the client is, among the sites of a selection.
type scoped struct {
	stage interface{ scope(s *Scratch) uint8 }
	pick  uint32
}

// A selection is some of the sites, those endpoints at which a branch is for.
type selection struct {
	sites []bool // by SiteID; nil: all, and endpoints at no site
}

func (p *selection) has(id SiteID) bool { return p.sites == nil || p.sites[id] }

func (t *tree) name() string { return t.kind }

// input is what a tree was given, which every branch starts from. The candidates are on the Scratch's stack.
type input struct {
	at, live, lost int
	ranked         bool
	failed, closed bool
	reason         Reason
	views          []*view
}

func (t *tree) run(s *Scratch) {
	in := input{len(s.stack), len(s.live), len(s.lost), s.ranked, s.failed, s.closed, s.reason, s.views}
	s.stack = append(append(s.stack, s.live...), s.lost...)
	t.choose(s, &in)
	s.stack = s.stack[:in.at]
}

// choose runs branches until one works. If none does, the first tried of which an endpoint is up is kept, or the first tried.
func (t *tree) choose(s *Scratch, in *input) {
	var traces []BranchTrace
	given, up := t.given(s, in)
	left, spare, works := given, -1, -1
	dice := s.seed + t.salt
	for left != 0 && works < 0 {
		k := t.next(s, &dice, left)
		left &^= 1 << k
		if t.try(s, in, k) {
			works = k
		} else if spare < 0 || up>>k&1 > up>>spare&1 {
			spare = k
		}
		if s.rec != nil {
			traces = append(traces, s.rec.branch(t, k, works == k))
		}
	}
	kept := works
	if works < 0 && spare >= 0 {
		kept = spare
		t.try(s, in, spare)
	}
	t.finish(s, in, kept, works >= 0)
	if t.drawn && bits.OnesCount64(given) > 1 {
		s.because(ReasonWeight)
	}
	if first := bits.TrailingZeros64(given); !t.drawn && kept >= 0 && kept != first {
		s.because(ReasonFailover)
	}
	t.widen(s, in, given&^left)
	if s.rec != nil {
		s.rec.branches = t.outcomes(traces, given, kept, works >= 0)
	}
}

// finish settles what is left when branch kept, or none, is done.
func (t *tree) finish(s *Scratch, in *input, kept int, works bool) {
	if kept < 0 { // nothing is in any branch: as if the stage were not there
		saved := s.stack[in.at:]
		s.live, s.lost = append(s.live[:0], saved[:in.live]...), append(s.lost[:0], saved[in.live:in.live+in.lost]...)
		s.ranked, s.settled, s.closed = in.ranked, 0, in.closed
	}
	s.failed = in.failed || !works
}

// given returns which branches have candidates, and which have any that is up.
func (t *tree) given(s *Scratch, in *input) (given, up uint64) {
	live := s.stack[in.at : in.at+in.live]
	for k := range t.branches {
		pick := &s.picks[t.branches[k].pick]
		for i := range live {
			if pick.has(live[i].site) {
				given |= 1 << k
				if live[i].state.Usable() {
					up |= 1 << k
					break
				}
			}
		}
	}
	return given, up
}

// next returns the branch to try next of those left.
func (t *tree) next(s *Scratch, dice *uint64, left uint64) int {
	if !t.drawn {
		return bits.TrailingZeros64(left)
	}
	if s.joint {
		return t.nextOf(*dice, left)
	}
	total := uint64(0)
	for m := left; m != 0; m &= m - 1 {
		total += uint64(t.branches[bits.TrailingZeros64(m)].weight)
	}
	even := total == 0
	if even {
		total = uint64(bits.OnesCount64(left))
	}
	s.dice = *dice
	x := s.below(total)
	*dice = s.dice
	for m := left; ; m &= m - 1 {
		k := bits.TrailingZeros64(m)
		w := uint64(t.branches[k].weight)
		if even {
			w = 1
		}
		if x < w {
			return k
		}
		x -= w
	}
}

// nextOf returns the branch that goes first of those left in the order of a key, whichever others are left.
func (t *tree) nextOf(key, left uint64) int {
	best, least := 0, ^uint64(0)
	for m := left; m != 0; m &= m - 1 {
		k := bits.TrailingZeros64(m)
		if place := stickiness(key, mix(uint64(k)+1), t.branches[k].weight); place < least {
			best, least = k, place
		}
	}
	return best
}

// try runs a branch and reports whether it works: there is something left, and no stage of it says that there is not enough.
func (t *tree) try(s *Scratch, in *input, k int) bool {
	b := &t.branches[k]
	saved, pick := s.stack[in.at:], &s.picks[b.pick]
	s.live = pick.filter(s.live[:0], saved[:in.live])
	s.lost = pick.filter(s.lost[:0], saved[in.live:in.live+in.lost])
	s.ranked, s.settled, s.failed, s.closed, s.reason = in.ranked, 0, false, in.closed, in.reason
	around := s.pick
	s.pick, s.views = b.pick, s.viewsOf(b.pick)
	if s.rec != nil {
		was := s.rec.enter(s.plan, s)
		s.runAll(b.stages)
		s.rec.leave(was)
	} else {
		s.runAll(b.stages)
	}
	s.pick, s.views = around, in.views
	return !s.failed && len(s.live) > 0
}

// count returns how many of some candidates a selection has.
func (p *selection) count(list []candidate) (n int) {
	for i := range list {
		if p.has(list[i].site) {
			n++
		}
	}
	return n
}

// filter appends to dst the candidates that a selection has.
func (p *selection) filter(dst, list []candidate) []candidate {
	for i := range list {
		if p.has(list[i].site) {
			dst = append(dst, list[i])
		}
	}
	return dst
}

// widen accounts for the branches that were not run: with another state of health they would be, and the scope must not depend on it.
func (t *tree) widen(s *Scratch, in *input, tried uint64) {
	around := s.pick
	for k := range t.branches {
		if tried>>k&1 != 0 {
			continue
		}
		b := &t.branches[k]
		for i := range b.scoped {
			s.pick, s.views = b.scoped[i].pick, s.viewsOf(b.scoped[i].pick)
			s.scope = max(s.scope, b.scoped[i].stage.scope(s))
		}
	}
	s.pick, s.views = around, in.views
}

// outcomes completes the traces of the branches that were tried by those that were not.
func (t *tree) outcomes(traces []BranchTrace, given uint64, kept int, works bool) []BranchTrace {
	total := uint64(0)
	for k := range t.branches {
		if given>>k&1 != 0 {
			total += uint64(t.branches[k].weight)
		}
	}
	out := make([]BranchTrace, len(t.branches))
	for k := range t.branches {
		out[k] = BranchTrace{Branch: t.branches[k].name, Outcome: "not needed", at: k}
		if given>>k&1 == 0 {
			out[k].Outcome = "has no endpoint"
		}
	}
	for _, b := range traces {
		out[b.at] = b
		if b.at == kept && !works {
			out[b.at].Outcome = "kept, as none works"
		}
	}
	for k := range out {
		if b := &t.branches[k]; t.drawn && given>>k&1 != 0 {
			out[k].Weight = b.weight
			if total > 0 {
				out[k].Share = float64(b.weight) / float64(total)
			} else {
				out[k].Share = 1 / float64(bits.OnesCount64(given))
			}
		}
	}
	return out
}

func (t *tree) explain(p *Plan, s *Scratch, before []candidate, tr *StageTrace) {
	tr.Branches = s.rec.branches
	s.rec.branches = nil
	var notes []string
	for i := range tr.Branches {
		if b := &tr.Branches[i]; b.Outcome != "not needed" {
			notes = append(notes, fmt.Sprintf("%s: %s", b.Branch, b.Outcome))
		}
	}
	tr.Note = strings.Join(notes, "; ")
	for i := range tr.Dropped {
		tr.Dropped[i].Why = "not kept by the branch"
	}
}
