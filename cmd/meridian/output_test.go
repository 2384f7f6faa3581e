package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// brokenWriter fails from the start.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("pipe is closed") }

func TestTableAligns(t *testing.T) {
	var b bytes.Buffer
	p := &printer{w: &b}
	p.table([]string{"A", "LONGER"}, [][]string{{"one", "x"}, {"seventeen", "y"}})
	want := "  A          LONGER\n  one        x\n  seventeen  y\n"
	if b.String() != want || p.err != nil {
		t.Errorf("got\n%swant\n%s(%v)", b.String(), want, p.err)
	}
	b.Reset()
	p.table([]string{"A"}, nil)
	p.section([]string{"A"}, nil)
	if b.Len() != 0 {
		t.Errorf("a table without rows: %q", b.String())
	}
	p.section([]string{"A"}, [][]string{{"b"}})
	if b.String() != "\n  A\n  b\n" {
		t.Errorf("section: %q", b.String())
	}
}

// TestTableDefangs: what comes from elsewhere neither steers the terminal nor breaks columns.
func TestTableDefangs(t *testing.T) {
	var b bytes.Buffer
	(&printer{w: &b}).table([]string{"REASON", "END"}, [][]string{{"\x1b[31mred\a\t\r\nnext\u009b1m", "x"}})
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 2 || strings.ContainsAny(b.String(), "\x1b\a\t\r\u009b") || !utf8.Valid(b.Bytes()) || !strings.HasSuffix(lines[1], "x") {
		t.Errorf("%q", b.String())
	}
}

