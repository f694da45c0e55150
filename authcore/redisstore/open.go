package redisstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// The client would write a line to standard error for each failed connection. It returns the same as an error.
func init() { redis.SetLogger(&logging.VoidLogger{}) }

// Open connects to Redis and checks that it is reachable, new enough, a master, and set to evict no keys. It logs
// a warning about settings that are only unwise.
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

// tlsConfig loads the certificates. It names no server, so the client checks the host that it dials.
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
			return nil, fmt.Errorf("redis: CA file %s has no certificate; it must be PEM", o.CAFile)
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
		return nil, fmt.Errorf("redis: %w", err)
	}
	base := redis.Options{
		Network: common.network, Addr: addrs[0], Username: common.user, Password: common.password, DB: common.db,
		Protocol: 3,

		// The caller's deadline holds as well, and a connection that still owes an answer is closed. A new connection
		// sends nothing optional, whose answer might be taken for another command's.
		ContextTimeoutEnabled:    true,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},

		DialTimeout: o.ConnectTimeout, PoolTimeout: o.ConnectTimeout,
		ReadTimeout: o.CommandTimeout, WriteTimeout: o.CommandTimeout,

		// One retry, for a connection that the server has closed in the pool. See once.
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
