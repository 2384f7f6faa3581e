// Package hpack compresses header fields for HTTP/2 (RFC 7541).
//
// A Decoder makes Fields of a header block, an Encoder makes a block of Fields, and each keeps the table that its connection's peer
// keeps, too. What one decodes another encodes cheaply: a Field remembers where in the static table it was found and what its hash
// is, and how its sender wanted it treated. Names and values are ordinary strings, shared with the table, and never change.
package hpack

import (
	"hash/maphash"
	"math/bits"
)

// A Mode is how the sender of a field wants it treated by those who compress it.
type Mode uint8

// The modes.
const (
	Index   Mode = iota // may enter the table (RFC 7541 6.2.1)
	NoIndex             // not worth a place in the table (6.2.2)
	Never               // must not enter any table, here or further on (6.2.3): it may be a secret
)

// A Field is one header field. Change its Value with With only.
type Field struct {
	Name, Value string
	Mode        Mode
	Flaw        bool // what the Decoder's check found

	static   uint8  // where the name is in the static table; 0: unknown
	whole    bool   // the value is there, too
	hash     uint32 // of name and value; 0: unknown
	nameHash uint32 // 0: unknown
}

// With returns the field with another value.
func (f Field) With(value string) Field {
	f.Value, f.hash, f.whole = value, 0, false
	return f
}

// Size returns what the field counts against the limits of tables and header lists, in bytes (RFC 7541 4.1, RFC 9113 6.5.2).
func (f *Field) Size() int { return len(f.Name) + len(f.Value) + overhead }

// overhead is what each field counts beside its name and value.
const overhead = 32

// DefaultTableSize is what tables may hold until SETTINGS say otherwise, in bytes, and the most that an Encoder uses.
const DefaultTableSize = 4096

var seed = maphash.MakeSeed()

// hashes makes sure that both hashes are known.
func (f *Field) hashes() {
	if f.nameHash == 0 {
		f.nameHash = uint32(maphash.String(seed, f.Name)) | 1
		f.hash = 0
	}
	if f.hash == 0 {
		f.hash = bits.RotateLeft32(f.nameHash, 7) ^ uint32(maphash.String(seed, f.Value)) | 1
	}
}

// A table is a dynamic table (RFC 7541 2.3.2): the newest entries that fit. Its zero value holds nothing.
type table struct {
	ring   []Field // a power of two long
	hashes []uint32
	names  []uint32 // hashes of names
	newest int      // position in ring of the last that was added
	count  int
	size   int // bytes, as Field.Size counts
	max    int // bytes
}

// at returns entry i, of which 0 is the newest.
func (t *table) at(i int) *Field { return &t.ring[(t.newest-i)&(len(t.ring)-1)] }

// limit sets how many bytes the table holds.
func (t *table) limit(max int) {
	t.max = max
	t.evict(0)
}

// evict drops the oldest entries until there is room for more bytes.
func (t *table) evict(more int) {
	for t.count > 0 && t.size+more > t.max {
		old := t.at(t.count - 1)
		t.size -= old.Size()
		*old = Field{}
		t.count--
	}
}

// add puts a field into the table, unless it is larger than the table, which it then empties (RFC 7541 4.4). Its hashes are known.
func (t *table) add(f Field) {
	n := f.Size()
	t.evict(n)
	if n > t.max {
		return
	}
	if t.count == len(t.ring) {
		t.grow()
	}
	t.newest = (t.newest + 1) & (len(t.ring) - 1)
	t.ring[t.newest], t.hashes[t.newest], t.names[t.newest] = f, f.hash, f.nameHash
	t.count++
	t.size += n
}

// grow makes room for twice as many entries.
func (t *table) grow() {
	old := *t
	n := max(8, 2*len(old.ring))
	t.ring, t.hashes, t.names = make([]Field, n), make([]uint32, n), make([]uint32, n)
	for i := range old.count {
		at := old.count - 1 - i
		from := (old.newest - at) & (len(old.ring) - 1)
		t.ring[i], t.hashes[i], t.names[i] = old.ring[from], old.hashes[from], old.names[from]
	}
	t.newest = (old.count - 1) & (n - 1)
}

// find returns the index of the entry that equals f (RFC 7541 2.3.3), or 0, and that of one with its name, or 0. f's hashes are known.
func (t *table) find(f *Field) (whole, name int) {
	mask := len(t.ring) - 1
	for i := range t.count {
		at := (t.newest - i) & mask
		if t.hashes[at] == f.hash && t.ring[at].Value == f.Value && t.ring[at].Name == f.Name {
			return len(statics) + i, 0
		}
		if name == 0 && t.names[at] == f.nameHash && t.ring[at].Name == f.Name {
			name = len(statics) + i
		}
	}
	return 0, name
}

// Known returns a field that will be sent often: it is quicker to encode than one made in place.
func Known(name, value string) Field {
	f := Field{Name: name, Value: value}
	findStatic(&f)
	f.hashes()
	return f
}
