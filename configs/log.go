package configs

import "log/slog"

// A LogConfig says how the process logs. It takes effect on reload.
type LogConfig struct {
	Level  slog.Level // default: slog.LevelInfo
	Format string     // "auto" (default: text on a terminal, else JSON), "text" or "json"
}

// decodeLog reads "log".
func (f *file) decodeLog(v value) {
	f.object(v, inLog, func(key string, v value) {
		switch key {
		case "level":
			switch f.oneOf(v, "info", "debug", "warn", "error") {
			case "debug":
				f.config.Log.Level = slog.LevelDebug
			case "warn":
				f.config.Log.Level = slog.LevelWarn
			case "error":
				f.config.Log.Level = slog.LevelError
			}
		case "format":
			f.config.Log.Format = f.oneOf(v, "auto", "text", "json")
		}
	})
}
