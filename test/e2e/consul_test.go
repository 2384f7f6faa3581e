package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/miekg/dns"

	peers "github.com/meridian-gslb/meridian/test/peer"
)

// A consul is one agent in development mode, which remembers nothing, and a client of it.
type consul struct {
	*api.Client
	t       *testing.T
	process *peers.Process
	args    []string
	port    int
}

// startConsul starts one with more settings, whose client has a token; both may be empty.
func startConsul(t *testing.T, token string, settings map[string]any) *consul {
	t.Helper()
	c := &consul{t: t, port: freePort(t)}
	config := map[string]any{"ports": map[string]int{
		"http": c.port, "dns": -1, "grpc": -1, "serf_lan": freePort(t), "serf_wan": freePort(t), "server": freePort(t),
	}}
	maps.Copy(config, settings)
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	c.args = []string{"agent", "-dev", "-bind", "127.0.0.1", "-client", "127.0.0.1", "-node", "agent", "-log-level", "warn", "-hcl", string(text)}
	if c.Client, err = api.NewClient(&api.Config{Address: local(c.port), Token: token}); err != nil {
		t.Fatal(err)
	}
	c.start()
	return c
}

func (c *consul) start() {
	c.t.Helper()
	c.process = peers.Start(c.t, peers.Consul(c.t), c.args...)
	eventually(c.t, 60*time.Second, "a leader", func() bool {
		leader, err := c.Status().Leader()
		return err == nil && leader != ""
	})
}

// register registers an instance of a service.
func (c *consul) register(service, id, addr string, edits ...func(*api.AgentServiceRegistration)) {
	c.t.Helper()
	r := &api.AgentServiceRegistration{Name: service, ID: id, Address: addr, Port: 8080}
	for _, edit := range edits {
		edit(r)
	}
	if err := c.Agent().ServiceRegister(r); err != nil {
		c.t.Fatal(err)
	}
}

// consulNode returns the configuration of a node that takes service api from an agent.
func (n *node) consulNode(c *consul, state string) string {
	return fmt.Sprintf(`
state: %s
consul: {address: "127.0.0.1:%d", sites: {dc1: here}}
sites: {here: {}, there: {}}
services:
  api: {from: consul, probe: off}
  pay: {from: {consul: payments}, probe: off}
policies: {all: [healthy]}
zones:
  gslb.example:
    ns: ns.example.net.
    records:
      api: {service: api, policy: all, ttl: 1s, types: [A, SRV, TXT]}
      pay: {service: pay, policy: all, ttl: 1s}
dns: {listen: "127.0.0.1:%d"}
admin: {listen: "127.0.0.1:%d"}
`, state, c.port, n.dns, n.admin)
}

// answers reports whether a name has these addresses.
func (n *node) answers(name string, want ...string) func() bool {
	return func() bool {
		r, err := ask(local(n.dns), name+".gslb.example", dns.TypeA)
		return err == nil && r.Rcode == dns.RcodeSuccess && slices.Equal(addresses(r), want)
	}
}

