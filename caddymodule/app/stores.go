package app

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/chatgate/chatgate/authcore/redisstore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// AccountsConfig says where accounts, keys and whatever else must never be lost are kept.
type AccountsConfig struct {
	Store string `json:"store"` // "sqlite" or "postgres"

	Path string `json:"path,omitempty"` // sqlite: of the database file; may hold placeholders

	// The rest is of postgres. DSN is a URL, or keywords and values. Passwords in it have to be placeholders.
	DSN              string         `json:"dsn,omitempty"`
	MaxConns         int            `json:"max_conns,omitempty"`         // connections at most: 16
	ConnectTimeout   caddy.Duration `json:"connect_timeout,omitempty"`   // to wait for a connection: 750ms
	StatementTimeout caddy.Duration `json:"statement_timeout,omitempty"` // to wait for an answer: 750ms
}

// SessionsConfig says where sessions and limits are kept.
type SessionsConfig struct {
	Store string `json:"store"` // "embedded", in the accounts' database, or "redis"

	// The rest is of redis. URLs are redis, rediss or unix ones; passwords in them have to be placeholders. Sentinels are
	// all named; of a cluster some nodes are enough.
	URLs           []string       `json:"urls,omitempty"`
	Mode           string         `json:"mode,omitempty"`            // "single" (the default), "sentinel" or "cluster"
	Master         string         `json:"master,omitempty"`          // that the Sentinels watch
	Prefix         string         `json:"prefix,omitempty"`          // of every key: "chatgate"
	CA             string         `json:"ca,omitempty"`              // PEM file: whom to trust beside the system's own; may hold placeholders
	Cert           string         `json:"cert,omitempty"`            // PEM file with a client certificate; likewise
	Key            string         `json:"key,omitempty"`             // PEM file with its key; likewise
	MaxConns       int            `json:"max_conns,omitempty"`       // connections to a server at most: 32
	ConnectTimeout caddy.Duration `json:"connect_timeout,omitempty"` // to wait for a connection: 500ms
	CommandTimeout caddy.Duration `json:"command_timeout,omitempty"` // to wait for an answer: 500ms
	AnswerTimeout  caddy.Duration `json:"answer_timeout,omitempty"`  // that a revocation waits for the other nodes: 1s
}

// storeError is a mistake in one option of a store; without an option, in the line that names the store.
type storeError struct {
	store, option string
	err           error
}

func (e *storeError) Error() string { return e.store + ": " + e.err.Error() }

func (e *storeError) Unwrap() error { return e.err }

// check finds what is wrong with c whatever values placeholders have.
func (c *AccountsConfig) check() error {
	if c == nil {
		return nil
	}
	fail := func(option string, err error) error { return &storeError{"accounts " + c.Store, option, err} }
	switch c.Store {
	case "sqlite":
		return cmp.Or(
			foreign(fail, "dsn", c.DSN, "postgres"), foreign(fail, "max_conns", c.MaxConns, "postgres"),
			foreign(fail, "connect_timeout", c.ConnectTimeout, "postgres"),
			foreign(fail, "statement_timeout", c.StatementTimeout, "postgres"),
		)
	case "postgres":
	default:
		return fmt.Errorf("accounts %q is unknown; it is sqlite or postgres", c.Store)
	}
	if err := foreign(fail, "path", c.Path, "sqlite"); err != nil {
		return err
	}
	if c.DSN == "" {
		return fail("", errors.New("there is no dsn"))
	}
	a, err := syntax.ParseAddress(c.DSN)
	if err != nil {
		return fail("", fmt.Errorf("the connection string cannot be used: %w", err))
	}
	if a.Scheme != "" && a.Scheme != "postgres" && a.Scheme != "postgresql" ||
		a.Scheme == "" && len(a.Names) == 0 && !strings.Contains(c.DSN, "=") {
		return fail("", errors.New("the connection string is neither a URL like postgres://user:{env.NAME}@host/database nor made of keywords and values"))
	}
	return cmp.Or(
		inRange(fail, "max_conns", c.MaxConns, 1, 10_000, strconv.Itoa),
		inRange(fail, "connect_timeout", c.ConnectTimeout, 10*caddy.Duration(time.Millisecond), caddy.Duration(time.Minute), durationText),
		inRange(fail, "statement_timeout", c.StatementTimeout, 10*caddy.Duration(time.Millisecond), caddy.Duration(time.Minute), durationText),
	)
}

