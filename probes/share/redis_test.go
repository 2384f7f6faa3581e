package share

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/test/peer"
)

// What three of five see, all believe; what one sees, nobody does.
func TestFiveNodes(t *testing.T) {
	port := peer.FreePort(t)
	startRedis(t, port)
	nodes := cluster(t, 5, at(port))
	nodes[0].see(0, policy.Down) // a liar, or its way is broken
	nodes[1].see(1, policy.Down)
	nodes[2].see(1, policy.Down)
	nodes[3].see(1, policy.Down)
	for _, n := range nodes {
		await(t, "three of five", func() bool { return n.believes(1) == policy.Down })
	}
	for i, n := range nodes {
		if got := n.changed(); len(got) != 1 || !strings.HasPrefix(got[0], "web/1 down (") {
			t.Errorf("node %d: %v", i, got)
		}
	}
	nodes[1].see(1, policy.Up)
	for _, n := range nodes {
		await(t, "two of five", func() bool { return n.believes(1) == policy.Up })
	}
}

// Redis is gone, hangs, or forgets all: nothing changes, not even for the node that is of another mind than the others; what a node
// sees change meanwhile counts for it; and afterwards all hear each other again.
func TestRedisFails(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, port int, p *peer.Process) (heal func()){
		"killed": func(t *testing.T, port int, p *peer.Process) func() {
			signal(t, p, syscall.SIGKILL)
			return func() { startRedis(t, port) }
		},
		"stopped": func(t *testing.T, port int, p *peer.Process) func() {
			signal(t, p, syscall.SIGSTOP)
			return func() { signal(t, p, syscall.SIGCONT) }
		},
		"flushed": func(t *testing.T, port int, p *peer.Process) func() {
			c := raw(t, port)
			for range 50 {
				if err := c.FlushAll(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := peer.FreePort(t)
			server := startRedis(t, port)
			nodes := cluster(t, 3, at(port))
			nodes[0].see(0, policy.Down)
			await(t, "others know of it", func() bool { row, _, _ := nodes[2].Row(web(0)); return row.Votes[1].Vote.State == policy.Down })
			time.Sleep(5 * MinEvery) // and they were heard since
			heal := fail(t, port, server)
			if heal != nil {
				for _, n := range nodes {
					await(t, "nobody is heard", func() bool { return n.hears() == 0 && !n.link.Up() })
				}
				time.Sleep(3 * time.Second) // and longer
				if n := nodes[0]; n.link.Status().Trouble == "" || n.believes(0) != policy.Up {
					t.Errorf("%+v, believes %v", n.link.Status(), n.believes(0))
				}
				still(t, nodes)
				nodes[1].see(3, policy.Down)
				await(t, "own eyes count", func() bool { return nodes[1].believes(3) == policy.Down })
				nodes[1].see(3, policy.Up)
				await(t, "own eyes count", func() bool { return nodes[1].believes(3) == policy.Up })
				nodes[1].mu.Lock()
				nodes[1].changes = nil
				nodes[1].mu.Unlock()
				heal()
			}
			meet(t, nodes)
			still(t, nodes)
		})
	}
}

// A node that begins without Redis does not wait for it, and hears others when it comes.
func TestRedisComesLate(t *testing.T) {
	port := peer.FreePort(t)
	nodes := []*node{newNode(t, "n0", at(port)), newNode(t, "n1", at(port))}
	for _, n := range nodes {
		if n.believes(0) != policy.Up {
			t.Error("nothing is known at the start")
		}
		await(t, "Redis is missed", func() bool { return n.link.Status().Trouble != "" })
	}
	startRedis(t, port)
	meet(t, nodes)
	still(t, nodes)
	if n := nodes[0]; strings.Join(n.notes, " ") != "unknown>down down>up" {
		t.Errorf("notes %v", n.notes)
	}
}

