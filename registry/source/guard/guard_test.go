package guard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// catalog makes one of "service: names" lines; a name that ends in "!" is drained.
func catalog(lines ...string) registry.Catalog {
	c := registry.Catalog{Services: map[string][]policy.EndpointSpec{}, States: map[string]policy.State{}}
	for _, line := range lines {
		service, names, _ := strings.Cut(line, ":")
		list := []policy.EndpointSpec{}
		for i, name := range strings.Fields(names) {
			bare := strings.TrimSuffix(name, "!")
			if bare != name {
				c.States[service+"/"+bare] = policy.Drained
			}
			list = append(list, policy.EndpointSpec{Name: bare, V4: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Weight: 1, Meta: map[string]string{"a": "b"}})
		}
		c.Services[service] = list
	}
	return c
}

// lines is the inverse of catalog.
func lines(c registry.Catalog) string {
	var out []string
	for service, list := range c.Services {
		s := service + ":"
		for _, e := range list {
			s += " " + e.Name
			if c.States[service+"/"+e.Name] == policy.Drained {
				s += "!"
			}
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

func all(string) bool { return true }

// TestJudge: what is believed, step by step.
func TestJudge(t *testing.T) {
	const hold = 10 * time.Minute
	start := time.Unix(1_800_000_000, 0)
	type step struct {
		after   time.Duration // since the beginning
		got     []string
		confirm bool
		want    string // in force
		held    string // what is held back begins so
	}
	for _, tt := range []struct {
		name  string
		rules Rules
		wants func(string) bool
		steps []step
	}{
		{"what comes and changes is believed", Rules{0.5, hold}, all, []step{
			{0, []string{"a: 1 2"}, false, "a: 1 2", ""}, {time.Second, []string{"a: 1 2 3", "b: 4"}, false, "a: 1 2 3; b: 4", ""},
			{2 * time.Second, []string{"a: 1 2! 3", "b: 4"}, false, "a: 1 2! 3; b: 4", ""},
		}},
		{"half may go, more may not", Rules{0.5, hold}, all, []step{
			{0, []string{"a: 1 2 3 4"}, false, "a: 1 2 3 4", ""}, {time.Second, []string{"a: 1 2"}, false, "a: 1 2", ""},
			{2 * time.Second, []string{"a: 5"}, false, "a: 1 2", "2 of its 2 endpoints are gone at once"},
		}},
		{"one endpoint may always go, but not the last of its service", Rules{0.1, hold}, all, []step{
			{0, []string{"a: 1 2"}, false, "a: 1 2", ""}, {time.Second, []string{"a: 2"}, false, "a: 2", ""}, {2 * time.Second, []string{"a:"}, false, "a: 2", "nothing is left of a, since"},
		}},
		{"a service that is empty does not hold the others up", Rules{0.5, hold}, all, []step{
			{0, []string{"a: 1", "b: 2 3"}, false, "a: 1; b: 2 3", ""}, {time.Second, []string{"a:", "b: 2 4"}, false, "a: 1; b: 2 3", "2 of its 3"},
			{2 * time.Second, []string{"a:", "b: 2 3 4"}, false, "a: 1; b: 2 3 4", "nothing is left of a"}, {3 * time.Second, []string{"a: 9", "b: 2 3"}, false, "a: 9; b: 2 3", ""},
		}},
		{"it is believed when it lasts", Rules{0.5, hold}, all, []step{
			{0, []string{"a: 1 2 3"}, false, "a: 1 2 3", ""}, {time.Second, []string{"a: 1"}, false, "a: 1 2 3", "2 of its 3"},
			{hold, []string{"a: 1"}, false, "a: 1 2 3", "2 of its 3"}, {hold + time.Second, []string{"a: 1"}, false, "a: 1", ""},
			{hold + 2*time.Second, []string{"a:"}, false, "a: 1", "nothing"}, {2*hold + 2*time.Second, []string{"a:"}, false, "a:", ""},
		}},
		{"it is back before that: the time begins anew", Rules{0.5, hold}, all, []step{
			{0, []string{"a: 1 2 3"}, false, "a: 1 2 3", ""}, {time.Second, []string{"a: 1"}, false, "a: 1 2 3", "2 of its 3"}, {time.Minute, []string{"a: 1 2 3"}, false, "a: 1 2 3", ""},
			{2 * time.Minute, []string{"a: 1"}, false, "a: 1 2 3", "2 of its 3"}, {hold + time.Minute, []string{"a: 1"}, false, "a: 1 2 3", "2 of its 3"},
		}},
		{"it is believed when it is confirmed", Rules{0.5, 0}, all, []step{
			{0, []string{"a: 1 2 3"}, false, "a: 1 2 3", ""}, {time.Second, []string{"a:"}, false, "a: 1 2 3", "3 of its 3"}, {1000 * time.Hour, []string{"a:"}, false, "a: 1 2 3", "3 of its 3"},
			{1001 * time.Hour, []string{"a:"}, true, "a:", ""},
		}},
		{"everything is believed", Rules{1, hold}, all, []step{{0, []string{"a: 1 2 3"}, false, "a: 1 2 3", ""}, {time.Second, []string{"a:"}, false, "a:", ""}}},
		{"what the source does not know yet stays, what is not wanted goes", Rules{0.5, hold}, func(s string) bool { return s != "c" }, []step{
			{0, []string{"a: 1", "b: 2"}, false, "a: 1; b: 2", ""}, {time.Second, []string{"b: 3 2"}, false, "a: 1; b: 3 2", ""},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var j judge
			for i, s := range tt.steps {
				out, news, until := j.judge(catalog(s.got...), tt.wants, tt.rules, s.confirm, start.Add(s.after))
				if got := lines(out); got != s.want || !strings.HasPrefix(j.held(), s.held) || s.held == "" && j.held() != "" {
					t.Fatalf("step %d: %s, held %q; want %s, %q", i+1, got, j.held(), s.want, s.held)
				}
				if again, news2, _ := j.judge(catalog(s.got...), tt.wants, tt.rules, false, start.Add(s.after)); news2 || !reflect.DeepEqual(again, out) {
					t.Fatalf("step %d: the same again is news (%v)", i+1, news)
				}
				if held := j.held() != "" && tt.rules.Hold > 0; held != !until.IsZero() {
					t.Fatalf("step %d: held %v, until %v", i+1, held, until)
				}
			}
		})
	}
}

// A script is a source that says what it is told to.
type script struct{ says chan registry.Catalog }

func (s script) Run(ctx context.Context, publish func(registry.Catalog)) error {
	for {
		select {
		case c := <-s.says:
			publish(c)
		case <-ctx.Done():
			return nil
		}
	}
}

// run runs a guard in a bubble; published has the last Catalog.
func run(t *testing.T, dir string, hold time.Duration) (g *Guard, say func(...string), published *string, stop func()) {
	src := script{make(chan registry.Catalog)}
	g = New(src, Options{Name: "consul", Dir: dir, Wants: all, Rules: func() Rules { return Rules{DefaultMaxLoss, hold} }})
	published = new(string)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- g.Run(ctx, func(c registry.Catalog) { *published = lines(c) }) }()
	say = func(s ...string) {
		src.says <- catalog(s...)
		synctest.Wait()
	}
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	synctest.Wait()
	return g, say, published, stop
}

// TestGuard: a loss is held for its time, or until it is confirmed; a start without the source serves what was.
func TestGuard(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "catalogs")
	synctest.Test(t, func(t *testing.T) {
		g, say, got, stop := run(t, dir, 10*time.Minute)
		say("a: 1 2 3", "b: 4!")
		if *got != "a: 1 2 3; b: 4!" {
			t.Fatal(*got)
		}
		if _, err := g.Confirm(); err == nil {
			t.Error("nothing is held, and it was confirmed")
		}
		time.Sleep(quiet)
		synctest.Wait()
		say("a:", "b:")
		if p := g.Problems(); *got != "a: 1 2 3; b: 4!" || len(p) != 1 || !strings.Contains(p[0], "4 of its 4 endpoints are gone at once") {
			t.Fatal(*got, p)
		}
		stop()

		g, say, got, stop = run(t, dir, 10*time.Minute)
		if *got != "a: 1 2 3; b: 4!" {
			t.Fatalf("restored %q", *got)
		}
		say("a: 1", "b: 4!")
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		if *got != "a: 1 2 3; b: 4!" && len(g.Problems()) != 0 {
			t.Fatal(*got)
		}
		say("a: 1", "b:")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if *got != "a: 1; b:" || len(g.Problems()) != 0 {
			t.Fatalf("after the time: %s, %v", *got, g.Problems())
		}
		say("a: 1 2 3 4", "b: 1")
		say("a:", "b: 1")
		if held, err := g.Confirm(); err != nil || held == "" {
			t.Fatal(held, err)
		}
		synctest.Wait()
		if *got != "a:; b: 1" {
			t.Fatalf("confirmed: %s", *got)
		}
		stop()
	})
}

// TestKeep: five generations; where the newest is damaged, the one before is used, and that is said.
func TestKeep(t *testing.T) {
	k := newKeeper(t.TempDir(), "consul")
	for i := range 7 {
		if err := k.save(catalog(fmt.Sprintf("a: %d", i))); err != nil {
			t.Fatal(err)
		}
	}
	numbers, err := k.files.Numbers()
	if err != nil || !slices.Equal(numbers, []uint64{3, 4, 5, 6, 7}) {
		t.Fatal(numbers, err)
	}
	want := catalog("a: 1! 2", "b:")
	if err := k.save(want); err != nil {
		t.Fatal(err)
	}
	if c, damaged, err := k.load(); err != nil || damaged != nil || !reflect.DeepEqual(*c, want) {
		t.Errorf("%+v, want %+v; %v, %v", c, want, damaged, err)
	}
	newest := k.files.File(8)
	if err := os.Truncate(newest, 40); err != nil {
		t.Fatal(err)
	}
	c, damaged, err := k.load()
	if err != nil || c == nil || lines(*c) != "a: 6" || len(damaged) != 1 || !strings.Contains(damaged[0], filepath.Base(newest)) {
		t.Fatalf("%v, damaged %q, %v", c, damaged, err)
	}
	for _, n := range []uint64{4, 5, 6, 7} {
		if err := os.Truncate(k.files.File(n), 0); err != nil {
			t.Fatal(err)
		}
	}
	if c, damaged, err := k.load(); c != nil || len(damaged) != kept || err != nil {
		t.Error(c, damaged, err)
	}
	if c, damaged, err := newKeeper(filepath.Join(t.TempDir(), "none"), "consul").load(); c != nil || damaged != nil || err != nil {
		t.Error(c, damaged, err)
	}
}

// TestDiskFails: what cannot be saved is told, and serving goes on.
func TestDiskFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "no directory")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		g, say, got, stop := run(t, filepath.Join(file, "x"), time.Minute)
		say("a: 1")
		time.Sleep(quiet)
		synctest.Wait()
		if p := g.Problems(); *got != "a: 1" || len(p) != 1 || !strings.Contains(p[0], "cannot be saved") {
			t.Error(*got, p)
		}
		stop()
	})
}

// TestSourceEnds: its error is the guard's.
func TestSourceEnds(t *testing.T) {
	g := New(broken{}, Options{Name: "x", Wants: all, Rules: func() Rules { return Rules{} }})
	if err := g.Run(t.Context(), func(registry.Catalog) {}); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

type broken struct{}

func (broken) Run(context.Context, func(registry.Catalog)) error { return os.ErrClosed }
