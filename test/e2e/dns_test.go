package e2e

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// ask sends one query over UDP and returns the reply.
func ask(server, name string, qtype uint16) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	m.SetEdns0(1232, false)
	c := dns.Client{Timeout: 2 * time.Second}
	r, _, err := c.Exchange(m, server)
	return r, err
}

// addresses returns the A records of a reply, sorted.
func addresses(r *dns.Msg) []string {
	var out []string
	for _, rr := range r.Answer {
		if a, ok := rr.(*dns.A); ok {
			out = append(out, a.A.String())
		}
	}
	slices.Sort(out)
	return out
}

// TestThreeNetworksThreeSites: dig and kdig, as clients of three places, get three sites and the exact scope.
func TestThreeNetworksThreeSites(t *testing.T) {
	dig, kdig := peer(t, "dig", "bind9-dnsutils"), peer(t, "kdig", "knot-dnsutils")
	n := startDev(t)
	// The scope is the shortest prefix in which every address gets the same sites in the same order. The clients of eu-west and
	// those of nowhere both get eu-west, us-east, ap-south, so the first network merges with what lies around it.
	cases := []struct{ subnet, site, scope string }{
		{"192.0.2.0/24", "127.0.1.", "192.0.2.0/24/6"},
		{"198.51.100.0/24", "127.0.2.", "198.51.100.0/24/24"},
		{"203.0.113.0/24", "127.0.3.", "203.0.113.0/24/24"},
		{"2001:db8:1::/48", "127.0.1.", "2001:db8:1::/48/47"},
		{"2001:db8:2::/48", "127.0.2.", "2001:db8:2::/48/48"},
		{"2001:db8:3::/48", "127.0.3.", "2001:db8:3::/48/48"},
	}
	address := regexp.MustCompile(`(?m)^www\.gslb\.example\.\s+\d+\s+IN\s+A\s+(\S+)$`)
	for _, c := range cases {
		for _, tool := range []string{dig, kdig} {
			out, code := run(t, 10*time.Second, tool, "@127.0.0.1", "-p", fmt.Sprint(n.dns), "+subnet="+c.subnet, "www.gslb.example", "A")
			found := address.FindAllStringSubmatch(out, -1)
			if code != 0 || len(found) == 0 {
				t.Fatalf("%s +subnet=%s: exit %d\n%s", tool, c.subnet, code, out)
			}
			for _, f := range found {
				if !strings.HasPrefix(f[1], c.site) {
					t.Errorf("%s +subnet=%s: got %s, want %s*", tool, c.subnet, f[1], c.site)
				}
			}
			if !strings.Contains(strings.ReplaceAll(out, "SCOPE-", ""), c.scope) {
				t.Errorf("%s +subnet=%s: want scope %s in\n%s", tool, c.subnet, c.scope, out)
			}
		}
	}
}

// TestOverTCP: the same name over TCP.
func TestOverTCP(t *testing.T) {
	dig := peer(t, "dig", "bind9-dnsutils")
	n := startDev(t)
	out, code := run(t, 10*time.Second, dig, "@127.0.0.1", "-p", fmt.Sprint(n.dns), "+tcp", "+short", "fo.gslb.example", "A")
	if code != 0 || !strings.HasPrefix(out, "127.0.1.") {
		t.Fatalf("dig +tcp fo: exit %d: %q", code, out)
	}
}

// TestFailover: a drained site leaves `fo` at once and comes back at once; a stopped pair of backends leaves by their probes.
func TestFailover(t *testing.T) {
	n := startDev(t)
	site := func() string {
		r, err := ask(local(n.dns), "fo.gslb.example", dns.TypeA)
		if err != nil || len(addresses(r)) == 0 {
			t.Fatalf("fo: %v %v", r, err)
		}
		return addresses(r)[0][:len("127.0.1")]
	}
	if got := site(); got != "127.0.1" {
		t.Fatalf("at first: %s", got)
	}
	n.must("drain", "eu-west", "--for", "10m", "--reason", "test")
	if got := site(); got != "127.0.2" {
		t.Fatalf("eu-west drained: %s", got)
	}
	n.must("undrain", "eu-west")
	if got := site(); got != "127.0.1" {
		t.Fatalf("undrained: %s", got)
	}
	n.must("demo", "stop", "eu-west-1")
	n.must("demo", "stop", "eu-west-2")
	eventually(t, 5*time.Second, "fo leaves eu-west", func() bool { return site() == "127.0.2" })
	n.must("demo", "start", "eu-west-1")
	eventually(t, 5*time.Second, "fo returns to eu-west", func() bool { return site() == "127.0.1" })
}

func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for time.Since(begin) < limit {
		if ok() {
			return time.Since(begin)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s: not within %v", what, limit)
	return 0
}

// A dnsLoad asks one server in closed loops, over UDP, until stopped. A query that gets no answer is lost.
type dnsLoad struct {
	stop    chan struct{}
	wg      sync.WaitGroup
	asked   atomic.Int64
	lost    atomic.Int64
	wrong   atomic.Int64
	refused atomic.Int64 // the socket was closed: the server has ended
	note    atomic.Value
}

func startDNSLoad(server, name string, loops int) *dnsLoad {
	l := &dnsLoad{stop: make(chan struct{})}
	for range loops {
		l.wg.Add(1)
		go l.loop(server, name)
	}
	return l
}

func (l *dnsLoad) loop(server, name string) {
	defer l.wg.Done()
	conn, err := net.Dial("udp", server)
	if err != nil {
		l.lost.Add(1)
		return
	}
	defer conn.Close()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeA)
	buf := make([]byte, 4096)
	for id := uint16(0); ; id++ {
		select {
		case <-l.stop:
			return
		default:
		}
		m.Id = id
		pkt, _ := m.Pack()
		conn.SetDeadline(time.Now().Add(3 * time.Second))
		_, err := conn.Write(pkt)
		if err == nil {
			l.asked.Add(1)
			var k int
			if k, err = conn.Read(buf); err == nil {
				r := new(dns.Msg)
				if r.Unpack(buf[:k]) != nil || r.Id != id || r.Rcode != dns.RcodeSuccess || len(r.Answer) == 0 {
					l.wrong.Add(1)
					l.note.Store(r.String())
				}
				continue
			}
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			l.refused.Add(1)
			return
		}
		l.lost.Add(1)
		l.note.Store(err.Error())
	}
}

func (l *dnsLoad) end() {
	close(l.stop)
	l.wg.Wait()
}
