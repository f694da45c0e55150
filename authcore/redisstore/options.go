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
	// URLs name the servers: redis://[user:password@]host:port[/db], rediss:// for TLS, unix:///path[?db=n]. One is
	// enough, except that every Sentinel, and some nodes of a cluster, should be named. They differ in the host alone.
	// They hold passwords, so no error and no log shows them.
	URLs   []string
	Mode   Mode
	Master string // the name of the master that the Sentinels watch
	Prefix string // of every key; "chatgate" if empty

	// What the Sentinels themselves want to hear. The user and the password of the URLs are for the master.
	SentinelUser     string
	SentinelPassword string

	CAFile   string // PEM; whom to trust, beside the system's own, where a URL says rediss
	CertFile string // PEM; a client certificate, and its key
	KeyFile  string

	MaxConns       int           // connections at most to a server; 32 if zero
	ConnectTimeout time.Duration // to wait for a connection, a new one or a free one; 500 ms if zero
	CommandTimeout time.Duration // to wait for the answer to a command; 500 ms if zero
	AnswerTimeout  time.Duration // that [Store.Publish] waits for the other nodes; 1 s if zero

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

// OptionError is a mistake in one of the [Options].
type OptionError struct {
	Option string // as configurations call it: urls, mode, master, prefix, ca, cert, max_conns or a timeout
	Err    error  // which names the option where that is not the URLs
}

func (e *OptionError) Error() string { return e.Err.Error() }

func (e *OptionError) Unwrap() error { return e.Err }

// Validate reports the first mistake that can be found without the network and the files, as an [OptionError].
func (o Options) Validate() error {
	_, _, err := o.parse()
	return err
}

// CheckURL finds what is wrong with a URL, without showing any of it.
func CheckURL(text string, mode Mode) error {
	_, _, err := parseURL(text, mode)
	return err
}

// server is what a URL says, but for the host.
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
			err = errors.New("it differs from the first in more than the host")
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
		return &OptionError{"mode", errors.New("mode sentinel needs master, the name that the Sentinels know the servers by")}
	case o.Mode != Sentinel && o.Master != "":
		return &OptionError{"master", errors.New("master only matters with mode sentinel")}
	case o.Mode != Sentinel && (o.SentinelUser != "" || o.SentinelPassword != ""):
		return &OptionError{"mode", errors.New("the Sentinels' user and password only matter with mode sentinel")}
	case len(o.URLs) == 0:
		return &OptionError{"urls", errors.New("there is no URL, such as redis://localhost:6379")}
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

var prefixes = regexp.MustCompile(`^[0-9A-Za-z._:-]{0,64}$`) // nothing that a cluster or an access list reads as more

func (o Options) checkRest() error {
	if !prefixes.MatchString(o.Prefix) {
		return &OptionError{"prefix", fmt.Errorf("prefix is %q; it is made of up to 64 letters, digits, hyphens, underscores, dots and colons", o.Prefix)}
	}
	if o.MaxConns < 0 || o.MaxConns == 1 {
		return &OptionError{"max_conns", fmt.Errorf("max_conns is %d; it takes two connections at least", o.MaxConns)}
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

// parseURL reads a URL. No error repeats any of it: a mistake in one may put the password anywhere.
func parseURL(text string, mode Mode) (addr string, s server, err error) {
	scheme, _, _ := strings.Cut(text, "://")
	if scheme != "redis" && scheme != "rediss" && scheme != "unix" {
		return "", server{}, errors.New("it does not begin with redis://, rediss:// or unix://")
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

var errURLOptions = errors.New("it may not have options; a password in it needs %-encoding")

func checkSocket(u *url.URL, mode Mode) error {
	switch {
	case mode != Single:
		return fmt.Errorf("mode %s has no use for a unix one", mode)
	case u.Host != "" || u.Path == "" || u.Path == "/":
		return errors.New("it is not of the form unix:///path/of/the/socket")
	}
	return nil
}

func checkHost(u *url.URL) error {
	if u.Hostname() == "" {
		return errors.New("it names no host")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return errors.New("its port is not between 1 and 65535")
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
		return 0, errors.New("its path is not the number of a database")
	case n > 0 && mode == Cluster:
		return 0, errors.New("a cluster has only database 0")
	}
	return n, nil
}
