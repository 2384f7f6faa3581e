// Package store keeps what must outlive the process in one file: operators' overrides, the last known health, and what the embedded
// registry was told.
//
// The file is a bbolt database, so a write is on disk (fsync) when it is acknowledged, and a process killed at any moment leaves
// the file as the last acknowledged write made it. bbolt itself trusts its file; Open therefore checks all of it first (see verify),
// and every value carries a checksum.
package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/meridian-gslb/meridian/registry"
)

// FileName is the name of the file in its directory.
const FileName = "meridian.db"

// MaxSize is the largest size of the file, in bytes. A write that would exceed it fails and changes nothing. 100,000 endpoints with
// modest metadata take some 70 MB.
const MaxSize = 1 << 30

// lockWait is how long Open waits for another process to give the file up.
const lockWait = 500 * time.Millisecond

// closeWait is how long Close waits for writes under way.
const closeWait = 5 * time.Second

// batchDelay is how long a write of an endpoint waits for others to share its fsync with.
const batchDelay = 2 * time.Millisecond

// The buckets of the file, each a map from a key to a sealed value.
var (
	bucketFormat    = []byte("format")    // "version" -> the version of this layout
	bucketOverrides = []byte("overrides") // Target as text -> Override as JSON
	bucketHealth    = []byte("health")    // full endpoint name -> SavedHealth as JSON
	bucketEndpoints = []byte("endpoints") // a key of the embedded registry -> its value
	bucketShared    = []byte("shared")    // a key of package shared -> its value; made when it is missing
)

// version is the version of the layout. One that is not ours is refused, not guessed at.
const version = "1"

var keyVersion = []byte("version")

// A DB is the open file. It implements registry.Store and the embedded registry's EndpointStore. Its methods may be called
// concurrently.
type DB struct {
	bolt      *bolt.DB
	path      string
	closeWait time.Duration

	mu     sync.Mutex
	failed error // of the last write; nil: it succeeded, or there was none
}

var _ registry.Store = (*DB)(nil)

// Open opens the file in a directory, making both if they do not exist. It fails within about a second if another process has
// the file open, and if the file is damaged or of another version; the error says what to do. Only one process may have it open.
func Open(dir string) (*DB, error) { return open(dir, MaxSize) }

func open(dir string, maxSize int) (*DB, error) {
	path := filepath.Join(dir, FileName)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := create(dir, path); err != nil {
		return nil, fmt.Errorf("store: create %s: %w", path, err)
	}
	if err := check(path); err != nil {
		return nil, err
	}
	b, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType, MaxSize: maxSize})
	if err != nil {
		return nil, openError(path, err)
	}
	if err := b.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucketShared)
		return err
	}); err != nil {
		return nil, errors.Join(openError(path, err), b.Close())
	}
	b.MaxBatchDelay = batchDelay
	return &DB{bolt: b, path: path, closeWait: closeWait}, nil
}

// InUse reports whether a process has the file of a directory open. It takes lockWait to say yes.
func InUse(dir string) bool {
	b, err := bolt.Open(filepath.Join(dir, FileName), 0o600, &bolt.Options{Timeout: lockWait, ReadOnly: true})
	if err != nil {
		return errors.Is(err, bolterrors.ErrTimeout)
	}
	_ = b.Close() // nothing was written
	return false
}

// Path returns the path of the file.
func (db *DB) Path() string { return db.path }

// Failing returns the error of the last write, nil if it succeeded or there was none: while it is not nil, what changes may be gone after
// a restart.
func (db *DB) Failing() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.failed
}

// Close closes the file after the writes under way have ended. If they do not for closeWait, because the disk hangs, it is left open,
// and that is an error; the end of the process closes it.
func (db *DB) Close() error {
	closed := make(chan error, 1)
	go func() { closed <- db.bolt.Close() }()
	limit := time.NewTimer(db.closeWait)
	defer limit.Stop()
	select {
	case err := <-closed:
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		return nil
	case <-limit.C:
		return fmt.Errorf("store: %s is not closed: the disk has not answered for %v", db.path, db.closeWait)
	}
}

