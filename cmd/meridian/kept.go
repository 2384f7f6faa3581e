package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
	"github.com/meridian-gslb/meridian/generations"
)

// read returns the configuration that is to serve, and the generation that it is: the one that is pinned in the place of the file, or 0, the file. A
// pin that cannot be read is as none: it is better to serve than not to.
func (o *nodeOptions) read(log *slog.Logger) (*configs.Config, uint64, error) {
	if o.own == "" {
		cfg, err := o.load()
		return cfg, 0, err
	}
	if text, state, err := configs.Glance(o.own); err == nil && state != "" {
		pin, err := generations.In(state).Pinned()
		switch {
		case err == nil && pin.Instead == generations.Sum(text):
			return o.readKept(state, pin.Generation, log)
		case err != nil && !errors.Is(err, generations.ErrNone):
			log.Error("which generation is to serve cannot be read; the file serves", "file", o.file, "err", err)
		}
	}
	cfg, err := o.load()
	return cfg, 0, err
}

// readKept returns a generation, or if it is damaged, the one before it.
func (o *nodeOptions) readKept(state string, number uint64, log *slog.Logger) (*configs.Config, uint64, error) {
	g, damaged, err := generations.In(state).GetOrOlder(number)
	if err != nil {
		return nil, 0, fmt.Errorf("in the place of %s generation %d is to serve: %w", o.file, number, err)
	}
	if damaged != nil {
		log.Error("a generation is damaged; the one before it serves", "err", damaged, "generation", g.Number)
	}
	cfg, err := loadKept(o.named(g.File), g, state)
	if err != nil {
		return nil, 0, fmt.Errorf("in the place of %s generation %d is to serve: %w", o.file, g.Number, err)
	}
	return cfg, g.Number, nil
}

// named returns an absolute path in the way in which the configuration file is named: relative if that is. Two configurations with the same relative
// paths in them must not seem to differ.
func (o *nodeOptions) named(path string) string {
	if o.own == "" || filepath.IsAbs(o.file) {
		return path
	}
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil {
		return short
	}
	return path
}

// loadKept reads the text of a generation as it was, as that of a file called name, with data files as they are. It must not lead to another state
// directory, where the next start would find other generations.
func loadKept(name string, g generations.Generation, state string) (*configs.Config, error) {
	cfg, err := configs.ReadAs(name, g.Text)
	if err == nil && absolute(cfg.State) != absolute(state) {
		err = badInput("generation %d has another state directory: %s", g.Number, cmp.Or(cfg.State, "none"))
	}
	return cfg, err
}

// keep notes which generation is in force: from, or if that is 0, the configuration itself, which comes from the process's own file.
func (n *node) keep(cfg *configs.Config, from uint64, how string) {
	if n.kept == nil {
		return
	}
	var err error
	if from == 0 {
		from, err = n.keepNew(cfg, how)
		err = errors.Join(err, n.kept.Unpin())
	}
	n.inForce(from, err)
}

// begunWith keeps the configuration that the process began with.
func (n *node) begunWith(ctx context.Context) {
	done, err := n.takeTurn(ctx)
	if err != nil {
		return // it ends already
	}
	defer done()
	if from := n.generation.Load(); from != 0 && n.kept != nil {
		n.log.Warn("a generation serves in the place of the file, until that changes", "generation", from, "file", n.file)
	}
	n.keep(n.config.Load(), n.generation.Load(), "start")
}

// keepNew keeps a configuration, unless it is the one in force, or at the start the last that was.
func (n *node) keepNew(cfg *configs.Config, how string) (uint64, error) {
	last := n.generation.Load()
	if list, _ := n.kept.List(); last == 0 && len(list) > 0 {
		last = list[len(list)-1].Number
	}
	file := absolute(cfg.Name())
	if g, err := n.kept.Get(last); err == nil && g.Text == cfg.Text() && g.File == file {
		return last, nil
	}
	g, err := n.kept.Add(generations.Generation{Time: time.Now().UTC(), File: file, Own: absolute(cmp.Or(n.own, n.file)), How: how, Text: cfg.Text()}, last)
	if err != nil {
		return 0, err
	}
	return g.Number, nil
}

