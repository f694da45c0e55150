package caddymodule

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// checkLogs looks for logs that get requests of a server with a handler of chatgate's, and have no chatgate_redact. Caddy
// copies a request for its access log and its error log before any handler could take a token out of it.
func checkLogs(c *Configuration) []Finding {
	if c.HTTPLog == nil {
		return nil
	}
	var ours []place // the servers
	c.visit(visitor{handler: func(p place, h caddyhttp.MiddlewareHandler) {
		switch h.(type) {
		case *Accounts, *Methods, *Proxy:
			if p = (place{name: p.name, server: p.server}); len(ours) == 0 || ours[len(ours)-1].name != p.name {
				ours = append(ours, p)
			}
		}
	}})
	var found []Finding
	for _, p := range ours {
		bare := make(map[string]bool)
		for _, name := range requestLoggers(p.server) {
			for _, core := range coresOf(c.HTTPLog.Core()) {
				// At this level is what every log takes.
				entry := zapcore.Entry{LoggerName: name, Level: zapcore.ErrorLevel}
				if core.Check(entry, nil) != nil && !redacts(core) {
					bare[name] = true
				}
			}
		}
		if len(bare) == 0 {
			continue
		}
		found = append(found, Finding{
			Check: "logs", Severity: SeverityWarning, Where: p.String(),
			What: "a log that is written in clear gets " + strings.Join(slices.Sorted(maps.Keys(bare)), ", ") +
				", and with that the tokens that clients send in Sec-WebSocket-Protocol, in a query or in a Referer",
			Remedy: "give it format chatgate_redact, which wraps any other format: in the global option log for errors, in the site's log for its requests",
		})
	}
	return found
}

// requestLoggers returns the names under which a server logs requests.
func requestLoggers(srv *caddyhttp.Server) []string {
	names := []string{"http.log.error"}
	if srv.Logs == nil {
		return names
	}
	names = append(names, "http.log.access")
	own := make(map[string]bool)
	own[srv.Logs.DefaultLoggerName] = true
	for _, loggers := range srv.Logs.LoggerNames {
		for _, name := range loggers {
			own[name] = true
		}
	}
	delete(own, "")
	for name := range own {
		names = append(names, "http.log.error."+name, "http.log.access."+name)
	}
	return names
}

// coresOf takes the cores of several logs apart. Their type is zap's own, a slice.
func coresOf(core zapcore.Core) []zapcore.Core {
	v := reflect.ValueOf(core)
	if v.Kind() != reflect.Slice {
		return []zapcore.Core{core}
	}
	var cores []zapcore.Core
	for i := range v.Len() {
		if c, ok := v.Index(i).Interface().(zapcore.Core); ok {
			cores = append(cores, c)
		}
	}
	return cores
}

// redacts reports whether a RedactEncoder is among the encoders of a core: a field of a copy of it that nothing is written
// with is encoded at once, and a RedactEncoder knows what is asked.
func redacts(core zapcore.Core) bool {
	p := new(redactProbe)
	core.With([]zapcore.Field{zap.Inline(p)})
	return p.found
}

type redactProbe struct{ found bool }

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (p *redactProbe) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	return enc.AddReflected("chatgate", p)
}

// httpModule stands for Caddy's HTTP app, which the logs are asked about.
type httpModule struct{}

func (httpModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http", New: func() caddy.Module { return new(httpModule) }}
}
