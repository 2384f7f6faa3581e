package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

func TestTargetText(t *testing.T) {
	for text, want := range map[string]Target{
		"site/us-east":           {KindSite, "us-east"},
		"service/web":            {KindService, "web"},
		"endpoint/web/us-east-1": {KindEndpoint, "web/us-east-1"},
		"endpoint/web/[::1]:80":  {KindEndpoint, "web/[::1]:80"},
		"endpoint/a/b/c":         {KindEndpoint, "a/b/c"},
	} {
		got, err := ParseTarget(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		var back Target
		if b, err := json.Marshal(want); err != nil || json.Unmarshal(b, &back) != nil || back != want {
			t.Errorf("%s: as JSON %s (%v), back %+v", text, b, err, back)
		}
	}
	for _, bad := range []string{"", "/", "us-east", "site", "site/", "site/a/b", "service//x", "endpoint/web", "endpoint/web/", "endpoint//x",
		"zone/x", "Site/x", "/x", "site/" + strings.Repeat("x", 600)} {
		if got, err := ParseTarget(bad); err == nil {
			t.Errorf("%.40q is read as %+v", bad, got)
		}
		if err := json.Unmarshal(fmt.Appendf(nil, "%q", bad), new(Target)); err == nil {
			t.Errorf("%.40q is read from JSON", bad)
		}
	}
	if _, err := json.Marshal(Target{Kind: 9, Name: "x"}); err == nil {
		t.Error("a target of no kind is written")
	}
}

func TestOverrideJSON(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	o := Override{Target: endpoint, State: policy.Drained, Since: at, Until: at.Add(time.Hour), Reason: "why", By: "me"}
	const want = `{"target":"endpoint/web/a","state":"drained","since":"2026-11-23T12:00:00Z","until":"2026-11-23T13:00:00Z","reason":"why","by":"me"}`
	b, err := json.Marshal(o)
	if err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
	var back Override
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, o) {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestForcedBeatsProbed(t *testing.T) {
	r := applied(t, Options{})
	r.Report("web/a", down)
	r.Report("web/b", up)
	check := func(what string, a, b policy.Verdict) {
		t.Helper()
		if gotA, gotB := verdict(t, r, "web/a"), verdict(t, r, "web/b"); gotA != a || gotB != b {
			t.Errorf("%s: a %+v, b %+v; want %+v, %+v", what, gotA, gotB, a, b)
		}
	}
	forced := func(s policy.State) policy.Verdict { return policy.Verdict{State: s, Forced: true} }
	must(t, r.Force(Override{Target: endpoint, State: policy.Up}))
	check("a forced up", forced(policy.Up), up)
	r.Report("web/a", policy.Verdict{State: policy.Down, TTL: 3})
	check("probes do not matter", forced(policy.Up), up)
	must(t, r.Force(Override{Target: service, State: policy.Down}))
	check("the service forced down: the worse wins", forced(policy.Down), forced(policy.Down))
	must(t, r.Force(drain(siteEU)))
	check("the site of a drained", forced(policy.Drained), forced(policy.Down))
	must(t, r.Unforce(service))
	check("the service set free", forced(policy.Drained), up)
	r.Report("web/a", policy.Verdict{State: policy.Up, TTL: 8})
	must(t, r.Unforce(siteEU))
	check("the site set free", forced(policy.Up), up)
	must(t, r.Unforce(endpoint))
	check("all set free: what probes said meanwhile", policy.Verdict{State: policy.Up, TTL: 8}, up)
	must(t, r.Force(Override{Target: endpoint, State: policy.Down}))
	must(t, r.Force(drain(endpoint)))
	check("replaced", forced(policy.Drained), up)
	if got := r.Overrides(); len(got) != 1 {
		t.Errorf("overrides %v", got)
	}
	if err := r.Unforce(siteUS); !errors.Is(err, ErrNoOverride) || !strings.Contains(err.Error(), "site/us") {
		t.Errorf("ended what is not there: %v", err)
	}
}

// TestTheOverrideThatDecidesIsNamed, whatever ends first.
func TestTheOverrideThatDecidesIsNamed(t *testing.T) {
	r := applied(t, Options{})
	must(t, r.Force(Override{Target: endpoint, State: policy.Down}))
	must(t, r.Force(Override{Target: service, State: policy.Up, Until: time.Now().Add(time.Hour)}))
	if d, _ := r.Detail("web/a"); d.By == nil || d.By.Target != endpoint || d.State != policy.Down || d.TTL != 2048 {
		t.Errorf("%+v by %+v", d, d.By)
	}
	must(t, r.Force(drain(siteEU)))
	if d, _ := r.Detail("web/a"); d.By == nil || d.By.Target != siteEU || d.State != policy.Drained {
		t.Errorf("%+v by %+v", d, d.By)
	}
}

// TestOverridesOutlivePlans: they wait for targets that do not exist yet, and for ones that went away.
func TestOverridesOutlivePlans(t *testing.T) {
	r := New(Options{})
	must(t, r.Force(drain(siteUS)))
	must(t, r.Force(drain(Target{KindEndpoint, "api/x"})))
	if n := r.Matching(siteUS); n != 0 {
		t.Errorf("%d match in an empty world", n)
	}
	r.Apply(mustCompile(t, definition()))
	if state(t, r, "web/b") != policy.Drained || state(t, r, "web/a") != policy.Unknown || r.Matching(siteUS) != 1 {
		t.Error("the override did not wait for its site")
	}
	r.Publish("embedded", catalog("api", ep("x", "")))
	if state(t, r, "api/x") != policy.Drained {
		t.Error("the override did not wait for its endpoint")
	}
	r.Publish("embedded", Catalog{})
	moved := definition()
	moved.Policy.Services[0].Endpoints[1].Site = "eu"
	r.Apply(mustCompile(t, moved))
	if state(t, r, "web/b") != policy.Unknown || len(r.Overrides()) != 2 {
		t.Errorf("moved out of the drained site: %v; overrides %v", state(t, r, "web/b"), r.Overrides())
	}
}

func TestForceRefuses(t *testing.T) {
	r := applied(t, Options{Store: newMemory()})
	for name, o := range map[string]Override{
		"no target":       {State: policy.Drained},
		"no kind":         {Target: Target{Name: "x"}, State: policy.Drained},
		"no name":         {Target: Target{Kind: KindSite}, State: policy.Drained},
		"half a name":     {Target: Target{KindEndpoint, "web"}, State: policy.Drained},
		"no state":        {Target: siteEU},
		"state 9":         {Target: siteEU, State: 9},
		"ended":           {Target: siteEU, State: policy.Drained, Until: time.Now().Add(-time.Second)},
		"long reason":     {Target: siteEU, State: policy.Drained, Reason: strings.Repeat("x", MaxReason+1)},
		"long author":     {Target: siteEU, State: policy.Drained, By: strings.Repeat("x", MaxBy+1)},
		"very long name":  {Target: Target{KindSite, strings.Repeat("x", 1000)}, State: policy.Drained},
		"site with slash": {Target: Target{KindSite, "a/b"}, State: policy.Drained},
	} {
		if err := r.Force(o); err == nil || !strings.HasPrefix(err.Error(), "registry: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := r.Overrides(); len(got) != 0 {
		t.Errorf("in force: %v", got)
	}
}

func TestOverridesAreLimited(t *testing.T) {
	r := New(Options{})
	for i := range MaxOverrides {
		must(t, r.Force(drain(Target{KindSite, fmt.Sprint(i)})))
	}
	if err := r.Force(drain(siteEU)); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	must(t, r.Force(Override{Target: Target{KindSite, "7"}, State: policy.Down}))
	must(t, r.Unforce(Target{KindSite, "7"}))
	must(t, r.Force(drain(siteEU)))
}

// TestStoreFailureChangesNothing: an override that cannot be kept is not set, and one whose end cannot be kept goes on.
func TestStoreFailureChangesNothing(t *testing.T) {
	store, full := newMemory(), errors.New("disk full")
	r := applied(t, Options{Store: store})
	must(t, r.Force(drain(siteUS)))
	store.set(full, nil)
	before := r.Snapshot()
	if err := r.Force(drain(siteEU)); !errors.Is(err, full) || !errors.Is(err, ErrStore) {
		t.Errorf("force: %v", err)
	}
	if err := r.Unforce(siteUS); !errors.Is(err, full) || !errors.Is(err, ErrStore) {
		t.Errorf("unforce: %v", err)
	}
	if r.Snapshot() != before || state(t, r, "web/a") != policy.Unknown || state(t, r, "web/b") != policy.Drained {
		t.Error("something has changed")
	}
	if got := gather(t, r)["meridian_state_save_errors_total"]; got != 2 {
		t.Errorf("%v errors counted", got)
	}
	store.set(nil, nil)
	must(t, r.Unforce(siteUS))
	if store.stored(siteUS) || state(t, r, "web/b") != policy.Unknown {
		t.Error("not ended")
	}
}

// TestAStoreThatHangsHoldsUpNobody but the operator who waits for it.
func TestAStoreThatHangsHoldsUpNobody(t *testing.T) {
	store, hang := newMemory(), make(chan struct{})
	r := applied(t, Options{Store: store})
	store.set(nil, hang)
	done := make(chan error)
	go func() { done <- r.Force(drain(siteUS)) }()
	for i := range uint32(1000) {
		r.Report("web/a", policy.Verdict{State: policy.Down, TTL: i + 1})
	}
	r.Publish("embedded", catalog("api", ep("x", "")))
	r.Details()
	if got := state(t, r, "web/b"); got != policy.Unknown {
		t.Errorf("in force before it is stored: %v", got)
	}
	close(hang)
	must(t, <-done)
	if got := state(t, r, "web/b"); got != policy.Drained {
		t.Errorf("state %v", got)
	}
}

// TestMatchingEach: the counts are those of looking at every endpoint for every target.
func TestMatchingEach(t *testing.T) {
	r := resolver(t)
	p := r.Snapshot().Plan
	targets := []Target{{KindSite, ""}, {KindSite, "mars"}, {KindService, "mail"}, {KindEndpoint, "web/none"}, {KindEndpoint, "web"}, {}}
	targets = append(targets, r.targets()...)
	for i, got := range r.MatchingEach(targets) {
		want := 0
		for id := range policy.EndpointID(p.NumEndpoints()) {
			e, t := p.Endpoint(id), targets[i]
			if t == (Target{KindEndpoint, e.Name}) || t == (Target{KindService, p.ServiceName(e.Service)}) ||
				t.Name != "" && t == (Target{KindSite, p.SiteName(e.Site)}) {
				want++
			}
		}
		if got != want || r.Matching(targets[i]) != want {
			t.Errorf("%s: %d, alone %d, want %d", targets[i], got, r.Matching(targets[i]), want)
		}
	}
	if got := r.MatchingEach(nil); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// TestManyOverridesOfManyEndpoints: to count and to resolve costs what there is, not the product of both.
func TestManyOverridesOfManyEndpoints(t *testing.T) {
	d := definition()
	for s := range 9 {
		svc := policy.ServiceSpec{Name: fmt.Sprintf("s%d", s)}
		for i := range MaxEndpointsPerService {
			svc.Endpoints = append(svc.Endpoints, ep(fmt.Sprintf("e%d", i), "us"))
		}
		d.Policy.Services = append(d.Policy.Services, svc)
	}
	r := New(Options{})
	r.Apply(mustCompile(t, d))
	var targets []Target
	r.mu.Lock()
	for i := range MaxOverrides {
		target := Target{KindSite, fmt.Sprintf("gone%d", i)}
		r.overrides[target] = standing{Override: drain(target)}
		targets = append(targets, target)
	}
	r.mu.Unlock()
	begun := time.Now()
	if n := r.MatchingEach(append(targets, siteUS))[len(targets)]; n != 9*MaxEndpointsPerService+1 {
		t.Errorf("site/us has %d endpoints", n)
	}
	if got, err := r.Resolve("gone7"); err != nil || got != targets[7] {
		t.Errorf("%v %v", got, err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestOverridesAreSorted(t *testing.T) {
	r := New(Options{})
	for _, x := range []Target{siteUS, endpoint, service, siteEU} {
		must(t, r.Force(drain(x)))
	}
	var got []string
	for _, o := range r.Overrides() {
		got = append(got, o.Target.String())
	}
	if want := []string{"endpoint/web/a", "service/web", "site/eu", "site/us"}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
