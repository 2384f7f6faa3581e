package hpack

import "errors"

// errHuffman is returned for a string that is not Huffman-coded as RFC 7541 5.2 wants it.
var errHuffman = errors.New("hpack: malformed Huffman code")

// eos is the symbol after all bytes: it is never sent, its first bits are the padding (RFC 7541 5.2).
const eos = 256

// codeBits is the length of the code of each byte, in bits (RFC 7541 appendix B). The code is canonical, so the lengths are all of it.
var codeBits = [256]uint8{
	13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
	6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
	13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
	15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
	20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
	22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
	26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
	20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
}

// eosBits is the length of the code of eos, in bits.
const eosBits = 30

// codes is the code of each byte, right-aligned.
var codes = canonical()

// canonical numbers the codes: shorter ones first, those of one length in the order of their bytes.
func canonical() (out [256]uint32) {
	code := uint32(0)
	for bits := uint8(1); bits <= eosBits; bits++ {
		for b, n := range codeBits {
			if n == bits {
				out[b] = code
				code++
			}
		}
		code <<= 1
	}
	return out
}

// A step is what four bits of a coded string do to the decoder: at most one byte comes out, because no code is shorter than five bits.
type step struct {
	next  uint8 // node to go on from
	out   byte
	emits bool // out is a decoded byte
	fails bool // no code goes this way, or it is eos
	ends  bool // a string may end here: what follows the last whole code are at most seven bits, all ones
}

// steps says for each inner node of the code tree, and each value of four bits, what follows. Node 0 is the root.
var steps = buildSteps()

// A node of the code tree has two children: a node, or a leaf.
type node struct{ child [2]int } // > 0: node; < 0: leaf of byte ^n; 0: none

func buildSteps() (out [256][16]step) {
	nodes := []node{{}}
	add := func(code uint32, bits uint8, leaf int) {
		at := 0
		for i := int(bits) - 1; i > 0; i-- {
			b := code >> i & 1
			if nodes[at].child[b] == 0 {
				nodes = append(nodes, node{})
				nodes[at].child[b] = len(nodes) - 1
			}
			at = nodes[at].child[b]
		}
		nodes[at].child[code&1] = ^leaf
	}
	for b, code := range codes {
		add(code, codeBits[b], b)
	}
	add(1<<eosBits-1, eosBits, eos)

	ends := make([]bool, len(nodes)) // reached from the root by at most seven ones
	for at, ones := 0, 0; at >= 0 && ones <= 7; ones++ {
		ends[at] = true
		at = nodes[at].child[1]
	}
	for from := range nodes {
		for four := range 16 {
			s := &out[from][four]
			at := from
			for bit := 3; bit >= 0; bit-- {
				at = nodes[at].child[four>>bit&1]
				if at < 0 && ^at == eos || at == 0 {
					s.fails = true
					break
				}
				if at < 0 {
					s.out, s.emits = byte(^at), true
					at = 0
				}
			}
			if !s.fails {
				s.next, s.ends = uint8(at), ends[at]
			}
		}
	}
	return out
}

// appendDecoded appends the decoded form of a Huffman-coded string.
func appendDecoded(dst, coded []byte) ([]byte, error) {
	at, ends := uint8(0), true
	for _, c := range coded {
		s := &steps[at][c>>4]
		if s.fails {
			return dst, errHuffman
		}
		if s.emits {
			dst = append(dst, s.out)
		}
		s = &steps[s.next][c&15]
		if s.fails {
			return dst, errHuffman
		}
		if s.emits {
			dst = append(dst, s.out)
		}
		at, ends = s.next, s.ends
	}
	if !ends {
		return dst, errHuffman
	}
	return dst, nil
}

// codedLen returns the length of the coded form of s, in bytes.
func codedLen(s string) int {
	bits := 0
	for i := range len(s) {
		bits += int(codeBits[s[i]])
	}
	return (bits + 7) / 8
}

// appendCoded appends the coded form of s.
func appendCoded(dst []byte, s string) []byte {
	var acc uint64
	have := uint(0)
	for i := range len(s) {
		n := uint(codeBits[s[i]])
		acc = acc<<n | uint64(codes[s[i]])
		have += n
		for have >= 8 {
			have -= 8
			dst = append(dst, byte(acc>>have))
		}
	}
	if have > 0 {
		dst = append(dst, byte(acc<<(8-have))|byte(0xff>>have))
	}
	return dst
}
