package share

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/probes/quorum"
)

// A record is a quorum.Report in bytes, all numbers big-endian:
//
//	0   "MV", version (1), flags: 1 full, 2 the prober doubts itself
//	4   u16 length of the header, u8 length of an entry, u8 0
//	8   u64 boot, u64 sequence, u32 milliseconds that it counts, u32 number of entries
//	32  name, site and region, each a length (u8) and UTF-8
//	    then the entries, by growing key:
//	      u64 key, u8 flags (bits 0-1 the state, 4 failing, 8 silent), u16 TTL in seconds,
//	      u32 age of the check, u32 age of the state, u16 latency, all in milliseconds
//	    then CRC-32 (IEEE) of all before
//
// Ages rather than times, as clocks differ. What a later version adds behind a header or an entry, this one skips by their lengths.
const (
	magic     = "MV"
	version   = 1
	fixed     = 32
	entrySize = 21
	sumSize   = 4

	flagFull, flagSuspect              = 1, 2
	stateMask, flagFailing, flagSilent = 3, 4, 8
)

// Limits of a record. MaxRecord has room for 100,000 entries, and then some.
const (
	MaxEntries = 100_000
	MaxRecord  = 3 << 20 // bytes
	maxTTL     = 5 * time.Minute
)

// append adds a record of rep to b. Votes have ages for moments.
func appendRecord(b []byte, rep *quorum.Report) []byte {
	start := len(b)
	flags := byte(0)
	if rep.Full {
		flags |= flagFull
	}
	if rep.Suspect {
		flags |= flagSuspect
	}
	header := fixed
	for _, s := range [...]string{rep.Name, rep.Site, rep.Region} {
		header += 1 + len(s)
	}
	b = append(b, magic...)
	b = append(b, version, flags)
	b = binary.BigEndian.AppendUint16(b, uint16(header))
	b = append(b, entrySize, 0)
	b = binary.BigEndian.AppendUint64(b, rep.Boot)
	b = binary.BigEndian.AppendUint64(b, rep.Seq)
	b = binary.BigEndian.AppendUint32(b, millis32(rep.TTL))
	b = binary.BigEndian.AppendUint32(b, uint32(len(rep.Entries)))
	for _, s := range [...]string{rep.Name, rep.Site, rep.Region} {
		b = append(append(b, byte(len(s))), s...)
	}
	for i := range rep.Entries {
		v := &rep.Entries[i].Vote
		f := byte(v.State) & stateMask
		if v.Failing {
			f |= flagFailing
		}
		if v.Silent {
			f |= flagSilent
		}
		b = binary.BigEndian.AppendUint64(b, rep.Entries[i].Key)
		b = append(b, f)
		b = binary.BigEndian.AppendUint16(b, uint16(min(v.TTL, math.MaxUint16)))
		b = binary.BigEndian.AppendUint32(b, millis32(v.Checked))
		b = binary.BigEndian.AppendUint32(b, millis32(v.Since))
		b = binary.BigEndian.AppendUint16(b, uint16(min(millis32(v.Latency), math.MaxUint16)))
	}
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}

func millis32(d time.Duration) uint32 {
	return uint32(min(max(d/time.Millisecond, 0), math.MaxUint32))
}

// Why bytes are no record.
var (
	errShort = errors.New("cut off")
	errSum   = errors.New("damaged: its checksum is wrong")
	errOrder = errors.New("its entries are not in order")
)

// parseRecord reads a record. It makes no more of it than its length allows.
func parseRecord(b []byte) (*quorum.Report, error) {
	switch {
	case len(b) > MaxRecord:
		return nil, fmt.Errorf("larger than %d bytes", MaxRecord)
	case len(b) < len(magic)+1 || string(b[:len(magic)]) != magic:
		return nil, errors.New("not a report of a prober")
	case b[2] != version:
		return nil, fmt.Errorf("version %d, and version %d is understood here", b[2], version)
	case len(b) < fixed+sumSize:
		return nil, errShort
	}
	body := b[:len(b)-sumSize]
	if binary.BigEndian.Uint32(b[len(body):]) != crc32.ChecksumIEEE(body) {
		return nil, errSum
	}
	header, size, n := int(binary.BigEndian.Uint16(b[4:])), int(b[6]), int(binary.BigEndian.Uint32(b[28:]))
	switch {
	case n > MaxEntries:
		return nil, fmt.Errorf("%d entries; %d is the most", n, MaxEntries)
	case header < fixed || header > len(body) || size < entrySize || n*size != len(body)-header:
		return nil, errShort
	}
	rep := &quorum.Report{
		Full: b[3]&flagFull != 0, Suspect: b[3]&flagSuspect != 0,
		Boot: binary.BigEndian.Uint64(b[8:]), Seq: binary.BigEndian.Uint64(b[16:]),
		TTL: time.Duration(binary.BigEndian.Uint32(b[24:])) * time.Millisecond,
	}
	if rep.TTL <= 0 || rep.TTL > maxTTL {
		return nil, fmt.Errorf("it wants to count for %v; %v is the most", rep.TTL, maxTTL)
	}
	rest := body[fixed:header]
	for _, s := range [...]*string{&rep.Name, &rep.Site, &rep.Region} {
		var err error
		if *s, rest, err = parseName(rest); err != nil {
			return nil, err
		}
	}
	if rep.Name == "" {
		return nil, errors.New("its prober has no name")
	}
	rep.Entries = make([]quorum.Entry, n)
	for i := range rep.Entries {
		e := body[header+i*size:]
		rep.Entries[i] = parseEntry(e)
		if i > 0 && rep.Entries[i].Key <= rep.Entries[i-1].Key {
			return nil, errOrder
		}
	}
	return rep, nil
}

// bootOf returns the boot of a record that begins with b.
func bootOf(b string) (uint64, bool) {
	if len(b) < fixed || b[:len(magic)] != magic {
		return 0, false
	}
	return binary.BigEndian.Uint64([]byte(b[8:16])), true
}

func parseName(b []byte) (string, []byte, error) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return "", nil, errShort
	}
	s := string(b[1 : 1+b[0]])
	if len(s) > quorum.MaxName || !utf8.ValidString(s) {
		return "", nil, errors.New("its prober's name, site or region is too long, or no text")
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return "", nil, errors.New("its prober's name, site or region has characters that cannot be printed")
		}
	}
	return s, b[1+b[0]:], nil
}

func parseEntry(e []byte) quorum.Entry {
	v := quorum.Vote{
		State: policy.State(e[8] & stateMask), Failing: e[8]&flagFailing != 0, Silent: e[8]&flagSilent != 0,
		TTL:     uint32(binary.BigEndian.Uint16(e[9:])),
		Checked: time.Duration(binary.BigEndian.Uint32(e[11:])) * time.Millisecond,
		Since:   time.Duration(binary.BigEndian.Uint32(e[15:])) * time.Millisecond,
		Latency: time.Duration(binary.BigEndian.Uint16(e[19:])) * time.Millisecond,
	}
	if v.State != policy.Up && v.State != policy.Down {
		v.State = policy.Unknown
	}
	return quorum.Entry{Key: binary.BigEndian.Uint64(e), Vote: v}
}
