package l7edge

import (
	"context"
	"log/slog"
	"time"
)

// maxAgent bounds what of a User-Agent is recorded, in bytes.
const maxAgent = 256

// record writes the access record of a transaction. The query is left out: it may hold secrets.
func (t *transaction) record(took time.Duration) {
	r := t.in
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs,
		slog.String("client", t.client.String()),
		slog.String("proto", r.Proto),
		slog.String("method", r.Method),
		slog.String("host", r.Host),
		slog.String("path", t.shownPath()),
		slog.Int("status", t.status),
		slog.Int64("bytes", t.written),
		slog.Float64("seconds", took.Seconds()),
	)
	if t.x.rule != nil {
		attrs = append(attrs, slog.String("route", t.x.rule.Name))
	}
	if t.x.last != nil {
		attrs = append(attrs, slog.String("endpoint", t.x.last.Name()), slog.Int("attempts", t.x.attempts+t.x.repeats))
	}
	if t.fault != noFault {
		attrs = append(attrs, slog.String("fault", t.fault.String()))
	}
	if t.hijacked {
		attrs = append(attrs, slog.Bool("tunnel", true))
	}
	if ua := r.UserAgent(); ua != "" {
		attrs = append(attrs, slog.String("agent", ua[:min(len(ua), maxAgent)]))
	}
	t.access.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
}

// shownPath returns the path for records: the one that was matched and passed on, or what was refused.
func (t *transaction) shownPath() string {
	if t.path != "" {
		return t.path
	}
	return pathOf(t.in)
}
