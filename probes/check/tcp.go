package check

import (
	"context"
	"net/netip"
)

// A TCPConfig says what a TCP check connects to.
type TCPConfig struct {
	Addr netip.AddrPort // address and port, both required
}

// NewTCP returns a Checker that succeeds when a TCP connection to the address can be made. It sends nothing.
func NewTCP(c TCPConfig) Checker { return tcpCheck{addr: unmap(c.Addr)} }

type tcpCheck struct{ addr netip.AddrPort }

func (c tcpCheck) Check(ctx context.Context) error {
	conn, done, err := connect(ctx, c.addr)
	if err != nil {
		return explain(ctx, connecting, err)
	}
	done()
	// The answer is known; trouble with closing says nothing about the endpoint.
	_ = conn.Close()
	return nil
}

// unmap turns ::ffff:192.0.2.1 into 192.0.2.1, the same host in the form that every system can dial.
func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
