//go:build linux

// Package growth measures a server of very many names: how long it takes to load them, what memory they take, and whether those who
// ask notice when one of its zones is read again.
package growth

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The bounds of a million names.
const (
	maxLoad   = 10 * time.Second
	maxPeak   = 600 << 20 // bytes of memory at most at any time, from the start to the first answer
	maxDearer = 1.15      // of the processor time of an answer to that of a server with ten names
)

// TestGrowth starts the program with zones of zone files, of static names and of steered ones, asks it, and changes one of them. By
// default there are few; with GROWTH_ZONES and GROWTH_NAMES (in each zone) as many as they say. From a million on the bounds are held.
func TestGrowth(t *testing.T) {
	binary, gen := build(t, "../../cmd/meridian"), build(t, "../bench/dnsgen")
	for _, kind := range []string{"static", "steered"} {
		t.Run(kind, func(t *testing.T) {
			w := world{dir: t.TempDir(), zones: number(t, "GROWTH_ZONES", 20), names: number(t, "GROWTH_NAMES", 50), steered: kind == "steered"}
			w.grow(t, kind, binary, gen)
		})
	}
}

// grow measures the server of a world.
func (w *world) grow(t *testing.T, kind, binary, gen string) {
	w.write(t)
	load, pid := w.start(t, binary)
	peak := memory(t, pid, "VmHWM")
	w.untilReady(t)
	time.Sleep(min(5*time.Second, time.Duration(w.zones)*10*time.Millisecond)) // let the start come to rest
	rest := memory(t, pid, "VmRSS")

	seconds := time.Duration(number(t, "GROWTH_SECONDS", 1)) * time.Second
	dearer := w.dearer(t, binary, gen, pid, seconds)
	total := w.zones * w.names
	t.Logf("%d zones of %d %s names: the first answer after %v; memory at most %d MB, then %d MB, which is %d bytes a name",
		w.zones, w.names, kind, load.Round(10*time.Millisecond), peak>>20, rest>>20, rest/int64(total))
	t.Logf("a random one of all names costs %.2f times what one of ten does in a server that has no more", dearer)
	w.compare(t, number(t, "GROWTH_PAIRS", 3), seconds)
	t.Logf("memory with reloads: %d MB at most", memory(t, pid, "VmHWM")>>20)
	if total < 1_000_000 {
		return
	}
	if dearer > maxDearer {
		t.Errorf("an answer costs %.2f times what it does with ten names", dearer)
	}
	if load > maxLoad {
		t.Errorf("loading took %v, more than %v", load, maxLoad)
	}
	if peak > maxPeak {
		t.Errorf("loading took %d MB, more than %d", peak>>20, int64(maxPeak)>>20)
	}
}

// number returns a number from the environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a number", name, text)
	}
	return n
}

// memory returns what the kernel says of a process's memory, in bytes.
func memory(t *testing.T, pid int, key string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatalf("no %s", key)
	return 0
}

// A world is a configuration of many zones, and where it is served.
type world struct {
	dir          string
	zones, names int
	steered      bool // all names but those of the zone itself and its server
	dns, admin   string
}

// services is how many services the names of a steered world share.
const services = 100

// start starts the program for the time of the test and returns how long it took to the first answer.
func (w *world) start(t *testing.T, binary string) (load time.Duration, pid int) {
	t.Helper()
	cmd := exec.Command(binary, "serve", filepath.Join(w.dir, "meridian.yaml"))
	log, err := os.Create(filepath.Join(w.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		log.Close()
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("%s", text)
		}
	})
	w.until(t, 1, 60*time.Second)
	return time.Since(begin), cmd.Process.Pid
}

// build builds a program for the time of the test and returns where it is.
func build(t *testing.T, dir string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(dir))
	if out, err := exec.Command("go", "build", "-o", binary, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// write writes the configuration and all zones.
func (w *world) write(t *testing.T) {
	t.Helper()
	w.dns, w.admin = free(t), free(t)
	var b strings.Builder
	fmt.Fprintf(&b, "dns: {listen: \"%s\"}\nadmin: {listen: \"%s\"}\n", w.dns, w.admin)
	if w.steered {
		b.WriteString("sites: {eu: , us: }\npolicies: {close-by: [healthy, {failover: [eu, us]}, weighted, {take: 2}]}\nservices:\n")
		for i := range services {
			fmt.Fprintf(&b, "  s%d: {probe: off, endpoints: [{address: 192.0.2.%d, site: eu}, {address: 198.51.100.%d, site: eu}, {address: 203.0.113.%d, site: us}]}\n", i, i, i, i)
		}
	}
	b.WriteString("zones:\n")
	if err := os.Mkdir(filepath.Join(w.dir, "zones"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range w.zones {
		fmt.Fprintf(&b, "  %s: {file: zones/%d}\n", w.zone(i), i)
		w.writeZone(t, i, 1)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "meridian.yaml"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// zone returns the name of a zone.
func (*world) zone(i int) string { return fmt.Sprintf("zone%d.example", i) }

// writeZone writes a zone, as editors do: a new file that takes the place of the old one.
func (w *world) writeZone(t *testing.T, i int, serial uint32) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "$TTL 1h\n@ SOA ns1 hostmaster %d 1h 10m 7d 10s\n@ NS ns1\nns1 A 192.0.2.53\n", serial)
	for n := range w.names - 2 {
		if w.steered {
			fmt.Fprintf(&b, "n%d 30 DYNA s%d!close-by\n", n, n%services)
			continue
		}
		fmt.Fprintf(&b, "n%d A 192.0.%d.%d\n", n, n>>8&255, n&255)
	}
	path := filepath.Join(w.dir, "zones", strconv.Itoa(i))
	if err := os.WriteFile(path+".new", []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// until waits until the first zone has a serial.
func (w *world) until(t *testing.T, serial uint32, limit time.Duration) {
	t.Helper()
	q := new(dns.Msg).SetQuestion(w.zone(0)+".", dns.TypeSOA)
	client := dns.Client{Timeout: 200 * time.Millisecond}
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if m, _, err := client.Exchange(q, w.dns); err == nil && len(m.Answer) == 1 && m.Answer[0].(*dns.SOA).Serial == serial {
			return
		}
	}
	t.Errorf("serial %d is not served within %v", serial, limit)
}

// untilReady waits until the server says that it is ready.
func (w *world) untilReady(t *testing.T) {
	t.Helper()
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		resp, err := client.Get("http://" + w.admin + "/readyz")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatal("not ready within 20 s")
}

// free returns an address of this machine with a port that is free.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
