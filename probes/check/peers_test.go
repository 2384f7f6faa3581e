package check

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// verdict is the error of one check within a second, "" if it succeeds.
func verdict(t *testing.T, c Checker, err error) string {
	t.Helper()
	if err != nil {
		return "cannot be made: " + err.Error()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := c.Check(ctx); err != nil {
		return err.Error()
	}
	return ""
}

func where(a net.Addr) netip.AddrPort { return netip.MustParseAddrPort(a.String()) }

// refusing returns an address where nobody listens.
func refusing(t *testing.T) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return where(l.Addr())
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if (got == "") != (want == "") || !strings.Contains(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// certificate returns one for 127.0.0.1 and gslb.example that is valid for so long, and a pool that trusts it.
func certificate(t *testing.T, valid time.Duration) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"gslb.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

func TestGRPC(t *testing.T) {
	cert, pool := certificate(t, time.Hour)
	serve := func(withHealth bool, o ...grpc.ServerOption) netip.AddrPort {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := grpc.NewServer(o...)
		if withHealth {
			h := health.NewServer()
			h.SetServingStatus("pay", grpc_health_v1.HealthCheckResponse_SERVING)
			h.SetServingStatus("sick", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
			grpc_health_v1.RegisterHealthServer(s, h)
		}
		go s.Serve(l)
		t.Cleanup(s.Stop)
		return where(l.Addr())
	}
	plain, bare := serve(true), serve(false)
	secure := serve(true, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	for want, c := range map[string]GRPCConfig{
		"":                            {Addr: plain},
		" ":                           {Addr: plain, Service: "pay"},
		"health NOT_SERVING":          {Addr: plain, Service: "sick"},
		`knows no service "none"`:     {Addr: plain, Service: "none"},
		"has no health service":       {Addr: bare},
		"connect: connection refused": {Addr: refusing(t)},
		"  ":                          {Addr: secure, TLS: &TLSConfig{RootCAs: pool}},
		"   ":                         {Addr: secure, TLS: &TLSConfig{RootCAs: pool, ServerName: "gslb.example"}},
		"valid for gslb.example, not": {Addr: secure, TLS: &TLSConfig{RootCAs: pool, ServerName: "other.example"}},
		"grpc: Unavailable":           {Addr: secure},
		"    ":                        {Addr: secure, TLS: &TLSConfig{Insecure: true}},
	} {
		expect(t, fmt.Sprintf("%+v", c), verdict(t, NewGRPC(c), nil), strings.TrimSpace(want))
	}
	hanging, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	expect(t, "a server that takes connections only", verdict(t, NewGRPC(GRPCConfig{Addr: where(hanging.Addr())}), nil), "timeout")
}

func TestTLS(t *testing.T) {
	cert, pool := certificate(t, 24*time.Hour)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.(*tls.Conn).Handshake()
			c.Close()
		}
	}()
	addr := where(l.Addr())
	for want, c := range map[string]TLSConfig{
		"":                            {Addr: addr, RootCAs: pool},
		" ":                           {Addr: addr, RootCAs: pool, ServerName: "gslb.example", Expiry: 23 * time.Hour},
		"expires on":                  {Addr: addr, RootCAs: pool, Expiry: 25 * time.Hour},
		"valid for gslb.example, not": {Addr: addr, RootCAs: pool, ServerName: "other.example"},
		"unknown authority":           {Addr: addr},
		"connect: connection refused": {Addr: refusing(t)},
	} {
		expect(t, fmt.Sprintf("%+v", c), verdict(t, NewTLS(c), nil), strings.TrimSpace(want))
	}
}

func TestTCPSendExpect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 100)
				n, _ := c.Read(b)
				switch string(b[:n]) {
				case "PING\r\n":
					for _, s := range []string{"+PO", "NG\r\n"} { // in two parts
						io.WriteString(c, s)
						time.Sleep(10 * time.Millisecond)
					}
				case "much":
					io.Copy(c, strings.NewReader(strings.Repeat("x", 1<<20)))
				case "hang":
					c.Read(b)
				}
			}()
		}
	}()
	addr := where(l.Addr())
	for want, c := range map[string]TCPConfig{
		"":                     {Addr: addr},
		" ":                    {Addr: addr, Send: "PING\r\n", Expect: "+PONG"},
		`closed without "+OK"`: {Addr: addr, Send: "PING\r\n", Expect: "+OK"},
		"first 5120 bytes":     {Addr: addr, Send: "much", Expect: "y"},
		"response: timeout":    {Addr: addr, Send: "hang", Expect: "y"},
	} {
		expect(t, fmt.Sprintf("%+v", c), verdict(t, NewTCP(c), nil), strings.TrimSpace(want))
	}
}

func TestDNS(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	s := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		switch q.Question[0].Name {
		case "www.example.":
			rr, _ := dns.NewRR("www.example. 60 A 192.0.2.1")
			m.Answer = append(m.Answer, rr)
		case "gone.example.":
			m.Rcode = dns.RcodeNameError
		case "garbage.example.":
			w.Write([]byte{1, 2, 3})
			return
		case "silent.example.":
			return
		}
		w.WriteMsg(m)
	})}
	go s.ActivateAndServe()
	<-started
	defer s.Shutdown()
	addr := where(pc.LocalAddr())
	for want, c := range map[string]DNSConfig{
		"":                             {Addr: addr, Name: "www.example"},
		" ":                            {Addr: addr, Name: "www.example.", Type: "a", Match: "192.0.2.1"},
		`no A record contains "9.9"`:   {Addr: addr, Name: "www.example", Match: "9.9"},
		"no AAAA record in the answer": {Addr: addr, Name: "www.example", Type: "AAAA"},
		"response NXDOMAIN":            {Addr: addr, Name: "gone.example"},
		"malformed DNS":                {Addr: addr, Name: "garbage.example"},
		"timeout":                      {Addr: addr, Name: "silent.example"},
		"connection refused":           {Addr: netip.AddrPortFrom(addr.Addr(), 1), Name: "www.example"},
		`"NONE" is not a type`:         {Addr: addr, Name: "www.example", Type: "NONE"},
		"is not a name":                {Addr: addr},
	} {
		checker, err := NewDNS(c)
		expect(t, fmt.Sprintf("%+v", c), verdict(t, checker, err), strings.TrimSpace(want))
	}
}

