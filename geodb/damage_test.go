package geodb

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// A database that was cut off is refused, wherever.
func TestTruncated(t *testing.T) {
	data := randomDatabase(t, rand.New(rand.NewPCG(5, 5)))
	for n := range len(data) {
		db, err := Read("t", data[:n])
		if err == nil || db != nil {
			t.Fatalf("%d of %d bytes are accepted", n, len(data))
		}
		if !strings.HasPrefix(err.Error(), "geodb: ") {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	for _, n := range []int{1, 100, len(data) / 2} { // the front is missing
		if _, err := Read("t", data[n:]); err == nil {
			t.Errorf("without the first %d bytes it is accepted", n)
		}
	}
	if _, err := Read("t", append(bytes.Clone(data[:len(data)/2]), data...)); err == nil {
		t.Error("one and a half are accepted")
	}
}

// What a damaged byte does is an error or another database, never a panic nor work without end.
func TestDamaged(t *testing.T) {
	data := randomDatabase(t, rand.New(rand.NewPCG(6, 6)))
	refused := 0
	for i := range data {
		for _, flip := range []byte{1, 0x80, 0xff} {
			broken := bytes.Clone(data)
			broken[i] ^= flip
			db, err := Read("t", broken)
			if (db == nil) == (err == nil) {
				t.Fatalf("byte %d: %v, %v", i, db, err)
			}
			if err != nil {
				refused++
			}
		}
	}
	if refused < len(data)/4 {
		t.Errorf("only %d of %d damages are seen", refused, 3*len(data))
	}
}

func TestNoDatabase(t *testing.T) {
	for _, data := range [][]byte{nil, {}, []byte("\xab\xcd\xefMaxMind.com"), bytes.Repeat([]byte("x"), 1<<16), []byte("\x1f\x8b\x08 a compressed one")} {
		if _, err := Read("t", data); err == nil || !strings.Contains(err.Error(), "no MaxMind database") {
			t.Errorf("%.20q: %v", data, err)
		}
	}
	if _, err := Read("t", databaseOf(t, "empty", 6, nil)); err == nil || !strings.Contains(err.Error(), "says nothing") {
		t.Errorf("%v", err)
	}
}

// Nothing of the bytes is kept: they may be overwritten.
func TestBytesAreNotKept(t *testing.T) {
	data := databaseOf(t, "x", 6, map[string]mmdbtype.DataType{"192.0.2.0/24": cityRecord("London", "ENG", "GB", "EU", 1, 2, 3)})
	db, err := Read("t", data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	for p := range db.Table.Places() {
		if p.City != "London" || p.Country != "GB" {
			t.Errorf("%+v", p)
		}
	}
}

func FuzzRead(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(randomDatabase(f, rand.New(rand.NewPCG(seed, 7))))
	}
	f.Add(databaseOf(f, "flat", 4, map[string]mmdbtype.DataType{"10.0.0.0/8": dict{"loc": str("1,2"), "asn": str("AS5"), "country": str("GB")}}))
	f.Add([]byte("\xab\xcd\xefMaxMind.com\xe9"))
	f.Fuzz(func(t *testing.T, data []byte) {
		db, err := Read("t", data)
		if (db == nil) == (err == nil) {
			t.Fatalf("%v, %v", db, err)
		}
		if err == nil && db.Networks == 0 {
			t.Fatal("a database of nothing")
		}
	})
}
