package stores

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/authcore/redisstore"
	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

func init() {
	caddy.RegisterModule(new(Redis))
}

// Redis keeps sessions and limits in Redis, where all nodes hear of each other's logouts: in a single server, in one that
// Sentinels watch, or in a cluster.
type Redis struct {
	// redis, rediss or unix URLs; passwords in them have to be placeholders. Sentinels are all named; of a cluster some
	// nodes are enough.
	URLs []string `json:"urls,omitempty"`
	// "single" (the default), "sentinel" or "cluster".
	Mode string `json:"mode,omitempty"`
	// The name that the Sentinels give to the servers.
	Master string `json:"master,omitempty"`
	// What every key begins with. Default: "chatgate".
	Prefix string `json:"prefix,omitempty"`
	// A PEM file that says whom to trust beside the system's own; it may hold placeholders.
	CA string `json:"ca,omitempty"`
	// A PEM file with a client certificate; it may hold placeholders.
	Cert string `json:"cert,omitempty"`
	// A PEM file with the key of the certificate; it may hold placeholders.
	Key string `json:"key,omitempty"`
	// Connections to a server at most, 4 to 10000. Default: 32.
	MaxConns int `json:"max_conns,omitempty"`
	// How long to wait for a connection, 10ms to 1m. Default: 500ms.
	ConnectTimeout caddy.Duration `json:"connect_timeout,omitempty"`
	// How long to wait for an answer, 10ms to 1m. Default: 500ms.
	CommandTimeout caddy.Duration `json:"command_timeout,omitempty"`
	// How long a revocation waits for the other nodes, 100ms to 1m. Default: 1s.
	AnswerTimeout caddy.Duration `json:"answer_timeout,omitempty"`

	options redisstore.Options // with passwords
	files   []string           // the contents of CA, Cert and Key
}

// CaddyModule returns the Caddy module information.
func (*Redis) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.sessions.redis", New: func() caddy.Module { return new(Redis) }}
}

// Options implements [option.Holder]. The URLs are on the option's line.
func (r *Redis) Options() option.Table {
	const byStore = "redisstore checks it"
	return option.Table{
		option.Word("mode", &r.Mode, "single", "sentinel", "cluster"),
		option.Text("master", &r.Master).Unbounded(byStore),
		option.Text("prefix", &r.Prefix).Default("chatgate").Unbounded(byStore),
		option.Text("ca", &r.CA).Unbounded("a file, which is read when the module is provisioned"),
		option.Func("cert", "two files, which are read when the module is provisioned", r.unmarshalCert).Keys("cert", "key"),
		option.Count("max_conns", &r.MaxConns).Default("32").Between("4", "10000"),
		option.Duration("connect_timeout", &r.ConnectTimeout).Default("500ms").Between(timeoutLeast, timeoutMost),
		option.Duration("command_timeout", &r.CommandTimeout).Default("500ms").Between(timeoutLeast, timeoutMost),
		option.Duration("answer_timeout", &r.AnswerTimeout).Default("1s").Between("100ms", timeoutMost),
	}
}

// UnmarshalCaddyfile reads the option. Syntax, with the defaults:
//
//	sessions redis <url>... {
//	    mode            single | sentinel | cluster
//	    master          <name>
//	    prefix          chatgate
//	    ca              <file>
//	    cert            <file> <key file>
//	    max_conns       32
//	    connect_timeout 500ms
//	    command_timeout 500ms
//	    answer_timeout  1s
//	}
//
// A URL holds placeholders in the place of passwords, or is one.
func (r *Redis) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // redis
	line := d.Token()
	if r.URLs = d.RemainingArgs(); len(r.URLs) == 0 {
		return d.Err("sessions redis is written as: sessions redis <url>..., such as redis://localhost:6379")
	}
	return option.Block{Of: "sessions redis", Table: r.Options(), Prefixed: true}.ReadAt(d, line, r.check)
}

func (r *Redis) unmarshalCert(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 || strings.TrimSpace(args[0]) == "" || strings.TrimSpace(args[1]) == "" {
		return d.Err("cert is written as: cert <file> <key file>")
	}
	r.Cert, r.Key = args[0], args[1]
	return nil
}

// check finds what is wrong whatever values placeholders have.
func (r *Redis) check() error {
	urls, err := r.standIns()
	if err != nil {
		return err
	}
	o := redisstore.Options{URLs: urls, Mode: r.mode(), Master: r.Master, Prefix: r.Prefix, CAFile: r.CA, CertFile: r.Cert, KeyFile: r.Key}
	return cmp.Or(blame(o.Validate()), r.Options().Check())
}

// standIns checks each URL and returns one for each. Where there are placeholders, they are the same URL, and use TLS if any
// may: whether the URLs have their users, passwords and databases in common shows when the values are known.
func (r *Redis) standIns() (urls []string, err error) {
	some := false
	for i, text := range r.URLs {
		a, err := syntax.ParseAddress(text)
		if len(a.Names) > 0 {
			some, text = true, standIn(a.Scheme)
		}
		if err == nil {
			err = redisstore.CheckURL(text, r.mode())
		}
		if err != nil {
			return nil, fmt.Errorf("URL %d cannot be used: %w", i+1, err)
		}
		urls = append(urls, text)
	}
	if some {
		one := urls[max(0, slices.IndexFunc(urls, func(u string) bool { return strings.HasPrefix(u, "rediss://") }))]
		urls = slices.Repeat([]string{one}, len(urls))
	}
	return urls, nil
}

