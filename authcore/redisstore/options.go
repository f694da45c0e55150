package redisstore

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Options say which Redis to use and how long to wait for it.
type Options struct {
	// URLs name the servers: redis://[user:password@]host:port[/db], rediss:// for TLS, unix:///path[?db=n]. Name one, or
	// every Sentinel, or some nodes of a cluster; they may differ in the host alone. They hold passwords, so no error and
	// no log shows them.
	URLs   []string
	Mode   Mode
	Master string // the name of the master that the Sentinels watch
	Prefix string // of every key; "chatgate" if empty

	// The login to the Sentinels themselves. The user and the password of the URLs are for the master.
	SentinelUser     string
	SentinelPassword string

	CAFile   string // PEM; authorities to trust beside the system's; for rediss URLs
	CertFile string // PEM; a client certificate, and its key
	KeyFile  string

	MaxConns       int           // connections to one server at most; 32 if zero
	ConnectTimeout time.Duration // for a new or a free connection; 500 ms if zero
	CommandTimeout time.Duration // for the answer to a command; 500 ms if zero
	AnswerTimeout  time.Duration // for the answers of the other nodes in [Store.Publish]; 1 s if zero

	Log *slog.Logger     // nil: none
	Now func() time.Time // the clock of the limits, for tests; nil: the server's own
}

// Mode says what kind of servers the URLs name.
type Mode string

// The modes.
const (
	Single   Mode = ""
	Sentinel Mode = "sentinel"
	Cluster  Mode = "cluster"
)

// OptionError is an error in one of the [Options].
type OptionError struct {
	Option string // its name in a Caddyfile: urls, mode, master, prefix, ca, cert, max_conns or a timeout
	Err    error  // names the option, unless that is urls
}

func (e *OptionError) Error() string { return e.Err.Error() }

func (e *OptionError) Unwrap() error { return e.Err }

// Validate returns the first error in the options as an [OptionError]. It uses neither the network nor files.
func (o Options) Validate() error {
	_, _, err := o.parse()
	return err
}

// CheckURL checks a URL. No error shows any of it.
func CheckURL(text string, mode Mode) error {
	_, _, err := parseURL(text, mode)
	return err
}

// server is the content of a URL without the host.
type server struct {
	network, user, password string
	db                      int
	tls                     bool
}

// parse checks the options and returns the addresses of the servers, and what they have in common.
func (o Options) parse() (addrs []string, common server, err error) {
	if err := o.checkMode(); err != nil {
		return nil, server{}, err
	}
	for i, text := range o.URLs {
		addr, s, err := parseURL(text, o.Mode)
		if err == nil && i > 0 && s != common {
			err = errors.New("it may differ from the first in the host alone")
		}
		if err != nil {
			return nil, server{}, &OptionError{"urls", fmt.Errorf("URL %d cannot be used: %w", i+1, err)}
		}
		addrs, common = append(addrs, addr), s
	}
	if err := o.checkFiles(common.tls); err != nil {
		return nil, server{}, err
	}
	return addrs, common, o.checkRest()
}

func (o Options) checkMode() error {
	switch {
	case o.Mode != Single && o.Mode != Sentinel && o.Mode != Cluster:
		return &OptionError{"mode", fmt.Errorf("mode is %q; it is single, sentinel or cluster", o.Mode)}
	case o.Mode == Sentinel && o.Master == "":
		return &OptionError{"mode", errors.New("mode sentinel needs master, the name that the Sentinels give to the servers")}
	case o.Mode != Sentinel && o.Master != "":
		return &OptionError{"master", errors.New("master only matters with mode sentinel")}
	case o.Mode != Sentinel && (o.SentinelUser != "" || o.SentinelPassword != ""):
		return &OptionError{"mode", errors.New("the Sentinels' user and password only matter with mode sentinel")}
	case len(o.URLs) == 0:
		return &OptionError{"urls", errors.New("there is no URL; write one, such as redis://localhost:6379")}
	case o.Mode == Single && len(o.URLs) > 1:
		return &OptionError{"urls", fmt.Errorf("there are %d URLs; more than one needs mode sentinel or mode cluster", len(o.URLs))}
	}
	return nil
}

