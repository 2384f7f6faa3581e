package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustOpen(t testing.TB, dir string) *DB {
	t.Helper()
	db, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func reopen(t testing.TB, db *DB) *DB {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return mustOpen(t, filepath.Dir(db.Path()))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestOverridesSurvive(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	site := registry.Target{Kind: registry.KindSite, Name: "us-east"}
	drain := registry.Override{Target: site, State: policy.Drained, Since: noon, Until: noon.Add(time.Hour), Reason: "power work", By: "ops"}
	force := registry.Override{Target: registry.Target{Kind: registry.KindEndpoint, Name: "web/a"}, State: policy.Up, Since: noon}
	must(t, db.SaveOverride(force))
	must(t, db.SaveOverride(registry.Override{Target: site, State: policy.Down, Since: noon}))
	must(t, db.SaveOverride(drain))
	must(t, db.DeleteOverride(registry.Target{Kind: registry.KindSite, Name: "never was"}))

	db = reopen(t, db)
	got, err := db.LoadOverrides()
	must(t, err)
	if want := []registry.Override{force, drain}; !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
	must(t, db.DeleteOverride(site))
	db = reopen(t, db)
	if got, err = db.LoadOverrides(); err != nil || !reflect.DeepEqual(got, []registry.Override{force}) {
		t.Fatalf("after the deletion: %+v, %v", got, err)
	}
}

func TestOverrideOfNoKindIsRefused(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	if err := db.SaveOverride(registry.Override{State: policy.Down}); err == nil {
		t.Error("saved")
	}
	if err := db.DeleteOverride(registry.Target{}); err == nil {
		t.Error("deleted")
	}
}

func TestHealthIsReplaced(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	h := func(name string, s policy.State) registry.SavedHealth {
		return registry.SavedHealth{Endpoint: name, State: s, Since: noon}
	}
	for i, list := range [][]registry.SavedHealth{
		{h("web/a", policy.Up), h("web/b", policy.Down)},
		{h("web/a", policy.Down), h("web/b", policy.Down), h("web/c", policy.Up)},
		{h("web/c", policy.Up)},
		nil,
		{h("api/a", policy.Drained)},
	} {
		must(t, db.SaveHealth(list))
		db = reopen(t, db)
		got, err := db.LoadHealth()
		must(t, err)
		if !slices.Equal(got, list) {
			t.Errorf("%d: got %v, want %v", i, got, list)
		}
	}
}

func TestUnchangedHealthIsNotWritten(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	list := []registry.SavedHealth{{Endpoint: "web/a", State: policy.Up, Since: noon}}
	must(t, db.SaveHealth(list))
	before := lastTx(t, db)
	must(t, db.SaveHealth(list))
	if after := lastTx(t, db); after != before {
		t.Errorf("transaction %d follows %d though nothing changed", after, before)
	}
}

func lastTx(t *testing.T, db *DB) (id int) {
	t.Helper()
	must(t, db.bolt.View(func(tx *bolt.Tx) error { id = tx.ID(); return nil }))
	return id
}

func TestEndpointsSurvive(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	want := map[string][]byte{}
	for i := range 300 {
		key := fmt.Sprintf("web/e%03d", i)
		want[key] = []byte(strings.Repeat("x", i*7))
	}
	var wg sync.WaitGroup
	for key, value := range want {
		wg.Go(func() {
			if err := db.PutEndpoint(key, value); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	must(t, db.PutEndpoint("web/e000", []byte("again")))
	want["web/e000"] = []byte("again")
	must(t, db.DeleteEndpoints("web/e001", "web/e002", "web/unknown"))
	delete(want, "web/e001")
	delete(want, "web/e002")

	db = reopen(t, db)
	got, err := db.LoadEndpoints()
	must(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d endpoints, want %d", len(got), len(want))
	}
}

// TestWritersShareAnFsync: 64 concurrent writers need far fewer transactions than writes.
func TestWritersShareAnFsync(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	before := lastTx(t, db)
	const writers, each = 64, 8
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := db.PutEndpoint(fmt.Sprintf("web/%d-%d", w, i), []byte("v")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if used := lastTx(t, db) - before; used > writers*each/4 {
		t.Errorf("%d writes took %d transactions", writers*each, used)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	begin := time.Now()
	_, err := Open(filepath.Dir(db.Path()))
	if err == nil || !strings.Contains(err.Error(), db.Path()+" is in use by another process") {
		t.Fatalf("error: %v", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v to say so", took)
	}
}

func TestConcurrentFirstStartsMakeOneFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := create(dir, path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	mustOpen(t, dir)
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFullDiskChangesNothing(t *testing.T) {
	dir := t.TempDir()
	db, err := open(dir, 1<<17)
	must(t, err)
	want := map[string][]byte{}
	var full error
	for i := 0; full == nil && i < 1000; i++ {
		key, value := fmt.Sprintf("web/e%03d", i), make([]byte, 2000)
		if full = db.PutEndpoint(key, value); full == nil {
			want[key] = value
		}
	}
	if !errors.Is(full, registry.ErrFull) || len(want) == 0 {
		t.Fatalf("%d endpoints written, last error %v", len(want), full)
	}
	if db.Failing() == nil {
		t.Error("the failing write is not told")
	}
	if got, err := db.LoadEndpoints(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("after %v: %d endpoints (%v), want %d", full, len(got), err, len(want))
	}
	must(t, db.Close())
	db = mustOpen(t, dir) // the disk has room again
	if got := read(t, db).Endpoints; !reflect.DeepEqual(got, want) {
		t.Errorf("after a restart: %d endpoints, want %d", len(got), len(want))
	}
	must(t, db.PutEndpoint("web/small", []byte("fits")))
	if err := db.Failing(); err != nil {
		t.Errorf("writes succeed again, yet: %v", err)
	}
}

// TestNoRoomIsToldFromFailure: a full disk and a used-up quota are the operator's to mend, and named; another failure is not taken for one.
func TestNoRoomIsToldFromFailure(t *testing.T) {
	for err, want := range map[error]bool{syscall.ENOSPC: true, syscall.EDQUOT: true, syscall.EIO: false} {
		if got := errors.Is(wrap(&fs.PathError{Op: "write", Path: "meridian.db", Err: err}), registry.ErrFull); got != want {
			t.Errorf("%v: no room is %v", err, got)
		}
	}
}

func TestOpenNamesTheFileAndWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"empty file":  {func(t *testing.T, path string) { must(t, os.WriteFile(path, nil, 0o600)) }, "move it away"},
		"other file":  {func(t *testing.T, path string) { must(t, os.WriteFile(path, make([]byte, 1<<16), 0o600)) }, "move it away"},
		"text":        {func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte("hello\n"), 0o600)) }, "move it away"},
		"directory":   {func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }, "move it away"},
		"new version": {func(t *testing.T, path string) { writeVersion(t, path, "2") }, "another version"},
		"no version":  {func(t *testing.T, path string) { writeVersion(t, path, "") }, "another version"},
		"foreign":     {foreign, "move it away"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, FileName)
			c.make(t, path)
			_, err := Open(dir)
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error: %v", err)
			}
		})
	}
	if _, err := Open(filepath.Join(os.DevNull, "x")); err == nil {
		t.Error("opened below a device")
	}
}

