package main

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/probes/quorum"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

// verdict says why an endpoint is believed to be in its state.
func (n *node) verdict(endpoint string) (admin.VerdictStatus, bool) {
	row, epoch, ok := n.council.Row(endpoint)
	if !ok {
		return admin.VerdictStatus{}, false
	}
	v := admin.VerdictStatus{Rule: row.Rule.String(), State: row.State, Since: moment(epoch, row.Since), Why: row.Why, Stopped: row.Stopped, Votes: []admin.VoteStatus{}}
	if held := moment(epoch, row.Until); held.After(time.Now()) {
		v.Held = held
	}
	for _, x := range row.Votes {
		v.Votes = append(v.Votes, admin.VoteStatus{
			Prober: x.Prober, State: x.Vote.State, Failing: x.Vote.Failing, Counts: x.Silence == "", Why: x.Silence,
			Checked: moment(epoch, x.Vote.Checked), Latency: embedded.Duration(x.Vote.Latency),
		})
	}
	return v, true
}

// moment returns the time that lies so long after an epoch; zero for never.
func moment(epoch time.Time, after time.Duration) time.Time {
	if after == 0 {
		return time.Time{}
	}
	return epoch.Add(after).Round(0).UTC()
}

// probers says who checks endpoints.
func (n *node) probers() []admin.ProberStatus {
	list, epoch := n.council.Probers()
	out := make([]admin.ProberStatus, len(list))
	for i, p := range list {
		out[i] = admin.ProberStatus{
			Name: p.Name, Site: p.Site, Region: p.Region, Self: p.Self, State: p.State(), Why: p.Suspect, Heard: moment(epoch, p.Heard),
			Targets: p.Targets, Failing: p.Failing, Lost: p.Lost,
		}
		if out[i].State == quorum.Gone {
			out[i].Why = "nothing new is heard of it"
		}
	}
	return out
}

// redis says how what carries the probers' reports is.
func (n *node) redis() *admin.LinkStatus {
	s := n.link.Status()
	return &admin.LinkStatus{Up: s.Up, Since: s.Since, Exchanged: s.Exchanged, Trouble: s.Trouble, Refused: s.Refused}
}

// whyOf says in few words why an endpoint is in its state: what stops it from changing, whose votes decided, or how this node's last
// check failed.
func whyOf(v *admin.VerdictStatus, trouble string) string {
	switch {
	case v.Stopped != "":
		return cmp.Or(trouble, v.Why) + "; stays: " + v.Stopped
	case len(v.Votes) > 1:
		if trouble != "" {
			return v.Why + "; here: " + trouble
		}
		return v.Why
	}
	return trouble
}

func (c *cli) eventsCommand() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "events [--follow]",
		Short: "Show what changed, when and why",
		Long: `Shows what happened in the running process, oldest first: endpoints that went up, down or were drained, probers that came, went or
fell under suspicion, Redis that came or went. The last 1000 are remembered, until the process ends.`,
		Example: `  meridian events
  meridian events --follow -o json`,
		Args: needs(),
	}
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		for after := uint64(0); ; {
			ctx, cancel := context.WithTimeout(cmd.Context(), 15*time.Second)
			list, err := client.Events(ctx, after)
			cancel()
			if err != nil {
				return err
			}
			if len(list) > 0 || after == 0 && !follow {
				if err := c.print(list, func(p *printer) { printEvents(p, list) }); err != nil {
					return err
				}
			}
			if len(list) > 0 {
				after = list[len(list)-1].Seq
			}
			if !follow {
				return nil
			}
			select {
			case <-cmd.Context().Done():
				return nil
			case <-time.After(time.Second):
			}
		}
	})
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens from now on")
	return cmd
}

func printEvents(p *printer, list []registry.Event) {
	for _, e := range list {
		to := e.To
		if e.Forced {
			to += " (forced)"
		}
		p.line("%s  %-8s  %s  %s -> %s  %s", e.At.Local().Format("2006-01-02 15:04:05.000"), e.Kind, e.Name, e.From, p.paint(colorOf(e.To), to), e.Why)
	}
}

// colorOf returns the colour of a word for a state.
func colorOf(state string) shade {
	switch {
	case slices.Contains([]string{"up", "trusted"}, state):
		return green
	case slices.Contains([]string{"down", "gone"}, state):
		return red
	}
	return yellow
}

// printProbers shows who checks, where there is more than one prober.
func printProbers(p *printer, s *admin.Status, now time.Time) {
	if s.Redis == nil && len(s.Probers) < 2 {
		return
	}
	var rows [][]string
	for _, x := range s.Probers {
		heard := "this one"
		if !x.Self {
			heard = ago(x.Heard, now) + " ago"
		}
		rows = append(rows, []string{x.Name, dash(x.Site), cmp.Or(x.Region, "-"), x.State, heard, strconv.Itoa(x.Targets), strconv.Itoa(x.Failing), strconv.Itoa(x.Lost), dash(x.Why)})
	}
	p.section([]string{"PROBER", "SITE", "REGION", "STATE", "HEARD", "CHECKS", "FAILING", "ALONE WITH IT", "WHY"}, rows)
}
