package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/configs"
	"github.com/meridian-gslb/meridian/simulate"
)

func (c *cli) simulateCommand() *cobra.Command {
	var config, picture string
	var endpoints, asJSON bool
	cmd := &cobra.Command{
		Use:   "simulate SCENARIO",
		Short: "Play a scenario, and say where the clients go",
		Long: `Plays a scenario file against a configuration file: sites fail and come back, weights change, time passes, and at every step
each of many clients asks. Every answer is made by the code that answers DNS. It prints the share of the queries at each site, step by step, what
failed open, how many clients moved, and the peak of each site against its capacity; --svg draws it.

The clients are drawn from the networks of the configuration, or read from a file. All dice follow from the scenario's seed: the same files
give the same output. No running process is asked, and none changes. The format is in docs/simulate.md.`,
		Example: `  meridian simulate site-fails.yaml
  meridian simulate site-fails.yaml -c meridian.yaml --svg site-fails.svg
  meridian simulate canary.yaml -o json | jq '.steps[-1].endpoints'`,
		Args:              needs("SCENARIO"),
		ValidArgsFunction: files(1),
		PreRun: func(*cobra.Command, []string) {
			if asJSON {
				c.format = "json"
			}
		},
		RunE: run(func(_ *cobra.Command, args []string) error {
			s, err := configs.ReadScenario(args[0], config)
			if err != nil {
				return &exitError{exitBadInput, err}
			}
			series, err := simulate.Run(s.World, s.Scenario, s.Clients)
			if err != nil {
				return &exitError{exitBadInput, err}
			}
			by := series.By() || simulate.By(endpoints)
			if picture != "" {
				if err := os.WriteFile(picture, simulate.Chart(series, by), 0o666); err != nil {
					return err
				}
			}
			return c.print(series, func(p *printer) { printSeries(p, series, by) })
		}),
	}
	cmd.Flags().StringVarP(&config, "config", "c", "", "configuration to simulate (default: the one that the scenario names)")
	cmd.Flags().StringVar(&picture, "svg", "", "draw the shares over time into this file")
	cmd.Flags().BoolVar(&endpoints, "endpoints", false, "show shares of endpoints, not of sites, also if there are several")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the same as -o json")
	cmd.MarkFlagFilename("config", "yaml", "yml")
	cmd.MarkFlagFilename("svg", "svg")
	return cmd
}

// printSeries shows a Series step by step, then the peaks.
func printSeries(p *printer, s *simulate.Series, by simulate.By) {
	p.line("%s", p.paint(bold, clean(s.Title)))
	p.line("  service %s, policy %s, %s, %.6g queries/s, %s of %s", s.Service, s.Policy, plural(s.Clients, "client"), s.Queries,
		plural(len(s.Steps), "step"), simulate.Span(s.Step))

	head := []string{"TIME"}
	for _, site := range s.Sites {
		if by == simulate.BySite {
			head = append(head, strings.ToUpper(simulate.SiteName(site)))
		}
	}
	if by == simulate.ByEndpoint {
		for _, e := range s.Targets {
			head = append(head, strings.ToUpper(e))
		}
	}
	var open, unanswered bool
	for _, st := range s.Steps {
		open, unanswered = open || st.FailedOpen > 0, unanswered || st.Unanswered > 0
	}
	if open {
		head = append(head, "FAIL OPEN")
	}
	if unanswered {
		head = append(head, "NO ANSWER")
	}
	head = append(head, "MOVED", "EVENTS")

	rows := make([][]string, 0, len(s.Steps))
	for i, st := range s.Steps {
		shares := st.Sites
		if by == simulate.ByEndpoint {
			shares = st.Endpoints
		}
		row := []string{s.When(st.At)}
		for _, share := range shares {
			row = append(row, percent(share))
		}
		if open {
			row = append(row, percent(st.FailedOpen))
		}
		if unanswered {
			row = append(row, percent(st.Unanswered))
		}
		moved := "-"
		switch {
		case i > 0 && by == simulate.ByEndpoint:
			moved = strconv.Itoa(st.Moved)
		case i > 0:
			moved = strconv.Itoa(st.MovedSite)
		}
		rows = append(rows, append(row, moved, strings.Join(st.Events, ", ")))
	}
	p.section(head, rows)

	var peaks [][]string
	for _, x := range s.Peaks {
		capacity, used, over := "-", "-", "-"
		if x.Capacity > 0 {
			capacity, used = fmt.Sprintf("%.6g", x.Capacity), percent(x.Queries/x.Capacity)
			if x.Over > 0 {
				over = "for " + simulate.Span(x.Over)
			}
		}
		peaks = append(peaks, []string{simulate.SiteName(x.Site), fmt.Sprintf("%.6g", x.Queries), s.When(x.At), capacity, used, over})
	}
	p.section([]string{"SITE", "PEAK QUERIES/S", "AT", "CAPACITY", "USED", "ABOVE IT"}, peaks)
}

// percent shows a share.
func percent(share float64) string { return fmt.Sprintf("%5.1f %%", 100*share) }