// TestColour: only where it is wanted.
func TestColour(t *testing.T) {
	if got := (&printer{color: true}).paint(red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("%q", got)
	}
	if got := (&printer{}).paint(red, "x"); got != "x" {
		t.Errorf("%q", got)
	}
	if got := (&printer{color: true}).paint(red, ""); got != "" {
		t.Errorf("%q", got)
	}
	if colorful(&bytes.Buffer{}) {
		t.Error("a buffer is no terminal")
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if colorful(f) {
		t.Error("a file is no terminal")
	}
}

func TestPrint(t *testing.T) {
	var b bytes.Buffer
	c := &cli{out: &b, format: "json"}
	if err := c.print(map[string]string{"a": "<&>"}, nil); err != nil || b.String() != "{\n  \"a\": \"<&>\"\n}\n" {
		t.Errorf("%q %v", b.String(), err)
	}
	c.out, c.format = brokenWriter{}, "table"
	lines := 0
	err := c.print(nil, func(p *printer) {
		for range 3 {
			p.line("x")
			lines++
		}
		p.table([]string{"A"}, [][]string{{"b"}})
	})
	if err == nil || lines != 3 {
		t.Errorf("a broken writer: %v", err)
	}
	c.format = "json"
	if err := c.print(1, nil); err == nil {
		t.Error("a broken writer, JSON: no error")
	}
}

func TestWords(t *testing.T) {
	if plural(1, "site") != "1 site" || plural(0, "site") != "0 sites" || plural(2, "site") != "2 sites" {
		t.Error("plural")
	}
	if dash("") != "-" || dash("x") != "x" {
		t.Error("dash")
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "0s", 999 * time.Millisecond: "0s", 61 * time.Second: "1m1s", 90 * time.Minute: "1h30m", 49 * time.Hour: "2d1h", -time.Second: "0s",
	} {
		if got := ago(now.Add(-d), now); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	if ago(time.Time{}, now) != "-" {
		t.Error("no time")
	}
	if got := counts(admin.Counts{Up: 2, Down: 1}); got != "2 up, 1 down" {
		t.Errorf("counts: %s", got)
	}
	if counts(admin.Counts{}) != "-" {
		t.Error("no counts")
	}
}

func TestPrintStatus(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	site := registry.Target{Kind: registry.KindSite, Name: "us-east"}
	drain := registry.Override{Target: site, State: policy.Drained, Until: now.Add(90 * time.Second), Reason: "upgrade"}
	s := admin.Status{
		About:    admin.About{Version: "v1", Site: "eu-west", Started: now.Add(-time.Hour)},
		Ready:    true,
		Degraded: []string{"service web: 1 of 2 endpoints down"},
		Sites:    []admin.SiteStatus{{Name: "us-east", Counts: admin.Counts{Drained: 1}}},
		Services: []admin.ServiceStatus{{Name: "web", Endpoints: []admin.EndpointStatus{
			{EndpointDetail: registry.EndpointDetail{Name: "web/one", State: policy.Down, Port: 80}, Probe: &admin.ProbeStatus{Error: "connection refused"}, Traffic: &admin.Traffic{Requests: 5}},
			{EndpointDetail: registry.EndpointDetail{Name: "web/two", Site: "us-east", State: policy.Drained, Forced: true, By: &drain}},
			{EndpointDetail: registry.EndpointDetail{Name: "web/three"}},
		}}},
		Overrides: []admin.OverrideStatus{{Override: drain, Endpoints: 1}, {Override: registry.Override{Target: site, State: policy.Up}}},
	}
	s.Orphans = []registry.Orphan{{Source: "embedded", Service: "wbe", Endpoints: 2}}
	s.Refused = []registry.Refusal{{Source: "embedded", Service: "web", Name: "nine", Reason: "no such site"}}
	show := func() string {
		var b bytes.Buffer
		printStatus(&printer{w: &b}, &s, now)
		return b.String()
	}
	out := show()
	for _, want := range []string{
		"Meridian v1 at eu-west: degraded, generation 0, up 1h0m", "! service web: 1 of 2 endpoints down", "us-east  1 drained",
		"connection refused", "site/us-east upgrade", "not probed", "in 1m30s", "until undrain", "wbe/*  ", `there is no service "wbe"`, "web/nine  ", "no such site",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	s.Degraded = nil
	if out := show(); !strings.Contains(out, ": ready, ") {
		t.Errorf("ready:\n%s", out)
	}
	s.Ready, s.Waiting = false, []string{"probes: first round"}
	if out := show(); !strings.Contains(out, "not ready: probes: first round") {
		t.Errorf("not ready:\n%s", out)
	}
}

// TestPrintExplanation: of an explanation that has everything, everything is shown.
func TestPrintExplanation(t *testing.T) {
	rank, km := 1, 5200.0
	x := dnsserver.Explanation{
		Name: "docs.gslb.example.", Type: "A", Client: "198.51.100.0/24", Zone: "gslb.example", Record: "www.gslb.example.", Kind: "steered",
		Chain: []string{"docs.gslb.example.", "www.gslb.example."}, RCode: "NOERROR", Service: "web", Policy: "near", TTL: 10, Scope: 24,
		Answers: []string{"www.gslb.example. 10 IN A 192.0.2.2"}, Notes: []string{"worth knowing"},
		Trace: &policy.Trace{
			Client: policy.ClientTrace{Network: "198.51.100.0/24", Site: "us-east", Region: "america", At: &policy.Point{Lat: 39.04, Lon: -77.49}},
			Stages: []policy.StageTrace{{
				Stage: "geo", Note: "ranked", Rule: "nearest", Scope: 24,
				Kept:    []policy.CandidateTrace{{Name: "web/a", Site: "us-east", State: policy.Up, Weight: 3, Rank: &rank, Km: &km, Share: .25}},
				Dropped: []policy.CandidateTrace{{Name: "web/b", State: policy.Down, Forced: true, Weight: 1, Why: "down"}},
			}},
		},
	}
	var b bytes.Buffer
	printExplanation(&printer{w: &b}, &x)
	for _, want := range []string{
		"docs.gslb.example. A  for 198.51.100.0/24", "docs.gslb.example. -> www.gslb.example.", "www.gslb.example. (steered)", "web, policy near",
		"in network 198.51.100.0/24, at site us-east, region america, at 39.04,-77.49", "0 geo  rule nearest  holds for /24  ranked",
		"+ web/a  us-east  up  weight 3  rank 1  5200 km  first with 25.0 %", "- web/b  down (forced)\n",
		"www.gslb.example. 10 IN A 192.0.2.2", "NOERROR, TTL 10 s, scope /24", "note: worth knowing",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	b.Reset()
	printExplanation(&printer{w: &b}, &dnsserver.Explanation{Name: "x.", Type: "A", Kind: "no such name", RCode: "NXDOMAIN"})
	if !strings.Contains(b.String(), "a client nothing is known of") || !strings.Contains(b.String(), "NXDOMAIN") {
		t.Errorf("\n%s", b.String())
	}
	if got := (&policy.ClientTrace{Address: "192.0.2.1"}).Where(); got != "192.0.2.1: no configured network holds it" {
		t.Errorf("whereabouts: %s", got)
	}
}

// TestStatusJSONRoundTrip: what the API writes is what the command line reads back and prints.
func TestStatusJSONRoundTrip(t *testing.T) {
	in := admin.Status{Generation: 7, Services: []admin.ServiceStatus{{Name: "web", Endpoints: []admin.EndpointStatus{
		{EndpointDetail: registry.EndpointDetail{Name: "web/one", State: policy.Drained}, Probe: &admin.ProbeStatus{Streak: 3}},
	}}}}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out admin.Status
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if e := out.Services[0].Endpoints[0]; out.Generation != 7 || e.State != policy.Drained || e.Probe.Streak != 3 {
		t.Errorf("%+v", out)
	}
}
