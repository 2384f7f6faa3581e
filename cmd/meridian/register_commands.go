package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

// A registerCall is what the command line of register says.
type registerCall struct {
	embedded.Registration
	addresses, meta []string
	weight          uint32
	load            float64
	ttl             span
	hold            bool
}

func (c *cli) registerCommand() *cobra.Command {
	var r registerCall
	cmd := &cobra.Command{
		Use:   "register SERVICE NAME {--address IP | --host NAME | --text TEXT}",
		Short: "Add an endpoint to a service",
		Long: `Registers an endpoint with the embedded registry of the running process. The registration is on disk when the command
returns. With --ttl it has a lease: without a heartbeat in time it goes away. With --hold the command keeps the lease alive until it is
interrupted, and then deregisters: put it beside the process it speaks for.

A registration for a service or a site that does not exist is kept, and serves as soon as the configuration defines it; until then the
command warns and the status lists it.

` + thisProcess,
		Example: `  meridian register web web-7 --address 192.0.2.7 --port 8080 --site eu-west --weight 3
  meridian register web web-7 --address 192.0.2.7,2001:db8::7 --ttl 15s --hold`,
		Args:              needs("SERVICE", "NAME"),
		ValidArgsFunction: c.complete(serviceNames),
	}
	cmd.RunE = run(func(cmd *cobra.Command, args []string) error {
		r.Service, r.Name = args[0], args[1]
		if cmd.Flags().Changed("weight") {
			r.Weight = &r.weight
		}
		if err := r.read(cmd); err != nil {
			return err
		}
		if err := c.ask(func(ctx context.Context, client *admin.Client, _ []string) error {
			return c.register(ctx, client, &r)
		})(cmd, args); err != nil || !r.hold {
			return err
		}
		return c.hold(cmd.Context(), &r)
	})
	flags := cmd.Flags()
	flags.StringSliceVar(&r.addresses, "address", nil, "IPv4 or IPv6 address, or one of each")
	flags.StringVar(&r.Host, "host", "", "name that CNAME, SRV, MX, HTTPS and SVCB answers lead to")
	flags.StringVar(&r.Text, "text", "", "text of TXT answers")
	flags.StringSliceVar(&r.ALPN, "alpn", nil, "protocols of HTTPS and SVCB answers, e.g. h3,h2")
	flags.Uint16Var(&r.Port, "port", 0, "port; probes and the edge need one")
	flags.StringVar(&r.Site, "site", "", "site where it runs")
	flags.Uint32Var(&r.weight, "weight", 1, "share of traffic relative to the others")
	flags.Float64Var(&r.load, "load", 0, "share of what it can take that it has to do, e.g. 0.7, until a heartbeat says another")
	flags.StringArrayVar(&r.meta, "meta", nil, "KEY=VALUE to store with it; may be repeated")
	flags.Var(&r.ttl, "ttl", "length of the lease, e.g. 15s (default: none; it stays until it is deregistered)")
	flags.BoolVar(&r.hold, "hold", false, "send heartbeats until interrupted, then deregister")
	cmd.RegisterFlagCompletionFunc("site", c.flagChoice(siteNames))
	return cmd
}

// read fills the registration from the flags that are not a field of it as they stand.
func (r *registerCall) read(cmd *cobra.Command) error {
	r.TTL = embedded.Duration(r.ttl.Duration)
	if len(r.addresses) == 0 && r.Host == "" && r.Text == "" {
		return badInput("--address, --host or --text is missing: %s", usageOf(cmd))
	}
	for _, s := range r.addresses {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return badInput("--address %q is not an IP address", s)
		}
		r.Address = append(r.Address, a)
	}
	for _, m := range r.meta {
		key, value, ok := strings.Cut(m, "=")
		if !ok {
			return badInput("--meta %q: KEY=VALUE is expected", m)
		}
		if r.Meta == nil {
			r.Meta = map[string]string{}
		}
		r.Meta[key] = value
	}
	if r.hold && r.TTL == 0 {
		return badInput("--hold needs --ttl: without a lease there is nothing to keep alive")
	}
	return nil
}

