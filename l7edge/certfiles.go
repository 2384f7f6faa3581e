package l7edge

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// CertificateFiles names a certificate chain (leaf first) and its private key, both PEM. Changed files are loaded when they change;
// a pair that does not load leaves the old one in place.
type CertificateFiles struct{ Cert, Key string }

// Load reads the pair as the edge does. The error joins a *CertificateError for each file at fault. A certificate that is not valid
// at this time is none.
func (f CertificateFiles) Load() (*tls.Certificate, error) {
	cert, _, err := readPair(f)
	return cert, err
}

// A CertificateError says which file of a pair cannot be used, and why.
type CertificateError struct {
	File string
	Key  bool  // the file is that of the private key
	Err  error // of the file system, naming the file, or what is wrong with its content, not naming it
}

// Error returns the file and what is wrong with it.
func (e *CertificateError) Error() string {
	if pathErr := (*os.PathError)(nil); errors.As(e.Err, &pathErr) {
		return fmt.Sprintf("l7edge: certificate: %v", e.Err)
	}
	return fmt.Sprintf("l7edge: certificate: %s %v", e.File, e.Err)
}

// Unwrap returns Err.
func (e *CertificateError) Unwrap() error { return e.Err }

// maxCertFile bounds a certificate or key file, in bytes.
const maxCertFile = 1 << 20

// readPair loads a certificate and its key. The sum is of what was read, so that equal content can be told without parsing; it is
// of the error if a file could not be read.
func readPair(f CertificateFiles) (*tls.Certificate, [sha256.Size]byte, error) {
	cert, certErr := readFile(f.Cert, false)
	key, keyErr := readFile(f.Key, true)
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%d:%s%s", len(cert), cert, key)
	seen := [sha256.Size]byte(sum.Sum(nil))
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, seen, diagnose(f, cert, key, err)
	}
	return &c, seen, nil
}

// readFile returns the content of a regular file: of what else bears the name, some would never end.
func readFile(name string, key bool) ([]byte, error) {
	fail := func(err error) ([]byte, error) { return nil, &CertificateError{name, key, err} }
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return fail(err)
	case info.IsDir():
		return fail(errors.New("is a directory, not a file"))
	case !info.Mode().IsRegular():
		return fail(errors.New("is not a regular file"))
	}
	f, err := os.Open(name)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCertFile+1))
	switch {
	case err != nil:
		return fail(err)
	case len(data) > maxCertFile:
		return fail(fmt.Errorf("is larger than %d bytes", maxCertFile))
	}
	return data, nil
}

// diagnose says which file of a pair is at fault and what would be right. The library's error says neither.
func diagnose(f CertificateFiles, cert, key []byte, err error) error {
	atCert := func(format string, args ...any) error {
		return &CertificateError{f.Cert, false, fmt.Errorf(format, args...)}
	}
	atKey := func(format string, args ...any) error {
		return &CertificateError{f.Key, true, fmt.Errorf(format, args...)}
	}
	certs, certKeys := contents(cert)
	keyCerts, keys := contents(key)
	switch {
	case len(certs) == 0 && len(certKeys) > 0 && len(keyCerts) > 0 && len(keys) == 0:
		return atCert("holds the private key, and %s the certificate: exchange cert and key", f.Key)
	case len(certs) == 0 && len(certKeys) > 0:
		return atCert("holds a private key, not a certificate")
	case len(certs) == 0 && isDER(cert):
		return atCert("is in DER form; turn it into PEM: openssl x509 -inform der -in %s -out NEW", f.Cert)
	case len(certs) == 0:
		return atCert("holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
	case len(keys) == 0 && len(keyCerts) > 0:
		return atKey("holds a certificate, not a private key")
	case len(keys) == 0:
		return atKey("holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)")
	case keys[0].Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(keys[0].Headers["Proc-Type"], "ENCRYPTED"):
		return atKey("is encrypted, and nobody is there to type its passphrase; decrypt it: openssl pkey -in %s -out NEW", f.Key)
	}
	if _, parseErr := x509.ParseCertificate(certs[0].Bytes); parseErr != nil {
		return atCert("holds a certificate that cannot be read: %w", parseErr)
	}
	later := slices.ContainsFunc(certs[1:], func(b *pem.Block) bool {
		_, err := tls.X509KeyPair(pem.EncodeToMemory(b), key)
		return err == nil
	})
	switch {
	case later:
		return atCert("holds the certificate of the key behind others; it has to come first, before those that sign it")
	case strings.Contains(err.Error(), "does not match"):
		return atKey("is not the key of the certificate %s", f.Cert)
	default:
		return atKey("holds a private key that cannot be used: %w", err)
	}
}

// contents returns the certificates and private keys in PEM text.
func contents(text []byte) (certs, keys []*pem.Block) {
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			return certs, keys
		}
		switch {
		case b.Type == "CERTIFICATE":
			certs = append(certs, b)
		case strings.HasSuffix(b.Type, "PRIVATE KEY"):
			keys = append(keys, b)
		}
	}
}

func isDER(data []byte) bool {
	_, err := x509.ParseCertificate(data)
	return err == nil
}
