package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/dnsserver/outside"
	"github.com/meridian-gslb/meridian/generations"
	"github.com/meridian-gslb/meridian/l7edge"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/probes"
	"github.com/meridian-gslb/meridian/probes/share"
	"github.com/meridian-gslb/meridian/probes/vantage"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/shared"
	"github.com/meridian-gslb/meridian/registry/source/consul"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
	"github.com/meridian-gslb/meridian/registry/source/guard"
	"github.com/meridian-gslb/meridian/registry/store"
)

// A node is one running process: every room, and the only place where they meet. newNode builds and binds, run serves until
// its context ends.
type node struct {
	nodeOptions
	log   *slog.Logger
	begun time.Time

	config   atomic.Pointer[configs.Config]     // in force
	reloads  atomic.Pointer[admin.ConfigStatus] // how the last reload went
	files    atomic.Pointer[configs.Files]      // data files, as they were when they were last read or refused
	refused  refused                            // why the last reload was; whoever has the turn may use it
	turn     chan struct{}                      // holds a token while no reload is under way
	store    *store.DB                          // nil: nothing outlives the process
	registry *registry.Registry
	embedded *embedded.Registry
	consul   *consul.Source // nil: not configured
	guard    *guard.Guard   // of consul
	shared   *shared.Store  // of overrides; nil: they are this node's alone
	prober   *probes.Prober
	council  *vantage.Council  // makes verdicts of what the prober sees, and others
	link     *share.Link       // to other probers; nil: this node probes alone
	outside  *outside.Resolver // of the names that aliases lead to
	watching sync.Mutex        // orders the updates of prober
	dns      *dnsserver.Server // nil: not configured
	edge     *l7edge.Server    // nil: not configured
	admin    *admin.Server
	metrics  *nodeMetrics
	bound    []func(context.Context) error // what newNode has to close if it cannot finish

	waiting atomic.Pointer[[]string] // what readiness waits for

	kept       *generations.Dir      // nil: nothing is kept
	generation atomic.Uint64         // that is in force; 0: it is not kept
	unkept     atomic.Pointer[error] // why it could not be
	putAt      uint64                // generation of the snapshot that the last configuration made; whoever has the turn may use it
	epochs     epochs                // which of the generations served when
}

// nodeOptions are what differs between serve and dev.
type nodeOptions struct {
	load          func() (*configs.Config, error) // reads the configuration as it is now
	logging       *logSwitch
	file          string     // what the configuration is called
	own           string     // absolute path of the file; "" = it is none, and no generation serves in its place
	allowLoopback bool       // registrations may name loopback addresses
	demo          admin.Demo // backends that the admin API can stop and start; nil: none
}

// newNode loads the configuration, opens the state, puts the first World in force and binds every listener. After an error
// nothing is left open.
func newNode(o nodeOptions) (_ *node, err error) {
	cfg, from, err := o.read(o.logging.logger())
	if err != nil {
		return nil, err
	}
	o.logging.apply(cfg.Log)
	n := &node{log: o.logging.logger(), nodeOptions: o, begun: time.Now(), turn: make(chan struct{}, 1)}
	n.generation.Store(from)
	n.turn <- struct{}{}
	n.config.Store(cfg)
	n.files.Store(&cfg.Files)
	n.reloads.Store(&admin.ConfigStatus{File: n.file, Loaded: n.begun, Tried: n.begun})
	n.await("starting")
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	if cfg.Consul != nil {
		if n.consul, err = consul.New(*cfg.Consul, consul.Options{Log: n.log}); err != nil {
			return nil, err
		}
		n.consul.Watch(cfg.Wanted)
		n.guard = n.guardOf(n.consul, consul.SourceName, cfg.State)
	}
	if err := n.openState(cfg, o.allowLoopback); err != nil {
		return nil, err
	}
	n.registry.Apply(cfg.Compiled)
	n.outside = outside.New(outside.Config{Servers: cfg.Resolvers}, n.registry, n.log)
	n.council = vantage.New(vantage.Options{
		Log: n.log, Self: cfg.Prober,
		Report: func(endpoint string, v policy.Verdict, why string) { n.registry.ReportWhy(endpoint, v, why) },
		Note: func(prober, from, to, why string) {
			n.registry.Note(registry.Event{Kind: registry.EventProber, Name: prober, From: from, To: to, Why: why})
		},
	})
	n.prober = probes.New(probes.Options{Log: n.log, Sink: n.council, Seed: n.savedState})
	if cfg.Redis != nil {
		if n.link, err = share.New(share.Options{
			Config: *cfg.Redis, Log: n.log, Self: cfg.Prober.Name, Peers: n.council,
			Note: func(from, to, why string) {
				n.registry.Note(registry.Event{Kind: registry.EventVantage, Name: "redis", From: from, To: to, Why: why})
			},
		}); err != nil {
			return nil, err
		}
	}
	return n, n.bind(cfg, o.demo)
}

