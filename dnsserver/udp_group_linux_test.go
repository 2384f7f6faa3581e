package dnsserver

import (
	"log/slog"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/registry"
)

// servedBy returns how many queries each worker has answered.
func servedBy(s *Server) []int {
	var n []int
	for _, w := range s.workers {
		count := 0
		for _, k := range sum(w.answerer).requests {
			count += int(k)
		}
		n = append(n, count)
	}
	return n
}

// askTimes sends a query from each of n sockets and waits for the responses.
func askTimes(t *testing.T, s *Server, n int) {
	t.Helper()
	for range n {
		if _, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(query("mail.gslb.example", dns.TypeA), s.Addrs()[0].String()); err != nil {
			t.Fatal(err)
		}
	}
}

// settle keeps a group as it is until the test changes it: a machine that is busy with other tests looks like one without queries.
func settle(g *udpGroup) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold, g.change = time.Hour, time.Now()
}

// age makes the workers of a group as old as they must be to leave.
func age(g *udpGroup) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.change = time.Now().Add(-g.hold)
}

// TestWorkersJoinAndLeave: as many workers get queries as the group says, each its part, and none is lost on the way.
func TestWorkersJoinAndLeave(t *testing.T) {
	s, _ := start(t, Config{Listen: []string{"127.0.0.1:0"}, Workers: 3})
	g := s.workers[0].group
	before := make([]int, 3)
	for _, tt := range []struct {
		change func()
		active int
	}{
		{func() {}, 1},
		{g.more, 2},
		{g.more, 3},
		{g.more, 3},
		{g.fewer, 3}, // they are new
		{func() { age(g); g.fewer() }, 1},
	} {
		tt.change()
		settle(g)
		if n := s.activeWorkers(); n != tt.active {
			t.Fatalf("%d workers are given queries, want %d", n, tt.active)
		}
		askTimes(t, s, 60) // by chance alone, a worker of three gets none once in 10^10 times
		after := servedBy(s)
		for i := range after {
			if got := after[i] > before[i]; got != (i < tt.active) {
				t.Errorf("of %d workers, number %d answers: %v", tt.active, i, got)
			}
		}
		before = after
	}
}

// TestHoldGrows: a group that turned out to be too small stays larger for longer, up to a limit.
func TestHoldGrows(t *testing.T) {
	s, _ := start(t, Config{Listen: []string{"127.0.0.1:0"}, Workers: 2})
	g := s.workers[0].group
	fresh := func() { // however long the last step took
		g.mu.Lock()
		defer g.mu.Unlock()
		if !g.change.IsZero() {
			g.change = time.Now()
		}
	}
	want := firstHold
	for range 10 {
		fresh()
		g.more()
		if g.hold != want {
			t.Fatalf("more workers stay for %v, want %v", g.hold, want)
		}
		age(g)
		g.fewer()
		want = min(2*want, longHold)
	}
}

// TestOverflow: what comes while the queue is full is dropped by the kernel and counted, and a worker whose queue overflows is
// saturated.
func TestOverflow(t *testing.T) {
	snap := testSnapshot(t, nil)
	s := New(Config{Listen: []string{"127.0.0.1:0"}, Workers: 2}, func() *registry.Snapshot { return snap }, slog.New(slog.DiscardHandler))
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	w := s.workers[0]
	w.fd = w.file.Fd()
	full := func(batches int) {
		for range batches {
			w.load.batch(w, batch)
		}
	}
	full(2 * lookEvery)
	if n := s.activeWorkers(); n != 1 {
		t.Fatalf("%d workers after a short run of full batches", n)
	}

	c, err := net.Dial("udp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	msg := pack(t, query("mail.gslb.example", dns.TypeA))
	for range 1 << 17 {
		if _, err := c.Write(msg); err != nil {
			t.Fatal(err)
		}
		if socketDrops(w.fd) >= 100 {
			break
		}
	}
	lost := s.overflow()
	if lost < 100 || s.overflow() != lost {
		t.Fatalf("%d messages counted as lost, then %d", lost, s.overflow())
	}
	full(lookEvery)
	if n := s.activeWorkers(); n != 2 {
		t.Errorf("%d workers while messages are lost", n)
	}
}

// TestLongRun: a worker that finds one full batch after another is saturated if it has a processor for itself, not if it only waits
// for one.
func TestLongRun(t *testing.T) {
	s, _ := start(t, Config{Listen: []string{"127.0.0.1:0"}, Workers: 2})
	w := &udpWorker{group: s.workers[0].group, fd: s.workers[0].file.Fd()}
	runtime.LockOSThread() // whose time is measured
	defer runtime.UnlockOSThread()
	run := func(wall time.Duration) {
		w.work.enter()
		w.load = load{}
		w.start = time.Now()
		w.load.begun = w.start.Add(wall)
		for i := range longRun {
			if i == longRun-1 {
				w.start = w.start.Add(wall)
			}
			w.load.batch(w, batch)
		}
	}
	if run(time.Hour); w.group.active.Load() != 1 {
		t.Error("another worker for one that does not get to run")
	}
	if run(time.Nanosecond); w.group.active.Load() != 2 {
		t.Error("no other worker for one that never rests")
	}
}
