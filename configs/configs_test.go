package configs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/probes"
)

// parse returns the Config of a text that has no errors.
func parse(t *testing.T, src string) *Config {
	t.Helper()
	c, err := Parse("test.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := parse(t, "dns:\nedge: {self_signed: localhost}\nservices: {web: {probe: {http: /}, endpoints: [192.0.2.1]}}\n"+
		"zones: {gslb.example: {ns: ns.example.net., records: {www: {service: web}}}}\nroutes: [{service: web}]\n")
	if got := c.DNS.Listen; !slices.Equal(got, []string{"127.0.0.1:53"}) || c.DNS.UDPSize != 1232 {
		t.Errorf("dns: %+v", c.DNS)
	}
	if got := c.Edge.HTTPS; !slices.Equal(got, []string{"127.0.0.1:443"}) || len(c.Edge.HTTP) != 0 {
		t.Errorf("edge: %+v", c.Edge)
	}
	if c.Admin.Listen != "127.0.0.1:8053" || c.State != "" || c.Site != "" || c.Log != (LogConfig{}) {
		t.Errorf("admin %q, state %q, site %q, log %+v", c.Admin.Listen, c.State, c.Site, c.Log)
	}
	want := probes.Check{Kind: probes.HTTP, Path: "/", Method: "GET", Status: "200-399", Interval: 5 * time.Second, Timeout: 2 * time.Second, Rise: 2, Fall: 3}
	if got := c.Probes["web"]; got != want {
		t.Errorf("probe %+v, want %+v", got, want)
	}
	if r := c.Definition.Zones[0].Records[0]; r.TTL != 30 || r.Steer.Policy != "" {
		t.Errorf("record %+v %+v", r, r.Steer)
	}
	if r := c.Definition.Routes[0]; r.Retries != -1 || r.Timeout != 0 {
		t.Errorf("route %+v", r)
	}
	if e := c.Definition.Policy.Services[0].Endpoints[0]; e.Weight != 1 || e.Name != "192.0.2.1" {
		t.Errorf("endpoint %+v", e)
	}
}

func TestSectionsThatAreNotThere(t *testing.T) {
	c := parse(t, "log: {level: warn, format: json}\n")
	if c.DNS != nil || c.Edge != nil || c.Log.Level != slog.LevelWarn || c.Log.Format != "json" {
		t.Errorf("dns %v, edge %v, log %+v", c.DNS, c.Edge, c.Log)
	}
}

// The values of testdata/good/forms.yaml arrive as they are meant.
func TestForms(t *testing.T) {
	c, err := Load(os.DirFS("testdata/good"), "forms.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if c.State != "it's here" || c.Site != "Eu_West.1" || c.Edge.SiteName != c.Site || c.Log.Level != slog.LevelWarn {
		t.Errorf("state %q, site %q, edge at %q, level %v", c.State, c.Site, c.Edge.SiteName, c.Log.Level)
	}
	if c.Edge.LameDuck != -1 || c.Edge.DrainTimeout != 1500*time.Millisecond || c.DNS.TCP.Idle != 90*time.Second || c.DNS.TCP.IO != 500*time.Millisecond {
		t.Errorf("edge %+v, dns %+v", c.Edge, c.DNS)
	}
	es := c.Definition.Policy.Services[0].Endpoints
	var names []string
	for _, e := range es {
		names = append(names, e.Name)
	}
	if want := []string{"192.0.2.1:80", "192.0.2.1:81", "2001:db8::4", "[x]:1"}; !slices.Equal(names, want) {
		t.Errorf("endpoints %q, want %q", names, want)
	}
	if e := es[1]; e.Weight != 0 || e.Meta["a"] != "1" || e.Meta["b"] != "true" || e.Meta["c"] != "" || len(e.Meta) != 3 {
		t.Errorf("endpoint %+v", e)
	}
	if p := c.Probes["web"]; p.Status != "200-299,401" || !p.Insecure || p.Interval != 2*time.Second || p.Timeout != time.Second {
		t.Errorf("probe %+v", p)
	}
	stages := c.Definition.Policy.Policies[0].Stages
	if got := fmt.Sprintf("%T %T %T %T %v", stages[0], stages[1], stages[2], stages[3], stages[4]); got != "policy.Healthy policy.Geo policy.Failover policy.Weighted {3}" {
		t.Errorf("stages %s", got)
	}
	if r := c.Definition.Routes; r[0].Timeout >= 0 || r[0].Retries != 0 || r[1].Timeout != 250*time.Millisecond {
		t.Errorf("routes %+v", r)
	}
	if z := c.Definition.Zones[0]; z.TTL != 600 || z.SOA.Serial != 4294967295 || z.SOA.Minimum != 5 {
		t.Errorf("zone %+v", z)
	}
}

