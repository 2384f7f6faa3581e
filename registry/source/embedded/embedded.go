// Package embedded is the registry inside the process: endpoints register over the HTTP API, keep themselves alive with
// heartbeats, and go away when they deregister or their lease ends. It needs no other system.
//
// A registration is on disk when it is acknowledged. Heartbeats are not: after a restart every lease gets its full time again.
package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meridian-gslb/meridian/registry"
)

// SourceName is the name under which the embedded registry publishes.
const SourceName = "embedded"

// ErrNotFound says that there is no such registration: there never was, it was withdrawn, or its lease has ended.
var ErrNotFound = errors.New("embedded: not registered")

// ErrFull says that there are as many registrations as there may be (registry.MaxEndpoints, registry.MaxEndpointsPerService).
var ErrFull = errors.New("embedded: no room")

// An EndpointStore keeps registrations across restarts. A write is durable when it returns nil; when it returns an error, it is not
// known whether it will be found after a restart. Its methods may be called concurrently.
type EndpointStore interface {
	PutEndpoint(key string, value []byte) error
	DeleteEndpoints(keys ...string) error // all or none; a key that is not there is no error
	LoadEndpoints() (map[string][]byte, error)
}

// Options are what a Registry needs from outside.
type Options struct {
	Log           *slog.Logger // default: discard
	AllowLoopback bool         // accept loopback and link-local addresses; see registry.Options.AllowLoopback
}

// A Registry holds the registrations. Its methods may be called concurrently; registrations of different endpoints go to disk together.
type Registry struct {
	log           *slog.Logger
	allowLoopback bool
	store         EndpointStore
	changed       chan struct{} // capacity 1: the Catalog has changed
	leased        chan struct{} // capacity 1: the next lease to end may be another
	stale         chan struct{} // capacity 1: there are ended keys to delete from disk

	// Every write of a key holds the key's lane, so that disk and memory see the writes of one key in one order. Nobody holds two
	// lanes; mu is taken after one. Only the end of a lease changes memory without a lane: it must not wait for the disk.
	lanes [256]sync.Mutex
	seed  maphash.Seed

	mu       sync.Mutex        // guards what follows; never held during I/O
	entries  map[string]*entry // by key, "service/name"
	services map[string]map[string]*entry
	reserved map[string]int // keys on their way to disk that have no entry, by service: they count against the limits
	total    int            // the same, in all
	leases   leaseQueue
	ended    map[string]struct{} // keys whose lease has ended and that may still be on disk
}

// An entry is one registration as it stands.
type entry struct {
	reg      Registration // never changes; a new registration replaces it
	deadline time.Time    // when the lease ends; zero: never
	position int          // in the lease queue; -1: not in it
	replaced bool         // a registration that replaces it is on its way to disk
	doubtful bool         // a write of its key failed: what is on disk may be another, or nothing
}

