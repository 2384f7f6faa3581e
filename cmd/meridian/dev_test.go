package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
)

// TestDevConfig: flags move exactly what they say, and every form is a good file.
func TestDevConfig(t *testing.T) {
	parse := func(f devFlags, ipv6 bool) *configs.Config {
		t.Helper()
		cfg, err := configs.Parse("dev.yaml", f.config(ipv6))
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	plain := devFlags{backendPort: 8000, state: "/tmp/with \"quotes\""}
	cfg := parse(plain, true)
	if got := strings.Join(cfg.DNS.Listen, " "); got != "127.0.0.1:5300 [::1]:5300" {
		t.Errorf("dns: %s", got)
	}
	if got := strings.Join(cfg.Edge.HTTPS, " ") + " " + strings.Join(cfg.Edge.HTTP, " "); got != "127.0.0.1:8443 [::1]:8443 127.0.0.1:8080 [::1]:8080" {
		t.Errorf("edge: %s", got)
	}
	if cfg.Admin.Listen != admin.DefaultListen || cfg.State != plain.state || cfg.Site != "eu-west" {
		t.Errorf("admin %s, state %s, site %s", cfg.Admin.Listen, cfg.State, cfg.Site)
	}
	if cfg := parse(plain, false); strings.Join(cfg.DNS.Listen, " ") != "127.0.0.1:5300" || len(cfg.Edge.HTTPS) != 1 {
		t.Errorf("without IPv6: %v %v", cfg.DNS.Listen, cfg.Edge.HTTPS)
	}

	moved := devFlags{dns: "127.0.0.1:1", https: "127.0.0.1:2", http: "127.0.0.1:3", admin: "127.0.0.1:4", backendPort: 5, state: "x"}
	cfg = parse(moved, true)
	if got := strings.Join([]string{cfg.DNS.Listen[0], cfg.Edge.HTTPS[0], cfg.Edge.HTTP[0], cfg.Admin.Listen}, " "); got != "127.0.0.1:1 127.0.0.1:2 127.0.0.1:3 127.0.0.1:4" {
		t.Errorf("moved: %s", got)
	}
	d := newDemo(cfg)
	var names []string
	for _, b := range d.backends {
		if b.addr.Port() != 5 || !strings.HasPrefix(b.name, b.site) {
			t.Errorf("backend %s in %s at %s", b.name, b.site, b.addr)
		}
		names = append(names, b.addr.Addr().String())
	}
	if got := strings.Join(names, " "); got != "127.0.1.1 127.0.1.2 127.0.2.1 127.0.2.2 127.0.3.1 127.0.3.2" {
		t.Errorf("backends: %s", got)
	}
}

// TestDemoBackend: it names itself; stopped, its port is closed and connections with it; both can be said twice.
func TestDemoBackend(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	d := &demo{}
	for _, a := range []string{"127.0.1.1", "127.0.1.2"} {
		d.backends = append(d.backends, &demoBackend{name: "at-" + a, site: "eu-west", addr: netip.AddrPortFrom(netip.MustParseAddr(a), uint16(port))})
	}
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	defer d.stop()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ask := func(path string) (string, error) {
		resp, err := client.Get("http://" + d.backends[0].addr.String() + path)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	if got, err := ask("/healthz"); err != nil || got != "ok\n" {
		t.Errorf("healthz: %q %v", got, err)
	}
	if got, err := ask("/"); err != nil || !strings.HasPrefix(got, "at-127.0.1.1") {
		t.Errorf("/: %q %v", got, err)
	}
	if list := d.Backends(); len(list) != 2 || list[0].Requests != 1 || !list[0].Running {
		t.Errorf("backends: %+v; a health check is not counted", list)
	}
	for range 2 {
		if b, err := d.Switch("at-127.0.1.1", false); err != nil || b.Running {
			t.Errorf("stop: %+v %v", b, err)
		}
		if got, err := ask("/"); err == nil {
			t.Errorf("stopped, it answers %q", got)
		}
	}
	for range 2 {
		if b, err := d.Switch("at-127.0.1.1", true); err != nil || !b.Running {
			t.Errorf("start: %+v %v", b, err)
		}
	}
	if _, err := ask("/"); err != nil {
		t.Errorf("started again: %v", err)
	}
	_, err = d.Switch("nobody", true)
	if e := (*admin.Error)(nil); !errors.As(err, &e) || e.Status != http.StatusNotFound {
		t.Errorf("nobody: %v", err)
	}

	// All or none: the second set finds its first address free and its second taken.
	if _, err := d.Switch("at-127.0.1.1", false); err != nil {
		t.Fatal(err)
	}
	again := &demo{backends: []*demoBackend{{name: "a", addr: d.backends[0].addr}, {name: "b", addr: d.backends[1].addr}}}
	if err := again.start(); err == nil || !strings.Contains(err.Error(), "--backend-port") {
		t.Errorf("a taken address: %v", err)
	}
	if again.backends[0].state().Running {
		t.Error("one of two runs")
	}
}

// TestGuide: its commands carry the addresses that are really served.
func TestGuide(t *testing.T) {
	n, d := runDev(t)
	var b bytes.Buffer
	guide(&printer{w: &b}, n, d)
	listen := n.about().Listen
	_, dnsPort, _ := strings.Cut(listen.DNS[0], ":")
	_, edgePort, _ := strings.Cut(listen.HTTPS[0], ":")
	for _, want := range []string{
		"dig @127.0.0.1 -p " + dnsPort + " ", "+subnet=198.51.100.0/24 www.gslb.example", "--admin " + listen.Admin + " demo stop ",
		"drain us-east --for 10m --reason", "curl -k --resolve api.gslb.example:" + edgePort + ":127.0.0.1 ", "nghttp ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

// TestReachable: an address that is served on all interfaces is named as one that can be asked.
func TestReachable(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:1": "127.0.0.1:1", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "[::1]:1", ":1": "127.0.0.1:1", "192.0.2.1:1": "192.0.2.1:1", "[2001:db8::1]:1": "[2001:db8::1]:1", "nonsense": "nonsense",
	} {
		if got := reachable(in, "::1"); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if got := reachable("[::]:1", "127.0.0.1"); got != "127.0.0.1:1" {
		t.Error(got)
	}
}

// TestAnswers: a node that serves answers itself; one that does not says which part.
func TestAnswers(t *testing.T) {
	n, _ := runDev(t)
	if err := n.answers(t.Context()); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.answers(ctx); err == nil || !strings.HasPrefix(err.Error(), "dns: ") {
		t.Errorf("%v", err)
	}
}

// TestTaken: two parts of one process cannot have the same address either.
func TestTaken(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	same := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)).String()
	f := devFlags{dns: "127.0.0.1:0", https: same, http: "127.0.0.1:0", admin: "127.0.0.1:0", state: t.TempDir(), backendPort: uint16(port)}
	cfg, err := configs.Parse("dev.yaml", f.config(false))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Edge.HTTP, cfg.Admin.Listen = []string{same}, same
	err = taken(cfg, newDemo(cfg))
	if err == nil || !strings.Contains(err.Error(), "--http chooses") || !strings.Contains(err.Error(), "--admin chooses") || strings.Contains(err.Error(), "--https chooses") {
		t.Errorf("%v", err)
	}
	cfg.Edge.HTTP, cfg.Admin.Listen = []string{"127.0.0.1:0"}, "192.0.2.1:1" // which this machine lacks, and the admin room says so
	if err := taken(cfg, newDemo(cfg)); err != nil {
		t.Errorf("%v", err)
	}
}
