package checks

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap/zapcore"

	"github.com/chatgate/chatgate/caddymodule/accounts"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/methods"
	"github.com/chatgate/chatgate/caddymodule/proxy"
	"github.com/chatgate/chatgate/caddymodule/redact"
)

// logs looks for logs without chatgate_redact that get the requests of a server with a handler of chatgate. Caddy copies a request
// for its access and error logs before any handler can remove the token.
func logs(c *app.Configuration) []app.Finding {
	if c.HTTPLog == nil {
		return nil
	}
	var ours []place // servers with a handler of chatgate
	visit(c, visitor{handler: func(p place, h caddyhttp.MiddlewareHandler) {
		switch h.(type) {
		case *accounts.Accounts, *methods.Methods, *proxy.Proxy:
			if p = (place{name: p.name, server: p.server}); len(ours) == 0 || ours[len(ours)-1].name != p.name {
				ours = append(ours, p)
			}
		}
	}})
	var found []app.Finding
	for _, p := range ours {
		bare := make(map[string]bool)
		for _, name := range requestLoggers(p.server) {
			for _, core := range coresOf(c.HTTPLog.Core()) {
				// Every log takes this level.
				entry := zapcore.Entry{LoggerName: name, Level: zapcore.ErrorLevel}
				if core.Check(entry, nil) != nil && !redact.In(core) {
					bare[name] = true
				}
			}
		}
		if len(bare) == 0 {
			continue
		}
		found = append(found, app.Finding{
			Check: "logs", Severity: app.SeverityWarning, Where: p.String(),
			What: "a log that is written in clear gets " + strings.Join(slices.Sorted(maps.Keys(bare)), ", ") +
				", and with that the tokens that clients send in Sec-WebSocket-Protocol, in a query or in a Referer",
			Remedy: "use format chatgate_redact, which wraps any other format: in the global option log for errors, and in the site's log for its requests",
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

// coresOf returns the cores of all logs. zap joins several in a slice type that it does not export.
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
