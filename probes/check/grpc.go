package check

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// A GRPCConfig describes a check by the health service of gRPC, version 1 (grpc.health.v1.Health/Check).
type GRPCConfig struct {
	Addr    netip.AddrPort // address and port, both required
	Service string         // whose health is asked for; "": that of the server
	Host    string         // the authority; default: Addr
	TLS     *TLSConfig     // nil: no TLS. Its Addr is not used
}

// NewGRPC returns a Checker that succeeds when the service says that it is SERVING.
func NewGRPC(c GRPCConfig) Checker {
	c.Addr = unmap(c.Addr)
	if c.Host == "" {
		c.Host = c.Addr.String()
	}
	g := grpcCheck{c, nil}
	if c.TLS != nil {
		g.tls = c.TLS.client(c.Host)
		g.tls.NextProtos = []string{"h2"}
	}
	return g
}

type grpcCheck struct {
	GRPCConfig
	tls *tls.Config // nil: no TLS
}

// Check makes one call on a connection of its own.
func (c grpcCheck) Check(ctx context.Context) error {
	const most = 64 << 10 // bytes of a message or of headers
	var dialing atomic.Pointer[error]
	conn, err := grpc.NewClient("passthrough:///"+c.Addr.String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(c.Host), grpc.WithNoProxy(), grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(), grpc.WithUserAgent("meridian-probe"), grpc.WithMaxHeaderListSize(most), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(most)),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			conn, err := c.dial(ctx)
			if err != nil {
				dialing.Store(&err)
			}
			return conn, err
		}))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the answer is known by then
	reply, err := health.NewHealthClient(conn).Check(ctx, &health.HealthCheckRequest{Service: c.Service})
	if why := dialing.Load(); err != nil && why != nil {
		return *why
	}
	switch s := status.Convert(err); s.Code() {
	case codes.OK:
		if reply.GetStatus() != health.HealthCheckResponse_SERVING {
			return fmt.Errorf("health %s", reply.GetStatus())
		}
		return nil
	case codes.DeadlineExceeded:
		return fmt.Errorf("response: %w", errTimeout{})
	case codes.Canceled:
		return context.Canceled
	case codes.NotFound:
		return fmt.Errorf("the endpoint knows no service %q", c.Service)
	case codes.Unimplemented:
		return errors.New("the endpoint has no health service")
	default:
		return fmt.Errorf("grpc: %s", s.Code())
	}
}

// dial connects, and speaks TLS if configured: what goes wrong with it has names of its own here.
func (c grpcCheck) dial(ctx context.Context) (net.Conn, error) {
	raw, done, err := connect(ctx, c.Addr)
	if err != nil {
		return nil, explain(ctx, connecting, err)
	}
	defer done()
	var conn net.Conn = raw
	if c.tls != nil {
		secure := tls.Client(raw, c.tls)
		if err := secure.Handshake(); err != nil { // bounded by the deadline of raw
			_ = raw.Close()
			return nil, explain(ctx, "tls", shortTLS(err))
		}
		conn = secure
	}
	if err := raw.SetDeadline(time.Time{}); err != nil { // from here on, the call has one
		_ = raw.Close()
		return nil, explain(ctx, connecting, err)
	}
	return conn, nil
}

// client returns how a client speaks TLS with a host, "HOST" or "HOST:PORT".
func (c *TLSConfig) client(host string) *tls.Config {
	name := c.ServerName
	if name == "" {
		name = host
		if h, _, err := net.SplitHostPort(host); err == nil {
			name = h
		}
	}
	return &tls.Config{ServerName: name, RootCAs: c.RootCAs, InsecureSkipVerify: c.Insecure, MinVersion: tls.VersionTLS12}
}
