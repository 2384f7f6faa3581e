package main

import (
	"context"
	"errors"
	"net/http"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

const targetHelp = `TARGET is a site (us-east), a service (web) or an endpoint (web/us-east-1, or us-east-1 if no other has that name). Where a name
means several things, say site/NAME, service/NAME or endpoint/SERVICE/NAME.`

// thisProcess is what the help of every command says that changes a running process.
const thisProcess = `It acts on the one process that --admin names. Where several servers answer for the same names, repeat it on each.`

// overrideFlags are what an override can say beside its target and state.
type overrideFlags struct {
	length span
	reason string
}

func (f *overrideFlags) add(cmd *cobra.Command) {
	cmd.Flags().Var(&f.length, "for", "end it by itself after this time, e.g. 30m (default: it stays until undrain)")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, for those who look at the status")
}

func (c *cli) drainCommand() *cobra.Command {
	var f overrideFlags
	cmd := &cobra.Command{
		Use:   "drain TARGET",
		Short: "Take a site, a service or an endpoint out of new answers and requests",
		Long: `Takes a target out: DNS stops answering with it and the edge sends it no new requests; what runs there may end. It
beats what probes say, is kept over restarts, and is in force when the command returns. Drained endpoints stay out even if all
others are down, unless nothing else exists: a service whose endpoints are all drained fails open, and its traffic goes on.

` + targetHelp + "\n\n" + thisProcess,
		Example: `  meridian drain us-east --for 30m --reason "switch upgrade"
  meridian drain web/us-east-1`,
		Args:              needs("TARGET"),
		ValidArgsFunction: c.complete(targetNames),
		RunE: c.ask(func(ctx context.Context, client *admin.Client, args []string) error {
			return c.override(ctx, client, args[0], policy.Drained, f)
		}),
	}
	f.add(cmd)
	return cmd
}

func (c *cli) forceCommand() *cobra.Command {
	var f overrideFlags
	cmd := &cobra.Command{
		Use:   "force TARGET up|down|drained",
		Short: "Say what state a target is in, whatever probes find",
		Long: `Sets the state of a target by hand: "up" where a probe is wrong and traffic must go on, "down" to see what would happen.
It is kept over restarts until its time is over or "undrain" ends it.

` + targetHelp + "\n\n" + thisProcess,
		Example:           `  meridian force web/us-east-1 up --for 1h --reason "health check broken by the last release"`,
		Args:              needs("TARGET", "up, down or drained"),
		ValidArgsFunction: c.complete(targetNames, oneOf("up", "down", "drained")),
		RunE: c.ask(func(ctx context.Context, client *admin.Client, args []string) error {
			var state policy.State
			if err := state.UnmarshalText([]byte(args[1])); err != nil || state == policy.Unknown {
				return badInput("%q is not a state to force: up, down or drained", args[1])
			}
			return c.override(ctx, client, args[0], state, f)
		}),
	}
	f.add(cmd)
	return cmd
}

// override resolves what a person means by name and puts it in force.
func (c *cli) override(ctx context.Context, client *admin.Client, name string, state policy.State, f overrideFlags) error {
	if f.length.given && f.length.Duration <= 0 {
		return badInput("--for %v: a positive time is expected", f.length.Duration)
	}
	target, err := client.Resolve(ctx, name)
	if err != nil {
		return err
	}
	o, err := client.Override(ctx, target, admin.OverrideRequest{
		State: &state, For: embedded.Duration(f.length.Duration), Reason: f.reason, By: operator(),
	})
	if err != nil {
		return err
	}
	err = c.print(o, func(p *printer) {
		until := "until undrain"
		if !o.Until.IsZero() {
			until = "until " + o.Until.Local().Format(time.DateTime)
		}
		p.line("%s is %s (%s), %s", o.Target, p.paint(bold, o.State.String()), plural(o.Endpoints, "endpoint"), until)
	})
	for _, w := range o.Warnings {
		c.warn("%s", w)
	}
	return err
}

// operator is who is named beside an override.
func operator() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// An ended is the outcome of undrain.
type ended struct {
	Target string   `json:"target"`
	Ended  bool     `json:"ended"`             // false: there was nothing to end
	Others []string `json:"inForce,omitempty"` // if so, the targets of what is in force

	Warnings []string `json:"warnings,omitempty"` // what else is in force for its endpoints
}

func (c *cli) undrainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "undrain TARGET",
		Short: "End a drain or a forced state",
		Long: `Ends what "drain" or "force" put in force; from then on probes decide again. It says what else is in force there, and if
there is nothing to end, what is in force at all: an endpoint whose site is drained is not undrained by its own name.

` + targetHelp + "\n\n" + thisProcess,
		Example:           `  meridian undrain us-east`,
		Args:              needs("TARGET"),
		ValidArgsFunction: c.complete(overriddenNames),
		RunE: c.ask(func(ctx context.Context, client *admin.Client, args []string) error {
			target, err := client.Resolve(ctx, args[0])
			if err != nil {
				return err
			}
			e := ended{Target: target.String(), Ended: true}
			done, err := client.EndOverride(ctx, target)
			e.Warnings = done.Warnings
			if refused := (*admin.Error)(nil); errors.As(err, &refused) && refused.Status == http.StatusNotFound {
				e.Ended, e.Others, err = false, overriddenNames(ctx, client, nil), nil
			}
			if err != nil {
				return err
			}
			err = c.print(e, func(p *printer) { printEnded(p, &e) })
			for _, w := range e.Warnings {
				c.warn("%s", w)
			}
			return err
		}),
	}
}

func printEnded(p *printer, e *ended) {
	switch {
	case e.Ended:
		p.line("%s is no longer forced", e.Target)
	case len(e.Others) == 0:
		p.line("%s: there is nothing to end", e.Target)
	default:
		p.line("%s: there is nothing to end; in force is: %s", e.Target, strings.Join(e.Others, ", "))
	}
}
