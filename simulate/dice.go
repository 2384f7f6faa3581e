package simulate

import "math/bits"

// A dice is a stream of numbers that follow from where it began (splitmix64).
type dice uint64

// next goes on to the next number, which it returns.
func (d *dice) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	return d.last()
}

// last returns the number of the last next again.
func (d *dice) last() uint64 { return scatter(uint64(*d)) }

// below returns a number in [0, n).
func (d *dice) below(n int) int {
	hi, _ := bits.Mul64(d.next(), uint64(n))
	return int(hi)
}

// mix returns x with every bit spread over all others: numbers that follow one another become dice that have nothing in common.
func mix(x uint64) uint64 { return scatter(x + 0x9e3779b97f4a7c15) }

func scatter(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