func (o Options) checkFiles(tls bool) error {
	switch {
	case !tls && o.CAFile != "":
		return &OptionError{"ca", errors.New("ca only matters with a rediss URL")}
	case !tls && o.CertFile+o.KeyFile != "":
		return &OptionError{"cert", errors.New("cert only matters with a rediss URL")}
	case (o.CertFile == "") != (o.KeyFile == ""):
		return &OptionError{"cert", errors.New("a client certificate needs cert and key")}
	}
	return nil
}

var prefixes = regexp.MustCompile(`^[0-9A-Za-z._:-]{0,64}$`) // no character with a meaning in a cluster or an access list

func (o Options) checkRest() error {
	if !prefixes.MatchString(o.Prefix) {
		return &OptionError{"prefix", fmt.Errorf("prefix is %q; use at most 64 letters, digits, hyphens, underscores, dots and colons", o.Prefix)}
	}
	if o.MaxConns < 0 || o.MaxConns == 1 {
		return &OptionError{"max_conns", fmt.Errorf("max_conns is %d; it must be at least 2", o.MaxConns)}
	}
	for _, timeout := range [...]struct {
		option string
		value  time.Duration
	}{{"connect_timeout", o.ConnectTimeout}, {"command_timeout", o.CommandTimeout}, {"answer_timeout", o.AnswerTimeout}} {
		if timeout.value < 0 {
			return &OptionError{timeout.option, fmt.Errorf("%s is %s; it must be positive", timeout.option, timeout.value)}
		}
	}
	return nil
}

// parseURL parses a URL. No error repeats any of it, because a typo may put the password anywhere.
func parseURL(text string, mode Mode) (addr string, s server, err error) {
	scheme, _, _ := strings.Cut(text, "://")
	if scheme != "redis" && scheme != "rediss" && scheme != "unix" {
		return "", server{}, errors.New("it must begin with redis://, rediss:// or unix://")
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" {
		return "", server{}, errors.New("it is malformed")
	}
	s = server{network: "tcp", user: u.User.Username(), tls: scheme == "rediss"}
	s.password, _ = u.User.Password()
	if s.user != "" && s.password == "" {
		return "", server{}, errors.New("it has a user without a password; a password alone is written :password@")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.Fragment != "" {
		return "", server{}, errURLOptions
	}
	var db string
	if scheme == "unix" {
		s.network, addr, db = "unix", u.Path, query.Get("db")
		query.Del("db")
		err = checkSocket(u, mode)
	} else {
		addr, db = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "6379")), strings.Trim(u.Path, "/")
		err = checkHost(u)
	}
	if err == nil && len(query) > 0 {
		err = errURLOptions
	}
	if err == nil {
		s.db, err = parseDatabase(db, mode)
	}
	return addr, s, err
}

var errURLOptions = errors.New("it takes no options; if ? or # belongs to the password, percent-encode it")

func checkSocket(u *url.URL, mode Mode) error {
	switch {
	case mode != Single:
		return fmt.Errorf("mode %s takes no unix URL", mode)
	case u.Host != "" || u.Path == "" || u.Path == "/":
		return errors.New("it must have the form unix:///path/of/the/socket")
	}
	return nil
}

func checkHost(u *url.URL) error {
	if u.Hostname() == "" {
		return errors.New("it names no host")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return errors.New("its port must be between 1 and 65535")
		}
	}
	return nil
}

func parseDatabase(text string, mode Mode) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < 0:
		return 0, errors.New("its path must be the number of a database")
	case n > 0 && mode == Cluster:
		return 0, errors.New("a cluster has only database 0")
	}
	return n, nil
}
