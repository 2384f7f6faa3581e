package share

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/probes"
	"github.com/meridian-gslb/meridian/probes/quorum"
	"github.com/meridian-gslb/meridian/probes/vantage"
	"github.com/meridian-gslb/meridian/test/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const limit = 30 * time.Second // for what takes a second

// startRedis runs a server on a port until the test ends.
func startRedis(t testing.TB, port int, args ...string) *peer.Process {
	t.Helper()
	program := peer.Find(t, "redis-server", "redis-server")
	p := peer.Start(t, program, append([]string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir()}, args...)...)
	await(t, "redis listens", func() bool {
		c, err := net.Dial("tcp", peer.Local(port))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return p
}

func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %v: %s", limit, what)
		}
	}
}

// A node is a Council with a Link, and what it said.
type node struct {
	*vantage.Council
	link *Link
	stop func()

	mu      sync.Mutex
	state   map[string]policy.State
	changes []string // of a state that was known
	notes   []string
	views   map[string]policy.State // of its prober
}

const endpoints = 4

func web(i int) string { return fmt.Sprintf("web/%d", i) }

// newNode runs a node until the test ends. Its prober sees all endpoints up.
func newNode(t testing.TB, name string, c Config) *node {
	t.Helper()
	n := &node{state: map[string]policy.State{}, views: map[string]policy.State{}}
	n.Council = vantage.New(vantage.Options{
		Self: quorum.Prober{Name: name, Site: "site-" + name, Region: "site-" + name},
		Report: func(endpoint string, v policy.Verdict, why string) {
			n.mu.Lock()
			defer n.mu.Unlock()
			if was := n.state[endpoint]; was != policy.Unknown && was != v.State {
				n.changes = append(n.changes, fmt.Sprintf("%s %v (%s)", endpoint, v.State, why))
			}
			n.state[endpoint] = v.State
		},
	})
	if c.Every == 0 {
		c.Every = MinEvery
	}
	var err error
	n.link, err = New(Options{Config: c, Self: name, Peers: n, Note: func(from, to, why string) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.notes = append(n.notes, from+">"+to)
	}})
	if err != nil {
		t.Fatal(err)
	}
	var targets []probes.Target
	for i := range endpoints {
		n.views[web(i)] = policy.Up
		targets = append(targets, probes.Target{Endpoint: web(i), Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Port: 80,
			Check: probes.Check{Kind: probes.TCP, Interval: 2 * time.Second, Hold: -1}})
	}
	n.SetTargets(targets)
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	n.stop = sync.OnceFunc(func() { cancel(); parts.Wait() })
	t.Cleanup(n.stop)
	n.look()
	n.Decide()
	parts.Go(func() { n.Run(ctx) })
	parts.Go(func() { n.link.Run(ctx) })
	parts.Go(func() { // its prober
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				n.look()
			}
		}
	})
	return n
}

// look has the prober say what it sees.
func (n *node) look() {
	for i := range endpoints {
		n.mu.Lock()
		s := n.views[web(i)]
		n.mu.Unlock()
		o := probes.Observation{Verdict: policy.Verdict{State: s, TTL: 5}, Checked: true}
		if s == policy.Down {
			o.Trouble = "status 503"
		}
		n.Observe(web(i), o)
	}
}

// see changes what the prober sees.
func (n *node) see(i int, s policy.State) {
	n.mu.Lock()
	n.views[web(i)] = s
	n.mu.Unlock()
	n.look()
}

func (n *node) believes(i int) policy.State {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state[web(i)]
}

func (n *node) changed() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.changes)
}

// hears returns how many other probers have votes.
func (n *node) hears() int {
	list, _ := n.Probers()
	heard := 0
	for _, p := range list[1:] {
		if p.Fresh {
			heard++
		}
	}
	return heard
}

// cluster runs nodes that hear each other.
func cluster(t testing.TB, count int, c Config) []*node {
	t.Helper()
	var nodes []*node
	for i := range count {
		nodes = append(nodes, newNode(t, fmt.Sprintf("n%d", i), c))
	}
	meet(t, nodes)
	return nodes
}

// meet waits until all nodes hear each other.
func meet(t testing.TB, nodes []*node) {
	t.Helper()
	await(t, "all nodes hear each other", func() bool {
		return !slices.ContainsFunc(nodes, func(n *node) bool { return n.hears() != len(nodes)-1 })
	})
}

func at(port int) Config { return Config{Addresses: []string{peer.Local(port)}} }

// raw returns a client that does as it likes.
func raw(t testing.TB, port int) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: peer.Local(port)})
	t.Cleanup(func() { c.Close() })
	return c
}

// still checks that no node has changed anything.
func still(t testing.TB, nodes []*node) {
	t.Helper()
	for i, n := range nodes {
		if got := n.changed(); len(got) > 0 {
			t.Errorf("node %d changed %s", i, strings.Join(got, ", "))
		}
	}
}

func put(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func signal(t testing.TB, p *peer.Process, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(p.PID, s); err != nil {
		t.Fatal(err)
	}
}