// New returns a Registry of what the store holds. A nil store keeps everything in memory only. Leases found in the store get their
// full time from now, and again from Run.
func New(store EndpointStore, o Options) (*Registry, error) {
	r := &Registry{
		log: o.Log, allowLoopback: o.AllowLoopback, store: store,
		changed:  make(chan struct{}, 1),
		leased:   make(chan struct{}, 1),
		stale:    make(chan struct{}, 1),
		seed:     maphash.MakeSeed(),
		entries:  map[string]*entry{},
		services: map[string]map[string]*entry{},
		reserved: map[string]int{},
		ended:    map[string]struct{}{},
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.store == nil {
		r.store = nowhere{}
	}
	saved, err := r.store.LoadEndpoints()
	if err != nil {
		return nil, fmt.Errorf("embedded: registrations not restored: %w", err)
	}
	now := time.Now()
	for _, key := range slices.Sorted(maps.Keys(saved)) {
		reg, err := restore(saved[key])
		if err != nil { // written by another version: one endpoint must not keep the others away
			r.log.Error("registration not restored; it stays in the store", "endpoint", key, "error", err)
			continue
		}
		r.set(reg, now)
	}
	return r, nil
}

// restore reads what Register stored.
func restore(value []byte) (Registration, error) {
	var saved Registration
	if err := json.Unmarshal(value, &saved); err != nil {
		return Registration{}, err
	}
	reg, err := saved.normalize(true) // loopback addresses that are no longer allowed are refused when merging, where that shows
	reg.Registered = saved.Registered
	return reg, err
}

// Register adds an endpoint, or replaces the registration of the same service and name, and starts its lease. It is durable when
// Register returns, and part of the next Catalog. It returns what was stored, with defaults filled in; created is false if it
// replaced another. Registering the same again renews the lease and costs no write, unless one has failed. Errors: a *ValidationError; ErrFull;
// or a registry.ErrStore, and then nothing has changed here, but the registration may or may not be found after a restart.
func (r *Registry) Register(reg Registration) (stored Registration, created bool, err error) {
	reg, err = reg.normalize(r.allowLoopback)
	if err != nil {
		return Registration{}, false, err
	}
	now := time.Now()
	reg.Registered = now.UTC().Truncate(time.Millisecond)
	if stored, ok := r.renew(reg, now); ok { // without the lane: a disk that hangs must not end leases that are renewed this way
		return stored, false, nil
	}

	lane := r.lane(reg.key())
	lane.Lock()
	defer lane.Unlock()
	if stored, ok := r.renew(reg, now); ok { // the same came while we waited
		return stored, false, nil
	}
	since, err := r.reserve(reg)
	if err != nil {
		return Registration{}, false, err
	}
	if !since.IsZero() {
		reg.Registered = since
	}
	value, err := json.Marshal(reg)
	if err == nil {
		err = r.store.PutEndpoint(reg.key(), value)
	}
	stored, created = r.settle(reg, err)
	if err != nil {
		return Registration{}, false, fmt.Errorf("embedded: %s not registered: %w: %w", reg.key(), registry.ErrStore, err)
	}
	tick(r.changed)
	tick(r.leased)
	r.log.Info("endpoint registered", "endpoint", reg.key(), "new", created, "addresses", reg.Address, "site", reg.Site, "ttl", reg.TTL)
	return stored, created, nil
}

// Heartbeat starts the lease of an endpoint anew and returns its registration. One without a lease needs none, and takes none amiss.
// The error is ErrNotFound: register again.
func (r *Registry) Heartbeat(service, name string) (Registration, error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[key(service, name)]
	if e == nil {
		return Registration{}, ErrNotFound
	}
	r.lease(e, now)
	return e.view(), nil
}

// Deregister removes an endpoint. It is durable when Deregister returns. Errors: ErrNotFound; or a registry.ErrStore, and then nothing has
// changed here, but the registration may or may not be found after a restart.
func (r *Registry) Deregister(service, name string) error {
	k := key(service, name)
	lane := r.lane(k)
	lane.Lock()
	defer lane.Unlock()

	r.mu.Lock()
	e := r.entries[k]
	r.mu.Unlock()
	if e == nil {
		return ErrNotFound
	}
	err := r.store.DeleteEndpoints(k)
	r.mu.Lock()
	e.doubtful = err != nil
	if err == nil && r.entries[k] == e { // else its lease ended meanwhile
		r.remove(e)
	}
	r.mu.Unlock()
	if err != nil {
		return fmt.Errorf("embedded: %s not deregistered: %w: %w", k, registry.ErrStore, err)
	}
	tick(r.changed)
	r.log.Info("endpoint deregistered", "endpoint", k)
	return nil
}

// Get returns one registration. The error is ErrNotFound.
func (r *Registry) Get(service, name string) (Registration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[key(service, name)]
	if e == nil {
		return Registration{}, ErrNotFound
	}
	return e.view(), nil
}

// List returns the registrations of a service, sorted by name; none if nobody registered for it.
func (r *Registry) List(service string) []Registration {
	r.mu.Lock()
	list := make([]Registration, 0, len(r.services[service]))
	for _, e := range r.services[service] {
		list = append(list, e.view())
	}
	r.mu.Unlock()
	slices.SortFunc(list, func(a, b Registration) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Services returns the names of the services that have registrations, sorted.
func (r *Registry) Services() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.services))
}

