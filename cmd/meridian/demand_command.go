package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/demand"
)

func (c *cli) demandCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "demand [NAME]",
		Short: "Show who asks for steered names, and how often",
		Long: `Shows what the running process remembers of who asks: steered names (of those that a wildcard answers, the wildcard), types,
the networks of clients (IPv4 /24, IPv6 /56) and queries a second, averaged over about the last hour, recent ones counting more. "plan" and
"apply" send it through a new configuration.

It is a sketch in fixed memory: large networks are counted nearly exactly, of many small ones there is a sample that stands for all. It is the
view of one process, and begins anew when that does.`,
		Example: `  meridian demand
  meridian demand www.gslb.example --limit 100
  meridian demand -o json > demand.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			return needs()(cmd, args)
		},
		RunE: c.ask(func(ctx context.Context, client *admin.Client, args []string) error {
			if limit < 1 {
				return badInput("--limit %d: want 1 or more", limit)
			}
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			r, err := client.Demand(ctx, name, limit)
			if err != nil {
				return err
			}
			return c.print(r, func(p *printer) { printDemand(p, &r) })
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "show the largest so many")
	return cmd
}

func printDemand(p *printer, r *demand.Report) {
	sample := ""
	if r.Full {
		sample = ", small ones a sample"
	}
	p.line("%.4g queries/s for steered names, over %s, from %d names and networks%s", r.Queries, (time.Duration(r.Window) * time.Second).String(), r.Keys, sample)
	var rows [][]string
	for _, e := range r.Entries {
		rows = append(rows, []string{e.Name, e.Type, e.Client.String(), fmt.Sprintf("%.4g", e.Queries), percent(e.Queries / r.Queries)})
	}
	p.section([]string{"NAME", "TYPE", "CLIENT", "QUERIES/S", "SHARE"}, rows)
}
