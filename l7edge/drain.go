package l7edge

import (
	"context"
	"time"
)

// settling is how long a connection that was accepted before the listeners closed may take to bring its first request: a TLS
// handshake over a long way. Connections that clients open in reserve never bring one.
const settling = time.Second

// drain ends the Server in four steps:
//
//  1. Lame duck: connections are still accepted, so that nobody is refused while DNS and load balancers move clients away, but each
//     response tells its client to go: "Connection: close", or GOAWAY for HTTP/2.
//  2. The listeners close. Who was in the queue is served, and a fresh connection gets time for its first request, because
//     http.Server.Shutdown drops requests it has not read.
//  3. Shutdown: HTTP/2 connections get a GOAWAY, idle HTTP/1.1 connections are closed, requests and tunnels go on until they end or
//     DrainTimeout passes.
//  4. What is left is broken off.
func (s *Server) drain() {
	c := s.carrier
	c.leaving.Store(true)
	began := time.Now()
	s.log.Info("edge drains", "in_flight", c.handlers.Load(), "tunnels", c.tunnels.Load())
	if s.cfg.LameDuck > 0 {
		time.Sleep(s.cfg.LameDuck)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.DrainTimeout)
	defer cancel()
	s.door.closing.Store(true)
	for _, l := range s.guarded {
		l.close()
	}
	s.serving.Wait()
	settled, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	until(settled, func() bool { return s.door.fresh.Load() == 0 })

	c.engine.shutdown()
	err := s.http.Shutdown(ctx) // does not wait for tunnels
	idle := func() bool { return c.handlers.Load() == 0 }
	if err == nil {
		until(ctx, idle)
	}
	left := c.handlers.Load()
	s.abort(errDrained)
	c.engine.abort()
	s.http.Close() // its error is that of listeners, which are closed already
	until(context.Background(), idle)
	s.log.Info("edge drained", "took", time.Since(began).Round(time.Millisecond).String(), "broken_off", left)
}

// until waits for a condition, or for ctx to end.
func until(ctx context.Context, ok func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