// standIn returns a URL like one of which a placeholder hides all but the scheme, or even that.
func standIn(scheme string) string {
	if scheme == "unix" {
		return "unix:///socket"
	}
	return cmp.Or(scheme, "rediss") + "://localhost"
}

func (r *Redis) mode() redisstore.Mode {
	if r.Mode == "single" {
		return redisstore.Single
	}
	return redisstore.Mode(r.Mode)
}

// blame names the option that the store finds a mistake in, for its line in the Caddyfile.
func blame(err error) error {
	if e, ok := errors.AsType[*redisstore.OptionError](err); ok {
		return &option.Error{Option: e.Option, Err: e}
	}
	return err
}

// Provision finds out which servers are meant, and reads the files that are named.
func (r *Redis) Provision(caddy.Context) error {
	err := r.check()
	if err == nil {
		r.Options().Fill()
		err = r.resolve(caddy.NewReplacer())
	}
	if err != nil {
		return fmt.Errorf("sessions redis: %w", err)
	}
	return nil
}

func (r *Redis) resolve(repl *caddy.Replacer) error {
	r.options = redisstore.Options{
		Mode: r.mode(), Master: r.Master, Prefix: r.Prefix, MaxConns: r.MaxConns,
		ConnectTimeout: time.Duration(r.ConnectTimeout),
		CommandTimeout: time.Duration(r.CommandTimeout),
		AnswerTimeout:  time.Duration(r.AnswerTimeout),
		Log:            slog.New(app.ProcessLog{}),
	}
	for i, text := range r.URLs {
		a, err := syntax.ParseAddress(text)
		if err != nil {
			return err
		}
		u, err := a.Resolve(repl)
		if err != nil {
			return fmt.Errorf("URL %d cannot be used: %w", i+1, err)
		}
		r.options.URLs = append(r.options.URLs, u)
	}
	if err := r.readFiles(repl); err != nil {
		return err
	}
	return r.options.Validate()
}

func (r *Redis) readFiles(repl *caddy.Replacer) error {
	for _, f := range [...]struct {
		option, name string
		path         *string
	}{{"ca", r.CA, &r.options.CAFile}, {"cert", r.Cert, &r.options.CertFile}, {"cert", r.Key, &r.options.KeyFile}} {
		path, content, err := syntax.ReadFile(repl, f.name)
		if err != nil {
			return fmt.Errorf("%s %s: %w", f.option, f.name, err)
		}
		*f.path = path
		r.files = append(r.files, content)
	}
	if r.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(r.files[0])) {
		return fmt.Errorf("ca %s: there is no PEM certificate in it", r.CA)
	}
	if r.Cert != "" {
		if _, err := tls.X509KeyPair([]byte(r.files[1]), []byte(r.files[2])); err != nil {
			return fmt.Errorf("cert %s %s: %w", r.Cert, r.Key, err)
		}
	}
	return nil
}

// Embedded implements [app.SessionsModule].
func (*Redis) Embedded() bool { return false }

// Identity implements [app.SessionsModule]. A renewed certificate makes another one, so that it is read.
func (r *Redis) Identity() app.Identity {
	o := r.options
	return app.Identity{Name: "Redis", Place: r.place(), Config: app.Fingerprint(
		fmt.Sprintf("redis %q %q %q %q %q %q %q %d", o.URLs, o.Mode, o.Master, o.Prefix, o.CAFile, o.CertFile, o.KeyFile, o.MaxConns),
		fmt.Sprint(o.ConnectTimeout, o.CommandTimeout, o.AnswerTimeout),
		fmt.Sprintf("%q", r.files),
	)}
}

// place names the servers and the prefix, without their users and passwords.
func (r *Redis) place() string {
	place := []string{"redis", r.options.Master, r.options.Prefix}
	for _, text := range r.options.URLs {
		if u, err := url.Parse(text); err == nil { // and it was checked before
			place = append(place, u.Host+u.Path)
		}
	}
	return strings.Join(place, " ")
}

// Open implements [app.SessionsModule].
func (r *Redis) Open(ctx context.Context, _ app.AccountStores) (app.SessionStores, error) {
	s, err := redisstore.Open(ctx, r.options)
	if err != nil {
		return app.SessionStores{}, err
	}
	return app.SessionStores{Sessions: s, Limits: s, Feed: s, Presence: s, Close: s.Close}, nil
}

// Interface guards
var (
	_ app.SessionsModule    = (*Redis)(nil)
	_ option.Holder         = (*Redis)(nil)
	_ caddy.Provisioner     = (*Redis)(nil)
	_ caddyfile.Unmarshaler = (*Redis)(nil)
)
