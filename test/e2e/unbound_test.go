package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// startUnbound runs a caching resolver that finds gslb.example at the given port, with QNAME minimisation and 0x20 on.
func startUnbound(t *testing.T, stub int) string {
	t.Helper()
	bin := peer(t, "unbound", "unbound")
	dir, port := t.TempDir(), freePort(t)
	conf := filepath.Join(dir, "unbound.conf")
	writeFile(t, conf, fmt.Sprintf(`server:
  interface: 127.0.0.1
  port: %d
  directory: %q
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  do-daemonize: no
  do-ip6: no
  do-not-query-localhost: no
  module-config: "iterator"
  qname-minimisation: yes
  use-caps-for-id: yes
  harden-below-nxdomain: yes
remote-control:
  control-enable: no
stub-zone:
  name: gslb.example
  stub-addr: 127.0.0.1@%d
`, port, dir, stub))
	cmd := exec.Command(bin, "-d", "-c", conf)
	log := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			t.Logf("unbound:\n%s", log)
		}
	})
	server := local(port)
	eventually(t, 10*time.Second, "unbound answers", func() bool {
		r, err := ask(server, "ns1.gslb.example", dns.TypeA)
		return err == nil && r.Rcode == dns.RcodeSuccess
	})
	return server
}

// TestUnboundResolves: a real resolver likes what it gets, for every name of the demo.
func TestUnboundResolves(t *testing.T) {
	n := startDev(t)
	server := startUnbound(t, n.dns)
	cases := []struct {
		name  string
		qtype uint16
		rcode int
		count int // answers of qtype; -1: at least one
	}{
		{"www.gslb.example", dns.TypeA, dns.RcodeSuccess, -1},
		{"fo.gslb.example", dns.TypeA, dns.RcodeSuccess, -1},
		{"wrr.gslb.example", dns.TypeA, dns.RcodeSuccess, 1},
		{"all.gslb.example", dns.TypeA, dns.RcodeSuccess, 4},
		{"api.gslb.example", dns.TypeA, dns.RcodeSuccess, 1},
		{"gslb.example", dns.TypeSOA, dns.RcodeSuccess, 1},
		{"gslb.example", dns.TypeNS, dns.RcodeSuccess, -1},
		{"gslb.example", dns.TypeMX, dns.RcodeSuccess, -1},
		{"www.gslb.example", dns.TypeAAAA, dns.RcodeSuccess, 0},
		{"no-such-name.gslb.example", dns.TypeA, dns.RcodeNameError, 0},
	}
	for _, c := range cases {
		r, err := ask(server, c.name, c.qtype)
		if err != nil {
			t.Errorf("%s %s: %v", c.name, dns.TypeToString[c.qtype], err)
			continue
		}
		got := 0
		for _, rr := range r.Answer {
			if rr.Header().Rrtype == c.qtype {
				got++
			}
		}
		if r.Rcode != c.rcode || (c.count >= 0 && got != c.count) || (c.count < 0 && got == 0) {
			t.Errorf("%s %s: rcode %s, %d answers; want %s, %d\n%s", c.name, dns.TypeToString[c.qtype],
				dns.RcodeToString[r.Rcode], got, dns.RcodeToString[c.rcode], c.count, r)
		}
	}
}

// unboundConfig serves two backends at one name; every answer holds both while both are up.
const unboundConfig = `
dns: {listen: "127.0.0.1:%d"}
admin: {listen: "127.0.0.1:%d"}
services:
  web:
    endpoints:
      - {name: one, address: 127.0.4.1, port: %d}
      - {name: two, address: 127.0.4.2, port: %d}
    probe: {http: /healthz, every: 1s, timeout: 500ms, fall: 2, rise: 2}
policies:
  both: [healthy, weighted]
zones:
  gslb.example:
    ns: [ns1.gslb.example]
    records:
      ns1: {A: 127.0.0.1}
      www: {service: web, policy: both, ttl: 30s}
      txt: {TXT: "version %d"}
`

// TestUnboundSeesAStoppedBackendLeave: through a cache, within interval x fall + timeout + 1 s, although the record's TTL is 30 s. The
// backend stops just after the cache has filled, which is the worst moment.
func TestUnboundSeesAStoppedBackendLeave(t *testing.T) {
	n := newNode(t)
	port := freePort(t)
	one, _ := startBackend(t, "one", "127.0.4.1", port), startBackend(t, "two", "127.0.4.2", port)
	config := strings.Replace(fmt.Sprintf(unboundConfig, n.dns, n.admin, port, port, 1), "every: 1s", "every: 3s", 1)
	n.serve(config)
	server := startUnbound(t, n.dns)
	query := func() []string {
		r, err := ask(server, "www.gslb.example", dns.TypeA)
		if err != nil || r.Rcode != dns.RcodeSuccess {
			t.Fatalf("www through unbound: %v %v", r, err)
		}
		return addresses(r)
	}
	if got := query(); !slices.Equal(got, []string{"127.0.4.1", "127.0.4.2"}) {
		t.Fatalf("at first: %v", got)
	}
	one.stop()
	const bound = 2*3*time.Second + 500*time.Millisecond + time.Second
	took := eventually(t, bound, "127.0.4.1 leaves the resolver's answers", func() bool {
		return slices.Equal(query(), []string{"127.0.4.2"})
	})
	t.Logf("the stopped backend left the resolver's answers after %v (bound %v)", took.Round(10*time.Millisecond), bound)
	one.start(t)
	eventually(t, 15*time.Second, "127.0.4.1 comes back", func() bool {
		return slices.Equal(query(), []string{"127.0.4.1", "127.0.4.2"})
	})
}

