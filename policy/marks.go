package policy

import "math/bits"

// marks say between which ranges of a table there is a difference: bit i, that range i differs from the one before it. Bit 0 and the
// bit after the last range are set. Each level above has a bit for every word of the one below that is not 0, up to a single word, so the
// nearest mark is found in a few steps however far away it is. No marks stand for a mark at every range.
type marks [][]uint64

// newMarks marks where told differs between ranges of these values, and returns how often it does.
func newMarks(values, told []uint32) (m marks, count int) {
	n := len(values)
	words := make([]uint64, n>>6+1)
	last := told[values[0]]
	for at := 0; at < n; at += 64 {
		word := uint64(0)
		for i, v := range values[at:min(n, at+64)] {
			now := told[v]
			differ := uint64(0)
			if now != last {
				differ = 1
			}
			word |= differ << (i & 63)
			last = now
		}
		words[at>>6] = word
		count += bits.OnesCount64(word)
	}
	words[0] |= 1
	words[n>>6] |= 1 << (n & 63)
	m = append(m, words)
	for len(words) > 1 {
		up := make([]uint64, (len(words)+63)>>6)
		for i, w := range words {
			if w != 0 {
				up[i>>6] |= 1 << (i & 63)
			}
		}
		m = append(m, up)
		words = up
	}
	return m, count
}

// around returns the last mark at or before range i, and the first after it.
func (m marks) around(i int) (lo, hi int) {
	if m == nil {
		return i, i + 1
	}
	w, upTo := m[0][i>>6], uint64(2)<<(i&63)-1
	if low := w & upTo; low != 0 {
		lo = i&^63 | (bits.Len64(low) - 1)
	} else {
		lo = m.before(i>>6 - 1)
	}
	if high := w &^ upTo; high != 0 {
		return lo, i&^63 | bits.TrailingZeros64(high)
	}
	return lo, m.after(i>>6 + 1)
}

// before returns the last mark in the words up to one.
func (m marks) before(word int) int {
	level := 1
	for {
		if w := m[level][word>>6] & (2<<(word&63) - 1); w != 0 {
			word = word&^63 | (bits.Len64(w) - 1)
			break
		}
		word = word>>6 - 1
		level++
	}
	for level--; level >= 0; level-- {
		word = word<<6 | (bits.Len64(m[level][word]) - 1)
	}
	return word
}

// after returns the first mark in the words from one on.
func (m marks) after(word int) int {
	level := 1
	for {
		if word>>6 < len(m[level]) {
			if w := m[level][word>>6] >> (word & 63); w != 0 {
				word += bits.TrailingZeros64(w)
				break
			}
		}
		word = word>>6 + 1
		level++
	}
	for level--; level >= 0; level-- {
		word = word<<6 | bits.TrailingZeros64(m[level][word])
	}
	return word
}