// Every answer takes half a second, each way: others are heard all the same.
func TestRedisIsFar(t *testing.T) {
	port, far := peer.FreePort(t), peer.FreePort(t)
	startRedis(t, port)
	delay(t, far, port, 250*time.Millisecond)
	c := at(far)
	c.Every = time.Second
	nodes := cluster(t, 3, c)
	for _, n := range nodes {
		n.see(2, policy.Down)
	}
	for _, n := range nodes {
		await(t, "all see it", func() bool { return n.believes(2) == policy.Down })
	}
	time.Sleep(6 * time.Second) // a report must not grow old on its way
	for _, n := range nodes {
		if n.hears() != 2 || len(n.changed()) != 1 {
			t.Errorf("hears %d, changed %v", n.hears(), n.changed())
		}
	}
}

// delay passes TCP on to a port, and holds up all bytes, each way.
func delay(t testing.TB, from, to int, by time.Duration) {
	l, err := net.Listen("tcp", peer.Local(from))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); l.Close(); all.Wait() })
	pass := func(dst, src net.Conn) {
		type chunk struct {
			b  []byte
			at time.Time
		}
		way := make(chan chunk, 1000)
		all.Go(func() {
			defer close(way)
			for {
				b := make([]byte, 64<<10)
				n, err := src.Read(b)
				if err != nil {
					return
				}
				way <- chunk{b[:n], time.Now().Add(by)}
			}
		})
		all.Go(func() {
			defer dst.Close()
			for c := range way {
				time.Sleep(time.Until(c.at))
				if _, err := dst.Write(c.b); err != nil {
					src.Close()
				}
			}
		})
	}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", peer.Local(to))
			if err != nil {
				c.Close()
				continue
			}
			context.AfterFunc(ctx, func() { c.Close(); s.Close() })
			pass(s, c)
			pass(c, s)
		}
	})
}

// A wrong password is said, and the right one is taken from the file without a restart. The ACL is the smallest that is enough.
func TestPassword(t *testing.T) {
	port := peer.FreePort(t)
	startRedis(t, port, acl(t)...)
	file := put(t, "password", "wrong\n")
	c := at(port)
	c.Username, c.PasswordFile = "meridian", file
	nodes := []*node{newNode(t, "n0", c), newNode(t, "n1", c)}
	await(t, "the server refuses", func() bool { return strings.Contains(nodes[0].link.Status().Trouble, "WRONGPASS") })
	peer.Write(t, file, "secret\n")
	meet(t, nodes)
	for _, n := range nodes {
		n.see(0, policy.Down)
	}
	await(t, "changes are heard", func() bool { return nodes[0].believes(0) == policy.Down })
	c.PasswordFile = put(t, "none", "") + "-missing"
	lost := newNode(t, "n2", c)
	await(t, "the file is missed", func() bool { return strings.Contains(lost.link.Status().Trouble, "no such file") })
}

// acl returns the arguments of a server whose one good user has the rights that docs/probes.md names, and the password "secret".
func acl(t *testing.T, more ...string) []string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/probes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, line, found := strings.Cut(string(doc), "\nuser meridian ")
	line, _, _ = strings.Cut(line, "\n")
	if !found {
		t.Fatal("docs/probes.md has no line of an ACL")
	}
	return append(append([]string{"--user", "meridian"}, strings.Fields(strings.Replace(line, "PASSWORD", "secret", 1))...), more...)
}

