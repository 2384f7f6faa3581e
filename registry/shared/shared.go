// Package shared keeps what operators decide (drains, forced states) the same on all nodes, by way of a key-value store that they share, such
// as Consul's. A decision takes effect, and is on disk, where it is made, whether or not the others can be told; they learn of it within a second,
// or when the store is back. What was decided later is never replaced by what was decided before it.
package shared

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/meridian-gslb/meridian/registry"
)

// A KV is a key-value store that all nodes share. Its methods may be called concurrently.
type KV interface {
	// List returns all there is, when it is newer than index, or after some time; index 0 returns at once. next is the index to go on with, which is 0
	// where what was known of indexes holds no more.
	List(ctx context.Context, index uint64) (items map[string]Item, next uint64, err error)
	// Set writes a value if the index of its key is still this one (0: it is not there), and reports whether it did.
	Set(ctx context.Context, key string, value []byte, index uint64) (done bool, err error)
}

// Records keep a node's Records across restarts. A write is durable when it returns nil.
type Records interface {
	PutShared(key string, value []byte) error
	LoadShared() (map[string][]byte, error)
}

// Options are what a Store needs from outside.
type Options struct {
	Node    string         // required: the name of this node, which no other has
	Local   registry.Store // required: where overrides and health are kept on this node
	Records Records        // where Records are; nil: nowhere
	KV      KV             // required
	Log     *slog.Logger   // default: discard
}

// A Store is a registry.Store whose overrides are shared. Its methods may be called concurrently.
type Store struct {
	registry.Store
	o     Options
	dirty chan struct{} // capacity 1: there may be something to push

	mu      sync.Mutex // guards what follows; never held during I/O of the KV
	replica *replica
	failing time.Time // since when the KV does not answer; zero: it does
	err     error
}

// New returns a Store of what is kept on this node. Overrides of which there is no Record, because the process ended in between or they are older than
// the sharing, are shared as decisions of now.
func New(o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Records == nil {
		o.Records = nowhere{}
	}
	s := &Store{Store: o.Local, o: o, dirty: make(chan struct{}, 1), replica: newReplica(o.Node)}
	saved, err := o.Records.LoadShared()
	if err != nil {
		return nil, fmt.Errorf("shared: %w", err)
	}
	overrides, err := o.Local.LoadOverrides()
	if err != nil {
		return nil, fmt.Errorf("shared: %w", err)
	}
	there := map[string]registry.Override{}
	for _, o := range overrides {
		there[o.Target.String()] = o
	}
	for target, value := range saved {
		rec, err := decode(target, value)
		_, is := there[target]
		if err != nil || is == rec.ended(time.Now()) { // the process ended between two writes: what the others know counts
			s.o.Log.Warn("what is saved of a shared override does not fit; the other nodes are asked", "target", target, "error", err)
			continue
		}
		s.replica.known[target] = rec
	}
	for target, o := range there {
		if _, ok := s.replica.known[target]; !ok {
			rec := s.replica.decide(target, &o, o.Since)
			s.replica.keep(target, rec)
		}
	}
	return s, nil
}

// SaveOverride keeps an override on this node and tells the others.
func (s *Store) SaveOverride(o registry.Override) error {
	return s.decide(o.Target, &o, func() error { return s.Store.SaveOverride(o) })
}

// DeleteOverride ends an override on this node and tells the others.
func (s *Store) DeleteOverride(t registry.Target) error {
	return s.decide(t, nil, func() error { return s.Store.DeleteOverride(t) })
}

// decide keeps a decision of this node.
func (s *Store) decide(t registry.Target, o *registry.Override, save func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec, ok := s.replica.known[t.String()]; o == nil && (!ok || rec.ended(time.Now())) {
		return save() // everybody knows
	}
	if err := s.keep(t.String(), s.replica.decide(t.String(), o, time.Now()), save); err != nil {
		return err
	}
	tick(s.dirty)
	return nil
}

// keep keeps a Record, and by save the override that it is about. The Record goes first: if the override does not follow, because save fails or the
// process ends, the two do not fit, and New forgets the Record. So a failure has changed nothing. Callers hold mu.
func (s *Store) keep(target string, rec Record, save func() error) error {
	value, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if err := s.o.Records.PutShared(target, value); err != nil {
		return err
	}
	if err := save(); err != nil {
		return err
	}
	s.replica.keep(target, rec)
	return nil
}

// errOlder says that a Record was overtaken by another.
var errOlder = errors.New("shared: there is a later decision")

