package policy

import (
	"math"
	"strings"
	"testing"
	"time"
)

// TestSchedule: windows by day and over midnight, in the zone's time, with its changes of clocks; what is answered lasts no longer than they do.
func TestSchedule(t *testing.T) {
	dublin, err := time.LoadLocation("Europe/Dublin")
	if err != nil {
		t.Fatal(err)
	}
	p := mustCompile(t, treeSpec(
		PolicySpec{Name: "night", Stages: []StageSpec{Healthy{}, Schedule{Zone: dublin, Windows: []Window{
			{From: 22 * 60, To: 6 * 60, Sites: []string{"us"}}}}}},
		PolicySpec{Name: "weekend", Stages: []StageSpec{Healthy{}, Schedule{Windows: []Window{
			{Days: 1<<0 | 1<<6, From: 0, To: 24 * 60, Sites: []string{"us"}}, {Days: 1 << 6, From: 0, To: 60, Sites: []string{"eu"}}, {Days: 1 << 1, From: 9 * 60, To: 17 * 60, Sites: []string{"eu"}}}}}},
	))
	for _, tt := range []struct {
		policy, at, down string
		want             string
		ttl              uint32
	}{
		{"night", "2027-01-05T21:59:00Z", "", "eu1 eu2 us1 us2", 60},
		{"night", "2027-01-05T22:00:00Z", "", "us1 us2", 8 * 3600},
		{"night", "2027-01-06T05:59:59Z", "", "us1 us2", 1},
		{"night", "2027-01-06T06:00:00Z", "", "eu1 eu2 us1 us2", 16 * 3600},
		{"night", "2027-01-05T23:00:00Z", "us1", "us2", 7 * 3600},
		{"night", "2027-01-05T23:00:00Z", "us1 us2", "eu1 eu2", 7 * 3600}, // nothing is up there
		{"night", "2027-07-05T21:00:00Z", "", "us1 us2", 8 * 3600},        // 22:00 in summer
		{"night", "2027-03-27T23:00:00Z", "", "us1 us2", 6 * 3600},        // the clock goes forward: 06:00 is 05:00 UTC
		{"night", "2027-10-30T22:00:00Z", "", "us1 us2", 8 * 3600},        // 23:00; it goes back: 06:00 is 06:00 UTC
		{"weekend", "2027-01-08T23:59:30Z", "", "eu1 eu2 us1 us2", 30},    // Friday
		{"weekend", "2027-01-09T00:30:00Z", "", "us1 us2", 1800},          // Saturday: the first counts, the second closes
		{"weekend", "2027-01-10T23:00:00Z", "", "us1 us2", 3600},
		{"weekend", "2027-01-11T10:00:00Z", "", "eu1 eu2", 7 * 3600},
		{"weekend", "2027-01-11T18:00:00Z", "", "eu1 eu2 us1 us2", 4*86400 + 6*3600},
	} {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		id, _ := p.PolicyByName(tt.policy)
		d := p.Decide(new(Scratch), Query{Policy: id, Now: at.Unix()}, downOf(p, strings.Fields(tt.down)...))
		if got := strings.Join(answerOf(p, d), " "); got != tt.want || d.TTL != tt.ttl {
			t.Errorf("%s at %s, down %q: %s for %d s, want %s for %d s", tt.policy, tt.at, tt.down, got, d.TTL, tt.want, tt.ttl)
		}
	}
	trace := p.Explain(Query{Policy: 0, Now: 1_800_000_000}, Health{})
	if st := trace.Stages[2]; !strings.Contains(st.Note, "it is Fri 08:00:00 GMT: no window is open") {
		t.Errorf("note %q", st.Note)
	}
	trace = p.Explain(Query{Policy: 1, Now: 1_800_000_000 + 86400}, Health{})
	if st := trace.Stages[2]; !strings.Contains(st.Note, "sun,sat 00:00-24:00 is open") || st.Dropped[0].Why != "at no site of the window" || trace.Reason != "schedule" {
		t.Errorf("note %q, dropped %+v, reason %s", st.Note, st.Dropped, trace.Reason)
	}
}

// TestScheduleDoesNotAllocate: nor take long.
func TestScheduleDoesNotAllocate(t *testing.T) {
	p := mustCompile(t, treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{Schedule{Windows: []Window{{From: 1, To: 2, Sites: []string{"eu"}}}}}}))
	var s Scratch
	now := int64(0)
	if n := testing.AllocsPerRun(100, func() { now += 60; p.Decide(&s, Query{Now: now}, Health{}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for _, extreme := range []int64{0, -1 << 40, 1 << 40, math.MaxInt32} {
		if d := p.Decide(&s, Query{Now: extreme}, Health{}); len(d.Endpoints) == 0 || d.TTL == 0 {
			t.Errorf("at %d: %+v", extreme, d)
		}
	}
}

// TestBadSchedules: each mistake is told.
func TestBadSchedules(t *testing.T) {
	eu := []string{"eu"}
	for _, tt := range []struct {
		windows []Window
		want    string
	}{
		{nil, "a schedule has 1 to 64 windows, not 0"},
		{[]Window{{From: 1440, Sites: eu}}, "minutes of a day are 0 to 1440, not 1440 and 0"},
		{[]Window{{To: -1, Sites: eu}}, "minutes of a day are 0 to 1440, not 0 and -1"},
		{[]Window{{Days: 128, Sites: eu}}, "there are seven days"},
		{[]Window{{}}, "the window needs sites"},
		{[]Window{{Sites: []string{"x"}}}, `there is no site "x"`},
	} {
		_, problems := Compile(treeSpec(PolicySpec{Name: "p", Stages: []StageSpec{Schedule{Windows: tt.windows}}}))
		if len(problems) != 1 || problems[0].Msg != tt.want {
			t.Errorf("%+v: %v, want %q", tt.windows, problems, tt.want)
		}
	}
}
