package share

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/probes/quorum"
)

// example returns a report of n entries.
func example(n int) *quorum.Report {
	rep := &quorum.Report{
		Prober: quorum.Prober{Name: "eu-1", Site: "eu-west", Region: "europe"}, Boot: 1 << 60, Seq: 7, TTL: 10 * time.Second, Full: true,
		Entries: make([]quorum.Entry, n),
	}
	dice := rand.New(rand.NewPCG(3, 4))
	for i := range rep.Entries {
		rep.Entries[i] = quorum.Entry{Key: uint64(i+1) * 1e12, Vote: quorum.Vote{
			State: policy.State(dice.IntN(3)), TTL: dice.Uint32N(100), Failing: dice.IntN(2) == 0, Silent: dice.IntN(2) == 0,
			Since: time.Duration(dice.IntN(1e6)) * time.Millisecond, Checked: time.Duration(dice.IntN(1e4)) * time.Millisecond,
			Latency: time.Duration(dice.IntN(1e3)) * time.Millisecond,
		}}
	}
	return rep
}

// sealed returns b with a right checksum at its end.
func sealed(b []byte) []byte {
	b = bytes.Clone(b)
	body := b[:len(b)-sumSize]
	binary.BigEndian.PutUint32(b[len(body):], crc32.ChecksumIEEE(body))
	return b
}

func TestRecord(t *testing.T) {
	for _, n := range []int{0, 1, 1000} {
		want := example(n)
		b := appendRecord(nil, want)
		got, err := parseRecord(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%d entries: %v\n%+v, want\n%+v", n, err, got, want)
		}
		if most := 100 + 21*n; len(b) > most {
			t.Errorf("%d entries take %d bytes, more than %d", n, len(b), most)
		}
	}
	long := example(1)
	long.Entries[0].Vote = quorum.Vote{State: policy.Drained, TTL: 1e6, Checked: 1e6 * time.Hour, Since: -1, Latency: time.Hour}
	got, err := parseRecord(appendRecord(nil, long))
	want := quorum.Vote{TTL: 65535, Checked: 4294967295 * time.Millisecond, Latency: 65535 * time.Millisecond}
	if err != nil || got.Entries[0].Vote != want {
		t.Errorf("what is out of range becomes %+v (%v), want %+v", got.Entries[0].Vote, err, want)
	}
}

// A later version may make headers and entries longer: this one reads what it knows.
func TestRecordOfLaterVersion(t *testing.T) {
	want := example(3)
	b := appendRecord(nil, want)
	header := int(binary.BigEndian.Uint16(b[4:]))
	longer := append(bytes.Clone(b[:header]), "what is new"...)
	for i := range 3 {
		longer = append(append(longer, b[header+i*entrySize:header+(i+1)*entrySize]...), 1, 2, 3)
	}
	binary.BigEndian.PutUint16(longer[4:], uint16(header+11))
	longer[6] = entrySize + 3
	got, err := parseRecord(sealed(append(longer, 0, 0, 0, 0)))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v, want\n%+v", err, got, want)
	}
}

func TestBadRecords(t *testing.T) {
	good := appendRecord(nil, example(3))
	change := func(f func(b []byte)) []byte {
		b := bytes.Clone(good)
		f(b)
		return sealed(b)
	}
	twice := example(2)
	twice.Entries[1].Key = twice.Entries[0].Key
	nameless, loud, eternal := example(1), example(1), example(1)
	nameless.Name, loud.Site, eternal.TTL = "", "eu\n", time.Hour
	for want, b := range map[string][]byte{
		"not a report":      []byte("hello"),
		"version 2":         change(func(b []byte) { b[2] = 2 }),
		"checksum":          append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1),
		"cut off":           good[:20],
		"100001 entries":    change(func(b []byte) { binary.BigEndian.PutUint32(b[28:], 100_001) }),
		"cut off:":          change(func(b []byte) { binary.BigEndian.PutUint32(b[28:], 4) }),
		"cut off: ":         change(func(b []byte) { binary.BigEndian.PutUint16(b[4:], 60000) }),
		"cut off:  ":        change(func(b []byte) { b[6] = 0 }),
		"too long, or":      change(func(b []byte) { b[fixed+1] = 0xff }),
		"cut off:   ":       change(func(b []byte) { b[fixed] = 200 }),
		"not in order":      appendRecord(nil, twice),
		"has no name":       appendRecord(nil, nameless),
		"cannot be printed": appendRecord(nil, loud),
		"count for 1h":      appendRecord(nil, eternal),
		"larger than":       make([]byte, MaxRecord+1),
	} {
		if rep, err := parseRecord(b); err == nil || !strings.Contains(err.Error(), strings.TrimRight(want, ": ")) {
			t.Errorf("%q: %+v, %v", want, rep, err)
		}
	}
	for i := range good {
		if _, err := parseRecord(good[:i]); err == nil {
			t.Errorf("cut off at %d, and read", i)
		}
		b := bytes.Clone(good)
		b[i] ^= 0x10
		if _, err := parseRecord(b); err == nil {
			t.Errorf("damaged at %d, and read", i)
		}
	}
}

// Whatever is read is written the same again.
func FuzzRecord(f *testing.F) {
	f.Add(appendRecord(nil, example(0)))
	f.Add(appendRecord(nil, example(3)))
	f.Add([]byte("MV"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, sealed(append(b, 0, 0, 0, 0))} {
			rep, err := parseRecord(b)
			if err != nil {
				continue
			}
			if len(rep.Entries)*entrySize > len(b) {
				t.Errorf("%d entries of %d bytes", len(rep.Entries), len(b))
			}
			again, err := parseRecord(appendRecord(nil, rep))
			if err != nil || !reflect.DeepEqual(again, rep) {
				t.Errorf("%+v becomes %+v (%v)", rep, again, err)
			}
		}
	})
}
