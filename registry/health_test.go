package registry

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

var (
	up   = policy.Verdict{State: policy.Up}
	down = policy.Verdict{State: policy.Down}
)

func TestReport(t *testing.T) {
	r := applied(t, Options{})
	gen := r.Snapshot().Gen
	if r.Report("web/unknown", down) || r.Report("a", down) || r.Report("web/a", policy.Verdict{State: policy.Drained + 1}) {
		t.Error("a report of nothing, or of no state, is taken")
	}
	if s := r.Snapshot(); s.Gen != gen {
		t.Errorf("generation %d, want %d", s.Gen, gen)
	}
	before := r.Snapshot()
	if !r.Report("web/a", policy.Verdict{State: policy.Down, TTL: 7, Forced: true}) {
		t.Error("not taken")
	}
	if got := verdict(t, r, "web/a"); got != (policy.Verdict{State: policy.Down, TTL: 7}) {
		t.Errorf("verdict %+v: probes cannot force", got)
	}
	if got := before.Health.Of(0); got != (policy.Verdict{}) {
		t.Errorf("the old snapshot has changed: %+v", got)
	}
	s := r.Snapshot()
	if s.Gen != gen+1 || s.Plan != before.Plan {
		t.Errorf("generation %d, want %d, same plan", s.Gen, gen+1)
	}
	if !r.Report("web/a", policy.Verdict{State: policy.Down, TTL: 7}) || r.Snapshot() != s {
		t.Error("a report of no news makes a snapshot")
	}
	r.Report("web/a", policy.Verdict{State: policy.Down, TTL: 6})
	if got := verdict(t, r, "web/a").TTL; got != 6 || r.Snapshot().Gen != gen+2 {
		t.Errorf("ttl %d", got)
	}
}

func TestOneLogLineATransition(t *testing.T) {
	var l log
	r := applied(t, Options{Log: l.logger()})
	l.take("")
	step := func(what string, f func(), want ...string) {
		t.Helper()
		f()
		if got := l.take("state changed"); !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
		}
	}
	const line = `"endpoint state changed" endpoint=web/`
	report := func(name string, s policy.State, ttl uint32) func() {
		return func() { r.Report(name, policy.Verdict{State: s, TTL: ttl}) }
	}
	step("first result", report("web/a", policy.Up, 10), line+"a from=unknown to=up forced=false why=probe")
	step("ttl only", report("web/a", policy.Up, 5))
	step("same", report("web/a", policy.Up, 5))
	step("down", report("web/a", policy.Down, 5), line+"a from=up to=down forced=false why=probe")
	step("drain", func() { must(t, r.Force(Override{Target: siteEU, State: policy.Drained, Reason: "power"})) },
		line+`a from=down to=drained forced=true why="override of site/eu: power"`)
	step("probes under a drain", report("web/a", policy.Up, 5), line+`a from=down to=up forced=true why="probe; without effect: override of site/eu: power"`)
	step("ttl under a drain", report("web/a", policy.Up, 4))
	step("undrain", func() { must(t, r.Unforce(siteEU)) }, line+`a from=drained to=up forced=false why="override ended"`)
	step("apply", func() { r.Apply(mustCompile(t, definition())) })
}

// TestManyTransitionsAreCutShort: draining a site of thousands does not write thousands of lines.
func TestManyTransitionsAreCutShort(t *testing.T) {
	var l log
	r := applied(t, Options{Log: l.logger()})
	var list []policy.EndpointSpec
	for i := range 500 {
		list = append(list, ep(fmt.Sprintf("e%d", i), "us"))
	}
	r.Publish("embedded", catalog("api", list...))
	l.take("")
	must(t, r.Force(drain(siteUS)))
	lines := l.take("state changed")
	if len(lines) != maxTransitionLines+1 || !strings.Contains(lines[maxTransitionLines], "endpoints=401") {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

// TestHealthFollowsNames over Apply and Publish, whatever ids the endpoints get.
func TestHealthFollowsNames(t *testing.T) {
	r := applied(t, Options{})
	r.Report("web/b", policy.Verdict{State: policy.Down, TTL: 9})
	r.Publish("embedded", catalog("web", ep("a0", ""), ep("c", "")))
	r.Report("web/c", up)
	d := definition()
	d.Policy.Services[0].Endpoints = slices.Insert(d.Policy.Services[0].Endpoints, 0, ep("first", ""))
	r.Apply(mustCompile(t, d))
	for name, want := range map[string]policy.Verdict{
		"web/a": {}, "web/first": {}, "web/a0": {}, "web/c": up, "web/b": {State: policy.Down, TTL: 9},
	} {
		if got := verdict(t, r, name); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// TestGoneEndpointsAreRememberedForAWhile: one that comes back in time is what it was, but for the TTL, which counted from then.
func TestGoneEndpointsAreRememberedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := applied(t, Options{})
		begin := time.Now()
		r.Publish("embedded", catalog("api", ep("x", "eu"), ep("y", "eu")))
		r.Report("api/x", policy.Verdict{State: policy.Down, TTL: 5})
		r.Publish("embedded", catalog("api", ep("y", "eu")))
		if r.Report("api/x", up) {
			t.Error("a report of what is gone is taken")
		}
		time.Sleep(KeepGone)
		r.Publish("embedded", catalog("api", ep("x", "eu"), ep("y", "eu")))
		if got := verdict(t, r, "api/x"); got != down {
			t.Errorf("back in time: %+v", got)
		}
		if d, _ := r.Detail("api/x"); !d.Since.Equal(begin) {
			t.Errorf("down since %v, want %v", d.Since, begin)
		}
		r.Publish("embedded", catalog("api", ep("y", "eu")))
		time.Sleep(KeepGone + time.Second)
		r.Publish("embedded", catalog("api", ep("y", "us")))
		r.Publish("embedded", catalog("api", ep("x", "eu")))
		if got := verdict(t, r, "api/x"); got != (policy.Verdict{}) {
			t.Errorf("back too late: %+v", got)
		}
	})
}

// TestMemoryOfGoneEndpointsIsBounded: names that come and go by the thousand do not pile up.
func TestMemoryOfGoneEndpointsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := applied(t, Options{})
		var gone []string
		for i := range maxGone + 100 {
			name := fmt.Sprintf("web/gone%d", i)
			r.endpoints[name] = &endpointState{gone: time.Now().Add(-time.Duration(i) * time.Nanosecond)}
			gone = append(gone, name)
		}
		r.Apply(mustCompile(t, definition()))
		if n := len(r.endpoints); n != maxGone+2 {
			t.Errorf("%d remembered, want %d", n, maxGone+2)
		}
		if r.endpoints[gone[0]] == nil || r.endpoints[gone[len(gone)-1]] != nil {
			t.Error("the longest gone should be forgotten first")
		}
	})
}

