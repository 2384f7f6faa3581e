package main

import (
	"context"
	"slices"
	"time"

	"github.com/meridian-gslb/meridian/configs"
)

// pollEvery is how often data files are looked at.
const pollEvery = time.Second

// watchFiles puts the data files of the configuration (zones, networks, secrets) in force as they change, until ctx ends. Polling works
// on every file system and for every way of writing: over the file, by renaming, through links, as a mounted volume does.
//
// A change counts when two looks in a row find the same, so that files are not read while they are written. What was refused is not
// tried again before something changes.
func (n *node) watchFiles(ctx context.Context) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	var before configs.Files
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		read := n.files.Load()
		now := read.Now()
		if !now.Same(*read) && now.Same(before) {
			n.rereadFiles(ctx)
		}
		before = now
	}
}

// rereadFiles reads changed data files and puts them in force, all of them or nothing. The configuration file itself waits for a
// reload: somebody may be editing it.
func (n *node) rereadFiles(ctx context.Context) {
	select {
	case <-n.turn:
		defer func() { n.turn <- struct{}{} }()
	case <-ctx.Done():
		return
	}
	began := time.Now()
	was := n.config.Load()
	cfg, files, err := configs.Reread(was)
	n.files.Store(&files)
	if err == nil {
		err = restartNeeded(was, cfg)
	}
	if err != nil {
		n.refused.files = err.Error()
		n.refuse(began)
		n.log.Error("changed files refused; what was in force stays", "err", brief(err))
		return
	}
	n.refused.files = ""
	if cfg.Current() { // a reload may have been refused for what the data files held then
		n.refused.config = ""
	}
	s := n.put(cfg, began)
	n.logWarnings(slices.DeleteFunc(slices.Clone(cfg.Warnings), func(p configs.Problem) bool { return slices.Contains(was.Warnings, p) }))
	n.log.Info("changed files are in force", "gen", s.Gen, "took", time.Since(began).Round(time.Millisecond).String())
}
