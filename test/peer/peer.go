// Package peer finds, starts and ends the servers and tools of others that tests talk to.
package peer

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Find returns the path of a program and skips the test if there is none, naming its Debian package. In CI (environment CI set) a
// missing program is a failure: nothing may go untested there unseen.
func Find(t testing.TB, program, pkg string) string {
	t.Helper()
	if p, err := exec.LookPath(program); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if p := filepath.Join(dir, program); isFile(p) {
			return p
		}
	}
	const missing = "%s is missing: install the Debian package %s, or run `make deps`"
	if os.Getenv("CI") != "" {
		t.Fatalf(missing, program, pkg)
	}
	t.Skipf(missing, program, pkg)
	return ""
}

// Consul returns the path of Consul: what MERIDIAN_CONSUL names, the one that is installed, or the one that `make consul` built. Without any it
// skips the test, or fails it in CI, as Find does.
func Consul(t testing.TB) string {
	t.Helper()
	if p := os.Getenv("MERIDIAN_CONSUL"); p != "" {
		return p
	}
	if p, err := exec.LookPath("consul"); err == nil {
		return p
	}
	if cache, err := os.UserCacheDir(); err == nil {
		if p := filepath.Join(cache, "meridian", "consul-1.13.9"); isFile(p) {
			return p
		}
	}
	const missing = "consul is missing: run `make consul`, or let MERIDIAN_CONSUL name it"
	if os.Getenv("CI") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

func isFile(p string) bool {
	info, err := os.Stat(p)
	return err == nil && !info.IsDir()
}

// The ports that FreePort chooses from lie below those that systems give to clients, so that none of the many clients in tests takes
// one before the server does.
const (
	firstPort = 10_000
	numPorts  = 20_000
)

// FreePort begins at a place of chance, for tests of other packages run at the same time, and goes on from port to port.
var (
	begin  = rand.Uint32N(numPorts)
	chosen atomic.Uint32
)

// FreePort returns a port of 127.0.0.1 that was free for TCP and UDP just now, and that it has not returned before.
func FreePort(t testing.TB) int {
	t.Helper()
	for range numPorts {
		port := firstPort + int((begin+chosen.Add(1))%numPorts)
		l, err := net.Listen("tcp4", Local(port))
		if err != nil {
			continue
		}
		u, err := net.ListenPacket("udp4", Local(port))
		l.Close()
		if err == nil {
			u.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// Local returns "127.0.0.1:port".
func Local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// Write writes a file that other users may read: some servers change theirs.
func Write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Build builds the meridian binary for this test and returns its path.
func Build(t testing.TB) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "meridian")
	if out, err := exec.Command("go", "build", "-o", bin, "github.com/meridian-gslb/meridian/cmd/meridian").CombinedOutput(); err != nil {
		t.Fatalf("building meridian: %v\n%s", err, out)
	}
	return bin
}

// A Process is a running server. It is ended, and its output shown if the test failed, when the test ends.
type Process struct {
	Log  Log
	PID  int
	done chan struct{}
}

// Start runs a program until the test ends.
func Start(t testing.TB, program string, args ...string) *Process {
	t.Helper()
	p := &Process{done: make(chan struct{})}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &p.Log, &p.Log
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.PID = cmd.Process.Pid
	go func() { cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
		}
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		if t.Failed() {
			t.Logf("output of %s:\n%s", filepath.Base(program), p.Log.Tail(2048))
		}
	})
	return p
}

// Kill ends the process at once and waits until it has ended.
func (p *Process) Kill() {
	syscall.Kill(-p.PID, syscall.SIGKILL)
	<-p.done
}

// WaitDNS waits until a query for name and type gets the response code, and fails the test after limit.
func (p *Process) WaitDNS(t testing.TB, limit time.Duration, server, name string, rrtype uint16, rcode int) {
	t.Helper()
	client := dns.Client{Timeout: 500 * time.Millisecond}
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), rrtype)
	var r *dns.Msg
	var err error
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.done:
			t.Fatalf("the server ended early:\n%s", p.Log.Tail(8192))
		default:
		}
		if r, _, err = client.Exchange(m, server); err == nil && r.Rcode == rcode {
			return
		}
	}
	t.Fatalf("%s does not answer %s %s with %s in %v: %v, %v", server, name, dns.TypeToString[rrtype], dns.RcodeToString[rcode], limit, r, err)
}

// A Log is what a process wrote. It is safe for concurrent use.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns all of the log.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Tail returns the last bytes of the log, from the start of a line.
func (l *Log) Tail(bytes int) string {
	s := l.String()
	if len(s) <= bytes {
		return s
	}
	_, s, _ = strings.Cut(s[len(s)-bytes:], "\n")
	return "…\n" + s
}
