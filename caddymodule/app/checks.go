package app

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// Finding is what a check has to say against a configuration that works and yet may not do what it looks like.
type Finding struct {
	Check    string // the name of the check
	Severity string // one of the severities below
	Where    string // the server and the route; a configuration in JSON has no lines
	What     string
	Remedy   string
}

// The severities.
const (
	SeverityWarning = "warning" // likely a hole, or out of order
	SeverityInfo    = "info"    // something that could not be checked
)

// Configuration is what checks look at, when every app of it is provisioned.
type Configuration struct {
	HTTP        *caddyhttp.App // nil where there is none
	Gates       []Gate
	HTTPLog     *zap.Logger // what Caddy's HTTP app logs to
	Directories []string    // that messages are written to
}

// Gate is a handler with upstreams that believe what it tells them.
type Gate struct {
	Handler   string   // such as chatgate_proxy
	Upstreams []string // as they are dialled
}

// Check looks at a whole configuration.
type Check func(*Configuration) []Finding

var checks []Check

// RegisterChecks adds checks that every configuration is looked at with. It is called by init functions.
func RegisterChecks(more ...Check) { checks = append(checks, more...) }

// Check returns what all checks find.
func (c *Configuration) Check() []Finding {
	var found []Finding
	for _, check := range checks {
		found = append(found, check(c)...)
	}
	return found
}

// Check returns what all checks find in the configuration that the app is part of. It is to be called when that is
// provisioned.
func (a *App) Check() []Finding {
	c := &Configuration{Gates: a.gates, HTTPLog: a.httpLog}
	if app, err := a.ctx.AppIfConfigured("http"); err == nil {
		c.HTTP, _ = app.(*caddyhttp.App)
	}
	for _, sender := range []any{a.mail.module, a.sms} {
		if to, ok := sender.(FileSender); ok {
			c.Directories = append(c.Directories, to.Directory())
		}
	}
	return c.Check()
}

// warn logs what all checks find.
func (a *App) warn() {
	for _, f := range a.Check() {
		log := a.logger.Warn
		if f.Severity == SeverityInfo {
			log = a.logger.Info
		}
		log(f.What, zap.String("check", f.Check), zap.String("where", f.Where), zap.String("remedy", f.Remedy))
	}
}

// Guard notes the upstreams of a handler that tells them who is asking, so that other ways to them can be found. It is
// called while a configuration is provisioned, which is one handler after another.
func (a *App) Guard(handler string, upstreams ...string) {
	repl := caddy.NewReplacer()
	gate := Gate{Handler: handler}
	for _, u := range upstreams {
		gate.Upstreams = append(gate.Upstreams, repl.ReplaceKnown(u, ""))
	}
	a.gates = append(a.gates, gate)
}

// httpModule stands for Caddy's HTTP app, which the logs are asked about.
type httpModule struct{}

func (httpModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http", New: func() caddy.Module { return new(httpModule) }}
}
