package dnsserver

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lookEvery = 32                  // full batches in a row after which a worker looks whether it is saturated
	longRun   = 16 * lookEvery      // full batches in a row show that it does not keep up
	ownShare  = 0.95                // of a processor, which it has for itself then
	quiet     = 4                   // messages a batch, at most, show that fewer workers would do
	firstHold = time.Second         // more workers stay for at least that long
	longHold  = 64 * time.Second    // at most, if it turned out again and again that they are needed
	anyNumber = 1<<32 - 0x1000 + 56 // SKF_AD_OFF + SKF_AD_RANDOM: where a program finds a random number
)

// A udpGroup is the sockets of one address, and how many of them get queries. One worker has larger batches than two, and so needs
// much less time for each query; the next are given queries when those before them do not keep up, twice as many each time. The
// kernel picks the socket for each message by a program of three instructions, at random among the first: balance is perfect
// whoever asks, and as DNS over UDP has no state, it does not matter who answers. Nothing that waits in a socket is lost when it
// gets no more, for its worker goes on.
type udpGroup struct {
	addr   netip.AddrPort
	size   int
	active atomic.Int32 // the first sockets, which get queries

	mu     sync.Mutex
	first  *udpWorker
	ended  bool
	hold   time.Duration
	change time.Time // the last of active
}

// begin has the first socket get all queries, if the kernel can do that; else it spreads clients over all sockets.
func (g *udpGroup) begin(workers []*udpWorker) {
	g.size, g.first, g.hold = len(workers), workers[0], firstHold
	g.active.Store(int32(g.size))
	if g.size > 1 {
		g.set(1)
		g.change = time.Time{} // nobody had more workers yet
	}
}

// set gives the queries to the first n sockets. The group is locked, or not in use yet.
func (g *udpGroup) set(n int) {
	rc, err := g.first.file.SyscallConn()
	if err != nil || g.ended {
		return
	}
	program := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	if n > 1 {
		program = []unix.SockFilter{
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: anyNumber},
			{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(n)},
			{Code: unix.BPF_RET | unix.BPF_A},
		}
	}
	_ = rc.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
		if err == nil {
			g.active.Store(int32(n))
			g.change = time.Now()
		}
	})
}

// more gives queries to twice as many workers.
func (g *udpGroup) more() {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := int(g.active.Load())
	if n == g.size {
		return
	}
	if time.Since(g.change) < firstHold { // it was wrong to have fewer
		g.hold = min(2*g.hold, longHold)
	}
	g.set(min(2*n, g.size))
}

// fewer gives queries to half as many workers, unless that many are new.
func (g *udpGroup) fewer() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := int(g.active.Load()); n > 1 && time.Since(g.change) >= g.hold {
		g.set(n / 2)
	}
}

// end takes the program away, which knows nothing of sockets that refuse newcomers.
func (g *udpGroup) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return
	}
	g.ended = true
	if rc, err := g.first.file.SyscallConn(); err == nil {
		_ = rc.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0) })
	}
}

// A load is how busy a worker is.
//
// A worker is saturated if its queue overflows, or if one full batch follows another for long although it has a processor for itself.
// If it has not, the machine is busy with other things, and another worker would only take part in the waiting, with smaller batches
// for both.
type load struct {
	full  int // batches in a row
	at    time.Time
	cpu   time.Duration // that the worker had used at that time
	drops uint32        // that the socket had counted at that time

	batches  int // since begun
	messages int // since begun
	begun    time.Time
}

// batch notes that n messages were served.
func (l *load) batch(w *udpWorker, n int) {
	if n < batch {
		l.full = 0
	} else if l.full++; l.full%lookEvery == 0 && l.saturated(w) {
		l.full = 0
		w.group.more()
	}
	if w.place != 0 { // where one is quiet all are, for the balance is perfect
		return
	}
	l.batches++
	l.messages += n
	if w.start.Sub(l.begun) >= idleTime {
		if l.messages <= quiet*l.batches {
			w.group.fewer()
		}
		l.batches, l.messages, l.begun = 0, 0, w.start
	}
}

// saturated looks at a worker whose last batches were all full.
func (l *load) saturated(w *udpWorker) bool {
	if int(w.group.active.Load()) == w.group.size {
		return false
	}
	cpu, drops := w.work.used(), socketDrops(w.fd)
	if l.full == lookEvery {
		l.at, l.cpu, l.drops = w.start, cpu, drops
		return false
	}
	if l.full < longRun {
		return drops != l.drops
	}
	busy := float64(cpu-l.cpu) >= ownShare*float64(w.start.Sub(l.at))
	l.full = 0 // the next period begins
	return busy || drops != l.drops
}

// idle notes that nothing came for idleTime.
func (l *load) idle(w *udpWorker) {
	if l.full = 0; w.place == 0 {
		w.group.fewer()
	}
}

// A work is the processor time that a goroutine has used, on whichever threads. The kernel counts it by thread, and a goroutine that gives
// way may go on in another one: it leaves before and enters after that.
type work struct {
	sum    time.Duration // before it entered
	thread int           // that it entered
	since  time.Duration // what the thread had used then
}

func (w *work) enter() { w.thread, w.since = unix.Gettid(), threadTime() }
func (w *work) leave() { w.sum = w.used() }

// used returns the time that was used since some moment. If the thread was changed behind our back, which only happens to one that waits,
// the time since it entered is not known and left out.
func (w *work) used() time.Duration {
	if unix.Gettid() != w.thread {
		return w.sum
	}
	return w.sum + threadTime() - w.since
}

// threadTime returns the processor time that the calling thread has used.
func threadTime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