// renew starts the lease of an entry anew if it is what reg asks for, and returns its registration.
func (r *Registry) renew(reg Registration, now time.Time) (Registration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[reg.key()]
	if e == nil || e.doubtful || !e.reg.same(reg) {
		return Registration{}, false
	}
	r.lease(e, now)
	return e.view(), true
}

// reserve makes room for a registration that is to go to disk, until settle. It returns since when its key has been registered; zero:
// it is not. Callers hold the key's lane.
func (r *Registry) reserve(reg Registration) (since time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.entries[reg.key()]; e != nil {
		e.replaced = true
		return e.reg.Registered, nil
	}
	switch {
	case len(r.entries)+r.total >= registry.MaxEndpoints:
		return time.Time{}, fmt.Errorf("%w: %d endpoints are registered", ErrFull, registry.MaxEndpoints)
	case len(r.services[reg.Service])+r.reserved[reg.Service] >= registry.MaxEndpointsPerService:
		return time.Time{}, fmt.Errorf("%w: %d endpoints are registered for %s", ErrFull, registry.MaxEndpointsPerService, reg.Service)
	}
	r.hold(reg.Service)
	return time.Time{}, nil
}

// settle makes a registration stand that came to disk, or leaves all as it is if it failed to. It gives back what reserve made room
// for, or what the end of the lease kept free since. created is false if the registration replaced another.
func (r *Registry) settle(reg Registration, failed error) (stored Registration, created bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[reg.key()]
	if e == nil {
		r.release(reg.Service)
	}
	if failed == nil {
		return r.set(reg, time.Now()).view(), e == nil
	}
	if e != nil {
		e.replaced, e.doubtful = false, true
	}
	return Registration{}, false
}

// hold counts a key without an entry that is on its way to disk, release counts it out. Callers hold mu.
func (r *Registry) hold(service string) {
	r.reserved[service]++
	r.total++
}

func (r *Registry) release(service string) {
	r.total--
	if r.reserved[service]--; r.reserved[service] == 0 {
		delete(r.reserved, service)
	}
}

// set makes a registration stand. Callers hold mu.
func (r *Registry) set(reg Registration, now time.Time) *entry {
	if old := r.entries[reg.key()]; old != nil {
		r.remove(old)
	}
	e := &entry{reg: reg, position: -1}
	r.entries[reg.key()] = e
	of := r.services[reg.Service]
	if of == nil {
		of = map[string]*entry{}
		r.services[reg.Service] = of
	}
	of[reg.Name] = e
	r.lease(e, now)
	return e
}

// remove forgets an entry. Callers hold mu.
func (r *Registry) remove(e *entry) {
	delete(r.entries, e.reg.key())
	of := r.services[e.reg.Service]
	delete(of, e.reg.Name)
	if len(of) == 0 {
		delete(r.services, e.reg.Service)
	}
	r.leases.drop(e)
}

// view returns a registration for people: its own copy, with the time its lease ends.
func (e *entry) view() Registration {
	v := e.reg
	weight := *v.Weight
	v.Weight = &weight
	v.Address = slices.Clone(v.Address)
	v.ALPN = slices.Clone(v.ALPN)
	v.Meta = maps.Clone(v.Meta)
	if !e.deadline.IsZero() {
		v.Expires = e.deadline.UTC().Truncate(time.Millisecond)
	}
	return v
}

func (r *Registry) lane(key string) *sync.Mutex {
	return &r.lanes[maphash.String(r.seed, key)%uint64(len(r.lanes))]
}

func key(service, name string) string { return service + "/" + name }

// tick puts a token into a channel of capacity 1 unless one is there.
func tick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// nowhere is the store of a Registry that has none.
type nowhere struct{}

func (nowhere) PutEndpoint(string, []byte) error          { return nil }
func (nowhere) DeleteEndpoints(...string) error           { return nil }
func (nowhere) LoadEndpoints() (map[string][]byte, error) { return nil, nil }
