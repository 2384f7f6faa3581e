// Package e2e runs the real binary against real peers: unbound, dig, kdig, curl, nghttp.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	peers "github.com/meridian-gslb/meridian/test/peer"
)

// meridian is the path of the binary under test, built once.
var meridian string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "meridian-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	meridian = filepath.Join(dir, "meridian")
	args := append([]string{"build", "-o", meridian}, buildFlags...)
	build := exec.Command("go", append(args, "github.com/meridian-gslb/meridian/cmd/meridian")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the binary: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// peer returns the path of a program the test talks to. A missing one fails the test and names the package.
func peer(t *testing.T, name, pkg string) string {
	t.Helper()
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	if p := filepath.Join("/usr/sbin", name); fileExists(p) {
		return p
	}
	t.Fatalf("%s is missing: install the Debian package %s, or run `make deps`", name, pkg)
	return ""
}

func fileExists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

// freePort returns a port of 127.0.0.1 that is free for TCP and UDP.
func freePort(t *testing.T) int { return peers.FreePort(t) }

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// A node is one running meridian process and its addresses.
type node struct {
	t                       *testing.T
	cmd                     *exec.Cmd
	dns, https, http, admin int
	log                     *lockedBuffer
	done                    chan struct{}
	err                     error // valid after done
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs meridian with args and waits until it is ready.
func (n *node) start(args ...string) {
	n.t.Helper()
	n.launch(args...)
	n.waitReady()
}

func (n *node) launch(args ...string) {
	n.t.Helper()
	n.log = &lockedBuffer{}
	n.done = make(chan struct{})
	n.cmd = exec.Command(meridian, args...)
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	cmd, done, log := n.cmd, n.done, n.log
	go func() { n.err = cmd.Wait(); close(done) }()
	n.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			n.t.Error("still running 30 s after SIGTERM")
			cmd.Process.Kill()
			<-done
		}
		if strings.Contains(log.String(), "DATA RACE") {
			n.t.Error("the race detector found something")
		}
		if n.t.Failed() {
			n.t.Logf("output of meridian %s:\n%s", strings.Join(args, " "), log)
		}
	})
}

func (n *node) waitReady() {
	n.t.Helper()
	client := http.Client{Timeout: time.Second}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-n.done:
			n.t.Fatalf("meridian ended early: %v\n%s", n.err, n.log)
		default:
		}
		resp, err := client.Get("http://" + local(n.admin) + "/readyz")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	n.t.Fatalf("not ready in 20 s\n%s", n.log)
}

// stop sends SIGTERM and waits for the end; the exit code must be 0.
func (n *node) stop() {
	n.t.Helper()
	n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.done:
	case <-time.After(45 * time.Second):
		n.t.Fatalf("still running 45 s after SIGTERM\n%s", n.log)
	}
	if n.err != nil {
		n.t.Fatalf("exit after SIGTERM: %v\n%s", n.err, n.log)
	}
}

// cli runs a meridian command against this node and returns its output and exit code.
func (n *node) cli(args ...string) (string, int) {
	n.t.Helper()
	return run(n.t, 20*time.Second, meridian, append(args, "--admin", local(n.admin))...)
}

// must runs a command against this node that has to succeed.
func (n *node) must(args ...string) string {
	n.t.Helper()
	out, code := n.cli(args...)
	if code != 0 {
		n.t.Fatalf("meridian %s: exit %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func run(t *testing.T, limit time.Duration, name string, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), 0
}

// startDev runs `meridian dev` on free ports.
func startDev(t *testing.T, more ...string) *node {
	n := &node{t: t, dns: freePort(t), https: freePort(t), http: freePort(t), admin: freePort(t)}
	n.start(append([]string{"dev", "--dns", local(n.dns), "--https", local(n.https), "--http", local(n.http),
		"--admin", local(n.admin), "--backend-port", fmt.Sprint(freePort(t)), "--state", t.TempDir()}, more...)...)
	return n
}

// newNode picks addresses for a `meridian serve` whose configuration the test writes with them.
func newNode(t *testing.T) *node {
	return &node{t: t, dns: freePort(t), https: freePort(t), http: freePort(t), admin: freePort(t)}
}

// serve writes config to a file of its own, runs `meridian serve` on it and returns the file's path.
func (n *node) serve(config string) string {
	n.t.Helper()
	file := filepath.Join(n.t.TempDir(), "meridian.yaml")
	writeFile(n.t, file, config)
	n.start("serve", "-c", file)
	return file
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