// writeVersion makes a file that says it is of another version.
func writeVersion(t *testing.T, path, v string) {
	must(t, create(filepath.Dir(path), path))
	b, err := bolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, b.Update(func(tx *bolt.Tx) error {
		if v == "" {
			return tx.DeleteBucket(bucketFormat)
		}
		return put(tx, bucketFormat, keyVersion, []byte(v))
	}))
	must(t, b.Close())
}

// foreign makes a sound bbolt file that is not ours.
func foreign(t *testing.T, path string) {
	b, err := bolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, b.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("theirs"))
		return errors.Join(err, b.Put([]byte("k"), []byte("some value")))
	}))
	must(t, b.Close())
}

// TestCloseDoesNotWaitForAHungDisk: a write that never ends must not keep the process from ending.
func TestCloseDoesNotWaitForAHungDisk(t *testing.T) {
	db, err := Open(t.TempDir())
	must(t, err)
	db.closeWait = time.Millisecond
	write, err := db.bolt.Begin(true) // a write under way
	must(t, err)
	if err := db.Close(); err == nil || !strings.Contains(err.Error(), "not closed") {
		t.Errorf("error %v", err)
	}
	must(t, write.Rollback())
	db.closeWait = time.Minute
	must(t, db.Close()) // waits for the first
}
