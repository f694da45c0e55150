package app

import (
	"context"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/exp/zapslog"
)

// ProcessLog writes to whatever Caddy's default logger is at the time: a state outlives the configuration, and so the
// logger, that it was made under.
type ProcessLog struct{ attrs []slog.Attr }

func (ProcessLog) current() slog.Handler {
	return zapslog.NewHandler(caddy.Log().Named("chatgate").Core(), zapslog.WithName("chatgate"))
}

func (l ProcessLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.current().Enabled(ctx, level)
}

func (l ProcessLog) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(l.attrs...)
	return l.current().Handle(ctx, r)
}

func (l ProcessLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return ProcessLog{append(l.attrs[:len(l.attrs):len(l.attrs)], attrs...)}
}

func (l ProcessLog) WithGroup(string) slog.Handler { return l } // nothing of ours groups
