package dnsserver

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/meridian-gslb/meridian/registry"
)

// TestStuckInterface: answers for which there is no room hold up the next queries once, not each for itself.
func TestStuckInterface(t *testing.T) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	limit := unix.NsecToTimeval(int64(sendTime))
	if err := unix.SetsockoptTimeval(ends[0], unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		t.Fatal(err)
	}
	for err == nil { // nobody reads
		err = unix.Sendto(ends[0], make([]byte, 100), unix.MSG_DONTWAIT, nil)
	}
	for _, single := range []bool{false, true} {
		w := newUDPWorker(&udpGroup{}, 0, nil, testAnswerer(testSnapshot(t, nil), UDP), DefaultUDPSize)
		w.fd, w.single = uintptr(ends[0]), single
		for i := range batch {
			w.sendIov[i].Base = &w.in[i][0]
			w.sendIov[i].SetLen(100)
		}
		begun := time.Now()
		w.transmit(batch)
		if took := time.Since(begun); took < sendTime || took > 10*sendTime {
			t.Errorf("single %v: took %v", single, took)
		}
		if n := w.answerer.counters.dropped[dropSend].Load(); n != batch {
			t.Errorf("single %v: %d counted as not sent, want %d", single, n, batch)
		}
	}
}

// TestPlainKernel serves on a system that has none of what makes UDP fast: batches, programs that pick sockets, unbelieved MTUs.
func TestPlainKernel(t *testing.T) {
	snap := testSnapshot(t, nil)
	s := New(Config{Listen: []string{"127.0.0.1:0", ":0"}, Workers: 2}, func() *registry.Snapshot { return snap }, slog.New(slog.DiscardHandler))
	errs := make(chan error)
	go func() { errs <- plainly(s.Listen) }()
	if err := <-errs; errors.Is(err, errNoFilter) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, l := range s.listeners {
			_ = l.Close()
		}
	}()
	if n := s.activeWorkers(); n != len(s.workers) {
		t.Errorf("%d of %d workers are given queries, though nothing can keep the others from it", n, len(s.workers))
	}
	ctx, cancel := context.WithCancel(t.Context())
	for _, w := range s.workers {
		go func() { errs <- plainly(func() error { return w.run(ctx) }) }()
	}
	for _, addr := range s.Addrs() {
		for range 40 {
			r, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(query("mail.gslb.example", dns.TypeA), addr.String())
			if err != nil || len(r.Answer) != 1 {
				t.Errorf("%v: %v, %v", addr, r, err)
			}
		}
	}
	cancel()
	for range s.workers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for i, n := range servedBy(s) {
		if n == 0 || !s.workers[i].single {
			t.Errorf("worker %d answered %d, one by one: %v", i, n, s.workers[i].single)
		}
	}
}

var errNoFilter = errors.New("no system calls can be forbidden here")

// plainly calls a function on a thread that may not do what only some systems can, and ends the thread with its goroutine.
func plainly(f func() error) error {
	const number, option = 0, 32 // where a program finds the system call and, on little-endian machines, the name of a socket option
	runtime.LockOSThread()
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_RECVMMSG, Jt: 8},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SENDMMSG, Jt: 7},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SETSOCKOPT, Jf: 5},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: option},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SO_ATTACH_REUSEPORT_CBPF, Jt: 5},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SO_DETACH_REUSEPORT_BPF, Jt: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.IP_MTU_DISCOVER, Jt: 3},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.IPV6_MTU_DISCOVER, Jt: 2},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOPROTOOPT)},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return errors.Join(errNoFilter, err)
	}
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&fprog)), 0, 0); err != nil {
		return errors.Join(errNoFilter, err)
	}
	return f()
}
