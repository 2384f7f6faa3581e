// Package registry holds the one current truth: what exists, what works and what operators forced, as a Snapshot behind one
// atomic pointer.
//
// Five writers meet here. The configuration file says what exists (Compile, Apply), sources add endpoints to it (Publish),
// probes say what works (Report), operators overrule them (Force, Unforce), and a resolver says where aliases to names outside our
// zones lead (SetOutside). Every change makes one new Snapshot; readers load
// the newest with Snapshot and never wait for a writer.
package registry

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/l7edge/route"
	"github.com/meridian-gslb/meridian/policy"
)

// A Definition is what the configuration file says: everything but what sources add and probes find out.
type Definition struct {
	Policy policy.Spec
	Zones  []zone.Spec
	Views  []zone.ViewSpec // that zones may name, in the order in which a client's is looked for
	Routes []route.Spec
	Probed []string // services whose endpoints are checked: until Report says more, answers with them live one second
}

// A World is a compiled Definition merged with what sources published. It never changes.
type World struct {
	Plan   *policy.Plan
	Zones  *zone.Set
	Routes *route.Table
}

// A Snapshot is the truth of one moment. It, and all that hangs off it, never changes. A query or a stream loads one and uses
// nothing else.
type Snapshot struct {
	Gen uint64 // grows by one with every change
	World
	Health  policy.Health
	Outside *zone.Outside // what resolvers said of names that aliases lead to; nil: nothing is known
}

// A Catalog is the full state of one source. It never changes once published.
type Catalog struct {
	// Services are endpoints by service.
	Services map[string][]policy.EndpointSpec

	// States are what the source itself says of endpoints, by full name: Drained takes one out; Down does if the service is not probed, for
	// what we see ourselves goes before what a source says. Nothing said is Unknown.
	States map[string]policy.State

	// Refused are those that the source could not make endpoints of.
	Refused []Refusal
}

// A SourceStatus is how a source fares.
type SourceStatus struct {
	Name     string    `json:"name"`
	Wanted   int       `json:"wanted"`            // services that the configuration takes from it
	Known    int       `json:"known"`             // those of them that it has told of
	Answered time.Time `json:"answered,omitzero"` // when it last told anything
	Problem  string    `json:"problem,omitempty"` // what does not work; what was known stays in force
	Since    time.Time `json:"since,omitzero"`    // since when
}

// A Source turns one outside system into full Catalogs. Run returns when ctx ends, after every goroutine it started has ended.
type Source interface {
	Run(ctx context.Context, publish func(Catalog)) error
}

// Options are what a Registry needs from outside. The zero Options make a Registry that remembers nothing across restarts.
type Options struct {
	Log   *slog.Logger     // default: discard
	Store Store            // where overrides and health are kept; nil: nowhere, they end with the process
	Now   func() time.Time // default: time.Now, whose monotonic reading keeps overrides to their length when the clock steps

	// AllowLoopback lets sources publish loopback and link-local addresses (127.0.0.0/8, ::1, 169.254.0.0/16, fe80::/10). Default
	// false: whoever may register an endpoint must not turn probes and the edge against this machine's own ports or a cloud's
	// metadata service. Demos and tests on one machine set it. Endpoints of the file may always use them: the operator wrote them.
	AllowLoopback bool
}

// A Registry makes Snapshots. All its methods may be called concurrently. Readers (Snapshot) never wait; writers take turns.
type Registry struct {
	log           *slog.Logger
	store         Store
	now           func() time.Time
	allowLoopback bool

	current atomic.Pointer[Snapshot] // written under mu
	expiry  chan struct{}            // capacity 1: the overrides have changed, so the next one to expire may have
	unsaved chan struct{}            // capacity 1: there is something for the saver to write

	storing sync.Mutex // serialises changes of stored overrides; held during the store's I/O, and always taken before mu

	mu          sync.Mutex // guards what follows; never held during I/O
	compiled    *Compiled
	catalogs    map[string]Catalog // by source
	merged      merged
	endpoints   map[string]*endpointState // by full name; outlives Plans
	overrides   map[Target]standing
	expired     []Target // gone from overrides, not yet from the store
	healthDirty bool     // a probed state differs from what the store has
	subscribers map[chan struct{}]struct{}
	saveErrors  uint64

	history history // has a lock of its own
}

// New returns a Registry whose Snapshot is an empty World of generation 0.
func New(o Options) *Registry {
	r := &Registry{
		log: o.Log, store: o.Store, now: o.Now, allowLoopback: o.AllowLoopback,
		expiry:      make(chan struct{}, 1),
		unsaved:     make(chan struct{}, 1),
		catalogs:    map[string]Catalog{},
		endpoints:   map[string]*endpointState{},
		overrides:   map[Target]standing{},
		subscribers: map[chan struct{}]struct{}{},
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.store == nil {
		r.store = nowhere{}
	}
	if r.now == nil {
		r.now = time.Now
	}
	empty, _ := Compile(Definition{}) // nothing in it, so nothing wrong with it
	r.compiled = empty
	r.merged = empty.merged()
	r.current.Store(&Snapshot{World: World{Plan: empty.plan, Zones: empty.zones, Routes: empty.routes}, Health: policy.NewHealth(0)})
	return r
}

// Snapshot returns the newest truth, never nil. It costs one atomic load.
func (r *Registry) Snapshot() *Snapshot { return r.current.Load() }

// Subscribe returns a channel that gets a tick after the World changed (Apply, or a Publish that made a difference; not a change
// of health alone). Ticks coalesce: one stands for any number of changes since the last was taken, so a slow subscriber holds
// nobody up and misses nothing if it loads Snapshot after each. cancel ends the subscription; the channel is not closed.
func (r *Registry) Subscribe() (changed <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	r.mu.Lock()
	r.subscribers[c] = struct{}{}
	r.mu.Unlock()
	return c, func() {
		r.mu.Lock()
		delete(r.subscribers, c)
		r.mu.Unlock()
	}
}

// tick puts a token into a channel of capacity 1 unless one is there.
func tick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
