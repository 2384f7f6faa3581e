package l7edge

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// issue writes a certificate for names, and its key, and returns where.
func issue(t *testing.T, dir, base string, useRSA bool, names ...string) CertificateFiles {
	t.Helper()
	var key any
	var pub any
	if useRSA {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		key, pub = k, k.Public()
	} else {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key, pub = k, k.Public()
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: base}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := CertificateFiles{Cert: filepath.Join(dir, base+".crt"), Key: filepath.Join(dir, base+".key")}
	write(t, f.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, f.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	return f
}

// write replaces a file as careful programs do: by renaming.
func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestCertificateBySNI(t *testing.T) {
	dir := t.TempDir()
	s, err := newCertStore([]CertificateFiles{
		issue(t, dir, "default", false, "default.test"),
		issue(t, dir, "wild", false, "*.Example.test"),
		issue(t, dir, "www", false, "www.example.test", "www2.example.test"),
		issue(t, dir, "dual-ec", false, "dual.test"),
		issue(t, dir, "dual-rsa", true, "dual.test"),
	}, []string{"localhost", "127.0.0.1"}, discard())
	if err != nil {
		t.Fatal(err)
	}
	ec := []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}
	pss := []tls.SignatureScheme{tls.PSSWithSHA256}
	for _, c := range []struct {
		sni     string
		schemes []tls.SignatureScheme
		want    string // common name
	}{
		{"www.example.test", ec, "www"},
		{"WWW2.example.test.", ec, "www"},
		{"other.example.test", ec, "wild"},
		{"a.b.example.test", ec, "default"}, // a wildcard is for one label
		{"example.test", ec, "default"},
		{"unknown.test", ec, "default"},
		{"", ec, "default"},
		{"test", ec, "default"},
		{"localhost", ec, "localhost"},
		{"dual.test", ec, "dual-ec"},
		{"dual.test", pss, "dual-rsa"},
		{"dual.test", append(pss, ec...), "dual-ec"},
		{"unknown.test", pss, "dual-rsa"}, // the first it can verify
	} {
		hello := &tls.ClientHelloInfo{
			ServerName: c.sni, SignatureSchemes: c.schemes, SupportedVersions: []uint16{tls.VersionTLS13}, SupportedCurves: []tls.CurveID{tls.CurveP256},
			CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256},
		}
		got, err := s.get(hello)
		if err != nil {
			t.Errorf("%s: %v", c.sni, err)
		} else if got.Leaf.Subject.CommonName != c.want {
			t.Errorf("%s with %v: %s, want %s", c.sni, c.schemes, got.Leaf.Subject.CommonName, c.want)
		}
	}

	// Without a name, the address the client connected to counts.
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got, err := s.get(&tls.ClientHelloInfo{Conn: conn, SignatureSchemes: ec, SupportedVersions: []uint16{tls.VersionTLS13}})
	if err != nil || got.Leaf.Subject.CommonName != "localhost" {
		t.Errorf("by address: %v, %v", got, err)
	}
}

