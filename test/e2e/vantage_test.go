package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/admin"
	peers "github.com/meridian-gslb/meridian/test/peer"
)

// vantageConfig has two endpoints that three processes check, which share what they see.
const vantageConfig = `
site: %s
sites: {eu-west: {region: europe}, us-east: {region: america}, ap-south: {region: asia}}
redis: {address: "127.0.0.1:%d", name: %s, every: 500ms}
dns: {listen: "127.0.0.1:%d"}
admin: {listen: "127.0.0.1:%d"}
services:
  web:
    endpoints: [{name: one, address: 127.0.0.11, site: eu-west}, {name: two, address: 127.0.0.12, site: us-east}]
    probe: {http: /healthz, port: %d, every: 500ms, fall: 2, hold: off}
policies: {all: [healthy, weighted]}
zones:
  gslb.example:
    ns: [ns1.gslb.example]
    records: {ns1: {A: 127.0.0.1}, www: {service: web, policy: all}}
`

// TestProbersShareOverRedis: a node and two processes that only probe know each other's votes. Redis that hangs changes no answer; what
// the node sees change meanwhile does; and a node begins without it.
func TestProbersShareOverRedis(t *testing.T) {
	redisServer := peer(t, "redis-server", "redis-server")
	redisPort, port := freePort(t), freePort(t)
	one, two := startBackend(t, "one", "127.0.0.11", port), startBackend(t, "two", "127.0.0.12", port)
	nodes := []*node{newNode(t), newNode(t), newNode(t)}
	for i, site := range []string{"eu-west", "us-east", "ap-south"} {
		n := nodes[i]
		file := filepath.Join(t.TempDir(), "meridian.yaml")
		writeFile(t, file, fmt.Sprintf(vantageConfig, site, redisPort, site+"-1", n.dns, n.admin, port))
		command := "probe"
		if i == 0 {
			command = "serve"
		}
		n.start(command, "-c", file) // ready, although nobody listens where Redis should be
	}
	n := nodes[0]
	answers := func() string {
		r, err := ask(local(n.dns), "www.gslb.example", dns.TypeA)
		if err != nil || r.Rcode != dns.RcodeSuccess {
			t.Fatalf("www: %v %v", r, err)
		}
		return fmt.Sprint(len(addresses(r)))
	}
	status := func() (s admin.Status) {
		out, err := exec.Command(meridian, "--admin", local(n.admin), "status", "-o", "json").Output()
		if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 3) {
			t.Fatalf("status: %v\n%s", err, out)
		}
		if err := json.Unmarshal(out, &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	votes := func(endpoint int) (up, down int) {
		for _, v := range status().Services[0].Endpoints[endpoint].Verdict.Votes {
			switch {
			case v.Counts && v.State.String() == "up":
				up++
			case v.Counts:
				down++
			}
		}
		return up, down
	}
	if s := status(); answers() != "2" || s.Redis.Up || s.Redis.Trouble == "" || !strings.Contains(strings.Join(s.Degraded, "\n"), "cannot be heard") {
		t.Errorf("without Redis: %s answers, %+v, degraded %q", answers(), s.Redis, s.Degraded)
	}
	server := peers.Start(t, redisServer, "--port", fmt.Sprint(redisPort), "--bind", "127.0.0.1", "--save", "")
	eventually(t, 20*time.Second, "three probers vote", func() bool { up, _ := votes(0); return up == 3 })
	if _, err := ask(local(nodes[1].dns), "www.gslb.example", dns.TypeA); err == nil {
		t.Error("a process that only probes answers DNS")
	}
	two.stop()
	eventually(t, 20*time.Second, "what is down is not answered", func() bool { return answers() == "1" })
	eventually(t, 20*time.Second, "all say so", func() bool { _, down := votes(1); return down == 3 })

	syscall.Kill(server.PID, syscall.SIGSTOP)
	eventually(t, 30*time.Second, "no other has a vote", func() bool { up, down := votes(1); return up+down == 1 })
	if s := status(); answers() != "1" || s.Redis.Up || s.Probers[1].State != "gone" {
		t.Errorf("while Redis hangs: %s answers, %+v, %+v", answers(), s.Redis, s.Probers)
	}
	two.start(t)
	eventually(t, 20*time.Second, "the node believes its eyes", func() bool { return answers() == "2" })
	syscall.Kill(server.PID, syscall.SIGCONT)
	eventually(t, 20*time.Second, "three probers vote again", func() bool { up, _ := votes(1); return up == 3 })

	one.stop()
	two.stop()
	eventually(t, 20*time.Second, "all is down, and answered", func() bool { s := status(); return s.Services[0].FailOpen && answers() == "2" })
	events := n.must("events")
	for _, want := range []string{"vantage   redis  unknown -> down", "vantage   redis  down -> up", "prober    us-east-1  gone -> trusted", "endpoint  web/two  down -> up", "probers say down"} {
		if !strings.Contains(events, want) {
			t.Errorf("the events lack %q:\n%s", want, events)
		}
	}
	if out := n.must("status", "--ready"); !strings.Contains(out, "PROBER") || !strings.Contains(out, "ap-south-1") {
		t.Errorf("status shows no probers:\n%s", out)
	}
}
