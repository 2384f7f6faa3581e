package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
)

// The layout of a bbolt file (format version 2), in the byte order of the machine. A file is pages of one size. A page begins with a
// header: its id (8 bytes), flags (2), number of elements (2), and how many pages it continues over (4).
const (
	pageHeader  = 16
	flagBranch  = 0x01
	flagLeaf    = 0x02
	flagFree    = 0x10
	elementSize = 16 // branch: key offset (4), key length (4), page (8); leaf: flags (4), key offset (4), key and value length (4, 4)
	leafBucket  = 0x01
	bucketSize  = 16 // root page (8), sequence (8); if the root is 0, a leaf page follows inline
	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64 // magic, version, page size, flags (4 each), root bucket (16), freelist, high water mark, transaction, checksum (8 each)
	minPage     = 512
	maxPage     = 1 << 24
)

// verify checks the bytes of a bbolt file as bbolt would use them: the newer valid meta page, every page reachable from it (in
// bounds, used once, keys ascending), the list of free pages, and the checksum of every value of ours. bbolt follows offsets in its
// file through a memory map without looking, so a damaged file can kill the process; one that passes here cannot. The error is an
// errDamaged or an errVersion.
func verify(data []byte) error {
	v, root, free, err := newVerifier(data)
	if err != nil {
		return err
	}
	if err := v.tree(root, nil, v.bucket); err != nil {
		return err
	}
	if err := v.freelist(free); err != nil {
		return err
	}
	return v.complete()
}

type verifier struct {
	data     []byte
	pageSize uint64
	pages    uint64 // high water mark: ids are below it
	seen     []bool // by page id
	found    map[string]bool
	version  string
}

var order = binary.NativeEndian

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, args...))
}

// newVerifier finds the meta page that bbolt would use.
func newVerifier(data []byte) (v *verifier, root, free uint64, err error) {
	var best []byte
	for size := uint64(minPage); size <= maxPage; size *= 2 {
		for _, at := range [...]uint64{0, size} {
			m := metaAt(data, at)
			if m == nil || uint64(order.Uint32(m[8:])) != size {
				continue
			}
			if best == nil || order.Uint64(m[48:]) > order.Uint64(best[48:]) {
				best = m
			}
		}
	}
	if best == nil {
		return nil, 0, 0, damaged("%d bytes without a valid first page", len(data))
	}
	v = &verifier{data: data, pageSize: uint64(order.Uint32(best[8:])), pages: order.Uint64(best[40:]), found: map[string]bool{}}
	if v.pages > uint64(len(data))/v.pageSize {
		return nil, 0, 0, damaged("cut short: %d bytes of %d pages of %d", len(data), v.pages, v.pageSize)
	}
	v.seen = make([]bool, v.pages)
	return v, order.Uint64(best[16:]), order.Uint64(best[32:]), nil
}

// metaAt returns the meta data of the page at an offset, nil if it is not valid.
func metaAt(data []byte, at uint64) []byte {
	if at+pageHeader+metaSize > uint64(len(data)) {
		return nil
	}
	m := data[at+pageHeader:][:metaSize]
	sum := fnv.New64a()
	_, _ = sum.Write(m[:56]) // never fails
	if order.Uint32(m) != metaMagic || order.Uint32(m[4:]) != metaVersion || order.Uint64(m[56:]) != sum.Sum64() {
		return nil
	}
	return m
}

// page returns a page with those it continues over, and marks them used.
func (v *verifier) page(id uint64) ([]byte, error) {
	if id < 2 || id >= v.pages {
		return nil, damaged("page %d does not exist", id)
	}
	p := v.data[id*v.pageSize:]
	more := uint64(order.Uint32(p[12:]))
	if order.Uint64(p) != id || more >= v.pages-id {
		return nil, damaged("page %d has a wrong header", id)
	}
	for i := id; i <= id+more; i++ {
		if v.seen[i] {
			return nil, damaged("page %d is used twice", i)
		}
		v.seen[i] = true
	}
	return p[:(1+more)*v.pageSize], nil
}

// bounds are what the keys of a page may be: low <= key < high; nil = no bound.
type bounds struct{ low, high []byte }

func (b bounds) hold(key []byte) bool {
	return (b.low == nil || bytes.Compare(b.low, key) <= 0) && (b.high == nil || bytes.Compare(key, b.high) < 0)
}

// entry is called for each entry of a leaf.
type entry func(bucket, key, value []byte, isBucket bool) error

// tree walks the pages of one bucket from its root. Every page is used once, so the walk ends.
func (v *verifier) tree(root uint64, bucket []byte, f entry) error {
	return v.subtree(root, bucket, bounds{}, f)
}

