package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
	"github.com/meridian-gslb/meridian/generations"
)

// A bed is a directory with a configuration file and its state, for nodes that come and go.
type bed struct {
	t    *testing.T
	dir  string
	file string
	log  journal
}

// A journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) Reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Reset()
}

// newBed returns a bed without a file yet.
func newBed(t *testing.T) *bed {
	b := &bed{t: t, dir: t.TempDir()}
	b.file = filepath.Join(b.dir, "meridian.yaml")
	return b
}

// text is a configuration with www at an address.
func (b *bed) text(address, extra string) string {
	return "dns: {listen: 127.0.0.1:0" + extra + "}\nadmin: {listen: 127.0.0.1:0}\nstate: " + filepath.Join(b.dir, "state") + "\nservices: {web: {endpoints: [" + address +
		"], probe: off}}\nzones: {gslb.example: {ns: [ns1.example.net], records: {www: {service: web}}}}\n"
}

func (b *bed) write(name, text string) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// start runs a node until the test ends, or stop is called.
func (b *bed) start() (n *node, stop func()) {
	b.t.Helper()
	b.log.Reset()
	n, err := newNode(nodeOptions{load: func() (*configs.Config, error) { return loadFile(b.file) }, file: b.file, own: b.file, logging: newLogSwitch(&b.log)})
	if err != nil {
		b.t.Fatal(err)
	}
	return n, runNode(b.t, n)
}

// serves is the address that www has.
func (b *bed) serves(n *node) string {
	b.t.Helper()
	r, err := dns.Exchange(new(dns.Msg).SetQuestion("www.gslb.example.", dns.TypeA), n.about().Listen.DNS[0])
	if err != nil || len(r.Answer) == 0 {
		b.t.Fatalf("%v %v", r, err)
	}
	return r.Answer[0].(*dns.A).A.String()
}

func (b *bed) apply(n *node, c admin.Change) (admin.Applied, error) {
	b.t.Helper()
	client, err := admin.NewClient(n.about().Listen.Admin)
	if err != nil {
		b.t.Fatal(err)
	}
	return client.Apply(b.t.Context(), c)
}

