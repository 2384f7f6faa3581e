package simulate

import (
	"math"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// TestSticky: clients stay, and when one endpoint of six goes, about a sixth of them move, and later the same ones back.
func TestSticky(t *testing.T) {
	const n = 12_000
	s := play(t, Scenario{Service: "web", Policy: "loyal", Events: []Event{
		{At: 3 * time.Minute, Endpoint: "us1", State: policy.Down}, {At: 6 * time.Minute, Endpoint: "us1", State: policy.Up},
	}}, crowd(n, 80))
	for i, st := range s.Steps {
		switch {
		case i == 3 || i == 6:
			if st.Moved > n*11/60 || st.Moved < n*9/60 || float64(st.Moved)/n != s.Steps[0].Endpoints[2] {
				t.Errorf("step %d: %d of %d moved; us1 had %v", i, st.Moved, n, s.Steps[0].Endpoints[2])
			}
		case st.Moved != 0:
			t.Errorf("step %d: %d moved", i, st.Moved)
		}
	}
}

// TestClosed: what fails closed is not answered, which is not failing open.
func TestClosed(t *testing.T) {
	s := play(t, Scenario{Service: "split", Policy: "closed", Events: []Event{
		{At: 2 * time.Minute, Site: "eu", State: policy.Down}, {At: 4 * time.Minute, Site: "us", State: policy.Down}, {At: 6 * time.Minute, Site: "us", State: policy.Up},
	}}, crowd(100, 80))
	if got := each(s, func(st Step) any { return st.Unanswered }); got != "0 0 0 0 1 1 0 0 0 0" {
		t.Errorf("unanswered: %s", got)
	}
	if got := each(s, func(st Step) any { return st.FailedOpen }); got != "0 0 0 0 0 0 0 0 0 0" {
		t.Errorf("failed open: %s", got)
	}
	if got := each(s, func(st Step) any { return st.Moved / 100 }); got != "0 0 0 0 1 0 1 0 0 0" { // to no answer and back is a move
		t.Errorf("all moved: %s", got)
	}
}

// TestTrickle: the second site has its share, and no more.
func TestTrickle(t *testing.T) {
	s := play(t, Scenario{Service: "web", Policy: "warm", Duration: 100 * time.Second, Step: time.Second}, crowd(3000, 80))
	sum := 0.0
	for _, st := range s.Steps {
		sum += st.Sites[1]
		if st.Sites[2] != 0 {
			t.Fatalf("ap has %v", st.Sites[2])
		}
	}
	if share := sum / 100; math.Abs(share-0.05) > 0.002 {
		t.Errorf("us has %v", share)
	}
}

// TestSchedule: time passes for stages that follow the clock, from Start on.
func TestSchedule(t *testing.T) {
	s := play(t, Scenario{Service: "web", Policy: "nights", Start: 1772438400 - 8*3600 + 20*3600, Duration: 12 * time.Hour, Step: time.Hour}, crowd(10, 80))
	for i, want := range []string{"100 100 0 0 0 0 0 0 0 0 100 100", "0 0 100 100 100 100 100 100 100 100 0 0"} {
		if got := site(s, i); got != want {
			t.Errorf("%s has %s, want %s", s.Sites[i], got, want)
		}
	}
	if got := s.When(s.Steps[2].At); got != "22:00" {
		t.Errorf("the night begins at %s", got)
	}
}

// load returns a load for an event.
func load(l policy.Load) *policy.Load { return &l }

// TestLoadEvents: what sites and endpoints report moves clients, the last word counts, and it is no state.
func TestLoadEvents(t *testing.T) {
	s := play(t, Scenario{Service: "web", Policy: "relieved", Duration: 5 * time.Minute, Step: time.Minute, Events: []Event{
		{At: time.Minute, Site: "eu", Load: load(1000)},
		{At: 2 * time.Minute, Site: "us", State: policy.Down},
		{At: 3 * time.Minute, Endpoint: "eu1", Load: load(0)},
		{At: 4 * time.Minute, Site: "eu", Load: load(0)},
	}}, crowd(16_000, 80))
	if eu, us := site(s, 0), site(s, 1); eu != "100 0 0 100 100" || us != "0 50 0 0 0" {
		t.Errorf("shares of eu %s, of us %s", eu, us)
	}
	if _, err := Run(world(t), Scenario{Service: "web", Duration: time.Minute, Step: time.Minute, Events: []Event{
		{Site: "eu", Load: load(1), State: policy.Down}}}, crowd(1, 80)); err == nil {
		t.Error("a load and a state at once are accepted")
	}
}
