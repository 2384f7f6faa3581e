package l7edge

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// A certStore holds the certificates the edge presents, and loads those that come from files anew when the files change. get may be
// called from any goroutine; reload from one at a time.
type certStore struct {
	log        *slog.Logger
	files      []CertificateFiles
	selfSigned []string

	current atomic.Pointer[certSet]
	failed  atomic.Pointer[[]string] // why files do not load; nil: all do
	pairs   []pair                   // by position in files
	own     *tls.Certificate         // for selfSigned, or nil
}

// A pair is a certificate as it was last read.
type pair struct {
	cert *tls.Certificate
	seen [sha256.Size]byte // of the content last read, good or bad
	err  error             // why that does not load, or nil
}

// newCertStore loads everything. The error names every pair that does not load.
func newCertStore(files []CertificateFiles, selfSigned []string, log *slog.Logger) (*certStore, error) {
	s := &certStore{log: log, files: files, selfSigned: selfSigned, pairs: make([]pair, len(files))}
	var errs []error
	for i, f := range files {
		cert, seen, err := readPair(f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.pairs[i] = pair{cert: cert, seen: seen}
		s.warnIfInvalid(f.Cert, cert.Leaf)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := s.renewOwn(time.Now()); err != nil {
		return nil, err
	}
	s.publish()
	return s, nil
}

// get implements tls.Config.GetCertificate.
func (s *certStore) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.current.Load().pick(hello)
}

// reload reads the files again and presents what has changed. A pair that does not load leaves the old one in place, and is logged
// once for each content it has.
func (s *certStore) reload(now time.Time) {
	changed := false
	for i, f := range s.files {
		cert, seen, err := readPair(f)
		if seen == s.pairs[i].seen {
			continue
		}
		s.pairs[i].seen, s.pairs[i].err = seen, err
		if err != nil {
			s.log.Error("certificate not loaded, the old one stays", "cert", f.Cert, "err", err)
			continue
		}
		s.pairs[i].cert = cert
		s.warnIfInvalid(f.Cert, cert.Leaf)
		s.log.Info("certificate loaded", "cert", f.Cert, "names", names(cert.Leaf), "until", cert.Leaf.NotAfter)
		changed = true
	}
	s.note()
	if s.own != nil && now.After(s.own.Leaf.NotAfter.Add(-selfSignedLife/3)) {
		if err := s.renewOwn(now); err != nil {
			s.log.Error("self-signed certificate not renewed", "err", err)
		} else {
			changed = true
		}
	}
	if changed {
		s.publish()
	}
}

// note makes what does not load known to problems.
func (s *certStore) note() {
	var failed []string
	for _, p := range s.pairs {
		if p.err != nil {
			failed = append(failed, strings.TrimPrefix(p.err.Error(), "l7edge: "))
		}
	}
	s.failed.Store(&failed)
}

// problems says why files do not load, one text for each pair; nil: all do. It may be called from any goroutine.
func (s *certStore) problems() []string {
	if failed := s.failed.Load(); failed != nil {
		return *failed
	}
	return nil
}

// renewOwn makes the self-signed certificate, if names for one were given.
func (s *certStore) renewOwn(now time.Time) error {
	if len(s.selfSigned) == 0 {
		return nil
	}
	cert, err := selfSigned(s.selfSigned, now)
	if err != nil {
		return err
	}
	s.own = cert
	return nil
}

// publish makes the certificates at hand the ones presented.
func (s *certStore) publish() {
	certs := make([]*tls.Certificate, 0, len(s.pairs)+1)
	for _, p := range s.pairs {
		certs = append(certs, p.cert)
	}
	if s.own != nil {
		certs = append(certs, s.own)
	}
	s.current.Store(newCertSet(certs))
}

func (s *certStore) warnIfInvalid(file string, leaf *x509.Certificate) {
	if now := time.Now(); now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		s.log.Warn("certificate is not valid now", "cert", file, "from", leaf.NotBefore, "until", leaf.NotAfter)
	}
}

// A certSet finds the certificate for a name. It never changes.
type certSet struct {
	all  []*tls.Certificate // the first is the default
	name map[string][]*tls.Certificate
}

func newCertSet(certs []*tls.Certificate) *certSet {
	s := &certSet{all: certs, name: map[string][]*tls.Certificate{}}
	for _, c := range certs {
		for _, n := range names(c.Leaf) {
			s.name[n] = append(s.name[n], c)
		}
	}
	return s
}

// names returns what a certificate is for, lower case: DNS names, which may begin with "*.", and addresses.
func names(leaf *x509.Certificate) []string {
	var out []string
	for _, n := range leaf.DNSNames {
		out = append(out, strings.ToLower(strings.TrimSuffix(n, ".")))
	}
	for _, ip := range leaf.IPAddresses {
		out = append(out, ip.String())
	}
	if len(out) == 0 && leaf.Subject.CommonName != "" {
		out = append(out, strings.ToLower(leaf.Subject.CommonName))
	}
	return out
}

// pick returns the certificate for a client's hello: one for the exact name it asks for (without a name, for the address it connected
// to), else one with a wildcard for the first label (RFC 6125 6.4.3), else the default. Of several, the first that the client's
// algorithms allow, so an ECDSA and an RSA certificate can stand side by side.
func (s *certSet) pick(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if name == "" && hello.Conn != nil {
		if at, ok := hello.Conn.LocalAddr().(*net.TCPAddr); ok {
			name = at.IP.String()
		}
	}
	if c := supported(hello, s.name[name]); c != nil {
		return c, nil
	}
	if i := strings.IndexByte(name, '.'); i > 0 {
		if c := supported(hello, s.name["*"+name[i:]]); c != nil {
			return c, nil
		}
	}
	if c := supported(hello, s.all); c != nil {
		return c, nil
	}
	return nil, errors.New("l7edge: no certificate")
}

// supported returns the first certificate the client can verify the signature of, else the first, or nil if there is none. The
// client's name does not count: it was looked at already, and the default is for any.
func supported(hello *tls.ClientHelloInfo, certs []*tls.Certificate) *tls.Certificate {
	if len(certs) == 0 {
		return nil
	}
	if len(certs) > 1 {
		anyName := *hello
		anyName.ServerName = ""
		for _, c := range certs {
			if anyName.SupportsCertificate(c) == nil {
				return c
			}
		}
	}
	return certs[0]
}
