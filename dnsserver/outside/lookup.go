package outside

import (
	"container/heap"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// A key names a lookup.
type key struct {
	name   string // wire form
	rrtype uint16
}

// A lookup is a target and an address family, and what is known of it.
type lookup struct {
	name   wire.Name
	rrtype uint16

	known    bool        // set is what a server said
	set      *wire.RRset // with the TTL to be served; nil: there are no such addresses
	since    time.Time   // when a server last answered, or when it became a target
	failures int         // in a row
	awaited  bool        // by the first round

	due   time.Time
	place int // in the schedule; -1: a worker is at it
}

// A result is what came of one round of questions.
type result struct {
	lookup *lookup
	found  found
	err    error
}

// work asks for a lookup's addresses.
func (r *Resolver) work(ctx context.Context, l *lookup) {
	f, err := r.resolve(ctx, l.name, l.rrtype)
	r.results <- result{l, f, err}
}

// take notes the result of a lookup and when it is due again.
func (r *Resolver) take(res result) {
	l, now := res.lookup, time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flying--
	if r.lookups[key{string(l.name), l.rrtype}] != l {
		return // no target any more
	}
	r.count(res)
	quiet := !r.pending()
	if res.err != nil {
		r.failed(l, res.err, now)
	} else {
		r.found(l, res.found, now)
	}
	if soon := now.Add(settle); quiet && r.publish.Before(soon) {
		r.publish = soon
	}
	heap.Push(&r.schedule, l)
	r.arrived(l)
}

// found notes an answer. Callers hold mu.
func (r *Resolver) found(l *lookup, f found, now time.Time) {
	if l.failures > 0 {
		r.news.recover(l)
	}
	if set := f.set(l.rrtype); !l.known || !equal(l.set, set) {
		l.set, r.dirty = set, true
	}
	l.known, l.since, l.failures = true, now, 0
	// Not before the TTL has run out: until then a server would answer from its cache, with what is left of the very same.
	wait := min(max(time.Duration(f.ttl)*time.Second, minRefresh), maxRefresh)
	l.due = now.Add(wait + r.jitter(time.Second+wait/20))
}

// failed notes that no server answered. What is known stays, with a TTL that lets the next answer be seen soon. Callers hold mu.
func (r *Resolver) failed(l *lookup, err error, now time.Time) {
	if l.failures == 0 {
		r.news.fail(l, err)
	}
	if l.set != nil && l.set.TTL > StaleTTL {
		l.set = &wire.RRset{Type: l.set.Type, TTL: StaleTTL, RData: l.set.RData}
		r.dirty = true
	}
	wait := minRetry
	if l.known {
		wait = minRefresh
	}
	wait = min(wait<<min(l.failures, 10), maxRetry)
	l.failures++
	l.due = now.Add(wait + r.jitter(wait/5))
}

// jitter returns a random part of d, so that what was found together is not asked for together for ever.
func (r *Resolver) jitter(d time.Duration) time.Duration {
	return time.Duration(r.dice() * float64(d))
}

// equal reports whether two sets make the same answers.
func equal(a, b *wire.RRset) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Type == b.Type && a.TTL == b.TTL && slices.EqualFunc(a.RData, b.RData, slices.Equal[[]byte])
}

// A schedule is a heap of lookups by when they are due.
type schedule []*lookup

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due.Before(s[j].due) }
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i, j
}

// Push implements heap.Interface.
func (s *schedule) Push(x any) {
	l := x.(*lookup)
	l.place = len(*s)
	*s = append(*s, l)
}

// Pop implements heap.Interface.
func (s *schedule) Pop() any {
	last := len(*s) - 1
	l := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	l.place = -1
	return l
}

// news are the transitions since the log was last written: one line for all of them, as the failure of a server hits every target.
type news struct {
	failed, recovered   int
	fell, rose, fellErr string // the first of each
}

func (n *news) fail(l *lookup, err error) {
	if n.failed++; n.failed == 1 {
		n.fell, n.fellErr = l.name.String(), err.Error()
	}
}

func (n *news) recover(l *lookup) {
	if n.recovered++; n.recovered == 1 {
		n.rose = l.name.String()
	}
}

// tell logs the news and forgets them.
func (n *news) tell(log *slog.Logger) {
	if n.failed > 0 {
		log.Warn("alias targets do not resolve; what is known of them stays", "lookups", n.failed, "first", n.fell, "error", n.fellErr)
	}
	if n.recovered > 0 {
		log.Info("alias targets resolve again", "lookups", n.recovered, "first", n.rose)
	}
	*n = news{}
}
