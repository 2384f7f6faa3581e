package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/mattn/go-isatty"

	"github.com/meridian-gslb/meridian/configs"
)

// A logSwitch is where a process logs. Level and format can change while loggers made from it are in use.
type logSwitch struct {
	w      io.Writer
	level  slog.LevelVar
	target atomic.Pointer[slog.Handler]
}

func newLogSwitch(w io.Writer) *logSwitch {
	l := &logSwitch{w: w}
	l.apply(configs.LogConfig{Format: "auto"})
	return l
}

// apply puts a configuration in force for every logger.
func (l *logSwitch) apply(c configs.LogConfig) {
	l.level.Set(c.Level)
	o := &slog.HandlerOptions{Level: &l.level}
	var h slog.Handler = slog.NewJSONHandler(l.w, o)
	if f, ok := l.w.(*os.File); c.Format == "text" || c.Format != "json" && ok && isatty.IsTerminal(f.Fd()) {
		h = slog.NewTextHandler(l.w, o)
	}
	l.target.Store(&h)
}

func (l *logSwitch) logger() *slog.Logger { return slog.New(logHandler{l: l}) }

// A logHandler passes records to the handler of the moment, with what With and WithGroup added.
type logHandler struct {
	l    *logSwitch
	wrap func(slog.Handler) slog.Handler // nil: as it is
}

func (h logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.l.level.Level()
}

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.apply(*h.l.target.Load()).Handle(ctx, r)
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.l, func(t slog.Handler) slog.Handler { return h.apply(t).WithAttrs(attrs) }}
}

func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.l, func(t slog.Handler) slog.Handler { return h.apply(t).WithGroup(name) }}
}

func (h logHandler) apply(t slog.Handler) slog.Handler {
	if h.wrap == nil {
		return t
	}
	return h.wrap(t)
}