// check finds what is wrong with c whatever values placeholders have.
func (c *SessionsConfig) check() error {
	if c == nil {
		return nil
	}
	fail := func(option string, err error) error { return &storeError{"sessions " + c.Store, option, err} }
	switch c.Store {
	case "embedded":
		return cmp.Or(
			foreign(fail, "urls", len(c.URLs), "redis"), foreign(fail, "mode", c.Mode, "redis"),
			foreign(fail, "master", c.Master, "redis"), foreign(fail, "prefix", c.Prefix, "redis"),
			foreign(fail, "ca", c.CA, "redis"), foreign(fail, "cert", c.Cert, "redis"), foreign(fail, "key", c.Key, "redis"),
			foreign(fail, "max_conns", c.MaxConns, "redis"), foreign(fail, "connect_timeout", c.ConnectTimeout, "redis"),
			foreign(fail, "command_timeout", c.CommandTimeout, "redis"), foreign(fail, "answer_timeout", c.AnswerTimeout, "redis"),
		)
	case "redis":
	default:
		return fmt.Errorf("sessions %q is unknown; it is embedded or redis", c.Store)
	}
	if err := c.checkMode(fail); err != nil {
		return err
	}
	if err := c.checkURLs(fail); err != nil {
		return err
	}
	if c.Prefix != "" && !prefixes.MatchString(c.Prefix) {
		return fail("prefix", fmt.Errorf("prefix is %q; it is made of up to 64 letters, digits, hyphens, underscores, dots and colons", c.Prefix))
	}
	if (c.Cert == "") != (c.Key == "") {
		return fail("cert", errors.New("a client certificate needs cert and key"))
	}
	least, most := 10*caddy.Duration(time.Millisecond), caddy.Duration(time.Minute)
	return cmp.Or(
		inRange(fail, "max_conns", c.MaxConns, 4, 10_000, strconv.Itoa),
		inRange(fail, "connect_timeout", c.ConnectTimeout, least, most, durationText),
		inRange(fail, "command_timeout", c.CommandTimeout, least, most, durationText),
		inRange(fail, "answer_timeout", c.AnswerTimeout, 10*least, most, durationText),
	)
}

var prefixes = regexp.MustCompile(`^[0-9A-Za-z_.:-]{1,64}$`)

func (c *SessionsConfig) checkMode(fail func(string, error) error) error {
	if !slices.Contains([]string{"", "single", "sentinel", "cluster"}, c.Mode) {
		return fail("mode", fmt.Errorf("mode is %q; it is single, sentinel or cluster", c.Mode))
	}
	if c.Mode == "sentinel" && c.Master == "" {
		return fail("mode", errors.New("mode sentinel needs master, the name that the Sentinels know the servers by"))
	}
	if c.Mode != "sentinel" && c.Master != "" {
		return fail("master", errors.New("master only matters with mode sentinel"))
	}
	if c.Mode != "sentinel" && c.Mode != "cluster" && len(c.URLs) > 1 {
		return fail("", fmt.Errorf("there are %d URLs; more than one needs mode sentinel or mode cluster", len(c.URLs)))
	}
	return nil
}

