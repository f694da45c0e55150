package redisstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chatgate/chatgate/authcore"
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

// Store is a node's place in a Redis. It is safe for concurrent use.
type Store struct {
	o      Options
	client redis.UniversalClient
	node   string // this node's random name
	feed   feed
}

// Ping reports whether Redis answers now.
func (s *Store) Ping(ctx context.Context) error {
	return s.call(ctx, "ping redis", func(ctx context.Context) error { return s.client.Ping(ctx).Err() })
}

// Close gives every connection back. No method may be called after it.
func (s *Store) Close() error { return s.client.Close() }

// call runs f, which asks Redis for something small, within the time that an answer may take in all, whatever the client
// tries on the way.
func (s *Store) call(ctx context.Context, what string, f func(context.Context) error) error {
	err := ctx.Err() // the client might not look
	if err == nil {
		limited, cancel := context.WithTimeout(ctx, s.o.ConnectTimeout+s.o.CommandTimeout)
		err = f(limited)
		cancel()
	}
	if _, ok := errors.AsType[*authcore.Error](err); err == nil || ok {
		return err
	}
	// A deadline of the caller's shows as a timeout of the network, or as nothing but a closed connection.
	if gone := ctx.Err(); gone != nil && !errors.Is(err, gone) {
		return fmt.Errorf("%s: %w (%w)", what, gone, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// once is a command that is not sent again when its answer is lost: it may have been carried out, and would then say
// something else.
type once struct{ redis.Cmder }

// NoRetry is what the client asks before it sends a command again.
func (once) NoRetry() bool { return true }

// script is a Lua script with one key.
type script struct{ source, hash string }

func newScript(source string) script { return script{source, redis.NewScript(source).Hash()} }

// run runs the script once, or not at all.
func (s *Store) run(ctx context.Context, sc script, key string, args ...any) *redis.Cmd {
	cmd := sc.command(ctx, "evalsha", sc.hash, key, args)
	_ = s.client.Process(ctx, once{cmd}) // cmd has the error
	if redis.HasErrorPrefix(cmd.Err(), noScript) {
		cmd = sc.command(ctx, "eval", sc.source, key, args) // which also keeps it for the next time
		_ = s.client.Process(ctx, once{cmd})
	}
	return cmd
}

func (script) command(ctx context.Context, name, script, key string, args []any) *redis.Cmd {
	cmd := redis.NewCmd(ctx, append([]any{name, script, 1, key}, args...)...)
	cmd.SetFirstKeyPos(3)
	return cmd
}

// noScript begins the answer of a server that does not have a script, or has it no longer.
const noScript = "NOSCRIPT"
