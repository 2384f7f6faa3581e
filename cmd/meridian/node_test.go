package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
	"github.com/meridian-gslb/meridian/policy"
)

// runDev runs what `meridian dev` runs, on ports of its own, until the test ends.
func runDev(t *testing.T) (*node, *demo) {
	t.Helper()
	f := devFlags{dns: "127.0.0.1:0", http: "127.0.0.1:0", admin: "127.0.0.1:0", state: t.TempDir()}
	https, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	backends, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	f.https, f.backendPort = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(https)).String(), uint16(backends)
	load := func() (*configs.Config, error) { return configs.Parse("dev.yaml", f.config(false)) }
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Edge.LameDuck = -1
	d := newDemo(cfg)
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	first := true
	n, err := newNode(nodeOptions{
		load: func() (*configs.Config, error) {
			if first {
				first = false
				return cfg, nil
			}
			again, err := load()
			if err == nil {
				again.Edge.LameDuck = -1
			}
			return again, err
		},
		file: "dev.yaml", logging: newLogSwitch(io.Discard), allowLoopback: true, demo: d,
	})
	if err != nil {
		t.Fatal(err)
	}
	runNode(t, n)
	return n, d
}

// runNode runs a node until the test ends, and returns when it is ready.
func runNode(t *testing.T, n *node) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- n.run(ctx, func() { close(ready) }) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	select {
	case <-ready:
	case <-time.After(20 * time.Second):
		t.Fatal("not ready within 20 s")
	}
	return stop
}

// TestMetrics: after real work, every name has the prefix, base units and suffixes that Prometheus wants, and all that dashboards and
// alerts rest on is there.
func TestMetrics(t *testing.T) {
	n, _ := runDev(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 3 {
		resp, err := client.Get("http://" + n.about().Listen.HTTP[0] + "/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	resp, err := client.Get("http://" + n.about().Listen.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics: %s %v", resp.Status, err)
	}
	for _, want := range []string{
		"build_info{", "config_last_reload_successful 1", "config_last_reload_success_timestamp_seconds ", "snapshot_generation ", "snapshot_age_seconds ",
		`endpoint_up{`, `endpoint_weight{`, `probe_results_total{result="success"}`, "probe_duration_seconds_bucket", "health_transitions_total{",
		"state_save_errors_total 0", "proxy_requests_total{", "proxy_request_duration_seconds_bucket", "tls_certs_not_after{",
		`panics_recovered_total{where="admin"} 0`, "dns_tcp_connections ",
	} {
		if !strings.Contains(string(text), "\nmeridian_"+want) {
			t.Errorf("meridian_%s is missing", want)
		}
	}
	problems, err := testutil.GatherAndLint(n.metrics.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := n.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		name := f.GetName()
		if !strings.HasPrefix(name, "meridian_") && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s has no prefix of ours", name)
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "name" || l.GetName() == "qname" {
					t.Errorf("%s has the label %s: names that clients ask for are without number", name, l.GetName())
				}
			}
		}
	}
}

