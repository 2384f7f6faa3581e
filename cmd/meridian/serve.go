package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
)

func (c *cli) serveCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve -c FILE",
		Short: "Run the server",
		Long: `Runs DNS, edge, probes and admin API as the file says, in the foreground, until SIGTERM or SIGINT; then it drains:
readiness fails first, requests in flight end, DNS goes on meanwhile. A second signal ends at once.

SIGHUP (or "meridian reload") reads the file again. If anything in it is wrong, nothing changes. The file may also be named without -c.`,
		Example: `  meridian serve -c meridian.yaml
  meridian check meridian.yaml && meridian serve -c meridian.yaml`,
		ValidArgsFunction: files(1),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && file == "" {
				file, args = args[0], nil
			}
			if file == "" {
				return badInput("the configuration file is missing: %s", usageOf(cmd))
			}
			return needs()(cmd, args)
		},
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			load := func() (*configs.Config, error) { return loadFile(file) }
			o := nodeOptions{load: load, file: file, own: absolute(file), logging: newLogSwitch(c.err)}
			return untilSignal(cmd.Context(), o, func(_ context.Context, n *node) {
				cfg := n.config.Load()
				n.logWarnings(cfg.Warnings)
				if note := forgets(cfg); note != "" {
					n.log.Warn("configuration", "warning", note)
				}
				n.log.Info("ready", append([]any{"version", version}, listening(n.about().Listen)...)...)
			})
		}),
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "the configuration file")
	cmd.MarkFlagFilename("config", "yaml", "yml")
	return cmd
}

func (c *cli) probeCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "probe -c FILE",
		Short: "Only check endpoints, and tell other nodes over Redis",
		Long: `Checks the endpoints of the file's services from where it runs, and shares what it sees with all other nodes over Redis (section
redis of the file, which is required): one more vantage point, in a region that has no node. It serves no DNS and no edge, only the admin
API. The file is that of the other nodes; site says where this process runs, and redis.name what it is called.

SIGHUP (or "meridian reload") reads the file again, as with serve.`,
		Example: `  meridian probe -c meridian.yaml`,
		Args:    needs(),
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return badInput("the configuration file is missing: %s", usageOf(cmd))
			}
			o := nodeOptions{load: func() (*configs.Config, error) { return loadProbe(file) }, file: file, logging: newLogSwitch(c.err)}
			return untilSignal(cmd.Context(), o, func(_ context.Context, n *node) {
				n.log.Info("probing", "version", version, "prober", n.council.Self.Name, "site", n.council.Self.Site, "admin", n.admin.Addr())
			})
		}),
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "the configuration file")
	cmd.MarkFlagFilename("config", "yaml", "yml")
	return cmd
}

// loadProbe reads a configuration file for a process that only probes.
func loadProbe(file string) (*configs.Config, error) {
	cfg, err := loadFile(file)
	if err != nil {
		return nil, err
	}
	if cfg.Redis == nil {
		return nil, badInput("%s has no section redis: nobody would hear what this process sees", file)
	}
	only := *cfg
	only.DNS, only.Edge, only.Resolvers = nil, nil, nil
	return &only, nil
}

// listening returns log attributes for the addresses that are served.
func listening(l admin.Listen) []any {
	var attrs []any
	for _, x := range []struct {
		room      string
		addresses []string
	}{{"dns", l.DNS}, {"https", l.HTTPS}, {"http", l.HTTP}, {"admin", []string{l.Admin}}} {
		if len(x.addresses) > 0 {
			attrs = append(attrs, x.room, strings.Join(x.addresses, ", "))
		}
	}
	return attrs
}

// loadFile reads a configuration file by its path, which is also what problems call it.
func loadFile(path string) (*configs.Config, error) {
	config, err := configs.ReadFile(path)
	if err != nil {
		return nil, &exitError{exitBadInput, err}
	}
	return config, nil
}

// untilSignal makes a node and runs it until SIGTERM or SIGINT. The signal after that ends the process as if nobody listened for
// it. SIGHUP is caught from the first moment to the last, as it ends a process that does not: it reloads, and does nothing while the
// node drains. The context of ready ends with the first signal.
func untilSignal(ctx context.Context, o nodeOptions, ready func(ctx context.Context, n *node)) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	n, err := newNode(o)
	if err != nil {
		return err
	}
	var reloads sync.WaitGroup
	reloads.Go(func() { n.reloadOn(ctx, hangup) })
	defer reloads.Wait()
	defer stop()
	context.AfterFunc(ctx, stop)
	return n.run(ctx, func() { ready(ctx, n) })
}