// openState opens the store, if there is a directory for it, and reads back what the last process knew.
func (n *node) openState(cfg *configs.Config, allowLoopback bool) (err error) {
	ro := registry.Options{Log: n.log, AllowLoopback: allowLoopback}
	var endpoints embedded.EndpointStore
	if cfg.State != "" {
		if n.store, err = store.Open(cfg.State); err != nil {
			return err
		}
		ro.Store, endpoints = n.store, n.store
		n.kept = generations.In(cfg.State)
	}
	if cfg.Consul != nil && cfg.Consul.KVPrefix != "" {
		if n.shared, err = n.shareOverrides(cfg.Site); err != nil {
			return err
		}
		ro.Store = n.shared
	}
	n.registry = registry.New(ro)
	if err := n.registry.Restore(); err != nil {
		return err
	}
	n.embedded, err = embedded.New(endpoints, embedded.Options{Log: n.log, AllowLoopback: allowLoopback})
	return err
}

// bind makes the servers and takes their addresses. The edge comes last: once it listens it has to drain, while the others can be
// closed at once.
func (n *node) bind(cfg *configs.Config, demo admin.Demo) error {
	if cfg.DNS != nil {
		n.dns = dnsserver.New(*cfg.DNS, n.registry.Snapshot, n.log)
	}
	if cfg.Edge != nil {
		edge, err := l7edge.New(*cfg.Edge, n.registry.Snapshot, n.log)
		if err != nil {
			return err
		}
		n.edge = edge
	}
	n.metrics = newNodeMetrics(n)
	n.admin = admin.New(cfg.Admin, n.adminOptions(demo))
	n.metrics.registry.MustRegister(n.admin)

	if n.dns != nil {
		if err := n.dns.Listen(); err != nil {
			return &bindError{"dns.listen", "--dns", err}
		}
		n.bound = append(n.bound, n.dns.Run)
	}
	if err := n.admin.Listen(); err != nil {
		return &bindError{"admin.listen", "--admin", err}
	}
	n.bound = append(n.bound, n.admin.Run)
	if n.edge != nil {
		if err := n.edge.Listen(); err != nil {
			return &bindError{"edge.https or edge.http", "--https or --http", err}
		}
	}
	return nil
}

// A bindError is an address that cannot be had, and what could be changed about it.
type bindError struct {
	setting, flag string
	err           error
}

func (e *bindError) Error() string {
	return fmt.Sprintf("%s (the setting %s says so)", e.why(), e.setting)
}

// why says where nobody can listen, and why, without the system's words.
func (e *bindError) why() string {
	op := (*net.OpError)(nil)
	if !errors.As(e.err, &op) || op.Addr == nil {
		return e.err.Error()
	}
	why := op.Err.Error()
	switch {
	case errors.Is(e.err, syscall.EADDRINUSE):
		why = "another process does"
	case errors.Is(e.err, syscall.EADDRNOTAVAIL):
		why = "no interface of this machine has the address"
	case errors.Is(e.err, syscall.EACCES):
		why = "this user may not (ports below 1024 take root or CAP_NET_BIND_SERVICE)"
	}
	return fmt.Sprintf("cannot listen on %s: %s", op.Addr, why)
}

func (e *bindError) Unwrap() error { return e.err }