// TestConsul: what is registered in a real Consul is answered; and nothing that becomes of Consul empties an answer.
func TestConsul(t *testing.T) {
	c := startConsul(t, "", nil)
	c.register("api", "api-1", "192.0.2.1")
	c.register("payments", "payments", "198.51.100.1")
	n := newNode(t)
	state := t.TempDir()
	file := n.serve(n.consulNode(c, state))
	limit := 15 * time.Second
	eventually(t, limit, "the first instance", n.answers("api", "192.0.2.1"))
	eventually(t, limit, "another name in Consul", n.answers("pay", "198.51.100.1"))

	c.register("api", "api-2", "192.0.2.2", func(r *api.AgentServiceRegistration) {
		r.Tags = []string{"meridian.weight=7", "meridian.site=there", "meridian.text=hello"}
	})
	t.Logf("from registration to answer: %v", eventually(t, limit, "the second instance", n.answers("api", "192.0.2.1", "192.0.2.2")))
	if r, err := ask(local(n.dns), "api.gslb.example", dns.TypeTXT); err != nil || len(r.Answer) != 1 || !strings.Contains(r.Answer[0].String(), "hello") {
		t.Errorf("TXT: %v, %v", r, err)
	}
	if out := n.must("status"); !strings.Contains(out, "api/api-2") || !strings.Contains(out, "there") || !strings.Contains(out, "consul") {
		t.Errorf("status:\n%s", out)
	}

	if err := c.Agent().EnableServiceMaintenance("api-1", "test"); err != nil {
		t.Fatal(err)
	}
	t.Logf("from maintenance to answer: %v", eventually(t, limit, "without the instance in maintenance", n.answers("api", "192.0.2.2")))
	if err := c.Agent().DisableServiceMaintenance("api-1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, limit, "back from maintenance", n.answers("api", "192.0.2.1", "192.0.2.2"))
	c.register("api", "api-2", "192.0.2.2", func(r *api.AgentServiceRegistration) {
		r.Check = &api.AgentServiceCheck{CheckID: "hand", TTL: "10m", Status: api.HealthCritical}
	})
	eventually(t, limit, "without the critical instance", n.answers("api", "192.0.2.1"))
	if err := c.Agent().UpdateTTL("hand", "", api.HealthPassing); err != nil {
		t.Fatal(err)
	}
	eventually(t, limit, "passing again", n.answers("api", "192.0.2.1", "192.0.2.2"))

	c.register("api", "bad", "192.0.2.66", func(r *api.AgentServiceRegistration) { r.Tags = []string{"meridian.weight=1e309"} })
	c.register("api", "evil", "169.254.169.254")
	eventually(t, limit, "bad instances refused", func() bool {
		out, _ := n.cli("status")
		return strings.Contains(out, `meridian.weight is "1e309"`) && strings.Contains(out, "169.254.169.254 is a link-local address")
	})
	if !n.answers("api", "192.0.2.1", "192.0.2.2")() {
		t.Error("a bad instance changed the answer")
	}
	time.Sleep(6 * time.Second) // until what is known is saved

	syscall.Kill(-c.process.PID, syscall.SIGSTOP)
	time.Sleep(time.Second)
	if !n.answers("api", "192.0.2.1", "192.0.2.2")() {
		t.Error("a Consul that hangs changed the answer")
	}
	syscall.Kill(-c.process.PID, syscall.SIGCONT)
	c.process.Kill()
	eventually(t, limit, "the failure told", func() bool {
		out, code := n.cli("status")
		return code == 3 && strings.Contains(out, "not answered") && strings.Contains(out, "stays in force")
	})
	if !n.answers("api", "192.0.2.1", "192.0.2.2")() || !n.answers("pay", "198.51.100.1")() {
		t.Error("a Consul that is gone changed the answer")
	}

	n.stop()
	begun := time.Now()
	n.start("serve", "-c", file)
	t.Logf("start without Consul: ready in %v", time.Since(begun))
	if !n.answers("api", "192.0.2.1", "192.0.2.2")() || !n.answers("pay", "198.51.100.1")() {
		t.Error("after a start without Consul the answers are others")
	}

	c.start() // it has forgotten everything
	eventually(t, 60*time.Second, "the loss held back", func() bool {
		out, _ := n.cli("status")
		return strings.Contains(out, "4 of its 4 endpoints are gone at once") && strings.Contains(out, "meridian confirm consul")
	})
	if !n.answers("api", "192.0.2.1", "192.0.2.2")() {
		t.Error("a Consul that forgot everything changed the answer")
	}
	n.must("confirm", "consul")
	eventually(t, limit, "the loss believed", n.answers("api"))
	if out, code := n.cli("confirm", "consul"); code != 2 {
		t.Errorf("confirmed twice: exit %d\n%s", code, out)
	}
	c.register("api", "api-9", "192.0.2.9")
	eventually(t, limit, "all goes on", n.answers("api", "192.0.2.9"))
}

// TestConsulPolicyIsEnough: with the ACL policy that the command prints, and no other right, everything wanted is read.
func TestConsulPolicyIsEnough(t *testing.T) {
	const root = "5a1ad5c0-0000-4000-8000-00000000beef"
	c := startConsul(t, root, map[string]any{"acl": map[string]any{
		"enabled": true, "default_policy": "deny", "tokens": map[string]string{"initial_management": root, "agent": root},
	}})
	eventually(t, 30*time.Second, "the token", func() bool {
		_, _, err := c.ACL().TokenReadSelf(nil)
		return err == nil
	})
	c.register("api", "api-1", "192.0.2.1")
	c.register("payments", "pay-1", "198.51.100.1")
	n := newNode(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "meridian.yaml")
	config := strings.Replace(n.consulNode(c, filepath.Join(dir, "state")), "sites: {dc1: here}", "token_file: token, sites: {dc1: here}", 1)
	writeFile(t, file, config)
	rules, code := run(t, 10*time.Second, meridian, "consul", "policy", file)
	if code != 0 {
		t.Fatal(rules)
	}
	writeFile(t, filepath.Join(dir, "token"), "none-such\n")
	n.start("serve", "-c", file)
	eventually(t, 10*time.Second, "the refusal told", func() bool {
		out, _ := n.cli("status")
		return strings.Contains(out, "ACL not found")
	})
	p, _, err := c.ACL().PolicyCreate(&api.ACLPolicy{Name: "meridian", Rules: rules}, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, rules)
	}
	token, _, err := c.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{ID: p.ID}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "token"), token.SecretID)
	eventually(t, 60*time.Second, "the new token used", n.answers("api", "192.0.2.1"))
	eventually(t, 60*time.Second, "the other service", n.answers("pay", "198.51.100.1"))
}