// TestProbedEndpointsAreAlwaysBounded: an answer with one must not outlive the result of a check that is about to come, however the
// endpoint came to be there.
func TestProbedEndpointsAreAlwaysBounded(t *testing.T) {
	probed := definition()
	probed.Probed = []string{"web", "none"}
	store := newMemory()
	must(t, store.SaveHealth([]SavedHealth{{Endpoint: "web/b", State: policy.Down}}))
	r := New(Options{Store: store})
	must(t, r.Restore())
	check := func(what, name string, want policy.Verdict) {
		t.Helper()
		if got := verdict(t, r, name); got != want {
			t.Errorf("%s: %s is %+v, want %+v", what, name, got, want)
		}
		if d, _ := r.Detail(name); d.State != want.State || d.TTL != want.TTL {
			t.Errorf("%s: details %+v", what, d)
		}
	}
	unknown, saved := policy.Verdict{TTL: 1}, policy.Verdict{State: policy.Down, TTL: 1}
	r.Apply(mustCompile(t, probed))
	check("the first snapshot", "web/a", unknown)
	check("the first snapshot", "web/b", saved)
	both := Catalog{Services: map[string][]policy.EndpointSpec{"web": {ep("new", "")}, "api": {ep("x", "")}}}
	r.Publish("embedded", both)
	check("registered", "web/new", unknown)
	check("registered, not probed", "api/x", policy.Verdict{})
	r.Report("web/new", policy.Verdict{State: policy.Up, TTL: 10})
	check("checked", "web/new", policy.Verdict{State: policy.Up, TTL: 10})
	r.Publish("embedded", Catalog{})
	r.Publish("embedded", both)
	check("back", "web/new", policy.Verdict{State: policy.Up, TTL: 1})
	must(t, r.Force(Override{Target: endpoint, State: policy.Up}))
	check("forced", "web/a", policy.Verdict{State: policy.Up, Forced: true})
	must(t, r.Unforce(endpoint))
	check("set free", "web/a", unknown)
	r.Report("web/b", policy.Verdict{})
	check("taken back, still probed", "web/b", unknown)

	r.Apply(mustCompile(t, definition()))
	check("no longer probed", "web/a", policy.Verdict{})
	check("no longer probed", "web/b", policy.Verdict{})
	r.Report("web/b", policy.Verdict{State: policy.Up, TTL: 10}) // of a check under way
	r.Report("web/b", policy.Verdict{})
	check("taken back, no longer probed", "web/b", policy.Verdict{})
	r.Apply(mustCompile(t, probed))
	check("probed by a reload", "web/a", unknown)
}

func TestProbed(t *testing.T) {
	r := applied(t, Options{})
	if v, ok := r.Probed("web/a"); ok {
		t.Errorf("known without a probe: %+v", v)
	}
	r.Report("web/a", down)
	must(t, r.Force(Override{Target: endpoint, State: policy.Up}))
	if v, ok := r.Probed("web/a"); !ok || v != down {
		t.Errorf("%+v, %v: want what probes say", v, ok)
	}
	r.Report("web/a", policy.Verdict{}) // no longer probed
	if v, ok := r.Probed("web/a"); ok {
		t.Errorf("known after probes ended: %+v", v)
	}
	if _, ok := r.Probed("web/none"); ok {
		t.Error("nothing is known of nothing")
	}
}

