// Package outside finds out where aliases lead that end at names in none of our zones, and keeps it known: the addresses of every
// such name are asked of recursive servers in the background, so that no query ever waits for one.
//
// A target's way: the zones of the World name it -> it is due -> a worker asks the servers, one after the other, until one answers
// -> the addresses at the end of the CNAME chain become part of the Snapshot -> their TTL runs out, and it is due again.
//
// What was found stays when the servers fail, with a short TTL (RFC 8767 4). That a name or its addresses do not exist is an answer
// like any other. Nothing is kept across restarts: the first round is over in the time that the servers take, and addresses saved
// by a process that ended long ago may be somebody else's by now.
package outside

import (
	"container/heap"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// Bounds of what is asked and kept.
const (
	MaxTargets   = 10_000 // names; more are not resolved, which is logged and counted
	MaxAddresses = 32     // of one name and family; of more, the lowest count
	MaxTTL       = 60     // seconds, of answers made of what is found here
	StaleTTL     = 30     // seconds, the most while the servers fail (RFC 8767 5)
	MaxServers   = 8
)

// Times of the schedule.
const (
	minRefresh   = 5 * time.Second
	maxRefresh   = time.Hour
	minRetry     = time.Second // of what is not known yet
	maxRetry     = time.Minute
	publishEvery = time.Second            // at most
	settle       = 100 * time.Millisecond // what is found this soon after a change is published with it
	inFlight     = 32                     // lookups at the same time
)

// A Config says whom to ask. The zero value asks nobody. Configure changes it while the Resolver runs.
type Config struct {
	// Servers are recursive servers, at most MaxServers. The one that answered last is asked first, the others in turn when it
	// fails. They must not be this server: it does not resolve, and refuses.
	Servers []netip.AddrPort

	// Timeout is how long a server may take for one question over UDP, and again over TCP. Default 2 s.
	Timeout time.Duration
}

func (c Config) withDefaults() *Config {
	c.Servers = slices.Clone(c.Servers[:min(len(c.Servers), MaxServers)])
	if c.Timeout <= 0 {
		c.Timeout = 2 * time.Second
	}
	return &c
}

// A World is where targets come from and what is found goes to: the Registry.
type World interface {
	Snapshot() *registry.Snapshot
	Subscribe() (changed <-chan struct{}, cancel func())
	SetOutside(*zone.Outside)
}

// A Resolver keeps the addresses of the targets of a World known. Its methods may be called concurrently.
type Resolver struct {
	log     *slog.Logger
	world   World
	targets func(*zone.Set, *policy.Plan) []wire.Name
	ask     func(ctx context.Context, server netip.AddrPort, q *dns.Msg, timeout time.Duration) (*dns.Msg, error)
	dice    func() float64 // [0,1)

	config  atomic.Pointer[Config]
	server  atomic.Uint32 // position of the one that answered last
	wake    chan struct{} // one token: the Config has changed
	first   chan struct{} // closed after the first round
	results chan result

	counts [numResults]atomic.Uint64

	mu       sync.Mutex // guards what follows; the goroutine of Run alone changes it, but for Configure, which moves what is due
	ran      bool
	zones    *zone.Set // whose targets these are
	plan     *policy.Plan
	lookups  map[key]*lookup
	schedule schedule // those that nobody works on
	names    int      // targets
	ignored  int      // targets beyond MaxTargets
	awaited  int      // lookups that the first round still waits for
	flying   int
	dirty    bool      // what is published is not what is known
	publish  time.Time // not before
	news     news
}

// New returns a Resolver that does nothing before Run. log may be nil.
func New(c Config, w World, log *slog.Logger) *Resolver {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &Resolver{
		log:     log,
		world:   w,
		targets: (*zone.Set).OutsideTargets,
		ask:     ask,
		dice:    rand.Float64,
		wake:    make(chan struct{}, 1),
		first:   make(chan struct{}),
		results: make(chan result, inFlight), // room for all, so that no worker waits for the end of Run
		lookups: map[key]*lookup{},
	}
	r.config.Store(c.withDefaults())
	return r
}

// Configure replaces the Config. What failed before is tried again at once.
func (r *Resolver) Configure(c Config) {
	now := c.withDefaults()
	was := r.config.Swap(now)
	if slices.Equal(was.Servers, now.Servers) {
		return
	}
	r.server.Store(0)
	r.mu.Lock()
	for _, l := range r.lookups {
		if l.failures > 0 || !l.known {
			l.due = time.Now()
		}
	}
	heap.Init(&r.schedule)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// FirstRound returns a channel that is closed when every target that Run found at its start has been asked for, with or without
// success, and the result is in the Snapshot. It stays open if Run ends before.
func (r *Resolver) FirstRound() <-chan struct{} { return r.first }

// Run keeps the targets resolved until ctx ends, then returns nil after every lookup has given up. It can be called once.
func (r *Resolver) Run(ctx context.Context) error {
	changed, cancel := r.world.Subscribe()
	defer cancel()
	if err := r.begin(); err != nil {
		return err
	}
	var workers sync.WaitGroup
	defer workers.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		for _, l := range r.turn() {
			workers.Go(func() { r.work(ctx, l) })
		}
		if wait, ok := r.next(); ok {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-r.wake:
		case <-timer.C:
		case res := <-r.results:
			r.take(res)
		}
	}
}

// begin notes which targets the first round consists of.
func (r *Resolver) begin() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ran {
		return errors.New("outside: Run called a second time")
	}
	r.ran = true
	r.follow(time.Now())
	if len(r.config.Load().Servers) > 0 {
		for _, l := range r.lookups {
			l.awaited = true
			r.awaited++
		}
	}
	if r.awaited == 0 {
		close(r.first)
	}
	return nil
}

