package consul

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"go.uber.org/goleak"

	"github.com/meridian-gslb/meridian/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake is a Consul that does as it is told, also what no Consul should: indexes that go backwards, answers that are too long.
type fake struct {
	*httptest.Server
	mu       sync.Mutex
	index    uint64
	services map[string][]*api.ServiceEntry
	fail     int                 // status of every answer; 0: none fails
	token    string              // that requests must have
	asked    map[string][]uint64 // indexes that each service was asked with
	changed  chan struct{}
	large    bool
}

func newFake(t *testing.T) *fake {
	f := &fake{index: 10, services: map[string][]*api.ServiceEntry{}, asked: map[string][]uint64{}, changed: make(chan struct{})}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	t.Cleanup(f.CloseClientConnections)
	return f
}

// set changes what there is, and the index.
func (f *fake) set(index uint64, service string, list ...*api.ServiceEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.services[service], f.index = list, index
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) with(edit func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	index, _ := strconv.ParseUint(r.URL.Query().Get("index"), 10, 64)
	service, isService := strings.CutPrefix(r.URL.Path, "/v1/health/service/")
	f.mu.Lock()
	if isService {
		f.asked[service] = append(f.asked[service], index)
	}
	for index != 0 && f.index == index && f.fail == 0 {
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
		f.mu.Lock()
	}
	defer f.mu.Unlock()
	switch {
	case f.fail != 0:
		http.Error(w, "no cluster leader", f.fail)
		return
	case f.token != "" && r.Header.Get("X-Consul-Token") != f.token:
		http.Error(w, "ACL not found", http.StatusForbidden)
		return
	}
	w.Header().Set("X-Consul-Index", strconv.FormatUint(f.index, 10))
	w.Header().Set("X-Consul-KnownLeader", "true")
	w.Header().Set("X-Consul-LastContact", "0")
	if f.large {
		fmt.Fprint(w, "[")
		for range MaxResponse / (1 << 20) {
			fmt.Fprint(w, strings.Repeat(" ", 1<<20))
		}
		fmt.Fprint(w, "]")
		return
	}
	switch {
	case isService:
		json.NewEncoder(w).Encode(f.services[service])
	case strings.HasPrefix(r.URL.Path, "/v1/health/state/"):
		fmt.Fprint(w, "[]")
	default:
		fmt.Fprint(w, "{}")
	}
}

// A follower runs a Source and keeps what it published last.
type follower struct {
	*Source
	t    *testing.T
	mu   sync.Mutex
	last registry.Catalog
	n    int
}

func follow(t *testing.T, cfg Config, services ...string) *follower {
	t.Helper()
	s, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{Source: s, t: t}
	wanted := Wanted{Services: map[string]string{}, Sites: map[string]string{}}
	for _, name := range services {
		wanted.Services[name] = name
	}
	s.Watch(wanted)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx, func(c registry.Catalog) {
			f.mu.Lock()
			f.last, f.n = c, f.n+1
			f.mu.Unlock()
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return f
}

// until waits for the names of a service's endpoints to be these.
func (f *follower) until(service string, want ...string) {
	f.t.Helper()
	var got []string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		f.mu.Lock()
		list, known := f.last.Services[service]
		f.mu.Unlock()
		got = got[:0]
		for _, e := range list {
			got = append(got, e.Name)
		}
		if known && slices.Equal(got, want) {
			return
		}
	}
	f.t.Fatalf("service %s has %v, want %v", service, got, want)
}

