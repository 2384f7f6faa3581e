package hpack

import (
	"errors"
	"hash/maphash"
)

// Errors of a header block: the connection cannot go on, because the table is lost (RFC 7541 2.3, 5, 6.3; COMPRESSION_ERROR).
var (
	errIndex    = errors.New("hpack: index without an entry")
	errInteger  = errors.New("hpack: integer too large")
	errShort    = errors.New("hpack: block ends within a field")
	errResize   = errors.New("hpack: size update above the limit")
	errLateSize = errors.New("hpack: size update after a field")
)

// A Decoder makes Fields of the header blocks of one direction of a connection. One goroutine at a time may use it.
type Decoder struct {
	table   table
	check   func(name, value string) bool
	scratch []byte // of decoded strings
	recent  [recentStrings]string
}

// recentStrings is how many literal strings a Decoder remembers: paths and lengths come again and again without entering the table.
const recentStrings = 32

// maxRecent bounds each of those, in bytes, and so what a connection holds of them.
const maxRecent = 96

// NewDecoder returns a Decoder whose table may hold DefaultTableSize bytes. check, if it is not nil, says whether a field has a flaw: it
// is asked when a field comes, and not when it comes again out of the table.
func NewDecoder(check func(name, value string) bool) *Decoder {
	return &Decoder{table: table{max: DefaultTableSize}, check: check}
}

// Decode appends the fields of a complete header block to dst, as long as their sizes do not exceed limit together; what is beyond it
// is decoded, because the table needs it, and dropped. It returns the size of all fields. After an error the Decoder is of no more use.
func (d *Decoder) Decode(dst []Field, block []byte, limit int) (fields []Field, size int, err error) {
	begun := false
	for len(block) > 0 {
		var f Field
		switch b := block[0]; {
		case b&0x80 != 0: // 6.1
			var i int
			if i, block, err = integer(block, 7); err != nil {
				return dst, size, err
			}
			e, ok := d.entry(i)
			if !ok {
				return dst, size, errIndex
			}
			if f = *e; i < len(statics) && d.check != nil {
				f.Flaw = d.check(f.Name, f.Value)
			}
		case b&0xe0 == 0x20: // 6.3
			var n int
			if n, block, err = integer(block, 5); err != nil {
				return dst, size, err
			}
			switch {
			case begun:
				return dst, size, errLateSize
			case n > DefaultTableSize:
				return dst, size, errResize
			}
			d.table.limit(n)
			continue
		default:
			if f, block, err = d.literal(block); err != nil {
				return dst, size, err
			}
		}
		begun = true
		if size += f.Size(); size <= limit {
			dst = append(dst, f)
		}
	}
	return dst, size, nil
}

// entry returns what is at an index (RFC 7541 2.3.3).
func (d *Decoder) entry(i int) (*Field, bool) {
	switch {
	case i <= 0:
		return nil, false
	case i < len(statics):
		return &statics[i], true
	case i-len(statics) < d.table.count:
		return d.table.at(i - len(statics)), true
	}
	return nil, false
}

// literal decodes a field that is not in the tables, or whose name only is (RFC 7541 6.2), and returns the rest of the block.
func (d *Decoder) literal(block []byte) (f Field, rest []byte, err error) {
	prefix := uint(4)
	switch b := block[0]; {
	case b&0x40 != 0:
		prefix = 6
	case b&0x10 != 0:
		f.Mode = Never
	default:
		f.Mode = NoIndex
	}
	i, rest, err := integer(block, prefix)
	if err != nil {
		return f, nil, err
	}
	if i > 0 {
		e, ok := d.entry(i)
		if !ok {
			return f, nil, errIndex
		}
		f.Name, f.static, f.nameHash = e.Name, e.static, e.nameHash
	} else if f.Name, rest, err = d.text(rest, true); err != nil {
		return f, nil, err
	}
	if f.Value, rest, err = d.text(rest, f.Mode != Never); err != nil {
		return f, nil, err
	}
	if d.check != nil {
		f.Flaw = d.check(f.Name, f.Value)
	}
	if f.Mode == Index {
		f.hashes()
		d.table.add(f)
	}
	return f, rest, nil
}

// text decodes a string (RFC 7541 5.2) and returns the rest of the block. If it may be kept, one of the recent ones is used again.
func (d *Decoder) text(block []byte, keep bool) (s string, rest []byte, err error) {
	if len(block) == 0 {
		return "", nil, errShort
	}
	coded := block[0]&0x80 != 0
	n, block, err := integer(block, 7)
	if err != nil {
		return "", nil, err
	}
	if n > len(block) {
		return "", nil, errShort
	}
	raw, rest := block[:n], block[n:]
	if coded {
		d.scratch, err = appendDecoded(d.scratch[:0], raw)
		if err != nil {
			return "", nil, err
		}
		raw = d.scratch
		if cap(d.scratch) > maxScratch {
			d.scratch = nil
		}
	}
	if !keep || len(raw) > maxRecent {
		return string(raw), rest, nil
	}
	slot := &d.recent[maphash.Bytes(seed, raw)%recentStrings]
	if *slot != string(raw) {
		*slot = string(raw)
	}
	return *slot, rest, nil
}

// maxScratch is what of the memory for decoded strings is kept, in bytes.
const maxScratch = 4096

// maxInteger bounds integers: far above every length and index that can be meant.
const maxInteger = 1 << 28

// integer decodes an integer with a prefix of n bits (RFC 7541 5.1) and returns the rest of the block.
func integer(block []byte, n uint) (v int, rest []byte, err error) {
	if len(block) == 0 {
		return 0, nil, errShort
	}
	mask := 1<<n - 1
	v = int(block[0]) & mask
	if block = block[1:]; v < mask {
		return v, block, nil
	}
	for shift := uint(0); ; shift += 7 {
		if len(block) == 0 {
			return 0, nil, errShort
		}
		b := block[0]
		block = block[1:]
		if shift > 28 {
			return 0, nil, errInteger
		}
		if v += int(b&0x7f) << shift; v > maxInteger {
			return 0, nil, errInteger
		}
		if b&0x80 == 0 {
			return v, block, nil
		}
	}
}
