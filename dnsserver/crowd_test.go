package dnsserver

import (
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestCrowd: a thousand connections, of which half send their query a byte at a time and the others nothing, cost little memory and
// do not disturb UDP, nor a client that comes over TCP when all places are taken.
func TestCrowd(t *testing.T) {
	const crowd, perConn = 1000, 32 << 10
	s, _ := start(t, Config{Listen: []string{"127.0.0.1:0"}, TCP: TCPConfig{Connections: crowd, PerClient: 2 * crowd, Idle: time.Minute, IO: time.Minute}})
	addr := s.Addrs()[0].String()
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := memory()
	conns := make([]net.Conn, crowd)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	for _, b := range framed(t, query("mail.gslb.example", dns.TypeA))[:8] {
		for _, c := range conns[:crowd/2] {
			if _, err := c.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(query("www.gslb.example", dns.TypeA), addr); err != nil {
			t.Fatal(err)
		}
	}
	for s.conns.len() < crowd { // they are accepted one after the other
		time.Sleep(time.Millisecond)
	}
	used := (memory() - before) / crowd // by both ends
	t.Logf("%d bytes for a connection, both ends", used)
	if used > perConn {
		t.Errorf("a connection takes %d bytes, want at most %d", used, perConn)
	}
	if _, _, err := (&dns.Client{Net: "tcp", Timeout: 5 * time.Second}).Exchange(query("www.gslb.example", dns.TypeA), addr); err != nil {
		t.Errorf("a client that comes later: %v", err)
	}
	if n := s.conns.len(); n > crowd {
		t.Errorf("%d connections", n)
	}
}

// TestEverySource: whichever address of this machine is asked, on a socket for all of them or for that one, the answer comes from
// there, over IPv4 and IPv6.
func TestEverySource(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere, one listens on each address")
	}
	all, _ := start(t, Config{Listen: []string{":0"}})
	ifaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, iface := range ifaces {
		addrs, err := iface.Addrs()
		if err != nil || iface.Flags&net.FlagUp == 0 {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			addr := p.Addr()
			if addr.IsLinkLocalUnicast() && addr.Is6() {
				addr = addr.WithZone(iface.Name)
			}
			one, stop := start(t, Config{Listen: []string{netip.AddrPortFrom(addr, 0).String()}})
			for _, s := range []*Server{all, one} {
				if s == all && addr.Is6() && len(all.Addrs()) < 2 {
					continue // no IPv6 for all
				}
				to := netip.AddrPortFrom(addr, s.Addrs()[0].Port()).String()
				for _, network := range []string{"udp", "tcp"} { // a connected socket takes nothing from any other address
					r, _, err := (&dns.Client{Net: network, Timeout: 5 * time.Second}).Exchange(query("mail.gslb.example", dns.TypeA), to)
					if err != nil || len(r.Answer) != 1 {
						t.Errorf("%s %s: %v, %v", network, to, r, err)
					}
				}
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestDurations: every message is counted in the bucket of its batch.
func TestDurations(t *testing.T) {
	var d durations
	d.observe(3, 10*time.Microsecond)
	d.observe(2, 11*time.Microsecond)
	d.observe(1, time.Second)
	var sums durationTotals
	sums.add(&d)
	sums.add(&d)
	if sums.counts[0] != 6 || sums.counts[1] != 4 || sums.counts[len(durationBounds)] != 2 || sums.sum != 2*uint64(time.Second+52*time.Microsecond) {
		t.Errorf("%+v", sums)
	}
	s, _ := start(t, Config{Listen: []string{"127.0.0.1:0"}})
	for _, network := range []string{"udp", "tcp"} {
		if _, _, err := (&dns.Client{Net: network, Timeout: 5 * time.Second}).Exchange(query("mail.gslb.example", dns.TypeA), s.Addrs()[0].String()); err != nil {
			t.Fatal(err)
		}
	}
	if n := testutil.CollectAndCount(s, "meridian_dns_request_duration_seconds"); n != 2 {
		t.Errorf("%d histograms, want one for each transport", n)
	}
}