// TestDrainReachesAllNodes: a drain on one of three nodes is in force on all, outlives a restart of all of them, and what was decided while Consul
// was away reaches the others when it is back.
func TestDrainReachesAllNodes(t *testing.T) {
	c := startConsul(t, "", nil)
	c.register("api", "api-1", "192.0.2.1")
	c.register("api", "api-2", "192.0.2.2")
	nodes, files := make([]*node, 3), make([]string, 3)
	for i := range nodes {
		nodes[i] = newNode(t)
		files[i] = nodes[i].serve(nodes[i].consulNode(c, t.TempDir()))
		eventually(t, 15*time.Second, "the instances", nodes[i].answers("api", "192.0.2.1", "192.0.2.2"))
	}
	everywhere := func(what string, want ...string) {
		t.Helper()
		var longest time.Duration
		for _, n := range nodes {
			longest = max(longest, eventually(t, 15*time.Second, what, n.answers("api", want...)))
		}
		t.Logf("%s: on all nodes after %v", what, longest)
	}
	nodes[0].must("drain", "api/api-1")
	everywhere("a drain", "192.0.2.2")
	nodes[1].must("undrain", "api/api-1")
	everywhere("its end, on another node", "192.0.2.1", "192.0.2.2")
	nodes[2].must("drain", "api/api-2")
	everywhere("another drain", "192.0.2.1")
	for i, n := range nodes {
		n.stop()
		n.start("serve", "-c", files[i])
	}
	everywhere("after a restart of all", "192.0.2.1")

	syscall.Kill(-c.process.PID, syscall.SIGSTOP)
	nodes[1].must("undrain", "api/api-2")
	nodes[1].must("drain", "api/api-1")
	eventually(t, 15*time.Second, "the node alone", nodes[1].answers("api", "192.0.2.2"))
	syscall.Kill(-c.process.PID, syscall.SIGCONT)
	everywhere("what was decided meanwhile", "192.0.2.2")
}
