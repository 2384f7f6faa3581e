package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/policy"
)

func (c *cli) statusCommand() *cobra.Command {
	var quiet, ready bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show sites, services, endpoints and overrides",
		Long: `Shows what the running process believes: which endpoints are up and why not, what operators forced and until when,
what the edge sends where. The exit code is 0 if all is well and 3 if something is degraded, so that scripts can ask. With --ready only
readiness counts: a process whose backends are down serves all the same, and must not be restarted for it.

It is the view of one process. Several servers each have their own.`,
		Example: `  meridian status
  meridian status -o json | jq '.services[].endpoints[] | select(.state == "down") | .name'`,
		Args: needs(),
		RunE: c.ask(func(ctx context.Context, client *admin.Client, _ []string) error {
			s, err := client.Status(ctx)
			if err != nil {
				return err
			}
			if !quiet {
				if err := c.print(s, func(p *printer) { printStatus(p, &s, time.Now()) }); err != nil {
					return err
				}
			}
			if !s.Ready || !ready && len(s.Degraded) > 0 {
				return &exitError{code: exitDegraded}
			}
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print nothing; the exit code says it")
	cmd.Flags().BoolVar(&ready, "ready", false, "exit 0 if the process is ready, whatever is degraded (for health checks of the process)")
	return cmd
}

func printStatus(p *printer, s *admin.Status, now time.Time) {
	state := p.paint(green, "ready")
	switch {
	case !s.Ready:
		state = p.paint(red, "not ready: "+strings.Join(s.Waiting, ", "))
	case len(s.Degraded) > 0:
		state = p.paint(yellow, "degraded")
	}
	p.line("Meridian %s at %s: %s, generation %d, up %s", s.Version, dash(s.Site), state, s.Generation, ago(s.Started, now))
	for _, d := range s.Degraded {
		p.line("  %s %s", p.paint(yellow, "!"), d)
	}
	if c := s.Config; c.Pinned {
		p.line("  configuration %d serves in the place of %s, until that changes and is reloaded", c.Generation, c.File)
	}

	var sites [][]string
	for _, x := range s.Sites {
		sites = append(sites, []string{x.Name, counts(x.Counts)})
	}
	p.section([]string{"SITE", "ENDPOINTS"}, sites)

	var rows [][]string
	for _, service := range s.Services {
		for _, e := range service.Endpoints {
			rows = append(rows, endpointRow(e, now))
		}
	}
	p.section([]string{"ENDPOINT", "SITE", "ADDRESS", "WEIGHT", "STATE", "FOR", "REQUESTS", "WHY"}, rows)

	printProbers(p, s, now)

	var overrides [][]string
	for _, o := range s.Overrides {
		until := "until undrain"
		if !o.Until.IsZero() {
			until = "in " + o.Until.Sub(now).Round(time.Second).String()
		}
		overrides = append(overrides, []string{o.Target.String(), o.State.String(), strconv.Itoa(o.Endpoints), until, dash(o.Reason)})
	}
	p.section([]string{"OVERRIDE", "STATE", "ENDPOINTS", "ENDS", "REASON"}, overrides)

	var sources [][]string
	for _, src := range s.Sources {
		answered := "never"
		if !src.Answered.IsZero() {
			answered = ago(src.Answered, now) + " ago"
		}
		sources = append(sources, []string{src.Name, fmt.Sprintf("%d of %d", src.Known, src.Wanted), answered, dash(src.Problem)})
	}
	p.section([]string{"SOURCE", "SERVICES", "ANSWERED", "PROBLEM"}, sources)

	var aside [][]string
	for _, o := range s.Orphans {
		aside = append(aside, []string{o.Service + "/*", strconv.Itoa(o.Endpoints), o.Source, fmt.Sprintf("there is no service %q", o.Service)})
	}
	for _, r := range s.Refused {
		aside = append(aside, []string{r.Service + "/" + r.Name, "1", r.Source, r.Reason})
	}
	p.section([]string{"DOES NOT SERVE", "ENDPOINTS", "SOURCE", "WHY"}, aside)
}

func counts(c admin.Counts) string {
	var parts []string
	for _, x := range []struct {
		n    int
		word string
	}{{c.Up, "up"}, {c.Unknown, "unknown"}, {c.Down, "down"}, {c.Drained, "drained"}} {
		if x.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", x.n, x.word))
		}
	}
	return dash(strings.Join(parts, ", "))
}

func endpointRow(e admin.EndpointStatus, now time.Time) []string {
	addr := make([]string, len(e.Addresses))
	for i, a := range e.Addresses {
		addr[i] = a.String()
	}
	where := strings.Join(addr, ",")
	if where == "" {
		where = e.Host
	}
	if where != "" && e.Port != 0 {
		where += ":" + strconv.Itoa(int(e.Port))
	}
	why, requests := "", ""
	switch {
	case e.Forced && e.By != nil:
		why = strings.TrimSpace(e.By.Target.String() + " " + e.By.Reason)
	case e.Probe == nil:
		why = "not probed"
	default:
		why = e.Probe.Error
	}
	if e.Verdict != nil && !e.Forced {
		why = whyOf(e.Verdict, why)
	}
	if e.Traffic != nil {
		requests = strconv.FormatUint(e.Traffic.Requests, 10)
	}
	return []string{e.Name, dash(e.Site), dash(where), strconv.Itoa(int(e.Weight)), e.State.String(), ago(e.Since, now), dash(requests), dash(why)}
}

// ago is how long something lasts, for people: the two largest units.
func ago(since, now time.Time) string {
	if since.IsZero() {
		return "-"
	}
	d := max(0, now.Sub(since)).Truncate(time.Second)
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return d.String()
	}
}

