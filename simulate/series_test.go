package simulate

import (
	"testing"

	"github.com/meridian-gslb/meridian/policy"
)

func TestSpan(t *testing.T) {
	for at, want := range map[int64]string{0: "0", 1: "1s", 59: "59s", 60: "1m", 90: "1m30s", 3600: "1h", 3661: "1h1m1s", 5400: "1h30m", 100 * 3600: "100h"} {
		if got := Span(at); got != want {
			t.Errorf("%d: %q, want %q", at, got, want)
		}
	}
}

func TestWhen(t *testing.T) {
	const monday = 1772409600 // 2 March 2026, 00:00 UTC
	for _, c := range []struct {
		start, duration, step, at int64
		want                      string
	}{
		{0, 3600, 60, 90, "1m30s"},
		{monday, 3600, 60, 0, "00:00"},
		{monday + 9*3600, 86400, 60, 90*60 + 30, "10:30"},
		{monday + 9*3600, 86400, 30, 90*60 + 30, "10:30:30"},
		{monday + 7, 3600, 60, 60, "00:01:07"},
		{monday, 2 * 86400, 3600, 86400 + 3600, "Tue 01:00"},
		{monday, 7 * 86400, 3600, 6 * 86400, "Sun 00:00"},
		{monday + 86399, 7 * 86400, 60, 0, "Mon 23:59:59"},
		{1, 7 * 86400, 60, 0, "Thu 00:00:01"},
	} {
		s := Series{Start: c.start, Duration: c.duration, Step: c.step}
		if got := s.When(c.at); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestEventString(t *testing.T) {
	for _, c := range []struct {
		event Event
		want  string
	}{
		{Event{Site: "eu", State: policy.Down}, "eu down"},
		{Event{Endpoint: "a", State: policy.Drained}, "a drained"},
		{Event{Endpoint: "a", State: policy.Up, Weight: 3}, "a up"},
		{Event{Endpoint: "a", Weight: 3}, "a weight 3"},
		{Event{Site: "eu", Load: load(800)}, "eu load 0.8"},
		{Event{Endpoint: "a"}, "a weight 0"},
	} {
		if got := c.event.String(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.event, got, c.want)
		}
	}
}

// TestOver: what may be rounding is not above the capacity; without one nothing is.
func TestOver(t *testing.T) {
	for _, c := range []struct {
		capacity, queries float64
		want              bool
	}{{0, 1e9, false}, {100, 100, false}, {100, 100.0001, false}, {100, 100.1, true}, {100, 99, false}} {
		if got := (&Peak{Capacity: c.capacity}).over(c.queries); got != c.want {
			t.Errorf("%v of %v: %v", c.queries, c.capacity, got)
		}
	}
}
