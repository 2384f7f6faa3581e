package consul

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/meridian-gslb/meridian/registry"
)

// Times of the questions to Consul.
const (
	wait          = time.Minute                 // that a blocking query may take; Consul adds up to a sixteenth
	longestAnswer = wait*17/16 + 10*time.Second // after which nothing more will come
	gap           = 100 * time.Millisecond      // at least, between two questions for the same thing
	sweepEvery    = time.Second                 // at most, are all services read again
	sweepIdle     = 5 * time.Minute             // at least
	sweepers      = 16                          // questions at once of a sweep
	minRetry      = 500 * time.Millisecond      // after the first failure; doubled after each, with jitter
	maxRetry      = 30 * time.Second
	writeTimeout  = 10 * time.Second
	settle        = 20 * time.Millisecond // for which a change waits for others before it is published
)

// Watch replaces what is wanted. What is known of services that stay wanted stays.
func (s *Source) Watch(w Wanted) {
	s.mu.Lock()
	s.wanted = w
	wanted := make(map[string]bool, len(w.Services))
	for _, service := range w.Services {
		wanted[service] = true
	}
	maps.DeleteFunc(s.results, func(q question, _ *result) bool { return !wanted[q.service] })
	if s.untried == nil {
		s.untried = map[question]bool{}
		for service := range wanted {
			for _, dc := range s.cfg.Datacenters {
				s.untried[question{dc, service}] = true
			}
		}
		if len(s.untried) == 0 {
			close(s.first)
		}
	}
	close(s.renewed)
	s.renewed = make(chan struct{})
	s.mu.Unlock()
	s.touch()
}

// FirstRound is closed when everything that the first call of Watch wanted has been asked for, with or without success.
func (s *Source) FirstRound() <-chan struct{} { return s.first }

// Status tells how Consul fares.
func (s *Source) Status() registry.SourceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := registry.SourceStatus{Name: SourceName, Wanted: len(s.wanted.Services)}
	failing, hidden, problem := 0, "", error(nil)
	for _, theirs := range s.wanted.Services {
		known := false
		for _, dc := range s.cfg.Datacenters {
			r := s.results[question{dc, theirs}]
			if r == nil {
				continue
			}
			known = known || r.known
			if st.Answered.Before(r.asked) {
				st.Answered = r.asked
			}
			if r.err != nil {
				if failing++; problem == nil || r.failing.Before(st.Since) {
					problem, st.Since = r.err, r.failing
				}
			}
			if r.hidden && (hidden == "" || theirs < hidden) {
				hidden = theirs
			}
		}
		if known {
			st.Known++
		}
	}
	switch {
	case failing > 0:
		st.Problem = fmt.Sprintf("%d of %d questions are not answered: %v", failing, len(s.wanted.Services)*len(s.cfg.Datacenters), problem)
	case hidden != "":
		st.Problem = fmt.Sprintf("the ACL token may not read all of service %q", hidden)
	}
	return st
}

// tried notes that a question has been asked. Callers hold mu.
func (s *Source) tried(q question) {
	if !s.untried[q] {
		return
	}
	if delete(s.untried, q); len(s.untried) == 0 {
		close(s.first)
	}
}

// touch says that there may be something new to publish.
func (s *Source) touch() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Run follows Consul and publishes what it learns, as registry.Source says. It publishes nothing before something is known, and never
// forgets what it knew because Consul fails.
func (s *Source) Run(ctx context.Context, publish func(registry.Catalog)) error {
	var group sync.WaitGroup
	defer group.Wait()
	for _, dc := range s.cfg.Datacenters {
		group.Go(func() { s.follow(ctx, dc) })
	}
	for {
		select {
		case <-s.changed:
		case <-ctx.Done():
			return nil
		}
		if !sleep(ctx, settle) {
			return nil
		}
		if c, ok := s.catalog(); ok {
			publish(c)
		}
	}
}

