package configs

import "strings"

// nearest returns the candidate that word was probably meant to be, "" if none is close. Among equally close ones the first wins.
func nearest(word string, candidates []string) string {
	const tooLong = 64
	if len(word) > tooLong {
		return ""
	}
	best, bestDistance := "", len(word)/3+2
	if len(word) <= 3 {
		bestDistance = 2
	}
	for i, c := range candidates {
		if i == 10_000 { // enough to choose from; a file may have many names and many mistakes
			break
		}
		if len(c) > tooLong || len(c)-len(word) >= bestDistance || len(word)-len(c) >= bestDistance {
			continue
		}
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the insertions, deletions, substitutions and swaps of neighbours that turn a into b (optimal string alignment).
func distance(a, b string) int {
	var before, prev, row [65 + 1]int
	for j := range len(b) + 1 {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return prev[len(b)]
}