func (c *SessionsConfig) checkURLs(fail func(string, error) error) error {
	if len(c.URLs) == 0 {
		return fail("", errors.New("there is no URL, such as redis://localhost:6379"))
	}
	plain := 0
	for i, text := range c.URLs {
		a, err := syntax.ParseAddress(text)
		switch {
		case err != nil:
		case a.Scheme == "" && len(a.Names) > 0: // to be seen
		case len(a.Names) == 0:
			err = c.checkURL(text)
		default:
			err = c.checkScheme(a.Scheme)
		}
		if err != nil {
			return fail("", fmt.Errorf("URL %d cannot be used: %w", i+1, err))
		}
		if a.Scheme == "redis" || a.Scheme == "unix" {
			plain++
		}
	}
	if plain == len(c.URLs) {
		for _, option := range [...]struct{ name, value string }{{"ca", c.CA}, {"cert", c.Cert}} {
			if option.value != "" {
				return fail(option.name, fmt.Errorf("%s only matters with a rediss URL", option.name))
			}
		}
	}
	return nil
}

func (c *SessionsConfig) checkScheme(scheme string) error {
	switch scheme {
	case "redis", "rediss":
		return nil
	case "unix":
		if c.Mode == "sentinel" || c.Mode == "cluster" {
			return fmt.Errorf("mode %s has no use for a unix one", c.Mode)
		}
		return nil
	default:
		return errors.New("it does not begin with redis://, rediss:// or unix://")
	}
}

// checkURL looks at a URL without placeholders. No error shows it.
func (c *SessionsConfig) checkURL(text string) error {
	scheme, _, _ := strings.Cut(text, "://")
	if err := c.checkScheme(scheme); err != nil {
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
		} else if n > 0 && c.Mode == "cluster" {
			return errors.New("a cluster has only database 0")
		}
	}
	return nil
}

// foreign finds an option that is set, and of another store.
func foreign[T comparable](fail func(string, error) error, option string, v T, store string) error {
	var zero T
	if v == zero {
		return nil
	}
	return fail(option, fmt.Errorf("%s is an option of %s", option, store))
}

// inRange finds a value that is set and out of bounds.
func inRange[T int | caddy.Duration](fail func(string, error) error, option string, v, least, most T, text func(T) string) error {
	if v == 0 || v >= least && v <= most {
		return nil
	}
	return fail(option, fmt.Errorf("%s is %s; it must be between %s and %s", option, text(v), text(least), text(most)))
}

func durationText(d caddy.Duration) string { return time.Duration(d).String() }

// The bounds of the graces.
const (
	feedGraceLeast, feedGraceMost = time.Second, 5 * time.Second
	liveGraceLeast, liveGraceMost = 10 * time.Second, 24 * time.Hour
)

// checkGraces finds what is wrong with the graces by themselves.
func (a *App) checkGraces() error {
	asIs := func(_ string, err error) error { return err }
	return cmp.Or(
		inRange(asIs, "feed_grace", a.FeedGrace, caddy.Duration(feedGraceLeast), caddy.Duration(feedGraceMost), durationText),
		inRange(asIs, "live_grace", a.LiveGrace, caddy.Duration(liveGraceLeast), caddy.Duration(liveGraceMost), durationText),
	)
}

// checkStores finds what does not go together. The option is the one to change.
func (a *App) checkStores() (option string, err error) {
	redis := a.Sessions != nil && a.Sessions.Store == "redis"
	switch {
	case a.Accounts != nil && a.Accounts.Store == "postgres" && a.Sessions == nil:
		return "accounts", errors.New("accounts postgres needs to know where sessions are: sessions redis <url>, or sessions embedded where one node alone uses the database")
	case a.FeedGrace != 0 && !redis:
		return "feed_grace", errors.New("feed_grace only matters where sessions are in Redis")
	case a.LiveGrace != 0 && !redis:
		return "live_grace", errors.New("live_grace only matters where sessions are in Redis")
	}
	return "", nil
}

// stores is where a state keeps things, with every placeholder resolved: it holds secrets.
type stores struct {
	key   string // says which state is meant, and holds no secret
	place string // says where sessions are, and holds no secret

	path     string                    // of the SQLite database, unless
	postgres *sqlstore.PostgresOptions // is set
	redis    *redisstore.Options       // nil: sessions are embedded
}