func (c *cli) explainCommand() *cobra.Command {
	var client, resolver, view, ecs, file, replay string
	var at uint64
	var whatIf []string
	cmd := &cobra.Command{
		Use:   "explain NAME [TYPE] [--client ADDR] [--resolver ADDR] [--ecs NETWORK] [--view NAME] [--what-if NAME=STATE,…]",
		Short: "Say what would be answered, and why",
		Long: `Answers a question as the DNS server would, by the same code, and shows every stage of the decision: where the client
was found, which endpoints each stage kept and dropped and why, the odds of what is drawn, how the TTL came about, the client-subnet scope for
which the answer holds, and the health of each endpoint, since when and by whose word. The client is an address or a network. With --resolver the query comes
from there, and the client, if any, is the client subnet that it sends; with --ecs that is the client subnet, as it comes, and --client the
resolver. Where there are views, the address that the query comes from decides, or --view.

With --replay it decides an answer again that was given before, and says why it was so.
With --at it says what an older configuration would answer, of those that "rollback --list" shows.
With --what-if it says what would be answered if sites, services or endpoints were up, down or drained.

It asks the running process; with -c it reads a file instead, and everything counts as up.`,
		Example: `  meridian explain www.gslb.example
  meridian explain www.gslb.example AAAA --client 2001:db8:2::/48
  meridian explain www.gslb.example --client 192.0.2.53 --ecs 198.51.100.0/24
  meridian explain www.gslb.example --client 198.51.100.7 --what-if us-east=down
  meridian explain www.gslb.example --client 198.51.100.7 --at 7
  meridian explain www.gslb.example -c meridian.yaml --client 198.51.100.7`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case replay != "":
				return needs()(cmd, args)
			case len(args) == 2:
				return nil
			}
			return needs("NAME")(cmd, args)
		},
		ValidArgsFunction: c.complete(oneOf(), oneOf(recordTypes...)),
	}
	cmd.RunE = run(func(cmd *cobra.Command, args []string) error {
		if replay != "" {
			return c.replayed(cmd, replay)
		}
		rrtype := "A"
		if len(args) > 1 {
			rrtype = args[1]
		}
		var x dnsserver.Explanation
		q := admin.Question{Name: args[0], Type: rrtype, Client: client, Resolver: resolver, View: view, ECS: ecs, At: at, WhatIf: strings.Join(whatIf, ",")}
		if file != "" && at != 0 {
			return badInput("--at is about the configurations that a running process keeps; leave out -c")
		}
		err := c.ask(func(ctx context.Context, api *admin.Client, _ []string) (err error) {
			if file != "" {
				x, err = explainFile(file, q)
			} else {
				x, err = api.Explain(ctx, q)
			}
			return err
		})(cmd, args)
		if err != nil {
			return err
		}
		return c.print(x, func(p *printer) { printExplanation(p, &x) })
	})
	cmd.Flags().StringVar(&client, "client", "", "address or network of the client (default: nothing is known of it)")
	cmd.Flags().StringVar(&resolver, "resolver", "", "address that the query comes from (default: that of the client)")
	cmd.Flags().StringVar(&ecs, "ecs", "", "client subnet of the query; then --client is the address of the resolver")
	cmd.Flags().StringVar(&replay, "replay", "", "decide an answer again that \"answers -o json\" recorded, from this file, or - for standard input")
	cmd.Flags().Uint64Var(&at, "at", 0, "explain by this kept generation of the configuration")
	cmd.Flags().StringVar(&view, "view", "", "view to answer from (default: the one of the address that the query comes from)")
	cmd.Flags().StringVarP(&file, "config", "c", "", "explain what this file would answer, without a running process")
	cmd.Flags().StringSliceVar(&whatIf, "what-if", nil, "suppose states, such as us-east=down,web/eu-1=drained (up, down, drained, unknown)")
	cmd.MarkFlagFilename("config", "yaml", "yml")
	return cmd
}

