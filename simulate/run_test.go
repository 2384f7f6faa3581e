package simulate

import (
	"encoding/json"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// TestWeights: shares over a million draws are within a χ² bound of the weights, and within 0.3 points.
func TestWeights(t *testing.T) {
	for _, c := range []struct {
		service string
		want    []float64
		bound   float64 // of χ² with one degree of freedom less than endpoints, exceeded once in a thousand
	}{
		{"split", []float64{0.8, 0.2}, 10.83},
		{"four", []float64{0.01, 0.02, 0.03, 0.94}, 16.27},
	} {
		s := play(t, Scenario{Service: c.service, Policy: "one", Duration: 100 * time.Second, Step: time.Second}, crowd(10_000, 80))
		const draws = 1e6
		chi := 0.0
		for e, p := range c.want {
			n := 0.0
			for _, st := range s.Steps {
				n += st.Endpoints[e] * s.Queries
			}
			chi += (n - draws*p) * (n - draws*p) / (draws * p)
			if math.Abs(n/draws-p) > 0.003 {
				t.Errorf("%s: endpoint %d has %.4f, want %.4f", c.service, e, n/draws, p)
			}
		}
		if chi > c.bound {
			t.Errorf("%s: χ² is %.2f, more than %.2f", c.service, chi, c.bound)
		}
	}
}

// TestDraws: the dice of clients and steps have nothing in common: how often two draws in a row agree is what chance gives.
func TestDraws(t *testing.T) {
	s := play(t, Scenario{Service: "split", Policy: "one", Duration: 100 * time.Second, Step: time.Second}, crowd(10_000, 80))
	moved := 0.0
	for _, st := range s.Steps[1:] {
		moved += float64(st.Moved)
		if st.Moved != st.MovedSite {
			t.Fatalf("%d moved, %d to another site, but each has one endpoint", st.Moved, st.MovedSite)
		}
	}
	if got, want := moved/99/10_000, 2*0.8*0.2; math.Abs(got-want) > 0.003 {
		t.Errorf("%.4f move, want %.4f", got, want)
	}
}

func TestFailover(t *testing.T) {
	s := play(t, Scenario{Service: "web", Policy: "order", Events: []Event{
		{At: 2 * time.Minute, Site: "eu", State: policy.Down},
		{At: 4 * time.Minute, Site: "us", State: policy.Drained},
		{At: 6 * time.Minute, Site: "ap", State: policy.Down},
		{At: 8 * time.Minute, Site: "eu", State: policy.Up},
	}}, crowd(500, 80))
	for i, want := range []string{"100 100 0 0 0 0 100 100 100 100", "0 0 100 100 0 0 0 0 0 0", "0 0 0 0 100 100 0 0 0 0"} {
		if got := site(s, i); got != want {
			t.Errorf("%s has %s, want %s", s.Sites[i], got, want)
		}
	}
	if got := each(s, func(st Step) any { return st.FailedOpen }); got != "0 0 0 0 0 0 1 1 0 0" {
		t.Errorf("failed open: %s", got)
	}
	if got := each(s, func(st Step) any { return st.MovedSite }); got != "0 0 500 0 500 0 500 0 0 0" {
		t.Errorf("moved to another site: %s", got)
	}
}

// TestGeo: clients go to the site of their network, the longest one; when the site fails, to the next nearest.
func TestGeo(t *testing.T) {
	clients := append(crowd(50, 80), crowd(30, 68)...)
	clients = append(clients, crowd(15, 117)...)
	clients = append(clients, Client{netip.MustParsePrefix("80.64.1.0/24"), 5})
	s := play(t, Scenario{Service: "web", Policy: "near", Events: []Event{{At: 5 * time.Minute, Site: "eu", State: policy.Down}}}, clients)
	if s.Queries != 100 || s.Clients != 96 {
		t.Fatalf("%v queries of %d clients", s.Queries, s.Clients)
	}
	for i, want := range []string{"50 50 50 50 50 0 0 0 0 0", "30 30 30 30 30 30 30 30 30 30", "20 20 20 20 20 70 70 70 70 70"} {
		if got := site(s, i); got != want {
			t.Errorf("%s has %s, want %s", s.Sites[i], got, want)
		}
	}
}

// TestEvents: by time, those of one time in their order; one between two steps shows at the second; all of them are in the Series.
func TestEvents(t *testing.T) {
	s := play(t, Scenario{Service: "split", Policy: "one", Events: []Event{
		{At: 5*time.Minute + 1*time.Second, Endpoint: "b", State: policy.Up},
		{At: 3 * time.Minute, Endpoint: "b", State: policy.Up},
		{At: 3 * time.Minute, Endpoint: "b", State: policy.Down},
		{At: 8 * time.Minute, Endpoint: "a", Weight: 0},
		{At: 0, Endpoint: "a", Weight: 20},
	}}, crowd(1000, 80))
	want := map[int64][]string{0: {"a weight 20"}, 180: {"b up", "b down"}, 360: {"b up"}, 480: {"a weight 0"}}
	for _, st := range s.Steps {
		if !reflect.DeepEqual(st.Events, want[st.At]) {
			t.Errorf("at %d: %q, want %q", st.At, st.Events, want[st.At])
		}
	}
	for i, low := range []float64{0.45, 0.45, 0.45, 1, 1, 1, 0.45, 0.45, 0, 0} {
		if got := s.Steps[i].Endpoints[0]; got < low || got > low+0.1 {
			t.Errorf("step %d: a has %v, want about %v", i, got, low+0.05)
		}
	}
	if marks := s.Events; len(marks) != 5 || marks[3] != (Mark{301, "b up"}) {
		t.Errorf("marks %v", marks)
	}
}

// TestStatesAreKeptApart: a site that comes back brings no endpoint back that went by itself.
func TestStatesAreKeptApart(t *testing.T) {
	s := play(t, Scenario{Service: "web", Policy: "one", Spread: true, Events: []Event{
		{At: 1 * time.Minute, Endpoint: "eu1", State: policy.Down},
		{At: 2 * time.Minute, Site: "eu", State: policy.Drained},
		{At: 3 * time.Minute, Site: "eu", State: policy.Up},
		{At: 4 * time.Minute, Endpoint: "eu1", State: policy.Up},
	}}, crowd(2000, 80))
	got := each(s, func(st Step) any { return []bool{st.Endpoints[0] > 0, st.Endpoints[1] > 0} })
	want := "[true true] [false true] [false false] [false true]" + strings.Repeat(" [true true]", 6)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestSpread: all endpoints of the answer count alike, and only another set is a move.
func TestSpread(t *testing.T) {
	one := Scenario{Service: "web", Policy: "two", Events: []Event{{At: 5 * time.Minute, Endpoint: "eu2", State: policy.Down}}}
	s := play(t, one, crowd(10, 80))
	if got := site(s, 0); got != "100 100 100 100 100 100 100 100 100 100" {
		t.Errorf("the first counts: %s", got)
	}
	if got := each(s, func(st Step) any { return st.Moved }); got != "0 0 0 0 0 0 0 0 0 0" {
		t.Errorf("the first stays, but moved: %s", got)
	}
	one.Spread = true
	s = play(t, one, crowd(10, 80))
	if got := site(s, 0); got != "100 100 100 100 100 50 50 50 50 50" {
		t.Errorf("all count: %s", got)
	}
	if got := each(s, func(st Step) any { return st.Moved }); got != "0 0 0 0 0 10 0 0 0 0" {
		t.Errorf("moved: %s", got)
	}
	// An order drawn anew is the same set.
	s = play(t, Scenario{Service: "split", Spread: true}, crowd(100, 80))
	if got := each(s, func(st Step) any { return st.Moved + st.MovedSite }); got != "0 0 0 0 0 0 0 0 0 0" {
		t.Errorf("moved: %s", got)
	}
}

// TestFamily: without an endpoint of the family nothing is answered.
func TestFamily(t *testing.T) {
	s := play(t, Scenario{Service: "web", Family: policy.FamilyV6}, crowd(10, 80))
	if got := each(s, func(st Step) any { return st.Unanswered }); got != "1 1 1 1 1 1 1 1 1 1" || s.Family != "v6" {
		t.Errorf("unanswered: %s, family %s", got, s.Family)
	}
}

// TestPeaks: the most of each site, when first, and for how long it was too much.
func TestPeaks(t *testing.T) {
	s := play(t, Scenario{
		Service: "web", Policy: "order", Duration: 150 * time.Second, Step: time.Minute,
		Capacity: []Capacity{{"eu", 100}, {"us", 80}},
		Events:   []Event{{At: time.Minute, Site: "eu", State: policy.Down}},
	}, crowd(100, 80))
	want := []Peak{{"eu", 100, 0, 100, 0}, {"us", 100, 60, 80, 90}, {"ap", 0, 0, 0, 0}}
	if !reflect.DeepEqual(s.Peaks, want) {
		t.Errorf("got %v, want %v", s.Peaks, want)
	}
}

// TestSites: in the order of the configuration, and what is at none last.
func TestSites(t *testing.T) {
	s := play(t, Scenario{Service: "mixed", Title: "all"}, crowd(10, 80))
	if !reflect.DeepEqual(s.Sites, []string{"eu", "us", ""}) || !reflect.DeepEqual(s.Targets, []string{"nowhere", "us", "eu"}) {
		t.Errorf("sites %q, endpoints %q", s.Sites, s.Targets)
	}
	if s.Policy != "default" || s.Title != "all" || s.By() != BySite {
		t.Errorf("policy %q, title %q, by %v", s.Policy, s.Title, s.By())
	}
	if s := play(t, Scenario{Service: "four"}, crowd(10, 80)); s.Title != "four" || s.By() != ByEndpoint {
		t.Errorf("title %q, by %v", s.Title, s.By())
	}
}

// TestDeterminism: the same arguments give the same Series, and are not changed; another seed gives another.
func TestDeterminism(t *testing.T) {
	w, clients := world(t), crowd(300, 80)
	s := Scenario{Service: "split", Policy: "one", Duration: time.Hour, Step: time.Minute, Seed: 7, Events: []Event{
		{At: 30 * time.Minute, Endpoint: "a", Weight: 1}, {At: 10 * time.Minute, Endpoint: "b", State: policy.Down}, {At: 20 * time.Minute, Endpoint: "b", State: policy.Up},
	}}
	run := func(seed uint64) string {
		s.Seed = seed
		out, err := Run(w, s, clients)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := run(7)
	if run(7) != first {
		t.Error("two runs differ")
	}
	if run(8) == first {
		t.Error("the seed does not matter")
	}
	if !reflect.DeepEqual(w.Services, spec().Services) || s.Events[0].At != 30*time.Minute {
		t.Error("Run changed what it was given")
	}
}

// TestJSON holds what programs see.
func TestJSON(t *testing.T) {
	s := play(t, Scenario{
		Title: "golden", Service: "mixed", Policy: "near", Duration: 150 * time.Second, Step: time.Minute, Start: 1772438400, Capacity: []Capacity{{"eu", 20}},
		Events: []Event{{At: 70 * time.Second, Site: "eu", State: policy.Drained}, {At: 0, Endpoint: "us", Weight: 5}},
	}, append(crowd(30, 80), crowd(10, 68)...))
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/series.json", append(text, '\n'))
}

func TestRunErrors(t *testing.T) {
	good := func() (World, Scenario, []Client) {
		return world(t), Scenario{Service: "web", Duration: time.Minute, Step: time.Second}, crowd(2, 80)
	}
	event := func(e Event) func(*World, *Scenario, *[]Client) {
		return func(_ *World, s *Scenario, _ *[]Client) { s.Events = []Event{e} }
	}
	for _, c := range []struct {
		want   string
		change func(*World, *Scenario, *[]Client)
	}{
		{"more than 0 are needed", func(_ *World, s *Scenario, _ *[]Client) { s.Duration = 0 }},
		{"more than 0 are needed", func(_ *World, s *Scenario, _ *[]Client) { s.Step = -1 }},
		{"more than a year", func(_ *World, s *Scenario, _ *[]Client) { s.Duration = MaxDuration + 1 }},
		{"not whole seconds", func(_ *World, s *Scenario, _ *[]Client) { s.Step = 1500 * time.Millisecond }},
		{"more than 10000 steps", func(_ *World, s *Scenario, _ *[]Client) { s.Duration = 10_001 * time.Second }},
		{"events are too many", func(_ *World, s *Scenario, _ *[]Client) { s.Events = make([]Event, MaxEvents+1) }},
		{"no service \"wbe\"", func(_ *World, s *Scenario, _ *[]Client) { s.Service = "wbe" }},
		{"no policy \"x\"", func(_ *World, s *Scenario, _ *[]Client) { s.Policy = "x" }},
		{"\"empty\" has no endpoint", func(_ *World, s *Scenario, _ *[]Client) { s.Service = "empty" }},
		{"not those of the plan", func(w *World, _ *Scenario, _ *[]Client) { w.Services = w.Services[1:] }},
		{"no site \"x\"", func(_ *World, s *Scenario, _ *[]Client) { s.Capacity = []Capacity{{"x", 1}} }},
		{"capacity of 0 for site eu", func(_ *World, s *Scenario, _ *[]Client) { s.Capacity = []Capacity{{"eu", 0}} }},
		{"0 clients", func(_ *World, _ *Scenario, c *[]Client) { *c = nil }},
		{"client 80.0.1.0/24 has NaN", func(_ *World, _ *Scenario, c *[]Client) { (*c)[1].Queries = math.NaN() }},
		{"not about one site or one endpoint", event(Event{State: policy.Up})},
		{"not about one site or one endpoint", event(Event{Site: "eu", Endpoint: "eu1", State: policy.Up})},
		{"never takes effect", event(Event{Site: "eu", State: policy.Up, At: time.Minute})},
		{"never takes effect", event(Event{Site: "eu", State: policy.Up, At: -1})},
		{"no such state", event(Event{Site: "eu", State: policy.Drained + 1})},
		{"site eu at 0s has no weight", event(Event{Site: "eu", Weight: 3})},
		{"no site \"mars\"", event(Event{Site: "mars", State: policy.Up})},
		{"no endpoint \"a\"", event(Event{Endpoint: "a", State: policy.Up})},
		{"simulate: eu1 weight 1048577: ", event(Event{Endpoint: "eu1", Weight: policy.MaxWeight + 1})},
	} {
		w, s, clients := good()
		c.change(&w, &s, &clients)
		out, err := Run(w, s, clients)
		if out != nil || err == nil || !strings.HasPrefix(err.Error(), "simulate: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want …%s…", err, c.want)
		}
	}
	w, s, clients := good()
	if _, err := Run(w, s, clients); err != nil {
		t.Error(err)
	}
}

func TestSteps(t *testing.T) {
	for _, c := range []struct {
		duration, step time.Duration
		steps          int
		last           time.Duration
	}{
		{10, 1, 10, 9}, {10, 3, 4, 9}, {9, 3, 3, 6}, {1, 1, 1, 0}, {1, 5, 1, 0}, {0, 1, 0, 0}, {1, 0, 0, 0},
	} {
		s := Scenario{Duration: c.duration * time.Second, Step: c.step * time.Second}
		if s.Steps() != c.steps || s.Last() != c.last*time.Second {
			t.Errorf("%v by %v: %d steps, the last at %v", s.Duration, s.Step, s.Steps(), s.Last())
		}
	}
}
