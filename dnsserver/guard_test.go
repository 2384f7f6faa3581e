package dnsserver

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// limited returns an Answerer that limits, by a clock that the test sets.
func limited(t testing.TB, c RateConfig, transport Transport) (*Answerer, *time.Duration) {
	a := testAnswerer(testSnapshot(t, nil), transport)
	a.Limiter = NewLimiter(c)
	clock := new(time.Duration)
	a.Limiter.now = func() time.Duration { return *clock }
	return a, clock
}

// outcomes asks n times and returns how many got an answer, an empty truncated response, and nothing.
func outcomes(t testing.TB, a *Answerer, from string, n int) (answered, slipped, dropped int) {
	t.Helper()
	msg := pack(t, query("mail.gslb.example", dns.TypeA, edns))
	for range n {
		out := a.Answer(nil, msg, netip.MustParseAddrPort(from), DefaultUDPSize)
		if len(out) == 0 {
			dropped++
			continue
		}
		if len(out) > len(msg) && out[2]&2 != 0 {
			t.Errorf("%d bytes for %d", len(out), len(msg))
		}
		r := new(dns.Msg)
		if err := r.Unpack(out); err != nil {
			t.Fatal(err)
		}
		switch {
		case len(r.Answer) == 1 && !r.Truncated:
			answered++
		case r.Truncated && len(r.Answer) == 0 && len(r.Question) == 1 && r.Rcode == dns.RcodeSuccess && r.IsEdns0() != nil && !r.Authoritative:
			slipped++
		default:
			t.Fatalf("neither an answer nor a slip: %v", r)
		}
	}
	return answered, slipped, dropped
}

func TestRateLimit(t *testing.T) {
	for _, tt := range []struct {
		name                       string
		config                     RateConfig
		transport                  Transport
		from                       string
		answered, slipped, dropped int // of 100 at one moment
	}{
		{"slip all", RateConfig{Rate: 5, Burst: 10}, UDP, "203.0.113.5:4444", 10, 90, 0},
		{"slip every other", RateConfig{Rate: 5, Burst: 10, Slip: 2}, UDP, "203.0.113.5:4444", 10, 45, 45},
		{"slip every tenth", RateConfig{Rate: 5, Burst: 10, Slip: 10}, UDP, "203.0.113.5:4444", 10, 9, 81},
		{"drop all", RateConfig{Rate: 5, Burst: 10, Slip: -1}, UDP, "[2001:db8::1]:4444", 10, 0, 90},
		{"burst by rate", RateConfig{Rate: 5}, UDP, "203.0.113.5:4444", 10, 90, 0},
		{"defaults", RateConfig{}, UDP, "203.0.113.5:4444", 100, 0, 0},
		{"TCP", RateConfig{Rate: 5}, TCP, "203.0.113.5:4444", 100, 0, 0},
		{"loopback", RateConfig{Rate: 5}, UDP, "127.0.0.1:4444", 100, 0, 0},
		{"loopback by IPv6", RateConfig{Rate: 5}, UDP, "[::1]:4444", 100, 0, 0},
		{"loopback not exempt", RateConfig{Rate: 5, Exempt: []netip.Prefix{}}, UDP, "127.0.0.1:4444", 10, 90, 0},
		{"exempt", RateConfig{Rate: 5, Exempt: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}, UDP, "203.0.113.5:4444", 100, 0, 0},
		{"off", RateConfig{Off: true}, UDP, "203.0.113.5:4444", 100, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := testAnswerer(testSnapshot(t, nil), tt.transport)
			if a.Limiter = NewLimiter(tt.config); a.Limiter != nil {
				a.Limiter.now = func() time.Duration { return time.Hour }
			}
			answered, slipped, dropped := outcomes(t, a, tt.from, 100)
			if answered != tt.answered || slipped != tt.slipped || dropped != tt.dropped {
				t.Errorf("%d answered, %d slipped, %d dropped; want %d, %d, %d", answered, slipped, dropped, tt.answered, tt.slipped, tt.dropped)
			}
			if n := a.counters.dropped[dropRateLimit].Load(); n != uint64(tt.dropped) {
				t.Errorf("%d drops counted", n)
			}
			if n := a.counters.slipped.Load(); n != uint64(tt.slipped) {
				t.Errorf("%d slips counted", n)
			}
		})
	}
}

// TestSlipIsNoWeapon asks for whatever makes a response longer: one to a query beyond the limit has none of it but a cookie.
func TestSlipIsNoWeapon(t *testing.T) {
	a, _ := limited(t, RateConfig{Rate: 1, Burst: 1}, UDP)
	a.NSID = strings.Repeat("n", maxNSID)
	msg := pack(t, query("mail.gslb.example", dns.TypeA, subnet("192.0.2.0/24"), func(m *dns.Msg) {
		o := m.IsEdns0()
		o.Option = append(o.Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID}, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0011223344556677"},
			&dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE})
	}))
	answer := a.Answer(nil, msg, resolver, 1232)
	slip := a.Answer(nil, msg, resolver, 1232)
	if len(answer) <= len(msg)+maxNSID || len(slip) > len(msg)+wire.ServerCookieLen {
		t.Errorf("%d bytes, then %d, for %d", len(answer), len(slip), len(msg))
	}
	r := new(dns.Msg)
	if err := r.Unpack(slip); err != nil || !r.Truncated || !strings.Contains(r.String(), "; COOKIE: 0011223344556677") {
		t.Errorf("%v, %v", r, err)
	}
}

// TestCookieHasNoLimit sees that a client that has shown where it is may ask as often as it likes.
func TestCookieHasNoLimit(t *testing.T) {
	a, _ := limited(t, RateConfig{Rate: 1, Burst: 1}, UDP)
	a.cookieValid = true
	for range 100 {
		if a.overLimit(resolver.Addr()) {
			t.Fatal("limited")
		}
	}
}

