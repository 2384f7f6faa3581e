package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

// TestStatus: everything that is known comes together, by service and by site.
func TestStatus(t *testing.T) {
	b := newBench(t)
	b.report(policy.Up, policy.Down)
	b.probes = map[string]ProbeStatus{"web/two": {Kind: "http", Address: "192.0.2.2:80", Error: "connection refused", Streak: 3, Latency: embedded.Duration(time.Millisecond)}}
	s := get[Status](b, "/v1/status")
	if s.Version != "v1" || s.Site != "eu-west" || s.Config.File != "meridian.yaml" || !s.Ready || s.Generation != b.Registry.Snapshot().Gen {
		t.Errorf("about: %+v", s)
	}
	if want := []SiteStatus{{"eu-west", Counts{Up: 1}}, {"us-east", Counts{Down: 1}}}; !slices.Equal(s.Sites, want) {
		t.Errorf("sites: %+v", s.Sites)
	}
	web, api := s.Services[0], s.Services[1]
	if web.Name != "web" || web.Counts != (Counts{Up: 1, Down: 1}) || web.FailOpen || len(web.Endpoints) != 2 {
		t.Fatalf("web: %+v", web)
	}
	if api.Name != "api" || api.Counts.Total() != 0 || api.FailOpen || api.Endpoints == nil {
		t.Errorf("api: %+v", api)
	}
	one, two := web.Endpoints[0], web.Endpoints[1]
	if one.Name != "web/one" || one.State != policy.Up || one.Traffic == nil || one.Traffic.Requests != 7 || one.Probe != nil {
		t.Errorf("one: %+v", one)
	}
	if two.State != policy.Down || two.Probe == nil || two.Probe.Error != "connection refused" || two.Traffic != nil {
		t.Errorf("two: %+v", two)
	}
	if svc := get[ServiceStatus](b, "/v1/services/web"); svc.Counts != web.Counts {
		t.Errorf("GET /v1/services/web: %+v", svc)
	}
	if all := get[[]ServiceStatus](b, "/v1/services"); len(all) != 2 {
		t.Errorf("GET /v1/services: %+v", all)
	}
	b.refused(http.MethodGet, "/v1/services/wbe", "", http.StatusNotFound, `no service "wbe"`)
}

