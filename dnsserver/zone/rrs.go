package zone

import (
	"encoding/binary"
	"iter"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// TypeSteered is the type, which no record has (RFC 6895 3.1), of lines of a zone file that steer their owner by a policy. Their RDATA
// is what AddSteer returned.
const TypeSteered uint16 = 0

// A FileSteer is one way in which lines of a zone file steer names, and the first of these lines.
type FileSteer struct {
	SteerSpec
	Owner wire.Name
	File  uint16 // position in the files of the RRs
	Line  uint32
}

// An RR is one record of a zone file.
type RR struct {
	Owner wire.Name
	Type  uint16
	TTL   uint32 // seconds
	RData []byte // uncompressed wire form, names in it lower case where the type is one of RFC 1035
	File  uint16 // position in the files of the RRs
	Line  uint32 // of the file, from 1
}

// RRs are the records of a zone file in its order, packed: some 20 bytes beside owner and RDATA, no pointers. The zero RRs are
// ready to be appended to; once a Spec holds them they never change, and the zone that is compiled from them shares their memory.
type RRs struct {
	files  []string
	data   []byte
	len    int
	owners int    // runs of records of one owner
	last   uint32 // where the last owner stands
	steers []FileSteer
}

// The layout of a record: where the owner stands, TTL, line, type, file, length of RDATA; RDATA; and the owner, unless it is that of
// the record before.
const rrHead = 18

// maxRRs bounds the bytes that RRs take, so that positions fit 32 bits.
const maxRRs = 1<<31 - 1

// Len returns the number of records. A nil RRs has none.
func (r *RRs) Len() int {
	if r == nil {
		return 0
	}
	return r.len
}

// Files returns the names of the files that the records came from: the zone file and what it includes.
func (r *RRs) Files() []string {
	if r == nil {
		return nil
	}
	return r.files
}

// AddFile notes a file and returns its position.
func (r *RRs) AddFile(name string) uint16 {
	r.files = append(r.files, name)
	return uint16(len(r.files) - 1)
}

// AddSteer notes a way of steering names and returns the RDATA of records of TypeSteered that have it.
func (r *RRs) AddSteer(s FileSteer) []byte {
	r.steers = append(r.steers, s)
	return binary.LittleEndian.AppendUint32(nil, uint32(len(r.steers)-1))
}

// Steers returns the ways in which the file steers names, in the order of the file. A nil RRs has none.
func (r *RRs) Steers() []FileSteer {
	if r == nil {
		return nil
	}
	return r.steers
}

// Append adds a record. The record's memory is copied. It reports whether there was room.
func (r *RRs) Append(rr RR) bool {
	if len(r.data)+rrHead+len(rr.RData)+len(rr.Owner) > maxRRs || len(rr.RData) > 0xffff {
		return false
	}
	at := uint32(len(r.data))
	owner := r.last
	fresh := r.len == 0 || string(r.nameAt(owner)) != string(rr.Owner)
	if fresh {
		r.owners++
		owner = at + rrHead + uint32(len(rr.RData))
	}
	r.data = binary.LittleEndian.AppendUint32(r.data, owner)
	r.data = binary.LittleEndian.AppendUint32(r.data, rr.TTL)
	r.data = binary.LittleEndian.AppendUint32(r.data, rr.Line)
	r.data = binary.LittleEndian.AppendUint16(r.data, rr.Type)
	r.data = binary.LittleEndian.AppendUint16(r.data, rr.File)
	r.data = binary.LittleEndian.AppendUint16(r.data, uint16(len(rr.RData)))
	r.data = append(r.data, rr.RData...)
	if fresh {
		r.data = append(r.data, rr.Owner...)
	}
	r.last = owner
	r.len++
	return true
}

// Clip gives memory back that appending took in advance.
func (r *RRs) Clip() {
	if cap(r.data)-len(r.data) > len(r.data)/16 {
		r.data = append(make([]byte, 0, len(r.data)), r.data...)
	}
}

// All yields the records in order. Owner and RData share the memory of the RRs.
func (r *RRs) All() iter.Seq[RR] {
	return func(yield func(RR) bool) {
		if r == nil {
			return
		}
		for at := uint32(0); at < uint32(len(r.data)); {
			rr, _, next := r.read(at)
			if !yield(rr) {
				return
			}
			at = next
		}
	}
}

// read returns the record at a position, where its owner stands, and where the next record is.
func (r *RRs) read(at uint32) (rr RR, owner, next uint32) {
	h := r.data[at : at+rrHead]
	owner = binary.LittleEndian.Uint32(h)
	end := at + rrHead + uint32(binary.LittleEndian.Uint16(h[16:]))
	rr = RR{
		Owner: r.nameAt(owner),
		TTL:   binary.LittleEndian.Uint32(h[4:]),
		Line:  binary.LittleEndian.Uint32(h[8:]),
		Type:  binary.LittleEndian.Uint16(h[12:]),
		File:  binary.LittleEndian.Uint16(h[14:]),
		RData: r.data[at+rrHead : end : end],
	}
	if next = end; owner == end {
		next += uint32(len(rr.Owner))
	}
	return rr, owner, next
}

// search returns where a record stands; one of TypeSteered whatever its RDATA is. It looks at one after the other.
func (r *RRs) search(owner wire.Name, rrtype uint16, rdata []byte) (uint32, bool) {
	for at := uint32(0); at < uint32(len(r.data)); {
		rr, _, next := r.read(at)
		if rr.Type == rrtype && string(rr.Owner) == string(owner) && (rrtype == TypeSteered || string(rr.RData) == string(rdata)) {
			return at, true
		}
		at = next
	}
	return 0, false
}

// typeAt returns the type of the record at a position.
func (r *RRs) typeAt(at uint32) uint16 { return binary.LittleEndian.Uint16(r.data[at+12:]) }

// nameAt returns the name that stands at a position.
func (r *RRs) nameAt(at uint32) wire.Name { return nameIn(r.data, at) }

// nameIn returns the name that stands at a position of data.
func nameIn(data []byte, at uint32) wire.Name {
	end := at
	for data[end] != 0 {
		end += uint32(data[end]) + 1
	}
	return wire.Name(data[at : end+1 : end+1])
}