// TestLastFive: of many configurations the last five are kept, and any of them comes back, over restarts too.
func TestLastFive(t *testing.T) {
	b := newBed(t)
	for i := range 7 {
		b.write("meridian.yaml", b.text(fmt.Sprintf("192.0.2.%d", i+1), ""))
		n, stop := b.start()
		if i == 3 { // the same text is the same generation
			if _, err := n.reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		stop()
	}
	n, stop := b.start()
	list, err := n.generations()
	if err != nil || len(list) != 5 || list[0].Generation != 7 || !list[0].InForce || list[4].Generation != 3 {
		t.Fatalf("%+v %v", list, err)
	}
	for _, want := range []string{"192.0.2.6", "192.0.2.5"} {
		if _, err := n.rollback(t.Context(), 0); err != nil || b.serves(n) != want {
			t.Errorf("%s serves, want %s: %v", b.serves(n), want, err)
		}
	}
	stop()
	n, stop = b.start()
	if b.serves(n) != "192.0.2.5" || n.generation.Load() != 5 || !n.about().Config.Pinned {
		t.Errorf("after a restart %s serves", b.serves(n))
	}
	if _, err := n.rollback(t.Context(), 7); err != nil || b.serves(n) != "192.0.2.7" || n.about().Config.Pinned {
		t.Errorf("forth again: %s %v", b.serves(n), err)
	}
	stop()
	n, _ = b.start()
	if b.serves(n) != "192.0.2.7" || strings.Contains(b.log.String(), "in the place of the file") {
		t.Errorf("%s serves", b.serves(n))
	}
}

// TestDamagedGenerations: instead of a damaged generation the one before it serves; of a damaged pin the file does.
func TestDamagedGenerations(t *testing.T) {
	b := newBed(t)
	for i := range 3 {
		b.write("meridian.yaml", b.text(fmt.Sprintf("192.0.2.%d", i+1), ""))
		n, stop := b.start()
		if i == 2 {
			if _, err := n.rollback(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
		}
		stop()
	}
	dir := filepath.Join(b.dir, "state", "generations")
	damage := func(name string) {
		t.Helper()
		if err := os.Truncate(filepath.Join(dir, name), 70); err != nil {
			t.Fatal(err)
		}
	}
	damage("0000000002.generation")
	n, stop := b.start()
	if b.serves(n) != "192.0.2.1" || !strings.Contains(b.log.String(), "0000000002.generation is damaged") {
		t.Errorf("%s serves: %s", b.serves(n), b.log.String())
	}
	stop()
	damage("pin")
	n, stop = b.start()
	if b.serves(n) != "192.0.2.3" || !strings.Contains(b.log.String(), "the file serves") {
		t.Errorf("%s serves: %s", b.serves(n), b.log.String())
	}
	stop()
	if err := generations.In(filepath.Join(b.dir, "state")).Pin(generations.Pin{Generation: 1, Instead: generations.Sum(b.text("192.0.2.3", ""))}); err != nil {
		t.Fatal(err)
	}
	damage("0000000001.generation")
	_, err := newNode(nodeOptions{load: func() (*configs.Config, error) { return loadFile(b.file) }, file: b.file, own: b.file, logging: newLogSwitch(&b.log)})
	if err == nil || !strings.Contains(err.Error(), "generation 1") {
		t.Errorf("nothing to serve: %v", err)
	}
}

// TestApplyGoesBack: settings under which nobody is answered any more are taken back at once; so are those that were refused before anything changed.
func TestApplyGoesBack(t *testing.T) {
	b := newBed(t)
	b.write("meridian.yaml", b.text("192.0.2.1", ""))
	n, _ := b.start()
	gen := n.registry.Snapshot().Gen
	e := (*admin.Error)(nil)
	for text, want := range map[string]string{
		b.text("192.0.2.1", "") + "routes: 7\n": "1 problem",
		b.text("192.0.2.1", ", workers: 3"):     "can only change with a restart",
	} {
		if _, err := b.apply(n, admin.Change{File: b.write("new.yaml", text), Force: true}); !errors.As(err, &e) || e.Status != http.StatusUnprocessableEntity ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if n.registry.Snapshot().Gen != gen {
		t.Error("something was changed")
	}
	_, err := b.apply(n, admin.Change{File: b.write("new.yaml", b.text("192.0.2.9", ", proxy_from: [127.0.0.0/8]"))})
	if !errors.As(err, &e) || e.Status != http.StatusConflict || e.Applied == nil || e.Applied.Applied || e.Applied.Canaries.Total != 2 ||
		!strings.Contains(e.Applied.Canaries.Failed[0], "no reply, before NOERROR") {
		t.Errorf("%v: %+v", err, e)
	}
	if b.serves(n) != "192.0.2.1" || n.generation.Load() != 1 || n.about().Config.Pinned || n.about().Config.Problem != "" {
		t.Errorf("%s serves: %+v", b.serves(n), n.about().Config)
	}
	a, err := b.apply(n, admin.Change{File: b.write("new.yaml", b.text("192.0.2.9", ", nsid: x")), Force: true})
	if err != nil || !a.Applied || a.Generation != 2 || b.serves(n) != "192.0.2.9" || !n.about().Config.Pinned || a.Plan.Refused == "" {
		t.Errorf("%+v %v", a, err)
	}
	if n.config.Load().DNS.NSID != "x" {
		t.Error("not all of it is in force")
	}
}

// TestNothingKept: without a state directory a change is applied, and nothing is kept.
func TestNothingKept(t *testing.T) {
	b := newBed(t)
	text := strings.Replace(b.text("192.0.2.1", ""), "state:", "site: eu\nsites: {eu: {}}\n#", 1)
	b.write("meridian.yaml", text)
	n, _ := b.start()
	b.write("meridian.yaml", strings.Replace(text, "192.0.2.1", "192.0.2.2", 1))
	if a, err := b.apply(n, admin.Change{}); err != nil || a.Generation != 0 || b.serves(n) != "192.0.2.2" {
		t.Errorf("%+v %v", a, err)
	}
	e := (*admin.Error)(nil)
	if _, err := n.rollback(t.Context(), 0); !errors.As(err, &e) || e.Status != http.StatusConflict {
		t.Error(err)
	}
	if _, err := n.generations(); !errors.As(err, &e) || e.Status != http.StatusConflict {
		t.Error(err)
	}
}

// TestUnkept: a configuration that cannot be kept is in force all the same, and the status says so.
func TestUnkept(t *testing.T) {
	b := newBed(t)
	b.write("meridian.yaml", b.text("192.0.2.1", ""))
	b.write("file", "")
	n, _ := b.start()
	n.kept = generations.In(filepath.Join(b.dir, "file"))
	b.write("meridian.yaml", b.text("192.0.2.2", ""))
	if a, err := b.apply(n, admin.Change{}); err != nil || !a.Applied || a.Generation != 0 || b.serves(n) != "192.0.2.2" {
		t.Errorf("%+v %v", a, err)
	}
	if err := n.saving(); err == nil || !strings.Contains(err.Error(), "generations: ") {
		t.Error(err)
	}
	n.kept = generations.In(filepath.Join(b.dir, "state"))
	if r, err := n.rollback(t.Context(), 0); err != nil || r.Generation != 1 || b.serves(n) != "192.0.2.1" || n.saving() != nil {
		t.Errorf("%+v %v %v", r, err, n.saving())
	}
}

func TestWorse(t *testing.T) {
	good, empty, failed, none := reply{true, dns.RcodeSuccess, 2}, reply{true, dns.RcodeSuccess, 0}, reply{true, dns.RcodeServerFailure, 0}, reply{}
	refused := reply{true, dns.RcodeRefused, 0}
	for _, c := range []struct {
		after, before reply
		want          bool
	}{
		{good, good, false}, {good, none, false}, {good, failed, false}, {empty, good, true}, {empty, empty, false}, {empty, none, false}, {failed, good, true},
		{failed, empty, true}, {failed, failed, false}, {failed, none, false}, {none, good, true}, {none, empty, true}, {none, none, false}, {refused, good, true},
		{refused, refused, false}, {empty, refused, false},
	} {
		if got := c.after.worse(c.before); got != c.want {
			t.Errorf("%v after %v: worse %v, want %v", c.after, c.before, got, c.want)
		}
	}
}

// TestExplainHealth: each endpoint has its state, since when and by whose word.
func TestExplainHealth(t *testing.T) {
	n, d := runDev(t)
	if _, err := d.Switch("us-east-1", false); err != nil {
		t.Fatal(err)
	}
	client, err := admin.NewClient(n.about().Listen.Admin)
	if err != nil {
		t.Fatal(err)
	}
	target, err := client.Resolve(t.Context(), "ap-south-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Override(t.Context(), target, admin.OverrideRequest{Reason: "new disk", By: "kim"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"web/us-east-1": `down http probe of 127.0.2.1:\d+, the last \d+ bad: .+`, "web/ap-south-1": "drained override of endpoint/web/ap-south-1 by kim: new disk",
		"web/eu-west-1": `up http probe of 127.0.1.1:\d+, the last \d+ good`,
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		x, err := client.Explain(t.Context(), admin.Question{Name: "www.gslb.example", ECS: "198.51.100.0/24", Client: "192.0.2.53"})
		if err != nil || len(x.Health) != 6 || x.Client != "198.51.100.0/24" {
			t.Fatalf("%+v %v", x, err)
		}
		bad := ""
		for _, h := range x.Health {
			got := h.State.String() + " " + h.By
			if pattern := want[h.Endpoint]; !regexp.MustCompile("^" + pattern).MatchString(got) {
				bad = h.Endpoint + ": " + got
			}
		}
		if bad == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatal(bad)
		}
	}
}
