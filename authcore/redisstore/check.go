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

// checkTimeout bounds the checks at the start, which ask every server of a cluster.
const checkTimeout = 10 * time.Second

// check checks every master.
func (s *Store) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return s.explain(s.checkServer(ctx, s.client))
	}
	var mu sync.Mutex // ForEachMaster calls concurrently, and returns any one of the errors
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

// checkServer checks one server. Its errors say what to do, or come from the client.
func (s *Store) checkServer(ctx context.Context, c redis.Cmdable) error {
	if err := c.Ping(ctx).Err(); err != nil {
		return err
	}
	if err := s.checkRole(ctx, c); err != nil {
		return err
	}
	return s.checkRights(ctx, c)
}

// checkRole sees what the server is.
func (s *Store) checkRole(ctx context.Context, c redis.Cmdable) error {
	text, err := c.Info(ctx).Result()
	if err != nil {
		if !refused(err) {
			return err
		}
		s.o.Log.Warn("redis refuses INFO, so its version, role, eviction and persistence are not checked; "+
			"allow INFO to have them checked", "error", err)
		return nil
	}
	info := parseInfo(text)
	major, minor := version(info["redis_version"])
	switch {
	case major < 6 || major == 6 && minor < 2:
		return fmt.Errorf("the server is version %q; use 6.2 or later", info["redis_version"])
	case info["loading"] == "1":
		return errors.New("the server is still loading its data; try again when it is done")
	case info["role"] != "master":
		return errors.New("the server is a replica, which takes no writes; name its master, or use mode sentinel")
	case s.o.Mode != Cluster && info["cluster_enabled"] == "1":
		return errors.New("the server is part of a cluster; use mode cluster")
	}
	return s.checkConfig(ctx, c, info)
}

// checkConfig refuses a server that evicts keys, and warns of one that loses them when it restarts.
func (s *Store) checkConfig(ctx context.Context, c redis.Cmdable, info map[string]string) error {
	maxmemory, policy, appendonly := info["maxmemory"], info["maxmemory_policy"], info["aof_enabled"] == "1"
	config, err := c.ConfigGet(ctx, "save").Result()
	if err != nil && !refused(err) {
		return err
	}
	save, known := config["save"]
	switch {
	case policy == "":
		s.o.Log.Warn("redis does not report its maxmemory-policy; set it to noeviction, or sessions and revocations may be evicted")
	case policy == "noeviction":
	case maxmemory != "0":
		return fmt.Errorf("the server evicts keys, and with them sessions and revocations, when its memory is full "+
			"(maxmemory-policy %s); set maxmemory-policy to noeviction", policy)
	default:
		s.o.Log.Warn("redis would evict keys if maxmemory were set; set maxmemory-policy to noeviction", "policy", policy)
	}
	switch {
	case appendonly || save != "":
	case known:
		s.o.Log.Warn("redis keeps nothing on disk: a restart loses sessions, though no accounts; set appendonly or save")
	default:
		s.o.Log.Warn("redis does not report its save points: with none, and without appendonly, " +
			"a restart loses sessions, though no accounts; set appendonly or save")
	}
	return nil
}

// refused reports whether the server forbids a command, as hosted ones do, or does not have it.
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

// explain puts what an error at the start means, and what to do, before the error.
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
		because = "the server requires a password; add it to the URL"
	case strings.Contains(text, "WRONGPASS"):
		because = "the server refuses the user or the password of the URL"
	case strings.Contains(text, "NOPERM"):
		because = "the user of the URL lacks a permission; grant it with ACL SETUSER"
	case strings.Contains(text, "cluster support disabled"):
		because = "the server is not part of a cluster; leave mode cluster out"
	case plain:
		because = "the server does not speak TLS; write redis://"
	case authority:
		because = "the server's certificate is signed by an unknown authority; name its CA file with ca"
	case host:
		because = "the server's certificate is for another host; write the host that it names in the URL"
	case strings.Contains(text, "remote error: tls:") && strings.Contains(text, "certificate"):
		because = "the server requires a client certificate, or refuses this one; set cert"
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		because = "the server closed the connection; if it speaks TLS, write rediss://"
	case errors.As(err, &network) && network.Op == "dial":
		because = "the server cannot be reached"
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		because = "the server does not answer in time"
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
