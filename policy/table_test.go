package policy

import (
	"slices"
	"testing"
)

// The index over a large table must not change what it finds, nor must the levels of that for IPv6.
func TestTableIndex(t *testing.T) {
	p := mustCompile(t, benchSpec(20_000))
	a := p.stages[0].atlas
	if a.v4.index == nil || len(a.v6.levels) < 3 {
		t.Fatal("no index")
	}
	plain4, plain6 := a.v4, a.v6
	plain4.index, plain6.levels = nil, nil
	check4 := func(x uint32) {
		got, value := a.v4.find(x)
		if want, other := plain4.find(x); got != want || value != other || value != plain4.values[got] {
			t.Fatalf("%08x: range %d with the index, %d without", x, got, want)
		}
	}
	check6 := func(x u128) {
		got, value := a.v6.find(x)
		if want, other := plain6.find(x); got != want || value != other || value != plain6.values[got] {
			t.Fatalf("%x: range %d with the index, %d without", x, got, want)
		}
	}
	r := seeded(9)
	for range 100_000 {
		check4(r.Uint32())
		check6(u128{r.Uint64(), r.Uint64()})
		check6(u128{0x20<<56 | r.Uint64()>>8, r.Uint64()})
	}
	for _, x := range plain4.starts {
		check4(x - 1)
		check4(x)
		check4(x + 1)
	}
	for i, x := range plain6.starts {
		check6(x.prev())
		check6(x)
		check6(x.next())
		if want, _ := plain6.find(x); want != i {
			t.Fatalf("range %d begins in range %d", i, want)
		}
	}
}

// The nearest marks are those that a walk finds, however far away.
func TestMarks(t *testing.T) {
	for seed := range uint64(200) {
		r := seeded(seed)
		n := 1 + r.IntN([]int{3, 64, 65, 200, 5000, 300_000}[r.IntN(6)])
		set := map[int]bool{0: true, n: true}
		for range r.IntN(6) {
			set[r.IntN(n)] = true
		}
		values, told := make([]uint32, n), []uint32{0, 1}
		for i := 1; i < n; i++ {
			values[i] = values[i-1]
			if set[i] {
				values[i] ^= 1
			}
		}
		m, count := newMarks(values, told)
		if count != len(set)-2 {
			t.Fatalf("seed %d: %d marks of %v", seed, count, set)
		}
		list := make([]int, 0, len(set))
		for i := range set {
			list = append(list, i)
		}
		slices.Sort(list)
		check := func(i int) {
			if i < 0 || i >= n {
				return
			}
			at, found := slices.BinarySearch(list, i)
			if !found {
				at--
			}
			if lo, hi := m.around(i); lo != list[at] || hi != list[at+1] {
				t.Fatalf("seed %d: around %d of %d are %d and %d, want %d and %d", seed, i, n, lo, hi, list[at], list[at+1])
			}
		}
		for range 200 {
			check(r.IntN(n))
		}
		for _, i := range list {
			check(i - 1)
			check(i)
			check(i + 1)
		}
	}
	if lo, hi := (marks)(nil).around(7); lo != 7 || hi != 8 {
		t.Errorf("without marks: %d and %d", lo, hi)
	}
}
