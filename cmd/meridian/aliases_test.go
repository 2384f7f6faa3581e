package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/configs"
	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// resolver serves one address for every name, until the test ends.
func resolver(t *testing.T, address string) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		if q.Question[0].Qtype == dns.TypeA {
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.ParseIP(address)}}
		}
		w.WriteMsg(m)
	})}
	ended := make(chan error)
	go func() { ended <- s.ActivateAndServe() }()
	t.Cleanup(func() {
		s.Shutdown()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return conn.LocalAddr().String()
}

// TestAliases: what an alias to a name outside stands for is asked of the resolvers before the node is ready, and of others after a
// reload that names them.
func TestAliases(t *testing.T) {
	file := filepath.Join(t.TempDir(), "meridian.yaml")
	write := func(resolvers string) {
		t.Helper()
		text := "admin: {listen: 127.0.0.1:0}\ndns: {listen: 127.0.0.1:0, resolvers: \"" + resolvers + "\"}\n" +
			"zones: {gslb.example: {ns: [ns1.example.net], records: {\"@\": {alias: shop.example.net.}}}}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(resolver(t, "192.0.2.7"))
	n, err := newNode(nodeOptions{load: func() (*configs.Config, error) { return loadFile(file) }, file: file, logging: newLogSwitch(io.Discard)})
	if err != nil {
		t.Fatal(err)
	}
	stop := runNode(t, n)
	name, err := wire.ParseName("shop.example.net")
	if err != nil {
		t.Fatal(err)
	}
	if set, known := n.registry.Snapshot().Outside.Find(name, wire.TypeA); !known || set == nil || net.IP(set.RData[0]).String() != "192.0.2.7" {
		t.Errorf("after the start: %v %v", set, known)
	}
	write("192.0.2.1:9")
	if _, err := n.reload(t.Context()); err != nil {
		t.Errorf("other resolvers: %v", err)
	}
	begin := time.Now()
	stop()
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("it took %v to end", took)
	}
}
