package redisstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/chatgate/chatgate/authcore"
)

// Store is one node's access to a Redis. It is safe for concurrent use.
type Store struct {
	o      Options
	client redis.UniversalClient
	node   string // this node's random name
	feed   feed
}

// Ping returns an error unless Redis answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.call(ctx, "ping redis", func(ctx context.Context) error { return s.client.Ping(ctx).Err() })
}

// Close closes every connection. No method may be called after it.
func (s *Store) Close() error { return s.client.Close() }

// call runs f, which sends Redis small commands, and bounds all tries of the client by ConnectTimeout + CommandTimeout.
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
	// The caller's deadline may appear as a network timeout, or only as a closed connection.
	if gone := ctx.Err(); gone != nil && !errors.Is(err, gone) {
		return fmt.Errorf("%s: %w (%w)", what, gone, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// once is a command that is not sent again when its answer is lost: it may have run, and its second answer would differ.
type once struct{ redis.Cmder }

// NoRetry tells the client not to send the command again.
func (once) NoRetry() bool { return true }

// script is a Lua script with one key.
type script struct{ source, hash string }

func newScript(source string) script { return script{source, redis.NewScript(source).Hash()} }

// run runs the script once, or not at all.
func (s *Store) run(ctx context.Context, sc script, key string, args ...any) *redis.Cmd {
	cmd := sc.command(ctx, "evalsha", sc.hash, key, args)
	_ = s.client.Process(ctx, once{cmd}) // cmd has the error
	if redis.HasErrorPrefix(cmd.Err(), noScript) {
		cmd = sc.command(ctx, "eval", sc.source, key, args) // loads the script as well
		_ = s.client.Process(ctx, once{cmd})
	}
	return cmd
}

func (script) command(ctx context.Context, name, script, key string, args []any) *redis.Cmd {
	cmd := redis.NewCmd(ctx, append([]any{name, script, 1, key}, args...)...)
	cmd.SetFirstKeyPos(3)
	return cmd
}

// noScript begins the answer of a server that does not have the script, or no longer has it.
const noScript = "NOSCRIPT"
