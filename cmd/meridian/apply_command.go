package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
	"github.com/meridian-gslb/meridian/generations"
	"github.com/meridian-gslb/meridian/registry/store"
)

func (c *cli) applyCommand() *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use:   "apply [NEW-CONFIG]",
		Short: "Put a changed configuration in force, if it does what it should",
		Long: `Checks a configuration, says what it does to those who ask (see "plan"), puts it in force in the running process, asks that for
the names that are asked for most and for steered names, and goes back to the old configuration by itself if one of them is answered worse than
before: not at all, with SERVFAIL, or with nothing. Without NEW-CONFIG it is the file of the process.

It is refused with exit code 4 if more would move than --max-move says, unless --force is given. If it went back, the exit code is 1.

A NEW-CONFIG that is another file than that of the process is in force over restarts, until the file of the process changes and is reloaded. The last
five configurations are kept: see "rollback".`,
		Example: `  meridian apply
  meridian apply new.yaml --max-move 5%
  meridian apply new.yaml --force`,
		ValidArgsFunction: files(1),
		Args:              atMostOne("NEW-CONFIG"),
	}
	cmd.RunE = run(func(cmd *cobra.Command, args []string) error {
		change, err := f.change(named(args))
		if err != nil {
			return err
		}
		return c.askFor(changeTime, func(ctx context.Context, client *admin.Client, _ []string) error {
			a, err := client.Apply(ctx, change)
			e := (*admin.Error)(nil)
			if errors.As(err, &e) && e.Applied != nil {
				if c.format != "json" { // else it is in the error
					printApplied(&printer{w: c.out, color: colorful(c.out)}, e.Applied)
				}
				if e.Applied.Plan.Refused != "" && !f.force {
					return &exitError{exitRefused, err}
				}
				return &exitError{exitFailed, err}
			}
			if err != nil {
				return err
			}
			return c.print(a, func(p *printer) { printApplied(p, &a) })
		})(cmd, args)
	})
	f.add(cmd, "apply it whatever moves")
	return cmd
}

func printApplied(p *printer, a *admin.Applied) {
	printPlan(p, &a.Plan)
	if a.Canaries.Asked > 0 {
		p.line("  %d canary queries, %d answered worse than before", a.Canaries.Asked, a.Canaries.Total)
	}
	for _, f := range a.Canaries.Failed {
		p.line("    %s", p.paint(red, f))
	}
	if a.Applied {
		kept := "it is not kept: the configuration names no directory for that (state)"
		if a.Generation != 0 {
			kept = fmt.Sprintf("kept as generation %d", a.Generation)
		}
		p.line("%s %s", p.paint(green, "applied;"), kept)
	}
}

func (c *cli) rollbackCommand() *cobra.Command {
	var list bool
	var to uint64
	var state, file string
	cmd := &cobra.Command{
		Use:   "rollback [--to GENERATION | --list]",
		Short: "Go back to a configuration that was in force before",
		Long: `Puts the configuration in force again that was before the present one, or the one that --to names, and --list lists. The last
five are kept in the state directory. Data files (zones, networks, geo databases) are read as they are now.

The configuration file stays as it is, and the generation serves in its place, over restarts, until the file changes and is reloaded. So a rollback
holds while somebody puts the file right.

It asks the running process. If none runs, -c names the configuration file, or --state the state directory, and it is in force when a process
starts: also if the file is broken.`,
		Example: `  meridian rollback
  meridian rollback --list
  meridian rollback --to 7
  meridian rollback -c /etc/meridian/meridian.yaml`,
		Args: needs(),
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			if file != "" || state != "" {
				d, err := openKept(file, state)
				if err != nil {
					return err
				}
				if list {
					return c.printGenerations(listKept(d.dir, d.inForce, slog.New(slog.NewTextHandler(c.err, nil))))
				}
				r, err := d.rollback(to)
				if err != nil {
					return err
				}
				return c.printRolledBack(r)
			}
			return c.ask(func(ctx context.Context, client *admin.Client, _ []string) error {
				if list {
					all, err := client.Generations(ctx)
					if err != nil {
						return orOffline(err)
					}
					return c.printGenerations(all)
				}
				r, err := client.Rollback(ctx, to)
				if err != nil {
					return orOffline(err)
				}
				return c.printRolledBack(r)
			})(cmd, nil)
		}),
	}
	cmd.Flags().BoolVar(&list, "list", false, "list what is kept")
	cmd.Flags().Uint64Var(&to, "to", 0, "the generation to go back to (default: the one before the one in force)")
	cmd.Flags().StringVarP(&file, "config", "c", "", "no process runs: the configuration file, which names the state directory")
	cmd.Flags().StringVar(&state, "state", "", "no process runs: the state directory")
	cmd.MarkFlagFilename("config", "yaml", "yml")
	cmd.MarkFlagDirname("state")
	cmd.MarkFlagsMutuallyExclusive("config", "state")
	cmd.MarkFlagsMutuallyExclusive("list", "to")
	return cmd
}