// absolute returns an absolute path, or the path if there is no directory to begin at.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// pin makes a generation serve in the place of a process's own file when it starts again, unless that has the same text. "" = there is no file.
func pin(d *generations.Dir, own string, number uint64, text, how string) error {
	if own == "" {
		return nil
	}
	now, _, err := configs.Glance(own)
	if err != nil {
		return err
	}
	if now == text {
		return d.Unpin()
	}
	return d.Pin(generations.Pin{Generation: number, Own: own, Instead: generations.Sum(now), Time: time.Now().UTC(), How: how})
}

// inForce notes the generation in force, and why it, or that it is to serve after a restart, could not be written; nil: it was.
func (n *node) inForce(number uint64, err error) {
	n.generation.Store(number)
	n.epochs.begin(n.putAt, number)
	if err != nil {
		n.log.Error("the configuration in force could not be kept; a restart begins with the file", "err", err)
	}
	n.unkept.Store(&err)
}

// saving says why what must outlive the process could not be written.
func (n *node) saving() error {
	err := n.store.Failing()
	if unkept := n.unkept.Load(); unkept != nil {
		err = errors.Join(err, *unkept)
	}
	return err
}

// generations lists what is kept, the newest first.
func (n *node) generations() ([]admin.Generation, error) {
	if n.kept == nil {
		return nil, noState()
	}
	return listKept(n.kept, n.generation.Load(), n.log), nil
}

// listKept returns what is kept, the newest first.
func listKept(d *generations.Dir, inForce uint64, log *slog.Logger) []admin.Generation {
	out := []admin.Generation{}
	list, damaged := d.List()
	for _, err := range damaged {
		log.Error("a generation cannot be read", "err", err)
	}
	for _, g := range slices.Backward(list) {
		out = append(out, admin.Generation{Generation: g.Number, Time: g.Time, File: g.File, How: g.How, InForce: g.Number == inForce})
	}
	return out
}

// noState says that nothing is kept.
func noState() error {
	return &admin.Error{Status: http.StatusConflict, Message: "no generations are kept: the configuration names no directory for them (state)"}
}

// rollback puts a generation in force again; 0 = the one before the one in force.
func (n *node) rollback(ctx context.Context, to uint64) (admin.RolledBack, error) {
	if n.kept == nil {
		return admin.RolledBack{}, noState()
	}
	done, err := n.takeTurn(ctx)
	if err != nil {
		return admin.RolledBack{}, err
	}
	defer done()
	now, from := time.Now(), n.generation.Load()
	g, err := pick(n.kept, from, to)
	if err != nil {
		return admin.RolledBack{}, err
	}
	cfg, err := loadKept(n.named(g.File), g, n.config.Load().State)
	if err == nil {
		err = restartNeeded(n.config.Load(), cfg)
	}
	if err != nil {
		return admin.RolledBack{}, refusal(err)
	}
	n.files.Store(&cfg.Files)
	n.refused = refused{}
	s := n.put(cfg, now)
	n.inForce(g.Number, pin(n.kept, n.own, g.Number, g.Text, "rollback"))
	n.log.Warn("rolled back", "generation", g.Number, "from", from, "gen", s.Gen)
	return admin.RolledBack{Generation: g.Number, From: from, Snapshot: s.Gen, Warnings: problems(cfg.Warnings)}, nil
}

// pick returns the generation to go back to from one; 0 = the one before it.
func pick(d *generations.Dir, from, to uint64) (g generations.Generation, err error) {
	if from == 0 { // what is in force could not be kept
		from = math.MaxUint64
	}
	list, _ := d.List()
	for _, x := range slices.Backward(list) {
		if x.Number == to || to == 0 && x.Number < from {
			if x.Number == from {
				return g, &admin.Error{Status: http.StatusConflict, Message: fmt.Sprintf("generation %d is in force already", to)}
			}
			return x, nil
		}
	}
	if to == 0 {
		return g, &admin.Error{Status: http.StatusNotFound, Message: "there is no older generation to go back to"}
	}
	if _, err = d.Get(to); err == nil || errors.Is(err, generations.ErrNone) {
		err = &admin.Error{Status: http.StatusNotFound, Message: fmt.Sprintf("generation %d is not kept", to)}
	}
	return g, err
}
