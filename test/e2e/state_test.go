package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// stateConfig keeps state and leaves the service to the embedded registry.
const stateConfig = `
state: %q
dns: {listen: "127.0.0.1:%d"}
admin: {listen: "127.0.0.1:%d"}
services:
  web: {}
policies:
  all: [healthy, weighted]
zones:
  gslb.example:
    ns: [ns1.gslb.example]
    records:
      ns1: {A: 127.0.0.1}
      www: {service: web, policy: all}
`

// TestRegistrationsAndDrainsSurviveKill9: a registered endpoint is answered at once; it and a drain outlive kill -9.
func TestRegistrationsAndDrainsSurviveKill9(t *testing.T) {
	n := newNode(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "meridian.yaml")
	writeFile(t, file, fmt.Sprintf(stateConfig, filepath.Join(dir, "state"), n.dns, n.admin))
	n.start("serve", "-c", file)
	answers := func() []string {
		r, err := ask(local(n.dns), "www.gslb.example", dns.TypeA)
		if err != nil || r.Rcode != dns.RcodeSuccess {
			t.Fatalf("www: %v %v", r, err)
		}
		return addresses(r)
	}
	if got := answers(); len(got) != 0 {
		t.Fatalf("before any registration: %v", got)
	}
	n.must("register", "web", "one", "--address", "192.0.2.1", "--port", "80")
	n.must("register", "web", "two", "--address", "192.0.2.2", "--port", "80")
	eventually(t, 2*time.Second, "both registered are answered", func() bool { return len(answers()) == 2 })
	n.must("drain", "web/two", "--for", "10m", "--reason", "kernel update")
	for round := range 3 {
		n.cmd.Process.Signal(syscall.SIGKILL)
		<-n.done
		n.start("serve", "-c", file)
		if got := answers(); len(got) != 1 || got[0] != "192.0.2.1" {
			t.Fatalf("after kill -9 number %d: %v, want [192.0.2.1]", round+1, got)
		}
	}
	if out, _ := n.cli("status"); !strings.Contains(out, "kernel update") {
		t.Errorf("status does not tell the drain's reason:\n%s", out)
	}
	n.must("undrain", "web/two")
	n.must("deregister", "web", "one")
	eventually(t, 2*time.Second, "one is gone, two is back", func() bool {
		got := answers()
		return len(got) == 1 && got[0] == "192.0.2.2"
	})
}

// probedConfig serves two backends whose probe may take as long as 5 s.
const probedConfig = `
state: %[4]q
dns: {listen: "127.0.0.1:%[1]d"}
admin: {listen: "127.0.0.1:%[2]d"}
services:
  web:
    endpoints:
      - {name: one, address: 127.0.4.1, port: %[3]d}
      - {name: two, address: 127.0.4.2, port: %[3]d}
    probe: {http: /healthz, every: 5s, timeout: 5s, fall: 1, rise: 1}
policies:
  both: [healthy, weighted]
zones:
  gslb.example:
    ns: [ns1.gslb.example]
    records:
      ns1: {A: 127.0.0.1}
      www: {service: web, policy: both, ttl: 30s}
`

