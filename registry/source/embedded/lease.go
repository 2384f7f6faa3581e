package embedded

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// publishEvery is the least time between two Catalogs: a thousand registrations in a row make a few, not a thousand.
const publishEvery = 100 * time.Millisecond

// publishRest is how many times longer than a publication took the pause after it is at least, so that constant change among very many
// endpoints does not take a whole core.
const publishRest = 4

// stall is how late Run may notice the end of a lease before it takes the process, and not the endpoint, to have been away: heartbeats
// that came meanwhile lie unread.
const stall = 2 * time.Second

var _ registry.Source = (*Registry)(nil)

// lastSweep is how long Run waits for the store when it ends.
const lastSweep = 5 * time.Second

// Run publishes the Catalog: at once, and within a tenth of a second of each change (with tens of thousands of endpoints, within a
// second or two). It removes endpoints whose lease has ended; every lease has its full time when Run begins. It returns nil when
// ctx ends. Call it once.
//
// Neither publication nor the end of leases waits for the store: what has ended is deleted from it beside. A store that hangs holds
// Run up for lastSweep when ctx ends; the deletion under way is then left behind, and logged.
func (r *Registry) Run(ctx context.Context, publish func(registry.Catalog)) error {
	r.renewAll(time.Now())
	over, swept := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(swept)
		r.sweep(over)
	}()
	r.follow(ctx, publish)
	close(over)
	limit := time.NewTimer(lastSweep)
	defer limit.Stop()
	select {
	case <-swept:
	case <-limit.C:
		r.log.Error("ended leases may still be on disk, which does not answer; a restart brings them back for the length of their lease",
			"waited", lastSweep)
	}
	return nil
}

// follow publishes and ends leases until ctx ends.
func (r *Registry) follow(ctx context.Context, publish func(registry.Catalog)) {
	lease := time.NewTimer(0)
	defer lease.Stop()
	due := time.Now()
	next := time.NewTimer(0)
	defer next.Stop()
	tick(r.changed)
	var ready <-chan struct{} // r.changed once publishEvery has passed
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			ready = r.changed
		case <-ready:
			begin := time.Now()
			publish(r.catalog())
			ready = nil
			next.Reset(max(publishEvery, publishRest*time.Since(begin)))
		case <-r.leased:
			due = r.schedule(lease)
		case <-lease.C:
			r.expire(due, time.Now())
			due = r.schedule(lease)
		}
	}
}

// catalog returns all registrations as the registry merges them.
func (r *Registry) catalog() registry.Catalog {
	r.mu.Lock()
	names := make([]string, 0, len(r.services))
	for service := range r.services {
		names = append(names, service)
	}
	r.mu.Unlock()
	c := registry.Catalog{Services: make(map[string][]policy.EndpointSpec, len(names))}
	for _, service := range names {
		for _, reg := range r.List(service) {
			c.Services[service] = append(c.Services[service], reg.Spec())
		}
	}
	return c
}

// schedule sets the timer to the end of the next lease and returns it.
func (r *Registry) schedule(timer *time.Timer) (due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.leases) == 0 {
		timer.Stop()
		return time.Time{}
	}
	due = r.leases[0].deadline
	timer.Reset(time.Until(due))
	return due
}

// expire removes the endpoints whose lease has ended. due is when the first was to end; if now is much later, the process was stopped
// or starved, could not hear heartbeats, and gives every lease that time back, and some more to hear them now.
func (r *Registry) expire(due, now time.Time) {
	if late := now.Sub(due); late > stall && !due.IsZero() {
		r.log.Warn("the process was held up: all leases are prolonged", "by", late)
		r.prolong(late + stall)
	}
	var ended []string
	r.mu.Lock()
	for len(r.leases) > 0 && r.leases[0].ended(now) {
		e := r.leases[0]
		r.remove(e)
		if e.replaced {
			r.hold(e.reg.Service) // its successor keeps the place
		}
		ended = append(ended, e.reg.key())
		r.ended[e.reg.key()] = struct{}{}
	}
	r.mu.Unlock()
	if len(ended) == 0 {
		return
	}
	tick(r.changed)
	tick(r.stale)
	for _, key := range ended {
		r.log.Info("endpoint removed: its lease has ended", "endpoint", key)
	}
}

// sweep deletes what has ended from disk until the channel is closed, and once more then.
func (r *Registry) sweep(over <-chan struct{}) {
	for {
		select {
		case <-r.stale:
			r.deleteEnded()
		case <-over:
			r.deleteEnded()
			return
		}
	}
}

// deleteEnded deletes from disk what has ended, one lane after the other: a disk that hangs blocks no more than the writes that it
// would block anyway.
func (r *Registry) deleteEnded() {
	r.mu.Lock()
	ended := r.ended
	r.ended = map[string]struct{}{} // it takes only keys that the store took, so it stops growing when that hangs
	r.mu.Unlock()
	byLane := map[*sync.Mutex][]string{}
	for key := range ended {
		byLane[r.lane(key)] = append(byLane[r.lane(key)], key)
	}
	failed := 0
	var reason error
	for lane, keys := range byLane {
		if err := r.deleteFrom(lane, keys); err != nil {
			failed, reason = failed+len(keys), err
		}
	}
	if failed > 0 {
		r.log.Error("ended leases are not deleted from disk; a restart brings them back for the length of their lease",
			"endpoints", failed, "error", reason)
	}
}

// deleteFrom deletes keys of one lane from disk, but for those that have registered again.
func (r *Registry) deleteFrom(lane *sync.Mutex, keys []string) error {
	lane.Lock()
	defer lane.Unlock()
	r.mu.Lock()
	keys = slices.DeleteFunc(keys, func(key string) bool { return r.entries[key] != nil })
	r.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	return r.store.DeleteEndpoints(keys...)
}

// ended says whether the entry has a lease and it is over.
func (e *entry) ended(now time.Time) bool { return !e.deadline.IsZero() && !now.Before(e.deadline) }

// lease starts the lease of an entry, if it has one; it never shortens one. Callers hold mu.
func (r *Registry) lease(e *entry, now time.Time) {
	deadline := now.Add(time.Duration(e.reg.TTL))
	if e.reg.TTL == 0 || deadline.Before(e.deadline) {
		return
	}
	e.deadline = deadline
	if e.position < 0 {
		heap.Push(&r.leases, e)
	} else {
		heap.Fix(&r.leases, e.position)
	}
}

// renewAll starts every lease anew.
func (r *Registry) renewAll(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		r.lease(e, now)
	}
}

// prolong adds to every lease, which leaves their order as it is.
func (r *Registry) prolong(by time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.leases {
		e.deadline = e.deadline.Add(by)
	}
}

// A leaseQueue is the entries with a lease, a heap by deadline (container/heap).
type leaseQueue []*entry

func (q leaseQueue) Len() int           { return len(q) }
func (q leaseQueue) Less(i, j int) bool { return q[i].deadline.Before(q[j].deadline) }

func (q leaseQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].position, q[j].position = i, j
}

// Push is for container/heap.
func (q *leaseQueue) Push(x any) {
	e := x.(*entry)
	e.position = len(*q)
	*q = append(*q, e)
}

// Pop is for container/heap.
func (q *leaseQueue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	e.position = -1
	return e
}

// drop takes an entry out, if it is in.
func (q *leaseQueue) drop(e *entry) {
	if e.position >= 0 {
		heap.Remove(q, e.position)
	}
}
