package registry

import (
	"bytes"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/l7edge/route"
	"github.com/meridian-gslb/meridian/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ep returns an endpoint at a site.
func ep(name, site string) policy.EndpointSpec {
	return policy.EndpointSpec{Name: name, V4: netip.MustParseAddr("192.0.2.1"), Site: site, Weight: 1, Port: 80}
}

// definition has two sites; service web with endpoints a (eu) and b (us), service api with none, a zone and a route.
func definition() Definition {
	return Definition{
		Policy: policy.Spec{
			Sites: []policy.SiteSpec{{Name: "eu"}, {Name: "us"}},
			Services: []policy.ServiceSpec{
				{Name: "web", Endpoints: []policy.EndpointSpec{ep("a", "eu"), ep("b", "us")}},
				{Name: "api"},
			},
		},
		Zones: []zone.Spec{{
			Name: "gslb.example", NS: []string{"ns1"},
			Records: []zone.RecordSpec{
				{Owner: "ns1", Static: []zone.StaticSpec{{Type: "A", Values: []string{"192.0.2.53"}}}},
				{Owner: "www", Steer: &zone.SteerSpec{Service: "web", Policy: "default"}},
			},
		}},
		Routes: []route.Spec{{Path: "/", Service: "api", Retries: -1}},
	}
}

func mustCompile(t testing.TB, d Definition) *Compiled {
	t.Helper()
	c, problems := Compile(d)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

// applied returns a Registry with the definition applied.
func applied(t testing.TB, o Options) *Registry {
	t.Helper()
	r := New(o)
	r.Apply(mustCompile(t, definition()))
	return r
}

// catalog returns a Catalog of one service.
func catalog(service string, list ...policy.EndpointSpec) Catalog {
	return Catalog{Services: map[string][]policy.EndpointSpec{service: list}}
}

// names returns the full names of all endpoints of a Plan.
func names(p *policy.Plan) (list []string) {
	for i := range p.NumEndpoints() {
		list = append(list, p.Endpoint(policy.EndpointID(i)).Name)
	}
	return list
}

// verdict returns what the Snapshot says of an endpoint.
func verdict(t testing.TB, r *Registry, name string) policy.Verdict {
	t.Helper()
	s := r.Snapshot()
	id, ok := s.Plan.EndpointByName(name)
	if !ok {
		t.Fatalf("no endpoint %s", name)
	}
	return s.Health.Of(id)
}

func state(t testing.TB, r *Registry, name string) policy.State { return verdict(t, r, name).State }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var (
	siteEU   = Target{KindSite, "eu"}
	siteUS   = Target{KindSite, "us"}
	service  = Target{KindService, "web"}
	endpoint = Target{KindEndpoint, "web/a"}
)

func drain(t Target) Override { return Override{Target: t, State: policy.Drained} }

// a log keeps what is logged, one line each.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *log) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// take returns the lines that contain a text and forgets all.
func (l *log) take(text string) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, text) {
			_, after, _ := strings.Cut(line, "msg=")
			lines = append(lines, strings.TrimSpace(after))
		}
	}
	l.buf.Reset()
	return lines
}

// memory is a Store that can be made to fail or to hang.
type memory struct {
	mu        sync.Mutex
	overrides map[Target]Override
	health    []SavedHealth
	saves     int // of health
	fail      error
	hang      chan struct{} // if set, writes wait until it is closed
}

func newMemory() *memory { return &memory{overrides: map[Target]Override{}} }

func (m *memory) set(fail error, hang chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail, m.hang = fail, hang
}

// write does a write, if the store is in order.
func (m *memory) write(f func()) error {
	m.mu.Lock()
	hang := m.hang
	m.mu.Unlock()
	if hang != nil {
		<-hang
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	f()
	return nil
}

func (m *memory) SaveOverride(o Override) error { return m.write(func() { m.overrides[o.Target] = o }) }
func (m *memory) DeleteOverride(t Target) error { return m.write(func() { delete(m.overrides, t) }) }

func (m *memory) SaveHealth(list []SavedHealth) error {
	return m.write(func() {
		m.health = slices.SortedFunc(slices.Values(list), func(a, b SavedHealth) int { return strings.Compare(a.Endpoint, b.Endpoint) })
		m.saves++
	})
}

func (m *memory) LoadOverrides() ([]Override, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.overrides)), m.fail
}

func (m *memory) LoadHealth() ([]SavedHealth, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.health, m.fail
}

func (m *memory) saved() (list []SavedHealth, saves int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.health, m.saves
}

func (m *memory) stored(t Target) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.overrides[t]
	return ok
}

// mustAddr parses an address.
func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

// long is a time that never comes in a test.
const long = 1000 * time.Hour