func printExplanation(p *printer, x *dnsserver.Explanation) {
	who := cmp.Or(x.Client, "a client nothing is known of")
	if x.Resolver != "" {
		who += " by resolver " + x.Resolver
	}
	p.line("%s %s  for %s", p.paint(bold, x.Name), x.Type, who)
	if x.View != "" {
		p.line("  view     %s", x.View)
	}
	p.line("  zone     %s", dash(x.Zone))
	if len(x.Chain) > 0 {
		p.line("  aliases  %s", strings.Join(x.Chain, " -> "))
	}
	p.line("  record   %s (%s)", dash(x.Record), x.Kind)
	for _, v := range x.Variants {
		p.line("  variant  of %s, for %s: %s", v.Name, cmp.Or(v.When, "all others"), cmp.Or(v.Why, "answers"))
	}
	if t := x.Trace; t != nil {
		p.line("  service  %s, policy %s", x.Service, x.Policy)
		for i := range x.Tried {
			p.line("  %s has not enough that is up:", x.Tried[i].Service)
			for j := range x.Tried[i].Stages {
				printStage(p, "    ", j, &x.Tried[i].Stages[j])
			}
		}
		if x.Fallback != "" {
			p.line("  fallback %s, policy %s", t.Service, t.Policy)
		}
		if x.Client != "" || x.Resolver != "" {
			by := ""
			if x.Located != "" {
				by = ", by " + x.Located
			}
			p.line("  client   %s%s", t.Client.Where(), by)
		}
		for i, stage := range t.Stages {
			printStage(p, "  ", i, &stage)
		}
	}
	p.line("")
	for _, a := range x.Answers {
		p.line("  %s", p.paint(green, a))
	}
	p.line("  %s, TTL %d s, scope /%d", x.RCode, x.TTL, x.Scope)
	for _, steps := range []struct {
		what string
		list []string
	}{{"ttl", x.TTLSteps}, {"scope", x.ScopeSteps}, {"varies", x.Varies}} {
		if len(steps.list) > 0 {
			p.line("  %-6s %s", steps.what, strings.Join(steps.list, "; "))
		}
	}
	for _, o := range x.Odds {
		p.line("    %s  first %.1f %%, in the answer %.1f %%", o.Endpoint, 100*o.First, 100*o.Listed)
	}
	var rows [][]string
	for _, h := range x.Health {
		rows = append(rows, []string{h.Endpoint, h.State.String(), (time.Duration(h.Age) * time.Second).String(), h.By})
	}
	p.section([]string{"ENDPOINT", "STATE", "FOR", "BY"}, rows)
	for _, n := range x.Notes {
		p.line("  note: %s", n)
	}
}

// printStage prints a stage behind an indent, and what is inside its branches behind a deeper one.
func printStage(p *printer, indent string, i int, s *policy.StageTrace) {
	head := fmt.Sprintf("%s%d %s", indent, i, p.paint(bold, s.Stage))
	if s.Rule != "" {
		head += "  rule " + s.Rule
	}
	if s.Scope != 0 {
		head += fmt.Sprintf("  holds for /%d", s.Scope)
	}
	if s.Note != "" && len(s.Branches) == 0 {
		head += "  " + s.Note
	}
	p.line("%s", head)
	for _, b := range s.Branches {
		share := ""
		if b.Share != 0 {
			share = fmt.Sprintf("first with %.1f %%  ", 100*b.Share)
		}
		p.line("%s    branch %s  %s%s", indent, p.paint(bold, b.Branch), share, b.Outcome)
		for i := range b.Stages {
			printStage(p, indent+"      ", i, &b.Stages[i])
		}
	}
	for _, k := range s.Kept {
		p.line("%s    + %s", indent, candidate(&k))
	}
	for _, d := range s.Dropped {
		p.line("%s    %s", indent, p.paint(faint, "- "+candidate(&d)))
	}
}

func candidate(k *policy.CandidateTrace) string {
	parts := []string{k.Name}
	if k.Site != "" && !slices.Contains(strings.Split(k.Name, "/"), k.Site) {
		parts = append(parts, k.Site)
	}
	state := k.State.String()
	if k.Forced {
		state += " (forced)"
	}
	parts = append(parts, state)
	if k.Returned {
		parts = append(parts, "back")
	}
	if k.Weight != 1 {
		parts = append(parts, fmt.Sprintf("weight %d", k.Weight))
	}
	if k.Load != 0 {
		parts = append(parts, fmt.Sprintf("load %v", k.Load))
	}
	if k.Rank != nil {
		parts = append(parts, fmt.Sprintf("rank %d", *k.Rank))
	}
	if k.Ms != nil {
		parts = append(parts, fmt.Sprintf("%.4g ms", *k.Ms))
	}
	if k.Km != nil {
		parts = append(parts, fmt.Sprintf("%.0f km", *k.Km))
	}
	if k.Share != 0 {
		parts = append(parts, fmt.Sprintf("first with %.1f %%", 100*k.Share))
	}
	if k.Chance != 0 {
		parts = append(parts, fmt.Sprintf("kept with %.1f %%", 100*k.Chance))
	}
	if k.Why != "" && !strings.HasPrefix(k.Why, k.State.String()) { // the state is there already
		parts = append(parts, k.Why)
	}
	return strings.Join(parts, "  ")
}
