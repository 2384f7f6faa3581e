//go:build !linux

package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

// What inSize, outSlack and drainTime mean, udp_linux.go says.
const (
	inSize    = 4096
	outSlack  = 1024
	drainTime = 100 * time.Millisecond
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

// run serves until ctx ends, then for drainTime more, to answer what has arrived, and closes the socket.
func (w *udpWorker) run(ctx context.Context) error {
	defer w.close()
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetDeadline(time.Now().Add(drainTime)) })
	defer stop()
	in := make([]byte, inSize)
	out := make([]byte, 0, w.udpSize+outSlack)
	for {
		n, from, err := w.conn.ReadFromUDPAddrPort(in)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("dnsserver: receive on %s: %w", w.conn.LocalAddr(), err)
		case err != nil: // of this message alone, such as an ICMP error for an earlier one
			continue
		}
		if out = w.answerer.Answer(out[:0], in[:n], from, w.udpSize); len(out) > 0 {
			if _, err := w.conn.WriteToUDPAddrPort(out, from); err != nil {
				w.answerer.counters.drop(dropSend)
			}
		}
	}
}