// create makes an empty database unless the file exists. It is made under another name and then linked into place, so that a crash
// in between leaves no half of a file, and an empty file is always damage.
func create(dir, path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(dir, FileName+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := f.Close(); err != nil {
		return err
	}
	b, err := bolt.Open(f.Name(), 0o600, &bolt.Options{Timeout: lockWait})
	if err != nil {
		return err
	}
	err = b.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketFormat, bucketOverrides, bucketHealth, bucketEndpoints} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return put(tx, bucketFormat, keyVersion, []byte(version))
	})
	if err := errors.Join(err, b.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// check refuses a file that is damaged, while nobody can write to it: it holds bbolt's shared lock. Opening it so touches no page but
// the two at the start, whose presence and checksums bbolt checks.
func check(path string) error {
	b, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, ReadOnly: true})
	if err != nil {
		return openError(path, err)
	}
	data, err := os.ReadFile(path)
	if err == nil {
		err = verify(data)
	}
	if errors.Is(err, errDamaged) || errors.Is(err, errVersion) {
		err = openError(path, err)
	}
	return errors.Join(err, b.Close())
}

var (
	errDamaged = errors.New("damaged")
	errVersion = errors.New("another version")
)

// openError says what an operator should do about a file that cannot be opened.
func openError(path string, err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("store: %s is in use by another process: stop that one, or give this one a state directory of its own", path)
	case errors.Is(err, errVersion):
		return fmt.Errorf("store: %s was written by another version of Meridian (%w): run that version, "+
			"or move the file away to start with empty state", path, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("store: %s: %w: the state directory must belong to the user that Meridian runs as", path, err)
	}
	return fmt.Errorf("store: %s cannot be read (%w): restore it from a backup, or move it away to start with empty state: "+
		"endpoints then come back as they register again, and overrides (drains) must be set again", path, err)
}

// put writes a value under a key, sealed.
func put(tx *bolt.Tx, bucket, key, value []byte) error {
	return tx.Bucket(bucket).Put(key, seal(bucket, key, value))
}

// sealSize is the length of the checksum before each value.
const sealSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal returns a value with a checksum over it and its place before it.
func seal(bucket, key, value []byte) []byte {
	sum := checksum(bucket, key, value)
	sealed := make([]byte, 0, sealSize+len(value))
	sealed = append(sealed, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
	return append(sealed, value...)
}

// unseal returns the value of a sealed one; ok is false if the checksum is wrong. The value aliases sealed.
func unseal(bucket, key, sealed []byte) (value []byte, ok bool) {
	if len(sealed) < sealSize {
		return nil, false
	}
	value = sealed[sealSize:]
	return value, bytes.Equal(sealed[:sealSize], seal(bucket, key, value)[:sealSize])
}

func checksum(bucket, key, value []byte) uint32 {
	sum := crc32.Update(0, castagnoli, bucket)
	sum = crc32.Update(sum, castagnoli, []byte{0})
	sum = crc32.Update(sum, castagnoli, key)
	sum = crc32.Update(sum, castagnoli, []byte{0})
	return crc32.Update(sum, castagnoli, value)
}

// each calls f with every key and value of a bucket. They are valid until f returns.
func (db *DB) each(bucket []byte, f func(key, value []byte) error) error {
	return db.bolt.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(key, sealed []byte) error {
			value, ok := unseal(bucket, key, sealed)
			if !ok {
				return openError(db.path, fmt.Errorf("%w: checksum of %s %.80q", errDamaged, bucket, key))
			}
			return f(key, value)
		})
	})
}

// eachJSON calls f with every value of a bucket, decoded.
func eachJSON[T any](db *DB, bucket []byte, f func(T)) error {
	return db.each(bucket, func(key, value []byte) error {
		var v T
		if err := json.Unmarshal(value, &v); err != nil {
			return openError(db.path, fmt.Errorf("%w: %s %.80q: %w", errDamaged, bucket, key, err))
		}
		f(v)
		return nil
	})
}
