package policy

import "fmt"

// weighted is the compiled Weighted stage. limit is how many leading candidates the rest of the chain looks at (0: all), last says
// that only take stages follow, so that no more than Query.Want are looked at. salt gives each weighted stage of a chain dice of its
// own, so that its draws do not depend on how many an earlier one needed.
//
// A shuffle is one in which all weights are 1.
type weighted struct {
	kind  string
	limit int
	last  bool
	even  bool
	salt  uint64
}

func (st weighted) name() string { return st.kind }

func (st weighted) run(s *Scratch) {
	s.dice = s.seed + st.salt
	n := st.need(s)
	for i := 0; i < n; {
		end := s.lead(i)
		if end-i > 1 {
			s.because(ReasonWeight)
			switch {
			case s.joint:
				s.rendezvous(s.live[i:end], n-i, s.dice, st.even)
			case st.even:
				s.shuffle(s.live[i:end], n-i)
			default:
				s.draw(s.live[i:end], n-i)
			}
		}
		i = end
	}
}

// need returns how many leading candidates have to be in order.
func (st weighted) need(s *Scratch) int {
	n := len(s.live)
	switch {
	case s.want > 0 && st.last:
		return min(n, s.want)
	case s.want == 0 && st.limit > 0:
		return min(n, st.limit)
	}
	return n
}

// manyDraws is the size of a group and the number of draws from it above which a tree of sums beats adding up.
const manyDraws = 32

// draw moves up to n candidates, drawn without replacement in proportion to their weights, to the front of c; the others follow in
// the order they had. Weight 0 is drawn, evenly, when every other weight is gone. The first k are the same for every n ≥ k.
func (s *Scratch) draw(c []candidate, n int) {
	n = min(n, len(c)-1) // the last one needs no draw
	if n > manyDraws {
		s.drawMany(c, n)
		return
	}
	total := uint64(0)
	for i := range c {
		total += uint64(c[i].weight)
	}
	for i := range n {
		j := i
		if total > 0 {
			x := s.below(total)
			for w := uint64(c[j].weight); x >= w; w = uint64(c[j].weight) {
				x -= w
				j++
			}
			total -= uint64(c[j].weight)
		} else {
			j += int(s.below(uint64(len(c) - i)))
		}
		moveUp(c, i, j)
	}
}

// shuffle moves up to n candidates, drawn evenly, to the front of c; the others follow in the order they had.
func (s *Scratch) shuffle(c []candidate, n int) {
	for i := range min(n, len(c)-1) {
		moveUp(c, i, i+int(s.below(uint64(len(c)-i))))
	}
}

// moveUp moves c[j] to position i ≤ j and those between one further.
func moveUp(c []candidate, i, j int) {
	x := c[j]
	copy(c[i+1:j+1], c[i:j])
	c[i] = x
}

// drawMany does what draw does, in O(len(c) + n log len(c)), by a Fenwick tree of weights. When the weights are gone it grows the
// tree again with weight 1 for each of those left.
func (s *Scratch) drawMany(c []candidate, n int) {
	if cap(s.rest) < len(c) {
		s.rest = make([]candidate, cap(s.live))
	}
	drawn := s.rest[:0]
	tree := s.tree(len(c))
	total := uint64(0)
	for i := range c {
		tree[i+1] = uint64(c[i].weight)
		total += tree[i+1]
	}
	growTree(tree)
	even := false
	for range n {
		if total == 0 && !even {
			even = true
			for i := range c {
				tree[i+1] = 0
				if c[i].rank != gone {
					tree[i+1] = 1
					total++
				}
			}
			growTree(tree)
		}
		j := findTree(tree, s.below(total))
		w := uint64(c[j].weight)
		if even {
			w = 1
		}
		total -= w
		for k := j + 1; k < len(tree); k += k & -k {
			tree[k] -= w
		}
		drawn = append(drawn, c[j])
		c[j].rank = gone
	}
	for i := range c {
		if c[i].rank != gone {
			drawn = append(drawn, c[i])
		}
	}
	copy(c, drawn)
}

// gone marks, in candidate.rank, one that drawMany has drawn. No geo stage gives this rank.
const gone = ^uint32(0)

// tree returns room for a Fenwick tree over n values; tree[0] is not used.
func (s *Scratch) tree(n int) []uint64 {
	if cap(s.sums) < n+1 {
		s.sums = make([]uint64, cap(s.live)+1)
	}
	return s.sums[:n+1]
}

// growTree turns values into a Fenwick tree in place.
func growTree(tree []uint64) {
	for i := 1; i < len(tree); i++ {
		if up := i + i&-i; up < len(tree) {
			tree[up] += tree[i]
		}
	}
}

// findTree returns the first position, from 0, at which the running sum of the values exceeds x.
func findTree(tree []uint64, x uint64) int {
	at := 0
	step := 1
	for step*2 < len(tree) {
		step *= 2
	}
	for ; step > 0; step /= 2 {
		if next := at + step; next < len(tree) && tree[next] <= x {
			at = next
			x -= tree[next]
		}
	}
	return at
}

func (st weighted) explain(p *Plan, s *Scratch, before []candidate, t *StageTrace) {
	switch n := st.need(s); {
	case len(before) < 2:
		t.Note = "nothing to draw"
	case n < len(before):
		t.Note = fmt.Sprintf("drew the first %d of %d", n, len(before))
	default:
		t.Note = fmt.Sprintf("drew an order of %d", n)
	}
	sums, counts := map[uint32]uint64{}, map[uint32]int{}
	for _, c := range before {
		sums[c.rank] += uint64(c.weight)
		counts[c.rank]++
	}
	for i := range t.Kept {
		k := &t.Kept[i]
		if sums[k.rank] > 0 && !st.even {
			k.Share = float64(k.Weight) / float64(sums[k.rank])
		} else {
			k.Share = 1 / float64(counts[k.rank])
		}
	}
}
