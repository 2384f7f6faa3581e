package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
)

// Exit codes. A script can tell a mistake in its own words (2) from something that did not work (1), and a process that serves
// but not as it should (3), or a change that would move more than it may (4), from both.
const (
	exitOK       = 0
	exitFailed   = 1
	exitBadInput = 2
	exitDegraded = 3
	exitRefused  = 4
)

// An exitError ends the program with a code. Its message is printed unless it is empty.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func badInput(format string, args ...any) error {
	return &exitError{exitBadInput, fmt.Errorf(format, args...)}
}

// A cli is one call of the program: where it prints, and the flags that every command has.
type cli struct {
	out, err io.Writer
	format   string // "table" or "json"
	address  string // of the admin API
}

// execute runs one command line and returns the exit code. It is the whole program but for the process around it.
func execute(args []string, out, errOut io.Writer) int {
	c := &cli{out: out, err: errOut}
	root := c.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	if err.Error() != "" {
		c.complain(err, c.format == "json" || wantsJSON(args))
	}
	return codeOf(err)
}

// complain prints an error, as JSON for callers that read JSON: {"error": "…"}, and what else an admin.Error has.
func (c *cli) complain(err error, asJSON bool) {
	if !asJSON {
		fmt.Fprintln(c.err, "meridian:", err)
		return
	}
	var e *admin.Error
	var file *configs.Errors
	switch {
	case errors.As(err, &e):
	case errors.As(err, &file):
		e = &admin.Error{Message: plural(file.Total, "problem") + " in the configuration file", Problems: problems(file.Problems)}
	default:
		e = &admin.Error{Message: err.Error()}
	}
	writeJSON(c.err, e) // an error here has nowhere to be said
}

// wantsJSON looks for -o json on a command line that could not be read.
func wantsJSON(args []string) bool {
	for i, a := range args {
		switch a {
		case "-ojson", "-o=json", "--output=json":
			return true
		case "-o", "--output":
			return i+1 < len(args) && args[i+1] == "json"
		}
	}
	return false
}

// codeOf tells what an error means for the caller. What cobra itself reports is a wrong command line.
func codeOf(err error) int {
	if e := (*exitError)(nil); errors.As(err, &e) {
		return e.code
	}
	return exitBadInput
}

// run wraps the work of a command, so that its errors carry their exit code.
func run(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := f(cmd, args)
		switch {
		case err == nil:
			return nil
		case errors.As(err, new(*exitError)):
			return err
		case errors.As(err, new(*configs.Errors)):
			return &exitError{exitBadInput, err}
		}
		if e := (*admin.Error)(nil); errors.As(err, &e) && e.BadInput() {
			return &exitError{exitBadInput, err}
		}
		return &exitError{exitFailed, err}
	}
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "meridian",
		Short: "Sends every client to the endpoint that serves it best, by DNS and at the edge",
		Long: `Meridian answers DNS for the zones you delegate to it, choosing addresses by health, weight and place, and
runs an edge that spreads single requests and HTTP/2 streams over your endpoints.

Try it without any configuration:   meridian dev
Run it:                             meridian serve -c meridian.yaml
See what it does, and why:          meridian status; meridian explain www.example.com

Exit codes: 0 ok, 1 failed, 2 bad input, 3 degraded, 4 refused: a change moves too much.`,
		Version:       versionLine(),
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if c.format != "table" && c.format != "json" {
				return badInput("unknown output format %q: use -o table or -o json", c.format)
			}
			return nil
		},
	}
	root.SetFlagErrorFunc(badFlag)
	flags := root.PersistentFlags()
	flags.StringVarP(&c.format, "output", "o", "table", "how data and errors are printed: table or json")
	address := os.Getenv("MERIDIAN_ADMIN")
	if address == "" {
		address = admin.DefaultListen
	}
	flags.StringVar(&c.address, "admin", address, "HOST:PORT of the running process's admin API (or MERIDIAN_ADMIN)")
	root.RegisterFlagCompletionFunc("output", c.flagChoice(oneOf("table", "json")))
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "look", Title: "Look:"},
		&cobra.Group{ID: "steer", Title: "Steer:"},
	)
	root.AddCommand(
		grouped("run", c.serveCommand()), grouped("run", c.devCommand()), grouped("run", c.probeCommand()), grouped("run", c.checkCommand()),
		grouped("run", c.reloadCommand()), grouped("run", c.demoCommand()),
		grouped("look", c.statusCommand()), grouped("look", c.explainCommand()), grouped("look", c.eventsCommand()), grouped("look", c.simulateCommand()), grouped("look", c.geoCommand()),
		grouped("look", c.demandCommand()),
		grouped("run", c.planCommand()),
		grouped("run", c.applyCommand()), grouped("run", c.rollbackCommand()),
		grouped("look", c.answersCommand()),
		grouped("steer", c.drainCommand()), grouped("steer", c.undrainCommand()), grouped("steer", c.forceCommand()),
		grouped("steer", c.registerCommand()), grouped("steer", c.deregisterCommand()), grouped("steer", c.heartbeatCommand()),
		grouped("steer", c.confirmCommand()), c.consulCommand(),
		c.schemaCommand(), c.versionCommand(),
	)
	strict(root)
	return root
}

// onlyParent is what a command does that is nothing without one of its subcommands: help, or an error if the word is none of them.
func onlyParent(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return badInput("unknown command %q for %q (did you mean %s?)", args[0], cmd.CommandPath(), near[0])
	}
	return badInput("unknown command %q for %q", args[0], cmd.CommandPath())
}

// strict makes cobra's own commands refuse words they do not know, as all others do. They exist only after Init….
func strict(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "completion":
			cmd.Args, cmd.RunE = nil, onlyParent
		case "help":
			cmd.Run = nil
			cmd.RunE = func(_ *cobra.Command, args []string) error {
				about, rest, err := root.Find(args)
				if err != nil || len(rest) > 0 && about == root {
					return badInput("no help about %q: there is no such command", args[0])
				}
				return about.Help()
			}
		}
	}
}

func grouped(id string, cmd *cobra.Command) *cobra.Command {
	cmd.GroupID = id
	return cmd
}

// client speaks with the running process.
func (c *cli) client() (*admin.Client, error) {
	client, err := admin.NewClient(c.address)
	if err != nil {
		return nil, &exitError{exitBadInput, err}
	}
	return client, nil
}

// ask wraps the work of a command that speaks with the running process; ctx bounds how long it waits.
func (c *cli) ask(f func(ctx context.Context, client *admin.Client, args []string) error) func(*cobra.Command, []string) error {
	return c.askFor(15*time.Second, f)
}

// askFor is ask for what may take a given time.
func (c *cli) askFor(most time.Duration, f func(ctx context.Context, client *admin.Client, args []string) error) func(*cobra.Command, []string) error {
	return run(func(cmd *cobra.Command, args []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), most)
		defer cancel()
		return f(ctx, client, args)
	})
}

// warn says on standard error what the caller should know although the command did its work. JSON has it in the data.
func (c *cli) warn(format string, args ...any) {
	if c.format != "json" {
		p := &printer{w: c.err, color: colorful(c.err)}
		p.line("meridian: %s %s", p.paint(yellow, "warning:"), clean(fmt.Sprintf(format, args...)))
	}
}

// flagChoice completes the value of a flag.
func (c *cli) flagChoice(of choice) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		return c.complete(of)(cmd, nil, word)
	}
}
