package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// memory is an EndpointStore that can be made to fail, and counts writes.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	writes int
	fail   error
}

func newMemory() *memory { return &memory{values: map[string][]byte{}} }

func (m *memory) PutEndpoint(key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.writes++
	m.values[key] = slices.Clone(value)
	return nil
}

func (m *memory) DeleteEndpoints(keys ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.writes++
	for _, k := range keys {
		delete(m.values, k)
	}
	return nil
}

func (m *memory) LoadEndpoints() (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.values), m.fail
}

func (m *memory) failWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// keys returns what is stored, sorted.
func (m *memory) keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.values))
}

// value returns the value of a key, "" if it is not stored.
func (m *memory) value(key string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.values[key])
}

// written returns how many writes there were.
func (m *memory) written() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes
}

func mustNew(t testing.TB, s EndpointStore) *Registry {
	t.Helper()
	r, err := New(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustRegister(t testing.TB, r *Registry, reg Registration) Registration {
	t.Helper()
	stored, _, err := r.Register(reg)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// reg returns a valid Registration.
func reg(service, name string) Registration {
	return Registration{Service: service, Name: name, Address: []netip.Addr{netip.MustParseAddr("192.0.2.7")}, Port: 8080}
}

func ptr(n uint32) *uint32 { return &n }

func TestRegisterListDeregister(t *testing.T) {
	store := newMemory()
	r := mustNew(t, store)
	full := Registration{
		Service: "web", Name: "web-7", Address: []netip.Addr{netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("::ffff:192.0.2.7")},
		Port: 8080, Site: "eu-west", Weight: ptr(3), Meta: map[string]string{"zone": "a"}, TTL: MinTTL * 15,
	}
	stored, created, err := r.Register(full)
	if err != nil || !created {
		t.Fatalf("created %v, error %v", created, err)
	}
	if want := netip.MustParseAddr("192.0.2.7"); stored.Address[1] != want {
		t.Errorf("mapped address stored as %v, want %v", stored.Address[1], want)
	}
	if stored.Registered.IsZero() || stored.Expires.Sub(stored.Registered).Round(time.Second) != time.Duration(full.TTL) {
		t.Errorf("registered %v, expires %v", stored.Registered, stored.Expires)
	}
	plain := mustRegister(t, r, reg("web", "plain"))
	if *plain.Weight != 1 || !plain.Expires.IsZero() {
		t.Errorf("defaults: %+v", plain)
	}
	mustRegister(t, r, reg("api", "a"))
	if got := r.Services(); !slices.Equal(got, []string{"api", "web"}) {
		t.Errorf("services %v", got)
	}
	if got := r.List("web"); len(got) != 2 || got[0].Name != "plain" || got[1].Name != "web-7" {
		t.Errorf("list %+v", got)
	}
	if got, err := r.Get("web", "web-7"); err != nil || !reflect.DeepEqual(got, stored) {
		t.Errorf("get %+v, %v; want %+v", got, err, stored)
	}
	again := full
	again.Weight = ptr(4)
	replaced, created, err := r.Register(again)
	if err != nil || created || *replaced.Weight != 4 || !replaced.Registered.Equal(stored.Registered) {
		t.Errorf("replaced: %+v, created %v, %v", replaced, created, err)
	}
	if err := r.Deregister("web", "web-7"); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"deregister": r.Deregister("web", "web-7"),
		"heartbeat":  second(r.Heartbeat("web", "web-7")),
		"get":        second(r.Get("web", "web-7")),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s of what is gone: %v", what, err)
		}
	}
	if got := r.List("nobody"); got == nil || len(got) != 0 {
		t.Errorf("list of no service: %v", got)
	}
	if got := store.keys(); !slices.Equal(got, []string{"api/a", "web/plain"}) {
		t.Errorf("stored: %v", got)
	}
}

func second[T any](_ T, err error) error { return err }

// TestRegisteringTheSameWritesNothing: agents that register again and again instead of sending heartbeats cost no disk.
func TestRegisteringTheSameWritesNothing(t *testing.T) {
	store := newMemory()
	r := mustNew(t, store)
	for range 5 {
		mustRegister(t, r, reg("web", "a"))
	}
	if store.written() != 1 {
		t.Errorf("%d writes", store.written())
	}
	other := reg("web", "a")
	other.Meta = map[string]string{"k": "v"}
	mustRegister(t, r, other)
	if store.written() != 2 {
		t.Errorf("%d writes after a change", store.written())
	}
}

// TestNothingIsShared: what a caller passes in or gets out can be changed without effect.
func TestNothingIsShared(t *testing.T) {
	r := mustNew(t, nil)
	in := reg("web", "a")
	in.Meta, in.Weight = map[string]string{"k": "v"}, ptr(2)
	out := mustRegister(t, r, in)
	in.Meta["k"], in.Address[0], *in.Weight = "x", netip.Addr{}, 9
	out.Meta["k"], out.Address[0], *out.Weight = "y", netip.Addr{}, 9
	got, err := r.Get("web", "a")
	if err != nil || got.Meta["k"] != "v" || !got.Address[0].IsValid() || *got.Weight != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestValidation(t *testing.T) {
	long := strings.Repeat("x", registry.MaxName+1)
	many := map[string]string{}
	for i := range registry.MaxMetaPairs + 1 {
		many[fmt.Sprint(i)] = ""
	}
	for _, c := range []struct {
		field  string
		change func(*Registration)
	}{
		{"service", func(r *Registration) { r.Service = "" }},
		{"service", func(r *Registration) { r.Service = "Web" }},
		{"service", func(r *Registration) { r.Service = "a/b" }},
		{"service", func(r *Registration) { r.Service = long }},
		{"name", func(r *Registration) { r.Name = "" }},
		{"name", func(r *Registration) { r.Name = "a b" }},
		{"name", func(r *Registration) { r.Name = "-a" }},
		{"name", func(r *Registration) { r.Name = "<script>" }},
		{"name", func(r *Registration) { r.Name = "a\x00" }},
		{"name", func(r *Registration) { r.Name = long }},
		{"site", func(r *Registration) { r.Site = long }},
		{"address", func(r *Registration) { r.Address = nil }},
		{"address", func(r *Registration) { r.Address = addrs("192.0.2.1", "192.0.2.2") }},
		{"address", func(r *Registration) { r.Address = addrs("192.0.2.1", "::ffff:192.0.2.2") }},
		{"address", func(r *Registration) { r.Address = addrs("2001:db8::1", "2001:db8::2") }},
		{"address", func(r *Registration) { r.Address = []netip.Addr{{}} }},
		{"address", func(r *Registration) { r.Address = addrs("0.0.0.0") }},
		{"address", func(r *Registration) { r.Address = addrs("::") }},
		{"address", func(r *Registration) { r.Address = addrs("224.0.0.1") }},
		{"address", func(r *Registration) { r.Address = addrs("ff02::1") }},
		{"address", func(r *Registration) { r.Address = addrs("255.255.255.255") }},
		{"address", func(r *Registration) { r.Address = addrs("127.0.0.1") }},
		{"address", func(r *Registration) { r.Address = addrs("::1") }},
		{"address", func(r *Registration) { r.Address = addrs("::ffff:127.0.0.1") }},
		{"address", func(r *Registration) { r.Address = addrs("169.254.169.254") }},
		{"address", func(r *Registration) { r.Address = addrs("fe80::1") }},
		{"address", func(r *Registration) { r.Address = addrs("fe80::1%eth0") }},
		{"weight", func(r *Registration) { r.Weight = ptr(policy.MaxWeight + 1) }},
		{"meta", func(r *Registration) { r.Meta = many }},
		{"meta", func(r *Registration) { r.Meta = map[string]string{"k": strings.Repeat("x", registry.MaxMetaBytes)} }},
		{"meta", func(r *Registration) { r.Meta = map[string]string{"": "x"} }},
		{"ttl", func(r *Registration) { r.TTL = MinTTL - 1 }},
		{"ttl", func(r *Registration) { r.TTL = MaxTTL + 1 }},
		{"ttl", func(r *Registration) { r.TTL = -1 }},
	} {
		store := newMemory()
		r := mustNew(t, store)
		bad := reg("web", "a")
		c.change(&bad)
		_, _, err := r.Register(bad)
		var v *ValidationError
		if !errors.As(err, &v) || v.Field != c.field || v.Msg == "" || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%.100v: error %v, want one of field %s", bad, err, c.field)
		}
		if store.written() != 0 || len(r.Services()) != 0 {
			t.Errorf("%.100v left something behind", bad)
		}
	}
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestAllowLoopback(t *testing.T) {
	r, err := New(nil, Options{AllowLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	local := reg("web", "a")
	local.Address = addrs("127.0.0.1", "::1")
	mustRegister(t, r, local)
}

func TestJSONForm(t *testing.T) {
	const body = `{"service":"web","name":"web-7","address":["192.0.2.7"],"port":8080,"site":"eu-west","weight":0,"meta":{"k":"v"},"ttl":"1m30s"}`
	var got Registration
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := Registration{Service: "web", Name: "web-7", Address: addrs("192.0.2.7"), Port: 8080, Site: "eu-west", Weight: ptr(0),
		Meta: map[string]string{"k": "v"}, TTL: 90 * MinTTL}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if out, err := json.Marshal(got); err != nil || string(out) != body {
		t.Errorf("written as %s (%v)", out, err)
	}
	if out, err := json.Marshal(reg("web", "a")); err != nil || string(out) != `{"service":"web","name":"a","address":["192.0.2.7"],"port":8080}` {
		t.Errorf("written as %s (%v)", out, err)
	}
	for _, bad := range []string{`{"ttl":15}`, `{"ttl":"soon"}`, `{"weight":-1}`, `{"weight":1e309}`, `{"port":65536}`, `{"address":["x"]}`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
	strict := json.NewDecoder(strings.NewReader(`{"weigth":3}`))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&got); err == nil {
		t.Error("a strict decoder accepts a misspelt key")
	}
}

// TestStoreFailureChangesNothing: an unacknowledged write is not in the Catalog, and gives its room back.
func TestStoreFailureChangesNothing(t *testing.T) {
	store, full := newMemory(), errors.New("disk full")
	r := mustNew(t, store)
	before := mustRegister(t, r, reg("web", "a"))
	store.failWith(full)
	changed := reg("web", "a")
	changed.Port = 1
	for _, bad := range []Registration{changed, reg("web", "b")} {
		if _, _, err := r.Register(bad); !errors.Is(err, full) {
			t.Errorf("error %v", err)
		}
	}
	if err := r.Deregister("web", "a"); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	if got := r.List("web"); !reflect.DeepEqual(got, []Registration{before}) {
		t.Errorf("registered: %+v", got)
	}
	if r.total != 0 || len(r.reserved) != 0 {
		t.Errorf("%d places still taken", r.total)
	}
	if _, err := New(store, Options{}); !errors.Is(err, full) {
		t.Errorf("opened with error %v", err)
	}
}

func TestLimitPerService(t *testing.T) {
	r := mustNew(t, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	full := 0
	for worker := range 20 {
		wg.Go(func() {
			for i := range registry.MaxEndpointsPerService/20 + 1 {
				_, _, err := r.Register(reg("web", fmt.Sprintf("e%d-%d", worker, i)))
				if errors.Is(err, ErrFull) {
					mu.Lock()
					full++
					mu.Unlock()
				} else if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(r.List("web")); n != registry.MaxEndpointsPerService || full != 20 {
		t.Errorf("%d registered, %d refused", n, full)
	}
	mustRegister(t, r, reg("api", "a"))
}

// TestRestore: what is stored comes back; what another version wrote, and this one cannot read, keeps nobody else away.
func TestRestore(t *testing.T) {
	store := newMemory()
	first := mustNew(t, store)
	want := mustRegister(t, first, reg("web", "a"))
	local := `{"service":"web","name":"local","address":["127.0.0.1"],"weight":1,"future":true}`
	store.values["web/local"] = []byte(local)
	store.values["web/odd"] = []byte(`{"service":"web","name":"odd"}`)
	store.values["web/junk"] = []byte(`{`)
	r := mustNew(t, store)
	if got, err := r.Get("web", "a"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if got := r.List("web"); len(got) != 2 {
		t.Errorf("restored: %+v", got)
	}
}
