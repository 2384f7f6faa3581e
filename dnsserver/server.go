package dnsserver

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-gslb/meridian/demand"
	"github.com/meridian-gslb/meridian/registry"
)

// bindTries is how often Listen tries to find one port that is free for all addresses, if any port will do.
const bindTries = 16

// A Server is DNS over UDP and TCP on some addresses: New, Listen, Run. It is also a prometheus.Collector.
type Server struct {
	cfg      Config
	log      *slog.Logger
	snapshot func() *registry.Snapshot

	groups   [][]netip.AddrPort // of Config.Listen
	groupErr error              // what is wrong with Config.Listen
	udp      []*Answerer        // not yet taken by a socket
	tcp      chan *Answerer     // shared by all connections; each takes one for the time of an answer
	counters []*counters        // of all Answerers
	conns    *conns
	settings atomic.Pointer[settings]
	series   *series
	demand   gatherer

	overflowMu sync.Mutex // one reader of what the kernel dropped at a time

	// Set by Listen.
	workers   []*udpWorker
	listeners []*net.TCPListener
	addrs     []netip.AddrPort
}

// New returns a Server that answers from the snapshot of the moment. Snapshot must never return nil.
func New(cfg Config, snapshot func() *registry.Snapshot, log *slog.Logger) *Server {
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, log: log, snapshot: snapshot, conns: newConns(cfg.TCP), series: newSeries()}
	s.settings.Store(new(settings).next(cfg))
	s.demand.sketch = demand.NewSketch(demand.MaxKeys, demandDecay, time.Now().Unix())
	for _, text := range cfg.Listen {
		addrs, err := ParseListen(text)
		if err != nil {
			s.groupErr = errors.Join(s.groupErr, err)
			continue
		}
		s.groups = append(s.groups, addrs)
		for range len(addrs) * cfg.Workers {
			s.udp = append(s.udp, s.answerer(UDP))
		}
	}
	s.tcp = make(chan *Answerer, cfg.Workers)
	for range cfg.Workers {
		s.tcp <- s.answerer(TCP)
	}
	return s
}

// answerer returns a new Answerer, with dice that nobody can foresee.
func (s *Server) answerer(t Transport) *Answerer {
	var seed [32]byte
	crand.Read(seed[:]) // never fails
	a := NewAnswerer(AnswererOptions{
		Snapshot: s.snapshot, Dice: rand.NewChaCha8(seed).Uint64, Transport: t, UDPSize: s.cfg.UDPSize,
		series: s.series, settings: &s.settings, Keepalive: s.conns.keepalive, sampler: newSampler(),
	})
	s.counters = append(s.counters, a.counters)
	s.demand.samplers = append(s.demand.samplers, a.sampler)
	return a
}

// Listen binds all addresses, UDP and TCP, or none. A port of 0 becomes the same free port for both.
func (s *Server) Listen() error {
	if s.groupErr != nil {
		return s.groupErr
	}
	if len(s.groups) == 0 {
		return errors.New("dnsserver: no address to listen on")
	}
	for _, group := range s.groups {
		if err := s.bindGroup(group); err != nil {
			s.close()
			return err
		}
	}
	return nil
}

// Addrs returns the addresses that are served, after Listen, with the ports they really have.
func (s *Server) Addrs() []netip.AddrPort { return s.addrs }

// bindGroup binds the addresses that one listen address stands for.
func (s *Server) bindGroup(group []netip.AddrPort) error {
	var err error
	for range bindTries {
		var b *binding
		if b, err = s.bind(group); err == nil {
			s.udp = s.udp[len(b.workers):]
			s.workers = append(s.workers, b.workers...)
			s.listeners = append(s.listeners, b.listeners...)
			s.addrs = append(s.addrs, b.addrs...)
			return nil
		}
		if group[0].Port() != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return err
}

// A binding is the sockets of one listen address.
type binding struct {
	workers   []*udpWorker
	listeners []*net.TCPListener
	addrs     []netip.AddrPort
}

func (b *binding) close() {
	for _, w := range b.workers {
		w.close()
	}
	for _, l := range b.listeners {
		_ = l.Close()
	}
}

// bind makes the sockets of one listen address. TCP goes first: its port is nobody else's, while two processes could share a UDP
// port that both open for several workers, each getting half of the queries. A machine without IPv6 does without it where IPv6 is
// only half of "every address".
func (s *Server) bind(group []netip.AddrPort) (*binding, error) {
	b := &binding{}
	port := group[0].Port()
	for i, addr := range group {
		addr = netip.AddrPortFrom(addr.Addr(), port)
		l, err := listenTCP(addr)
		if err != nil {
			if i > 0 && (errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)) {
				s.log.Warn("dns: no IPv6 on this machine", "address", addr, "error", err)
				continue
			}
			b.close()
			return nil, fmt.Errorf("dnsserver: listen on %s over TCP: %w", addr, err)
		}
		b.listeners = append(b.listeners, l)
		port = l.Addr().(*net.TCPAddr).AddrPort().Port()
		addr = netip.AddrPortFrom(addr.Addr(), port)
		b.addrs = append(b.addrs, addr)
		free := s.udp[len(b.workers):]
		workers, err := listenUDP(addr, free[:s.cfg.Workers], int(s.cfg.UDPSize))
		b.workers = append(b.workers, workers...)
		if err != nil {
			b.close()
			return nil, fmt.Errorf("dnsserver: listen on %s over UDP: %w", addr, err)
		}
	}
	return b, nil
}

// listenTCP returns a listener for exactly one family, so that :: leaves 0.0.0.0 alone.
func listenTCP(addr netip.AddrPort) (*net.TCPListener, error) {
	l, err := net.ListenTCP("tcp"+familyDigit(addr), net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	return l, nil
}

func familyDigit(addr netip.AddrPort) string {
	if addr.Addr().Is4() {
		return "4"
	}
	return "6"
}

func (s *Server) close() {
	b := binding{workers: s.workers, listeners: s.listeners}
	b.close()
	s.workers, s.listeners, s.addrs = nil, nil, nil
}

// Run serves until ctx ends, then answers what has arrived by then as far as clients take the answers at once, closes all sockets and
// returns nil. It returns earlier, with an error, if a socket fails for good. Listen comes first; Run is called once.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, w := range s.workers {
		g.Go(func() error { return w.run(ctx) })
	}
	for _, l := range s.listeners {
		g.Go(func() error { return s.serveTCP(ctx, l) })
	}
	g.Go(func() error { return s.renewTCP(ctx) })
	g.Go(func() error { return s.demand.run(ctx) })
	for _, addr := range s.addrs {
		s.log.Info("dns: listening", "address", addr.String())
	}
	return g.Wait()
}

// overflow returns how many messages over UDP came in vain, because more of them waited than a socket holds: the newest are dropped,
// before any work.
func (s *Server) overflow() uint64 {
	s.overflowMu.Lock()
	defer s.overflowMu.Unlock()
	n := uint64(0)
	for _, w := range s.workers {
		n += w.dropped()
	}
	return n
}

// activeWorkers returns how many workers queries over UDP are given to.
func (s *Server) activeWorkers() int {
	n := 0
	for _, w := range s.workers {
		if w.active() {
			n++
		}
	}
	return n
}
