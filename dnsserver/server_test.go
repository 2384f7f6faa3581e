package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/meridian-gslb/meridian/registry"
)

// start serves the world on some addresses until the test ends, or stop is called, which returns what Run returned.
func start(t testing.TB, cfg Config) (s *Server, stop func() error) {
	t.Helper()
	snap := testSnapshot(t, nil)
	s = New(cfg, func() *registry.Snapshot { return snap }, slog.New(slog.DiscardHandler))
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return s, stop
}

// TestServes: UDP and TCP, IPv4 and IPv6, on one port for both transports, with any client.
func TestServes(t *testing.T) {
	s, _ := start(t, Config{Listen: []string{"127.0.0.1:0", "[::1]:0"}, Workers: 2})
	if len(s.Addrs()) != 2 || s.Addrs()[0].Port() == 0 {
		t.Fatalf("addresses %v", s.Addrs())
	}
	for _, addr := range s.Addrs() {
		for _, network := range []string{"udp", "tcp"} {
			c := &dns.Client{Net: network, Timeout: 5 * time.Second}
			r, _, err := c.Exchange(query("www.gslb.example", dns.TypeA, subnet("198.51.100.0/24")), addr.String())
			if err != nil {
				t.Fatalf("%s %s: %v", network, addr, err)
			}
			if got := show(r); got != lines("NOERROR aa", "an www.gslb.example. 30 A 198.51.100.10") {
				t.Errorf("%s %s: %s", network, addr, got)
			}
		}
	}
}

// TestTruncatedThenTCP: a client that is told of truncation finds the whole answer over TCP at the same address.
func TestTruncatedThenTCP(t *testing.T) {
	s, _ := start(t, Config{Listen: []string{"127.0.0.1:0"}})
	addr := s.Addrs()[0].String()
	r, _, err := (&dns.Client{Net: "udp"}).Exchange(query("big.gslb.example", dns.TypeTXT), addr)
	if err != nil || !r.Truncated {
		t.Fatalf("%v, %v", r, err)
	}
	r, _, err = (&dns.Client{Net: "tcp"}).Exchange(query("big.gslb.example", dns.TypeTXT), addr)
	if err != nil || r.Truncated || len(r.Answer) != 40 {
		t.Fatalf("%v, %v", r, err)
	}
}

// TestManyClients: more queries at once than a batch holds, from many sockets, each gets its own answer.
func TestManyClients(t *testing.T) {
	s, _ := start(t, Config{Listen: []string{"127.0.0.1:0"}, Workers: 2})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			c, err := net.Dial("udp", s.Addrs()[0].String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for j := range 50 {
				m := query("mail.gslb.example", dns.TypeA)
				m.Id = uint16(i<<8 | j)
				if _, err := c.Write(pack(t, m)); err != nil {
					t.Error(err)
				}
			}
			seen := map[uint16]bool{}
			buf := make([]byte, 4096)
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			for range 50 {
				n, err := c.Read(buf)
				if err != nil {
					t.Errorf("client %d after %d answers: %v", i, len(seen), err)
					return
				}
				r := new(dns.Msg)
				if err := r.Unpack(buf[:n]); err != nil || int(r.Id>>8) != i || len(r.Answer) != 1 {
					t.Errorf("client %d: %v, %v", i, r, err)
				}
				seen[r.Id] = true
			}
			if len(seen) != 50 {
				t.Errorf("client %d: %d different answers", i, len(seen))
			}
		})
	}
	wg.Wait()
}

// TestWildcardBind: a response leaves from the address that was asked, not from the one that routing would choose.
func TestWildcardBind(t *testing.T) {
	s, _ := start(t, Config{Listen: []string{":0"}})
	if len(s.Addrs()) == 2 && s.Addrs()[0].Port() != s.Addrs()[1].Port() {
		t.Errorf("ports differ: %v", s.Addrs())
	}
	port := s.Addrs()[0].Port()
	hosts := []string{"127.0.0.1"}
	if len(s.Addrs()) == 2 {
		hosts = append(hosts, "::1")
	}
	if runtime.GOOS == "linux" { // where all of 127.0.0.0/8 is this machine, and the source is kept
		hosts = append(hosts, "127.0.0.7", "127.1.2.3")
	}
	for _, host := range hosts {
		// A connected socket takes nothing from any other address.
		r, _, err := (&dns.Client{Net: "udp", Timeout: 5 * time.Second}).Exchange(query("mail.gslb.example", dns.TypeA), netip.AddrPortFrom(netip.MustParseAddr(host), port).String())
		if err != nil || len(r.Answer) != 1 {
			t.Errorf("%s: %v, %v", host, r, err)
		}
	}
}