// orOffline adds to an error that no process was reached what could be done without one.
func orOffline(err error) error {
	if errors.As(err, new(*admin.Error)) {
		return err
	}
	return fmt.Errorf("%w; if none runs, name its configuration file with -c, or its state directory with --state", err)
}

func (c *cli) printGenerations(list []admin.Generation) error {
	return c.print(list, func(p *printer) {
		if len(list) == 0 {
			p.line("no configuration is kept yet")
		}
		var rows [][]string
		for _, g := range list {
			state := ""
			if g.InForce {
				state = "in force"
			}
			rows = append(rows, []string{fmt.Sprint(g.Generation), g.Time.Local().Format(time.DateTime), g.How, g.File, state})
		}
		p.table([]string{"GENERATION", "SINCE", "BY", "FILE", ""}, rows)
	})
}

func (c *cli) printRolledBack(r admin.RolledBack) error {
	return c.print(r, func(p *printer) {
		for _, w := range r.Warnings {
			p.line("%s %s", p.paint(yellow, "warning:"), w.Text)
		}
		when := "is in force"
		if r.Snapshot == 0 {
			when = "will be in force when a process starts"
		}
		p.line("generation %d %s, in the place of the file until that changes", r.Generation, when)
	})
}

// An offline is what is kept of a process that does not run.
type offline struct {
	dir     *generations.Dir
	state   string
	own     string // its configuration file
	text    string // of own; "" if that cannot be read
	inForce uint64 // what would serve if it were started now; 0 = what is not kept
	before  uint64 // generations with a lower number are before it
}

// openKept looks at what is kept of a process that does not run: of a configuration file, or in a state directory.
func openKept(file, state string) (d *offline, err error) {
	d = &offline{state: state, own: absolute(file)}
	if file != "" {
		if d.text, d.state, err = configs.Glance(d.own); err != nil {
			return nil, &exitError{exitBadInput, err}
		}
		if d.state == "" {
			return nil, badInput("%s names no state directory, so nothing is kept", file)
		}
	}
	d.state = absolute(d.state)
	if store.InUse(d.state) {
		return nil, fmt.Errorf("a process runs on %s: leave out -c and --state, and name it with --admin", d.state)
	}
	d.dir = generations.In(d.state)
	list, _ := d.dir.List()
	if len(list) == 0 {
		return d, nil
	}
	last := list[len(list)-1]
	if file == "" {
		d.own = last.Own
		d.text, _, _ = configs.Glance(d.own) // if it is gone, whatever stands there later is another text
	}
	d.before = last.Number + 1
	if pin, err := d.dir.Pinned(); err == nil && pin.Instead == generations.Sum(d.text) {
		d.inForce, d.before = pin.Generation, pin.Generation
	} else if last.Text == d.text {
		d.inForce, d.before = last.Number, last.Number
	}
	return d, nil
}

// rollback makes a generation serve when the process starts; 0 = the one before the one that would, or the last if that is none that is kept.
func (d *offline) rollback(to uint64) (r admin.RolledBack, err error) {
	g, err := pick(d.dir, d.before, to)
	if err != nil {
		return r, err
	}
	cfg, err := loadKept(g.File, g, d.state)
	if err != nil {
		return r, &exitError{exitBadInput, err}
	}
	if err := pin(d.dir, d.own, g.Number, g.Text, "rollback"); err != nil {
		return r, err
	}
	return admin.RolledBack{Generation: g.Number, From: d.inForce, Warnings: problems(cfg.Warnings)}, nil
}
