package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
	"github.com/meridian-gslb/meridian/demand"
	"github.com/meridian-gslb/meridian/forecast"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/simulate"
)

// changeTime is how long a plan or a change may take: a million names are read and asked for.
const changeTime = time.Minute

// changeFlags are what plan and apply have in common.
type changeFlags struct {
	log, clients string
	capacity     []string
	maxMove      part
	force        bool
}

func (f *changeFlags) add(cmd *cobra.Command, forced string) {
	f.maxMove = admin.DefaultMaxMove
	flags := cmd.Flags()
	flags.StringVar(&f.log, "log", "", "who asks: a log of queries, CSV time,name,type,client,count (default: who asked the process in the last hour)")
	flags.StringVar(&f.clients, "clients", "", "who asks: the clients of a scenario of simulate, for the names of its service; its capacities count, too")
	flags.StringSliceVar(&f.capacity, "capacity", nil, "queries a second that sites can take, such as eu-west=20000,us-east=15000")
	flags.Var(&f.maxMove, "max-move", "the share of the queries that may go elsewhere")
	flags.BoolVar(&f.force, "force", false, forced)
	cmd.MarkFlagFilename("log", "csv")
	cmd.MarkFlagFilename("clients", "yaml", "yml")
	cmd.MarkFlagsMutuallyExclusive("log", "clients")
}

// A part is a flag's part of a whole: "20%" or "0.2".
type part float64

// Set implements pflag.Value.
func (s *part) Set(text string) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		x /= 100
	}
	if err != nil || !(x >= 0 && x <= 1) {
		return fmt.Errorf("%q is no share: write 20%% or 0.2", text)
	}
	*s = part(x)
	return nil
}

// String implements pflag.Value.
func (s *part) String() string { return fmt.Sprintf("%.4g%%", 100*float64(*s)) }

// Type implements pflag.Value.
func (s *part) Type() string { return "share" }

// named returns the configuration that a command line names; "" = that of the process.
func named(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return ""
}

// change returns the Change that a command line asks for. file is the configuration as it was named; "" = that of the process.
func (f *changeFlags) change(file string) (c admin.Change, err error) {
	limit := float64(f.maxMove)
	c = admin.Change{MaxMove: &limit, Force: f.force, Capacity: map[string]float64{}}
	if file != "" {
		if c.File, err = filepath.Abs(file); err != nil {
			return c, err
		}
	}
	switch {
	case f.log != "":
		c.Demand, err = readLog(f.log)
	case f.clients != "":
		err = f.population(&c, file)
	}
	if err != nil {
		return c, err
	}
	for _, word := range f.capacity {
		site, text, _ := strings.Cut(word, "=")
		q, err := strconv.ParseFloat(text, 64)
		if err != nil || !(q > 0) || math.IsInf(q, 0) {
			return c, badInput("--capacity %q: want SITE=QUERIES, such as eu-west=20000", word)
		}
		c.Capacity[site] = q
	}
	return c, nil
}

// readLog reads a log of queries.
func readLog(name string) (*demand.Report, error) {
	in, err := os.Open(name)
	if err != nil {
		return nil, badInput("%v", err)
	}
	defer in.Close()
	r, err := demand.ReadLog(in)
	if err != nil {
		return nil, badInput("%s: %s", name, strings.TrimPrefix(err.Error(), "demand: "))
	}
	return &r, nil
}

// population takes the clients and capacities of a scenario.
func (f *changeFlags) population(c *admin.Change, file string) error {
	if file == "" {
		return badInput("--clients needs the configuration by name: NEW-CONFIG")
	}
	s, err := configs.ReadScenario(f.clients, file)
	if err != nil {
		return &exitError{exitBadInput, err}
	}
	cfg, err := loadFile(file)
	if err != nil {
		return err
	}
	r := forecast.Population(alone(cfg), s.Service, s.Clients)
	if len(r.Entries) == 0 {
		return badInput("%s: no name is answered by service %s", file, s.Service)
	}
	c.Demand = &r
	for _, x := range s.Capacity {
		c.Capacity[x.Site] = x.Queries
	}
	return nil
}

// alone is the state of a configuration of which everything is up.
func alone(cfg *configs.Config) *registry.Snapshot {
	return registry.New(registry.Options{Log: slog.New(slog.DiscardHandler)}).Preview(cfg.Compiled)
}

func (c *cli) planCommand() *cobra.Command {
	var f changeFlags
	var against string
	cmd := &cobra.Command{
		Use:   "plan [NEW-CONFIG]",
		Short: "Say what a changed configuration would do to those who ask",
		Long: `Sends those who ask through what serves and through a new configuration, by the code that answers DNS, and shows where
they go: the share of each site before and after, against its capacity, the names and the regions that move. It changes nothing. Without
NEW-CONFIG it looks at the file of the running process as it is now.

Who asks is what the process remembers (see "demand"), or a log, or the clients of a scenario. What serves has the health of endpoints and what
registered; with --against, two files are compared without a running process (but for who asks), and everything counts as up. NEW-CONFIG has to
be on the machine of the process, and belong to the owner of its file.

The exit code is 4 if more moves than --max-move says, unless --force is given.`,
		Example: `  meridian plan /etc/meridian/meridian.yaml
  meridian plan new.yaml --max-move 5% --capacity eu-west=20000
  meridian plan new.yaml --against old.yaml --log queries.csv
  meridian plan new.yaml --against old.yaml --clients scenario.yaml -o json`,
		ValidArgsFunction: files(1),
		Args:              atMostOne("NEW-CONFIG"),
	}
	cmd.RunE = run(func(cmd *cobra.Command, args []string) error {
		file := named(args)
		change, err := f.change(file)
		if err != nil {
			return err
		}
		var p admin.Plan
		if against != "" {
			p, err = c.planFiles(cmd, against, file, change)
		} else {
			err = c.askFor(changeTime, func(ctx context.Context, client *admin.Client, _ []string) (err error) {
				p, err = client.Plan(ctx, change)
				return err
			})(cmd, args)
		}
		if err != nil {
			return err
		}
		if err := c.print(p, func(out *printer) { printPlan(out, &p) }); err != nil {
			return err
		}
		if p.Refused != "" && !f.force {
			return &exitError{code: exitRefused}
		}
		return nil
	})
	f.add(cmd, "exit with 0 whatever moves")
	cmd.Flags().StringVar(&against, "against", "", "compare with this configuration instead of what serves")
	cmd.MarkFlagFilename("against", "yaml", "yml")
	return cmd
}