func TestHTTP2AndHeaders(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Key") != "secret" || r.Header.Get("User-Agent") != "meridian-probe" {
			w.WriteHeader(http.StatusForbidden)
		}
		fmt.Fprintf(w, "%s %s", r.Proto, r.Host)
	})
	plain := httptest.NewUnstartedServer(handler)
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Config.Protocols.SetHTTP1(true)
	plain.Start()
	defer plain.Close()
	secure, old := httptest.NewUnstartedServer(handler), httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	for _, s := range []*httptest.Server{secure, old} {
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		defer s.Close()
	}
	key := http.Header{"X-Key": {"secret"}}
	at := func(s *httptest.Server) netip.AddrPort { return where(s.Listener.Addr()) }
	for want, c := range map[string]HTTPConfig{
		"":                            {Addr: at(plain), Headers: key, Match: "HTTP/1.1 www.example", Host: "www.example"},
		" ":                           {Addr: at(plain), Headers: key, HTTP2: true, Match: "HTTP/2.0 www.example", Host: "www.example"},
		"  ":                          {Addr: at(secure), Headers: key, HTTP2: true, TLS: true, Insecure: true, Match: "HTTP/2.0"},
		"   ":                         {Addr: at(secure), Headers: key, TLS: true, Insecure: true, Match: "HTTP/1.1"},
		"status 403":                  {Addr: at(secure), HTTP2: true, TLS: true, Insecure: true},
		`body does not contain "no"`:  {Addr: at(secure), Headers: key, HTTP2: true, TLS: true, Insecure: true, Match: "no"},
		"no application protocol":     {Addr: at(old), Headers: key, HTTP2: true, TLS: true, Insecure: true},
		"connect: connection refused": {Addr: refusing(t), HTTP2: true},
	} {
		checker, err := NewHTTP(c)
		expect(t, fmt.Sprintf("%+v", c), verdict(t, checker, err), strings.TrimSpace(want))
	}
	hanging, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	checker, err := NewHTTP(HTTPConfig{Addr: where(hanging.Addr()), HTTP2: true})
	expect(t, "a server that takes connections only", verdict(t, checker, err), "response: timeout")
}

func TestICMP(t *testing.T) {
	got := verdict(t, NewICMP(ICMPConfig{netip.MustParseAddr("127.0.0.1")}), nil)
	if strings.HasPrefix(got, "on this machine") && os.Getenv("CI") == "" {
		t.Skip("this user may not ping: " + got)
	}
	expect(t, "this machine", got, "")
}

func TestExec(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to run commands as another user")
	}
	addr := netip.MustParseAddrPort("192.0.2.1:80")
	long := strings.Repeat("x", 1000)
	for want, c := range map[string]ExecConfig{
		"":                             {Command: []string{"/bin/sh", "-c", `test "$MERIDIAN_ADDRESS $MERIDIAN_PORT $PWD" = "192.0.2.1 80 /"`}, User: "nobody"},
		" ":                            {Command: []string{"/bin/sh", "-c", `test "$(id -un) $(id -G)" = "nobody 65534" && test -z "$HOME"`}, User: "nobody"},
		"exit status 3: disk full":     {Command: []string{"/bin/sh", "-c", "echo disk full >&2; exit 3"}, User: "nobody"},
		"exit status 1":                {Command: []string{"/bin/false"}, User: "nobody"},
		"timeout":                      {Command: []string{"/bin/sh", "-c", "sleep 60 & sleep 60"}, User: "nobody"},
		"no such file":                 {Command: []string{"/bin/none"}, User: "nobody"},
		"its user is missing":          {Command: []string{"/bin/true"}},
		`there is no user "none-such"`: {Command: []string{"/bin/true"}, User: "none-such"},
		"whole path":                   {Command: []string{"true"}, User: "nobody"},
		"whole path ":                  {User: "nobody"},
		strings.Repeat("x", 200):       {Command: []string{"/bin/sh", "-c", "echo " + long + "; exit 1"}, User: "nobody"},
	} {
		c.Addr = addr
		checker, err := NewExec(c)
		got := verdict(t, checker, err)
		expect(t, fmt.Sprintf("%.100q", c.Command), got, strings.TrimSpace(want))
		if len(got) > 250 {
			t.Errorf("%d bytes of output are in the error", len(got))
		}
	}
}

// What comes back from nobody is silent; what is refused, or answered badly, is not.
func TestSilent(t *testing.T) {
	quiet, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	unanswered, err := NewDNS(DNSConfig{Addr: where(quiet.LocalAddr()), Name: "x.example"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what    string
		checker Checker
		silent  bool
	}{
		{"a query without an answer", unanswered, true},
		{"a refused connection", NewTCP(TCPConfig{Addr: refusing(t)}), false},
		{"a refused gRPC connection", NewGRPC(GRPCConfig{Addr: refusing(t)}), false},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := c.checker.Check(ctx); err == nil || Silent(err) != c.silent {
			t.Errorf("%s: %v, silent %v", c.what, err, Silent(err))
		}
		cancel()
	}
}