// turn follows the World, publishes what is known if it is time, and returns the lookups to start.
func (r *Resolver) turn() []*lookup {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.follow(now)
	if r.pending() && !now.Before(r.publish) {
		r.flush(now)
	}
	if len(r.config.Load().Servers) == 0 {
		return nil
	}
	var start []*lookup
	for r.flying < inFlight && len(r.schedule) > 0 && !r.schedule[0].due.After(now) {
		l := heap.Pop(&r.schedule).(*lookup)
		r.flying++
		start = append(start, l)
	}
	return start
}

// next returns how long there is nothing to do, unless something happens; false if for ever.
func (r *Resolver) next() (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var at time.Time
	if r.flying < inFlight && len(r.schedule) > 0 && len(r.config.Load().Servers) > 0 {
		at = r.schedule[0].due
	} else if !r.pending() {
		return 0, false
	}
	if r.pending() && (at.IsZero() || r.publish.Before(at)) {
		at = r.publish
	}
	return max(time.Until(at), 0), true
}

// follow makes the lookups those of the World's zones, and of the hosts that aliases in them lead to. Callers hold mu.
func (r *Resolver) follow(now time.Time) {
	s := r.world.Snapshot()
	if s.Zones == r.zones && s.Plan == r.plan {
		return
	}
	r.zones, r.plan = s.Zones, s.Plan
	names := r.targets(s.Zones, s.Plan)
	if n := len(names); n > MaxTargets {
		slices.SortFunc(names, slices.Compare[wire.Name]) // so that the same ones count every time
		names = names[:MaxTargets]
		r.log.Error("too many alias targets outside our zones; the last by name are not resolved", "targets", n, "most", MaxTargets)
		r.ignored = n - MaxTargets
	} else {
		r.ignored = 0
	}
	r.names = len(names)
	keep := make(map[key]struct{}, 2*len(names))
	for _, name := range names {
		for _, rrtype := range [...]uint16{wire.TypeA, wire.TypeAAAA} {
			k := key{string(name), rrtype}
			keep[k] = struct{}{}
			if r.lookups[k] == nil {
				l := &lookup{name: slices.Clone(name), rrtype: rrtype, since: now, due: now}
				r.lookups[k] = l
				heap.Push(&r.schedule, l)
			}
		}
	}
	for k, l := range r.lookups {
		if _, ok := keep[k]; !ok {
			r.remove(k, l)
		}
	}
}

// remove forgets a lookup. If a worker is at it, take throws the result away. Callers hold mu.
func (r *Resolver) remove(k key, l *lookup) {
	delete(r.lookups, k)
	if l.place >= 0 {
		heap.Remove(&r.schedule, l.place)
	}
	r.dirty = r.dirty || l.known
	r.arrived(l)
}

// arrived notes that the first round need not wait for a lookup any more. Callers hold mu.
func (r *Resolver) arrived(l *lookup) {
	if !l.awaited {
		return
	}
	l.awaited = false
	if r.awaited--; r.awaited == 0 {
		r.flush(time.Now())
		close(r.first)
	}
}

// pending reports whether there is something to flush. Callers hold mu.
func (r *Resolver) pending() bool { return r.dirty || r.news != news{} }

// flush publishes what is known and logs what has changed. Callers hold mu.
func (r *Resolver) flush(now time.Time) {
	if r.dirty {
		sets := make([]zone.OutsideSet, 0, len(r.lookups))
		for _, l := range r.lookups {
			if l.known {
				sets = append(sets, zone.OutsideSet{Name: l.name, Type: l.rrtype, Set: l.set})
			}
		}
		r.world.SetOutside(zone.NewOutside(sets))
		r.dirty = false
	}
	r.news.tell(r.log)
	r.publish = now.Add(publishEvery)
}