func (v *verifier) subtree(id uint64, bucket []byte, b bounds, f entry) error {
	p, err := v.page(id)
	if err != nil {
		return err
	}
	switch flags := order.Uint16(p[8:]); flags {
	case flagLeaf:
		return leaf(p, bucket, b, f)
	case flagBranch:
		return v.branch(p, bucket, b, f)
	default:
		return damaged("page %d has flags %#x", id, flags)
	}
}

func (v *verifier) branch(p, bucket []byte, b bounds, f entry) error {
	id, n := order.Uint64(p), int(order.Uint16(p[10:]))
	if n == 0 || pageHeader+n*elementSize > len(p) {
		return damaged("page %d has %d elements", id, n)
	}
	key := func(i int) []byte {
		e := p[pageHeader+i*elementSize:]
		return slice(e, order.Uint32(e), order.Uint32(e[4:]))
	}
	for i := range n {
		within := bounds{key(i), b.high}
		if i+1 < n {
			within.high = key(i + 1)
		}
		if within.low == nil || !b.hold(within.low) || i+1 < n && (within.high == nil || bytes.Compare(within.low, within.high) >= 0) {
			return damaged("page %d, element %d", id, i)
		}
		if err := v.subtree(order.Uint64(p[pageHeader+i*elementSize+8:]), bucket, within, f); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks a leaf page, or a bucket's inline one.
func leaf(p, bucket []byte, b bounds, f entry) error {
	id, n := order.Uint64(p), int(order.Uint16(p[10:]))
	if pageHeader+n*elementSize > len(p) {
		return damaged("page %d has %d elements", id, n)
	}
	var last []byte
	for i := range n {
		e := p[pageHeader+i*elementSize:]
		flags, at, keyLen, valueLen := order.Uint32(e), order.Uint32(e[4:]), order.Uint32(e[8:]), order.Uint32(e[12:])
		key := slice(e, at, keyLen)
		if key == nil {
			return damaged("page %d, element %d", id, i)
		}
		value := slice(e[uint64(at)+uint64(keyLen):], 0, valueLen)
		if value == nil || !b.hold(key) || last != nil && bytes.Compare(last, key) >= 0 || flags&^leafBucket != 0 {
			return damaged("page %d, element %d", id, i)
		}
		if err := f(bucket, key, value, flags == leafBucket); err != nil {
			return err
		}
		last = key
	}
	return nil
}

// slice returns n bytes from an offset, nil if they are not there.
func slice(p []byte, at, n uint32) []byte {
	if uint64(at)+uint64(n) > uint64(len(p)) {
		return nil
	}
	return p[at:][:n:n]
}

// bucket checks an entry of the root: a bucket of ours.
func (v *verifier) bucket(_, name, value []byte, isBucket bool) error {
	if !isBucket || len(value) < bucketSize {
		return damaged("%.80q is no bucket", name)
	}
	v.found[string(name)] = true
	if root := order.Uint64(value); root != 0 {
		return v.tree(root, name, v.value)
	}
	inline := value[bucketSize:]
	if len(inline) < pageHeader || order.Uint16(inline[8:]) != flagLeaf {
		return damaged("bucket %.80q", name)
	}
	return leaf(inline, name, bounds{}, v.value)
}

// value checks an entry of one of our buckets.
func (v *verifier) value(bucket, key, sealed []byte, isBucket bool) error {
	value, ok := unseal(bucket, key, sealed)
	if isBucket || !ok {
		return damaged("checksum of %s %.80q", bucket, key)
	}
	if bytes.Equal(bucket, bucketFormat) && bytes.Equal(key, keyVersion) {
		v.version = string(value)
	}
	return nil
}

// freelist checks the list of free pages: each exists, is listed once and is not in use.
func (v *verifier) freelist(id uint64) error {
	p, err := v.page(id)
	if err != nil {
		return err
	}
	n, ids := uint64(order.Uint16(p[10:])), p[pageHeader:]
	if n == 0xffff { // too many for two bytes: the first eight of the list say how many
		n, ids = order.Uint64(ids), ids[8:]
	}
	if order.Uint16(p[8:]) != flagFree || n > uint64(len(ids))/8 {
		return damaged("page %d is no list of %d free pages", id, n)
	}
	for i := range n {
		free := order.Uint64(ids[i*8:])
		if free < 2 || free >= v.pages || v.seen[free] {
			return damaged("page %d is free and in use", free)
		}
		v.seen[free] = true
	}
	return nil
}

// complete checks that everything is there that create made, in a version that is ours.
func (v *verifier) complete() error {
	if v.version != version {
		return fmt.Errorf("%w: layout %.20q, this one reads %q", errVersion, v.version, version)
	}
	for _, name := range [][]byte{bucketFormat, bucketOverrides, bucketHealth, bucketEndpoints} {
		if !v.found[string(name)] {
			return damaged("bucket %q is missing", name)
		}
	}
	return nil
}
