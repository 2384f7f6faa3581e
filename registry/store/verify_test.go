package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// A content is all that a DB holds.
type content struct {
	Overrides []registry.Override
	Health    []registry.SavedHealth
	Endpoints map[string][]byte
}

func read(t testing.TB, db *DB) content {
	t.Helper()
	overrides, err1 := db.LoadOverrides()
	health, err2 := db.LoadHealth()
	endpoints, err3 := db.LoadEndpoints()
	must(t, errors.Join(err1, err2, err3))
	return content{overrides, health, endpoints}
}

// sample makes a file with branch pages, long values, free pages and inline buckets. It returns the file's bytes, its content, and
// the content before the last write.
func sample(t testing.TB, endpoints int) (data []byte, now, before content) {
	t.Helper()
	db := mustOpen(t, t.TempDir())
	var wg sync.WaitGroup
	for i := range endpoints {
		wg.Go(func() {
			if err := db.PutEndpoint(fmt.Sprintf("web/endpoint-%04d", i), bytes.Repeat([]byte{byte(i)}, 60+i%5*20)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	must(t, db.PutEndpoint("web/long", make([]byte, 20_000)))
	must(t, db.DeleteEndpoints("web/endpoint-0000", "web/endpoint-0003"))
	must(t, db.SaveHealth([]registry.SavedHealth{{Endpoint: "web/endpoint-0001", State: policy.Down, Since: noon}}))
	before = read(t, db)
	must(t, db.SaveOverride(registry.Override{Target: registry.Target{Kind: registry.KindSite, Name: "x"}, State: policy.Drained, Since: noon}))
	now = read(t, db)
	data, err := os.ReadFile(db.Path())
	must(t, err)
	return data, now, before
}

func TestVerifyAcceptsWhatWeWrite(t *testing.T) {
	for _, n := range []int{4, 40, 2000} {
		data, _, _ := sample(t, n)
		if err := verify(data); err != nil {
			t.Errorf("%d endpoints: %v", n, err)
		}
	}
}

// TestLongFreelist: the list of free pages has a form of its own when two bytes cannot count it.
func TestLongFreelist(t *testing.T) {
	const size, free = 512, 0xffff + 3
	more := (8+free*8+pageHeader)/size + 1
	v := verifier{pageSize: size, pages: uint64(2 + 1 + more + free)}
	v.data, v.seen = make([]byte, v.pages*size), make([]bool, v.pages)
	p := v.data[2*size:]
	order.PutUint64(p, 2)
	order.PutUint16(p[8:], flagFree)
	order.PutUint16(p[10:], 0xffff)
	order.PutUint32(p[12:], uint32(more))
	order.PutUint64(p[pageHeader:], free)
	for i := range uint64(free) {
		order.PutUint64(p[pageHeader+8+8*i:], uint64(3+more)+i)
	}
	must(t, v.freelist(2))
	clear(v.seen)
	v.seen[v.pages-1] = true // now in use
	if err := v.freelist(2); !errors.Is(err, errDamaged) {
		t.Errorf("a page in use passes as free: %v", err)
	}
	clear(v.seen)
	order.PutUint64(p[pageHeader:], 1<<61)
	if err := v.freelist(2); !errors.Is(err, errDamaged) {
		t.Errorf("a list of 2^61 pages: %v", err)
	}
}

// TestCutShort: a file cut at any length is refused, and never crashes us.
func TestCutShort(t *testing.T) {
	data, _, _ := sample(t, 100)
	used := highWater(t, data)
	for n := range len(data) {
		err := verify(data[:n])
		if err == nil && n < used {
			t.Fatalf("%d of %d bytes pass", n, len(data))
		}
		if n < used && n%4001 == 0 {
			dir := t.TempDir()
			path := filepath.Join(dir, FileName)
			must(t, os.WriteFile(path, data[:n], 0o600))
			if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), path) {
				t.Fatalf("%d bytes: %v", n, err)
			}
		}
	}
}

func highWater(t *testing.T, data []byte) int {
	v, _, _, err := newVerifier(data)
	must(t, err)
	return int(v.pages * v.pageSize)
}

// TestFlippedBits: whatever single bit is wrong, Open either refuses the file or gives back the content, of now or (when the newer meta
// page is hit) of before the last write; the file then takes writes.
func TestFlippedBits(t *testing.T) {
	data, now, before := sample(t, 100)
	dice := rand.New(rand.NewPCG(1, 2))
	tried, refused, opened := 0, 0, 0
	for i := 0; i < len(data); i += 1 + dice.IntN(7) {
		bit := byte(1) << dice.IntN(8)
		data[i] ^= bit
		tried++
		err := verify(data)
		if err != nil {
			refused++
		}
		if dice.IntN(500) == 0 || err == nil && dice.IntN(150) == 0 {
			opened++
			tryOpen(t, i, data, err, now, before)
		}
		data[i] ^= bit
	}
	t.Logf("%d of %d single-bit faults refused (the rest hit unused space), %d opened for real", refused, tried, opened)
	if refused < tried/8 {
		t.Errorf("only %d faults were found", refused)
	}
}

func tryOpen(t *testing.T, at int, data []byte, verdict error, now, before content) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	must(t, os.WriteFile(path, data, 0o600))
	db, err := Open(dir)
	if verdict != nil {
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Fatalf("byte %d: verify says %v, Open %v", at, verdict, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("byte %d: %v", at, err)
	}
	got := read(t, db)
	if !reflect.DeepEqual(got, now) && !reflect.DeepEqual(got, before) {
		t.Errorf("byte %d: other content", at)
	}
	must(t, db.PutEndpoint("web/new", []byte("value")))
	want := maps.Clone(got.Endpoints)
	want["web/new"] = []byte("value")
	db = reopen(t, db)
	if again := read(t, db).Endpoints; !reflect.DeepEqual(again, want) {
		t.Errorf("byte %d: %d endpoints after a write, want %d", at, len(again), len(want))
	}
}

// FuzzVerify: no bytes make verify panic, and what it accepts, bbolt can read.
func FuzzVerify(f *testing.F) {
	data, _, _ := sample(f, 12)
	f.Add(uint32(0), uint64(0), uint32(0))
	f.Add(uint32(len(data)/2), ^uint64(0), uint32(8))
	f.Fuzz(func(t *testing.T, at uint32, change uint64, cut uint32) {
		damaged := bytes.Clone(data)
		for i := range 8 {
			damaged[(int(at)+i)%len(damaged)] ^= byte(change >> (8 * i))
		}
		damaged = damaged[:len(damaged)-int(cut)%len(damaged)]
		if verify(damaged) != nil {
			return
		}
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, FileName), damaged, 0o600))
		db, err := Open(dir)
		must(t, err)
		read(t, db)
		must(t, db.PutEndpoint("web/new", []byte("value")))
		must(t, db.Close())
	})
}
