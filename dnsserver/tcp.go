package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

const (
	acceptPause = 50 * time.Millisecond // after a failed accept, most likely for want of file descriptors
	renewTime   = time.Second           // Answerers without work take note of the current snapshot that often
)

// serveTCP accepts connections until ctx ends and returns when all of them have ended. Of accepts that fail in a row, the first is
// logged, and that the row has ended.
func (s *Server) serveTCP(ctx context.Context, l net.Listener) error {
	var running sync.WaitGroup
	defer running.Wait()
	stop := context.AfterFunc(ctx, func() {
		_ = l.Close()
		s.conns.end()
	})
	defer stop()
	failed := 0 // in a row
	for {
		nc, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("dnsserver: accept on %s: %w", l.Addr(), err)
		case err != nil:
			s.conns.rejected[rejectAccept].Add(1)
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				s.conns.relieve()
			}
			if failed++; failed == 1 {
				s.log.Warn("dns: cannot accept connections", "address", l.Addr().String(), "error", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		case failed > 0:
			s.log.Info("dns: accepts connections again", "address", l.Addr().String(), "failed", failed)
			failed = 0
		}
		from := nc.RemoteAddr().(*net.TCPAddr).AddrPort()
		bound(nc)
		c := newConn(nc, netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port()), &s.conns.limits, s.tcp)
		c.proxied = s.settings.Load().proxies.contain(c.from.Addr())
		if !s.conns.admit(c) {
			_ = nc.Close()
			continue
		}
		running.Go(func() {
			defer s.conns.remove(c)
			c.serve(s.conns)
		})
	}
}

// kernelBuffer is the most bytes, in either direction, that the kernel keeps for a connection whose other side waits; it keeps as much
// again for its own needs. Left to itself, it would keep megabytes for whoever sends much and reads nothing.
const kernelBuffer = 64 << 10

// bound bounds what a connection takes of the kernel's memory. Where the system refuses, its own bounds hold.
func bound(nc net.Conn) {
	if c, ok := nc.(*net.TCPConn); ok {
		_ = c.SetReadBuffer(kernelBuffer)
		_ = c.SetWriteBuffer(kernelBuffer)
	}
}

// renewTCP has the Answerers of TCP take note of the current snapshot, so that those without work do not keep an old one, which may
// be hundreds of megabytes. Workers of UDP do that for themselves.
func (s *Server) renewTCP(ctx context.Context) error {
	tick := time.NewTicker(renewTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for range cap(s.tcp) {
			select {
			case a := <-s.tcp:
				a.renew()
				s.tcp <- a
			default: // all at work
			}
		}
	}
}
