// Package consul turns the catalog of HashiCorp Consul into a registry.Catalog: the instances of the services that are wanted, from one or
// several datacenters, with their weights, sites and what Consul's own checks say of them.
//
// It follows Consul by blocking queries (https://developer.hashicorp.com/consul/api-docs/features/blocking). What it has learned stays when
// Consul is gone, slow or without leader: no answer waits for it.
package consul

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// SourceName is the name under which the source publishes.
const SourceName = "consul"

// Defaults and limits.
const (
	// DefaultPrefix begins the tags and metadata that are for us: meridian.weight and so on.
	DefaultPrefix = "meridian"
	// DefaultMaxWatches is how many services are watched by a query of their own. Each holds a connection, of which an agent allows 200
	// from one address (its limits.http_max_conns_per_client). If more services are wanted, all are read again when Consul says that
	// anything changed.
	DefaultMaxWatches = 150
	// DefaultKVPrefix is where nodes share what operators decide.
	DefaultKVPrefix = "meridian"
	// MaxResponse is the most bytes of one response; a longer one is refused whole.
	MaxResponse = 64 << 20
)

// A Config says where Consul is and what to take from it. What it leaves empty is as in the environment variables CONSUL_HTTP_ADDR,
// CONSUL_HTTP_TOKEN, CONSUL_CACERT and so on, or Consul's own default.
type Config struct {
	Address     string   // "host:port", "http://…", "https://…" or "unix://…"; default 127.0.0.1:8500
	TokenFile   string   // holds an ACL token; read again when it changes
	CAFile      string   // PEM, for https
	CertFile    string   // PEM, for mutual TLS; with KeyFile
	KeyFile     string   // PEM
	ServerName  string   // that the certificate must have, if it is not the host of Address
	Datacenters []string // default: the agent's own
	Namespace   string   // Consul Enterprise
	Partition   string   // Consul Enterprise
	Prefix      string   // default DefaultPrefix
	LAN         bool     // take instances' LAN addresses also where they have WAN ones
	Consistent  bool     // read through the leader; default: any server answers, so that reads work without one
	MaxWatches  int      // default DefaultMaxWatches
	KVPrefix    string   // where nodes share what operators decide, usually DefaultKVPrefix; "" = they do not
}

// A Wanted is what the configuration in force takes from Consul. It must not be changed once it was given to Watch.
type Wanted struct {
	Services map[string]string // our name of a service -> Consul's
	Sites    map[string]string // datacenter, or what instances call their site -> site; those not in it are at no site
}

// Options are what a Source needs from outside.
type Options struct {
	Log *slog.Logger // default: discard
}

// A Source follows one Consul. Its methods may be called concurrently.
type Source struct {
	cfg     Config
	log     *slog.Logger
	client  *api.Client
	token   token
	changed chan struct{} // capacity 1: results or wanted have changed

	mu      sync.Mutex // guards what follows; never held during I/O
	wanted  Wanted
	results map[question]*result
	renewed chan struct{}     // closed and replaced when wanted changes
	untried map[question]bool // of the first wanted; nil: there are none yet
	first   chan struct{}     // closed when all of untried have been tried
}

// A question is one service in one datacenter; "" is the agent's own.
type question struct{ datacenter, service string }

// A result is what Consul last said about a question.
type result struct {
	instances []*api.ServiceEntry
	known     bool      // Consul has answered
	asked     time.Time // when it last answered
	failing   time.Time // since when it does not; zero: it does
	err       error     // the last, if failing
	hidden    bool      // the token must not see all of the answer
}

// New returns a Source. It reads the files of certificates, and asks nothing yet.
func New(cfg Config, o Options) (*Source, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	if cfg.MaxWatches == 0 {
		cfg.MaxWatches = DefaultMaxWatches
	}
	if len(cfg.Datacenters) == 0 {
		cfg.Datacenters = []string{""}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := api.DefaultConfig() // looks at CONSUL_HTTP_*
	if cfg.Address != "" {
		c.Address = cfg.Address
		if scheme, _, ok := strings.Cut(cfg.Address, "://"); ok && scheme != "unix" {
			c.Scheme = scheme
		}
	}
	c.Namespace, c.Partition = cfg.Namespace, cfg.Partition
	if cfg.CAFile != "" {
		c.TLSConfig.CAFile = cfg.CAFile
	}
	if cfg.CertFile != "" {
		c.TLSConfig.CertFile, c.TLSConfig.KeyFile = cfg.CertFile, cfg.KeyFile
	}
	if cfg.ServerName != "" {
		c.TLSConfig.Address = cfg.ServerName
	}
	t := c.Transport
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost, t.MaxIdleConns = 0, cfg.MaxWatches, cfg.MaxWatches
	t.ResponseHeaderTimeout = longestAnswer
	client, err := api.NewClient(c)
	if err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	c.HttpClient.Transport = limited{c.HttpClient.Transport} // which the client shares
	return &Source{
		cfg: cfg, log: o.Log, client: client, token: token{file: cfg.TokenFile},
		changed: make(chan struct{}, 1), renewed: make(chan struct{}), first: make(chan struct{}), results: map[question]*result{},
	}, nil
}

// limited is a RoundTripper that ends bodies after MaxResponse bytes with an error.
type limited struct{ http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &limitedBody{resp.Body, MaxResponse}
	}
	return resp, err
}

type limitedBody struct {
	io.ReadCloser
	left int
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the response is longer than %d MiB, the most that is read", MaxResponse>>20)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
