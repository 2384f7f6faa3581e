package l7edge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// A Config is everything the edge can be told. Zero values mean the defaults, which are those of Envoy's guide for edge proxies
// where it has one. A change of any field takes effect when the process restarts; routes, services, policies and the content of
// certificate files take effect at once.
type Config struct {
	HTTPS []string // addresses to listen on with TLS, "host:port"; HTTP/2 and HTTP/1.1
	HTTP  []string // addresses to listen on without TLS; HTTP/1.1, and HTTP/2 with prior knowledge

	Certificates []CertificateFiles // the first is the default for names that no certificate covers
	SelfSigned   []string           // names and addresses for one certificate made in memory; for development

	SiteName string // where this process runs: policies locate every request there; "" locates each by the client's address

	// TrustedProxies are the networks whose X-Forwarded-* and Forwarded headers are believed and extended. From anybody else they
	// are replaced. Default: none.
	TrustedProxies []netip.Prefix

	AccessLog string // "", "off", "stdout" or "stderr": one line of JSON a request

	LameDuck     time.Duration // when told to stop, go on accepting this long while clients are told to move; default 1 s; < 0: not at all
	DrainTimeout time.Duration // then wait this long for requests and tunnels to end; default 30 s

	ConnectTimeout     time.Duration // to reach an endpoint, per address; default 2 s
	ReadHeaderTimeout  time.Duration // for the TLS handshake, and for a request's header to arrive; default 10 s
	IdleTimeout        time.Duration // for which a client's connection may be idle; default 1 h, then it is closed
	StreamIdleTimeout  time.Duration // for which a request or tunnel may move no byte in either direction; default 5 min
	MaxConnections     int           // of clients, all listeners together; default 16384; more are closed at once
	MaxRequests        int           // in flight; default 10000; more get 503
	MaxHeaderBytes     int           // of a request; default 32 KiB; more get 431
	MaxHeaderFields    int           // of a request; default 100; more get 431
	MaxStreams         int           // of one HTTP/2 connection at once; default 100
	MaxIdleConnections int           // kept open to one endpoint while unused; default 256
}

// withDefaults returns the Config with every zero value replaced.
func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.LameDuck, time.Second)
	set(&c.DrainTimeout, 30*time.Second)
	set(&c.ConnectTimeout, 2*time.Second)
	set(&c.ReadHeaderTimeout, 10*time.Second)
	set(&c.IdleTimeout, time.Hour)
	set(&c.StreamIdleTimeout, 5*time.Minute)
	count := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	count(&c.MaxConnections, 16384)
	count(&c.MaxRequests, 10000)
	count(&c.MaxHeaderBytes, 32<<10)
	count(&c.MaxHeaderFields, 100)
	count(&c.MaxStreams, 100)
	count(&c.MaxIdleConnections, 256)
	return c
}

// Check returns what is wrong with the Config, all of it, or nil. It opens no file and no socket.
func (c Config) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("l7edge: "+format, args...)) }
	if len(c.HTTPS)+len(c.HTTP) == 0 {
		bad("no address to listen on")
	}
	for _, list := range [][]string{c.HTTPS, c.HTTP} {
		for _, addr := range list {
			if _, _, err := net.SplitHostPort(addr); err != nil {
				bad("listen address %q: want host:port", addr)
			}
		}
	}
	if len(c.HTTPS) > 0 && len(c.Certificates)+len(c.SelfSigned) == 0 {
		bad("https needs a certificate, or names to make one for")
	}
	for i, f := range c.Certificates {
		if f.Cert == "" || f.Key == "" {
			bad("certificate %d: both cert and key are needed", i)
		}
	}
	switch c.AccessLog {
	case "", "off", "stdout", "stderr":
	default:
		bad("access log %q: want off, stdout or stderr", c.AccessLog)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"drain timeout", c.DrainTimeout}, {"connect timeout", c.ConnectTimeout}, {"read header timeout", c.ReadHeaderTimeout},
		{"idle timeout", c.IdleTimeout}, {"stream idle timeout", c.StreamIdleTimeout},
	} {
		if d.value < 0 {
			bad("%s %v: must not be negative", d.name, d.value)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"connections", c.MaxConnections}, {"requests", c.MaxRequests}, {"header bytes", c.MaxHeaderBytes},
		{"header fields", c.MaxHeaderFields}, {"streams", c.MaxStreams}, {"idle connections", c.MaxIdleConnections},
	} {
		if n.value < 0 {
			bad("limit of %s %d: must not be negative", n.name, n.value)
		}
	}
	return errors.Join(errs...)
}
