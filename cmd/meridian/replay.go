package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/generations"
)

// epochs are which kept generation served from which snapshot on, the last few.
type epochs struct {
	mu   sync.Mutex
	list []epoch
}

type epoch struct{ snapshot, generation uint64 }

// begin notes that a generation serves from a snapshot on.
func (e *epochs) begin(snapshot, generation uint64) {
	const most = 4 * generations.Kept
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, epoch{snapshot, generation})
	if len(e.list) > most {
		e.list = append([]epoch(nil), e.list[1:]...)
	}
}

// at returns the generation that a snapshot belongs to, 0 if it is not known.
func (e *epochs) at(snapshot uint64) (generation uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range e.list {
		if x.snapshot <= snapshot {
			generation = x.generation
		}
	}
	return generation
}

// answersGiven are some of the last steered answers, with the generation of the configuration that gave them.
func (n *node) answersGiven() []dnsserver.Record {
	list := n.dns.Answers()
	for i := range list {
		list[i].Generation = n.epochs.at(list[i].Snapshot)
	}
	return list
}

// replay decides a recorded answer again, by the configuration that gave it.
func (n *node) replay(r dnsserver.Record) (out admin.Replayed, err error) {
	out = admin.Replayed{Record: r, Generation: n.generation.Load()}
	plan := n.registry.Snapshot().Plan
	if r.Generation != 0 && r.Generation != out.Generation {
		s, err := n.snapshotAt(r.Generation)
		if err != nil {
			return out, err
		}
		plan, out.Generation = s.Plan, r.Generation
	}
	if out.Trace, out.Same, err = r.Replay(plan); err != nil {
		return out, &admin.Error{Status: http.StatusBadRequest, Message: strings.TrimPrefix(err.Error(), "dnsserver: ")}
	}
	return out, nil
}

func (c *cli) answersCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "answers [NAME]",
		Short: "Show some of the last steered answers",
		Long: `Shows some of the last steered answers of the running process: who asked for what, which endpoint came first, and why. A process
with little to do remembers all of the last 1,024, one with much a sample. With -o json each has all that its decision hung on: health, dice, time. "explain
--replay" decides it again, and says why it was so.`,
		Example: `  meridian answers www.gslb.example
  meridian answers --limit 1 -o json | meridian explain --replay -`,
		Args: atMostOne("NAME"),
		RunE: c.ask(func(ctx context.Context, client *admin.Client, args []string) error {
			if limit < 1 {
				return badInput("--limit %d: want 1 or more", limit)
			}
			list, err := client.Answers(ctx, strings.Join(args, ""), limit)
			if err != nil {
				return err
			}
			return c.print(list, func(p *printer) { printAnswers(p, list) })
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "show the last so many")
	return cmd
}

func printAnswers(p *printer, list []dnsserver.Record) {
	if len(list) == 0 {
		p.line("no steered name has been asked for yet")
	}
	var rows [][]string
	for _, r := range list {
		first := ""
		if len(r.Endpoints) > 0 {
			first = r.Endpoints[0]
		}
		at := time.Unix(r.Time, 0).Format(time.TimeOnly)
		rows = append(rows, []string{at, r.Name, r.Type, r.Client.String(), dash(first), fmt.Sprint(len(r.Endpoints)), r.Reason})
	}
	p.table([]string{"TIME", "NAME", "TYPE", "CLIENT", "FIRST", "ENDPOINTS", "REASON"}, rows)
}

// readRecord reads a recorded answer, or the first of a list of them, from a file, or from standard input for "-".
func readRecord(name string) (r dnsserver.Record, err error) {
	const most = 1 << 20
	in := io.Reader(os.Stdin)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return r, badInput("%v", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return r, err
	}
	var list []dnsserver.Record
	if err = json.Unmarshal(text, &list); err != nil {
		list = []dnsserver.Record{{}}
		err = json.Unmarshal(text, &list[0])
	}
	if err == nil && (len(list) == 0 || list[0].Service == "") {
		err = errors.New("there is none in it")
	}
	if err != nil {
		return r, badInput("%s is no answer that was recorded (meridian answers -o json): %v", name, err)
	}
	return list[0], nil
}

// replayed decides a recorded answer again and prints why it was so. The exit code is 1 if it is another one now.
func (c *cli) replayed(cmd *cobra.Command, file string) error {
	record, err := readRecord(file)
	if err != nil {
		return err
	}
	return c.ask(func(ctx context.Context, client *admin.Client, _ []string) error {
		r, err := client.Replay(ctx, record)
		if err != nil {
			return err
		}
		if err := c.print(r, func(p *printer) { printReplayed(p, &r) }); err != nil {
			return err
		}
		if !r.Same {
			return &exitError{code: exitFailed}
		}
		return nil
	})(cmd, nil)
}

func printReplayed(p *printer, r *admin.Replayed) {
	x, t := &r.Record, &r.Trace
	p.line("%s %s  for %s, at %s, snapshot %d", p.paint(bold, clean(x.Name)), clean(x.Type), x.Client, time.Unix(x.Time, 0).UTC().Format(time.RFC3339), x.Snapshot)
	p.line("  service  %s, policy %s", t.Service, t.Policy)
	p.line("  client   %s", t.Client.Where())
	for i, stage := range t.Stages {
		printStage(p, "  ", i, &stage)
	}
	p.line("")
	p.line("  %s  (%s, TTL bound %d s, scope /%d)", p.paint(green, dash(strings.Join(t.Endpoints, ", "))), t.Reason, t.TTL, t.Scope)
	if r.Same {
		p.line("  the same as then")
		return
	}
	p.line("  %s it was %s (%s, TTL bound %d s, scope /%d): the configuration, its data files or what registered are others now",
		p.paint(red, "not the same as then:"), clean(dash(strings.Join(x.Endpoints, ", "))), clean(x.Reason), x.TTL, x.Scope)
}
