//go:build !linux

package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// What these mean, udp_linux.go says.
const (
	inSize    = 4096
	outSlack  = 1024
	drainTime = 100 * time.Millisecond
	idleTime  = time.Second
)

// listenUDP returns one worker, however many Answerers: not every system spreads clients over several sockets. On a machine with
// several addresses, listen on each of them: a response to a query for 0.0.0.0 or :: leaves from the address that routing chooses.
func listenUDP(addr netip.AddrPort, answerers []*Answerer, udpSize int) ([]*udpWorker, error) {
	c, err := net.ListenUDP("udp"+familyDigit(addr), net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	return []*udpWorker{{conn: c, answerer: answerers[0], udpSize: udpSize}}, nil
}

// A udpWorker is one socket and the goroutine that serves it, a message at a time.
type udpWorker struct {
	conn     *net.UDPConn
	answerer *Answerer
	udpSize  int
}

func (w *udpWorker) close() { _ = w.conn.Close() }

// dropped returns 0: what the kernel drops it does not tell everywhere.
func (w *udpWorker) dropped() uint64 { return 0 }

// active reports that the worker is given queries.
func (w *udpWorker) active() bool { return true }

// run serves until ctx ends, then for drainTime more, to answer what has arrived, and closes the socket.
func (w *udpWorker) run(ctx context.Context) error {
	defer w.close()
	var ending atomic.Bool
	stop := context.AfterFunc(ctx, func() {
		ending.Store(true)
		_ = w.conn.SetDeadline(time.Now().Add(drainTime))
	})
	defer stop()
	in := make([]byte, inSize)
	out := make([]byte, 0, w.udpSize+outSlack)
	for {
		if !ending.Load() {
			_ = w.conn.SetReadDeadline(time.Now().Add(idleTime))
		}
		n, from, err := w.conn.ReadFromUDPAddrPort(in)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && ending.Load():
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded): // nothing came for idleTime
			w.answerer.renew()
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("dnsserver: receive on %s: %w", w.conn.LocalAddr(), err)
		case err == nil: // others are of this message alone, such as an ICMP error for an earlier one
			out = w.serve(out[:0], in[:n], from)
		}
	}
}

// serve answers a message and returns the buffer it used.
func (w *udpWorker) serve(out, msg []byte, from netip.AddrPort) []byte {
	start := time.Now()
	w.answerer.begin()
	out = w.answerer.answer(out, msg, from, w.udpSize)
	w.answerer.end()
	if len(out) > 0 {
		if _, err := w.conn.WriteToUDPAddrPort(out, from); err != nil {
			w.answerer.counters.drop(dropSend)
		}
	}
	w.answerer.took(1, time.Since(start))
	return out
}