// startHanging takes connections at ip:port and never answers: a check of it ends only with its timeout.
func startHanging(t *testing.T, ip string, port int) {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", ip, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

// firstAnswer asks until there is an answer and returns it with its lowest TTL.
func firstAnswer(t *testing.T, server string, limit time.Duration) (addrs []string, ttl uint32) {
	t.Helper()
	eventually(t, limit, "the first answer", func() bool {
		r, err := ask(server, "www.gslb.example", dns.TypeA)
		if err != nil || len(r.Answer) == 0 {
			return false
		}
		addrs, ttl = addresses(r), r.Answer[0].Header().Ttl
		return true
	})
	return addrs, ttl
}

// TestFirstAnswerWaitsForTheFirstRound: without saved health, the first answer comes when every endpoint has been checked, the one
// that hangs included.
func TestFirstAnswerWaitsForTheFirstRound(t *testing.T) {
	n := newNode(t)
	port := freePort(t)
	startBackend(t, "two", "127.0.4.2", port)
	startHanging(t, "127.0.4.1", port)
	dir := t.TempDir()
	file := filepath.Join(dir, "meridian.yaml")
	writeFile(t, file, fmt.Sprintf(probedConfig, n.dns, n.admin, port, filepath.Join(dir, "state")))
	n.launch("serve", "-c", file)
	eventually(t, 10*time.Second, "readiness says what it waits for", func() bool {
		resp, err := http.Get("http://" + local(n.admin) + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(body), "probes: first round")
	})
	if got, _ := firstAnswer(t, local(n.dns), 15*time.Second); len(got) != 1 || got[0] != "127.0.4.2" {
		t.Errorf("first answer: %v, want [127.0.4.2]", got)
	}
}

// TestSavedHealthServesAtOnce: a restart with a dead backend answers without it from the first query on, before a check of it could
// have ended: it hangs, and the probe's timeout is longer than the start may take.
func TestSavedHealthServesAtOnce(t *testing.T) {
	n := newNode(t)
	port := freePort(t)
	one, _ := startBackend(t, "one", "127.0.4.1", port), startBackend(t, "two", "127.0.4.2", port)
	dir := t.TempDir()
	file := filepath.Join(dir, "meridian.yaml")
	writeFile(t, file, fmt.Sprintf(probedConfig, n.dns, n.admin, port, filepath.Join(dir, "state")))
	n.start("serve", "-c", file)
	one.stop()
	eventually(t, 15*time.Second, "one is found down", func() bool {
		r, err := ask(local(n.dns), "www.gslb.example", dns.TypeA)
		return err == nil && len(addresses(r)) == 1
	})
	n.stop()
	startHanging(t, "127.0.4.1", port)

	begin := time.Now()
	n.launch("serve", "-c", file)
	got, ttl := firstAnswer(t, local(n.dns), 5*time.Second)
	t.Logf("first answer %v after the start of the process", time.Since(begin).Round(time.Millisecond))
	if len(got) != 1 || got[0] != "127.0.4.2" {
		t.Errorf("first answer after the restart: %v, want [127.0.4.2]", got)
	}
	if ttl > 5 {
		t.Errorf("TTL %d s after the restart, want at most the 5 s in which a check could change the answer", ttl)
	}
	n.waitReady()
}

// TestDevFitsInMemory: `meridian dev`, built as it is shipped, answers and proxies within 60 MB of resident memory.
func TestDevFitsInMemory(t *testing.T) {
	shipped := meridian
	if len(buildFlags) > 0 {
		shipped = filepath.Join(t.TempDir(), "meridian")
		if out, err := exec.Command("go", "build", "-o", shipped, "github.com/meridian-gslb/meridian/cmd/meridian").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	was := meridian
	meridian = shipped
	n := startDev(t)
	meridian = was
	load := startDNSLoad(local(n.dns), "www.gslb.example", 4)
	client, _ := oneConnection(true)
	for range 500 {
		if _, err := get(client, fmt.Sprintf("https://127.0.0.1:%d/", n.https)); err != nil {
			t.Fatal(err)
		}
	}
	load.end()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kb int
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatal(err)
	}
	t.Logf("at most %d MB resident", kb/1024)
	if kb > 60*1024 {
		t.Errorf("%d MB resident, want at most 60", kb/1024)
	}
}

// TestAdminRefusesStrangers: the admin API obeys neither other origins nor other hosts.
func TestAdminRefusesStrangers(t *testing.T) {
	n := startDev(t)
	for name, change := range map[string]func(*http.Request){
		"cross-origin": func(r *http.Request) {
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		},
		"rebinding": func(r *http.Request) { r.Host = "evil.example" },
	} {
		req, err := http.NewRequest(http.MethodPost, "http://"+local(n.admin)+"/v1/reload", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(req)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode < 400 || resp.StatusCode >= 500 {
			t.Errorf("%s: status %d, want 4xx", name, resp.StatusCode)
		}
	}
}

// TestEveryExampleServes: every example file in configs/ is accepted by `meridian check`.
func TestEveryExampleServes(t *testing.T) {
	files, err := filepath.Glob("../../configs/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d examples (%v)", len(files), err)
	}
	for _, f := range files {
		if out, code := run(t, 10*time.Second, meridian, "check", f); code != 0 {
			t.Errorf("check %s: exit %d\n%s", filepath.Base(f), code, out)
		}
	}
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(broken, []byte("dns: {lissten: \":53\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := run(t, 10*time.Second, meridian, "check", broken)
	if code != 2 || !strings.Contains(out, "broken.yaml:1:7") || !strings.Contains(out, "listen") {
		t.Errorf("check of a misspelt key: exit %d\n%s", code, out)
	}
}

// TestSavedDownIsForgottenWithTheProbe: an endpoint that was down and is no longer probed after a restart counts as up.
func TestSavedDownIsForgottenWithTheProbe(t *testing.T) {
	n := newNode(t)
	port := freePort(t)
	one, _ := startBackend(t, "one", "127.0.4.1", port), startBackend(t, "two", "127.0.4.2", port)
	dir := t.TempDir()
	config := fmt.Sprintf("state: %q\n", filepath.Join(dir, "state")) + fmt.Sprintf(unboundConfig, n.dns, n.admin, port, port, 1)
	file := filepath.Join(dir, "meridian.yaml")
	writeFile(t, file, config)
	n.start("serve", "-c", file)
	count := func() int {
		r, err := ask(local(n.dns), "www.gslb.example", dns.TypeA)
		if err != nil {
			t.Fatal(err)
		}
		return len(addresses(r))
	}
	one.stop()
	eventually(t, 10*time.Second, "one is found down", func() bool { return count() == 1 })
	n.stop()
	writeFile(t, file, strings.Replace(config, "    probe: ", "    probe: off # ", 1))
	n.start("serve", "-c", file)
	if got := count(); got != 2 {
		t.Errorf("%d answers without a probe, want 2", got)
	}
}