// TestStopLosesNothing: what was received before the end is answered, however much of it waits.
func TestStopLosesNothing(t *testing.T) {
	snap := testSnapshot(t, nil)
	s := New(Config{Listen: []string{"127.0.0.1:0"}, Workers: 1}, func() *registry.Snapshot { return snap }, slog.New(slog.DiscardHandler))
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("udp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const queries = 100 // several batches, all of them there before the worker reads the first
	for range queries {
		if _, err := c.Write(pack(t, query("mail.gslb.example", dns.TypeA))); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	for i := range queries {
		if _, err := c.Read(buf); err != nil {
			t.Fatalf("after %d answers: %v", i, err)
		}
	}
	if _, err := c.Write([]byte("x")); err == nil {
		if _, err = c.Read(buf); !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the socket is still open: %v", err)
		}
	}
}

// TestStopWithOpenConnections: Run does not wait for clients that keep a connection.
func TestStopWithOpenConnections(t *testing.T) {
	s, stop := start(t, Config{Listen: []string{"127.0.0.1:0"}})
	c, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dc := &dns.Conn{Conn: c}
	if err := dc.WriteMsg(query("mail.gslb.example", dns.TypeA)); err != nil {
		t.Fatal(err)
	}
	if r, err := dc.ReadMsg(); err != nil || len(r.Answer) != 1 {
		t.Fatalf("%v, %v", r, err)
	}
	begin := time.Now()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if _, err := dc.ReadMsg(); err == nil {
		t.Error("the connection is still served")
	}
}

// TestStopWithSlowReader: Run does not wait for a client that asks for much and reads nothing.
func TestStopWithSlowReader(t *testing.T) {
	s, stop := start(t, Config{Listen: []string{"127.0.0.1:0"}, TCP: TCPConfig{IO: time.Minute}})
	c, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	queries := make([]*dns.Msg, 500)
	for i := range queries {
		queries[i] = query("big.gslb.example", dns.TypeTXT)
	}
	for msgs := framed(t, queries...); err == nil; { // until the server reads no more, for it cannot write
		if err = c.SetWriteDeadline(time.Now().Add(time.Second)); err == nil {
			_, err = c.Write(msgs)
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestReaderOfNothing: a client that asks for much and reads nothing is answered as far as some buffers go, not megabytes.
func TestReaderOfNothing(t *testing.T) {
	s, _ := start(t, Config{Listen: []string{"127.0.0.1:0"}})
	var small net.Dialer
	if runtime.GOOS == "linux" { // before the connection is made, so that it never was larger
		small.Control = func(_, _ string, rc syscall.RawConn) error {
			return rc.Control(func(fd uintptr) {
				_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
				_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 4096)
			})
		}
	}
	c, err := small.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	queries := make([]*dns.Msg, 500)
	for i := range queries {
		queries[i] = query("big.gslb.example", dns.TypeTXT)
	}
	size := len(answer(t, testAnswerer(testSnapshot(t, nil), TCP), queries[0]).String())
	for msgs := framed(t, queries...); err == nil; { // until the server reads no more, for it cannot write
		if err = c.SetWriteDeadline(time.Now().Add(time.Second)); err == nil {
			_, err = c.Write(msgs)
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	var made totals
	made.requests, made.responses, made.answers = map[requestKey]uint64{}, map[responseKey]uint64{}, map[answerKey]uint64{}
	for _, c := range s.counters {
		made.add(c)
	}
	n := uint64(0)
	for _, k := range made.requests {
		n += k
	}
	if most := uint64(8 * kernelBuffer); n*uint64(size) > most {
		t.Errorf("%d answers of about %d bytes were made, more than %d bytes", n, size, most)
	}
}

func TestListenErrors(t *testing.T) {
	s, _ := start(t, Config{Listen: []string{"127.0.0.1:0"}})
	taken := s.Addrs()[0].String()
	for _, tt := range []struct {
		listen []string
		want   string
	}{
		{nil, "no address to listen on"},
		{[]string{"localhost:53"}, `listen address "localhost:53": want IP:port`},
		{[]string{":http", "127.0.0.1"}, `listen address "127.0.0.1"`},
		{[]string{taken}, "listen on " + taken + " over TCP"},
		{[]string{"127.0.0.1:0", taken}, "address already in use"},
		{[]string{"203.0.113.77:0"}, "cannot assign requested address"},
	} {
		o := New(Config{Listen: tt.listen}, s.snapshot, slog.New(slog.DiscardHandler))
		if err := o.Listen(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want an error with %q", tt.listen, err, tt.want)
		}
		if len(o.Addrs()) != 0 || len(o.workers) != 0 {
			t.Errorf("%v: something stayed bound", tt.listen)
		}
	}
}

func TestParseListen(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:53":       "[127.0.0.1:53]",
		"[::1]:0":            "[[::1]:0]",
		":53":                "[0.0.0.0:53 [::]:53]",
		"[::ffff:1.2.3.4]:5": "[1.2.3.4:5]",
		":x":                 "want a port",
		":65536":             "want a port",
		"53":                 "want IP:port",
		"":                   "want IP:port",
		"ns.example:53":      "want IP:port",
	} {
		addrs, err := ParseListen(in)
		got := fmt.Sprint(addrs)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("ParseListen(%q): %s, want %s", in, got, want)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	c := Config{}.withDefaults()
	if c.UDPSize != 1232 || c.Workers != runtime.GOMAXPROCS(0) || c.TCP != (TCPConfig{1024, 64, 10 * time.Second, 5 * time.Second}) {
		t.Errorf("%+v", c)
	}
	c = Config{UDPSize: 100, Workers: 1 << 20, TCP: TCPConfig{Connections: 7}}.withDefaults()
	if c.UDPSize != 512 || c.Workers != 256 || c.TCP.Connections != 7 || c.TCP.PerClient != 64 {
		t.Errorf("%+v", c)
	}
	if c = (Config{UDPSize: 9000}).withDefaults(); c.UDPSize != 4096 {
		t.Errorf("%+v", c)
	}
}

// TestMetrics: every query shows up once, under names of the configuration only.
func TestMetrics(t *testing.T) {
	s, _ := start(t, Config{Listen: []string{"127.0.0.1:0"}, Workers: 2})
	addr := s.Addrs()[0].String()
	udp, tcp := &dns.Client{Net: "udp"}, &dns.Client{Net: "tcp"}
	for _, q := range []struct {
		c *dns.Client
		m *dns.Msg
	}{
		{udp, query("www.gslb.example", dns.TypeA, subnet("198.51.100.0/24"))},
		{udp, query("www.gslb.example", dns.TypeA, subnet("198.51.100.0/24"))},
		{tcp, query("www.gslb.example", dns.TypeA, subnet("192.0.2.0/24"))},
		{udp, query("alias.gslb.example", dns.TypeAAAA, subnet("192.0.2.0/24"))},
		{udp, query("x.app.gslb.example", dns.TypeA, subnet("192.0.2.0/24"))},
		{udp, query("nx.gslb.example", 65280)},
		{udp, query("tonowhere.gslb.example", dns.TypeA)},
		{udp, query("secret-name.elsewhere.test", dns.TypeA)},
	} {
		if _, _, err := q.c.Exchange(q.m, addr); err != nil {
			t.Fatal(err)
		}
	}
	want := `
# HELP meridian_answers_total Steered answers, by the site of the first address and the most telling reason; view is empty for records in all views.
# TYPE meridian_answers_total counter
meridian_answers_total{reason="geo",record="*.app.gslb.example",site="eu",view=""} 1
meridian_answers_total{reason="geo",record="www.gslb.example",site="eu",view=""} 2
meridian_answers_total{reason="geo",record="www.gslb.example",site="us",view=""} 2
# HELP meridian_dns_dropped_total DNS messages without a response: malformed (no query), send (the system would not send it), rate_limit (beyond the limit of its sender), proxy (from a proxy, without a good header), overflow (more came than could be answered, over UDP; counted on Linux only).
# TYPE meridian_dns_dropped_total counter
meridian_dns_dropped_total{reason="malformed"} 0
meridian_dns_dropped_total{reason="overflow"} 0
meridian_dns_dropped_total{reason="proxy"} 0
meridian_dns_dropped_total{reason="rate_limit"} 0
meridian_dns_dropped_total{reason="send"} 0
# HELP meridian_dns_requests_total DNS queries that were answered; zone is empty outside our zones, view for zones in all views.
# TYPE meridian_dns_requests_total counter
meridian_dns_requests_total{family="ipv4",proto="tcp",type="A",view="",zone="gslb.example"} 1
meridian_dns_requests_total{family="ipv4",proto="udp",type="A",view="",zone=""} 1
meridian_dns_requests_total{family="ipv4",proto="udp",type="A",view="",zone="gslb.example"} 4
meridian_dns_requests_total{family="ipv4",proto="udp",type="AAAA",view="",zone="gslb.example"} 1
meridian_dns_requests_total{family="ipv4",proto="udp",type="other",view="",zone="gslb.example"} 1
# HELP meridian_dns_responses_total DNS responses by code; zone is empty outside our zones, view for zones in all views.
# TYPE meridian_dns_responses_total counter
meridian_dns_responses_total{rcode="NOERROR",view="",zone="gslb.example"} 5
meridian_dns_responses_total{rcode="NXDOMAIN",view="",zone="gslb.example"} 2
meridian_dns_responses_total{rcode="REFUSED",view="",zone=""} 1
`
	if err := testutil.CollectAndCompare(s, strings.NewReader(want), "meridian_answers_total", "meridian_dns_dropped_total",
		"meridian_dns_requests_total", "meridian_dns_responses_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.CollectAndLint(s); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	if err := prometheus.NewPedanticRegistry().Register(s); err != nil {
		t.Error(err)
	}
}