// TestFollow: instances come and go; an index that goes backwards, and one of 0, cost nothing.
func TestFollow(t *testing.T) {
	c := newFake(t)
	c.set(10, "api", instance("n1", "a"))
	f := follow(t, Config{Address: c.URL}, "api")
	f.until("api", "a")
	<-f.FirstRound()
	c.set(11, "api", instance("n1", "a"), instance("n1", "b"))
	f.until("api", "a", "b")
	c.set(3, "api", instance("n1", "c")) // a snapshot was restored
	f.until("api", "c")
	c.set(4, "api", instance("n1", "d"))
	f.until("api", "d")
	c.set(0, "api")
	f.until("api")
	c.set(5, "api", instance("n1", "e"))
	f.until("api", "e")
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.asked["api"]; slices.Contains(i[1:], 0) && !slices.Contains(i, 11) {
		t.Errorf("asked with the indexes %v", i)
	}
}

func TestNextIndex(t *testing.T) {
	for _, tt := range [][3]uint64{{0, 5, 5}, {5, 6, 6}, {5, 5, 5}, {6, 5, 0}, {0, 0, 1}, {1, 0, 0}} {
		if got := nextIndex(tt[0], tt[1]); got != tt[2] {
			t.Errorf("after %d and %d: %d, want %d", tt[0], tt[1], got, tt[2])
		}
	}
}

// TestConsulFails: what was known stays, the failure is told, and it goes on when Consul is back.
func TestConsulFails(t *testing.T) {
	c := newFake(t)
	c.set(10, "api", instance("n1", "a"))
	f := follow(t, Config{Address: c.URL}, "api")
	f.until("api", "a")
	c.with(func() { c.fail = http.StatusInternalServerError })
	wait := func(what string, ok func(registry.SourceStatus) bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !ok(f.Status()); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %+v", what, f.Status())
			}
		}
	}
	wait("failing", func(s registry.SourceStatus) bool {
		return strings.Contains(s.Problem, "1 of 1 questions are not answered") && strings.Contains(s.Problem, "no cluster leader") && !s.Since.IsZero()
	})
	f.until("api", "a")
	c.with(func() { c.fail = 0 })
	wait("well again", func(s registry.SourceStatus) bool { return s.Problem == "" && s.Known == 1 })
	c.with(func() { c.large = true; c.index++ })
	wait("too long", func(s registry.SourceStatus) bool { return strings.Contains(s.Problem, "longer than 64 MiB") })
	f.until("api", "a")
}

// TestGoneFromTheStart: a Consul that is not there holds nobody up, and nothing is published of it.
func TestGoneFromTheStart(t *testing.T) {
	c := newFake(t)
	c.Close()
	f := follow(t, Config{Address: c.URL}, "api")
	select {
	case <-f.FirstRound():
	case <-time.After(10 * time.Second):
		t.Fatal("the first round never ends")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n != 0 {
		t.Errorf("published %v", f.last)
	}
}

// TestToken: it is read from its file, again when it changes.
func TestToken(t *testing.T) {
	c := newFake(t)
	c.token = "right"
	c.set(10, "api", instance("n1", "a"))
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("wrong!\n")
	f := follow(t, Config{Address: c.URL, TokenFile: file}, "api")
	<-f.FirstRound()
	if p := f.Status().Problem; !strings.Contains(p, "ACL not found") {
		t.Errorf("%q", p)
	}
	write("right\n")
	f.until("api", "a")
}

// TestMany: more services than watches are read all together, and each change is seen.
func TestMany(t *testing.T) {
	c := newFake(t)
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprint("s", i))
		c.set(uint64(10+i), names[i], instance("n1", "a"))
	}
	f := follow(t, Config{Address: c.URL, MaxWatches: 8}, names...)
	for _, name := range names {
		f.until(name, "a")
	}
	c.set(100, "s17", instance("n1", "b"))
	f.until("s17", "b")
	f.Watch(Wanted{Services: map[string]string{"s17": "s17", "x": "s3"}}) // few enough for watches
	f.until("x", "a")
	c.set(101, "s3", instance("n1", "z"))
	f.until("x", "z")
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := slices.Sorted(maps.Keys(f.last.Services)); !slices.Equal(got, []string{"s17", "x"}) {
		t.Errorf("services %v", got)
	}
}
