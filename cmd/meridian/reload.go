package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
	"github.com/meridian-gslb/meridian/dnsserver/outside"
	"github.com/meridian-gslb/meridian/registry"
)

// reload reads the configuration anew and puts it in force, all of it or nothing. SIGHUP, the API and the command line all come
// here; one at a time, so that each caller learns what became of its own.
func (n *node) reload(ctx context.Context) (admin.Reloaded, error) {
	done, err := n.takeTurn(ctx)
	if err != nil {
		return admin.Reloaded{}, err
	}
	defer done()
	now := time.Now()
	cfg, from, err := n.read(n.log)
	if err == nil {
		err = restartNeeded(n.config.Load(), cfg)
	}
	if err != nil {
		n.refused.config = err
		n.refuse(now)
		n.log.Error("reload refused; what was in force stays", "err", brief(err))
		return admin.Reloaded{}, refusal(err)
	}
	n.files.Store(&cfg.Files)
	n.refused = refused{}
	s := n.put(cfg, now)
	n.keep(cfg, from, "reload")
	n.logWarnings(cfg.Warnings)
	return admin.Reloaded{File: n.file, Instead: from, Generation: s.Gen, Warnings: problems(cfg.Warnings)}, nil
}

// refused is why what is on disk is not in force; nil if it is. Reloads that have their turn may use it.
type refused struct {
	config error // by a reload
	files  error // by a change of the data files alone
}

// refuse notes that something on disk was not accepted at a time.
func (n *node) refuse(at time.Time) {
	n.metrics.reloaded(false)
	err := cmp.Or(n.refused.config, n.refused.files)
	status := &admin.ConfigStatus{File: n.file, Loaded: n.reloads.Load().Loaded, Tried: at, Problem: err.Error()}
	if list := (*configs.Errors)(nil); errors.As(err, &list) {
		status.More = list.Total - 1
	}
	n.reloads.Store(status)
}

// put makes a configuration that was read at a time the one in force.
func (n *node) put(cfg *configs.Config, at time.Time) *registry.Snapshot {
	s := n.registry.Apply(cfg.Compiled)
	n.config.Store(cfg)
	n.putAt = s.Gen
	if n.dns != nil {
		n.dns.Reconfigure(*cfg.DNS)
	}
	if n.consul != nil {
		n.consul.Watch(cfg.Wanted)
		n.guard.Reconsider()
	}
	n.outside.Configure(outside.Config{Servers: cfg.Resolvers})
	n.watch()
	n.logging.apply(cfg.Log)
	if n.refused.config != nil { // the data files changed, and the configuration file is as it was refused
		n.refuse(at)
		return s
	}
	n.metrics.reloaded(true)
	n.reloads.Store(&admin.ConfigStatus{File: n.file, Loaded: at, Tried: at})
	return s
}

// refusal is what the caller of a reload is told.
func refusal(err error) error {
	e := &admin.Error{Status: http.StatusUnprocessableEntity, Message: err.Error()}
	if list := (*configs.Errors)(nil); errors.As(err, &list) {
		e.Message = plural(list.Total, "problem") + " in the configuration file; nothing was changed"
		e.Problems = problems(list.Problems)
	}
	return e
}

// logWarnings logs what a configuration probably does not mean.
func (n *node) logWarnings(list []configs.Problem) {
	for _, w := range list {
		n.log.Warn("configuration", "warning", inOneLine(w))
	}
}

// inOneLine returns a problem as the log has it: place and message, without the source line.
func inOneLine(p configs.Problem) string {
	p.Source = ""
	return p.String()
}

// brief returns an error as the log has it. Of a file's problems it has the first ones; "check" shows all.
func brief(err error) string {
	const most = 10
	var list *configs.Errors
	if !errors.As(err, &list) {
		return err.Error()
	}
	var said []string
	for _, p := range list.Problems[:min(len(list.Problems), most)] {
		said = append(said, inOneLine(p))
	}
	if more := list.Total - len(said); more > 0 {
		said = append(said, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(said, "; ")
}

func problems(list []configs.Problem) []admin.Problem {
	var out []admin.Problem
	for _, p := range list {
		out = append(out, admin.Problem{File: p.File, Line: p.Line, Column: p.Column, Path: p.Path, Message: p.Message, Text: p.String()})
	}
	return out
}

// reloadOn reloads at each signal until ctx ends. What came of it is in the log.
func (n *node) reloadOn(ctx context.Context, hangup <-chan os.Signal) {
	for {
		select {
		case <-hangup:
			if r, err := n.reload(ctx); err == nil {
				n.log.Info("reloaded by SIGHUP", "gen", r.Generation)
			}
		case <-ctx.Done():
			return
		}
	}
}
