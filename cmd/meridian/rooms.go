package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// rooms runs the parts of a node, each with a context of its own, so that they can be ended one after the other.
type rooms struct {
	failed context.Context // ends when the process is told to end, or when a room ends by itself
	fail   context.CancelFunc

	mu   sync.Mutex
	errs []error
}

func newRooms(ctx context.Context) *rooms {
	r := &rooms{}
	r.failed, r.fail = context.WithCancel(ctx)
	return r
}

// A room is one part that runs.
type room struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// start runs a part until it is stopped. If it ends by itself, all others are to end too.
func (r *rooms) start(name string, run func(context.Context) error) *room {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.failed))
	m := &room{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		err := run(ctx)
		if err == nil && ctx.Err() == nil {
			err = errors.New("ended by itself")
		}
		if err != nil {
			r.mu.Lock()
			r.errs = append(r.errs, fmt.Errorf("%s: %w", name, err))
			r.mu.Unlock()
		}
		r.fail()
	}()
	return m
}

// stop ends a part and waits until all that it started has ended. A nil room never was.
func (m *room) stop() {
	if m != nil {
		m.cancel()
		<-m.done
	}
}

func (r *rooms) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.errs...)
}