// TestReconfigure changes the limits and the proxies of a running server, and something else.
func TestReconfigure(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	cfg := Config{Listen: []string{"127.0.0.1:0"}, RateLimit: RateConfig{Rate: 1, Burst: 5, Exempt: []netip.Prefix{}}}
	s, _ := start(t, cfg)
	c := &dns.Client{Timeout: 5 * time.Second}
	begun := time.Now()
	answered := func(n int) (got int) {
		for range n {
			r, _, err := c.Exchange(query("mail.gslb.example", dns.TypeA), s.Addrs()[0].String())
			if err != nil {
				t.Fatal(err)
			}
			if !r.Truncated {
				got++
			}
		}
		return got
	}
	if got := answered(10); got < 5 || got > 6+int(time.Since(begun).Seconds()) { // one more for each second that this takes
		t.Errorf("%d answered, want 5", got)
	}
	was := s.settings.Load().limiter
	if s.Reconfigure(cfg); s.settings.Load().limiter != was {
		t.Error("what did not change begins anew")
	}
	cfg.RateLimit.Exempt = loopback
	if s.Reconfigure(cfg); answered(20) != 20 {
		t.Error("limited, though exempt now")
	}
	cfg.RateLimit, cfg.Proxy, cfg.UDPSize = RateConfig{Off: true}, loopback, 600
	s.Reconfigure(cfg)
	for _, network := range []string{"udp", "tcp"} {
		conn, err := net.Dial(network, s.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		in := slices.Concat(proxyFor("198.51.100.9:1234"), pack(t, query("www.gslb.example", dns.TypeA)))
		if network == "tcp" {
			in = slices.Concat(proxyFor("198.51.100.9:1234"), framed(t, query("www.gslb.example", dns.TypeA)))
		}
		if _, err := conn.Write(in); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 4096)); n == 0 {
			t.Errorf("%s by a proxy: %v", network, err)
		}
	}
}

// TestRateLimitRecovers sees that the limit is one of rate, and of each client for itself.
func TestRateLimitRecovers(t *testing.T) {
	a, clock := limited(t, RateConfig{Rate: 10, Burst: 20, Slip: -1}, UDP)
	for _, step := range []struct {
		at   time.Duration
		from string
		want int
	}{
		{0, "203.0.113.5:1", 20}, {0, "203.0.113.5:2", 0}, {0, "203.0.113.6:1", 20}, {time.Second, "203.0.113.5:1", 10}, {time.Minute, "203.0.113.5:1", 20},
	} {
		*clock = step.at
		if got, _, _ := outcomes(t, a, step.from, 50); got != step.want {
			t.Errorf("%v from %s: %d answered, want %d", step.at, step.from, got, step.want)
		}
	}
}

// TestRateLimitIsShared asks two workers in turn.
func TestRateLimitIsShared(t *testing.T) {
	a, _ := limited(t, RateConfig{Rate: 10, Burst: 20, Slip: -1}, UDP)
	b := testAnswerer(testSnapshot(t, nil), UDP)
	b.Limiter = a.Limiter
	first, _, _ := outcomes(t, a, "203.0.113.5:1", 15)
	second, _, _ := outcomes(t, b, "203.0.113.5:1", 15)
	if first != 15 || second != 5 {
		t.Errorf("%d and %d answered, want 15 and 5", first, second)
	}
}

// TestRateLimitHoldsForErrors asks what is answered by an error: a forger can ask that as well.
func TestRateLimitHoldsForErrors(t *testing.T) {
	a, _ := limited(t, RateConfig{Rate: 1, Burst: 1, Slip: -1}, UDP)
	for _, msg := range [][]byte{
		pack(t, query("www.elsewhere.test", dns.TypeA)), pack(t, query("x.gslb.example", dns.TypeA)), {0, 1, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		{0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0},
	} {
		a.Limiter.limits = NewLimiter(RateConfig{Rate: 1, Burst: 1}).limits
		if out := a.Answer(nil, msg, resolver, 1232); len(out) == 0 {
			t.Errorf("%x: the first got no response", msg)
		}
		if out := a.Answer(nil, msg, resolver, 1232); len(out) != 0 {
			t.Errorf("%x: the second got a response", msg)
		}
	}
}

func TestRateLimitDoesNotAllocate(t *testing.T) {
	for _, c := range []RateConfig{{Rate: 1, Burst: 1}, {Rate: 1, Burst: 1, Slip: -1}, {}} {
		a, _ := limited(t, c, UDP)
		msg, buf := pack(t, query("mail.gslb.example", dns.TypeA, edns)), make([]byte, 0, 2048)
		if n := testing.AllocsPerRun(200, func() { a.Answer(buf, msg, resolver, 1232) }); n != 0 {
			t.Errorf("%+v: %v allocations", c, n)
		}
	}
}

// BenchmarkAnswerLimited is what a query beyond the limit costs.
func BenchmarkAnswerLimited(b *testing.B) {
	for name, c := range map[string]RateConfig{"Within": {Rate: 1_000_000, Burst: 100_000_000}, "Slip": {Rate: 1, Burst: 1}, "Drop": {Rate: 1, Burst: 1, Slip: -1}, "Off": {Off: true}} {
		b.Run(name, func(b *testing.B) {
			a := testAnswerer(testSnapshot(b, nil), UDP)
			a.Limiter = NewLimiter(c)
			if a.Limiter != nil {
				a.Limiter.now = func() time.Duration { return 0 }
			}
			msg, buf := pack(b, query("mail.gslb.example", dns.TypeA, edns)), make([]byte, 0, 2048)
			for b.Loop() {
				a.Answer(buf, msg, resolver, 1232)
			}
		})
	}
}
