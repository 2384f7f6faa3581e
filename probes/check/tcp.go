package check

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
)

// A TCPConfig says what a TCP check connects to, and what it says and hears there.
type TCPConfig struct {
	Addr   netip.AddrPort // address and port, both required
	Send   string         // sent when the connection is made; "": nothing
	Expect string         // must occur in the first MaxMatch bytes that come; "": nothing is read
}

// NewTCP returns a Checker that succeeds when a TCP connection to the address can be made and, if so configured, brings what is
// expected.
func NewTCP(c TCPConfig) Checker {
	c.Addr = unmap(c.Addr)
	return tcpCheck{c}
}

type tcpCheck struct{ TCPConfig }

func (c tcpCheck) Check(ctx context.Context) error {
	conn, done, err := connect(ctx, c.Addr)
	if err != nil {
		return explain(ctx, connecting, err)
	}
	defer done()
	defer func() { _ = conn.Close() }() // the answer is known; trouble with closing says nothing about the endpoint
	if c.Send != "" {
		if _, err := io.WriteString(conn, c.Send); err != nil {
			return explain(ctx, "send", err)
		}
	}
	if c.Expect == "" {
		return nil
	}
	said := make([]byte, 0, 512)
	for len(said) < MaxMatch {
		if len(said) == cap(said) {
			said = append(said, 0)[:len(said)]
		}
		n, err := conn.Read(said[len(said):min(cap(said), MaxMatch)])
		said = said[:len(said)+n]
		switch {
		case bytes.Contains(said, []byte(c.Expect)):
			return nil
		case err == io.EOF:
			return fmt.Errorf("closed without %q", c.Expect)
		case err != nil:
			return explain(ctx, "response", err)
		}
	}
	return fmt.Errorf("the first %d bytes do not contain %q", MaxMatch, c.Expect)
}

// unmap turns ::ffff:192.0.2.1 into 192.0.2.1, the same host in the form that every system can dial.
func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
