package l7edge

import (
	"context"
	"log/slog"
	"time"
)

// maxAgent bounds what of a User-Agent is recorded, in bytes.
const maxAgent = 256

// record writes the access record of a request. The query is left out: it may hold secrets.
func (a *account) record(took time.Duration) {
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs,
		slog.String("client", a.client.String()),
		slog.String("proto", a.proto),
		slog.String("method", a.method),
		slog.String("host", a.host),
		slog.String("path", a.shownPath()),
		slog.Int("status", a.status),
		slog.Int64("bytes", a.written),
		slog.Float64("seconds", took.Seconds()),
	)
	if a.x.rule != nil {
		attrs = append(attrs, slog.String("route", a.x.rule.Name))
	}
	if a.x.last != nil {
		attrs = append(attrs, slog.String("endpoint", a.x.last.Name()), slog.Int("attempts", a.x.attempts+a.x.repeats))
	}
	if a.fault != noFault {
		attrs = append(attrs, slog.String("fault", a.fault.String()))
	}
	if a.hijacked {
		attrs = append(attrs, slog.Bool("tunnel", true))
	}
	if ua := a.agent; ua != "" {
		attrs = append(attrs, slog.String("agent", ua[:min(len(ua), maxAgent)]))
	}
	a.access.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
}