// TestReloadsTakeTurns: many at once all succeed, one after the other; a caller that gives up is told so.
func TestReloadsTakeTurns(t *testing.T) {
	n, _ := runDev(t)
	before := n.registry.Snapshot().Gen
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if r, err := n.reload(context.Background()); err != nil || r.Generation <= before {
				t.Errorf("%+v %v", r, err)
			}
		})
	}
	wg.Wait()
	<-n.turn
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := n.reload(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("gave up: %v", err)
	}
	n.turn <- struct{}{}
	if _, err := n.reload(context.Background()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestNothingStaysOpenAfterAFailedStart: whatever cannot be had, the rest is let go at once, so that the next start can have it.
func TestNothingStaysOpenAfterAFailedStart(t *testing.T) {
	n, _ := runDev(t)
	taken := n.about().Listen
	dir := t.TempDir()
	pool := new(portPool)
	start := func(dns, https, adminAddr string) error {
		port, err := pool.next()
		if err != nil {
			t.Fatal(err)
		}
		f := devFlags{dns: dns, https: https, http: "127.0.0.1:0", admin: adminAddr, backendPort: uint16(port), state: filepath.Join(dir, "state")}
		node, err := newNode(nodeOptions{
			load: func() (*configs.Config, error) { return configs.Parse("dev.yaml", f.config(false)) }, logging: newLogSwitch(io.Discard),
		})
		if err == nil {
			node.close()
		}
		return err
	}
	ports := make([]string, 3)
	for i := range ports {
		port, err := pool.next()
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)).String()
	}
	for _, c := range []struct{ dns, https, admin, want string }{
		{taken.DNS[0], ports[1], ports[2], "dns.listen"},
		{ports[0], taken.HTTPS[0], ports[2], "edge.https"},
		{ports[0], ports[1], taken.Admin, "admin.listen"},
	} {
		begin := time.Now()
		err := start(c.dns, c.https, c.admin)
		if e := (*bindError)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) ||
			!strings.Contains(err.Error(), "cannot listen on 127.0.0.1:") || !strings.Contains(err.Error(), ": another process does") {
			t.Errorf("%v, want %s", err, c.want)
		}
		if took := time.Since(begin); took > 900*time.Millisecond {
			t.Errorf("%s: it took %v to say so", c.want, took)
		}
	}
	if err := start(ports[0], ports[1], ports[2]); err != nil {
		t.Errorf("the addresses and the state are not free again: %v", err)
	}
}

// TestStateOutlivesTheNode: what one process knew, the next starts with.
func TestStateOutlivesTheNode(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "meridian.yaml")
	text := "admin: {listen: 127.0.0.1:0}\nstate: " + filepath.Join(dir, "state") + "\nservices: {web: {endpoints: [192.0.2.1, 192.0.2.2]}}\n" +
		"zones: {gslb.example: {ns: [ns1.example.net], records: {www: {service: web}}}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func() (*node, func()) {
		n, err := newNode(nodeOptions{load: func() (*configs.Config, error) { return loadFile(file) }, file: file, logging: newLogSwitch(io.Discard)})
		if err != nil {
			t.Fatal(err)
		}
		return n, runNode(t, n)
	}
	n, stop := start()
	client, err := admin.NewClient(n.about().Listen.Admin)
	if err != nil {
		t.Fatal(err)
	}
	target, err := client.Resolve(t.Context(), "web/192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Override(t.Context(), target, admin.OverrideRequest{Reason: "kept"}); err != nil {
		t.Fatal(err)
	}
	stop()
	n, _ = start()
	if list := n.registry.Overrides(); len(list) != 1 || list[0].Reason != "kept" {
		t.Errorf("%v", list)
	}
	if d, ok := n.registry.Detail("web/192.0.2.1"); !ok || d.State != policy.Drained {
		t.Errorf("%+v", d)
	}
}

func TestParseClient(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "2001:db8::1": "2001:db8::1/128", "192.0.2.7/24": "192.0.2.0/24", "2001:db8:1::/48": "2001:db8:1::/48", "0.0.0.0/0": "0.0.0.0/0",
	} {
		if got, err := parseClient(in); err != nil || got.String() != want {
			t.Errorf("%s: %v %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "here", "192.0.2.1/33", "fe80::1%eth0", "192.0.2"} {
		if got, err := parseClient(in); err == nil || codeOf(err) != exitBadInput {
			t.Errorf("%q: %v %v", in, got, err)
		}
	}
}

// TestExitCodes: whose mistake an error is.
func TestExitCodes(t *testing.T) {
	_, broken := configs.Parse("x.yaml", []byte("dsn: {}"))
	for _, c := range []struct {
		err  error
		want int
	}{
		{errors.New("no disk"), exitFailed},
		{badInput("no such flag"), exitBadInput},
		{broken, exitBadInput},
		{&admin.Error{Status: http.StatusNotFound}, exitBadInput},
		{&admin.Error{Status: http.StatusInternalServerError}, exitFailed},
		{&exitError{code: exitDegraded}, exitDegraded},
	} {
		work := run(func(*cobra.Command, []string) error { return c.err })
		if got := codeOf(work(nil, nil)); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
	if codeOf(errors.New("unknown command")) != exitBadInput {
		t.Error("what cobra says is a mistake on the command line")
	}
}