// atMostOne refuses a command line with more than the one argument that may be there.
func atMostOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return needs(name)(cmd, args)
	}
}

// planFiles compares two files. The running process is asked for the demand, unless there is one.
func (c *cli) planFiles(cmd *cobra.Command, old, file string, change admin.Change) (p admin.Plan, err error) {
	if file == "" {
		return p, badInput("--against compares two files: NEW-CONFIG is missing")
	}
	before, err := loadFile(old)
	if err != nil {
		return p, err
	}
	after, err := loadFile(file)
	if err != nil {
		return p, err
	}
	if change.Demand == nil {
		err := c.ask(func(ctx context.Context, client *admin.Client, _ []string) error {
			d, err := client.Demand(ctx, "", 0)
			change.Demand = &d
			return err
		})(cmd, nil)
		if err != nil {
			return p, fmt.Errorf("who asks? give --log or --clients, or let a process run: %w", err)
		}
	}
	f, err := foretell(alone(before), alone(after), *change.Demand, change.Capacities())
	if err != nil {
		return p, badInput("%v", err)
	}
	return admin.Plan{File: file, Against: old, Same: before.Text() == after.Text(), Forecast: f, Limit: change.Limit(), Refused: tooMuch(f, change.Limit()),
		Warnings: problems(after.Warnings)}, nil
}

// maxRows is how many names, and how many regions, a person is shown.
const maxRows = 12

func printPlan(p *printer, x *admin.Plan) {
	for _, w := range x.Warnings {
		p.line("%s %s", p.paint(yellow, "warning:"), w.Text)
	}
	p.line("%s against %s", p.paint(bold, clean(x.File)), clean(x.Against))
	if x.Same {
		p.line("  the text is the same")
	}
	f := x.Forecast
	if f == nil {
		p.line("  nobody has asked yet, so nothing can be said of what moves (--log or --clients can say who asks)")
		return
	}
	p.line("  %.4g queries/s, %d names and networks", f.Queries, f.Clients)
	var rows [][]string
	for _, s := range f.Sites {
		capacity, used := "-", "-"
		if s.Capacity > 0 {
			capacity, used = fmt.Sprintf("%.6g", s.Capacity), percent(s.Queries[1]/s.Capacity)
			if s.Over {
				used += " above it"
			}
		}
		rows = append(rows, []string{s.Site, percent(s.Shares[0]), percent(s.Shares[1]), points(s.Shares), fmt.Sprintf("%.4g", s.Queries[1]), capacity, used})
	}
	if f.Unanswered != [2]float64{} {
		rows = append(rows, []string{simulate.NoPlace, percent(f.Unanswered[0]), percent(f.Unanswered[1]), points(f.Unanswered), "-", "-", "-"})
	}
	p.section([]string{"SITE", "BEFORE", "AFTER", "CHANGE", "QUERIES/S", "CAPACITY", "USED"}, rows)

	rows = nil
	for _, n := range f.Names[:min(len(f.Names), maxRows)] {
		rows = append(rows, []string{n.Name, n.Type, fmt.Sprintf("%.4g", n.Queries), percent(n.Moved), percent(n.Lost)})
	}
	p.section([]string{"NAME", "TYPE", "QUERIES/S", "MOVES", "LOST"}, rows)
	p.more(len(f.Names) - len(rows))

	rows = nil
	for _, r := range f.Regions[:min(len(f.Regions), maxRows)] {
		rows = append(rows, []string{r.Region, fmt.Sprintf("%.4g", r.Queries), percent(r.Moved), r.From, r.To})
	}
	p.section([]string{"REGION", "QUERIES/S", "MOVES", "FROM", "TO"}, rows)
	p.more(len(f.Regions) - len(rows))

	p.line("")
	p.line("  %.1f %% of the queries move (%.1f %% to another endpoint), %.1f %% lose their answer; failing open: %.1f %% before, %.1f %% after",
		100*f.Moved, 100*f.Endpoints, 100*f.Lost, 100*f.FailedOpen[0], 100*f.FailedOpen[1])
	if x.Refused != "" {
		p.line("  %s %s (--max-move, --force)", p.paint(red, "refused:"), x.Refused)
	}
}

// more says how many rows a person is not shown.
func (p *printer) more(n int) {
	if n > 0 {
		p.line("  and %d more (-o json shows all)", n)
	}
}

// points shows the difference of two shares.
func points(shares [2]float64) string { return fmt.Sprintf("%+.1f", 100*(shares[1]-shares[0])) }