// TestReloadUnderLoadLosesNothing: 30 reloads, by the CLI and by SIGHUP, while clients ask both Meridian and a resolver.
func TestReloadUnderLoadLosesNothing(t *testing.T) {
	n := newNode(t)
	port := freePort(t)
	startBackend(t, "one", "127.0.4.1", port)
	startBackend(t, "two", "127.0.4.2", port)
	file := n.serve(fmt.Sprintf(unboundConfig, n.dns, n.admin, port, port, 0))
	server := startUnbound(t, n.dns)
	direct, cached := startDNSLoad(local(n.dns), "www.gslb.example", 8), startDNSLoad(server, "www.gslb.example", 2)
	text := func() string {
		r, err := ask(local(n.dns), "txt.gslb.example", dns.TypeTXT)
		if err != nil || len(r.Answer) != 1 {
			t.Fatalf("txt: %v %v", r, err)
		}
		return strings.Join(r.Answer[0].(*dns.TXT).Txt, "")
	}
	for v := 1; v <= 30; v++ {
		writeFile(t, file, fmt.Sprintf(unboundConfig, n.dns, n.admin, port, port, v))
		want := fmt.Sprintf("version %d", v)
		if v%3 == 0 {
			n.cmd.Process.Signal(syscall.SIGHUP)
			eventually(t, 5*time.Second, "SIGHUP loads "+want, func() bool { return text() == want })
			continue
		}
		n.must("reload")
		if got := text(); got != want {
			t.Fatalf("after reload: %q, want %q", got, want)
		}
	}
	direct.end()
	cached.end()
	for name, l := range map[string]*dnsLoad{"direct": direct, "through unbound": cached} {
		if l.lost.Load() != 0 || l.wrong.Load() != 0 || l.refused.Load() != 0 || l.asked.Load() < 1000 {
			t.Errorf("%s: %d asked, %d lost, %d wrong, %d refused: %v", name, l.asked.Load(), l.lost.Load(), l.wrong.Load(), l.refused.Load(), l.note.Load())
		}
		t.Logf("%s: %d queries during 30 reloads, none lost", name, l.asked.Load())
	}
}

// TestABadFileNeverReplacesAGoodOne: every file of the corpus is refused with its line, by exit code 2, and the old one serves.
func TestABadFileNeverReplacesAGoodOne(t *testing.T) {
	bad, err := filepath.Glob("../../configs/testdata/bad/*.yaml")
	if err != nil || len(bad) < 100 {
		t.Fatalf("%d bad files, want at least 100 (%v)", len(bad), err)
	}
	n := newNode(t)
	port := freePort(t)
	startBackend(t, "one", "127.0.4.1", port)
	startBackend(t, "two", "127.0.4.2", port)
	good := fmt.Sprintf(unboundConfig, n.dns, n.admin, port, port, 7)
	file := n.serve(good)
	if err := os.CopyFS(filepath.Join(filepath.Dir(file), "data"), os.DirFS("../../configs/testdata/bad/data")); err != nil { // what some refer to
		t.Fatal(err)
	}
	load := startDNSLoad(local(n.dns), "www.gslb.example", 2)
	for _, b := range bad {
		data, err := os.ReadFile(b)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, file, string(data))
		out, code := n.cli("reload")
		if code != 2 {
			t.Errorf("%s: reload exits %d, want 2\n%s", filepath.Base(b), code, out)
		}
		for _, w := range wants(string(data)) {
			if !strings.Contains(out, w) {
				t.Errorf("%s: want %s in\n%s", filepath.Base(b), w, out)
			}
		}
		if r, err := ask(local(n.dns), "txt.gslb.example", dns.TypeTXT); err != nil || len(r.Answer) != 1 {
			t.Fatalf("%s: the old configuration is gone: %v %v", filepath.Base(b), r, err)
		}
	}
	load.end()
	if load.lost.Load() != 0 || load.wrong.Load() != 0 {
		t.Errorf("%d queries lost, %d wrong", load.lost.Load(), load.wrong.Load())
	}
	writeFile(t, file, strings.Replace(good, "version 7", "version 8", 1))
	n.must("reload")
	if r, err := ask(local(n.dns), "txt.gslb.example", dns.TypeTXT); err != nil || !strings.Contains(r.String(), "version 8") {
		t.Errorf("a good file after bad ones: %v %v", r, err)
	}
}

// wants returns the FILE:LINE:COL of the corpus file's expectations, or FILE:LINE where they are of a file that it refers to.
func wants(data string) []string {
	var out []string
	for line := range strings.Lines(data) {
		if rest, ok := strings.CutPrefix(line, "# want: "); ok {
			at, rest, _ := strings.Cut(rest, ":")
			place, _, _ := strings.Cut(rest, ":")
			if !strings.Contains(at, "/") {
				at = "meridian.yaml:" + at
			}
			out = append(out, at+":"+place)
		}
	}
	return out
}
