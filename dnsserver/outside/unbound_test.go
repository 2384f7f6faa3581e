package outside

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/registry"
)

// TestUnbound resolves through unbound, which asks an authoritative server of the test: a chain of two zones, an answer too large for
// UDP, a name that does not exist, one without addresses, and one that its server refuses.
func TestUnbound(t *testing.T) {
	path, err := exec.LookPath("unbound")
	if err != nil {
		path = "/usr/sbin/unbound"
		if _, err := os.Stat(path); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal("unbound is not installed")
			}
			t.Skip("unbound is not installed")
		}
	}
	authority := peer(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Authoritative = true
		soa := record(t, "example. 300 SOA ns.example. admin.example. 1 3600 600 86400 45")
		switch question := q.Question[0]; {
		case question.Name == "cdn.example." && question.Qtype == dns.TypeA:
			m.Answer = append(m.Answer, record(t, "cdn.example. 7 CNAME edge.test."))
		case question.Name == "edge.test." && question.Qtype == dns.TypeA:
			m.Answer = append(m.Answer, record(t, "edge.test. 300 A 192.0.2.1"))
		case question.Name == "large.example." && question.Qtype == dns.TypeA:
			for i := range 200 {
				m.Answer = append(m.Answer, record(t, fmt.Sprintf("large.example. 300 A 198.51.100.%d", i)))
			}
			if w.LocalAddr().Network() == "udp" {
				m.Answer, m.Truncated = nil, true
			}
		case question.Name == "refused.example.":
			m.Rcode = dns.RcodeRefused
		case question.Name == "gone.example.":
			m.Rcode = dns.RcodeNameError
			m.Ns = append(m.Ns, soa)
		default:
			m.Ns = append(m.Ns, soa)
		}
		w.WriteMsg(m)
	})
	server := netip.AddrPortFrom(authority.Addr(), startUnbound(t, path, authority))
	r := New(Config{Servers: []netip.AddrPort{server}, Timeout: 10 * time.Second}, registry.New(registry.Options{}), nil)
	for _, c := range []struct{ name, want string }{
		{"cdn.example.", "7: 5 192.0.2.1"},
		{"large.example.", ""},
		{"gone.example.", "45: none"},
		{"empty.example.", "45: none"},
		{"refused.example.", "error: " + server.String() + " answers SERVFAIL"},
	} {
		f, err := r.resolve(t.Context(), name(t, c.name), wire.TypeA)
		if c.want == "" {
			if err != nil || len(f.rdata) != MaxAddresses {
				t.Errorf("%s: %d addresses, %v", c.name, len(f.rdata), err)
			}
			continue
		}
		if got := describe(f, err); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// startUnbound runs unbound with all names at one authoritative server until the test ends, and returns its port.
func startUnbound(t *testing.T, path string, authority netip.AddrPort) uint16 {
	dir := t.TempDir()
	for range 5 {
		port := freePort(t)
		conf := filepath.Join(dir, "unbound.conf")
		text := fmt.Sprintf(`server:
  directory: "%s"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  interface: 127.0.0.1@%d
  do-ip6: no
  do-not-query-localhost: no
  module-config: "iterator"
  qname-minimisation: no
  local-zone: "test." nodefault
remote-control:
  control-enable: no
stub-zone:
  name: "example."
  stub-addr: 127.0.0.1@%d
stub-zone:
  name: "test."
  stub-addr: 127.0.0.1@%d
`, dir, port, authority.Port(), authority.Port())
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cmd := exec.CommandContext(ctx, path, "-d", "-c", conf)
		if err := cmd.Start(); err != nil {
			cancel()
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { cmd.Wait(); close(ended) }()
		stop := func() { cancel(); <-ended }
		if answers(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port), ended) {
			t.Cleanup(stop)
			return port
		}
		stop()
	}
	t.Fatal("unbound does not start")
	return 0
}

// freePort returns a port that nobody has at the moment.
func freePort(t *testing.T) uint16 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// answers waits until a server answers; false if it ended.
func answers(t *testing.T, server netip.AddrPort, ended <-chan struct{}) bool {
	for range 100 {
		if _, err := exchange(t.Context(), "udp", server, new(dns.Msg).SetQuestion("edge.test.", dns.TypeA), time.Second); err == nil {
			return true
		}
		select {
		case <-ended:
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
	return false
}