// resolveStores checks where things are kept.
func (a *App) resolveStores(repl *caddy.Replacer) (s stores, err error) {
	_, unfit := a.checkStores()
	if err := cmp.Or(a.Accounts.check(), a.Sessions.check(), unfit, a.checkGraces()); err != nil {
		return stores{}, err
	}
	var id struct {
		SQLite   string                    `json:",omitempty"`
		Postgres *sqlstore.PostgresOptions `json:",omitempty"`
		Database []string                  `json:",omitempty"`
		Redis    any                       `json:",omitempty"`
		Files    []string                  `json:",omitempty"`
	}
	if c := a.Accounts; c != nil && c.Store == "postgres" {
		if s.postgres, id.Database, err = c.resolvePostgres(repl); err != nil {
			return stores{}, err
		}
	} else if s.path, err = c.resolveSQLite(repl); err != nil {
		return stores{}, err
	}
	if c := a.Sessions; c != nil && c.Store == "redis" {
		if s.redis, id.Files, err = c.resolveRedis(repl); err != nil {
			return stores{}, err
		}
		// Two states over one Redis hear of each other's logouts, so whatever differs makes another one.
		o := *s.redis
		s.place = redisPlace(o)
		id.SQLite, id.Postgres, id.Redis = s.path, s.postgres, redisIdentity(o)
	} else if s.postgres == nil {
		s.key, s.place = s.path, s.path
		return s, nil
	}
	// Where sessions are embedded, two states over one database would not hear of each other's logouts: what tells one
	// from another is the database alone, not how it is reached.
	raw, err := json.Marshal(id)
	if err != nil {
		return stores{}, err
	}
	sum := sha256.Sum256(raw)
	s.key = "sha256:" + hex.EncodeToString(sum[:])
	s.place = cmp.Or(s.place, s.key)
	return s, nil
}

// redisPlace names the servers and the prefix, without their users and passwords.
func redisPlace(o redisstore.Options) string {
	place := []string{"redis", o.Master, o.Prefix}
	for _, text := range o.URLs {
		if u, err := url.Parse(text); err == nil { // and it was checked before
			place = append(place, u.Host+u.Path)
		}
	}
	return strings.Join(place, " ")
}

// redisIdentity returns what of the options says which state is meant.
func redisIdentity(o redisstore.Options) any {
	return []any{
		o.URLs, o.Mode, o.Master, o.Prefix, o.CAFile, o.CertFile, o.KeyFile, o.MaxConns, o.ConnectTimeout, o.CommandTimeout, o.AnswerTimeout,
	}
}

// resolveSQLite returns the path of the database.
func (c *AccountsConfig) resolveSQLite(repl *caddy.Replacer) (string, error) {
	path := filepath.Join(caddy.AppDataDir(), "chatgate", "chatgate.db")
	if c != nil && c.Path != "" {
		var err error
		if path, err = repl.ReplaceOrErr(c.Path, true, true); err != nil {
			return "", fmt.Errorf("accounts sqlite: %w", err)
		}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("accounts sqlite %s: %w", path, err)
	}
	// One file under two names would be two states, which do not hear of each other's logouts. What is not there yet has
	// no other name.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(dir, filepath.Base(path))
	}
	return path, nil
}