// register registers, and says so if what is stored does not serve.
func (c *cli) register(ctx context.Context, client *admin.Client, r *registerCall) error {
	stored, err := client.Register(ctx, r.Registration, r.load)
	if err != nil {
		return err
	}
	err = c.print(stored, func(p *printer) { p.line("%s/%s is registered%s", r.Service, r.Name, lease(stored.Registration)) })
	if !stored.Serving {
		c.warn("%s/%s is stored, but it does not serve: %s", r.Service, r.Name, stored.Reason)
	}
	return err
}

func lease(r embedded.Registration) string {
	if r.TTL == 0 {
		return ""
	}
	return fmt.Sprintf(", with a lease of %s", r.TTL)
}

// hold keeps a lease alive until a signal comes, then deregisters. A process that restarts meanwhile, or has lost the lease, gets the
// registration again.
func (c *cli) hold(ctx context.Context, r *registerCall) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	tick := time.NewTicker(max(time.Duration(r.TTL)/3, 300*time.Millisecond))
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			if _, err := client.Heartbeat(ctx, r.Service, r.Name, nil); err != nil && ctx.Err() == nil {
				if _, err = client.Register(ctx, r.Registration, r.load); err != nil && ctx.Err() == nil {
					fmt.Fprintln(c.err, "meridian:", err)
				}
			}
		case <-ctx.Done():
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return client.Deregister(last, r.Service, r.Name)
}

func (c *cli) deregisterCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "deregister SERVICE NAME",
		Short: "Remove a registered endpoint",
		Long: `Removes an endpoint that was registered. Endpoints of the configuration file are removed there, or taken out for a while
with "drain".

` + thisProcess,
		Example:           `  meridian deregister web web-7`,
		Args:              needs("SERVICE", "NAME"),
		ValidArgsFunction: c.complete(registeredServices, registeredNames),
		RunE: c.ask(func(ctx context.Context, client *admin.Client, args []string) error {
			if err := client.Deregister(ctx, args[0], args[1]); err != nil {
				return err
			}
			gone := struct {
				Service string `json:"service"`
				Name    string `json:"name"`
			}{args[0], args[1]}
			return c.print(gone, func(p *printer) { p.line("%s/%s is deregistered", args[0], args[1]) })
		}),
	}
}

func (c *cli) heartbeatCommand() *cobra.Command {
	var load float64
	cmd := &cobra.Command{
		Use:   "heartbeat SERVICE NAME",
		Short: "Renew the lease of a registered endpoint",
		Long: `Starts the lease of a registered endpoint anew. If the lease is over the exit code is 2: register again. With --load it says how
much the endpoint has to do, for the policies that go by it (shed, sticky).

` + thisProcess,
		Example: `  meridian heartbeat web web-7
  meridian heartbeat web web-7 --load 0.7`,
		Args:              needs("SERVICE", "NAME"),
		ValidArgsFunction: c.complete(registeredServices, registeredNames),
	}
	cmd.RunE = run(func(cmd *cobra.Command, args []string) error {
		var said *float64
		if cmd.Flags().Changed("load") {
			said = &load
		}
		return c.ask(func(ctx context.Context, client *admin.Client, args []string) error {
			r, err := client.Heartbeat(ctx, args[0], args[1], said)
			if err != nil {
				return err
			}
			err = c.print(r, func(p *printer) {
				until := "has no lease"
				if !r.Expires.IsZero() {
					until = "is good until " + r.Expires.Local().Format(time.TimeOnly)
				}
				p.line("%s/%s %s", args[0], args[1], until)
			})
			if !r.Serving {
				c.warn("%s/%s does not serve: %s", args[0], args[1], r.Reason)
			}
			return err
		})(cmd, args)
	})
	cmd.Flags().Float64Var(&load, "load", 0, "share of what it can take that it has to do, e.g. 0.7 (default: what it said last)")
	return cmd
}
