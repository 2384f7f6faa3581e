package policy

import (
	"slices"
	"testing"
)

// Ranges of less than a /64, which the levels of a table do not tell apart, are found all the same, however many there are of them.
func TestTableOfNarrowRanges(t *testing.T) {
	for seed := range uint64(40) {
		r := seeded(seed)
		var starts []u128
		for range 2000 {
			starts = append(starts, u128{uint64(r.IntN(1+int(seed)%7)) << uint(r.IntN(64)), uint64(r.IntN(3)) << uint(r.IntN(64))})
		}
		slices.SortFunc(starts, u128.compare)
		var table table6
		table.add(u128{}, 0)
		for i, x := range starts {
			table.add(x, uint32(i+1))
			if n := len(table.starts); n > 1 && table.starts[n-1] == table.starts[n-2] {
				table.starts, table.values = table.starts[:n-1], table.values[:n-1]
			}
		}
		for len(table.starts) < indexFrom {
			table.add(u128{^uint64(0), uint64(len(table.starts))}, uint32(len(table.starts)+3000))
		}
		table.seal()
		plain := table
		plain.levels = nil
		for range 3000 {
			x := u128{uint64(r.IntN(8)) << uint(r.IntN(64)), r.Uint64() >> uint(r.IntN(64))}
			if r.IntN(2) == 0 {
				x = table.starts[r.IntN(len(table.starts))]
				if r.IntN(2) == 0 {
					x = x.prev()
				}
			}
			got, value := table.find(x)
			if want, _ := plain.find(x); got != want || value != table.values[got] {
				t.Fatalf("seed %d: %x in range %d of value %d, want %d", seed, x, got, value, want)
			}
		}
	}
}
