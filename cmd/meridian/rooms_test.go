package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRoomsEndInOrder: the end of the context stops nothing by itself; each room ends when it is told to, and is waited for.
func TestRoomsEndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := newRooms(ctx)
		var order []string
		live := func(name string, lastWords time.Duration) *room {
			return r.start(name, func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(lastWords)
				order = append(order, name)
				return nil
			})
		}
		edge, dns := live("edge", time.Second), live("dns", 0)
		cancel()
		synctest.Wait()
		if r.failed.Err() == nil || len(order) != 0 {
			t.Fatalf("told to end: %v, ended: %v", r.failed.Err(), order)
		}
		edge.stop()
		dns.stop()
		(*room)(nil).stop()
		if strings.Join(order, " ") != "edge dns" || r.err() != nil {
			t.Errorf("%v %v", order, r.err())
		}
	})
}

// TestRoomThatFails: the others are to end, and the error says which room it was. A room that ends unasked has failed.
func TestRoomThatFails(t *testing.T) {
	for _, err := range []error{errors.New("no socket"), nil} {
		synctest.Test(t, func(t *testing.T) {
			r := newRooms(t.Context())
			other := r.start("other", func(ctx context.Context) error { <-ctx.Done(); return nil })
			broken := r.start("broken", func(context.Context) error { return err })
			<-r.failed.Done()
			other.stop()
			broken.stop()
			want := "broken: ended by itself"
			if err != nil {
				want = "broken: no socket"
			}
			if r.err() == nil || r.err().Error() != want {
				t.Errorf("%v, want %s", r.err(), want)
			}
		})
	}
}
