package redisstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// checkTimeout bounds what happens at the start, where a cluster is asked server by server.
const checkTimeout = 10 * time.Second

// check asks every master whether it is fit.
func (s *Store) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return s.explain(s.checkServer(ctx, s.client))
	}
	var mu sync.Mutex // ForEachMaster calls for all at once, and its own choice of an error is any
	var first error
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		err := s.checkServer(ctx, c)
		mu.Lock()
		defer mu.Unlock()
		if err != nil && first == nil {
			first = fmt.Errorf("%s: %w", c.Options().Addr, err)
		}
		return nil
	})
	return s.explain(errors.Join(err, first))
}

// checkServer checks one server. Its errors say what to do, or are the client's.
func (s *Store) checkServer(ctx context.Context, c redis.Cmdable) error {
	if err := c.Ping(ctx).Err(); err != nil {
		return err
	}
	text, err := c.Info(ctx).Result()
	if err != nil {
		if !refused(err) {
			return err
		}
		s.o.Log.Warn("redis does not let its state be checked: version, role, eviction, persistence", "error", err)
		return nil
	}
	info := parseInfo(text)
	major, minor := version(info["redis_version"])
	switch {
	case major < 6 || major == 6 && minor < 2:
		return fmt.Errorf("the server is version %q, but it takes 6.2 or later", info["redis_version"])
	case info["loading"] == "1":
		return errors.New("the server is still loading its data")
	case info["role"] != "master":
		return errors.New("the server is a replica, which takes no writes; name its master, or use sentinel mode")
	case s.o.Mode != Cluster && info["cluster_enabled"] == "1":
		return errors.New("the server is part of a cluster; use cluster mode")
	}
	return s.checkConfig(ctx, c, info)
}

// checkConfig sees whether the server may throw away or forget what it holds.
func (s *Store) checkConfig(ctx context.Context, c redis.Cmdable, info map[string]string) error {
	maxmemory, policy, appendonly := info["maxmemory"], info["maxmemory_policy"], info["aof_enabled"] == "1"
	config, err := c.ConfigGet(ctx, "save").Result()
	if err != nil && !refused(err) {
		return err
	}
	save, known := config["save"]
	switch {
	case policy == "":
		s.o.Log.Warn("redis does not say whether it throws keys away; set maxmemory-policy noeviction")
	case policy == "noeviction":
	case maxmemory != "0":
		return fmt.Errorf("the server throws keys away when its memory is full, and with them sessions and revocations; "+
			"set maxmemory-policy to noeviction (it is %s)", policy)
	default:
		s.o.Log.Warn("redis would throw keys away if maxmemory were set; set maxmemory-policy to noeviction", "policy", policy)
	}
	switch {
	case appendonly || save != "":
	case known:
		s.o.Log.Warn("redis keeps nothing on disk: sessions are lost when it restarts; accounts are not")
	default:
		s.o.Log.Warn("redis does not say whether it has save points: without any, and without appendonly, " +
			"sessions are lost when it restarts; accounts are not")
	}
	return nil
}

// refused reports whether the server does not let a command be used, as hosted ones do, or does not have it.
func refused(err error) bool {
	return redis.HasErrorPrefix(err, "NOPERM") || redis.HasErrorPrefix(err, "unknown command") ||
		redis.HasErrorPrefix(err, "command is not allowed")
}

func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[key] = value
		}
	}
	return info
}

func version(text string) (major, minor int) {
	parts := strings.SplitN(text, ".", 3)
	if len(parts) > 1 {
		major, _ = strconv.Atoi(parts[0])
		minor, _ = strconv.Atoi(parts[1])
	}
	return major, minor
}

// explain says what an error at the start means, in one line.
func (s *Store) explain(err error) error {
	if err == nil {
		return nil
	}
	var because string
	var network *net.OpError
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	text := err.Error()
	switch {
	case strings.Contains(text, "NOAUTH"):
		because = "the server wants a password, and the URL has none"
	case strings.Contains(text, "WRONGPASS"):
		because = "the server refuses the user or the password of the URL"
	case strings.Contains(text, "NOPERM"):
		because = "the user of the URL may not do this"
	case strings.Contains(text, "cluster support disabled"):
		because = "the server is no part of a cluster"
	case plain:
		because = "there is no TLS at the other end; write redis://"
	case authority:
		because = "the certificate is signed by nobody known; name the CA file"
	case host:
		because = "the certificate is for another host"
	case strings.Contains(text, "remote error: tls:") && strings.Contains(text, "certificate"):
		because = "the server wants a client certificate, or another one"
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		because = "the server closed the connection; if it wants TLS, write rediss://"
	case errors.As(err, &network) && network.Op == "dial":
		because = "it cannot be reached"
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		because = "it does not answer in time"
		if strings.HasPrefix(s.o.URLs[0], "rediss:") { // a server without TLS waits for the end of a line
			because += "; if it does not speak TLS, write redis://"
		}
	}
	if because == "" {
		return fmt.Errorf("redis: %w", err)
	}
	return fmt.Errorf("redis: %s: %w", because, err)
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
