package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/meridian-gslb/meridian/configs"
)

// ages are the geo databases in force, with how old the log says they are.
type ages map[*configs.GeoDatabase]slog.Level

// look logs when a database becomes old, and when it becomes so old that something must be wrong. That one was old when it was read is a
// warning of the configuration.
func (said ages) look(databases []*configs.GeoDatabase, now time.Time, log *slog.Logger) {
	maps.DeleteFunc(said, func(g *configs.GeoDatabase, _ slog.Level) bool { return !slices.Contains(databases, g) })
	for _, g := range databases {
		level := slog.LevelInfo
		switch age := g.Age(now); {
		case age >= configs.OutdatedDatabase:
			level = slog.LevelError
		case age >= configs.OldDatabase:
			level = slog.LevelWarn
		}
		was, known := said[g]
		if known && level > was || level == slog.LevelError && !known {
			log.Log(context.Background(), level, "geo database is old; replace its file", "file", g.File, "built", g.Built.UTC().Format(time.DateOnly))
		}
		said[g] = level
	}
}

// outdated says what is wrong with geo databases, one sentence each.
func outdated(databases []*configs.GeoDatabase, now time.Time) (out []string) {
	for _, g := range databases {
		if age := g.Age(now); age >= configs.OutdatedDatabase {
			out = append(out, fmt.Sprintf("the geo database %s is %d days old", g.File, age/(24*time.Hour)))
		}
	}
	return out
}

// pollEvery is how often data files are looked at.
const pollEvery = time.Second

// watchFiles puts the data files of the configuration (zones, networks, round-trip times, geo databases, secrets) in force as they change, until ctx ends. Polling works
// on every file system and for every way of writing: over the file, by renaming, through links, as a mounted volume does.
//
// A change counts when two looks in a row find the same, so that files are not read while they are written. What was refused is not
// tried again before something changes.
func (n *node) watchFiles(ctx context.Context) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	var before configs.Files
	said := ages{}
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		said.look(n.config.Load().Databases, time.Now(), n.log)
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
	done, err := n.takeTurn(ctx)
	if err != nil {
		return
	}
	defer done()
	began := time.Now()
	was := n.config.Load()
	cfg, files, err := configs.Reread(was)
	n.files.Store(&files)
	if err == nil {
		err = restartNeeded(was, cfg)
	}
	if err != nil {
		n.refused.files = err
		n.refuse(began)
		n.log.Error("changed files refused; what was in force stays", "err", brief(err))
		return
	}
	n.refused.files = nil
	if cfg.Current() { // a reload may have been refused for what the data files held then
		n.refused.config = nil
	}
	s := n.put(cfg, began)
	n.logWarnings(slices.DeleteFunc(slices.Clone(cfg.Warnings), func(p configs.Problem) bool { return slices.Contains(was.Warnings, p) }))
	n.log.Info("changed files are in force", "gen", s.Gen, "took", time.Since(began).Round(time.Millisecond).String())
}
