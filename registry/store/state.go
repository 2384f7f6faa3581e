package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/meridian-gslb/meridian/registry"
)

// SaveOverride writes an override, replacing one of the same target. It is on disk when SaveOverride returns nil.
func (db *DB) SaveOverride(o registry.Override) error {
	key, err := o.Target.MarshalText()
	if err != nil {
		return err
	}
	value, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("store: override of %s: %w", o.Target, err)
	}
	return db.wrote(db.bolt.Update(func(tx *bolt.Tx) error { return put(tx, bucketOverrides, key, value) }))
}

// DeleteOverride deletes the override of a target, if there is one. It is gone from disk when DeleteOverride returns nil.
func (db *DB) DeleteOverride(t registry.Target) error {
	key, err := t.MarshalText()
	if err != nil {
		return err
	}
	return db.wrote(db.bolt.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketOverrides).Delete(key) }))
}

// LoadOverrides returns all overrides.
func (db *DB) LoadOverrides() (list []registry.Override, err error) {
	err = eachJSON(db, bucketOverrides, func(o registry.Override) { list = append(list, o) })
	return list, err
}

// SaveHealth replaces the saved health by the given. It writes what differs, so that a change among 100,000 endpoints costs a page or
// two; if nothing does, it writes nothing.
func (db *DB) SaveHealth(list []registry.SavedHealth) error {
	sealed := make(map[string][]byte, len(list))
	for _, h := range list {
		value, err := json.Marshal(h)
		if err != nil {
			return fmt.Errorf("store: health of %.80q: %w", h.Endpoint, err)
		}
		sealed[h.Endpoint] = seal(bucketHealth, []byte(h.Endpoint), value)
	}
	stale, err := db.staleHealth(sealed)
	if err != nil || len(sealed) == 0 && len(stale) == 0 {
		return wrap(err)
	}
	return db.wrote(db.bolt.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketHealth)
		for _, key := range stale {
			if err := b.Delete(key); err != nil {
				return err
			}
		}
		for key, value := range sealed {
			if err := b.Put([]byte(key), value); err != nil {
				return err
			}
		}
		return nil
	}))
}

// staleHealth returns the saved keys that want lacks, and removes from want what is saved as it should be.
func (db *DB) staleHealth(want map[string][]byte) (stale [][]byte, err error) {
	err = db.bolt.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketHealth).ForEach(func(key, value []byte) error {
			switch w, ok := want[string(key)]; {
			case !ok:
				stale = append(stale, bytes.Clone(key))
			case bytes.Equal(w, value):
				delete(want, string(key))
			}
			return nil
		})
	})
	return stale, err
}

// LoadHealth returns what SaveHealth saved last.
func (db *DB) LoadHealth() (list []registry.SavedHealth, err error) {
	err = eachJSON(db, bucketHealth, func(h registry.SavedHealth) { list = append(list, h) })
	return list, err
}

// PutEndpoint writes a value under a key, replacing what was there. It is on disk when PutEndpoint returns nil. Concurrent calls
// share one fsync.
func (db *DB) PutEndpoint(key string, value []byte) error {
	return db.wrote(db.bolt.Batch(func(tx *bolt.Tx) error { return put(tx, bucketEndpoints, []byte(key), value) }))
}

// DeleteEndpoints deletes keys, all or none; one that is not there is no error. They are gone from disk when DeleteEndpoints returns
// nil. Concurrent calls share one fsync.
func (db *DB) DeleteEndpoints(keys ...string) error {
	return db.wrote(db.bolt.Batch(func(tx *bolt.Tx) error {
		for _, key := range keys {
			if err := tx.Bucket(bucketEndpoints).Delete([]byte(key)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// LoadEndpoints returns all keys and values.
func (db *DB) LoadEndpoints() (map[string][]byte, error) { return db.load(bucketEndpoints) }

// load returns all of a bucket.
func (db *DB) load(bucket []byte) (map[string][]byte, error) {
	all := map[string][]byte{}
	err := db.each(bucket, func(key, value []byte) error {
		all[string(key)] = bytes.Clone(value)
		return nil
	})
	return all, err
}

// PutShared writes a value under a key, replacing what was there. It is on disk when PutShared returns nil.
func (db *DB) PutShared(key string, value []byte) error {
	return db.wrote(db.bolt.Update(func(tx *bolt.Tx) error { return put(tx, bucketShared, []byte(key), value) }))
}

// LoadShared returns all keys and values of PutShared.
func (db *DB) LoadShared() (map[string][]byte, error) { return db.load(bucketShared) }

// wrote notes how a write went and returns its error: a registry.ErrFull if there is no room for it.
func (db *DB) wrote(err error) error {
	err = wrap(err)
	db.mu.Lock()
	defer db.mu.Unlock()
	db.failed = err
	return err
}

func wrap(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bolterrors.ErrMaxSizeReached), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("store: %w: %w", registry.ErrFull, err)
	}
	return fmt.Errorf("store: %w", err)
}
