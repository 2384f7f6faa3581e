//go:build linux

// Package flood attacks a running server over the loopback interface, bounded in time and numbers, while well-behaved clients ask
// it, and looks at how they fare and at what it costs. By default the attacks take some seconds; with FLOOD_SECONDS as many as it
// says (`make flood` for a minute each).
package flood

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/test/peer"
)

const config = `
dns:
  listen: "127.0.0.1:%d"
  workers: 1
  tcp: {connections: 20000, per_client: 20000, idle: 1h}
  rate_limit: %s
admin: {listen: "127.0.0.1:%d"}
sites: {one: {}}
services:
  web: {endpoints: [{name: one-1, site: one, address: 192.0.2.1}]}
policies:
  any: [{take: 1}]
zones:
  gslb.example:
    ns: [ns1.gslb.example]
    records:
      ns1: {A: 127.0.0.1}
      www: {service: web, policy: any}
`

// limited has the loopback network limited like any other.
const limited = "{rate: 1000, exempt: []}"

// meridian is the path of the binary under test, built once.
var meridian string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "meridian-flood")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	meridian = filepath.Join(dir, "meridian")
	out, err := exec.Command("go", "build", "-o", meridian, "github.com/meridian-gslb/meridian/cmd/meridian").CombinedOutput()
	code := 1
	if err != nil {
		fmt.Fprintf(os.Stderr, "building meridian: %v\n%s", err, out)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// A server is a running meridian.
type server struct {
	addr, admin string
	pid         int
}

func startServer(t *testing.T, rateLimit string) *server {
	t.Helper()
	dns1, admin := peer.FreePort(t), peer.FreePort(t)
	file := filepath.Join(t.TempDir(), "meridian.yaml")
	peer.Write(t, file, fmt.Sprintf(config, dns1, rateLimit, admin))
	p := peer.Start(t, meridian, "serve", "-c", file)
	p.WaitDNS(t, 20*time.Second, peer.Local(dns1), "www.gslb.example", dns.TypeA, dns.RcodeSuccess)
	return &server{peer.Local(dns1), peer.Local(admin), p.PID}
}

// metric returns the sum of the samples whose name and labels begin with prefix.
func (s *server) metric(t *testing.T, prefix string) float64 {
	t.Helper()
	r, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, prefix) {
			v, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:]), 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += v
		}
	}
	return sum
}

// memory returns a number of /proc/PID/status, in bytes.
func (s *server) memory(t *testing.T, field string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatalf("no %s", field)
	return 0
}

// duration is how long an attack lasts, and whether somebody asked for that on a machine that does nothing else.
func duration(t *testing.T) (d time.Duration, alone bool) {
	n, err := strconv.Atoi(os.Getenv("FLOOD_SECONDS"))
	if err != nil {
		return time.Second, false
	}
	return time.Duration(n) * time.Second, true
}

// cpu returns the processor time that the server has used.
func (s *server) cpu(t *testing.T) time.Duration {
	t.Helper()
	total := time.Duration(0)
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		total += time.Duration(ns)
	}
	return total
}

// A stub asks like the resolver of a C library with several attempts: each waits for an answer for a second.
type stub struct {
	asked, answered, first atomic.Int64 // first: by the first attempt
}

const (
	attempts = 3
	patience = time.Second
	perAsker = 20 * time.Millisecond // between the queries of one asker
	askers   = 10
)

// run asks from an address until stop is closed.
func (st *stub) run(t *testing.T, s *server, from string, stop <-chan struct{}) {
	var wg sync.WaitGroup
	for range askers {
		wg.Go(func() {
			tick := time.NewTicker(perAsker)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				st.asked.Add(1)
				switch ask(t, s, from) {
				case 0:
				case 1:
					st.first.Add(1)
					fallthrough
				default:
					st.answered.Add(1)
				}
			}
		})
	}
	wg.Wait()
}

// ask asks one question and returns with which attempt it was answered, 0 = not.
func ask(t *testing.T, s *server, from string) int {
	d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort(from + ":0"))}
	c := dns.Client{Timeout: patience, Dialer: &d}
	m := new(dns.Msg).SetQuestion("www.gslb.example.", dns.TypeA)
	for attempt := 1; attempt <= attempts; attempt++ {
		if r, _, err := c.Exchange(m, s.addr); err == nil && len(r.Answer) == 1 {
			return attempt
		}
	}
	return 0
}