// Whatever stands in Redis is refused one by one, with a reason, and the others live.
func TestBadContent(t *testing.T) {
	port := peer.FreePort(t)
	startRedis(t, port)
	nodes := cluster(t, 2, at(port))
	c, ctx := raw(t, port), t.Context()
	key := nodes[0].link.key
	stolen := example(1)
	stolen.Name = "n1"
	for name, text := range map[string]string{
		"garbage": "hello", "large": strings.Repeat("x", MaxRecord+10), "other": string(appendRecord(nil, example(2))), "n1x": string(appendRecord(nil, stolen)),
	} {
		if err := c.Set(ctx, key(name), text, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.SAdd(ctx, nodes[0].link.index, name).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SAdd(ctx, nodes[0].link.index, "bad\x1b[31m", "gone").Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(ctx, nodes[0].link.channel, "nonsense").Err(); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"garbage": "not a report of a prober", "large": "larger than", "other": `it says that it is "eu-1"`, "n1x": `it says that it is "n1"`, "": "not a report",
	}
	for name, why := range want {
		await(t, why, func() bool { return strings.Contains(nodes[0].link.Status().Refused[name], why) })
	}
	await(t, "names without a report are gone", func() bool { return !c.SIsMember(ctx, nodes[0].link.index, "gone").Val() })
	if got := nodes[0].link.Status().Refused; len(got) != len(want) {
		t.Errorf("refused %v", got)
	}
	meet(t, nodes)
	still(t, nodes)

	if err := c.Set(ctx, nodes[0].link.index, "a string where a set belongs", 0).Err(); err != nil {
		t.Fatal(err)
	}
	await(t, "a key of the wrong type is trouble", func() bool { return strings.Contains(nodes[0].link.Status().Trouble, "WRONGTYPE") })
	if err := c.Del(ctx, nodes[0].link.index).Err(); err != nil {
		t.Fatal(err)
	}
	meet(t, nodes)
	still(t, nodes)
}

// Two processes of one name are told so, and neither believes the other.
func TestOneNameTwice(t *testing.T) {
	port := peer.FreePort(t)
	startRedis(t, port)
	a, b := newNode(t, "same", at(port)), newNode(t, "same", at(port))
	for _, n := range []*node{a, b} {
		await(t, "the other is seen", func() bool { return strings.Contains(n.link.Status().Refused["same"], "under the name of this one") })
	}
	b.stop()
	await(t, "the other has gone", func() bool { return len(a.link.Status().Refused) == 0 })
	if a.hears() != 0 {
		t.Error("a node hears itself")
	}
}

// The node that sentinels name is used, and that which a cluster names.
func TestModes(t *testing.T) {
	t.Run("cluster", func(t *testing.T) {
		port := peer.FreePort(t)
		startRedis(t, port, append(acl(t, "+cluster|slots"), "--cluster-enabled", "yes", "--cluster-port", peer.Local(peer.FreePort(t))[len("127.0.0.1:"):])...)
		if err := raw(t, port).ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
			t.Fatal(err)
		}
		c := at(port)
		c.Mode, c.Username, c.PasswordFile = Cluster, "meridian", put(t, "password", "secret")
		nodes := cluster(t, 2, c)
		for _, n := range nodes {
			n.see(0, policy.Down)
		}
		await(t, "changes are heard", func() bool { return nodes[0].believes(0) == policy.Down })
	})
	t.Run("sentinel", func(t *testing.T) {
		port, sentinel := peer.FreePort(t), peer.FreePort(t)
		startRedis(t, port)
		file := put(t, "sentinel.conf", "port "+peer.Local(sentinel)[len("127.0.0.1:"):]+"\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 "+peer.Local(port)[len("127.0.0.1:"):]+" 1\n")
		peer.Start(t, peer.Find(t, "redis-server", "redis-server"), file, "--sentinel")
		c := at(sentinel)
		c.Mode, c.Master = Sentinel, "main"
		cluster(t, 2, c)
	})
}

// A server that answers more than was asked for is hung up on.
func TestTooMuch(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	now := time.Now()
	b := &bounded{Conn: client, now: func() time.Time { return now }}
	go func() {
		defer server.Close()
		for p := make([]byte, 1<<20); ; {
			if _, err := server.Write(p); err != nil {
				return
			}
		}
	}()
	n, err := io.Copy(io.Discard, b)
	if err != errTooMuch || n > maxReply+1<<20 {
		t.Errorf("read %d bytes: %v", n, err)
	}
}
