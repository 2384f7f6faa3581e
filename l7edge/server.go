// Package l7edge is the edge: it terminates TLS and sends each request, or each stream of an HTTP/2 connection, to an endpoint that
// the same Snapshot and the same policies choose as answer DNS.
//
// An exchange (exchange.go) takes a request from rule to endpoint and knows no protocol. A passage (passage.go) moves its bytes from HTTP/2 to
// HTTP/2; a carrier (carrier.go) moves those of others, with net/http. The Server owns listeners, certificates and the end.
package l7edge

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-gslb/meridian/l7edge/upstream"
	"github.com/meridian-gslb/meridian/registry"
)

// A Server is the edge of one process. Use it as New, Listen, Run; the other methods may be called at any time from any goroutine.
type Server struct {
	cfg     Config
	log     *slog.Logger
	certs   *certStore // nil: no HTTPS
	carrier *carrier
	door    *door
	http    *http.Server
	abort   context.CancelCauseFunc // ends every request

	https, plain []net.Listener
	guarded      []*guarded     // the same, as Run serves them
	serving      sync.WaitGroup // accept loops
}

// New returns a Server that chooses from the Snapshots snap returns. It loads certificates; the error holds everything that is wrong
// with the Config. log may be nil.
func New(cfg Config, snap func() *registry.Snapshot, log *slog.Logger) (*Server, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, log: log}
	if len(cfg.HTTPS) > 0 {
		var err error
		if s.certs, err = newCertStore(cfg.Certificates, cfg.SelfSigned, log); err != nil {
			return nil, err
		}
	}
	s.carrier = newCarrier(cfg, newCore(cfg, snap), log, accessLog(cfg.AccessLog))
	s.door = &door{limit: int64(cfg.MaxConnections), turned: s.carrier.metrics.rejected.WithLabelValues("connections").Inc}
	base, abort := context.WithCancelCause(context.Background()) // not of Run: requests outlive the wish to stop
	s.abort = abort
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s.http = &http.Server{
		Handler:                      s.carrier,
		Protocols:                    protocols,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is a request like any other
		ReadHeaderTimeout:            cfg.ReadHeaderTimeout,
		IdleTimeout:                  cfg.IdleTimeout,
		MaxHeaderBytes:               cfg.MaxHeaderBytes,
		BaseContext:                  func(net.Listener) context.Context { return base },
		ConnContext:                  connContext,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong is no news
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){ // of which net/http knows no more
			"h2":                s.carrier.engine.serveTLS,
			"unencrypted_http2": s.carrier.engine.serveClear,
		},
	}
	if s.certs != nil {
		s.http.TLSConfig = &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: s.certs.get,
			NextProtos:     []string{"h2", "http/1.1"}, // named, or net/http sets HTTP/2 up only if TLS is served before plain HTTP
		}
	}
	return s, nil
}

// accessLog returns where access records go, or nil.
func accessLog(to string) *slog.Logger {
	var w io.Writer
	switch to {
	case "stdout":
		w = os.Stdout
	case "stderr":
		w = os.Stderr
	default:
		return nil
	}
	return slog.New(slog.NewJSONHandler(w, nil))
}

// Listen binds every address of the Config, or none. Port 0 takes a free one. It is called once, before Run.
func (s *Server) Listen() error {
	bind := func(addrs []string, to *[]net.Listener) error {
		for _, a := range addrs {
			l, err := net.Listen("tcp", a)
			if err != nil {
				return fmt.Errorf("l7edge: listen: %w", err)
			}
			*to = append(*to, l)
		}
		return nil
	}
	err := bind(s.cfg.HTTPS, &s.https)
	if err == nil {
		err = bind(s.cfg.HTTP, &s.plain)
	}
	if err != nil {
		for _, l := range append(s.https, s.plain...) {
			l.Close()
		}
		s.https, s.plain = nil, nil
	}
	return err
}

// Addrs returns what Listen bound, in the order of the Config.
func (s *Server) Addrs() (https, http []net.Addr) {
	for _, l := range s.https {
		https = append(https, l.Addr())
	}
	for _, l := range s.plain {
		http = append(http, l.Addr())
	}
	return https, http
}

// Run serves until ctx ends, then drains (see drain) and returns nil when every request has ended. It returns an error if a
// listener breaks.
func (s *Server) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	serve := func(l net.Listener, f func(net.Listener) error) {
		g := s.door.guard(l)
		s.guarded = append(s.guarded, g)
		s.serving.Go(func() {
			if err := f(g); !s.door.closing.Load() {
				stop(fmt.Errorf("l7edge: serve %v: %w", l.Addr(), err))
			}
		})
	}
	for _, l := range s.https {
		serve(l, func(l net.Listener) error { return s.http.ServeTLS(l, "", "") })
	}
	for _, l := range s.plain {
		serve(l, s.http.Serve)
	}
	if s.certs != nil {
		wg.Go(func() { s.certs.watch(ctx) })
	}
	wg.Go(func() { s.follow(ctx) })

	<-ctx.Done()
	s.drain()
	wg.Wait()
	s.carrier.links.close()
	s.carrier.engine.close()
	if err := context.Cause(ctx); err != context.Canceled && err != context.DeadlineExceeded {
		return err
	}
	return nil
}

// follow closes connections to endpoints that are gone, until ctx ends. Requests follow a new Plan by themselves.
func (s *Server) follow(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			view := s.carrier.core.view()
			s.carrier.links.sweep(view)
			s.carrier.engine.pools.sweep(view)
		}
	}
}

// Stats returns the counts of every endpoint of the current Plan, sorted by name.
func (s *Server) Stats() []upstream.Stats {
	s.carrier.core.view()
	return s.carrier.core.set.Stats()
}

// CertificateProblems says of each pair of certificate files why it does not load now, so that an older certificate is presented in
// its place; nil: all load.
func (s *Server) CertificateProblems() []string {
	if s.certs == nil {
		return nil
	}
	return s.certs.problems()
}

// Describe implements prometheus.Collector.
func (s *Server) Describe(ch chan<- *prometheus.Desc) {
	s.carrier.metrics.Describe(ch)
	ch <- connectionsDesc
	ch <- notAfterDesc
	ch <- loadFailedDesc
}

// Collect implements prometheus.Collector.
func (s *Server) Collect(ch chan<- prometheus.Metric) {
	s.carrier.metrics.Collect(ch)
	ch <- prometheus.MustNewConstMetric(connectionsDesc, prometheus.GaugeValue, float64(s.door.open.Load()))
	if s.certs == nil {
		return
	}
	for _, c := range s.certs.current.Load().all {
		ch <- prometheus.MustNewConstMetric(notAfterDesc, prometheus.GaugeValue, float64(c.Leaf.NotAfter.Unix()),
			strings.Join(names(c.Leaf), ","), c.Leaf.SerialNumber.Text(16))
	}
	ch <- prometheus.MustNewConstMetric(loadFailedDesc, prometheus.GaugeValue, float64(len(s.certs.problems())))
}

var (
	connectionsDesc = prometheus.NewDesc("meridian_proxy_connections", "Connections of clients, tunnels too.", nil, nil)
	loadFailedDesc  = prometheus.NewDesc("meridian_tls_certs_load_failed", "Pairs of certificate files that do not load; older certificates stand in.", nil, nil)
	notAfterDesc    = prometheus.NewDesc("meridian_tls_certs_not_after", "When a certificate ends, in Unix seconds.", []string{"names", "serial"}, nil)
)