// The service "edge" is made of the sites' edges, or of what the edge listens on.
func TestEdgeService(t *testing.T) {
	const zone = "services: {web: {endpoints: [192.0.2.1], probe: off}}\nzones: {gslb.example: {ns: ns.example.net., records: {www: {service: web, via: edge}}}}\n"
	for name, c := range map[string]struct {
		src  string
		want []string // endpoint, addresses, port, site
		port uint16   // of the probe; 0: none
	}{
		"sites":    {"sites: {a: {edge: [192.0.2.8, \"2001:db8::8\"]}, b: , c: {edge: 192.0.2.9}}\nedge: {https: \":8443\", self_signed: x}\n", []string{"a 192.0.2.8 2001:db8::8 8443 a", "c 192.0.2.9 invalid IP 8443 c"}, 8443},
		"listen":   {"site: a\nsites: {a: }\nedge: {https: [\"127.0.0.1:8443\", \"[::1]:8443\"], self_signed: x}\n", []string{"a 127.0.0.1 ::1 8443 a"}, 8443},
		"http":     {"edge: {http: 127.0.0.1:8080}\n", []string{"local 127.0.0.1 invalid IP 8080 "}, 8080},
		"any port": {"edge: {http: 127.0.0.1:0}\n", []string{"local 127.0.0.1 invalid IP 0 "}, 0},
		"far edge": {"sites: {a: {edge: 192.0.2.8}}\n", []string{"a 192.0.2.8 invalid IP 0 a"}, 0},
	} {
		config := parse(t, c.src+zone)
		services := config.Definition.Policy.Services
		last := services[len(services)-1]
		if last.Name != "edge" {
			t.Errorf("%s: no service edge", name)
			continue
		}
		var got []string
		for _, e := range last.Endpoints {
			got = append(got, fmt.Sprintf("%s %s %s %d %s", e.Name, e.V4, e.V6, e.Port, e.Site))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		if p, ok := config.Probes["edge"]; ok != (c.port != 0) || p.Port != c.port {
			t.Errorf("%s: probe %+v, want port %d", name, p, c.port)
		}
		if s := config.Definition.Zones[0].Records[0].Steer; s.Service != "edge" {
			t.Errorf("%s: steered to %q", name, s.Service)
		}
	}
	c := parse(t, "sites: {a: {edge: 192.0.2.8}}\nservices: {web: {endpoints: [192.0.2.1], probe: off}}\n")
	if n := len(c.Definition.Policy.Services); n != 1 {
		t.Errorf("%d services although no record is answered with the edge", n)
	}
}

// The registry is told which services are checked, the implicit one of the edges among them.
func TestProbedServices(t *testing.T) {
	c := parse(t, "sites: {a: {edge: 192.0.2.8}}\nedge: {http: \"0.0.0.0:80\"}\nservices:\n  off: {endpoints: [192.0.2.1], probe: off}\n"+
		"  web: {endpoints: [192.0.2.1], probe: {tcp: 80}}\n  api: {probe: {tcp: 80}}\n"+
		"zones: {gslb.example: {ns: ns.example.net., records: {www: {service: web, via: edge}}}}\n")
	if got, want := c.Definition.Probed, slices.Sorted(maps.Keys(c.Probes)); !slices.Equal(got, want) || !slices.Equal(got, []string{"api", "edge", "web"}) {
		t.Errorf("probed %v, checks of %v", got, want)
	}
}

// What stands in the file may be probed, wherever it is; the permission is the service's own.
func TestLocalProbes(t *testing.T) {
	c := parse(t, "services:\n  a: {endpoints: [127.0.1.1], probe: {tcp: 80}}\n  b: {endpoints: [\"fe80::1\"], probe: {tcp: 80}}\n  c: {endpoints: [192.0.2.1], probe: {tcp: 80}}\n")
	for service, want := range map[string][2]bool{"a": {true, false}, "b": {false, true}, "c": {false, false}} {
		if p := c.Probes[service]; p.AllowLoopback != want[0] || p.AllowLinkLocal != want[1] {
			t.Errorf("%s: %+v, want %v", service, p, want)
		}
	}
}

// The embedded configuration of "meridian dev" has what the demo promises.
func TestDev(t *testing.T) {
	c, err := Parse("dev.yaml", Dev())
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings: %v", c.Warnings)
	}
	if c.Site != "eu-west" || c.DNS.Listen[0] != "127.0.0.1:5300" || c.Edge.HTTPS[0] != "127.0.0.1:8443" || c.Edge.HTTP[0] != "127.0.0.1:8080" || c.Admin.Listen != "127.0.0.1:8053" {
		t.Errorf("site %q, dns %v, edge %v %v, admin %q", c.Site, c.DNS.Listen, c.Edge.HTTPS, c.Edge.HTTP, c.Admin.Listen)
	}
	plan := c.Compiled.Plan()
	for i, site := range []string{"eu-west", "us-east", "ap-south"} {
		for k := 1; k <= 2; k++ {
			name := fmt.Sprintf("web/%s-%d", site, k)
			id, ok := plan.EndpointByName(name)
			if !ok {
				t.Fatalf("no endpoint %s", name)
			}
			if e := plan.Endpoint(id); e.V4 != netip.MustParseAddr(fmt.Sprintf("127.0.%d.%d", i+1, k)) || e.Port != 8000 || plan.SiteName(e.Site) != site {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
	web := c.Probes["web"]
	if web.Kind != probes.HTTP || web.Path != "/healthz" || web.Interval != time.Second || web.Timeout != 500*time.Millisecond || web.Fall != 2 || web.Rise != 2 || !web.AllowLoopback {
		t.Errorf("probe %+v", web)
	}
	health := policy.NewHealth(plan.NumEndpoints())
	for client, site := range map[string]string{"192.0.2.0/24": "eu-west", "2001:db8:1::/48": "eu-west", "198.51.100.0/24": "us-east", "2001:db8:2::/48": "us-east",
		"203.0.113.0/24": "ap-south", "2001:db8:3::/48": "ap-south"} {
		service, _ := plan.ServiceByName("web")
		nearest, _ := plan.PolicyByName("nearest")
		d := plan.Decide(&policy.Scratch{}, policy.Query{Service: service, Policy: nearest, Client: netip.MustParsePrefix(client), Family: policy.FamilyV4, Dice: 7}, health)
		if len(d.Endpoints) != 1 || plan.SiteName(plan.Endpoint(d.Endpoints[0]).Site) != site {
			t.Errorf("client %s: %v, want %s", client, d, site)
		}
	}
	if _, ok := c.Compiled.Routes().Match("api.gslb.example", "/"); !ok {
		t.Error("no route for api.gslb.example")
	}
	if r, ok := c.Compiled.Routes().Match("localhost:8443", "/"); !ok || r.Host != "" {
		t.Error("no route for localhost")
	}
	for i, b := range Dev() {
		if b == '\t' {
			t.Errorf("a tab at byte %d", i)
		}
	}
}

// Dev and Schema give copies: a caller cannot change what the next one gets.
func TestEmbeddedFilesAreCopies(t *testing.T) {
	for _, get := range []func() []byte{Dev, Schema} {
		a := get()
		a[0] = 'X'
		if get()[0] == 'X' {
			t.Error("a caller changed the embedded file")
		}
	}
}

func TestLoad(t *testing.T) {
	fsys := fstest.MapFS{
		"good.yaml": {Data: []byte("state: /tmp\n")},
		"bad.yaml":  {Data: []byte("stat: /tmp\n")},
		"big.yaml":  {Data: []byte(strings.Repeat("#\n", 3<<20))},
	}
	if c, err := Load(fsys, "good.yaml"); err != nil || c.State != "/tmp" {
		t.Errorf("good: %v", err)
	}
	if c, err := Load(fsys, "none.yaml"); c != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v, %v", c, err)
	}
	var e *Errors
	if c, err := Load(fsys, "bad.yaml"); c != nil || !errors.As(err, &e) || e.Problems[0].File != "bad.yaml" || e.Problems[0].Suggestion != "state" {
		t.Errorf("bad: %v, %v", c, err)
	}
	if c, err := Load(fsys, "big.yaml"); c != nil || err == nil || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("big: %v, %v", c, err)
	}
	if c, err := Load(fsys, "."); c != nil || err == nil {
		t.Errorf("directory: %v, %v", c, err)
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if c, err := ReadFile(write("good.yaml", "state: /tmp\n")); err != nil || c.State != "/tmp" {
		t.Errorf("good: %v", err)
	}
	var e *Errors
	bad := write("bad.yaml", "stat: /tmp\n")
	if c, err := ReadFile(bad); c != nil || !errors.As(err, &e) || e.Problems[0].File != bad {
		t.Errorf("bad: %v, %v", c, err)
	}
	if c, err := ReadFile(write("big.yaml", strings.Repeat("#\n", 3<<20))); c != nil || !errors.As(err, &e) || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("big: %v, %v", c, err)
	}
	if c, err := ReadFile(filepath.Join(dir, "none.yaml")); c != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v, %v", c, err)
	}
	if c, err := ReadFile(dir); c != nil || err == nil || errors.As(err, new(*Errors)) {
		t.Errorf("directory: %v, %v", c, err)
	}
}

