package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
)

// takeTurn waits until no other change of the configuration is under way. done ends the turn.
func (n *node) takeTurn(ctx context.Context) (done func(), err error) {
	select {
	case <-n.turn:
		return func() { n.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("another change of the configuration is under way: %w", ctx.Err())
	}
}

// apply checks a configuration, foretells what it does, puts it in force, asks the node itself for names, and goes back to the old one if it
// answers worse than before.
func (n *node) apply(ctx context.Context, c admin.Change) (admin.Applied, error) {
	done, err := n.takeTurn(ctx)
	if err != nil {
		return admin.Applied{}, err
	}
	defer done()
	cfg, err := n.readChange(c)
	if err != nil {
		return admin.Applied{}, refusal(err)
	}
	p, err := n.forecast(c, cfg)
	if err != nil {
		return admin.Applied{}, err
	}
	out := admin.Applied{Plan: p}
	if p.Refused != "" && !c.Force {
		return out, &admin.Error{Status: http.StatusConflict, Message: "not applied: " + p.Refused, Applied: &out}
	}
	canaries := n.canariesOf(cfg)
	canaries.before(ctx)
	back := n.swap(cfg)
	out.Canaries = canaries.after(ctx)
	if out.Canaries.Total > 0 {
		back()
		out.Snapshot = n.registry.Snapshot().Gen
		n.log.Error("apply: names were answered worse than before; the old configuration is in force again", "file", p.File, "failed", out.Canaries.Total,
			"first", out.Canaries.Failed[0])
		return out, &admin.Error{Status: http.StatusConflict, Applied: &out, Message: fmt.Sprintf(
			"%d of %d canary queries failed, and the old configuration is in force again", out.Canaries.Total, out.Canaries.Asked)}
	}
	out.Applied, out.Snapshot = true, n.registry.Snapshot().Gen
	if n.kept != nil {
		number, err := n.keepNew(cfg, "apply")
		if err == nil {
			err = pin(n.kept, n.own, number, cfg.Text(), "apply")
		}
		n.inForce(number, err)
		out.Generation = number
	}
	n.logWarnings(cfg.Warnings)
	n.log.Info("applied", "file", p.File, "gen", out.Snapshot, "canaries", out.Canaries.Asked)
	return out, nil
}

// swap puts a configuration in force. back undoes that.
func (n *node) swap(cfg *configs.Config) (back func()) {
	was, files, why := n.config.Load(), n.files.Load(), n.refused
	n.files.Store(&cfg.Files)
	n.refused = refused{}
	n.put(cfg, time.Now())
	return func() {
		n.files.Store(files)
		n.refused = why
		n.put(was, time.Now())
	}
}