// TestLimitedFlood keeps the server busy with random names from two addresses, which send on as soon as it has read what they sent.
// They get their share, and stubs elsewhere their answers.
func TestLimitedFlood(t *testing.T) {
	s := startServer(t, limited)
	memory := s.memory(t, "VmRSS")
	r := s.underFlood(t, flood{from: "127.0.0.66", window: 200}, flood{from: "127.0.0.67", window: 200})
	t.Log(r)
	if share := 2 * (2000 + 1000*(r.took.Seconds()+1)); r.answered > share+float64(attempts*r.asked) {
		t.Errorf("%.0f answered: the flood got more than its share, %.0f", r.answered, share)
	}
	if r.stubs*100 < r.asked*80 {
		t.Errorf("of %d queries of stubs %d were answered, less than 80 %%", r.asked, r.stubs)
	}
	s.wellAgain(t, memory)
}

// A result is what came of a flood.
type result struct {
	sent                       int64 // by those who flood
	took, cpu                  time.Duration
	answered, slipped, dropped float64
	asked, stubs, first        int64 // by stubs, answered, at the first attempt
}

// perSecond returns how many queries were answered in a second.
func (r result) perSecond() float64 { return r.answered / r.took.Seconds() }

func (r result) String() string {
	return fmt.Sprintf("%d sent in %v; %.0f answered, %.0f slipped, %.0f dropped in %v of processor time; stubs: %d asked, %d answered, %d at once",
		r.sent, r.took, r.answered, r.slipped, r.dropped, r.cpu, r.asked, r.stubs, r.first)
}

// underFlood has some flood while stubs ask.
func (s *server) underFlood(t *testing.T, floods ...flood) result {
	var good stub
	var stop atomic.Bool
	var total atomic.Int64
	var flooding, stubs sync.WaitGroup
	counts := func() (answered, slipped, dropped float64) {
		return s.metric(t, "meridian_dns_requests_total"), s.metric(t, "meridian_dns_slipped_total"), s.metric(t, "meridian_dns_dropped_total")
	}
	for _, f := range floods {
		flooding.Go(func() { f.run(t, s.addr, &stop, &total) })
	}
	done := make(chan struct{})
	stubs.Go(func() { good.run(t, s, "127.77.0.1", done) })
	time.Sleep(200 * time.Millisecond) // to get going
	answered, slipped, dropped := counts()
	sent, begun, cpu := total.Load(), time.Now(), s.cpu(t)
	d, _ := duration(t)
	time.Sleep(d)
	var r result
	r.answered, r.slipped, r.dropped = counts()
	r.sent, r.took, r.cpu = total.Load()-sent, time.Since(begun), s.cpu(t)-cpu
	r.answered, r.slipped, r.dropped = r.answered-answered, r.slipped-slipped, r.dropped-dropped
	close(done)
	stubs.Wait() // what they have asked they may ask again, still under the flood
	stop.Store(true)
	flooding.Wait()
	r.asked, r.stubs, r.first = good.asked.Load(), good.answered.Load(), good.first.Load()
	return r
}

// maxGrowth is the most bytes of memory that an attack may cost.
const maxGrowth = 32 << 20

// wellAgain fails the test unless the server, two seconds after an attack at the latest, answers every query at once again, and has
// never had much more memory than before.
func (s *server) wellAgain(t *testing.T, memory int) {
	t.Helper()
	limit := 30 * time.Second // on a machine that has other work
	if _, alone := duration(t); alone {
		limit = 2 * time.Second
	}
	begun, since := time.Now(), time.Now()
	for n := 0; n < 20; n++ { // in a row
		asked := time.Now()
		if attempt := ask(t, s, "127.78.0.1"); attempt != 1 || time.Since(asked) > 100*time.Millisecond {
			n, since = -1, time.Now()
		}
		if since.Sub(begun) > limit {
			t.Fatalf("not well %v after the attack", since.Sub(begun))
		}
	}
	peak := s.memory(t, "VmHWM")
	t.Logf("well again after %v; at most %d KiB of memory, %d before", since.Sub(begun).Round(time.Millisecond), peak>>10, memory>>10)
	if peak > memory+maxGrowth {
		t.Errorf("%d bytes of memory, %d before", peak, memory)
	}
}
