package check

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"

	probing "github.com/prometheus-community/pro-bing"
)

// An ICMPConfig says what is pinged.
type ICMPConfig struct{ Addr netip.Addr }

// NewICMP returns a Checker that succeeds when one echo request is answered. It needs no privilege where the system lets the group of
// this process ping (net.ipv4.ping_group_range), else that of raw sockets; without either it is inconclusive.
func NewICMP(c ICMPConfig) Checker { return icmpCheck{c.Addr.Unmap()} }

type icmpCheck struct{ addr netip.Addr }

func (c icmpCheck) Check(ctx context.Context) error {
	err := c.ping(ctx, false)
	if errors.Is(err, fs.ErrPermission) {
		err = c.ping(ctx, true)
	}
	if errors.Is(err, fs.ErrPermission) {
		return Local(err)
	}
	return err
}

func (c icmpCheck) ping(ctx context.Context, privileged bool) error {
	p, err := probing.NewPinger(c.addr.String())
	if err != nil {
		return err
	}
	p.Count, p.RecordRtts, p.RecordTTLs = 1, false, false
	p.SetPrivileged(privileged)
	p.SetLogger(probing.NoopLogger{})
	err = p.RunWithContext(ctx)
	switch {
	case p.Statistics().PacketsRecv > 0:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded), err == nil:
		return errSilent{errTimeout{}}
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return explain(ctx, connecting, err)
}
