package zone

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
)

// fails makes a Spec of one steered name.
func fails(s SteerSpec) Spec {
	spec := zoneOf("example")
	spec.Records = []RecordSpec{{Owner: "www", Steer: &s}}
	return spec
}

func TestMannerProblems(t *testing.T) {
	to := func(names ...string) (list []FallbackSpec) {
		for _, n := range names {
			s, p, _ := strings.Cut(n, "/")
			list = append(list, FallbackSpec{Service: s, Policy: p})
		}
		return list
	}
	many := make([]FallbackSpec, MaxFallbacks+1)
	for i := range many {
		many[i].Service = "api"
	}
	for _, c := range []struct {
		steer SteerSpec
		want  []string
	}{
		{SteerSpec{Service: "web", Fallbacks: to("api"), Fail: FailClosed, Jitter: 90}, nil},
		{SteerSpec{Service: "web", Fallbacks: to("api/blind")}, nil},
		{SteerSpec{Service: "web", Policy: "blind", Jitter: 10}, nil},
		{SteerSpec{Service: "web", Jitter: 91}, []string{"ttl_jitter: 91% is too much: at most 90%"}},
		{SteerSpec{Service: "web", Fallbacks: to("web")}, []string{`fallback: service "web" stands before this already: the way back to it is a circle`}},
		{SteerSpec{Service: "web", Fallbacks: to("api", "web")}, []string{`fallback 1: service "web" stands before this already: the way back to it is a circle`}},
		{SteerSpec{Service: "web", Fallbacks: to("api", "api")}, []string{`fallback 1: service "api" stands before this already: the way back to it is a circle`}},
		{SteerSpec{Service: "web", Fallbacks: to("ap")}, []string{`fallback service: there is no service "ap"`}},
		{SteerSpec{Service: "web", Fallbacks: to("api/near")}, []string{`fallback policy: there is no policy "near"`}},
		{SteerSpec{Service: "web", Policy: "blind", Fallbacks: to("api")}, []string{`fallback: policy "blind" has no healthy stage, so it never finds that too little is up`}},
		{SteerSpec{Service: "web", Policy: "blind", Fail: FailClosed}, []string{`fail: policy "blind" has no healthy stage, so it never finds that too little is up`}},
		{SteerSpec{Service: "web", Fallbacks: many}, []string{"fallback: 9 services are too many to fall back on: at most 8"}},
	} {
		_, problems := Compile([]Spec{fails(c.steer)}, testPlan(t))
		var got []string
		for _, p := range problems {
			got = append(got, strings.Join(p.Path[4:], " ")+": "+p.Msg)
		}
		if len(c.steer.Fallbacks) > MaxFallbacks {
			got = got[:1]
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.steer, got, c.want)
		}
	}
	if _, problems := Compile([]Spec{fails(SteerSpec{Service: "web", Fallbacks: to("nobody"), Policy: "blind"})}, nil); len(problems) > 0 {
		t.Errorf("without a plan: %v", problems)
	}
}

// Names of a zone that answer in the same manner share it, whichever of a million have one.
func TestManners(t *testing.T) {
	spec := zoneOf("example", "a A 192.0.2.1", "*.x STEER web")
	for i := range 1000 {
		s := &SteerSpec{Service: "web", Jitter: i % 5}
		if i%7 == 0 {
			s.Fallbacks = []FallbackSpec{{Service: "api", Policy: "close-by"}}
		}
		spec.Records = append(spec.Records, RecordSpec{Owner: fmt.Sprint("n", i), Steer: s})
	}
	set := compile(t, spec)
	z := set.Zones()[0]
	if len(z.manners) != 9 {
		t.Errorf("%d manners", len(z.manners))
	}
	for i := range 1000 {
		m := set.Lookup(mustName(t, fmt.Sprintf("n%d.example", i)), wire.TypeA)
		want := &Manner{Jitter: uint8(i % 5)}
		if i%7 == 0 {
			want.Fallbacks = []Fallback{{Service: 1, Policy: 0}}
		} else if i%5 == 0 {
			want = nil
		}
		if fmt.Sprint(m.Manner) != fmt.Sprint(want) || m.Kind != Steered {
			t.Fatalf("n%d: %v %+v, want %+v", i, m.Kind, m.Manner, want)
		}
	}
	for _, name := range []string{"a.example", "y.x.example"} {
		if m := set.Lookup(mustName(t, name), wire.TypeA); m.Manner != nil {
			t.Errorf("%s: %+v", name, m.Manner)
		}
	}
	if m := compile(t, fails(SteerSpec{Service: "web", Fail: FailClosed})).Lookup(mustName(t, "www.example"), wire.TypeA).Manner; m.Shortage != policy.ShortageClosed {
		t.Errorf("%+v", m)
	}
}

// Names that a zone file steers have the jitter of the zone, and one of them cannot have variants beside: both would answer.
func TestMannerOfFiles(t *testing.T) {
	spec := zoneOf("example")
	spec.NS, spec.RRs, spec.Jitter = nil, rrsOf(t, "example", testSOA, "@ NS ns.outside.invalid.", "www STEER web -", "api STEER api close-by", "a A 192.0.2.1"), 20
	spec.Records = []RecordSpec{{Owner: "own", Steer: &SteerSpec{Service: "web"}}}
	set := compile(t, spec)
	for name, want := range map[string]uint8{"www": 20, "api": 20, "own": 0, "a": 0} {
		m := set.Lookup(mustName(t, name+".example"), wire.TypeA)
		if got := m.Manner; (got == nil) != (want == 0) || got != nil && got.Jitter != want {
			t.Errorf("%s: %+v, want %d", name, got, want)
		}
	}
	spec.Records = []RecordSpec{varied("www", only("192.0.2.1", &ConditionSpec{Types: []string{"TXT"}}))}
	if got := refuse(t, spec); len(got) == 0 || !strings.Contains(got[0], "records www: the zone file steers \"www\"; write everything that is not static of a name in one place") {
		t.Errorf("%q", got)
	}
}
