package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
)

// checked is what `check` says of one file.
type checked struct {
	File     string            `json:"file"`
	OK       bool              `json:"ok"`
	Error    string            `json:"error,omitempty"` // why the file could not be read
	Errors   *configs.Errors   `json:"errors,omitempty"`
	Warnings []configs.Problem `json:"warnings,omitempty"`
	Notes    []string          `json:"notes,omitempty"` // what may surprise, though it is allowed and often meant
	Summary  string            `json:"summary,omitempty"`
}

// forgets says what ends with a process of this configuration, "" if nothing that matters does.
func forgets(cfg *configs.Config) string {
	if cfg.State != "" || len(cfg.Definition.Policy.Services) == 0 {
		return ""
	}
	return `there is no "state": drains, forced states and registrations end with the process; to keep them, name a directory, as in "state: /var/lib/meridian"`
}

func (c *cli) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Say everything that is wrong with a configuration file",
		Long: `Reads files as "serve" and "reload" do and prints every problem with its line, column and, where a word was
probably misspelt, the word that was meant. It touches no running process, network or state. The exit code is 2 if anything is wrong.`,
		Example:           `  meridian check meridian.yaml`,
		Args:              needsSome("FILE"),
		ValidArgsFunction: files(100),
		RunE: run(func(_ *cobra.Command, args []string) error {
			var results []checked
			var failed error
			for _, file := range args {
				r := checked{File: file}
				cfg, err := loadFile(file)
				switch {
				case err == nil:
					r.OK, r.Warnings, r.Summary = true, cfg.Warnings, summary(cfg)
					if note := forgets(cfg); note != "" {
						r.Notes = append(r.Notes, note)
					}
				case !errors.As(err, &r.Errors):
					r.Error = strings.TrimPrefix(err.Error(), "configs: ")
				}
				if !r.OK {
					failed = &exitError{code: exitBadInput}
				}
				results = append(results, r)
			}
			err := c.print(results, func(p *printer) {
				for _, r := range results {
					if r.Error != "" {
						p.line("%s", p.paint(red, r.Error))
						continue
					}
					if !r.OK {
						p.line("%s", r.Errors.Error())
						p.line("%s", p.paint(red, fmt.Sprintf("%s: %s", r.File, plural(r.Errors.Total, "problem"))))
						continue
					}
					for _, w := range r.Warnings {
						p.line("%s %s", p.paint(yellow, "warning:"), w.String())
					}
					for _, note := range r.Notes {
						p.line("note: %s", note)
					}
					p.line("%s %s", p.paint(green, r.File+": ok:"), r.Summary)
				}
			})
			return errors.Join(err, failed)
		}),
	}
}

func summary(cfg *configs.Config) string {
	d, endpoints, records := cfg.Definition, 0, 0
	for _, s := range d.Policy.Services {
		endpoints += len(s.Endpoints)
	}
	for _, z := range cfg.Compiled.Zones().Zones() {
		records += z.Len()
	}
	return fmt.Sprintf("%s, %s, %s, %s with %s, %s", plural(len(d.Policy.Sites), "site"), plural(len(d.Policy.Services), "service"),
		plural(endpoints, "endpoint"), plural(len(d.Zones), "zone"), plural(records, "name"), plural(len(d.Routes), "route"))
}

func (c *cli) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Put the changed configuration file in force, or say why not",
		Long: `Tells the running process to read its configuration file again, and waits for the outcome. It is all or nothing:
with any problem in the file nothing changes, the problems are printed with their lines, and the exit code is 2.`,
		Args: needs(),
		RunE: c.ask(func(ctx context.Context, client *admin.Client, _ []string) error {
			r, err := client.Reload(ctx)
			if err != nil {
				return err
			}
			return c.print(r, func(p *printer) {
				for _, w := range r.Warnings {
					p.line("%s %s", p.paint(yellow, "warning:"), w.Text)
				}
				if r.Instead != 0 {
					p.line("%s %s is as it was when generation %d took its place, which goes on serving until the file changes", p.paint(yellow, "warning:"), r.File, r.Instead)
				}
				p.line("%s: generation %d is in force", r.File, r.Generation)
			})
		}),
	}
}

func (c *cli) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration file, for editors",
		Long: `Prints the JSON Schema of the configuration file. Editors with a YAML language server complete keys and mark mistakes
when the file's first line names the schema:

  # yaml-language-server: $schema=meridian.schema.json`,
		Example: `  meridian schema > meridian.schema.json`,
		Args:    needs(),
		RunE: run(func(*cobra.Command, []string) error {
			_, err := c.out.Write(configs.Schema())
			return err
		}),
	}
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  needs(),
		RunE: run(func(*cobra.Command, []string) error {
			v := struct {
				Version  string `json:"version"`
				Revision string `json:"revision,omitempty"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{version, revision(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return c.print(v, func(p *printer) { p.line("%s", versionLine()) })
		}),
	}
}

// versionLine is the version for people.
func versionLine() string {
	return fmt.Sprintf("meridian %s (%s, %s/%s)", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// revision is the commit that the binary was built from, if Go recorded one.
func revision() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return ""
}

func (c *cli) demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Stop and start the backends of a running dev",
		Long: `Stops and starts the backends of a running "meridian dev", as if a machine went down and came back: the port closes,
probes notice, answers move. Nothing tells Meridian but its probes.`,
		Example: `  meridian demo stop us-east-1
  meridian demo start us-east-1
  meridian demo list`,
		RunE: onlyParent,
	}
	change := func(use, short string, run bool) *cobra.Command {
		return &cobra.Command{
			Use: use + " NAME...", Short: short, Args: needsSome("NAME"), ValidArgsFunction: c.completeEach(backendsThat(!run)),
			Example: "  meridian demo " + use + " us-east-1",
			RunE: c.ask(func(ctx context.Context, client *admin.Client, args []string) error {
				list := make([]admin.Backend, len(args))
				for i, name := range args {
					var err error
					if list[i], err = client.SwitchBackend(ctx, name, run); err != nil {
						return err
					}
				}
				return c.printBackends(list)
			}),
		}
	}
	cmd.AddCommand(change("stop", "Stop backends", false), change("start", "Start backends", true), &cobra.Command{
		Use: "list", Short: "List the backends", Args: needs(),
		RunE: c.ask(func(ctx context.Context, client *admin.Client, _ []string) error {
			list, err := client.Backends(ctx)
			if err != nil {
				return err
			}
			return c.printBackends(list)
		}),
	})
	return cmd
}

func (c *cli) printBackends(list []admin.Backend) error {
	return c.print(list, func(p *printer) {
		var rows [][]string
		for _, s := range list {
			what := "stopped"
			if s.Running {
				what = "running"
			}
			rows = append(rows, []string{s.Name, s.Address, what, strconv.FormatUint(s.Requests, 10)})
		}
		p.table([]string{"BACKEND", "ADDRESS", "STATE", "REQUESTS"}, rows)
	})
}