func TestDetails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := applied(t, Options{})
		begin := time.Now()
		time.Sleep(time.Second)
		r.Report("web/a", policy.Verdict{State: policy.Up, TTL: 15})
		time.Sleep(time.Second)
		forced := Override{Target: siteEU, State: policy.Drained, Reason: "power", By: "ops"}
		must(t, r.Force(forced))
		time.Sleep(time.Second)
		r.Report("web/a", policy.Verdict{State: policy.Down, TTL: 5})
		both := ep("x", "us")
		both.V6, both.Meta = both.V4, map[string]string{"k": "v"}
		both.V6 = mustAddr("2001:db8::1")
		r.Publish("embedded", catalog("api", both))

		d, ok := r.Detail("web/a")
		if !ok || d.State != policy.Drained || !d.Forced || d.Probed != policy.Down || d.TTL != 0 || d.Source != SourceFile || d.Site != "eu" ||
			!d.Since.Equal(begin.Add(2*time.Second)) || !d.ProbedSince.Equal(begin.Add(3*time.Second)) {
			t.Errorf("%+v", d)
		}
		if d.By == nil || d.By.Target != siteEU || d.By.Reason != "power" || d.By.By != "ops" || !d.By.Since.Equal(begin.Add(2*time.Second)) {
			t.Errorf("override %+v", d.By)
		}
		d, ok = r.Detail("api/x")
		if !ok || d.Source != "embedded" || len(d.Addresses) != 2 || d.Meta["k"] != "v" || d.Port != 80 || d.Service != "api" || d.By != nil {
			t.Errorf("%+v", d)
		}
		if _, ok := r.Detail("web/none"); ok {
			t.Error("details of nothing")
		}
		var all []string
		for _, d := range r.Details() {
			all = append(all, d.Name)
		}
		if !slices.Equal(all, names(r.Snapshot().Plan)) {
			t.Errorf("details of %v", all)
		}
	})
}

// TestWithoutAddressNothingIsAwaited: an endpoint that no probe can reach has no first result to come.
func TestWithoutAddressNothingIsAwaited(t *testing.T) {
	d := definition()
	d.Probed = []string{"web"}
	d.Policy.Services[0].Endpoints = append(d.Policy.Services[0].Endpoints, policy.EndpointSpec{Name: "cdn", Host: "cdn.example", Weight: 1})
	r := New(Options{})
	r.Apply(mustCompile(t, d))
	if v := verdict(t, r, "web/a"); v != (policy.Verdict{TTL: 1}) {
		t.Errorf("with an address: %+v", v)
	}
	if v := verdict(t, r, "web/cdn"); v != (policy.Verdict{}) {
		t.Errorf("without one: %+v", v)
	}
	if e, ok := r.Detail("web/cdn"); !ok || e.Addresses == nil || len(e.Addresses) != 0 || e.Host != "cdn.example" {
		t.Errorf("detail %+v", e)
	}
}

// TestReportLoad: what an endpoint says it has to do stands beside its state, whatever becomes of that, and of the World.
func TestReportLoad(t *testing.T) {
	d := definition()
	d.Policy.Services[0].Endpoints[0].Load = 400
	r := New(Options{})
	r.Apply(mustCompile(t, d))
	check := func(want policy.Verdict, detail float64) {
		t.Helper()
		if got := verdict(t, r, "web/a"); got.Load != want.Load || got.State != want.State {
			t.Errorf("%+v, want %+v", got, want)
		}
		if e, _ := r.Detail("web/a"); e.Load != detail {
			t.Errorf("shown as %v, want %v", e.Load, detail)
		}
	}
	check(policy.Verdict{Load: 400}, 0.4)
	gen := r.Snapshot().Gen
	r.ReportLoad("web/a", 700)
	check(policy.Verdict{Load: 700}, 0.7)
	if r.ReportLoad("web/a", 700); r.Snapshot().Gen != gen+1 {
		t.Errorf("generation %d after %d: the same load is no change", r.Snapshot().Gen, gen)
	}
	r.Report("web/a", policy.Verdict{State: policy.Down, Load: 5}) // probes know nothing of loads
	check(policy.Verdict{State: policy.Down, Load: 700}, 0.7)
	must(t, r.Force(drain(siteEU)))
	check(policy.Verdict{State: policy.Drained, Load: 700}, 0.7)
	if s := r.Snapshot().Suppose([]Supposition{{Target: endpoint, State: policy.Up}}); s.Health.Of(0).Load != 700 {
		t.Errorf("supposed to be up, it has a load of %d", s.Health.Of(0).Load)
	}
	r.Apply(mustCompile(t, d))
	check(policy.Verdict{State: policy.Drained, Load: 700}, 0.7)
	r.ReportLoad("web/a", 0)
	check(policy.Verdict{State: policy.Drained}, 0)

	r.ReportLoad("web/new", 300) // it registers, and is published a moment later
	r.ReportLoad("web/idle", 0)
	r.Publish("test", catalog("web", policy.EndpointSpec{Name: "new", V4: netip.MustParseAddr("192.0.2.99"), Weight: 1}))
	if got := verdict(t, r, "web/new").Load; got != 300 {
		t.Errorf("the new endpoint has a load of %d", got)
	}
}
