package redisstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// The client would write a line of its own to the standard error for each connection that fails. All that it says there
// comes back as an error, too.
func init() { redis.SetLogger(&logging.VoidLogger{}) }

// Open connects to Redis and checks that it is fit: reachable, new enough, a master, and not set to throw away what it
// holds. What is only unwise is a warning in the log.
func Open(ctx context.Context, o Options) (*Store, error) {
	o.Prefix = cmp.Or(o.Prefix, "chatgate")
	o.MaxConns = cmp.Or(o.MaxConns, 32)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 500*time.Millisecond)
	o.CommandTimeout = cmp.Or(o.CommandTimeout, 500*time.Millisecond)
	o.AnswerTimeout = cmp.Or(o.AnswerTimeout, time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	client, err := o.client()
	if err != nil {
		return nil, err
	}
	s := &Store{o: o, client: client, node: rand.Text()}
	if err := s.check(ctx); err != nil {
		_ = client.Close()
		return nil, err
	}
	return s, nil
}

// Validate reports the first mistake that can be found without the network.
func (o Options) Validate() error {
	_, _, err := o.parse()
	return err
}

// server is what a URL says, but for the host.
type server struct {
	network, user, password string
	db                      int
	tls                     bool
}

var prefixes = regexp.MustCompile(`^[0-9A-Za-z._:-]{0,64}$`) // nothing that a cluster or an access list reads as more

// parse checks the options and returns the addresses of the servers, and what they have in common.
func (o Options) parse() (addrs []string, common server, err error) {
	wrong := func(text string, args ...any) ([]string, server, error) {
		return nil, server{}, fmt.Errorf(text, args...)
	}
	for i, text := range o.URLs {
		addr, s, err := parseURL(text)
		switch {
		case err != nil:
			return wrong("redis URL %d: %w", i+1, err)
		case i > 0 && s != common:
			return wrong("redis URL %d: it differs from the first in more than the host", i+1)
		case o.Mode != Single && s.network == "unix":
			return wrong("redis URL %d: a socket is for a single server", i+1)
		case o.Mode == Cluster && s.db != 0:
			return wrong("redis URL %d: a cluster has no databases but 0", i+1)
		}
		addrs, common = append(addrs, addr), s
	}
	switch {
	case o.Mode != Single && o.Mode != Sentinel && o.Mode != Cluster:
		return wrong("redis mode %q: it is none of sentinel and cluster", o.Mode)
	case len(addrs) == 0:
		return wrong("redis: no URL says where it is")
	case o.Mode == Single && len(addrs) > 1:
		return wrong("redis: %d URLs, but neither sentinel nor cluster", len(addrs))
	case o.Mode == Sentinel && o.Master == "":
		return wrong("redis: the name of the master that the sentinels watch is missing")
	case o.Mode != Sentinel && (o.Master != "" || o.SentinelUser != "" || o.SentinelPassword != ""):
		return wrong("redis: a master's name and a sentinel's password are for sentinels")
	case !common.tls && (o.CAFile != "" || o.CertFile != "" || o.KeyFile != ""):
		return wrong("redis: certificates are for TLS, but no URL begins with rediss://")
	case (o.CertFile == "") != (o.KeyFile == ""):
		return wrong("redis: a client certificate and its key go together")
	case !prefixes.MatchString(o.Prefix):
		return wrong("redis prefix %q: up to 64 letters, digits and any of . _ : -", o.Prefix)
	case o.MaxConns < 0 || o.MaxConns == 1:
		return wrong("redis: it takes two connections at least")
	case o.ConnectTimeout < 0 || o.CommandTimeout < 0 || o.AnswerTimeout < 0:
		return wrong("redis: a timeout is negative")
	}
	return addrs, common, nil
}

// parseURL reads a URL. No error repeats any of it: a mistake in one may put the password anywhere.
func parseURL(text string) (addr string, s server, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" {
		return "", server{}, errors.New("it is no URL; a password in it needs %-encoding")
	}
	s = server{network: "tcp", user: u.User.Username(), tls: u.Scheme == "rediss"}
	s.password, _ = u.User.Password()
	if s.user != "" && s.password == "" {
		return "", server{}, errors.New("a user without a password; a password alone is written :password@")
	}
	path, db := "", strings.TrimPrefix(u.Path, "/")
	query, err := url.ParseQuery(u.RawQuery)
	switch u.Scheme {
	case "redis", "rediss":
		if u.Hostname() == "" {
			return "", server{}, errors.New("it names no host")
		}
		addr = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "6379"))
	case "unix":
		s.network, path, db = "unix", u.Path, query.Get("db")
		if path == "" || u.Host != "" {
			return "", server{}, errors.New("a socket is written unix:///path")
		}
		addr = path
		query.Del("db")
	default:
		return "", server{}, errors.New("it begins with none of redis://, rediss:// and unix://")
	}
	if err != nil || len(query) > 0 || u.Fragment != "" {
		return "", server{}, errors.New("it may not have options; a password in it needs %-encoding")
	}
	if db != "" {
		if s.db, err = strconv.Atoi(db); err != nil || s.db < 0 {
			return "", server{}, errors.New("the database is not a number")
		}
	}
	return addr, s, nil
}

