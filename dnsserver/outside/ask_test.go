package outside

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// peer serves UDP and TCP of one port on loopback until the test ends.
func peer(t *testing.T, h dns.HandlerFunc) netip.AddrPort {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			l.Close() // somebody has the port
			continue
		}
		var ended sync.WaitGroup
		t.Cleanup(ended.Wait) // after the shutdowns
		for _, s := range []*dns.Server{{Listener: l, Handler: h}, {PacketConn: p, Handler: h}} {
			ready := make(chan struct{})
			s.NotifyStartedFunc = func() { close(ready) }
			ended.Go(func() { s.ActivateAndServe() })
			<-ready
			t.Cleanup(func() { s.Shutdown() })
		}
		return l.Addr().(*net.TCPAddr).AddrPort()
	}
	t.Fatal("no port is free for both transports")
	panic("unreachable")
}

// TestAsk asks a real server over real sockets.
func TestAsk(t *testing.T) {
	seen := make(chan *dns.Msg, 10)
	server := peer(t, func(w dns.ResponseWriter, q *dns.Msg) {
		seen <- q
		m := response(t, q, q.Question[0].Name+" 60 A 192.0.2.1")
		switch label, _, _ := strings.Cut(q.Question[0].Name, "."); label {
		case "large":
			if w.LocalAddr().Network() == "udp" {
				m.Answer, m.Truncated = nil, true
				break
			}
			for i := range 250 {
				m.Answer = append(m.Answer, record(t, fmt.Sprintf("%s 60 A 198.51.100.%d", q.Question[0].Name, i)))
			}
		case "silent":
			return
		case "other":
			m.Question[0].Name = "x.example."
		case "type":
			m.Question[0].Qtype = dns.TypeMX
		case "none":
			m.Question = nil
		case "query":
			m.Response = false
		case "case":
			m.Question[0].Name = strings.ToUpper(m.Question[0].Name)
		case "id":
			wrong := m.Copy()
			wrong.Id++
			wrong.Answer = nil
			w.WriteMsg(wrong)
		case "garbage":
			w.Write([]byte("garbage"))
			return
		}
		w.WriteMsg(m)
	})
	for _, c := range []struct {
		name, want string
		questions  int
	}{
		{"plain", "60: 60 192.0.2.1", 1},
		{"case", "60: 60 192.0.2.1", 1},
		{"id", "60: 60 192.0.2.1", 1},
		{"large", "60: 60 192.0.2.1", 2},
		{"silent", "does not answer", 1},
		{"garbage", "does not answer", 1},
		{"other", "answers another question", 1},
		{"type", "answers another question", 1},
		{"none", "answers another question", 1},
		{"query", "answers another question", 1},
	} {
		timeout := 5 * time.Second
		if c.name == "silent" {
			timeout = 50 * time.Millisecond
		}
		r := New(Config{Servers: []netip.AddrPort{server}, Timeout: timeout}, registry.New(registry.Options{}), nil)
		got := describe(r.resolve(t.Context(), name(t, c.name+".example."), wire.TypeA))
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		for range c.questions {
			q := <-seen
			opt := q.IsEdns0()
			if opt == nil || opt.UDPSize() != ednsSize || opt.Do() || !q.RecursionDesired || q.CheckingDisabled || len(q.Question) != 1 {
				t.Errorf("%s: asked\n%v", c.name, q)
			}
		}
		if len(seen) > 0 {
			t.Errorf("%s: asked more than %d times", c.name, c.questions)
		}
	}
}

// TestAskEndsWithItsContext: a server that says nothing does not hold up the end of the process.
func TestAskEndsWithItsContext(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		asked := make(chan struct{}, 1)
		server := peer(t, func(dns.ResponseWriter, *dns.Msg) { asked <- struct{}{} })
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-asked; cancel() }()
		begun := time.Now()
		_, err := exchange(ctx, network, server, new(dns.Msg).SetQuestion("cdn.example.", dns.TypeA), time.Minute)
		if err == nil || time.Since(begun) > 30*time.Second {
			t.Errorf("%s: %v after %v", network, err, time.Since(begun))
		}
	}
}

// TestEndToEnd: a Resolver with the one server that answers behind one that does not.
func TestEndToEnd(t *testing.T) {
	refuses := peer(t, func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeRefused)) })
	answers := peer(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if q.Question[0].Qtype == dns.TypeA {
			w.WriteMsg(response(t, q, "cdn.example. 60 CNAME b.example.", "b.example. 20 A 192.0.2.1"))
			return
		}
		w.WriteMsg(response(t, q, "cdn.example. 60 CNAME b.example.", "b.example. 20 AAAA 2001:db8::1"))
	})
	reg := registry.New(registry.Options{})
	r := New(Config{Servers: []netip.AddrPort{refuses, answers}}, reg, nil)
	r.targets = func(*zone.Set, *policy.Plan) []wire.Name { return []wire.Name{name(t, target)} }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	<-r.FirstRound()
	for rrtype, want := range map[uint16]string{wire.TypeA: "20 192.0.2.1", wire.TypeAAAA: "20 2001:db8::1"} {
		if got := show(reg.Snapshot().Outside.Find(name(t, target), rrtype)); got != want {
			t.Errorf("type %d: got %s, want %s", rrtype, got, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
