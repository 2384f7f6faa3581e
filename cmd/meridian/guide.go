package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/admin"
)

// guide prints what to try with a running `meridian dev`: commands that can be pasted as they stand.
func guide(p *printer, n *node, d *demo) {
	listen := n.about().Listen
	dnsAddr, https, http, adminAddr := reachable(listen.DNS[0], "::1"), reachable(listen.HTTPS[0], "127.0.0.1"), reachable(listen.HTTP[0], "127.0.0.1"), reachable(listen.Admin, "127.0.0.1")
	host, port, _ := net.SplitHostPort(dnsAddr)
	dig := fmt.Sprintf("dig @%s -p %s +noall +answer +comments", host, port)
	edgeHost, edgePort, _ := net.SplitHostPort(https)
	if strings.Contains(edgeHost, ":") {
		edgeHost = "[" + edgeHost + "]"
	}
	self := invocation()
	if adminAddr != admin.DefaultListen {
		self += " --admin " + adminAddr
	}

	title := func(s string) { p.line("\n%s", p.paint(bold, s)) }
	command := func(format string, args ...any) { p.line("  "+format, args...) }

	p.line("%s  DNS %s   edge https://%s http://%s   admin http://%s", p.paint(bold, "Meridian is ready."),
		dnsAddr, https, http, adminAddr)
	var names []string
	for _, b := range d.backends {
		names = append(names, b.name)
	}
	p.line("Six backends: %s", strings.Join(names, ", "))

	title("The nearest site, by client subnet")
	command("%s +subnet=192.0.2.0/24 www.gslb.example      # near eu-west: 127.0.1.x", dig)
	command("%s +subnet=198.51.100.0/24 www.gslb.example   # near us-east: 127.0.2.x", dig)
	command("%s +subnet=203.0.113.0/24 www.gslb.example    # near ap-south: 127.0.3.x", dig)
	title("Failover, weights 1:2:7, up to four")
	command("%s fo.gslb.example", dig)
	command("%s wrr.gslb.example", dig)
	command("%s all.gslb.example", dig)
	title("Why this answer?")
	command("%s explain www.gslb.example --client 198.51.100.0/24", self)
	title("Take things away, and see answers move")
	command("%s demo stop eu-west-1        # then: demo start eu-west-1", self)
	command("%s drain us-east --for 10m --reason \"switch upgrade\"   # then: undrain us-east", self)
	command("%s status", self)
	title("The edge: one connection, every backend")
	command("curl -k --resolve api.gslb.example:%s:%s \"https://api.gslb.example:%s/?[1-12]\"", edgePort, edgeHost, edgePort)
	command("nghttp -H ':authority: api.gslb.example' https://%s/?{1..12}", https)
	p.line("\nCtrl-C ends it, a second one at once.")
}

// reachable returns an address that can be asked from this machine, for one that is served: all addresses are none that a command could
// name. Servers that serve both families through one IPv6 socket are asked over IPv4.
func reachable(served, ofIPv6 string) string {
	host, port, err := net.SplitHostPort(served)
	if err != nil {
		return served
	}
	switch host {
	case "0.0.0.0", "":
		host = "127.0.0.1"
	case "::":
		host = ofIPv6
	}
	return net.JoinHostPort(host, port)
}

// answers waits until the node answers its own questions: one over DNS, and a TLS handshake with the edge. It gives up after a few
// seconds.
func (n *node) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	listen := n.about().Listen
	q := new(dns.Msg).SetQuestion(n.registry.Snapshot().Zones.Zones()[0].Apex().String(), dns.TypeSOA)
	if _, _, err := new(dns.Client).ExchangeContext(ctx, q, reachable(listen.DNS[0], "::1")); err != nil {
		return fmt.Errorf("dns: %w", err)
	}
	handshake := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // it asks whether somebody answers, and tells nothing
	conn, err := handshake.DialContext(ctx, "tcp", reachable(listen.HTTPS[0], "127.0.0.1"))
	if err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	return conn.Close()
}

// invocation is how this program was called, so that the guide's commands work the same way.
func invocation() string {
	exe, err := os.Executable()
	if err == nil && strings.Contains(exe, "go-build") {
		return "go run ./cmd/meridian"
	}
	if strings.Contains(os.Args[0], "/") {
		return os.Args[0]
	}
	return "meridian"
}
