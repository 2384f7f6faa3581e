package admin

import (
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// TestVantage: who checks, what they say, why it counts or not, and what is wrong with it.
func TestVantage(t *testing.T) {
	b := newBench(t)
	if got := get[[]ProberStatus](b, "/v1/probers"); len(got) != 0 {
		t.Errorf("probers of a process without: %+v", got)
	}
	b.Probers = func() []ProberStatus {
		return []ProberStatus{
			{Name: "eu-1", Self: true, State: "suspect", Why: "nothing that it checks answers"}, {Name: "us-1", State: "suspect", Why: "3 of its 4 targets fail for it"},
			{Name: "ap-1", State: "gone"},
		}
	}
	b.Redis = func() *LinkStatus {
		return &LinkStatus{Trouble: "WRONGPASS", Refused: map[string]string{"x": "not a report of a prober"}}
	}
	b.Verdict = func(name string) (VerdictStatus, bool) {
		return VerdictStatus{
			Rule: "majority", State: policy.Up, Why: "2 of 3 probers say up", Stopped: "held after 4 changes in a row",
			Votes: []VoteStatus{{Prober: "eu-1", State: policy.Down, Why: "suspect"}, {Prober: "us-1", State: policy.Up, Counts: true}},
		}, name == "web/one"
	}
	if got := get[[]ProberStatus](b, "/v1/probers"); len(got) != 3 || got[0].Name != "eu-1" {
		t.Errorf("%+v", got)
	}
	health := get[[]Health](b, "/v1/health")
	if h := health[0]; h.Why == "" || h.Stopped == "" || len(h.Votes) != 2 || h.Votes[1].Prober != "us-1" || !h.Votes[1].Counts {
		t.Errorf("%+v", h)
	}
	if h := health[1]; h.Why != "" || h.Votes != nil {
		t.Errorf("what is not checked: %+v", h)
	}
	s := get[Status](b, "/v1/status")
	if len(s.Probers) != 3 || s.Redis == nil || s.Services[0].Endpoints[0].Verdict == nil || s.Services[0].Endpoints[1].Verdict != nil {
		t.Errorf("%+v", s)
	}
	said := strings.Join(s.Degraded, "\n")
	for _, want := range []string{
		"other probers cannot be heard over Redis: WRONGPASS", `the report of prober "x" is refused: not a report of a prober`,
		"this prober doubts itself, and what is believed stays: nothing that it checks answers", "prober us-1 is suspect and has no vote: 3 of its 4 targets fail for it",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("degraded lacks %q:\n%s", want, said)
		}
	}
	if strings.Contains(said, "ap-1") {
		t.Errorf("a prober that ended is no trouble:\n%s", said)
	}
}

// TestEvents: all of them, or those after one.
func TestEvents(t *testing.T) {
	b := newBench(t)
	if got := get[[]registry.Event](b, "/v1/events"); got == nil || len(got) != 0 {
		t.Errorf("before anything happened: %+v", got)
	}
	b.report(policy.Up, policy.Down)
	b.report(policy.Down, policy.Down)
	all := get[[]registry.Event](b, "/v1/events")
	if len(all) != 3 || all[2].Name != "web/one" || all[2].To != "down" || all[2].Why == "" {
		t.Fatalf("%+v", all)
	}
	if got := get[[]registry.Event](b, "/v1/events?after=2"); len(got) != 1 || got[0] != all[2] {
		t.Errorf("after 2: %+v", got)
	}
	for _, bad := range []string{"?after=x", "?after=-1", "?since=3"} {
		if status, _ := b.do("GET", "/v1/events"+bad, ""); status != 400 {
			t.Errorf("%s: status %d", bad, status)
		}
	}
}
