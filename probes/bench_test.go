package probes

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/probes/check"
)

type discard struct{}

func (discard) Observe(string, Observation) {}

// BenchmarkSchedule10k is the cost of one check beside the check itself: 10,000 targets, each due when its slot comes, a checker that
// does nothing, one worker. It turns the epoch back instead of waiting.
func BenchmarkSchedule10k(b *testing.B) {
	p := New(Options{Sink: discard{}, Concurrency: 1})
	done := 0
	p.build = func(Target) check.Checker {
		return checkerFunc(func(context.Context) error { done++; return nil })
	}
	p.Update(many(10_000, Check{Kind: TCP, Interval: 10 * time.Second}))
	b.ReportAllocs()
	b.ResetTimer()
	for done < b.N {
		if wait := p.schedule[0].due - p.now(); wait > maxBatch {
			p.epoch = p.epoch.Add(maxBatch - wait)
		}
		jobs, _ := p.dispatch()
		for _, j := range jobs {
			p.work(b.Context(), j) // and what else is ready
		}
	}
}

// BenchmarkHTTP is the cost of one HTTP check on loopback, the server's share included.
func BenchmarkHTTP(b *testing.B) {
	addr := serveHTTP(b)
	checker, err := check.NewHTTP(check.HTTPConfig{Addr: addr, Path: "/healthz", Match: "ok"})
	if err != nil {
		b.Fatal(err)
	}
	benchmarkChecker(b, checker)
}

// BenchmarkTCP is the cost of one TCP check on loopback, the server's share included.
func BenchmarkTCP(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	b.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	benchmarkChecker(b, check.NewTCP(check.TCPConfig{Addr: l.Addr().(*net.TCPAddr).AddrPort()}))
}

func benchmarkChecker(b *testing.B, c check.Checker) {
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
		if err := c.Check(ctx); err != nil {
			b.Fatal(err)
		}
		cancel()
	}
}