func TestErrorsAreCapped(t *testing.T) {
	_, err := Parse("f", []byte("sites:\n"+strings.Repeat("  \"?\": 1\n  x: {y: 1, y: 2}\n", 4000)))
	var e *Errors
	if !errors.As(err, &e) || len(e.Problems) != 100 || e.Total < 4000 {
		t.Fatalf("%d of %d problems", len(e.Problems), e.Total)
	}
	if !strings.HasSuffix(err.Error(), fmt.Sprintf("\n… and %d more", e.Total-100)) {
		t.Errorf("ends in %q", err.Error()[len(err.Error())-40:])
	}
}

func TestErrorsAsJSON(t *testing.T) {
	_, err := Parse("m.yaml", []byte("dsn: {}\n"))
	data, jsonErr := json.Marshal(err)
	if jsonErr != nil {
		t.Fatal(jsonErr)
	}
	want := `{"total":1,"problems":[{"file":"m.yaml","line":1,"column":1,"path":"dsn","message":"unknown key","suggestion":"dns","source":"dsn: {}"}]}`
	if string(data) != want {
		t.Errorf("got  %s\nwant %s", data, want)
	}
}

// All mistakes of a file come at once, in the order of its lines, wherever the room that finds them.
func TestAllAtOnce(t *testing.T) {
	_, err := Parse("f", []byte(`sites: {a: {at: [100, 0]}}
services: {web: {endpoints: [{adress: x}], probe: {http: healthz}}}
policies: {p: [failover]}
zones:
  gslb.example:
    ns: [ns1]
    records: {www: {A: 1.2.3, TXT: x}}
routes: [{host: "a:1", service: web}]
`))
	var e *Errors
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	var lines []int
	for _, p := range e.Problems {
		lines = append(lines, p.Line)
	}
	if want := []int{1, 2, 2, 3, 6, 7, 8}; !slices.Equal(lines, want) {
		t.Errorf("lines %v, want %v:\n%v", lines, want, err)
	}
}

// The example for the image fits the image: its ports need no rights, its state is the volume, its health check finds the admin API.
func TestDockerExample(t *testing.T) {
	c, err := Load(os.DirFS("."), "docker.yaml")
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, listen := range slices.Concat(c.DNS.Listen, c.Edge.HTTPS, c.Edge.HTTP) {
		a, ok := splitListen(listen)
		if !ok || a.Addr().IsValid() || a.Port() < 1024 || !strings.Contains(string(image), fmt.Sprintf("%d/tcp", a.Port())) {
			t.Errorf("%s: want every address, and an unprivileged port that the image exposes", listen)
		}
	}
	if !strings.Contains(string(image), "VOLUME "+c.State+"\n") || c.Admin.Listen != admin.DefaultListen {
		t.Errorf("state %s, admin %s", c.State, c.Admin.Listen)
	}
}
