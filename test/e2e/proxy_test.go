package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"

	peers "github.com/meridian-gslb/meridian/test/peer"
)

const proxyConfig = `
dns: {listen: "127.0.0.1:%d", proxy_from: [127.0.0.1/32]}
admin: {listen: "127.0.0.1:%d"}
sites: {one: {}, two: {}}
services:
  web:
    endpoints:
      - {name: one-1, site: one, address: 192.0.2.1}
      - {name: two-1, site: two, address: 192.0.2.2}
policies:
  near:
    - geo: {127.9.0.0/16: two, default: one}
    - take: 1
zones:
  gslb.example:
    ns: [ns1.gslb.example]
    records:
      ns1: {A: 127.0.0.1}
      www: {service: web, policy: near}
`

const haproxyConfig = `
defaults
  mode tcp
  timeout connect 5s
  timeout client 10s
  timeout server 10s
listen dns
  bind 127.0.0.1:%d
  server meridian 127.0.0.1:%d send-proxy-v2 check check-send-proxy inter 50ms
`

// TestProxyProtocol has HAProxy before us, which tells us the address of its clients: they are answered by where they are, not by
// where HAProxy is. Its health checks, of the command LOCAL, find us well.
func TestProxyProtocol(t *testing.T) {
	haproxy := peers.Find(t, "haproxy", "haproxy")
	port, admin, front := freePort(t), freePort(t), freePort(t)
	dir := t.TempDir()
	file, haproxyFile := filepath.Join(dir, "meridian.yaml"), filepath.Join(dir, "haproxy.cfg")
	peers.Write(t, file, fmt.Sprintf(proxyConfig, port, admin))
	peers.Write(t, haproxyFile, fmt.Sprintf(haproxyConfig, front, port))
	peers.Start(t, meridian, "serve", "-c", file)
	ask := func(from, to string) (string, error) {
		c := dns.Client{Net: "tcp", Timeout: 5 * time.Second, Dialer: &net.Dialer{
			LocalAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from + ":0")),
		}}
		r, _, err := c.Exchange(new(dns.Msg).SetQuestion("www.gslb.example.", dns.TypeA), to)
		if err != nil || len(r.Answer) != 1 {
			return "", fmt.Errorf("%v: %v", r, err)
		}
		return r.Answer[0].(*dns.A).A.String(), nil
	}
	until := time.Now().Add(20 * time.Second)
	for _, err := ask("127.9.9.9", local(port)); err != nil; _, err = ask("127.9.9.9", local(port)) {
		if time.Now().After(until) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	peers.Start(t, haproxy, "-f", haproxyFile, "-db")
	for _, err := ask("127.9.9.9", local(front)); err != nil; _, err = ask("127.9.9.9", local(front)) {
		if time.Now().After(until) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for from, want := range map[string]string{"127.9.9.9": "192.0.2.2", "127.8.8.8": "192.0.2.1"} {
		if got, err := ask(from, local(front)); got != want {
			t.Errorf("from %s by HAProxy: %s, %v; want %s", from, got, err, want)
		}
		if got, err := ask(from, local(port)); got != want {
			t.Errorf("from %s without: %s, %v; want %s", from, got, err, want)
		}
	}
	if got, err := ask("127.0.0.1", local(port)); err == nil {
		t.Errorf("from the proxy without a header: %s", got)
	}
}