// TestDegraded: what counts as trouble, in words; a drain is somebody's wish and does not.
func TestDegraded(t *testing.T) {
	const apiEmpty = "service api has no endpoint"
	drain := func(b *bench, target string) {
		to, err := registry.ParseTarget(target)
		if err != nil {
			b.t.Fatal(err)
		}
		if err := b.Registry.Force(registry.Override{Target: to, State: policy.Drained}); err != nil {
			b.t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		set  func(b *bench)
		want []string
		open bool
	}{
		{"unknown counts as up", func(*bench) {}, []string{apiEmpty}, false},
		{"one down", func(b *bench) { b.report(policy.Up, policy.Down) }, []string{"service web: 1 of 2 endpoints down: two", apiEmpty}, false},
		{"all down", func(b *bench) { b.report(policy.Down, policy.Down) }, []string{"service web has no usable endpoint: 2 down, 0 drained; it fails open", apiEmpty}, true},
		{"one drained", func(b *bench) { b.report(policy.Up, policy.Up); drain(b, "site/us-east") }, []string{apiEmpty}, false},
		{"one drained that is down", func(b *bench) { b.report(policy.Up, policy.Down); drain(b, "site/us-east") }, []string{apiEmpty}, false},
		{"all drained", func(b *bench) { drain(b, "service/web") }, []string{"service web has no usable endpoint: 0 down, 2 drained; it fails open", apiEmpty}, true},
		{"one down, one drained", func(b *bench) { b.report(policy.Down, policy.Up); drain(b, "site/us-east") },
			[]string{"service web has no usable endpoint: 1 down, 1 drained; it fails open", apiEmpty}, true},
		{"certificates load", func(b *bench) { b.Options.Certificates = func() []string { return nil } }, []string{apiEmpty}, false},
		{"a certificate does not load", func(b *bench) {
			b.Options.Certificates = func() []string { return []string{"l7edge: a.pem: no certificate in it"} }
		}, []string{"a certificate does not load, and the one before is presented: a.pem: no certificate in it", apiEmpty}, false},
		{"an old geo database", func(b *bench) { b.Options.GeoData = func() []string { return []string{"a database is old"} } },
			[]string{"a database is old", apiEmpty}, false},
		{"aliases do not resolve", func(b *bench) { b.Options.Aliases = func() []string { return []string{"nobody is asked"} } },
			[]string{"nobody is asked", apiEmpty}, false},
		{"state is saved", func(b *bench) { b.Options.Saving = func() error { return nil } }, []string{apiEmpty}, false},
		{"state is not saved", func(b *bench) { b.Options.Saving = func() error { return errors.New("store: input/output error") } },
			[]string{"state cannot be saved, so a restart may lose what changes: input/output error", apiEmpty}, false},
		{"reload refused", func(b *bench) {
			b.about.Config = ConfigStatus{Loaded: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Tried: time.Date(2026, 1, 2, 4, 0, 0, 0, time.UTC), Problem: "meridian.yaml:3:7: no\n  line\n  ^", More: 2}
		}, []string{"the last reload, at 2026-01-02T04:00:00Z, was refused, and what was loaded at 2026-01-02T03:04:05Z serves: meridian.yaml:3:7: no, and 2 more", apiEmpty}, false},
		{"registration refused", func(b *bench) {
			b.Registry.Publish(embedded.SourceName, registry.Catalog{Services: map[string][]policy.EndpointSpec{
				"api": {{Name: "a", V4: netip.MustParseAddr("192.0.2.9"), Weight: 1}, {Name: "b", V4: netip.MustParseAddr("192.0.2.10"), Weight: 1, Site: "mars"}},
			}})
		}, []string{`1 endpoint of a source is refused, api/b: there is no site "mars"`}, false},
		{"two refused", func(b *bench) {
			b.Registry.Publish(embedded.SourceName, registry.Catalog{Services: map[string][]policy.EndpointSpec{
				"api": {{Name: "a", Weight: 1}, {Name: "b", V4: netip.MustParseAddr("192.0.2.10"), Weight: 1, Site: "mars"}, {Name: "c", V4: netip.MustParseAddr("192.0.2.9")}},
			}})
		}, []string{"2 endpoints of sources are refused, the first of them, api/a: an endpoint needs an address, a host or a text"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			c.set(b)
			s := b.Status()
			if !slices.Equal(s.Degraded, c.want) {
				t.Errorf("degraded: %q, want %q", s.Degraded, c.want)
			}
			if s.Services[0].FailOpen != c.open {
				t.Errorf("fails open: %v", s.Services[0].FailOpen)
			}
		})
	}
}

// TestDegradedNamesAFew: of very many endpoints that are down, the sentence names the first.
func TestDegradedNamesAFew(t *testing.T) {
	svc := ServiceStatus{Name: "web", Counts: Counts{Up: 1}}
	for i, state := range []policy.State{policy.Down, policy.Up, policy.Drained, policy.Down, policy.Down, policy.Down, policy.Down} {
		svc.Endpoints = append(svc.Endpoints, EndpointStatus{EndpointDetail: registry.EndpointDetail{Name: fmt.Sprintf("web/e%d", i), State: state}})
		svc.Counts.add(state)
	}
	if got, want := svc.trouble(), ": 5 of 8 endpoints down: e0, e3, e4 and 2 more"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestRegisteredEndpointsInStatus: they show their source, their lease, and what became of the others.
func TestRegisteredEndpointsInStatus(t *testing.T) {
	b := newBench(t)
	for _, r := range []embedded.Registration{
		{Service: "api", Name: "a", Address: []netip.Addr{netip.MustParseAddr("192.0.2.9")}, TTL: embedded.Duration(time.Minute)},
		{Service: "nobody", Name: "a", Address: []netip.Addr{netip.MustParseAddr("192.0.2.9")}},
	} {
		if _, _, err := b.Embedded.Register(r); err != nil {
			t.Fatal(err)
		}
	}
	spec := policy.EndpointSpec{Name: "a", V4: netip.MustParseAddr("192.0.2.9"), Weight: 1}
	b.Registry.Publish(embedded.SourceName, registry.Catalog{Services: map[string][]policy.EndpointSpec{"api": {spec}, "nobody": {spec}}})
	s := b.Status()
	e := s.Services[1].Endpoints[0]
	if e.Name != "api/a" || e.Source != embedded.SourceName || e.Expires.IsZero() {
		t.Errorf("api/a: %+v", e)
	}
	if len(s.Orphans) != 1 || s.Orphans[0].Service != "nobody" {
		t.Errorf("orphans: %+v", s.Orphans)
	}
	if s.Degraded != nil {
		t.Errorf("degraded: %q; a service that is not there yet is no trouble", s.Degraded)
	}
}

// TestStatusIsPlainJSON: lists are lists and not null, words and not numbers, durations as Go writes them.
func TestStatusIsPlainJSON(t *testing.T) {
	b := newBench(t)
	b.probes = map[string]ProbeStatus{"web/one": {Latency: embedded.Duration(1500 * time.Microsecond)}}
	body, err := json.Marshal(b.Status())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"overrides":[]`, `"endpoints":[]`, `"state":"unknown"`, `"latency":"1.5ms"`, `"addresses":["192.0.2.1"]`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%s is not in\n%s", want, body)
		}
	}
}

// TestCounts: unknown counts as usable.
func TestCounts(t *testing.T) {
	var c Counts
	for _, s := range []policy.State{policy.Up, policy.Up, policy.Unknown, policy.Down, policy.Drained} {
		c.add(s)
	}
	if c != (Counts{Up: 2, Unknown: 1, Down: 1, Drained: 1}) || c.Total() != 5 || c.Usable() != 3 {
		t.Errorf("%+v", c)
	}
}