func TestCertificatesThatDoNotLoad(t *testing.T) {
	dir := t.TempDir()
	good, other := issue(t, dir, "good", false, "good.test"), issue(t, dir, "other", false, "other.test")
	write(t, filepath.Join(dir, "garbage"), []byte("garbage"))
	write(t, filepath.Join(dir, "huge"), bytes.Repeat([]byte("x"), maxCertFile+1))
	bad := []CertificateFiles{
		{good.Cert, other.Key},
		{filepath.Join(dir, "none"), good.Key},
		{filepath.Join(dir, "garbage"), good.Key},
		{filepath.Join(dir, "huge"), good.Key},
	}
	_, err := newCertStore(append([]CertificateFiles{good}, bad...), nil, discard())
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"other.key is not the key of the certificate " + good.Cert, "none: no such file", "garbage holds no certificate in PEM", "huge is larger than"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n"); n != len(bad)-1 {
		t.Errorf("%d problems, want %d:\n%v", n+1, len(bad), err)
	}
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	f := issue(t, dir, "a", false, "a.test")
	var lines syncBuffer
	s, err := newCertStore([]CertificateFiles{f}, nil, slog.New(slog.NewTextHandler(&lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	first := s.current.Load()
	now := time.Now()
	s.reload(now)
	if s.current.Load() != first {
		t.Error("files that did not change were loaded anew")
	}
	if got := s.problems(); len(got) != 0 {
		t.Errorf("problems with good files: %q", got)
	}

	old, err := os.ReadFile(f.Key)
	if err != nil {
		t.Fatal(err)
	}
	issue(t, dir, "a", false, "a.test", "b.test")
	fresh, _ := os.ReadFile(f.Key)
	write(t, f.Key, old) // the certificate came, the key did not yet
	for range 3 {
		s.reload(now)
	}
	if s.current.Load() != first {
		t.Error("a pair that does not match was taken")
	}
	if n := strings.Count(lines.String(), "the old one stays"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, lines.String())
	}
	if got := s.problems(); len(got) != 1 || !strings.Contains(got[0], f.Cert) || !strings.Contains(got[0], "is not the key of the certificate") {
		t.Errorf("problems with a pair that does not match: %q", got)
	}
	os.Remove(f.Cert)
	s.reload(now)
	if got := s.problems(); len(got) != 1 || !strings.Contains(got[0], "no such file") {
		t.Errorf("problems with a missing file: %q", got)
	}
	if s.current.Load() != first {
		t.Error("a missing file took the certificate away")
	}

	issue(t, dir, "a", false, "a.test", "b.test")
	s.reload(now)
	got := names(s.current.Load().all[0].Leaf)
	if len(got) != 2 || got[1] != "b.test" {
		t.Errorf("after the renewal: %v", got)
	}
	if got := s.problems(); len(got) != 0 {
		t.Errorf("problems after the renewal: %q", got)
	}
	write(t, f.Key, fresh) // of a certificate that is no more
	s.reload(now)
	if len(names(s.current.Load().all[0].Leaf)) != 2 {
		t.Error("the good pair is gone")
	}
}

// A pair that broke while serving is seen from outside, and the connections that use the old one go on.
func TestCertificateProblemsShow(t *testing.T) {
	dir := t.TempDir()
	good, bad := issue(t, dir, "good", false, "good.test"), issue(t, dir, "bad", false, "bad.test")
	e := start(t, newWorld(t, service(backend(t, says("x"))), all()), func(c *Config) {
		c.Certificates, c.SelfSigned = []CertificateFiles{good, bad}, nil
	})
	failed := func() float64 {
		t.Helper()
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(e)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "meridian_tls_certs_load_failed" {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		t.Fatal("no gauge")
		return 0
	}
	if got := e.CertificateProblems(); len(got) != 0 || failed() != 0 {
		t.Errorf("before: %q, %v", got, failed())
	}
	whole, err := os.ReadFile(bad.Cert)
	if err != nil {
		t.Fatal(err)
	}
	write(t, bad.Cert, []byte("garbage"))
	eventually(t, "the problem shows", func() bool { return len(e.CertificateProblems()) == 1 })
	if got := e.CertificateProblems()[0]; !strings.Contains(got, bad.Cert) || failed() != 1 {
		t.Errorf("%q, %v", got, failed())
	}
	if _, body := get(t, client(t, true), "https://"+e.https); body != "x" {
		t.Errorf("%q", body)
	}
	write(t, bad.Cert, whole)
	eventually(t, "the problem goes", func() bool { return len(e.CertificateProblems()) == 0 })
	if failed() != 0 {
		t.Errorf("%v after the end", failed())
	}
	if plain := (&Server{}); plain.CertificateProblems() != nil {
		t.Error("problems without certificates")
	}
}

// syncBuffer is a buffer for log lines from several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// The file system's word is enough: nobody calls reload.
func TestWatch(t *testing.T) {
	real, links := t.TempDir(), t.TempDir()
	issue(t, real, "a", false, "a.test")
	f := CertificateFiles{Cert: filepath.Join(links, "tls.crt"), Key: filepath.Join(links, "tls.key")}
	link := func(target, name string) {
		t.Helper()
		os.Remove(name + ".new")
		if err := os.Symlink(target, name+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	link(filepath.Join(real, "a.crt"), f.Cert)
	link(filepath.Join(real, "a.key"), f.Key)
	s, err := newCertStore([]CertificateFiles{f}, nil, discard())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.watch(ctx); close(done) }()
	issue(t, real, "b", false, "b.test")
	link(filepath.Join(real, "b.crt"), f.Cert)
	link(filepath.Join(real, "b.key"), f.Key)
	eventually(t, "the new pair is presented", func() bool { return names(s.current.Load().all[0].Leaf)[0] == "b.test" })
	cancel()
	<-done
}

func TestSelfSigned(t *testing.T) {
	now := time.Now()
	s, err := newCertStore(nil, []string{"edge.test", "*.edge.test", "127.0.0.1", "::1"}, discard())
	if err != nil {
		t.Fatal(err)
	}
	leaf := s.own.Leaf
	if key, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("key %T", leaf.PublicKey)
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 90*24*time.Hour {
		t.Errorf("valid for %v", life)
	}
	for _, name := range []string{"edge.test", "x.edge.test", "127.0.0.1", "::1"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "edge.test"}); err != nil {
		t.Errorf("a client that trusts it does not: %v", err)
	}

	s.reload(now.Add(50 * 24 * time.Hour))
	if s.own.Leaf != leaf {
		t.Error("renewed too early")
	}
	s.reload(now.Add(70 * 24 * time.Hour))
	if s.own.Leaf == leaf || s.current.Load().all[0].Leaf == leaf {
		t.Error("not renewed in time")
	}
}

func TestTLSVersionsAndProtocols(t *testing.T) {
	e := start(t, newWorld(t, service("127.0.0.1:1"), all()), nil)
	for _, c := range []struct {
		name string
		cfg  *tls.Config
		alpn string
		ok   bool
	}{
		{"TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "", false},
		{"TLS 1.2", &tls.Config{MaxVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}, "h2", true},
		{"TLS 1.3", &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1", "h2"}}, "h2", true},
		{"only http/1.1", &tls.Config{NextProtos: []string{"http/1.1"}}, "http/1.1", true},
		{"no ALPN", &tls.Config{}, "", true},
		{"unknown ALPN", &tls.Config{NextProtos: []string{"h3"}}, "", false},
	} {
		c.cfg.InsecureSkipVerify = true
		conn, err := tls.Dial("tcp", e.https, c.cfg)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil {
			if got := conn.ConnectionState().NegotiatedProtocol; got != c.alpn {
				t.Errorf("%s: negotiated %q, want %q", c.name, got, c.alpn)
			}
			conn.Close()
		}
	}
}

func FuzzCertificatePick(f *testing.F) {
	own, err := selfSigned([]string{"a.test", "*.b.test", "127.0.0.1"}, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	set := newCertSet([]*tls.Certificate{own})
	for _, n := range []string{"", ".", "a.test", "x.b.test.", "*.b.test", "127.0.0.1", "xn--", strings.Repeat("a.", 200)} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if c, err := set.pick(&tls.ClientHelloInfo{ServerName: name}); err != nil || c != own {
			t.Errorf("%q: %v %v", name, c, err)
		}
	})
}
