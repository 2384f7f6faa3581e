package zone

import (
	"encoding/binary"
	"math/bits"
)

// A table finds positions in a list of names by hash: open addressing, at most half full, without pointers, so that the garbage
// collector never looks at it and a miss touches one cache line. The lists are what the operator wrote, so nobody who only asks
// can choose names that collide in it.
type table struct {
	slots []slot // a power of two of them
}

// A slot holds the upper half of a hash and a position plus one; zero is free.
type slot struct{ tag, pos uint32 }

func newTable(names int) table {
	return table{slots: make([]slot, 1<<bits.Len(uint(2*max(names, 1)-1)))}
}

func (t *table) insert(hash uint64, pos int) {
	mask := uint32(len(t.slots) - 1)
	i := uint32(hash) & mask
	for t.slots[i].pos != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = slot{tag: uint32(hash >> 32), pos: uint32(pos) + 1}
}

// next returns the first position at or after probe i whose name may have the hash, and the probe to continue with; false if
// there is none. Probes begin with 0.
func (t *table) next(hash uint64, i uint32) (pos int, after uint32, ok bool) {
	mask := uint32(len(t.slots) - 1)
	for tag := uint32(hash >> 32); ; i++ {
		s := t.slots[(uint32(hash)+i)&mask]
		if s.pos == 0 {
			return 0, 0, false
		}
		if s.tag == tag {
			return int(s.pos) - 1, i + 1, true
		}
	}
}

// hashName hashes a name, eight bytes at a time, by multiplying and folding.
func hashName(b []byte) uint64 {
	const k0, k1 = 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93
	h := uint64(len(b)) * k0
	for ; len(b) >= 8; b = b[8:] {
		h = fold(h^binary.LittleEndian.Uint64(b), k1)
	}
	var tail uint64
	switch {
	case len(b) >= 4:
		tail = uint64(binary.LittleEndian.Uint32(b))<<32 | uint64(binary.LittleEndian.Uint32(b[len(b)-4:]))
	case len(b) > 0:
		tail = uint64(b[0])<<16 | uint64(b[len(b)/2])<<8 | uint64(b[len(b)-1])
	}
	return fold(h^tail, k0)
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