// close lets go of what newNode took when it could not finish.
func (n *node) close() {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	var errs []error
	for _, run := range n.bound {
		errs = append(errs, run(over))
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	if err := errors.Join(errs...); err != nil {
		n.log.Warn("closing", "err", err)
	}
}

// run serves until ctx ends or a room fails, and returns when everything has ended: not ready, then the edge while DNS still
// answers, then DNS, probes, admin, and at last the store.
func (n *node) run(ctx context.Context, ready func()) error {
	rooms := newRooms(ctx)
	adminRoom := rooms.start("admin", n.admin.Run)
	state := rooms.start("registry", n.registry.Run)
	published, once := make(chan struct{}), sync.Once{}
	source := rooms.start("embedded registry", func(ctx context.Context) error {
		return n.embedded.Run(ctx, func(c registry.Catalog) {
			n.registry.Publish(embedded.SourceName, c)
			once.Do(func() { close(published) })
		})
	})
	select {
	case <-published:
	case <-rooms.failed.Done():
	}
	var outer *room
	if n.consul != nil {
		outer = rooms.start("consul", func(ctx context.Context) error {
			return n.guard.Run(ctx, func(c registry.Catalog) { n.registry.Publish(consul.SourceName, c) })
		})
		n.firstSource(rooms.failed)
	}
	var sharing *room
	if n.shared != nil {
		sharing = rooms.start("shared overrides", func(ctx context.Context) error { return n.shared.Run(ctx, n.registry) })
	}
	n.watch() // all that is known by now, so that the first round covers it
	wiring := rooms.start("wiring", n.follow)
	prober := rooms.start("probes", n.prober.Run)
	council := rooms.start("vantage", n.council.Run)
	var link *room
	if n.link != nil {
		link = rooms.start("redis", n.link.Run)
	}
	aliases := rooms.start("alias targets", n.outside.Run)

	n.firstRound(rooms.failed)
	n.firstAliases(rooms.failed)
	var dns, edge, files *room
	if rooms.failed.Err() == nil {
		if n.dns != nil {
			dns = rooms.start("dns", n.dns.Run)
		}
		if n.edge != nil {
			edge = rooms.start("edge", n.edge.Run)
		}
		files = rooms.start("data files", n.watchFiles)
		n.begunWith(ctx)
		n.await()
		ready()
		<-rooms.failed.Done()
	}

	n.await("shutting down")
	n.log.Info("shutting down")
	for _, r := range []*room{files, edge, dns, link, prober, council, aliases, wiring, sharing, outer, source, state, adminRoom} {
		r.stop()
	}
	err := rooms.err()
	if n.store != nil {
		err = errors.Join(err, n.store.Close())
	}
	n.log.Info("ended")
	return err
}

// firstRound waits until something is known of every endpoint, saved or found out now, so that the first answers are right. Probes
// that take too long must not keep a name from being answered.
func (n *node) firstRound(ctx context.Context) {
	n.await("probes: first round")
	limit := time.Second
	for _, c := range n.config.Load().Probes {
		limit = max(limit, c.WithDefaults().Timeout+time.Second)
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-n.prober.FirstRound():
		n.council.Decide()
	case <-ctx.Done():
	case <-t.C:
		n.log.Warn("the first round of probes is not complete; what was not checked counts as up", "waited", limit.String())
	}
}

// firstSource waits until Consul has told of everything that is wanted. It may be gone: what is known without it is served.
func (n *node) firstSource(ctx context.Context) {
	n.await("consul: first answers")
	t := time.NewTimer(2 * time.Second)
	defer t.Stop()
	select {
	case <-n.consul.FirstRound():
	case <-ctx.Done():
	case <-t.C:
		n.log.Warn("consul has not told of all services yet; what was known of them serves until it does")
	}
}

// firstAliases waits until the names that aliases lead to have been asked for, so that they are answered from the start. Servers that
// do not answer must not keep every other name from being answered.
func (n *node) firstAliases(ctx context.Context) {
	n.await("alias targets: first round")
	t := time.NewTimer(2 * time.Second)
	defer t.Stop()
	select {
	case <-n.outside.FirstRound():
	case <-ctx.Done():
	case <-t.C:
		n.log.Warn("not all names that aliases lead to have been asked for; aliases of which nothing is known cannot be answered yet")
	}
}

// await says what readiness waits for; nothing means ready.
func (n *node) await(what ...string) { n.waiting.Store(&what) }

// follow tells the probes when endpoints come and go.
func (n *node) follow(ctx context.Context) error {
	changed, cancel := n.registry.Subscribe()
	defer cancel()
	for {
		n.watch()
		select {
		case <-changed:
			n.metrics.worldChanged()
		case <-ctx.Done():
			return nil
		}
	}
}

// watch gives the probes the endpoints of the World that have an address and whose service has a check. Of the others nothing is known, whatever was saved
// when they still were checked. It is called after every change of the World and of the configuration; the last call sees both as
// they are.
func (n *node) watch() {
	n.watching.Lock()
	defer n.watching.Unlock()
	plan, checks := n.registry.Snapshot().Plan, n.config.Load().Probes
	var targets []probes.Target
	for id := range policy.EndpointID(plan.NumEndpoints()) {
		e := plan.Endpoint(id)
		check, ok := checks[plan.ServiceName(e.Service)]
		if !ok || !e.HasAddress() { // then there is nothing to connect to
			if v, _ := n.registry.Probed(e.Name); v != (policy.Verdict{}) {
				n.registry.Report(e.Name, policy.Verdict{})
			}
			continue
		}
		addr := e.V4
		if !addr.IsValid() {
			addr = e.V6
		}
		targets = append(targets, probes.Target{Endpoint: e.Name, Addr: addr, Port: e.Port, Check: check})
	}
	n.council.SetTargets(targets)
	n.prober.Update(targets)
	n.council.Decide()
}

// savedState is what the last process found out about an endpoint.
func (n *node) savedState(endpoint string) policy.State {
	v, _ := n.registry.Probed(endpoint)
	return v.State
}
