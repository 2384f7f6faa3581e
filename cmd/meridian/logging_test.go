package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/configs"
)

// TestLogSwitch: a change of level or format holds for loggers that were made before it, with all they carry.
func TestLogSwitch(t *testing.T) {
	var b bytes.Buffer
	l := newLogSwitch(&b)
	log := l.logger().With("room", "dns").WithGroup("socket").With("port", 53)
	last := func() string {
		s := b.String()
		b.Reset()
		return s
	}
	log.Info("one", "n", 1)
	if got := last(); !strings.Contains(got, `"msg":"one","room":"dns","socket":{"port":53,"n":1}`) {
		t.Errorf("auto, not a terminal: %s", got)
	}
	log.Debug("hidden")
	if got := last(); got != "" {
		t.Errorf("debug at info: %s", got)
	}
	l.apply(configs.LogConfig{Format: "text", Level: slog.LevelDebug})
	log.Debug("two", "n", 2)
	if got := last(); !strings.Contains(got, `level=DEBUG msg=two room=dns socket.port=53 socket.n=2`) {
		t.Errorf("text, debug: %s", got)
	}
	l.apply(configs.LogConfig{Format: "json", Level: slog.LevelError})
	log.Warn("hidden")
	log.Error("three")
	if got := last(); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "{") {
		t.Errorf("json, error: %s", got)
	}
}