// tlsConfig says how to prove who is who. The host is the one that is dialled.
func (o Options) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("redis: CA file: %w", err)
		}
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			config.RootCAs = x509.NewCertPool()
		}
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redis: CA file %s: there is no certificate in it", o.CAFile)
		}
	}
	if o.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("redis: client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// client makes the client. It does not connect yet.
func (o Options) client() (redis.UniversalClient, error) {
	addrs, common, err := o.parse()
	if err != nil {
		return nil, err
	}
	base := redis.Options{
		Network: common.network, Addr: addrs[0], Username: common.user, Password: common.password, DB: common.db,
		Protocol: 3,

		// A deadline of the caller's holds, too, and a connection whose answer was not awaited is closed. Nothing is
		// sent on a new connection that it works without: an answer to that might be taken for another's.
		ContextTimeoutEnabled:    true,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},

		DialTimeout: o.ConnectTimeout, PoolTimeout: o.ConnectTimeout,
		ReadTimeout: o.CommandTimeout, WriteTimeout: o.CommandTimeout,

		// One more try, for a connection that the server closed meanwhile. See once.
		MaxRetries: 1, MinRetryBackoff: 5 * time.Millisecond, MaxRetryBackoff: 20 * time.Millisecond,
		DialerRetries: 1,

		PoolSize: o.MaxConns, MaxActiveConns: o.MaxConns,
		PipelinePoolSize: -1, // pipelines use the same connections
	}
	if common.tls {
		if base.TLSConfig, err = o.tlsConfig(); err != nil {
			return nil, err
		}
	}
	switch o.Mode {
	case Sentinel:
		return redis.NewFailoverClient(o.failover(base, addrs)), nil
	case Cluster:
		return redis.NewClusterClient(o.cluster(base, addrs)), nil
	default:
		return redis.NewClient(&base), nil
	}
}

func (o Options) failover(base redis.Options, addrs []string) *redis.FailoverOptions {
	return &redis.FailoverOptions{
		MasterName: o.Master, SentinelAddrs: addrs, SentinelUsername: o.SentinelUser, SentinelPassword: o.SentinelPassword,
		Username: base.Username, Password: base.Password, DB: base.DB, Protocol: base.Protocol, TLSConfig: base.TLSConfig,
		ContextTimeoutEnabled: base.ContextTimeoutEnabled, DisableIdentity: base.DisableIdentity,
		DialTimeout: base.DialTimeout, PoolTimeout: base.PoolTimeout,
		ReadTimeout: base.ReadTimeout, WriteTimeout: base.WriteTimeout,
		MaxRetries: base.MaxRetries, MinRetryBackoff: base.MinRetryBackoff, MaxRetryBackoff: base.MaxRetryBackoff,
		DialerRetries: base.DialerRetries,
		PoolSize:      base.PoolSize, MaxActiveConns: base.MaxActiveConns, PipelinePoolSize: base.PipelinePoolSize,
	}
}

func (o Options) cluster(base redis.Options, addrs []string) *redis.ClusterOptions {
	return &redis.ClusterOptions{
		Addrs: addrs, Username: base.Username, Password: base.Password, Protocol: base.Protocol, TLSConfig: base.TLSConfig,
		ContextTimeoutEnabled: base.ContextTimeoutEnabled, DisableIdentity: base.DisableIdentity,
		MaintNotificationsConfig: base.MaintNotificationsConfig,
		DialTimeout:              base.DialTimeout, PoolTimeout: base.PoolTimeout,
		ReadTimeout: base.ReadTimeout, WriteTimeout: base.WriteTimeout,
		MinRetryBackoff: base.MinRetryBackoff, MaxRetryBackoff: base.MaxRetryBackoff,
		DialerRetries: base.DialerRetries,
		PoolSize:      base.PoolSize, MaxActiveConns: base.MaxActiveConns, PipelinePoolSize: base.PipelinePoolSize,
		DisableRoutingPolicies: true, // every command here names its key, and COMMAND may be forbidden
	}
}
