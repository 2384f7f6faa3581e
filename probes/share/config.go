package share

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// A Mode is the kind of Redis that is spoken with.
type Mode string

// The modes.
const (
	Single   Mode = "single"   // one server
	Sentinel Mode = "sentinel" // the addresses are those of sentinels, who know the server
	Cluster  Mode = "cluster"  // the addresses are those of some nodes, who know the others
)

// Defaults and limits of a Config.
const (
	DefaultPrefix = "meridian"
	DefaultEvery  = 2 * time.Second
	MinEvery      = 200 * time.Millisecond
	MaxEvery      = 30 * time.Second
	MaxAddresses  = 16
	lives         = 5 // intervals that a report counts
)

// A Config says where Redis is and what is kept there. It takes effect at start.
type Config struct {
	Addresses []string // HOST:PORT, at least one
	Mode      Mode     // "" is Single
	Master    string   // Sentinel: the name of the server
	Username  string   // of the ACL; "" is the default user

	// PasswordFile holds the password, and whatever blanks are around it. It is read for each new connection, so a password may be
	// changed while the process runs. "": no password.
	PasswordFile string
	Database     int           // of a single server or one that sentinels know
	Prefix       string        // of keys and the channel; "" is DefaultPrefix
	Every        time.Duration // how often the whole state is written and read, whatever changed; 0 is DefaultEvery
	TLS          *TLSConfig    // nil: no TLS
}

// A TLSConfig says how the server is known, and how this client is.
type TLSConfig struct {
	CA         string // PEM of the authorities; "": the system's
	Cert, Key  string // PEM of this client; "": it has none
	ServerName string // in the certificate; "": the host of the address
	Insecure   bool   // accept any certificate
}

func (c Config) withDefaults() Config {
	if c.Mode == "" {
		c.Mode = Single
	}
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Every == 0 {
		c.Every = DefaultEvery
	}
	return c
}

// ttl returns how long a report counts: longer than it takes to notice that Redis does not answer. So nobody takes a server that hangs
// for probers that ended.
func (c Config) ttl() time.Duration { return max(lives*c.Every, c.Every+exchangeTime+time.Second) }

// Times of one exchange with Redis. They are long enough for a server that takes 500 ms for each answer.
const (
	dialTime     = 3 * time.Second
	replyTime    = 2 * time.Second
	exchangeTime = 6 * time.Second // of all of it
)

// Check says what is wrong with the files that the Config names, as they are now; nil if nothing is.
func (c Config) Check() error {
	if _, err := c.password(); err != nil {
		return err
	}
	_, err := c.TLS.load()
	return err
}

// client returns a client, which connects when it is first used.
func (c Config) client() (redis.UniversalClient, error) {
	o := &redis.UniversalOptions{
		Addrs: c.Addresses, DB: c.Database, MasterName: c.Master, IsClusterMode: c.Mode == Cluster,
		DialTimeout: dialTime, ReadTimeout: replyTime, WriteTimeout: replyTime, PoolTimeout: replyTime, ContextTimeoutEnabled: true,
		MaxRetries: -1, DialerRetries: 1, PoolSize: 3, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		CredentialsProviderContext: func(context.Context) (string, string, error) {
			password, err := c.password()
			return c.Username, password, err
		},
	}
	secure, err := c.TLS.load()
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTime, KeepAlive: 30 * time.Second}
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if secure != nil {
			s := secure.Clone()
			if s.ServerName == "" {
				if s.ServerName, _, err = net.SplitHostPort(addr); err != nil {
					s.ServerName = addr
				}
			}
			conn = tls.Client(conn, s)
		}
		return &bounded{Conn: conn, now: time.Now}, nil
	}
	return redis.NewUniversalClient(o), nil
}

// password reads the password.
func (c Config) password() (string, error) {
	if c.PasswordFile == "" {
		return "", nil
	}
	b, err := os.ReadFile(c.PasswordFile)
	return strings.TrimSpace(string(b)), err
}

// load reads the certificates. A nil TLSConfig makes a nil tls.Config.
func (t *TLSConfig) load() (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	out := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.Insecure, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, err
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%q holds no certificate", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, err
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// errTooMuch ends a connection whose other end says more than any answer can be.
var errTooMuch = errors.New("share: an answer is larger than anything asked for")

// maxReply bounds what a connection may bring from one request to the next, and in a second.
const maxReply = 64 << 20

// A bounded connection reads no more than maxReply after each write, or in each second: the client library believes the lengths that
// the server names.
type bounded struct {
	net.Conn
	now func() time.Time

	mu    sync.Mutex
	begun time.Time
	read  int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	b.read = 0
	b.mu.Unlock()
	return b.Conn.Write(p)
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := b.now(); now.Sub(b.begun) > time.Second {
		b.begun, b.read = now, 0
	}
	if b.read += n; b.read > maxReply {
		return n, errTooMuch
	}
	return n, err
}
