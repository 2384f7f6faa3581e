package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"

	"github.com/meridian-gslb/meridian/demand"
	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

// shutdownTime is how long requests under way may take when the server ends.
const shutdownTime = 2 * time.Second

// Options are what a Server shows and changes. All functions may be called concurrently.
type Options struct {
	Log      *slog.Logger // default: discard
	Registry *registry.Registry
	Embedded *embedded.Registry  // where endpoints register; nil: nowhere
	Metrics  prometheus.Gatherer // of the whole process

	About        func() About
	Waiting      func() []string                             // what is not ready; none = ready
	Reload       func(context.Context) (Reloaded, error)     // an *Error says which problems the file has
	Probe        func(endpoint string) (ProbeStatus, bool)   // false: not checked
	Verdict      func(endpoint string) (VerdictStatus, bool) // false: not checked; nil: nothing is
	Probers      func() []ProberStatus                       // this one first; nil: there are none
	Redis        func() *LinkStatus                          // nil, or the func nil: this node probes alone
	Traffic      func() map[string]Traffic                   // by endpoint; nil if there is no edge
	Sources      func() []registry.SourceStatus              // outside systems that endpoints come from; nil if there are none
	Confirm      func(source string) (Confirmed, error)      // makes a source believed although it lost much; nil if there are none
	Held         func() []string                             // what of sources is not believed, and what is not shared, one sentence each; nil if there are none
	Certificates func() []string                             // why certificate files of the edge do not load; none = all do; a nil func: there is no edge
	GeoData      func() []string                             // what is wrong with geo databases; none = nothing; nil: there are none
	Aliases      func() []string                             // what is wrong with the names that aliases lead to; none = nothing; nil: nobody knows
	Saving       func() error                                // why the last write of state failed, nil: it did not; a nil func: none is kept
	Plan         func(context.Context, Change) (Plan, error)
	Apply        func(context.Context, Change) (Applied, error)
	Generations  func() ([]Generation, error) // that are kept, the newest first
	Rollback     func(ctx context.Context, to uint64) (RolledBack, error)
	Explain      func(Question) (dnsserver.Explanation, error)
	Demand       func() demand.Report      // who asks for what; nil: DNS is not served
	Answers      func() []dnsserver.Record // some of the last, the newest first; nil: DNS is not served
	Replay       func(dnsserver.Record) (Replayed, error)

	Demo Demo // the backends of "meridian dev"; nil: there are none, and no paths for them
}

// A Demo is a set of backends that can be stopped and started to see what happens.
type Demo interface {
	Backends() []Backend
	Switch(name string, run bool) (Backend, error) // an error if there is no such backend, or its address is taken
}

// A Server is the admin API of one process: New, Listen, Run. It is also a prometheus.Collector.
type Server struct {
	Options
	log    *slog.Logger
	listen string
	hosts  hostRule // Listen completes it
	panics prometheus.Counter

	listener net.Listener // set by Listen
}

// New returns a Server that does not listen yet.
func New(cfg Config, o Options) *Server {
	s := &Server{Options: o, log: o.Log, listen: cfg.Listen, panics: prometheus.NewCounter(prometheus.CounterOpts{
		Name:        "meridian_panics_recovered_total",
		Help:        "Panics recovered, by where.",
		ConstLabels: prometheus.Labels{"where": "admin"},
	})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.listen == "" {
		s.listen = DefaultListen
	}
	s.hosts = newHostRule(s.listen)
	return s
}

// Listen binds the address. It is called once, before Run.
func (s *Server) Listen() error {
	l, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	s.hosts = s.hosts.bound(l.Addr())
	s.listener = netutil.LimitListener(l, maxConnections)
	return nil
}

// Addr returns the address that is served, after Listen, with the port it really has.
func (s *Server) Addr() string {
	if s.listener == nil {
		return s.listen
	}
	return s.listener.Addr().String()
}

// Run serves until ctx ends, lets requests under way end, and returns nil. It returns earlier, with an error, if the listener
// breaks, and at once if Listen has not bound one.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		return errors.New("admin: Run needs Listen before it")
	}
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       bodyTime,
		WriteTimeout:      replyTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(s.listener) }()
	s.log.Info("admin: listening", "address", s.Addr())
	select {
	case err := <-failed:
		return fmt.Errorf("admin: %w", err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := srv.Shutdown(limit)
	if errors.Is(err, context.DeadlineExceeded) { // a client that does not read is not worth waiting for
		err = srv.Close()
	}
	<-failed
	return err
}

// Describe implements prometheus.Collector.
func (s *Server) Describe(ch chan<- *prometheus.Desc) { s.panics.Describe(ch) }

// Collect implements prometheus.Collector.
func (s *Server) Collect(ch chan<- prometheus.Metric) { s.panics.Collect(ch) }
