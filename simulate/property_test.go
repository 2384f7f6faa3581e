package simulate

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// randomScenario returns a Scenario of the service web.
func randomScenario(r *rand.Rand) Scenario {
	s := Scenario{
		Service: "web", Policy: []string{"near", "order", "one", "two", "default"}[r.IntN(5)], Spread: r.IntN(2) == 0, Seed: r.Uint64(),
		Step: time.Duration(1+r.IntN(100)) * time.Second, Duration: time.Duration(1+r.IntN(2000)) * time.Second,
	}
	for range r.IntN(12) {
		e := Event{At: time.Duration(r.Int64N(int64(s.Last())/1e9+1)) * time.Second}
		if r.IntN(2) == 0 {
			e.Site = []string{"eu", "us", "ap"}[r.IntN(3)]
			e.State = policy.State(1 + r.IntN(3))
		} else {
			e.Endpoint = []string{"eu1", "eu2", "us1", "us2", "ap1", "ap2"}[r.IntN(6)]
			if e.State = policy.State(r.IntN(4)); e.State == policy.Unknown {
				e.Weight = uint32(r.IntN(5))
			}
		}
		s.Events = append(s.Events, e)
	}
	return s
}

// stateAt says, by looking at all events, what an endpoint is at a time.
func stateAt(s *Scenario, endpoint, site string, at time.Duration) policy.State {
	worst := policy.Up
	for _, who := range []Event{{Site: site}, {Endpoint: endpoint}} {
		state, since := policy.Up, time.Duration(-1)
		for _, e := range s.Events {
			if e.Site == who.Site && e.Endpoint == who.Endpoint && e.State != policy.Unknown && e.At <= at && e.At >= since {
				state, since = e.State, e.At
			}
		}
		worst = max(worst, state)
	}
	return worst
}

// TestProperties: shares add up, nobody moves who is not there, nothing that is down is used unless decisions fail open, and only then do they.
func TestProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	services := spec().Services
	for range 300 {
		s := randomScenario(r)
		clients := append(crowd(1+r.IntN(20), 80), crowd(r.IntN(20), 117)...)
		for i := range clients {
			clients[i].Queries = 0.1 + 10*r.Float64()
		}
		out := play(t, s, clients)
		if len(out.Steps) != s.Steps() || len(out.Events) != len(s.Events) {
			t.Fatalf("%d steps and %d events, want %d and %d", len(out.Steps), len(out.Events), s.Steps(), len(s.Events))
		}
		shown := 0
		for i, st := range out.Steps {
			shown += len(st.Events)
			at := time.Duration(st.At) * time.Second
			if at != time.Duration(i)*s.Step {
				t.Fatalf("step %d is at %v", i, at)
			}
			for _, list := range [][]float64{st.Sites, st.Endpoints} {
				sum := st.Unanswered
				for _, share := range list {
					sum += share
				}
				if math.Abs(sum-1) > 1e-5 {
					t.Fatalf("shares add up to %v", sum)
				}
			}
			if st.Moved > len(clients) || st.MovedSite > len(clients) || i == 0 && st.Moved+st.MovedSite > 0 {
				t.Fatalf("%d and %d of %d moved", st.Moved, st.MovedSite, len(clients))
			}
			usable := 0
			for k, e := range services[1].Endpoints {
				state := stateAt(&s, e.Name, e.Site, at)
				if state.Usable() {
					usable++
				} else if st.Endpoints[k] > 0 && st.FailedOpen == 0 {
					t.Fatalf("%+v: %s is %v at %v, but has %v", s, e.Name, state, at, st.Endpoints[k])
				}
			}
			if failing := usable == 0; (st.FailedOpen > 0.99999) != failing || !failing && st.FailedOpen > 0 {
				t.Fatalf("%+v: %d usable at %v, but %v failed open", s, usable, at, st.FailedOpen)
			}
		}
		if shown != len(s.Events) {
			t.Fatalf("%d events took effect of %d", shown, len(s.Events))
		}
	}
}

// TestSameDecisions: what a Series says of one client is what Decide answers it.
func TestSameDecisions(t *testing.T) {
	w, r := world(t), rand.New(rand.NewPCG(3, 4))
	id, _ := w.Plan.ServiceByName("web")
	near, _ := w.Plan.PolicyByName("near")
	for range 100 {
		c := crowd(1, []byte{80, 68, 117, 9}[r.IntN(4)])
		out := play(t, Scenario{Service: "web", Policy: "near"}, c)
		d := w.Plan.Decide(&policy.Scratch{}, policy.Query{Service: id, Policy: near, Client: c[0].Prefix, Dice: r.Uint64()}, policy.Health{})
		want := w.Plan.SiteName(w.Plan.Endpoint(d.Endpoints[0]).Site)
		for _, st := range out.Steps {
			for i, share := range st.Sites {
				if (share == 1) != (out.Sites[i] == want) {
					t.Fatalf("client %v: %s has %v, but Decide says %s", c[0].Prefix, out.Sites[i], share, want)
				}
			}
		}
	}
}

// TestWeightEventsEqualSpecs: changing a weight at the first step is the same as having it from the start.
func TestWeightEventsEqualSpecs(t *testing.T) {
	s := Scenario{Service: "split", Policy: "one", Duration: time.Minute, Step: time.Second}
	changed := spec()
	changed.Services[2].Endpoints[0].Weight = 3
	plan, problems := policy.Compile(changed)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want, err := Run(World{plan, changed.Services}, s, crowd(100, 80))
	if err != nil {
		t.Fatal(err)
	}
	s.Events = []Event{{Endpoint: "a", Weight: 3}}
	got := play(t, s, crowd(100, 80))
	for i := range got.Steps {
		got.Steps[i].Events = nil
		if !reflect.DeepEqual(got.Steps[i], want.Steps[i]) {
			t.Fatalf("step %d: %v, want %v", i, got.Steps[i], want.Steps[i])
		}
	}
}

func BenchmarkRun(b *testing.B) {
	w, clients := world(b), crowd(10_000, 80)
	for b.Loop() {
		if _, err := Run(w, Scenario{Service: "web", Policy: "near", Duration: time.Minute, Step: time.Second}, clients); err != nil {
			b.Fatal(err)
		}
	}
}
