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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/authcore/redisstore"
	"github.com/chatgate/chatgate/caddymodule/app"
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
	// The name that the Sentinels know the servers by.
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
	return syntax.Block(d, "sessions redis", line, r.check,
		syntax.BlockOption{Name: "mode", Read: func() error { return syntax.OneOf(d, &r.Mode, "single", "sentinel", "cluster") }},
		syntax.BlockOption{Name: "master", Read: func() error { return syntax.One(d, &r.Master) }},
		syntax.BlockOption{Name: "prefix", Read: func() error { return syntax.One(d, &r.Prefix) }},
		syntax.BlockOption{Name: "ca", Read: func() error { return syntax.One(d, &r.CA) }},
		syntax.BlockOption{Name: "cert", Read: func() error { return r.unmarshalCert(d) }},
		syntax.BlockOption{Name: "max_conns", Read: func() error { return syntax.Count(d, &r.MaxConns) }},
		syntax.BlockOption{Name: "connect_timeout", Read: func() error { return syntax.Duration(d, &r.ConnectTimeout) }},
		syntax.BlockOption{Name: "command_timeout", Read: func() error { return syntax.Duration(d, &r.CommandTimeout) }},
		syntax.BlockOption{Name: "answer_timeout", Read: func() error { return syntax.Duration(d, &r.AnswerTimeout) }},
	)
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
	return cmp.Or(r.checkMode(), r.checkURLs(), r.checkKeys(), r.checkBounds())
}

var prefixes = regexp.MustCompile(`^[0-9A-Za-z_.:-]{1,64}$`)

func (r *Redis) checkKeys() error {
	if r.Prefix != "" && !prefixes.MatchString(r.Prefix) {
		return syntax.Wrong("prefix", "prefix is %q; it is made of up to 64 letters, digits, hyphens, underscores, dots and colons", r.Prefix)
	}
	if (r.Cert == "") != (r.Key == "") {
		return syntax.Wrong("cert", "a client certificate needs cert and key")
	}
	return nil
}

func (r *Redis) checkBounds() error {
	return cmp.Or(
		syntax.InRange("max_conns", r.MaxConns, 4, 10_000),
		syntax.InRange("connect_timeout", r.ConnectTimeout, timeoutLeast, timeoutMost),
		syntax.InRange("command_timeout", r.CommandTimeout, timeoutLeast, timeoutMost),
		syntax.InRange("answer_timeout", r.AnswerTimeout, 10*timeoutLeast, timeoutMost),
	)
}

func (r *Redis) checkMode() error {
	if !slices.Contains([]string{"", "single", "sentinel", "cluster"}, r.Mode) {
		return syntax.Wrong("mode", "mode is %q; it is single, sentinel or cluster", r.Mode)
	}
	if r.Mode == "sentinel" && r.Master == "" {
		return syntax.Wrong("mode", "mode sentinel needs master, the name that the Sentinels know the servers by")
	}
	if r.Mode != "sentinel" && r.Master != "" {
		return syntax.Wrong("master", "master only matters with mode sentinel")
	}
	if r.Mode != "sentinel" && r.Mode != "cluster" && len(r.URLs) > 1 {
		return fmt.Errorf("there are %d URLs; more than one needs mode sentinel or mode cluster", len(r.URLs))
	}
	return nil
}

func (r *Redis) checkURLs() error {
	if len(r.URLs) == 0 {
		return errors.New("there is no URL, such as redis://localhost:6379")
	}
	plain := 0
	for i, text := range r.URLs {
		a, err := syntax.ParseAddress(text)
		switch {
		case err != nil:
		case a.Scheme == "" && len(a.Names) > 0: // to be seen
		case len(a.Names) == 0:
			err = r.checkURL(text)
		default:
			err = r.checkScheme(a.Scheme)
		}
		if err != nil {
			return fmt.Errorf("URL %d cannot be used: %w", i+1, err)
		}
		if a.Scheme == "redis" || a.Scheme == "unix" {
			plain++
		}
	}
	if plain == len(r.URLs) {
		for _, option := range [...]struct{ name, value string }{{"ca", r.CA}, {"cert", r.Cert}} {
			if option.value != "" {
				return syntax.Wrong(option.name, "%s only matters with a rediss URL", option.name)
			}
		}
	}
	return nil
}

func (r *Redis) checkScheme(scheme string) error {
	switch scheme {
	case "redis", "rediss":
		return nil
	case "unix":
		if r.Mode == "sentinel" || r.Mode == "cluster" {
			return fmt.Errorf("mode %s has no use for a unix one", r.Mode)
		}
		return nil
	default:
		return errors.New("it does not begin with redis://, rediss:// or unix://")
	}
}

// checkURL looks at a URL without placeholders. No error shows it.
func (r *Redis) checkURL(text string) error {
	scheme, _, _ := strings.Cut(text, "://")
	if err := r.checkScheme(scheme); err != nil {
		return err
	}
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("it is malformed")
	}
	if scheme == "unix" {
		if u.Host != "" || u.Path == "" || u.Path == "/" {
			return errors.New("it is not of the form unix:///path/of/the/socket")
		}
		return nil
	}
	if u.Hostname() == "" {
		return errors.New("it names no host")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return errors.New("its port is not between 1 and 65535")
		}
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		if n, err := strconv.Atoi(db); err != nil || n < 0 {
			return errors.New("its path is not the number of a database")
		} else if n > 0 && r.Mode == "cluster" {
			return errors.New("a cluster has only database 0")
		}
	}
	return nil
}

// Provision finds out which servers are meant, and reads the files that are named.
func (r *Redis) Provision(caddy.Context) error {
	err := r.check()
	if err == nil {
		err = r.resolve(caddy.NewReplacer())
	}
	if err != nil {
		return fmt.Errorf("sessions redis: %w", err)
	}
	return nil
}

func (r *Redis) resolve(repl *caddy.Replacer) error {
	r.options = redisstore.Options{
		Mode: redisstore.Mode(r.Mode), Master: r.Master, Prefix: cmp.Or(r.Prefix, "chatgate"), MaxConns: cmp.Or(r.MaxConns, 32),
		ConnectTimeout: time.Duration(cmp.Or(r.ConnectTimeout, 500*caddy.Duration(time.Millisecond))),
		CommandTimeout: time.Duration(cmp.Or(r.CommandTimeout, 500*caddy.Duration(time.Millisecond))),
		AnswerTimeout:  time.Duration(cmp.Or(r.AnswerTimeout, caddy.Duration(time.Second))),
		Log:            slog.New(app.ProcessLog{}),
	}
	if r.Mode == "single" {
		r.options.Mode = redisstore.Single
	}
	for i, text := range r.URLs {
		a, err := syntax.ParseAddress(text)
		if err != nil {
			return err
		}
		u, err := a.Resolve(repl)
		if err == nil {
			err = r.checkURL(u)
		}
		if err != nil {
			return fmt.Errorf("URL %d cannot be used: %w", i+1, err)
		}
		r.options.URLs = append(r.options.URLs, u)
	}
	return r.readFiles(repl)
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
	_ caddy.Provisioner     = (*Redis)(nil)
	_ caddyfile.Unmarshaler = (*Redis)(nil)
)
