package registry

import (
	"testing"

	"github.com/meridian-gslb/meridian/policy"
)

// The history has every transition in force, once, with its reason, and forgets the oldest.
func TestEvents(t *testing.T) {
	r := applied(t, Options{})
	r.ReportWhy("web/a", policy.Verdict{State: policy.Down}, "2 of 3 probers say down")
	r.ReportWhy("web/a", policy.Verdict{State: policy.Down, TTL: 3}, "2 of 3 probers say down")
	if err := r.Force(Override{Target: Target{KindEndpoint, "web/a"}, State: policy.Up, Reason: "trial"}); err != nil {
		t.Fatal(err)
	}
	r.ReportWhy("web/a", policy.Verdict{State: policy.Up}, "probe") // without effect
	r.Note(Event{Kind: EventProber, Name: "b", From: "trusted", To: "gone"})
	got := r.Events(0)
	want := []Event{
		{Kind: EventEndpoint, Name: "web/a", From: "unknown", To: "down", Why: "2 of 3 probers say down"},
		{Kind: EventEndpoint, Name: "web/a", From: "down", To: "up", Forced: true, Why: "override of endpoint/web/a: trial"},
		{Kind: EventProber, Name: "b", From: "trusted", To: "gone"},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, e := range got {
		if e.At.IsZero() || e.Seq != uint64(i+1) {
			t.Errorf("%+v", e)
		}
		e.At, e.Seq = want[i].At, 0
		if e != want[i] {
			t.Errorf("%+v, want %+v", e, want[i])
		}
	}
	for range MaxEvents {
		r.Note(Event{Kind: EventVantage, Name: "redis"})
	}
	all := r.Events(0)
	if len(all) != MaxEvents || all[0].Seq != 4 || all[MaxEvents-1].Seq != MaxEvents+3 {
		t.Errorf("%d events from %d on", len(all), all[0].Seq)
	}
	if last := r.Events(MaxEvents + 2); len(last) != 1 || last[0].Seq != MaxEvents+3 {
		t.Errorf("after the last but one: %+v", last)
	}
	if none := r.Events(1 << 60); len(none) != 0 {
		t.Errorf("of the future: %+v", none)
	}
}
