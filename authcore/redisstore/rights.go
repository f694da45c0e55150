package redisstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// probeLasts is how long a key of the check of rights is kept at the most: its last command takes it away.
const probeLasts = 10 * time.Second

// probe is a command that a node sends, or a script of its does, with arguments that leave nothing behind.
type probe []any

// probes are all of them, in an order in which they do nothing with a key of another kind. Each kind of key has those that
// are used with it.
func (s *Store) probes() []probe {
	sessions, live := accountKey(s.o.Prefix, "rights", "sessions"), s.presenceKey("rights", s.node)
	rate, failures := s.limitKey("rate", "rights", s.node), s.limitKey("failures", "rights", s.node)
	nodes, events := s.feedKey("rights:nodes:"+s.node), s.feedKey("rights:events:"+s.node)
	ms := probeLasts.Milliseconds()
	ps := []probe{
		{"time"},
		{"eval", "return 1", 1, sessions},
		{"evalsha", newScript("return 1").hash, 1, sessions},
		{"hsetnx", sessions, s.node, ""},
		{"pexpire", sessions, ms},
		{"hset", sessions, s.node, ""},
		{"hget", sessions, s.node},
		{"hgetall", sessions},
		{"hrandfield", sessions, 1},
		{"pttl", sessions},
		{"hdel", sessions, s.node},
		{"zadd", nodes, 0, s.node},
		{"pexpire", nodes, ms},
		{"zrangebyscore", nodes, 0, 0},
		{"zremrangebyscore", nodes, 1, 1},
		{"zrem", nodes, s.node},
		{"xadd", events, "nomkstream", "*", "", ""},
		{"xrevrange", events, "+", "-", "count", 1},
		{"xread", "count", 1, "streams", events, "0-0"},
	}
	for _, key := range []string{live, rate, failures} {
		ps = append(ps, probe{"set", key, "", "px", ms}, probe{"get", key}, probe{"mget", key}, probe{"del", key})
	}
	return ps
}

// checkRights refuses a user who would be let in, and then fail with every call. Whether a server of a cluster has the key
// of a command does not matter: it looks at the rights first.
func (s *Store) checkRights(ctx context.Context, c redis.Cmdable) error {
	probes := s.probes()
	cmds := make([]*redis.Cmd, len(probes))
	_, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, p := range probes {
			cmds[i] = pipe.Do(ctx, p...)
		}
		return nil
	})
	var commands []string
	keys := false
	for i, cmd := range cmds {
		if !refused(cmd.Err()) {
			continue
		}
		name, _ := probes[i][0].(string)
		switch {
		case strings.Contains(cmd.Err().Error(), "permissions to access"): // a key; the others are to run a command
			keys = true
		case !slices.Contains(commands, name):
			commands = append(commands, name)
		}
	}
	var lacks []string
	if keys {
		lacks = append(lacks, "~"+s.o.Prefix+":*")
	}
	for _, name := range commands {
		lacks = append(lacks, "+"+name)
	}
	if len(lacks) > 0 {
		return fmt.Errorf("the server does not let the user of the URL do all that is needed; give it these rights: %s", strings.Join(lacks, " "))
	}
	if cmds[0].Err() != nil { // which no server has a reason to answer with an error
		return err
	}
	return nil
}