// resolvePostgres returns how to reach the database, and which one it is.
func (c *AccountsConfig) resolvePostgres(repl *caddy.Replacer) (*sqlstore.PostgresOptions, []string, error) {
	fail := func(err error) (*sqlstore.PostgresOptions, []string, error) {
		return nil, nil, &storeError{store: "accounts postgres", err: err}
	}
	a, err := syntax.ParseAddress(c.DSN)
	if err != nil {
		return fail(err)
	}
	dsn, err := a.Resolve(repl)
	if err != nil {
		return fail(err)
	}
	if _, err := syntax.ParseAddress(dsn); errors.Is(err, syntax.ErrTorn) { // what else it says is of no use here
		return fail(fmt.Errorf("the connection string cannot be used: %w", syntax.ErrTorn))
	}
	parsed, err := pgconn.ParseConfig(dsn)
	if err != nil {
		// The error quotes what it did not understand, and that may be the password.
		return fail(errors.New("the connection string is malformed, or a file that it names cannot be read"))
	}
	hosts := []string{net.JoinHostPort(parsed.Host, strconv.Itoa(int(parsed.Port)))}
	for _, f := range parsed.Fallbacks {
		hosts = append(hosts, net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))))
	}
	slices.Sort(hosts)
	database := append(slices.Compact(hosts), parsed.Database, parsed.RuntimeParams["search_path"])
	return &sqlstore.PostgresOptions{
		DSN: dsn, MaxConns: cmp.Or(c.MaxConns, 16),
		ConnectTimeout:   time.Duration(cmp.Or(c.ConnectTimeout, 750*caddy.Duration(time.Millisecond))),
		StatementTimeout: time.Duration(cmp.Or(c.StatementTimeout, 750*caddy.Duration(time.Millisecond))),
	}, database, nil
}

// resolveRedis returns how to reach the servers, and what is in the files that it names.
func (c *SessionsConfig) resolveRedis(repl *caddy.Replacer) (*redisstore.Options, []string, error) {
	fail := func(err error) (*redisstore.Options, []string, error) {
		return nil, nil, &storeError{store: "sessions redis", err: err}
	}
	o := &redisstore.Options{
		Mode: redisstore.Mode(c.Mode), Master: c.Master, Prefix: cmp.Or(c.Prefix, "chatgate"), MaxConns: cmp.Or(c.MaxConns, 32),
		ConnectTimeout: time.Duration(cmp.Or(c.ConnectTimeout, 500*caddy.Duration(time.Millisecond))),
		CommandTimeout: time.Duration(cmp.Or(c.CommandTimeout, 500*caddy.Duration(time.Millisecond))),
		AnswerTimeout:  time.Duration(cmp.Or(c.AnswerTimeout, caddy.Duration(time.Second))),
		Log:            slog.New(ProcessLog{}),
	}
	if c.Mode == "single" {
		o.Mode = redisstore.Single
	}
	for i, text := range c.URLs {
		a, err := syntax.ParseAddress(text)
		if err != nil {
			return fail(err)
		}
		u, err := a.Resolve(repl)
		if err == nil {
			err = c.checkURL(u)
		}
		if err != nil {
			return fail(fmt.Errorf("URL %d cannot be used: %w", i+1, err))
		}
		o.URLs = append(o.URLs, u)
	}
	var files []string
	for _, f := range [...]struct {
		option, text string
		path         *string
	}{{"ca", c.CA, &o.CAFile}, {"cert", c.Cert, &o.CertFile}, {"cert", c.Key, &o.KeyFile}} {
		content, err := readOption(repl, f.text, f.path)
		if err != nil {
			return fail(fmt.Errorf("%s %s: %w", f.option, f.text, err))
		}
		files = append(files, content)
	}
	if c.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(files[0])) {
		return fail(fmt.Errorf("ca %s: there is no PEM certificate in it", c.CA))
	}
	if c.Cert != "" {
		if _, err := tls.X509KeyPair([]byte(files[1]), []byte(files[2])); err != nil {
			return fail(fmt.Errorf("cert %s %s: %w", c.Cert, c.Key, err))
		}
	}
	return o, files, nil
}

// readOption resolves the name of a file and reads that. An error does not show what the name resolves to.
func readOption(repl *caddy.Replacer, text string, path *string) (string, error) {
	if text == "" {
		return "", nil
	}
	p, err := repl.ReplaceOrErr(text, true, true)
	if err != nil {
		return "", err
	}
	content, err := os.ReadFile(p) //nolint:gosec // the operator names it
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	*path = p
	return string(content), err
}
