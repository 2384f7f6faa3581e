package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/shared"
	"github.com/meridian-gslb/meridian/registry/source/consul"
	"github.com/meridian-gslb/meridian/registry/source/guard"
)

// guardOf puts a guard around a source, which keeps what it says beside the state, if there is a directory for that.
func (n *node) guardOf(s registry.Source, name, state string) *guard.Guard {
	o := guard.Options{
		Name: name, Log: n.log,
		Wants: func(service string) bool { return n.config.Load().Wanted.Services[service] != "" },
		Rules: func() guard.Rules { return n.config.Load().Safety },
	}
	if state != "" {
		o.Dir = filepath.Join(state, "catalogs")
	}
	return guard.New(s, o)
}

// shareOverrides returns a store of overrides that nodes share by Consul, around that of this node.
func (n *node) shareOverrides(site string) (*shared.Store, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var id [4]byte
	rand.Read(id[:]) // never fails
	o := shared.Options{Node: fmt.Sprintf("%s/%s/%x", cmp.Or(site, "-"), host, id), Local: registry.Nowhere, KV: n.consul.KV(), Log: n.log}
	if n.store != nil {
		o.Local, o.Records = n.store, n.store
	}
	return shared.New(o)
}

// confirm makes a source believed although it lost much.
func (n *node) confirm(source string) (admin.Confirmed, error) {
	if source != consul.SourceName {
		return admin.Confirmed{}, &admin.Error{Status: http.StatusNotFound, Message: "there is no source " + source}
	}
	held, err := n.guard.Confirm()
	if err != nil {
		return admin.Confirmed{}, &admin.Error{Status: http.StatusNotFound, Message: err.Error()}
	}
	n.log.Warn("an operator believes the source", "source", source, "held", held)
	return admin.Confirmed{Source: source, Held: held}, nil
}

func (c *cli) confirmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "confirm SOURCE",
		Short: "Believe a source that lost much at once",
		Long: `Puts in force what an outside system such as Consul says now, although so much is gone that it was held back (see "safety" in the
configuration file). "meridian status" says what is held back. If nothing is, the exit code is 2.

` + thisProcess,
		Example: `  meridian confirm consul`,
		Args:    needs("SOURCE"),
		RunE: c.ask(func(ctx context.Context, client *admin.Client, args []string) error {
			done, err := client.Confirm(ctx, args[0])
			if err != nil {
				return err
			}
			return c.print(done, func(p *printer) { p.line("believed: %s", done.Held) })
		}),
	}
}

func (c *cli) consulCommand() *cobra.Command {
	policy := &cobra.Command{
		Use:   "policy FILE",
		Short: "Print the smallest ACL policy that the configuration needs",
		Long: `Prints a Consul ACL policy that allows what the services of a configuration file need, and nothing else: to read these services, and the
nodes they run on. Give it to a token (consul acl policy create -rules @-), and the token to consul.token_file.`,
		Example: `  meridian consul policy meridian.yaml | consul acl policy create -name meridian -rules @-`,
		Args:    needs("FILE"),
		RunE: run(func(_ *cobra.Command, args []string) error {
			cfg, err := loadFile(args[0])
			if err != nil {
				return err
			}
			if cfg.Consul == nil {
				return &exitError{code: exitBadInput, err: errors.New("the configuration has no section consul")}
			}
			rules := consul.Policy(*cfg.Consul, cfg.Wanted)
			return c.print(struct {
				Rules string `json:"rules"`
			}{rules}, func(p *printer) { p.line("%s", strings.TrimSuffix(rules, "\n")) })
		}),
		ValidArgsFunction: files(1),
	}
	command := &cobra.Command{Use: "consul", Short: "What Consul needs to know", RunE: run(onlyParent)}
	command.AddCommand(policy)
	return command
}
