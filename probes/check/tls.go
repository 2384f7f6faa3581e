package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"time"
)

// A TLSConfig describes a check of a TLS handshake.
type TLSConfig struct {
	Addr       netip.AddrPort // address and port, both required
	ServerName string         // SNI, and the name in the certificate; default: the address (verified, not sent)
	Insecure   bool           // accept any certificate
	RootCAs    *x509.CertPool // nil: the system's
	Expiry     time.Duration  // the certificate must be valid for at least so long; 0: now
}

// NewTLS returns a Checker that succeeds when a handshake does, with a certificate that is valid long enough.
func NewTLS(c TLSConfig) Checker {
	c.Addr = unmap(c.Addr)
	return tlsCheck{c, c.client(c.Addr.String())}
}

type tlsCheck struct {
	TLSConfig
	config *tls.Config
}

func (c tlsCheck) Check(ctx context.Context) error {
	raw, done, err := connect(ctx, c.Addr)
	if err != nil {
		return explain(ctx, connecting, err)
	}
	defer done()
	defer func() { _ = raw.Close() }() // the answer is known by then
	conn := tls.Client(raw, c.config)
	if err := conn.Handshake(); err != nil { // bounded by the deadline of raw
		return explain(ctx, "tls", shortTLS(err))
	}
	certs := conn.ConnectionState().PeerCertificates
	if c.Expiry == 0 || len(certs) == 0 {
		return nil
	}
	if left := time.Until(certs[0].NotAfter); left < c.Expiry {
		return fmt.Errorf("the certificate expires on %s, in less than %s", certs[0].NotAfter.UTC().Format(time.DateOnly), c.Expiry)
	}
	return nil
}