// follow watches the services that are wanted of a datacenter until ctx ends.
func (s *Source) follow(ctx context.Context, dc string) {
	watches := map[string]context.CancelFunc{}
	var group sync.WaitGroup
	defer group.Wait()
	stop := func(service string) {
		watches[service]()
		delete(watches, service)
	}
	for {
		s.mu.Lock()
		names := slices.Compact(slices.Sorted(maps.Values(s.wanted.Services)))
		renewed := s.renewed
		s.mu.Unlock()

		many := len(names)*len(s.cfg.Datacenters) > s.cfg.MaxWatches
		for service := range watches {
			if _, found := slices.BinarySearch(names, service); !found || many {
				stop(service)
			}
		}
		if many {
			inner, cancel := context.WithCancel(ctx)
			done := make(chan struct{})
			go func() {
				defer close(done)
				s.sweep(inner, dc, names)
			}()
			select {
			case <-renewed:
			case <-ctx.Done():
			}
			cancel()
			<-done
		} else {
			for _, service := range names {
				if watches[service] == nil {
					inner, cancel := context.WithCancel(ctx)
					watches[service] = cancel
					group.Go(func() { s.watch(inner, question{dc, service}) })
				}
			}
			select {
			case <-renewed:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			for service := range watches {
				stop(service)
			}
			return
		}
	}
}

// watch asks one question again and again, each time for what is newer than the last answer.
func (s *Source) watch(ctx context.Context, q question) {
	s.block(ctx, func(ctx context.Context, index uint64) (uint64, error) { return s.ask(ctx, q, index) })
}

// block calls ask with the index that the last call returned, by the rules of blocking queries, until ctx ends.
func (s *Source) block(ctx context.Context, ask func(context.Context, uint64) (uint64, error)) {
	index, retry := uint64(0), minRetry
	for ctx.Err() == nil {
		got, err := ask(ctx, index)
		if err != nil {
			if !sleep(ctx, retry/2+rand.N(retry)) {
				return
			}
			index, retry = 0, min(2*retry, maxRetry)
			continue
		}
		index, retry = nextIndex(index, got), minRetry
		if !sleep(ctx, gap) {
			return
		}
	}
}

// nextIndex returns what to wait for: 0, which waits for nothing, if the index went backwards; never 0 if Consul says 0, for that would ask
// without end.
func nextIndex(last, got uint64) uint64 {
	switch {
	case got < last:
		return 0
	case got == 0:
		return 1
	}
	return got
}

// ask asks one question and keeps the answer. It returns the index of the answer.
func (s *Source) ask(ctx context.Context, q question, index uint64) (uint64, error) {
	o, cancel, err := s.options(ctx, q.datacenter, index)
	defer cancel()
	if err != nil {
		s.failed(q, err)
		return 0, err
	}
	list, meta, err := s.client.Health().Service(q.service, "", false, o)
	if err != nil {
		if ctx.Err() == nil {
			s.failed(q, err)
		}
		return 0, err
	}
	s.learned(q, list, meta)
	return meta.LastIndex, nil
}

// options returns those of a question that waits for something newer than index, if that is not 0.
func (s *Source) options(ctx context.Context, dc string, index uint64) (*api.QueryOptions, context.CancelFunc, error) {
	o := &api.QueryOptions{Datacenter: dc, WaitIndex: index, WaitTime: wait, AllowStale: !s.cfg.Consistent, RequireConsistent: s.cfg.Consistent}
	ctx, cancel := context.WithTimeout(ctx, longestAnswer)
	var err error
	o.Token, err = s.token.read(time.Now())
	return o.WithContext(ctx), cancel, err
}

// failed notes that a question has no answer.
func (s *Source) failed(q question, err error) {
	s.mu.Lock()
	r := s.result(q)
	first := r.failing.IsZero()
	if r.err = err; first {
		r.failing = time.Now()
	}
	s.tried(q)
	s.mu.Unlock()
	if first {
		s.log.Warn("consul does not answer; what it said last stays", "service", q.service, "datacenter", q.datacenter, "error", err)
	}
}

// learned keeps an answer.
func (s *Source) learned(q question, list []*api.ServiceEntry, meta *api.QueryMeta) {
	s.mu.Lock()
	r := s.result(q)
	failing, hidden := r.failing, r.hidden
	r.instances, r.known, r.asked = list, true, time.Now()
	r.failing, r.err, r.hidden = time.Time{}, nil, meta.ResultsFilteredByACLs
	s.tried(q)
	s.mu.Unlock()
	if !failing.IsZero() {
		s.log.Info("consul answers again", "service", q.service, "datacenter", q.datacenter, "after", time.Since(failing).Round(time.Millisecond).String())
	}
	if meta.ResultsFilteredByACLs && !hidden {
		s.log.Warn("consul hides a part of the answer: the ACL token may not read all of it", "service", q.service, "datacenter", q.datacenter)
	}
	s.touch()
}

// result returns that of a question. Callers hold mu.
func (s *Source) result(q question) *result {
	r := s.results[q]
	if r == nil {
		r = &result{}
		s.results[q] = r
	}
	return r
}

// sweep reads all of many services, again whenever Consul says that some service or check has changed.
func (s *Source) sweep(ctx context.Context, dc string, names []string) {
	moved := make(chan struct{}, 1)
	moved <- struct{}{}
	tick := func() {
		select {
		case moved <- struct{}{}:
		default:
		}
	}
	var group sync.WaitGroup
	defer group.Wait()
	for _, look := range []func(*api.QueryOptions) (*api.QueryMeta, error){
		func(o *api.QueryOptions) (*api.QueryMeta, error) {
			_, meta, err := s.client.Catalog().Services(o)
			return meta, err
		},
		func(o *api.QueryOptions) (*api.QueryMeta, error) {
			o.Filter = `CheckID == ""` // nothing has none: it is the index that counts
			_, meta, err := s.client.Health().State(api.HealthAny, o)
			return meta, err
		},
	} {
		group.Go(func() {
			s.block(ctx, func(ctx context.Context, index uint64) (uint64, error) {
				o, cancel, err := s.options(ctx, dc, index)
				defer cancel()
				if err != nil {
					return 0, err
				}
				meta, err := look(o)
				if err != nil {
					return 0, fmt.Errorf("consul: %w", err)
				}
				if index != meta.LastIndex {
					tick()
				}
				return meta.LastIndex, nil
			})
		})
	}
	for {
		idle := time.NewTimer(sweepIdle)
		select {
		case <-moved:
		case <-idle.C:
		case <-ctx.Done():
		}
		idle.Stop()
		if ctx.Err() != nil {
			return
		}
		begun := time.Now()
		s.readAll(ctx, dc, names)
		if !sleep(ctx, sweepEvery-time.Since(begun)) {
			return
		}
	}
}

// readAll asks for all services, a few at a time. It ends early if Consul does not answer several of them.
func (s *Source) readAll(ctx context.Context, dc string, names []string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	defer group.Wait()
	next := make(chan string)
	var failures atomic.Int32
	for range sweepers {
		group.Go(func() {
			for service := range next {
				if _, err := s.ask(ctx, question{dc, service}, 0); err != nil && failures.Add(1) == sweepers {
					cancel()
				}
			}
		})
	}
	defer close(next)
	for _, service := range names {
		select {
		case next <- service:
		case <-ctx.Done():
			return
		}
	}
}

// sleep waits, and reports whether ctx goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