// Times.
const (
	minRetry = 500 * time.Millisecond // after the first failure; doubled after each, with jitter
	maxRetry = 15 * time.Second
	gap      = 50 * time.Millisecond // at least, between an answer and the next question
)

// Run tells the others what is decided here and puts in force what is decided elsewhere, until ctx ends.
func (s *Store) Run(ctx context.Context, r *registry.Registry) error {
	var group sync.WaitGroup
	defer group.Wait()
	heard := make(chan struct{})
	group.Go(func() { s.pull(ctx, r, heard) })
	select {
	case <-heard: // before that it is not known what may be overwritten
	case <-ctx.Done():
	}
	for {
		select {
		case <-s.dirty:
			s.push(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// pull follows the KV.
func (s *Store) pull(ctx context.Context, r *registry.Registry, heard chan struct{}) {
	index, retry := uint64(0), minRetry
	for ctx.Err() == nil {
		items, next, err := s.o.KV.List(ctx, index)
		if ctx.Err() != nil {
			return
		}
		s.fared(err)
		if err != nil {
			index = 0
			sleep(ctx, retry/2+rand.N(retry))
			retry = min(2*retry, maxRetry)
			continue
		}
		retry = minRetry
		s.mu.Lock()
		news := s.replica.learn(items)
		s.mu.Unlock()
		for _, target := range news {
			s.adopt(r, target)
		}
		if heard != nil {
			close(heard)
			heard = nil
		}
		tick(s.dirty)
		index = next
		sleep(ctx, gap)
	}
}

// adopt puts in force what another node decided.
func (s *Store) adopt(r *registry.Registry, target string) {
	var t registry.Target
	if err := t.UnmarshalText([]byte(target)); err != nil {
		return // learn looked
	}
	s.mu.Lock()
	rec := s.replica.there[target].Record
	s.mu.Unlock()
	o := rec.Override
	if rec.ended(time.Now()) {
		o = nil
	}
	err := r.Adopt(t, o, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if old, ok := s.replica.known[target]; ok && !newer(rec, old) {
			return errOlder
		}
		return s.keep(target, rec, func() error {
			if o == nil {
				return s.Store.DeleteOverride(t)
			}
			return s.Store.SaveOverride(*o)
		})
	})
	switch {
	case err == nil:
		s.o.Log.Info("another node decided", "target", target, "node", rec.Node, "ended", rec.Override == nil)
	case !errors.Is(err, errOlder):
		s.o.Log.Error("what another node decided is not in force", "target", target, "node", rec.Node, "error", err)
	}
}

// push writes what the KV has yet to be told. What was changed there meanwhile is left: pull hears of it, and compares.
func (s *Store) push(ctx context.Context) {
	s.mu.Lock()
	targets := s.replica.pending()
	s.mu.Unlock()
	for _, target := range targets {
		s.mu.Lock()
		rec, index := s.replica.known[target], s.replica.there[target].index
		s.mu.Unlock()
		value, err := json.Marshal(rec)
		if err != nil {
			s.fared(err)
			return
		}
		done, err := s.o.KV.Set(ctx, target, value, index)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.fared(err)
			time.AfterFunc(minRetry, func() { tick(s.dirty) })
			return
		}
		if done {
			s.mu.Lock()
			s.replica.pushed(target, rec)
			s.mu.Unlock()
		}
	}
}

// fared notes how the KV fares.
func (s *Store) fared(err error) {
	s.mu.Lock()
	was := s.failing
	if s.err = err; err == nil {
		s.failing = time.Time{}
	} else if was.IsZero() {
		s.failing = time.Now()
	}
	s.mu.Unlock()
	switch {
	case err != nil && was.IsZero():
		s.o.Log.Warn("overrides are not shared for now; those of this node work", "error", err)
	case err == nil && !was.IsZero():
		s.o.Log.Info("overrides are shared again", "after", time.Since(was).Round(time.Millisecond).String())
	}
}

// Problems says what is not shared, one sentence each.
func (s *Store) Problems() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		out = append(out, fmt.Sprintf("drains and forced states are not shared with other nodes since %s (%d of this node wait): %v",
			s.failing.Format(time.RFC3339), len(s.replica.pending()), s.err))
	}
	for _, why := range s.replica.bad {
		out = append(out, "a shared override is ignored: "+why)
	}
	return out
}

func tick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// nowhere keeps nothing.
type nowhere struct{}

func (nowhere) PutShared(string, []byte) error         { return nil }
func (nowhere) LoadShared() (map[string][]byte, error) { return nil, nil }
