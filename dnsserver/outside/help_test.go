package outside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	one = netip.MustParseAddrPort("192.0.2.53:53")
	two = netip.MustParseAddrPort("192.0.2.54:53")
)

// A lab is a Resolver whose servers and targets are the test's.
type lab struct {
	*Resolver
	t     *testing.T
	reg   *registry.Registry
	names []string // the targets, read when the World changes
	log   bytes.Buffer

	mu      sync.Mutex
	answers map[string][]string             // by name and type: records; none: NXDOMAIN
	broken  map[netip.AddrPort]error        // what a server fails with
	asked   []string                        // "server name type", in order
	times   map[string][]time.Time          // by name and type
	hold    func(ctx context.Context) error // before every answer
	now     int                             // questions under way
	most    int                             // at one time
}

func newLab(t *testing.T, names ...string) *lab {
	l := &lab{t: t, reg: registry.New(registry.Options{}), names: names,
		answers: map[string][]string{}, broken: map[netip.AddrPort]error{}, times: map[string][]time.Time{}}
	l.Resolver = New(Config{Servers: []netip.AddrPort{one, two}}, l.reg, slog.New(slog.NewTextHandler(&l.log, nil)))
	l.Resolver.dice = func() float64 { return 0.5 }
	l.Resolver.ask = l.answer
	l.Resolver.targets = func(*zone.Set, *policy.Plan) (list []wire.Name) {
		for _, n := range l.names {
			list = append(list, name(t, n))
		}
		return list
	}
	return l
}

// start runs the Resolver until the test ends, and waits until it has nothing to do.
func (l *lab) start() (stop func()) {
	ctx, cancel := context.WithCancel(l.t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Errorf("Run: %v", err)
		}
	}
}

// retarget changes the targets, as a reload does.
func (l *lab) retarget(names ...string) {
	l.names = names
	c, problems := registry.Compile(registry.Definition{})
	if len(problems) > 0 {
		l.t.Fatal(problems)
	}
	l.reg.Apply(c)
	synctest.Wait()
}

func (l *lab) set(question string, records ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers[question] = records
}

func (l *lab) fail(err error, servers ...netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range servers {
		l.broken[s] = err
	}
}

// questions returns and forgets what was asked, as "server name type".
func (l *lab) questions() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked := l.asked
	l.asked = nil
	return asked
}

// when returns when a question was asked.
func (l *lab) when(question string) []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.times[question])
}

func (l *lab) answer(ctx context.Context, server netip.AddrPort, q *dns.Msg, timeout time.Duration) (*dns.Msg, error) {
	what := q.Question[0].Name + " " + dns.TypeToString[q.Question[0].Qtype]
	l.mu.Lock()
	l.asked = append(l.asked, server.String()+" "+what)
	l.times[what] = append(l.times[what], time.Now())
	l.now++
	l.most = max(l.most, l.now)
	hold := l.hold
	l.mu.Unlock()
	var err error
	if hold != nil {
		err = hold(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now--
	if err := errors.Join(err, l.broken[server]); err != nil {
		return nil, err
	}
	return response(l.t, q, l.answers[what]...), nil
}

// response returns a recursive server's response with records in the answer section; "NODATA" and none at all make it negative.
func response(t testing.TB, q *dns.Msg, records ...string) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	if len(records) == 0 {
		m.Rcode = dns.RcodeNameError
	}
	for _, s := range records {
		if rest, soa := strings.CutPrefix(s, "soa "); soa {
			m.Ns = append(m.Ns, record(t, rest))
		} else if s != "NODATA" {
			m.Answer = append(m.Answer, record(t, s))
		}
	}
	return m
}

func record(t testing.TB, s string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(s)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

func name(t testing.TB, s string) wire.Name {
	t.Helper()
	n, err := wire.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// known returns what the Snapshot has: "unknown", "none" or "TTL address address".
func (l *lab) known(target string, rrtype uint16) string {
	return show(l.reg.Snapshot().Outside.Find(name(l.t, target), rrtype))
}

func show(set *wire.RRset, known bool) string {
	switch {
	case !known:
		return "unknown"
	case set == nil:
		return "none"
	}
	s := fmt.Sprint(set.TTL)
	for _, rdata := range set.RData {
		a, _ := netip.AddrFromSlice(rdata)
		s += " " + a.String()
	}
	return s
}

// want checks what the Snapshot has of A and AAAA.
func (l *lab) want(target, a, aaaa string) {
	l.t.Helper()
	if got := l.known(target, wire.TypeA); got != a {
		l.t.Errorf("%s A: got %s, want %s", target, got, a)
	}
	if got := l.known(target, wire.TypeAAAA); got != aaaa {
		l.t.Errorf("%s AAAA: got %s, want %s", target, got, aaaa)
	}
}

// lines returns and forgets how many log lines contain a text.
func (l *lab) lines(text string) int {
	n := strings.Count(l.log.String(), text)
	l.log.Reset()
	return n
}
